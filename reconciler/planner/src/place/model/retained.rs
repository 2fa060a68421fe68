//! A running instance that keeps what it has, as a service of its own.
//!
//! Knows how such a service is made from an instance, and undone. Refuses to decide which instances
//! these are.
//!
//! A running instance whose new spec no longer fits keeps its old spec in place; as a service with
//! one candidate it needs no second notion in filters, programs and bounds. `db[0]` then stands
//! beside `db`, with the memory that it runs with.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use devnet_schema::{
    name::{InstanceId, NodeName, ServiceName},
    placement::GpuUse,
    quantity::Bytes,
};

use super::{index::IndexedProblem, partial::PartialPlacement};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    outcome::{Outcome, Reason},
    problem::{Current, Holding, NodeInput, PlacementProblem, ServiceInput, ServiceKey},
};

/// The problem with these instances kept as they are, beside those that are already.
pub(crate) fn staged(
    problem: &PlacementProblem,
    staying: &BTreeSet<InstanceId>,
) -> PlacementProblem {
    let mut staged = problem.clone();
    let nodes: BTreeMap<&NodeName, &NodeInput> =
        problem.nodes.iter().map(|node| (&node.name, node)).collect();
    let mut added = Vec::new();
    for service in &staged.services {
        let ServiceKey::Declared(name) = &service.name else { continue };
        let first = InstanceId { service: name.clone(), index: 0 };
        let own = staying.range(first..).take_while(|id| id.service == *name);
        let own = own.filter(|id| !problem.leaving.contains(id));
        for id in own {
            let holding = service.holdings.get(&id.index).cloned();
            let Some((current, holding)) = service.current.get(&id.index).zip(holding) else {
                continue;
            };
            let current = on_known_devices(current, nodes.get(&current.node).copied());
            let mut retained = retained(service, id, current, &holding);
            retained.apart_from.retain(|other| other != name);
            added.push(retained);
        }
    }
    staged.services.extend(added);
    staged
}

/// Where an instance is, of its devices those that its node has, and of each at most all of it.
fn on_known_devices(current: &Current, node: Option<&NodeInput>) -> Current {
    let device = |id: &str| node?.gpus.iter().find(|gpu| gpu.id == id);
    let known = current.gpus.iter().filter_map(|own| {
        let memory = own.memory.0.min(device(&own.id)?.memory);
        Some(GpuUse { memory: Bytes(memory), ..own.clone() })
    });
    Current { node: current.node.clone(), gpus: known.collect(), held: current.held }
}

/// Undoes [`staged`] for some services: what runs of them is to have a place or none.
pub(crate) fn released(problem: &mut PlacementProblem, whose: impl Fn(&ServiceName) -> bool) {
    problem.services.retain(|input| input.name.retained().is_none_or(|id| !whose(&id.service)));
}

/// One running instance as a service: of all its lines only `apart-from` speaks of others.
fn retained(
    service: &ServiceInput,
    id: &InstanceId,
    current: Current,
    holding: &Holding,
) -> ServiceInput {
    ServiceInput {
        name: ServiceKey::Retained(id.clone()),
        replicas: 1,
        numbers: None,
        cpu_milli: holding.cpu_milli,
        memory: holding.memory,
        disk: holding.disk,
        gpu: current.request(),
        device: None,
        host_ports: holding.ports.clone(),
        port_lines: BTreeMap::new(),
        require: Vec::new(),
        forbid: Vec::new(),
        prefer: Vec::new(),
        pin: None,
        spread: Vec::new(),
        max_per_node: None,
        near: Vec::new(),
        movable: true,
        current: BTreeMap::from([(0, current)]),
        holdings: BTreeMap::new(),
        ..service.clone()
    }
}

/// Those that are kept as they are.
pub(crate) fn retained_services<'f>(
    indexed: &'f IndexedProblem<'_>,
) -> impl Iterator<Item = ServiceIx> + 'f {
    let retained = |service: &ServiceIx| indexed.services[*service].is_retained();
    indexed.services.positions().filter(retained)
}

/// The placement as the service would find it: what is kept of its own gives way to it.
pub(crate) fn without_own<'b, 'f>(
    partial: &'b PartialPlacement<'f>,
    service_ix: ServiceIx,
) -> Cow<'b, PartialPlacement<'f>> {
    let service = &partial.indexed.services[service_ix];
    if service.is_retained() || service.counterparts.is_empty() {
        return Cow::Borrowed(partial);
    }
    let mut without = partial.clone();
    for &kept in &service.counterparts {
        let nodes: Vec<NodeIx> = without.of_service[kept].keys().copied().collect();
        nodes.into_iter().for_each(|node| without.remove(kept, node));
    }
    Cow::Owned(without)
}

/// The placement as one instance of the service would find it on a node: the first that is kept of
/// it there gives way to it.
pub(crate) fn without_one<'b, 'f>(
    partial: &'b PartialPlacement<'f>,
    service: ServiceIx,
    node: NodeIx,
) -> Cow<'b, PartialPlacement<'f>> {
    let mut kept =
        partial.indexed.retained_at(service, node).filter(|&kept| partial.count(kept, node) > 0);
    let Some(kept) = kept.next().filter(|_| !partial.indexed.services[service].is_retained())
    else {
        return Cow::Borrowed(partial);
    };
    let mut without = partial.clone();
    without.remove(kept, node);
    Cow::Owned(without)
}

/// Those that an outcome keeps as they are.
pub(crate) fn retained_in(outcome: &Outcome) -> BTreeSet<InstanceId> {
    let kept = outcome.assignments.iter().filter(|(_, place)| place.reason == Reason::Retained);
    kept.map(|(id, _)| id.clone()).collect()
}

/// How many moves, and at what price, a placement counts that are none: of each that may be kept as
/// it is, its service counts one for it where it is, and it counts one itself where it is not.
pub(crate) fn no_moves(indexed: &IndexedProblem<'_>) -> (u32, u64) {
    let prices = retained_services(indexed).map(|service| indexed.services[service].migration_cost);
    prices.fold((0, 0), |(count, sum), migration_cost| (count + 1, sum + migration_cost))
}
