//! Nodes where those in the way could go.
//!
//! Knows a crowded node and its surroundings. Refuses to know changes of lines.
//!
//! A larger problem is tried in parts, and a part needs nodes with room. Data that would have to
//! move is a change of its own.

use super::{change::Change, remedy::CandidateRemedy};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::partial::PartialPlacement,
    problem::NodeState,
};

/// Nodes tried for the same changes.
pub(crate) const NODES: usize = 3;

/// Nodes that those in the way could go to.
const DESTINATIONS: usize = 4;

/// Instances with data on a node that would make room if they moved, and where they could go.
pub(crate) fn locked_here(
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
    node_ix: NodeIx,
) -> Vec<CandidateRemedy> {
    let indexed = partial.indexed;
    let node = &indexed.nodes[node_ix].input;
    let enough = |other: ServiceIx| {
        let (theirs, mine) = (indexed.services[other].need, indexed.services[service_ix].need);
        let used = partial.used[node_ix];
        (0..3).all(|resource| {
            used[resource].saturating_sub(theirs[resource]) + mine[resource]
                <= indexed.nodes[node_ix].capacity[resource]
        })
    };
    let whole = indexed.pairs() <= indexed.problem.limits.whole_pairs;
    let locked = partial.on_node[node_ix].keys().copied().filter(|&other| {
        !indexed.services[other].input.movable
            && indexed.services[other].locked_at(node_ix) > 0
            && (whole || enough(other))
    });
    locked
        .flat_map(|service| {
            let current = indexed.services[service].input.current.iter();
            let here = current.filter(|(_, current)| current.node == node.name);
            here.map(move |(&index, _)| (service, index))
        })
        .map(|(service, index)| {
            let candidates =
                indexed.services[service].candidates.iter().map(|candidate| candidate.node);
            let open = candidates.filter(|&to| to != node_ix && partial.fits(service, to));
            let mut open: Vec<(u64, NodeIx)> =
                open.map(|to| (partial.growth(service, to), to)).collect();
            open.sort_unstable();
            let nodes = [node_ix].into_iter().chain(open.into_iter().map(|(_, to)| to).take(NODES));
            let changes = vec![Change::LetMove { service, index }];
            CandidateRemedy {
                changes,
                nodes: nodes.collect(),
                crowded: None,
                aim: partial.missing(service_ix),
            }
        })
        .collect()
}

/// A node with some that what is in the way there could go to: where it would fit as it is, and
/// the roomiest, all together no larger than what is solved whole.
pub(crate) fn with_destinations(partial: &PartialPlacement<'_>, node: NodeIx) -> Vec<NodeIx> {
    let indexed = partial.indexed;
    let mut nodes = vec![node];
    let leaving =
        partial.on_node[node].keys().copied().filter(|&other| partial.may_leave(other, node));
    for other in leaving {
        let open = indexed.services[other].candidates.iter().map(|candidate| candidate.node);
        let open = open.filter(|to| !nodes.contains(to) && partial.fits(other, *to));
        nodes.extend(open.min_by_key(|&to| (partial.growth(other, to), to)));
        if nodes.len() > DESTINATIONS / 2 {
            break;
        }
    }
    let devices = !indexed.nodes[node].memories.is_empty();
    let room = |to: NodeIx| {
        let free = |resource: usize| {
            indexed.nodes[to].capacity[resource].saturating_sub(partial.used[to][resource])
        };
        let part = |resource: usize| {
            free(resource).saturating_mul(1000) / indexed.nodes[to].capacity[resource].max(1)
        };
        let same = devices == indexed.nodes[to].memories.is_empty();
        std::cmp::Reverse((!same, part(0).min(part(1)), std::cmp::Reverse(to)))
    };
    let ready = |to: &NodeIx| indexed.nodes[*to].input.state == NodeState::Ready;
    let mut others: Vec<NodeIx> = indexed.nodes.positions().filter(ready).collect();
    others.sort_by_cached_key(|&to| room(to));
    others.retain(|to| !nodes.contains(to));
    nodes.extend(others.into_iter().take(DESTINATIONS + 1 - nodes.len()));
    let pairs = |nodes: &[NodeIx]| {
        let here: usize = nodes.iter().map(|&node| partial.on_node[node].len()).sum();
        (here + 1) * nodes.len()
    };
    while nodes.len() > 2 && pairs(&nodes) > indexed.problem.limits.whole_pairs {
        nodes.pop();
    }
    nodes
}
