//! The outcome of a search: instances, reasons, levels, moves, score, and what is known of each.
//!
//! Knows how a solved placement is told. Refuses to look for remedies.
//!
//! Everything that the caller reads of a placement is put together here. A placement is optimal
//! where every level, the moves and the score are proven.

use devnet_schema::placement::PlacementStatus;

use super::{held::held, levels::levels, overfull, reason};
use crate::place::{
    effort::spent::Spent,
    model::{indices, retained},
    outcome::Outcome,
    problem::InstanceKey,
    search::solved::Solved,
};

/// The outcome without what did not fit.
pub(crate) fn explained(solved: &Solved<'_>, spent: &mut Spent<'_>) -> Outcome<InstanceKey> {
    let indexed = solved.partial.indexed;
    let partial = &solved.partial;
    let levels = levels(partial, &solved.bounds, spent);
    let (moves, move_cost) = partial.moves();
    let cost = partial.score();
    let none = retained::no_moves(indexed);
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
        overfull: overfull::overfull(partial),
        unplaced: Vec::new(),
        solver: spent.solver(),
        ilps: spent.ilps,
        cut_short: spent.cut_short,
        search: std::mem::take(&mut spent.trace),
    }
}
