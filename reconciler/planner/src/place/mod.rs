//! Placement: where every instance goes, how good that is, and why what does not fit does not.
//!
//! Knows the whole way from a problem to its outcome, on this page. Refuses to know time: all
//! limits count work, so that the same problem has the same answer on every machine.
//!
//! The objective is lexicographic and never one weighted sum: place the most instances of the
//! highest priority, then of the next, …; then move as little as possible; then the best score.

mod again;
mod assign;
mod board;
mod bound;
mod budget;
mod chain;
mod change;
mod columns;
mod confirm;
mod counts;
mod cutout;
mod explain;
mod field;
mod gpu;
mod greedy;
mod neighbourhood;
mod newcomer;
mod outcome;
mod overfull;
mod pace;
mod patterns;
mod phrase;
mod pipeline;
mod points;
mod problem;
mod rack;
mod rebalance;
mod refusal;
mod remedy;
mod room;
mod rows;
mod search;
mod several;
mod shortfall;
mod shrink;
mod solve;
mod standing;
mod suggest;
mod together;
mod verify;
mod why;
mod work;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use devnet_schema::name::{InstanceId, ServiceName};

pub use explain::{Explanation, Hold, Verdict, explain};
pub use outcome::*;
pub use pace::{Pace, Progress, Watch};
pub use problem::*;
pub use rebalance::{Gain, Rebalanced, rebalance, rebalance_paced};
pub use verify::{Breach, verify};

use board::Board;
use field::Field;
use pipeline::Solved;
use work::Work;

/// Places every instance, or as many as possible, and says what is known about better answers.
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

/// The field, with locks only on instances that can really stay.
fn settled(problem: &PlacementProblem) -> Field<'_> {
    let mut field = Field::new(problem);
    greedy::settle_locks(&mut field);
    loop {
        let broken = greedy::broken_lock(&field);
        match broken {
            Some(service) => field.services[service].unlock(),
            None => return field,
        }
    }
}

/// The outcome, with every node's reasons and the ways out where something did not fit.
fn outcome(field: &Field<'_>, solved: &Solved<'_>, work: &mut Work<'_>) -> Outcome {
    let mut outcome = placed_outcome(field, solved, work);
    if outcome.status == PlacementStatus::Infeasible {
        outcome.unplaced = unplaceable(field, &solved.board, &outcome, work);
        outcome.cut_short = work.cut_short;
    }
    outcome
}

/// The outcome without what did not fit.
fn placed_outcome(field: &Field<'_>, solved: &Solved<'_>, work: &mut Work<'_>) -> Outcome {
    let board = &solved.board;
    let levels = levels(board, &solved.bounds, work);
    let (moves, move_cost) = board.moves();
    let cost = board.cost();
    let none = standing::no_moves(field);
    let proven = levels.iter().all(|level| level.proven)
        && move_cost == solved.price_bound
        && cost == solved.cost_bound;
    let status = match (board.missing_none(), proven) {
        (false, _) => PlacementStatus::Infeasible,
        (true, true) => PlacementStatus::Optimal,
        (true, false) => PlacementStatus::Feasible,
    };
    let mut assignments = assign::assign(board);
    let displaced = why::tell(board, &mut assignments);
    let held = held(field, &assignments);
    Outcome {
        assignments,
        displaced,
        held,
        levels,
        moves: moves.saturating_sub(none.0),
        moves_bound: field.forced().0.saturating_sub(none.0),
        restarts: board.restarts(),
        move_cost: move_cost.saturating_sub(none.1),
        move_cost_bound: solved.price_bound.saturating_sub(none.1),
        moves_proven: move_cost == solved.price_bound,
        objective: field.problem.objective,
        cost,
        bound: solved.cost_bound,
        status,
        overfull: shortfall::overfull(board),
        unplaced: Vec::new(),
        solver: work.solver(),
        ilps: work.ilps,
        cut_short: work.cut_short,
    }
}

/// What is where only its data holds it, and what is against that.
fn held(field: &Field<'_>, placed: &Assignments) -> BTreeMap<InstanceId, Vec<Violation>> {
    let mut held = BTreeMap::new();
    for service in &field.services {
        for cell in service.cells.iter().filter(|cell| cell.against) {
            let node = &field.nodes[cell.node];
            let against = shortfall::refusals_of(service.input, node, cell.current);
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

fn levels(board: &Board<'_>, bounds: &[u32], work: &mut Work<'_>) -> Vec<PriorityLevel> {
    let (wanted, placed) = (board.field.wanted(), board.placed());
    let counts = wanted.into_iter().zip(placed).zip(bounds);
    let levels = board.field.levels.iter().zip(counts).filter(|(level, _)| !level.kept);
    let told = levels.map(|(level, ((wanted, placed), &bound))| PriorityLevel {
        priority: level.priority.0,
        wanted,
        placed,
        bound,
        proven: placed == bound,
        ..PriorityLevel::default()
    });
    let mut levels: Vec<PriorityLevel> = told.collect();
    assume(board.field, &mut levels, work);
    levels
}

/// Says of the bounds that rest on it that data stays where it is, or what is kept as it is: more
/// could be placed if someone moved it. What does not fit either way is kept out all the same: a
/// small problem is solved without the locks to know, in a larger one that is seen of what no node
/// could hold.
fn assume(field: &Field<'_>, levels: &mut [PriorityLevel], work: &mut Work<'_>) {
    let short = levels.iter().any(|level| level.bound < level.wanted);
    let keeps = standing::lone_services(field).next().is_some();
    let what = match (field.holds_data(), keeps) {
        (false, false) => return,
        (true, false) => "data stays where it is",
        (false, true) => "what runs as it is keeps what it has",
        (true, true) => "data stays where it is, and what runs as it is keeps what it has",
    };
    if !short {
        return;
    }
    let mut open = field.problem.clone();
    standing::released(&mut open, |_| true);
    let mut free = Field::new(&open);
    free.services.iter_mut().for_each(field::Service::unlock);
    let most = match free.pairs() <= budget::SMALL {
        true => work.aside(|work| pipeline::solve(&free, None, work).bounds),
        false => bound::alone(&free),
    };
    for (level, most) in levels.iter_mut().zip(most) {
        if level.bound < level.wanted.min(most) {
            level.assumes = Some(what.to_owned());
        }
    }
}

/// Every placed instance.
type Assignments = BTreeMap<InstanceId, Assignment>;

/// What did not fit, with every node's reasons and the ways out.
fn unplaceable(
    field: &Field<'_>,
    board: &Board<'_>,
    outcome: &Outcome,
    work: &mut Work<'_>,
) -> Vec<Unplaceable> {
    let places = cutout::Places::of(outcome);
    let short = |s: &usize| board.missing(*s) > 0 && !field.services[*s].keeps();
    let mut list: Vec<usize> = (0..field.services.len()).filter(short).collect();
    list.sort_by_key(|&s| (field.services[s].level, s));
    let mut budget = budget::Budget::of(field, list.len());
    list.into_iter()
        .map(|s| {
            let input = field.services[s].input;
            let nodes = field.nodes.iter().enumerate().map(|(n, node)| NodeViolations {
                node: node.input.name.clone(),
                violations: shortfall::violations(&standing::without_one(board, s, n), s, n),
            });
            let nodes: Vec<NodeViolations> = nodes.collect();
            let board = &*standing::without_own(board, s);
            let case = suggest::Case { field, board, outcome, places: &places, s };
            let suggestions = case.ways_out(&nodes, (&mut budget, work));
            Unplaceable {
                service: input.name.clone(),
                at: input.at.clone(),
                unplaced: board.missing(s),
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
    work: &mut Work<'_>,
) -> (Assignments, BTreeMap<ServiceName, u32>) {
    let field = settled(problem);
    of_board(&pipeline::placed(&field, work))
}

/// What the plan of a problem places, and how many instances of each service it does not: with the
/// limits of the problem, as [`place`] does, and in the names of [`standing`].
fn planned(
    problem: &PlacementProblem,
    work: &mut Work<'_>,
) -> (Assignments, BTreeMap<ServiceName, u32>) {
    standing::solved(problem, work, |_, solved, _| of_board(&solved.board))
}

fn of_board(board: &Board<'_>) -> (Assignments, BTreeMap<ServiceName, u32>) {
    let missing =
        |(s, service): (usize, &field::Service<'_>)| (service.input.name.clone(), board.missing(s));
    let missing = board.field.services.iter().enumerate().map(missing).collect();
    (assign::assign(board), missing)
}
