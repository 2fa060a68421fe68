//! Nodes where those in the way could go.
//!
//! Knows a crowded node and its surroundings. Refuses to know changes of lines.
//!
//! A larger problem is tried in parts, and a part needs nodes with room. Data that would have to
//! move is a change of its own.

use super::{change::Change, remedy::CandidateRemedy};
use crate::place::{model::partial::PartialPlacement, problem::NodeState};

/// Nodes tried for the same changes.
pub const NODES: usize = 3;

/// Nodes that those in the way could go to.
const DESTINATIONS: usize = 4;

/// Instances with data on a node that would make room if they moved, and where they could go.
pub fn locked_here(partial: &PartialPlacement<'_>, s: usize, n: usize) -> Vec<CandidateRemedy> {
    let indexed = partial.indexed;
    let node = &indexed.nodes[n].input;
    let enough = |t: usize| {
        let (theirs, mine) = (indexed.services[t].need, indexed.services[s].need);
        let used = partial.used[n];
        (0..3).all(|r| used[r].saturating_sub(theirs[r]) + mine[r] <= indexed.nodes[n].capacity[r])
    };
    let whole = indexed.pairs() <= indexed.problem.limits.whole_pairs;
    let locked = partial.on_node[n].keys().copied().filter(|&t| {
        !indexed.services[t].input.movable
            && indexed.services[t].locked_at(n) > 0
            && (whole || enough(t))
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
            let open = candidates.filter(|&to| to != n && partial.fits(service, to));
            let mut open: Vec<(u64, usize)> =
                open.map(|to| (partial.growth(service, to), to)).collect();
            open.sort_unstable();
            let nodes = [n].into_iter().chain(open.into_iter().map(|(_, to)| to).take(NODES));
            let changes = vec![Change::LetMove { service, index }];
            CandidateRemedy {
                changes,
                nodes: nodes.collect(),
                crowded: None,
                aim: partial.missing(s),
            }
        })
        .collect()
}

/// A node with some that what is in the way there could go to: where it would fit as it is, and
/// the roomiest, all together no larger than what is solved whole.
pub fn with_destinations(partial: &PartialPlacement<'_>, n: usize) -> Vec<usize> {
    let indexed = partial.indexed;
    let mut nodes = vec![n];
    let leaving = partial.on_node[n].keys().copied().filter(|&t| partial.may_leave(t, n));
    for t in leaving {
        let open = indexed.services[t].candidates.iter().map(|candidate| candidate.node);
        let open = open.filter(|to| !nodes.contains(to) && partial.fits(t, *to));
        nodes.extend(open.min_by_key(|&to| (partial.growth(t, to), to)));
        if nodes.len() > DESTINATIONS / 2 {
            break;
        }
    }
    let devices = !indexed.nodes[n].memories.is_empty();
    let room = |to: usize| {
        let free = |r: usize| indexed.nodes[to].capacity[r].saturating_sub(partial.used[to][r]);
        let part = |r: usize| free(r).saturating_mul(1000) / indexed.nodes[to].capacity[r].max(1);
        let same = devices == indexed.nodes[to].memories.is_empty();
        std::cmp::Reverse((!same, part(0).min(part(1)), std::cmp::Reverse(to)))
    };
    let ready = |to: &usize| indexed.nodes[*to].input.state == NodeState::Ready;
    let mut others: Vec<usize> = (0..indexed.nodes.len()).filter(ready).collect();
    others.sort_by_cached_key(|&to| room(to));
    others.retain(|to| !nodes.contains(to));
    nodes.extend(others.into_iter().take(DESTINATIONS + 1 - nodes.len()));
    let pairs = |nodes: &[usize]| {
        let here: usize = nodes.iter().map(|&n| partial.on_node[n].len()).sum();
        (here + 1) * nodes.len()
    };
    while nodes.len() > 2 && pairs(&nodes) > indexed.problem.limits.whole_pairs {
        nodes.pop();
    }
    nodes
}
