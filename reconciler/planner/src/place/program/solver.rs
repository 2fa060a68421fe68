//! Which solver answers a program.
//!
//! Knows both solvers and when each is asked. Refuses to know what a program means.
//!
//! A search ends after a number of branch-and-bound nodes, so that the same program has the same
//! answer everywhere; a limit of time is set only where the caller was given one. Up to 250 columns
//! microlp tries first, and HiGHS takes over what it does not prove soon.

use super::{
    answer::{Answer, Effort, Found, LinearOptimum, NoDuals},
    by_highs::{by_highs, duals_by_highs},
    by_microlp::by_microlp,
    linear_model::Model,
};
use crate::place::problem::SolverChoice;

/// Above so many columns `Auto` leaves microlp for HiGHS.
const SMALL: usize = 250;

/// Solves a model from an optional complete starting point.
pub(crate) fn solve(model: &Model, effort: Effort, start: Option<&[f64]>) -> Answer {
    if model.columns.is_empty() {
        let found =
            Found { values: Vec::new(), optimal: true, bound: 0.0, by: "none", late: false };
        return Answer::Found(found);
    }
    let start = start.filter(|values| model.admits(values));
    let small = model.columns.len() <= SMALL;
    match effort.solver {
        SolverChoice::Microlp => by_microlp(model, effort),
        SolverChoice::Auto if small && !cfg!(feature = "highs") => by_microlp(model, effort),
        SolverChoice::Auto if small => match by_microlp(model, brief(effort)) {
            Answer::Found(found) if found.optimal => Answer::Found(found),
            Answer::Infeasible => Answer::Infeasible,
            first => by_highs(model, effort, start).after(&first),
        },
        SolverChoice::Auto | SolverChoice::Highs => by_highs(model, effort, start),
    }
}

/// microlp's share where HiGHS can take over: what it does not prove soon it proves late.
fn brief(effort: Effort) -> Effort {
    let seconds = effort.seconds.map(|seconds| seconds / 2.0);
    Effort { nodes: effort.nodes.min(300), seconds, ..effort }
}

/// Solves a linear program whose rows have one limit each.
///
/// # Errors
/// Where it is infeasible, the clock ran out, or the solver (microlp) tells no duals.
pub(crate) fn solve_with_duals(model: &Model, effort: Effort) -> Result<LinearOptimum, NoDuals> {
    debug_assert!(model.rows.iter().all(|row| row.lower.is_finite() != row.upper.is_finite()));
    match effort.solver {
        SolverChoice::Microlp => Err(NoDuals { late: false }),
        SolverChoice::Auto | SolverChoice::Highs => duals_by_highs(model, effort),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::program::answer::WHOLE;

    fn effort(solver: SolverChoice) -> Effort {
        Effort { solver, nodes: 1000, gap: WHOLE, seconds: None }
    }

    /// Items of weights 5, 4, 3 in a knapsack of 7: the best is 4 + 3, the greedy answer 5.
    fn knapsack() -> Model {
        let mut model = Model::default();
        let terms: Vec<(usize, f64)> = [5.0, 4.0, 3.0]
            .iter()
            .map(|&weight| {
                let column = model.column(0.0, 1.0, true);
                model.columns[column].cost = -weight;
                (column, weight)
            })
            .collect();
        model.at_most(terms, 7.0);
        model
    }

    #[test]
    fn both_solvers_agree_and_prove() {
        for solver in [SolverChoice::Microlp, SolverChoice::Highs, SolverChoice::Auto] {
            let Answer::Found(found) = solve(&knapsack(), effort(solver), None) else {
                panic!("{solver:?} found nothing")
            };
            assert!(found.optimal);
            assert_eq!(knapsack().objective(&found.values).round(), -7.0);
            assert!((found.bound + 7.0).abs() < 1.0, "{solver:?}: {}", found.bound);
        }
    }

    #[test]
    fn a_relaxation_bounds_the_whole() {
        for solver in [SolverChoice::Microlp, SolverChoice::Highs] {
            let mut model = knapsack();
            model.rows[0].upper = 6.0;
            model.columns.iter_mut().for_each(|column| column.integer = false);
            let Answer::Found(found) = solve(&model, effort(solver), None) else {
                panic!("{solver:?} found nothing")
            };
            assert!((found.bound + 6.0).abs() < 1e-6, "{solver:?}: {}", found.bound);
        }
    }

    #[test]
    fn what_cannot_be_is_infeasible_and_a_wrong_start_does_no_harm() {
        for solver in [SolverChoice::Microlp, SolverChoice::Highs] {
            let mut model = knapsack();
            model.row(vec![(0, 1.0), (1, 1.0)], 2.0, 2.0);
            assert_eq!(solve(&model, effort(solver), None), Answer::Infeasible);
            let wrong = [1.0, 1.0, 1.0];
            assert!(!knapsack().admits(&wrong));
            let Answer::Found(found) = solve(&knapsack(), effort(solver), Some(&wrong)) else {
                panic!("{solver:?} found nothing")
            };
            assert_eq!(knapsack().objective(&found.values).round(), -7.0);
        }
    }
}
