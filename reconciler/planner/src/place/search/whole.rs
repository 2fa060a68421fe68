//! A small problem as one integer program.
//!
//! Knows the limits under which that pays. Refuses to take a worse placement.
//!
//! Up to 600 pairs of service and node the program proves what it finds. The floors of earlier
//! levels are rows of it.

use super::{
    construct,
    style::{self, REPAIRS},
};
use crate::place::{
    effort::spent::Spent,
    model::{index::IndexedProblem, partial::PartialPlacement},
    program::{
        formulation::{Goal, Subproblem},
        refine::{Step, run},
    },
};

/// The score is last and gets this part of the search: its last per mille costs the most.
const SCORE_SHARE: u32 = 20;

/// Whether the whole indexed problem goes into one formulation.
pub(crate) fn whole(indexed: &IndexedProblem<'_>) -> bool {
    indexed.pairs() <= indexed.problem.limits.whole_pairs
}

pub(crate) fn floors(placed: &[u32], levels: usize) -> Vec<(usize, u32)> {
    placed.iter().copied().enumerate().take(levels).collect()
}

pub(crate) fn place_whole(
    best: &mut PartialPlacement<'_>,
    level: usize,
    bound: &mut u32,
    spent: &mut Spent<'_>,
) {
    let mut weights = vec![0; best.indexed.levels.len()];
    weights[level] = 1;
    let goal = Goal::Place { weights, keep: false };
    let placed = best.placed();
    let Some(step) = run_whole(best, goal, floors(&placed, level), (None, None), spent) else {
        return;
    };
    let most = (-step.bound + 1e-5).floor().max(0.0) as u32;
    let mut partial = step.partial;
    let order = style::order(partial.indexed, style::Order::FewestCandidates);
    construct::fill(&mut partial, &order, REPAIRS[0]);
    if step.proven {
        *bound = (*bound).min(most).max(partial.placed()[level].max(placed[level]));
    }
    if partial.rank().beats(&best.rank()) {
        *best = partial;
    }
}

pub(crate) fn run_whole<'f>(
    best: &PartialPlacement<'f>,
    goal: Goal,
    floors: Vec<(usize, u32)>,
    (migration_cap, score_cap): (Option<u64>, Option<u64>),
    spent: &mut Spent<'_>,
) -> Option<Step<'f>> {
    let nodes = best.indexed.nodes.positions().collect();
    let detailed = spent.detailed.clone();
    let subproblem =
        Subproblem { partial: best, nodes, floors, migration_cap, score_cap, detailed, goal };
    let nodes = best.indexed.problem.limits.search_nodes;
    let nodes = if subproblem.goal == Goal::Score { nodes / SCORE_SHARE } else { nodes };
    run(subproblem, nodes, spent)
}
