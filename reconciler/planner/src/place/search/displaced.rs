//! Which running instances have no place, and which may have to do with what they have.
//!
//! Knows a placement and what runs. Refuses to place anything.
//!
//! The first answer says who stops; those are retained when the problem is solved again. Of two
//! that cannot both grow, one may stay as it is, so instances that grew beside them are named too.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::name::{InstanceId, NodeName};

use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{
        index::IndexedProblem,
        indices::assign,
        partial::PartialPlacement,
        service::{Candidate, Service, per_node},
    },
    problem::{Current, InstanceKey, ServiceKey},
};

/// Who went away from a node that has less than what is left there, and somebody came.
pub(crate) fn gone(partial: &PartialPlacement<'_>) -> BTreeSet<InstanceId> {
    let indexed = partial.indexed;
    let crowded = |node: &NodeIx| {
        let (held, room) = (partial.held(*node), partial.room(*node));
        let came = |(&service_ix, &count): (&ServiceIx, &u32)| {
            let service = &indexed.services[service_ix];
            let takes = (0..3)
                .any(|resource| service.need[resource] > 0 && held[resource] > room[resource]);
            takes && count > service.ran_at(*node)
        };
        indexed.nodes[*node].overfull && partial.on_node[*node].iter().any(came)
    };
    let crowded: Vec<NodeIx> = indexed.nodes.positions().filter(crowded).collect();
    if crowded.is_empty() {
        return BTreeSet::new();
    }
    let crowded: BTreeSet<&NodeName> =
        crowded.into_iter().map(|node| &indexed.nodes[node].input.name).collect();
    let placed = assign(partial);
    let known = indexed.services.iter().map(|it| it.input).flat_map(|input| {
        let ran = input.existing();
        let known = ran.filter(|(index, _)| input.holdings.contains_key(index));
        known.map(|(&index, current)| (input.instance(index), current))
    });
    let known = known.filter(|(key, _)| !indexed.problem.leaving.contains(&key.instance()));
    let went = known.filter(|(key, current)| {
        let retained = InstanceKey::retained(key.instance());
        let place = placed.get(key).or_else(|| placed.get(&retained));
        let here = place.is_some_and(|place| place.node == current.node);
        crowded.contains(&current.node) && !here
    });
    went.map(|(key, _)| key.into_instance()).collect()
}

/// What else may be kept as it is, so that nothing stops or waits for want of that. In a problem
/// that is one program all that is known to run, but for services of which some are new: none is
/// kept for a sibling that takes its place. In a larger one data and company that grew, what grew
/// beside what stops, data where some of it is not held, and what moves from where it may not be.
pub(crate) fn others(
    partial: &PartialPlacement<'_>,
    stopping: &BTreeSet<InstanceId>,
    loose: bool,
) -> BTreeSet<InstanceId> {
    let indexed = partial.indexed;
    let whole = indexed.pairs() <= indexed.problem.limits.whole_pairs;
    let stops = !stopping.is_empty();
    let numbers = numbers(indexed);
    let home = |id: &InstanceId| {
        let service = numbers[&ServiceKey::Declared(id.service.clone())];
        indexed.services[service].input.current.get(&id.index).map(|it| &it.node)
    };
    let beside: BTreeSet<&NodeName> = stopping.iter().filter_map(home).collect();
    let placed = if stops && !whole { assign(partial) } else { BTreeMap::new() };
    let all = indexed.services.iter().flat_map(|service| {
        let input = service.input;
        let known = input.holdings.keys().filter(|index| input.wants(**index));
        known.map(move |&index| (service, input.instance(index)))
    });
    let may = |(service, id): &(&Service<'_>, InstanceKey)| {
        let input = service.input;
        let Some(current) = input.current.get(&id.index) else { return false };
        let old = service.running() == input.replicas;
        let held = !input.movable || !service.supports.is_empty();
        let refused = service.ran.keys().any(|&node| service.candidate(node).is_none());
        let moves = || placed.get(id).is_some_and(|place| place.node != current.node);
        input.has_grown(id.index) && (whole || held || beside.contains(&current.node))
            || whole && old
            || loose && !input.movable
            || stops && old && refused && moves()
    };
    all.filter(may).map(|(_, id)| id.into_instance()).collect()
}

/// Whether something that grew may be in the way of what has no place: as important, or data that
/// is held to where it is, or company for what waits.
pub(crate) fn presses(partial: &PartialPlacement<'_>) -> bool {
    let services = &partial.indexed.services;
    let short = services
        .positions()
        .filter(|&service_ix| partial.missing(service_ix) > 0)
        .map(|service_ix| services[service_ix].level);
    let short: BTreeSet<usize> = short.collect();
    services.iter().any(|service| {
        let input = service.input;
        let grew = || input.existing().any(|(&at, _)| input.has_grown(at));
        let held = !input.movable || !service.supports.is_empty();
        let in_the_way = match held {
            true => short.first().is_some_and(|first| *first <= service.level),
            false => short.contains(&service.level),
        };
        in_the_way && grew()
    })
}

/// What runs, is known to, and has no place. Apart from the others what would take as much as it
/// is, in the same place, as it does declared: that there is no room for it is known.
pub(crate) fn homeless(
    partial: &PartialPlacement<'_>,
) -> (BTreeSet<InstanceId>, BTreeSet<InstanceId>) {
    let indexed = partial.indexed;
    let short = |service_ix: &ServiceIx| {
        partial.missing(*service_ix) > 0 && !indexed.services[*service_ix].input.holdings.is_empty()
    };
    let short: Vec<ServiceIx> = indexed.services.positions().filter(short).collect();
    if short.is_empty() {
        return Default::default();
    }
    let placed = assign(partial);
    let nodes = indexed.nodes.enumerate().map(|(node_ix, node)| (&node.input.name, node_ix));
    let nodes: BTreeMap<&NodeName, NodeIx> = nodes.collect();
    let all =
        short.into_iter().map(|service_ix| &indexed.services[service_ix]).flat_map(|service| {
            let known = service.input.existing();
            let known = known.filter(|(index, _)| service.input.holdings.contains_key(index));
            known.map(move |(&index, current)| (service, service.input.instance(index), current))
        });
    let homeless = all.filter(|(_, id, _)| !placed.contains_key(id));
    let (alike, others): (Vec<_>, Vec<_>) = homeless.partition(|(service, id, current)| {
        let home = nodes.get(&current.node).and_then(|&node_ix| service.candidate(node_ix));
        home.is_some_and(|home| {
            // There, less is counted of one that is kept.
            !indexed.nodes[home.node].overfull && alike(service, home, (id.index, current))
        })
    });
    let ids = |list: Vec<(_, InstanceKey, _)>| {
        list.into_iter().map(|(_, id, _)| id.into_instance()).collect()
    };
    (ids(others), ids(alike))
}

/// Whether a running instance needs as much as it is as it does declared, and nothing but room
/// keeps it from staying so.
fn alike(service: &Service<'_>, home: &Candidate, (index, current): (u32, &Current)) -> bool {
    let input = service.input;
    let here = input.existing().filter(|(_, it)| it.node == current.node);
    let lines = [input.spread.len(), input.near.len(), service.apart.len()];
    let free = lines == [0; 3] && per_node(input).is_none();
    free && home.current as usize == here.count() && !input.has_grown(index)
}

/// Whether all that is known to run has its place, or is kept as it is.
pub(crate) fn nobody_stops(partial: &PartialPlacement<'_>) -> bool {
    let numbers = numbers(partial.indexed);
    let (homeless, alike) = homeless(partial);
    let retained = |id: &InstanceId| {
        let key = ServiceKey::Retained(id.clone());
        numbers.get(&key).is_some_and(|&service| partial.total[service] > 0)
    };
    homeless.iter().chain(&alike).all(retained)
}

pub(crate) fn numbers<'f>(indexed: &'f IndexedProblem<'_>) -> BTreeMap<&'f ServiceKey, ServiceIx> {
    indexed
        .services
        .enumerate()
        .map(|(service_ix, service)| (&service.input.name, service_ix))
        .collect()
}
