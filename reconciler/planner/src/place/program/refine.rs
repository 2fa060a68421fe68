//! One program solved, with devices told apart where their sum is not enough.
//!
//! Knows when a solution has to be looked at more closely. Refuses to choose nodes or goals.
//!
//! Most nodes need no column for each device, and columns cost time. Where a solution cannot be
//! packed, the nodes concerned are told apart device by device and the program is solved again.

use super::{
    answer::{self, Answer, Effort, Found},
    formulation::{Formulation, Goal, Subproblem},
    solver,
};
use crate::place::{effort::spent::Spent, ix::NodeIx, model::partial::PartialPlacement};

/// What came of one formulation.
pub(crate) struct Step<'f> {
    pub partial: PartialPlacement<'f>,
    /// In the unit of the goal: instances (negative), price, score.
    pub bound: f64,
    pub proven: bool,
}

/// Solves one formulation, telling the devices of a node apart where their sum is not enough, or
/// where who is on them has a price.
pub(crate) fn run<'f>(
    mut subproblem: Subproblem<'_, 'f>,
    nodes: u32,
    spent: &mut Spent<'_>,
) -> Option<Step<'f>> {
    let limits = &subproblem.partial.indexed.problem.limits;
    loop {
        if spent.ilps >= limits.ilps || !spent.go_on(subproblem.partial.placed()) {
            return None;
        }
        spent.ilps += 1;
        let formulation = Formulation::new(&subproblem);
        let start = formulation.mip_start(&subproblem, subproblem.partial);
        let seconds = spent.seconds();
        let gap = if formulation.whole { answer::WHOLE } else { answer::EXACT };
        let effort = Effort { solver: limits.solver, nodes, gap, seconds };
        let answer = solver::solve(&formulation.model, effort, start.as_deref());
        spent.cut_short |= answer.is_late();
        let Answer::Found(found) = answer else {
            return None;
        };
        spent.solvers.insert(found.by);
        let partial = formulation.decode(&subproblem, &found.values);
        let priced = subproblem.goal == Goal::Moves || subproblem.migration_cap.is_some();
        let unpacked = |node: &NodeIx| {
            let rough = !partial.devices_packed(*node) || priced && partial.restarts_on(*node) > 0;
            rough && !subproblem.detailed.contains(node)
        };
        let unpacked: Vec<NodeIx> = subproblem.nodes.iter().copied().filter(unpacked).collect();
        if unpacked.is_empty() {
            return partial.sound().then(|| step(&formulation, &subproblem, partial, &found));
        }
        spent.detailed.extend(unpacked.iter().copied());
        subproblem.detailed.extend(unpacked);
    }
}

pub(crate) fn step<'f>(
    formulation: &Formulation,
    subproblem: &Subproblem<'_, 'f>,
    partial: PartialPlacement<'f>,
    found: &Found,
) -> Step<'f> {
    let bound = match subproblem.goal {
        Goal::Moves => formulation.price_of(subproblem, found.bound),
        Goal::Place { .. } | Goal::DualValue(_) | Goal::Score => found.bound,
    };
    Step { partial, bound, proven: found.optimal && formulation.exact }
}
