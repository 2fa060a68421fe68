//! What has not happened yet: another fleet, the loss of a node, a few moves towards balance.
//!
//! Knows how to change a problem and what to look at in the answer. Refuses to change what runs:
//! every answer is about a copy.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::name::{InstanceId, NodeName, ServiceName};

use super::{
    board::Board,
    outcome,
    pace::{Pace, Progress},
    pipeline, place,
    problem::{Current, NodeInput, NodeState, Outcome, PlacementProblem},
    search, settled,
    work::Work,
};

/// Something that could be done to a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A node gives up what can move.
    Drain(NodeName),
    /// A node is not there.
    Without(NodeName),
    /// One more node.
    With(NodeInput),
    /// A service has so many instances.
    Scale(ServiceName, u32),
}

/// A change names something that is not there, or that is there already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhatIfError {
    /// No such node.
    #[error("there is no node {0}: `devnet get nodes` lists them")]
    NoNode(NodeName),
    /// No such service.
    #[error("there is no service {0}: `devnet get services` lists them")]
    NoService(ServiceName),
    /// A new node has the name of one that is there.
    #[error("there is a node {0} already: give the new one another name")]
    Taken(NodeName),
}

/// The problem after some changes; [`place`] tells what would follow.
///
/// # Errors
/// A node or service that is not there, or a new node whose name is taken.
pub fn whatif(
    problem: &PlacementProblem,
    changes: &[Change],
) -> Result<PlacementProblem, WhatIfError> {
    let mut next = problem.clone();
    for change in changes {
        match change {
            Change::Drain(name) => node_of(&mut next, name)?.state = NodeState::Draining,
            Change::Without(name) => {
                node_of(&mut next, name)?;
                next.nodes.retain(|node| node.name != *name);
            }
            Change::With(node) if next.nodes.iter().any(|it| it.name == node.name) => {
                return Err(WhatIfError::Taken(node.name.clone()));
            }
            Change::With(node) => next.nodes.push(node.clone()),
            Change::Scale(name, replicas) => {
                let service = next.services.iter_mut().find(|it| it.name == *name);
                service.ok_or_else(|| WhatIfError::NoService(name.clone()))?.replicas = *replicas;
            }
        }
    }
    Ok(next)
}

fn node_of<'p>(
    problem: &'p mut PlacementProblem,
    name: &NodeName,
) -> Result<&'p mut NodeInput, WhatIfError> {
    let node = problem.nodes.iter_mut().find(|node| node.name == *name);
    node.ok_or_else(|| WhatIfError::NoNode(name.clone()))
}

/// What the loss of one node would mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Which node.
    pub node: NodeName,
    /// Instances that would start on other nodes.
    pub moves: u32,
    /// Instances of each service that would no longer run: those without room elsewhere, and those
    /// whose data is on the node.
    pub stopped: BTreeMap<ServiceName, u32>,
    /// Whether no placement would keep more of them running.
    pub proven: bool,
}

/// For each node what its loss would mean, from the placement of the problem as it is.
pub fn survive(problem: &PlacementProblem) -> Vec<Loss> {
    let mut calm = problem.clone();
    calm.limits.suggestions = 0;
    let now = place(&calm);
    let runs = running(&calm, &now);
    let names: BTreeSet<&NodeName> = problem.nodes.iter().map(|node| &node.name).collect();
    names.into_iter().map(|name| loss(&runs, &now, name)).collect()
}

fn loss(runs: &PlacementProblem, now: &Outcome, name: &NodeName) -> Loss {
    let mut lost = runs.clone();
    let nodes = lost.nodes.iter_mut().filter(|node| node.name == *name);
    nodes.for_each(|node| node.state = NodeState::Lost);
    let after = place(&lost);
    let mut stopped: BTreeMap<ServiceName, u32> = BTreeMap::new();
    for id in now.assignments.keys() {
        if after.assignments.get(id).is_none_or(|place| place.node == *name) {
            *stopped.entry(id.service.clone()).or_insert(0) += 1;
        }
    }
    Loss {
        node: name.clone(),
        moves: after.moves,
        stopped,
        proven: after.levels.iter().all(|level| level.proven),
    }
}

/// The same problem with an outcome running.
fn running(problem: &PlacementProblem, outcome: &Outcome) -> PlacementProblem {
    let mut next = problem.clone();
    let mut by_service: BTreeMap<&ServiceName, BTreeMap<u32, Current>> = BTreeMap::new();
    for (id, place) in &outcome.assignments {
        let current = Current { node: place.node.clone(), gpus: place.gpus.clone() };
        by_service.entry(&id.service).or_default().insert(id.index, current);
    }
    for service in &mut next.services {
        service.current = by_service.remove(&service.name).unwrap_or_default();
    }
    next
}

/// One move towards balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gain {
    /// Who moves.
    pub instance: InstanceId,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// By how much the score falls, in millionths.
    pub gain: u64,
}

/// A few moves towards balance.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebalanced {
    /// The moves beyond those that are needed anyway, the one with most to gain first.
    pub gains: Vec<Gain>,
    /// What results: the best placement with the needed moves and these.
    pub outcome: Outcome,
}

/// Moves at most so many instances that could stay, each time the one that lowers the score most.
/// What has data stays.
pub fn rebalance(problem: &PlacementProblem, most: u32) -> Rebalanced {
    let field = settled(problem);
    let mut free = |_: &Progress<'_>| Pace::Free;
    let mut work = Work::new(&mut free);
    let mut solved = pipeline::solve(&field, &mut work);
    let mut hops = Vec::new();
    while hops.len() < most as usize {
        let Some(hop) = search::best_hop(&solved.board) else {
            break;
        };
        search::shift(&mut solved.board, hop.s, hop.from, hop.to);
        hops.push(hop);
    }
    solved.cost_bound = pipeline::least_cost(&solved.board, &mut work);
    let before = seats(&solved.board, &hops);
    let outcome = outcome(&field, &solved, &work);
    let name = |n: usize| field.nodes[n].input.name.clone();
    let gains = hops.into_iter().zip(before).map(|(hop, index)| Gain {
        instance: InstanceId { service: field.services[hop.s].input.name.clone(), index },
        from: name(hop.from),
        to: name(hop.to),
        gain: hop.gain,
    });
    let gains = gains.collect();
    Rebalanced { gains, outcome }
}

/// The index of the instance that each hop moves: of those on a node, the highest go first.
fn seats(board: &Board<'_>, hops: &[search::Hop]) -> Vec<u32> {
    let mut gone: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    let seat = |hop: &search::Hop| {
        let input = board.field.services[hop.s].input;
        let node = &board.field.nodes[hop.from].input.name;
        let here = input.current.range(..input.replicas).filter(|(_, it)| it.node == *node);
        let gone = gone.entry((hop.s, hop.from)).or_insert(0);
        *gone += 1;
        let mut indices: Vec<u32> = here.map(|(&index, _)| index).collect();
        indices.reverse();
        indices.get(*gone as usize - 1).copied().unwrap_or(0)
    };
    hops.iter().map(seat).collect()
}
