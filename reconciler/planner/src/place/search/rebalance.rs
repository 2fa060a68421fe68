//! A few moves towards balance, beyond those that are needed anyway.
//!
//! Knows what each move gains. Refuses to move what has data, and more than was asked for.

use std::collections::BTreeSet;

use devnet_schema::{
    name::{InstanceId, NodeName},
    placement as document,
};

use super::{
    local, retention,
    strategy::{self, Solved},
};
use crate::place::{
    effort::{
        interrupt::{Pace, Watch},
        spent::Spent,
    },
    model::{index::IndexedProblem, partial::PartialPlacement},
    outcome::{self, Outcome, Reason},
    problem::{Objective, PlacementProblem, PlacementStatus},
};

/// A gain below this, in millionths of score, is not worth the restart of an instance.
const WORTH: u64 = 100;

/// Nodes that are tried to be emptied, at most.
const TRIES: usize = 64;

/// One move towards balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gain {
    /// Who moves.
    pub instance: InstanceId,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// The score before this move, in millionths.
    pub before: u64,
    /// The score after it; lower is better.
    pub after: u64,
    /// The part of the gain that comes from `prefer` lines, in millionths; negative where the
    /// move meets fewer.
    pub from_prefer: i64,
}

impl Gain {
    /// The same as the document that other programs read.
    pub fn document(&self) -> document::Gain {
        let Self { instance, from, to, before, after, from_prefer } = self;
        document::Gain {
            instance: instance.clone(),
            from: from.clone(),
            to: to.clone(),
            gain: before.saturating_sub(*after) as f64 / 1e6,
            from_prefer: *from_prefer as f64 / 1e6,
            before: *before as f64 / 1e6,
            after: *after as f64 / 1e6,
        }
    }

    fn reason(&self) -> Reason {
        let Self { from, before, after, .. } = self;
        let [before, after] = [before, after].map(|score| *score as f64 / 1e6);
        let because = format!("it lowers the score from {before:.4} to {after:.4}");
        Reason::Moves { from: from.clone(), because }
    }
}

/// A few moves towards balance.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebalanced {
    /// The moves beyond those that are needed anyway, in the order in which they were chosen.
    pub gains: Vec<Gain>,
    /// What results: the best placement with the needed moves and these.
    pub outcome: Outcome,
}

/// Moves at most so many instances that could stay, each time the one that lowers the score most.
/// What has data stays.
pub fn rebalance(problem: &PlacementProblem, most: u32) -> Rebalanced {
    rebalance_paced(problem, most, &mut |_| Pace::Free)
}

/// The same, watched as [`crate::place::place_paced`] is. Stopped too early, it finds fewer moves.
pub fn rebalance_paced(problem: &PlacementProblem, most: u32, watch: Watch<'_>) -> Rebalanced {
    let mut spent = Spent::new(watch);
    retention::solved(problem, &mut spent, |indexed, solved, spent| {
        evened(indexed, solved, most, spent)
    })
}

fn evened(
    indexed: &IndexedProblem<'_>,
    mut solved: Solved<'_>,
    most: u32,
    spent: &mut Spent<'_>,
) -> Rebalanced {
    let needed = solved.partial.moves().1;
    let shifts = even_out(&mut solved.partial, most, spent);
    if most > 0 {
        // However many moves: what was known holds for as few as are needed.
        solved.score_bound = strategy::least_score(&solved.partial, spent);
    }
    let mut outcome = crate::place::outcome(indexed, &solved, spent);
    outcome.moves_proven = needed == solved.migration_bound;
    // Moves that were asked for are no worse than none: what could be better is the score alone.
    let proven = outcome.levels.iter().all(|level| level.proven)
        && outcome.moves_proven
        && outcome.cost == outcome.bound;
    if proven && outcome.status == PlacementStatus::Feasible {
        outcome.status = PlacementStatus::Optimal;
    }
    let gains = gains(indexed, &shifts, &outcome);
    for gain in &gains {
        if let Some(place) = outcome.assignments.get_mut(&gain.instance) {
            place.reason = gain.reason();
        }
    }
    let outcome = retention::told(&solved.partial, outcome);
    Rebalanced { gains, outcome }
}

/// A shift that was made, with the score before and after it.
struct Shift {
    hop: local::Hop,
    before: u64,
    after: u64,
}

fn even_out(partial: &mut PartialPlacement<'_>, most: u32, spent: &mut Spent<'_>) -> Vec<Shift> {
    let mut shifts = Vec::new();
    while shifts.len() < most as usize && spent.go_on(partial) {
        let before = partial.score();
        let hop = local::best_hop(partial).filter(|hop| hop.gain >= WORTH);
        if let Some(hop) = hop.filter(|hop| local::shift(partial, hop.s, hop.from, hop.to)) {
            shifts.push(Shift { hop, before, after: partial.score() });
            continue;
        }
        let Some((emptied, hops)) = empty_one(partial, most as usize - shifts.len()) else { break };
        *partial = emptied;
        // None of them gains without the others: each has its share.
        let (gain, all) = (before.saturating_sub(partial.score()), hops.len() as u64);
        let score =
            |made: u64| before - (u128::from(gain) * u128::from(made) / u128::from(all)) as u64;
        let shares = hops.into_iter().zip(0..);
        shifts.extend(shares.map(|(hop, at)| Shift {
            hop,
            before: score(at),
            after: score(at + 1),
        }));
    }
    shifts
}

/// Where few nodes are to be in use: the one with the fewest instances, of those that so many moves
/// can empty into others that are in use, emptied. At most [`TRIES`] are tried.
fn empty_one<'f>(
    partial: &PartialPlacement<'f>,
    most: usize,
) -> Option<(PartialPlacement<'f>, Vec<local::Hop>)> {
    if partial.indexed.problem.objective != Objective::Pack {
        return None;
    }
    let held =
        |n: usize| partial.on_node[n].iter().all(|(&s, &count)| partial.staying(s, n) == count);
    let count = |n: usize| partial.on_node[n].values().map(|&count| count as usize).sum::<usize>();
    let nodes = (0..partial.on_node.len()).map(|n| (count(n), n));
    let mut nodes: Vec<(usize, usize)> =
        nodes.filter(|&(count, n)| (1..=most).contains(&count) && held(n)).collect();
    nodes.sort_unstable();
    let emptied = |&(_, n): &(usize, usize)| emptied(partial, n);
    let enough = |(after, _): &(PartialPlacement<'_>, _)| after.score() + WORTH <= partial.score();
    nodes.iter().take(TRIES).filter_map(emptied).find(enough)
}

/// All of a node moved to others that are in use, where that can be.
fn emptied<'f>(
    partial: &PartialPlacement<'f>,
    n: usize,
) -> Option<(PartialPlacement<'f>, Vec<local::Hop>)> {
    let (mut trial, mut hops) = (partial.clone(), Vec::new());
    while let Some((s, to)) = trial.on_node[n].keys().find_map(|&s| {
        let candidates = trial.indexed.services[s].candidates.iter();
        // What left a node does not come back.
        let open = candidates.filter(|it| it.node != n && partial.count(s, it.node) >= it.current);
        let open = open.filter(|it| !trial.on_node[it.node].is_empty());
        let mut open: Vec<(u64, usize)> =
            open.map(|it| (trial.growth(s, it.node), it.node)).collect();
        open.sort_unstable();
        let fits = |to: usize| !trial.disturbs(s, to) && local::shift(&mut trial.clone(), s, n, to);
        open.into_iter().map(|(_, to)| to).find(|&to| fits(to)).map(|to| (s, to))
    }) {
        let before = trial.score();
        local::shift(&mut trial, s, n, to);
        let gain = before.saturating_sub(trial.score());
        hops.push(local::Hop { s, from: n, to, gain });
    }
    trial.on_node[n].is_empty().then_some((trial, hops))
}

/// The instance that each shift moves: one that leaves the node, for the shift's own target if
/// there is such a one.
fn gains(indexed: &IndexedProblem<'_>, shifts: &[Shift], outcome: &Outcome) -> Vec<Gain> {
    let mut taken: BTreeSet<InstanceId> = BTreeSet::new();
    let mut gains = Vec::new();
    for Shift { hop, before, after } in shifts {
        let input = indexed.services[hop.s].input;
        let [from, to] = [hop.from, hop.to].map(|n| &indexed.nodes[n].input.name);
        let here = input.current.range(..input.replicas).filter(|(_, it)| it.node == *from);
        let leaving: Vec<(InstanceId, &NodeName)> = here
            .map(|(&index, _)| InstanceId { service: input.name.clone(), index })
            .filter(|instance| !taken.contains(instance))
            .filter_map(|instance| {
                let node = &outcome.assignments.get(&instance)?.node;
                (node != from).then_some((instance, node))
            })
            .collect();
        let own = leaving.iter().position(|(_, node)| *node == to).unwrap_or(0);
        let Some((instance, node)) = leaving.into_iter().nth(own) else {
            continue;
        };
        taken.insert(instance.clone());
        let (from, to) = (from.clone(), node.clone());
        let soft_cost = |n: usize| {
            indexed.services[hop.s].candidate(n).map_or(0, |candidate| candidate.soft_cost)
        };
        let from_prefer = soft_cost(hop.from) as i64 - soft_cost(hop.to) as i64;
        gains.push(Gain { instance, from, to, before: *before, after: *after, from_prefer });
    }
    gains
}
