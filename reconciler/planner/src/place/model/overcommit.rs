//! Nodes that have less for services than what runs there has.
//!
//! Knows how much of such a node is counted for whom. Refuses to know who goes away.
//!
//! A reserve was raised, or a machine has lost some of its memory; stopping services over that
//! would help nobody. Data keeps what it has, and of the others no more is counted than is left, so
//! that all can run on and nothing comes for room that is not there.

use std::{cmp::Reverse, collections::BTreeMap};

use devnet_schema::name::{InstanceId, NodeName};

use super::{
    filter::{Conditions, refused},
    gpu_request,
    node::{Amounts, Node},
};
use crate::place::{
    ix::{NodeIx, PerNode},
    problem::{PlacementProblem, ServiceInput},
};

/// One that is known to run on a node, and what it has of it.
struct Occupant<'a> {
    input: &'a ServiceInput,
    index: u32,
    has: Amounts,
}

/// Gives each of these nodes room for the data that runs there, together, unless a line is against
/// that. Returns what is counted of the others, should they be kept as they are: what they have, as
/// long as there is something left.
pub(crate) fn settle<'a>(
    problem: &PlacementProblem,
    nodes: &mut PerNode<Node<'_>>,
    inputs: &[&'a ServiceInput],
    numbers: &BTreeMap<&NodeName, NodeIx>,
    conditions: &Conditions<'a>,
) -> BTreeMap<InstanceId, Amounts> {
    let mut occupants: BTreeMap<NodeIx, Vec<Occupant<'a>>> = BTreeMap::new();
    for input in inputs.iter().copied() {
        for (&index, current) in input.existing() {
            let node = numbers.get(&current.node).filter(|node_ix| !nodes[**node_ix].unreachable);
            let holding = input.holdings.get(&index).filter(|_| !leaves(problem, input, index));
            if let Some((&node_ix, has)) = node.zip(holding) {
                occupants.entry(node_ix).or_default().push(Occupant {
                    input,
                    index,
                    has: has.amounts(),
                });
            }
        }
    }
    let mut counted = BTreeMap::new();
    for (node_ix, occupants) in occupants {
        widen_devices(&mut nodes[node_ix], &occupants);
        let all = sum(&occupants);
        if (0..3).all(|resource| all[resource] <= nodes[node_ix].capacity[resource]) {
            continue;
        }
        let against = |it: &Occupant<'a>| {
            let lines = conditions.of(it.input);
            let held = it.input.current.get(&it.index).is_some_and(|current| current.held);
            !held && refused(it.input, (node_ix, &nodes[node_ix]), 1, &lines)
        };
        let (data, mut others): (Vec<_>, Vec<_>) =
            occupants.into_iter().partition(|it| !it.input.movable && !against(it));
        // Who may have a place as it is declared is counted before whom can only be kept.
        others.sort_by_cached_key(|it| {
            let kept = against(it) || it.input.has_grown(it.index);
            (kept, Reverse(it.input.priority), it.input.name.clone(), it.index)
        });
        let data = sum(&data);
        let capacity =
            [0, 1, 2].map(|resource| nodes[node_ix].capacity[resource].max(data[resource]));
        (nodes[node_ix].capacity, nodes[node_ix].overfull) = (capacity, true);
        let mut left = [0, 1, 2].map(|resource| capacity[resource] - data[resource]);
        for Occupant { input, index, has } in others {
            let share = [0, 1, 2].map(|resource| has[resource].min(left[resource]));
            left = [0, 1, 2].map(|resource| left[resource] - share[resource]);
            counted.insert(input.instance(index).into_instance(), share);
        }
    }
    counted
}

/// A device has room for the parts of it that those have who run there: a driver may report a
/// little less of it than the one before.
fn widen_devices(node: &mut Node<'_>, occupants: &[Occupant<'_>]) {
    let uses = || {
        let current = occupants.iter().filter_map(|it| it.input.current.get(&it.index));
        current.flat_map(|current| &current.gpus)
    };
    for at in 0..node.devices.len() {
        let gpu = &node.input.gpus[node.devices[at]];
        let needed = gpu_request::needed(uses().filter(|own| own.id == gpu.id));
        if needed > node.memories[at] {
            (node.memories[at], node.overfull) = (needed, true);
        }
    }
}

fn leaves(problem: &PlacementProblem, input: &ServiceInput, index: u32) -> bool {
    let id = || input.instance(index).into_instance();
    !problem.leaving.is_empty() && problem.leaving.contains(&id())
}

fn sum(occupants: &[Occupant<'_>]) -> Amounts {
    [0, 1, 2]
        .map(|resource| occupants.iter().map(|it| it.has[resource]).fold(0, u64::saturating_add))
}
