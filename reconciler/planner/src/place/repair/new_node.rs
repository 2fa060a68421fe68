//! Nodes made for instances of a service: alike in everything that its conditions look at.
//!
//! Knows what such a node must have. Refuses to say that it would help, and how many it takes.
//!
//! Where nothing else helps, a machine does. It has whole cores, the runtime that is needed, and
//! the zone where the service is best spread.

use std::collections::BTreeSet;

use super::{
    crew::{Crew, all_of, first_of, tags},
    new_gpus::{GIB, all_devices, size},
};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{index::IndexedProblem, node::Amounts, partial::PartialPlacement, service::per_node},
    problem::{GpuInput, Key, NodeInput, NodeState},
};

/// How many instances more the lines of the service allow on a node.
pub(crate) fn most_more(partial: &PartialPlacement<'_>, service: ServiceIx, node: NodeIx) -> u32 {
    let input = partial.indexed.services[service].input;
    let count = partial.count(service, node);
    let port = if input.host_ports.is_empty() { u32::MAX } else { 1 };
    let most = per_node(input).unwrap_or(u32::MAX).min(port);
    most.saturating_sub(count)
}

/// A core, in the units of cpu.
const CORE: u64 = 1000;

/// New nodes for so many instances of each of the crew, one for each of `zones`: the zone of a node
/// that is there, where that matters. None where no node could be of use.
pub(crate) fn nodes(
    indexed: &IndexedProblem<'_>,
    crew: &Crew,
    zones: &[Option<NodeIx>],
) -> Vec<NodeInput> {
    let taken: BTreeSet<&str> = indexed.nodes.iter().map(|node| node.input.name.as_str()).collect();
    let names = (0..).map(|i| format!("new-node-{i}"));
    let names = names.filter(|name| !taken.contains(name.as_str()));
    let made = names.zip(zones).map(|(name, zone)| node(indexed, crew, (name, *zone)));
    made.collect::<Option<Vec<NodeInput>>>().unwrap_or_default()
}

fn node(
    indexed: &IndexedProblem<'_>,
    crew: &Crew,
    (name, zone): (String, Option<NodeIx>),
) -> Option<NodeInput> {
    let asked = |key: Key| first_of(indexed, crew, key);
    let pattern = indexed.nodes.iter().next();
    let of_pattern = |part: fn(&NodeInput) -> &String| pattern.map(|node| part(node.input));
    let word = |key: Key, usual: fn(&NodeInput) -> &String| {
        asked(key).or_else(|| of_pattern(usual)).cloned().unwrap_or_default()
    };
    let [cpu_milli, memory, disk] = amounts(indexed, crew)?;
    let devices = all_devices(indexed, crew)?;
    let sizes = devices.iter().flat_map(|it| vec![(it.model, size(indexed, it)); it.count]);
    let gpus = sizes.enumerate().map(|(i, (model, memory))| GpuInput {
        id: format!("new-gpu-{i}"),
        model: model.unwrap_or_default().to_owned(),
        memory,
    });
    Some(NodeInput {
        name: name.parse().ok()?,
        tags: tags(indexed, crew).into_iter().cloned().collect(),
        zone: zone_name(indexed, crew, zone).cloned(),
        os: word(Key::Os, |node| &node.os),
        arch: word(Key::Arch, |node| &node.arch),
        runtimes: match pattern {
            Some(node) if asked(Key::Runtime).is_none() => node.input.runtimes.clone(),
            _ => all_of(indexed, crew, Key::Runtime).cloned().collect(),
        },
        cpu_milli,
        memory,
        disk,
        gpus: gpus.collect(),
        state: NodeState::Ready,
        reserved_ports: Vec::new(),
    })
}

/// What such a node needs of cpu, memory and disk: whole cores, one at least, and some memory, as
/// every machine has.
pub(crate) fn amounts(indexed: &IndexedProblem<'_>, crew: &Crew) -> Option<Amounts> {
    let of = |resource: usize| {
        crew.iter().try_fold(0u64, |sum, &(other, count)| {
            sum.checked_add(indexed.services[other].need[resource].checked_mul(count.into())?)
        })
    };
    let memory = Some(of(1)?).filter(|memory| *memory > 0).unwrap_or(GIB);
    Some([of(0)?.div_ceil(CORE).max(1).checked_mul(CORE)?, memory, of(2)?])
}

/// The zone that the services ask for, else that of the node.
pub(crate) fn zone_name<'a>(
    indexed: &IndexedProblem<'a>,
    crew: &Crew,
    zone: Option<NodeIx>,
) -> Option<&'a String> {
    let of_node = || zone.and_then(|node| indexed.nodes[node].input.zone.as_ref());
    first_of(indexed, crew, Key::Zone).or_else(of_node)
}

/// How many instances one node may have, however large it is.
pub(crate) fn most_on_one(indexed: &IndexedProblem<'_>, service: ServiceIx) -> u32 {
    let input = indexed.services[service].input;
    let port = if input.host_ports.is_empty() { u32::MAX } else { 1 };
    per_node(input).unwrap_or(u32::MAX).min(port)
}
