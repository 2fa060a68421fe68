//! Placement: where every instance goes, how good that is, and why what does not fit does not.
//!
//! Knows the whole way from a problem to its outcome, on this page. Refuses to know time: all
//! limits count work, so that the same problem has the same answer on every machine.
//!
//! The objective is lexicographic and never one weighted sum: place the most instances of the
//! highest priority, then of the next, …; then move as little as possible; then the best score.

mod effort;
mod explain;
mod model;
mod outcome;
mod problem;
mod program;
mod repair;
mod search;
mod verify;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use devnet_schema::name::{InstanceId, ServiceName};

pub use effort::interrupt::{Pace, Progress, Watch};
pub use explain::verdict::{Explanation, Hold, Verdict, explain};
pub use outcome::*;
pub use problem::*;
pub use search::rebalance::{Gain, Rebalanced, rebalance, rebalance_paced};
pub use verify::{Breach, verify};

use effort::spent::Spent;
use explain::{reason, violation};
use model::{
    index::{self, IndexedProblem},
    indices,
    partial::PartialPlacement,
};
use program::relaxation;
use repair::{budget, subproblem, suggest};
use search::{
    construct, retention,
    strategy::{self, Solved},
};

/// PlacedByNode every instance, or as many as possible, and says what is known about better
/// answers.
///
/// Pure: the order of nodes and services has no effect, and the same problem always has the same
/// outcome. An unchanged problem keeps an unchanged placement.
pub fn place(problem: &PlacementProblem) -> Outcome {
    place_paced(problem, &mut |_| Pace::Free)
}

/// The same, watched: told the best placement so far again and again, `watch` says whether to go
/// on. Stopped at any moment, the outcome is the best placement found, with the bounds known.
pub fn place_paced(problem: &PlacementProblem, watch: Watch<'_>) -> Outcome {
    rebalance_paced(problem, 0, watch).outcome
}

/// The indexed problem, with locks only on instances that can really stay.
fn settled(problem: &PlacementProblem) -> IndexedProblem<'_> {
    let mut indexed = IndexedProblem::new(problem);
    construct::settle_locks(&mut indexed);
    loop {
        let broken = construct::broken_lock(&indexed);
        match broken {
            Some(service) => indexed.services[service].unlock(),
            None => return indexed,
        }
    }
}

/// The outcome, with every node's reasons and the remedies where something did not fit.
fn outcome(indexed: &IndexedProblem<'_>, solved: &Solved<'_>, spent: &mut Spent<'_>) -> Outcome {
    let mut outcome = placed_outcome(indexed, solved, spent);
    if outcome.status == PlacementStatus::Infeasible {
        outcome.unplaced = unplaceable(indexed, &solved.partial, &outcome, spent);
        outcome.cut_short = spent.cut_short;
    }
    outcome
}

/// The outcome without what did not fit.
fn placed_outcome(
    indexed: &IndexedProblem<'_>,
    solved: &Solved<'_>,
    spent: &mut Spent<'_>,
) -> Outcome {
    let partial = &solved.partial;
    let levels = levels(partial, &solved.bounds, spent);
    let (moves, move_cost) = partial.moves();
    let cost = partial.score();
    let none = retention::no_moves(indexed);
    let proven = levels.iter().all(|level| level.proven)
        && move_cost == solved.migration_bound
        && cost == solved.score_bound;
    let status = match (partial.missing_none(), proven) {
        (false, _) => PlacementStatus::Infeasible,
        (true, true) => PlacementStatus::Optimal,
        (true, false) => PlacementStatus::Feasible,
    };
    let mut assignments = indices::assign(partial);
    let displaced = reason::tell(partial, &mut assignments);
    let held = held(indexed, &assignments);
    Outcome {
        assignments,
        displaced,
        held,
        levels,
        moves: moves.saturating_sub(none.0),
        moves_bound: indexed.forced().0.saturating_sub(none.0),
        restarts: partial.restarts(),
        move_cost: move_cost.saturating_sub(none.1),
        move_cost_bound: solved.migration_bound.saturating_sub(none.1),
        moves_proven: move_cost == solved.migration_bound,
        objective: indexed.problem.objective,
        cost,
        bound: solved.score_bound,
        status,
        overfull: violation::overfull(partial),
        unplaced: Vec::new(),
        solver: spent.solver(),
        ilps: spent.ilps,
        cut_short: spent.cut_short,
    }
}

/// What is where only its data holds it, and what is against that.
fn held(
    indexed: &IndexedProblem<'_>,
    placed: &Assignments,
) -> BTreeMap<InstanceId, Vec<Violation>> {
    let mut held = BTreeMap::new();
    for service in &indexed.services {
        for candidate in service.candidates.iter().filter(|candidate| candidate.against) {
            let node = &indexed.nodes[candidate.node];
            let against = violation::refusals_of(service.input, node, candidate.current);
            let current = service.input.current.range(..service.input.replicas);
            let here = current.filter(|(_, it)| it.held && it.node == node.input.name);
            let ids =
                here.map(|(&index, _)| InstanceId { service: service.input.name.clone(), index });
            let stays =
                |id: &InstanceId| placed.get(id).is_some_and(|place| place.node == node.input.name);
            held.extend(ids.filter(stays).map(|id| (id, against.clone())));
        }
    }
    held
}

fn levels(
    partial: &PartialPlacement<'_>,
    bounds: &[u32],
    spent: &mut Spent<'_>,
) -> Vec<PriorityLevel> {
    let (wanted, placed) = (partial.indexed.wanted(), partial.placed());
    let counts = wanted.into_iter().zip(placed).zip(bounds);
    let levels = partial.indexed.levels.iter().zip(counts).filter(|(level, _)| !level.kept);
    let told = levels.map(|(level, ((wanted, placed), &bound))| PriorityLevel {
        priority: level.priority.0,
        wanted,
        placed,
        bound,
        proven: placed == bound,
        ..PriorityLevel::default()
    });
    let mut levels: Vec<PriorityLevel> = told.collect();
    assume(partial.indexed, &mut levels, spent);
    levels
}

/// Says of the bounds that rest on it that data stays where it is, or what is kept as it is: more
/// could be placed if someone moved it. What does not fit either way is kept out all the same: a
/// small problem is solved without the locks to know, in a larger one that is seen of what no node
/// could hold.
fn assume(indexed: &IndexedProblem<'_>, levels: &mut [PriorityLevel], spent: &mut Spent<'_>) {
    let short = levels.iter().any(|level| level.bound < level.wanted);
    let is_retained = retention::retained_services(indexed).next().is_some();
    let what = match (indexed.holds_data(), is_retained) {
        (false, false) => return,
        (true, false) => "data stays where it is",
        (false, true) => "what runs as it is keeps what it has",
        (true, true) => "data stays where it is, and what runs as it is keeps what it has",
    };
    if !short {
        return;
    }
    let mut open = indexed.problem.clone();
    retention::released(&mut open, |_| true);
    let mut free = IndexedProblem::new(&open);
    free.services.iter_mut().for_each(index::Service::unlock);
    let most = match free.pairs() <= budget::SMALL {
        true => spent.aside(|spent| strategy::solve(&free, None, spent).bounds),
        false => relaxation::alone(&free),
    };
    for (level, most) in levels.iter_mut().zip(most) {
        if level.bound < level.wanted.min(most) {
            level.assumes = Some(what.to_owned());
        }
    }
}

/// Every placed instance.
type Assignments = BTreeMap<InstanceId, Assignment>;

/// What did not fit, with every node's reasons and the remedies.
fn unplaceable(
    indexed: &IndexedProblem<'_>,
    partial: &PartialPlacement<'_>,
    outcome: &Outcome,
    spent: &mut Spent<'_>,
) -> Vec<Unplaceable> {
    let places = subproblem::PlacedByNode::of(outcome);
    let short = |s: &usize| partial.missing(*s) > 0 && !indexed.services[*s].is_retained();
    let mut list: Vec<usize> = (0..indexed.services.len()).filter(short).collect();
    list.sort_by_key(|&s| (indexed.services[s].level, s));
    let mut budget = budget::Budget::of(indexed, list.len());
    list.into_iter()
        .map(|s| {
            let input = indexed.services[s].input;
            let nodes = indexed.nodes.iter().enumerate().map(|(n, node)| NodeViolations {
                node: node.input.name.clone(),
                violations: violation::violations(&retention::without_one(partial, s, n), s, n),
            });
            let nodes: Vec<NodeViolations> = nodes.collect();
            let partial = &*retention::without_own(partial, s);
            let case = suggest::Case { indexed, partial, outcome, places: &places, s };
            let suggestions = case.remedies(&nodes, (&mut budget, spent));
            Unplaceable {
                service: input.name.clone(),
                at: input.at.clone(),
                unplaced: partial.missing(s),
                nodes,
                suggestions,
            }
        })
        .collect()
}

/// What can be placed, and how many instances of each service cannot; what [`suggest`] tries its
/// changes of a small problem with.
fn tried(
    problem: &PlacementProblem,
    spent: &mut Spent<'_>,
) -> (Assignments, BTreeMap<ServiceName, u32>) {
    let indexed = settled(problem);
    of_board(&strategy::placed(&indexed, spent))
}

/// What the plan of a problem places, and how many instances of each service it does not: with the
/// limits of the problem, as [`place`] does, and in the names of [`standing`].
fn planned(
    problem: &PlacementProblem,
    spent: &mut Spent<'_>,
) -> (Assignments, BTreeMap<ServiceName, u32>) {
    retention::solved(problem, spent, |_, solved, _| of_board(&solved.partial))
}

fn of_board(partial: &PartialPlacement<'_>) -> (Assignments, BTreeMap<ServiceName, u32>) {
    let missing = |(s, service): (usize, &index::Service<'_>)| {
        (service.input.name.clone(), partial.missing(s))
    };
    let missing = partial.indexed.services.iter().enumerate().map(missing).collect();
    (indices::assign(partial), missing)
}
