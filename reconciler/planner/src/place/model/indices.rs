//! From counts to instances: which index goes where, on which devices, and who stays.
//!
//! Knows what runs now, so that nothing moves that need not. Refuses to change a count.
//!
//! Searches count instances of a service and never name them; this runs once, after the search. Of
//! three instances of `web`, the one on the node that keeps two is the first that ran there.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use devnet_schema::{
    name::NodeName,
    placement::GpuUse,
    quantity::{Bytes, GpuRequest},
};

use super::{
    first_reason::{explain_device_changes, reason},
    partial::PartialPlacement,
    placed_instance::PlacedInstance,
};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    outcome::Assignment,
    problem::{Current, InstanceKey},
};

/// Every placed instance.
pub(crate) type Assignments = BTreeMap<InstanceKey, Assignment>;

/// Every placed instance of a sound placement.
pub(crate) fn assign(partial: &PartialPlacement<'_>) -> Assignments {
    let indexed = partial.indexed;
    let names: BTreeMap<&NodeName, NodeIx> =
        indexed.nodes.enumerate().map(|(node_ix, node)| (&node.input.name, node_ix)).collect();
    let instances =
        indexed.services.positions().flat_map(|service_ix| instances(partial, service_ix, &names));
    let placed = instances.map(|placed_instance| {
        let service = indexed.services[placed_instance.service].input;
        let instance = service.instance(placed_instance.index);
        let gpus = gpus(partial, &placed_instance);
        let reason = reason(partial, &placed_instance, &gpus, &names);
        let node = indexed.nodes[placed_instance.node].input.name.clone();
        (instance, Assignment { node, gpus, reason })
    });
    let mut placed: Assignments = placed.collect();
    explain_device_changes(partial, &mut placed);
    placed
}

/// Indices to nodes and devices: who can stay on its devices does, then who can stay on its node,
/// the lower index first; the others fill what is left.
fn instances(
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
    names: &BTreeMap<&NodeName, NodeIx>,
) -> Vec<PlacedInstance> {
    let service = &partial.indexed.services[service_ix];
    let input = service.input;
    let mut left: BTreeMap<NodeIx, Vec<u128>> = BTreeMap::new();
    for (&node, &count) in &partial.of_service[service_ix] {
        let devices = match partial.indexed.takes_devices(service_ix, node) {
            true => partial.devices_of(service_ix, node),
            false => vec![0; count as usize],
        };
        left.insert(node, devices);
    }
    let kept: BTreeSet<u32> = retained_indices(partial, service_ix);
    let mut instances: BTreeMap<u32, PlacedInstance> = BTreeMap::new();
    // Who would have to grow is the first to go.
    let mut current: Vec<(&u32, &Current)> = input.existing().collect();
    current.sort_by_key(|(index, _)| (input.has_grown(**index), **index));
    for at_home in [true, false] {
        for &(&index, current) in &current {
            let taken = kept.contains(&index) || instances.contains_key(&index);
            let Some(&node) = names.get(&current.node).filter(|_| !taken) else {
                continue;
            };
            let Some(devices) = left.get_mut(&node) else { continue };
            let home = partial.indexed.nodes[node].positions(current);
            let own = devices.iter().position(|set| !at_home || home == Some(*set));
            if let Some(devices) = own.map(|at| devices.remove(at)) {
                instances.insert(
                    index,
                    PlacedInstance { service: service_ix, index, node, devices, stays: true },
                );
            }
        }
    }
    let mut free =
        left.into_iter().flat_map(|(node, sets)| sets.into_iter().map(move |set| (node, set)));
    // What runs moves before anything is new.
    let mut open: Vec<u32> = input.wanted().collect();
    // One of each node goes to no other: who has no place there has none.
    let bound = |index: &u32| input.numbers.is_some() && input.current.contains_key(index);
    open.retain(|index| !instances.contains_key(index) && !kept.contains(index) && !bound(index));
    let order = |index: &u32| {
        let node = input.current.get(index).and_then(|it| names.get(&it.node));
        // What runs before what ran on a node that does not answer.
        let answers = node.map(|&node_ix| !partial.indexed.nodes[node_ix].unreachable);
        (Reverse(answers.map_or(0, |answers| 1 + u8::from(answers))), *index)
    };
    open.sort_by_key(order);
    for index in open {
        let Some((node, devices)) = free.next() else { break };
        instances.insert(
            index,
            PlacedInstance { service: service_ix, index, node, devices, stays: false },
        );
    }
    instances.into_values().collect()
}

/// The numbers of those of a service that are kept as they are, and have no place beside.
fn retained_indices(partial: &PartialPlacement<'_>, service: ServiceIx) -> BTreeSet<u32> {
    let services = &partial.indexed.services;
    if services[service].is_retained() {
        return BTreeSet::new();
    }
    let counterparts =
        services[service].counterparts.iter().filter(|&&other| partial.total[other] > 0);
    counterparts.filter_map(|&other| Some(services[other].input.name.retained()?.index)).collect()
}

/// The devices of an instance, by name.
fn gpus(partial: &PartialPlacement<'_>, placed_instance: &PlacedInstance) -> Vec<GpuUse> {
    let node = &partial.indexed.nodes[placed_instance.node];
    let input = partial.indexed.services[placed_instance.service].input;
    let need = input.gpu;
    if let Some(current) = input
        .current
        .get(&placed_instance.index)
        .filter(|_| placed_instance.stays && node.unreachable)
    {
        return current.gpus.clone();
    }
    let id = |&d: &usize| node.input.gpus[d].id.clone();
    let own =
        node.devices.iter().enumerate().filter(|(at, _)| placed_instance.devices >> at & 1 == 1);
    own.map(|(_, d)| gpu_use(id(d), need)).collect()
}

fn gpu_use(id: String, need: GpuRequest) -> GpuUse {
    let (share_milli, memory) = match need {
        GpuRequest::None => (0, Bytes::ZERO),
        GpuRequest::Whole(_) => (1000, Bytes::ZERO),
        GpuRequest::Share(milli) => (milli, Bytes::ZERO),
        GpuRequest::Memory(bytes) => (0, bytes),
    };
    GpuUse { id, share_milli, memory }
}
