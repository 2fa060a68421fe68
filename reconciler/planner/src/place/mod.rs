//! Placement: where every instance goes, how good that is, and why what does not fit does not.
//!
//! Knows the whole way from a problem to its outcome, on this page. Refuses to know time: all
//! limits count work, so that the same problem has the same answer on every machine.
//!
//! The planner asks this once for each plan, with what the cluster file wants and what the fleet
//! has. The objective is lexicographic and never one weighted sum: place the most instances of the
//! highest priority, then of the next, …; then move as little as possible; then the best score.
//!
//! index (`model`) → retain → search (`search`, by programs of `program`) → assign → explain
//! (`explain`) → repair (`repair`), `effort` beside them all. `verify` looks at the answer
//! again, and shares nothing with the way to it.

mod effort;
mod explain;
mod ix;
mod model;
mod outcome;
mod problem;
mod program;
mod repair;
mod search;
mod verify;

#[cfg(test)]
mod tests;

pub use effort::{
    interrupt::{Pace, Progress, Watch},
    trace::{StageReport, Standing},
};
pub use explain::{
    gain::{Gain, Rebalanced},
    verdict::{Explanation, Hold, Verdict, explain},
};
pub use model::filter::nature;
pub use outcome::*;
pub use problem::*;
pub use verify::{Breach, verify};

use effort::spent::Spent;
use search::{rebalance::even_out, retention, solved::Solved};

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
    placed(problem, watch, |_, _| ()).0
}

/// Places, and moves at most so many instances that could stay, each time the one that lowers the
/// score most. What has data stays.
pub fn rebalance(problem: &PlacementProblem, most: u32) -> Rebalanced {
    rebalance_paced(problem, most, &mut |_| Pace::Free)
}

/// The same, watched as [`place_paced`] is. Stopped too early, it finds fewer moves.
pub fn rebalance_paced(problem: &PlacementProblem, most: u32, watch: Watch<'_>) -> Rebalanced {
    let even = |solved: &mut Solved<'_>, spent: &mut Spent<'_>| even_out(solved, most, spent);
    let (outcome, evened) = placed(problem, watch, even);
    explain::gain::rebalanced(problem, outcome, &evened)
}

/// The pipeline. What `more` makes of the placement found is part of the outcome.
fn placed<T>(
    problem: &PlacementProblem,
    watch: Watch<'_>,
    more: impl FnOnce(&mut Solved<'_>, &mut Spent<'_>) -> T,
) -> (Outcome, T) {
    let mut spent = Spent::new(watch);
    // Indexes the problem and retains what needs it: as often as that leaves somebody displaced.
    retention::solved(problem, &mut spent, |mut solved, spent| {
        let made = more(&mut solved, spent);
        let mut outcome = explain::outcome::explained(&solved, spent);
        if outcome.status == PlacementStatus::Infeasible {
            outcome.unplaced = repair::remedies(&solved.partial, &outcome, spent);
            outcome.cut_short = spent.cut_short;
        }
        (explain::retained::declared(&solved.partial, outcome), made)
    })
}
