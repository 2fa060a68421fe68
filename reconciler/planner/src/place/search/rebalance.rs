//! A few moves towards balance, beyond those that are needed anyway.
//!
//! Knows what each move gains. Refuses to move what has data, and more than was asked for.
//!
//! A plan never moves for the score by itself; `devnet rebalance` asks for so many moves. Each time
//! the shift that lowers the score most is made, and under `pack` a whole node is emptied.

use devnet_schema::name::{NodeName, ServiceName};

use crate::place::{
    effort::spent::Spent,
    ix::NodeIx,
    model::{index::IndexedProblem, partial::PartialPlacement},
    problem::Objective,
};

use super::{
    score::least_score,
    shift::{self, Hop},
    solved::Solved,
};

/// A gain below this, in millionths of score, is not worth the restart of an instance.
const WORTH: u64 = 100;

/// Nodes that are tried to be emptied, at most.
const TRIES: usize = 64;

/// What was done towards balance.
pub(crate) struct Evened {
    /// Whether the moves that were needed anyway are proven to be the cheapest.
    pub moves_proven: bool,
    /// In the order in which they were made.
    pub shifts: Vec<Shift>,
}

/// A shift that was made, with the score before and after it.
pub(crate) struct Shift {
    /// An instance of this service.
    pub service: ServiceName,
    pub from: NodeName,
    pub to: NodeName,
    pub before: u64,
    pub after: u64,
    /// By how much the soft costs fall.
    pub from_prefer: i64,
}

impl Shift {
    fn of(indexed: &IndexedProblem<'_>, hop: Hop, before: u64, after: u64) -> Self {
        let service = &indexed.services[hop.service];
        let soft_cost = |node: NodeIx| {
            service.candidate(node).map_or(0, |candidate| candidate.soft_cost) as i64
        };
        Self {
            service: service.input.name.declared().clone(),
            from: indexed.nodes[hop.from].input.name.clone(),
            to: indexed.nodes[hop.to].input.name.clone(),
            before,
            after,
            from_prefer: soft_cost(hop.from) - soft_cost(hop.to),
        }
    }
}

/// Moves at most so many instances that could stay, each time the one that lowers the score most.
pub(crate) fn even_out(solved: &mut Solved<'_>, most: u32, spent: &mut Spent<'_>) -> Evened {
    let moves_proven = solved.partial.moves().1 == solved.migration_bound;
    let shifts = shifts(&mut solved.partial, most, spent);
    if most > 0 {
        // However many moves: what was known holds for as few as are needed.
        solved.score_bound = least_score(&solved.partial, spent);
    }
    Evened { moves_proven, shifts }
}

fn shifts(partial: &mut PartialPlacement<'_>, most: u32, spent: &mut Spent<'_>) -> Vec<Shift> {
    let indexed = partial.indexed;
    let mut shifts = Vec::new();
    while shifts.len() < most as usize && spent.go_on(partial.placed()) {
        let before = partial.score();
        let hop = shift::best_hop(partial).filter(|hop| hop.gain >= WORTH);
        if let Some(hop) = hop.filter(|hop| shift::shift(partial, hop.service, hop.from, hop.to)) {
            shifts.push(Shift::of(indexed, hop, before, partial.score()));
            continue;
        }
        let Some((emptied, hops)) = empty_one(partial, most as usize - shifts.len()) else { break };
        *partial = emptied;
        // None of them gains without the others: each has its share.
        let (gain, all) = (before.saturating_sub(partial.score()), hops.len() as u64);
        let score =
            |made: u64| before - (u128::from(gain) * u128::from(made) / u128::from(all)) as u64;
        let shares = hops.into_iter().zip(0..);
        shifts.extend(shares.map(|(hop, at)| Shift::of(indexed, hop, score(at), score(at + 1))));
    }
    shifts
}

/// Where few nodes are to be in use: the one with the fewest instances, of those that so many moves
/// can empty into others that are in use, emptied. At most [`TRIES`] are tried.
fn empty_one<'f>(
    partial: &PartialPlacement<'f>,
    most: usize,
) -> Option<(PartialPlacement<'f>, Vec<shift::Hop>)> {
    if partial.indexed.problem.objective != Objective::Pack {
        return None;
    }
    let held = |node: NodeIx| {
        partial.on_node[node]
            .iter()
            .all(|(&service, &count)| partial.staying(service, node) == count)
    };
    let count =
        |node: NodeIx| partial.on_node[node].values().map(|&count| count as usize).sum::<usize>();
    let nodes = partial.on_node.positions().map(|node| (count(node), node));
    let mut nodes: Vec<(usize, NodeIx)> =
        nodes.filter(|&(count, node)| (1..=most).contains(&count) && held(node)).collect();
    nodes.sort_unstable();
    let emptied = |&(_, node): &(usize, NodeIx)| emptied(partial, node);
    let enough = |(after, _): &(PartialPlacement<'_>, _)| after.score() + WORTH <= partial.score();
    nodes.iter().take(TRIES).filter_map(emptied).find(enough)
}

/// All of a node moved to others that are in use, where that can be.
fn emptied<'f>(
    partial: &PartialPlacement<'f>,
    node: NodeIx,
) -> Option<(PartialPlacement<'f>, Vec<shift::Hop>)> {
    let (mut trial, mut hops) = (partial.clone(), Vec::new());
    while let Some((service, to)) = trial.on_node[node].keys().find_map(|&service| {
        let candidates = trial.indexed.services[service].candidates.iter();
        // What left a node does not come back.
        let open = candidates
            .filter(|it| it.node != node && partial.count(service, it.node) >= it.current);
        let open = open.filter(|it| !trial.on_node[it.node].is_empty());
        let mut open: Vec<(u64, NodeIx)> =
            open.map(|it| (trial.growth(service, it.node), it.node)).collect();
        open.sort_unstable();
        let fits = |to: NodeIx| {
            !trial.disturbs(service, to) && shift::shift(&mut trial.clone(), service, node, to)
        };
        open.into_iter().map(|(_, to)| to).find(|&to| fits(to)).map(|to| (service, to))
    }) {
        let before = trial.score();
        shift::shift(&mut trial, service, node, to);
        let gain = before.saturating_sub(trial.score());
        hops.push(shift::Hop { service, from: node, to, gain });
    }
    trial.on_node[node].is_empty().then_some((trial, hops))
}
