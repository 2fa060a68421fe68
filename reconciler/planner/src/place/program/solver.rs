//! Integer and linear programs: one sparse-row form and the two solvers behind it. The only file
//! that calls a solver.
//!
//! Knows columns and rows. Refuses to know what they mean. A search ends after a number of
//! branch-and-bound nodes, so that the same model has the same answer everywhere; a limit of time
//! is set only where the caller was given one.

use std::time::Duration;

use good_lp::{Expression, ProblemVariables, SolverModel, Variable, variable};

use crate::place::problem::SolverChoice;

/// A program to be minimised.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
}

/// One variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub lower: f64,
    pub upper: f64,
    pub integer: bool,
    pub cost: f64,
}

/// `lower <= terms <= upper`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub terms: Vec<(usize, f64)>,
    pub lower: f64,
    pub upper: f64,
}

/// How to solve.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub solver: SolverChoice,
    /// Branch-and-bound nodes.
    pub nodes: u32,
    /// What is within so much of the best is as good as it, see [`WHOLE`] and [`EXACT`].
    #[cfg_attr(not(feature = "highs"), expect(dead_code, reason = "microlp proves exactly"))]
    pub gap: f64,
    /// Wall-clock limit. It makes the answer depend on the machine.
    pub seconds: Option<f64>,
}

/// The gap of an objective that takes whole numbers only: what is less than 1 apart is the same.
pub const WHOLE: f64 = 0.99;

/// The gap of any other objective.
pub const EXACT: f64 = 1e-6;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A solution.
    Found(Found),
    /// There is none.
    Infeasible,
    /// The search ended, or failed, without one.
    Stopped {
        /// A clock ended it.
        late: bool,
    },
}

impl Answer {
    /// Whether a clock ended the search: another run may answer otherwise.
    pub fn is_late(&self) -> bool {
        match self {
            Self::Found(found) => found.late,
            Self::Infeasible => false,
            Self::Stopped { late } => *late,
        }
    }

    /// The same after another search, which a clock may have ended.
    fn after(mut self, other: &Self) -> Self {
        match &mut self {
            Self::Found(Found { late, .. }) | Self::Stopped { late } => *late |= other.is_late(),
            Self::Infeasible => {}
        }
        self
    }
}

/// A solution.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// One value a column.
    pub values: Vec<f64>,
    /// Nothing is better.
    pub optimal: bool,
    /// No solution has a lower objective than this.
    pub bound: f64,
    /// Who found it.
    pub by: &'static str,
    /// A clock ended the search.
    pub late: bool,
}

/// Above so many columns `Auto` leaves microlp for HiGHS.
const SMALL: usize = 250;

/// How far a starting point may miss a row before it is withheld.
const TOLERANCE: f64 = 1e-6;

impl Model {
    pub fn column(&mut self, lower: f64, upper: f64, integer: bool) -> usize {
        self.columns.push(Column { lower, upper, integer, cost: 0.0 });
        self.columns.len() - 1
    }

    pub fn row(&mut self, terms: Vec<(usize, f64)>, lower: f64, upper: f64) {
        if !terms.is_empty() {
            self.rows.push(Row { terms, lower, upper });
        }
    }

    pub fn at_most(&mut self, terms: Vec<(usize, f64)>, upper: f64) {
        self.row(terms, f64::NEG_INFINITY, upper);
    }

    /// The objective at a point.
    pub fn objective(&self, values: &[f64]) -> f64 {
        self.columns.iter().zip(values).map(|(column, value)| column.cost * value).sum()
    }

    /// Whether a point keeps every bound and row. HiGHS drops a starting point that does not
    /// without a word, so it is looked at before it is handed over.
    pub fn admits(&self, values: &[f64]) -> bool {
        values.len() == self.columns.len()
            && self.columns.iter().zip(values).all(|(column, &value)| {
                within(value, column.lower, column.upper, value.abs())
                    && (!column.integer || (value - value.round()).abs() <= TOLERANCE)
            })
            && self.rows.iter().all(|row| {
                let parts = || row.terms.iter().map(|&(column, factor)| factor * values[column]);
                let size = parts().map(f64::abs).sum();
                within(parts().sum(), row.lower, row.upper, size)
            })
    }

    /// Whole columns to whole numbers: solvers are off by a little.
    fn rounded(&self, mut values: Vec<f64>) -> Vec<f64> {
        for (column, value) in self.columns.iter().zip(&mut values) {
            if column.integer {
                *value = value.round();
            }
        }
        values
    }

    #[cfg(feature = "highs")]
    fn has_integers(&self) -> bool {
        self.columns.iter().any(|column| column.integer)
    }
}

fn within(value: f64, lower: f64, upper: f64, size: f64) -> bool {
    let slack = TOLERANCE * (1.0 + size);
    value >= lower - slack && value <= upper + slack
}

/// Solves a model from an optional complete starting point.
pub fn solve(model: &Model, effort: Effort, start: Option<&[f64]>) -> Answer {
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

/// The variables and the objective in good_lp's terms.
fn variables(model: &Model) -> (ProblemVariables, Vec<Variable>, Expression) {
    let mut variables = ProblemVariables::new();
    let mut objective = Expression::with_capacity(model.columns.len());
    let mut handles = Vec::with_capacity(model.columns.len());
    for column in &model.columns {
        let mut definition = variable().min(column.lower).max(column.upper);
        if column.integer {
            definition = definition.integer();
        }
        let handle = variables.add(definition);
        if column.cost != 0.0 {
            objective.add_mul(column.cost, handle);
        }
        handles.push(handle);
    }
    (variables, handles, objective)
}

/// Adds every row to a good_lp model.
fn constrain<M: SolverModel>(mut target: M, model: &Model, handles: &[Variable]) -> M {
    for row in &model.rows {
        let sum = || {
            let mut sum = Expression::with_capacity(row.terms.len());
            for &(column, factor) in &row.terms {
                sum.add_mul(factor, handles[column]);
            }
            sum
        };
        if row.lower == row.upper {
            target = target.with(sum().eq(row.upper));
            continue;
        }
        if row.upper.is_finite() {
            target = target.with(sum().leq(row.upper));
        }
        if row.lower.is_finite() {
            target = target.with(sum().geq(row.lower));
        }
    }
    target
}

fn by_microlp(model: &Model, effort: Effort) -> Answer {
    let (variables, handles, objective) = variables(model);
    let target = constrain(variables.minimise(objective).using(good_lp::microlp), model, &handles);
    let mut options = microlp::SolveOptions::default();
    options.node_limit = Some(effort.nodes.into());
    options.time_limit = effort.seconds.map(Duration::from_secs_f64);
    // good_lp's own solve() has a time limit only; the model it built takes a limit of nodes.
    let outcome = match target.as_inner().solve_with(options) {
        Ok(outcome) => outcome,
        Err(microlp::Error::Infeasible) => return Answer::Infeasible,
        Err(_) => return Answer::Stopped { late: false },
    };
    let late = outcome.termination_reason() == microlp::TerminationReason::TimeLimit;
    let Ok(solution) = outcome.into_solution() else {
        return Answer::Stopped { late };
    };
    let values = model.rounded(solution.iter().map(|(_, value)| value).collect());
    if !model.admits(&values) {
        return Answer::Stopped { late };
    }
    let optimal = solution.termination_reason() == microlp::TerminationReason::ProvenOptimal;
    let objective = model.objective(&values);
    let bound = match (optimal, solution.gap()) {
        (true, _) => objective,
        (false, Some(gap)) if gap.is_finite() => objective - gap * objective.abs(),
        _ => f64::NEG_INFINITY,
    };
    Answer::Found(Found { values, optimal, bound, by: "microlp", late })
}

#[cfg(not(feature = "highs"))]
fn by_highs(model: &Model, effort: Effort, _start: Option<&[f64]>) -> Answer {
    by_microlp(model, effort)
}

/// Runs HiGHS on a model as good_lp writes it. What good_lp does not tell (the dual bound, duals
/// of rows) the model that it built does.
#[cfg(feature = "highs")]
fn highs(model: &Model, effort: Effort, start: Option<&[f64]>) -> Option<highs::SolvedModel> {
    let (variables, handles, objective) = variables(model);
    let target = constrain(variables.minimise(objective).using(good_lp::highs), model, &handles);
    let mut target = target.try_into_inner().ok()?;
    set_options(&mut target, effort)?;
    if start.is_some() {
        target.try_set_solution(start, None, None, None).ok()?;
    }
    target.try_solve().ok()
}

#[cfg(feature = "highs")]
fn by_highs(model: &Model, effort: Effort, start: Option<&[f64]>) -> Answer {
    use highs::{HighsModelStatus as Status, HighsSolutionStatus};

    let Some(solved) = highs(model, effort, start) else {
        return Answer::Stopped { late: false };
    };
    let status = solved.status();
    let late = status == Status::ReachedTimeLimit;
    if matches!(status, Status::Infeasible | Status::UnboundedOrInfeasible) {
        return Answer::Infeasible;
    }
    if solved.primal_solution_status() != HighsSolutionStatus::Feasible {
        return Answer::Stopped { late };
    }
    let values = model.rounded(solved.get_solution().columns().to_vec());
    if !model.admits(&values) {
        return Answer::Stopped { late };
    }
    let value = model.objective(&values);
    let optimal = status == Status::Optimal;
    // For a linear program HiGHS leaves the MIP bound at 0: its optimum is the bound.
    let bound = match solved.double_info_value(c"mip_dual_bound") {
        Ok(bound) if model.has_integers() && bound.is_finite() => bound.min(value),
        _ if optimal => value,
        _ => f64::NEG_INFINITY,
    };
    Answer::Found(Found { values, optimal, bound, by: "highs", late })
}

/// The optimum of a linear program, with duals.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearOptimum {
    /// One value a column.
    pub values: Vec<f64>,
    /// By how much the objective grows for one more of each row's limit: at most 0 for `at_most`,
    /// at least 0 for a lower limit.
    pub duals: Vec<f64>,
    /// The objective there.
    pub objective: f64,
}

/// There is no optimum with duals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoDuals {
    /// A clock ended the search.
    pub late: bool,
}

/// Solves a linear program whose rows have one limit each.
///
/// # Errors
/// Where it is infeasible, the clock ran out, or the solver (microlp) tells no duals.
pub fn solve_with_duals(model: &Model, effort: Effort) -> Result<LinearOptimum, NoDuals> {
    debug_assert!(model.rows.iter().all(|row| row.lower.is_finite() != row.upper.is_finite()));
    match effort.solver {
        SolverChoice::Microlp => Err(NoDuals { late: false }),
        SolverChoice::Auto | SolverChoice::Highs => duals_by_highs(model, effort),
    }
}

#[cfg(not(feature = "highs"))]
fn duals_by_highs(_model: &Model, _effort: Effort) -> Result<LinearOptimum, NoDuals> {
    Err(NoDuals { late: false })
}

#[cfg(feature = "highs")]
fn duals_by_highs(model: &Model, effort: Effort) -> Result<LinearOptimum, NoDuals> {
    use highs::HighsModelStatus as Status;

    let solved = highs(model, effort, None).ok_or(NoDuals { late: false })?;
    let solution = solved.get_solution();
    let values = solution.columns().to_vec();
    let duals = solution.dual_rows().to_vec();
    let good = solved.status() == Status::Optimal
        && duals.len() == model.rows.len()
        && model.admits(&values);
    let objective = model.objective(&values);
    let late = solved.status() == Status::ReachedTimeLimit;
    if good { Ok(LinearOptimum { values, duals, objective }) } else { Err(NoDuals { late }) }
}

#[cfg(feature = "highs")]
fn set_options(target: &mut highs::Model, effort: Effort) -> Option<()> {
    let nodes = i32::try_from(effort.nodes).unwrap_or(i32::MAX);
    target.try_set_option("output_flag", false).ok()?;
    target.try_set_option("threads", 1).ok()?;
    target.try_set_option("parallel", "off").ok()?;
    target.try_set_option("random_seed", 0).ok()?;
    target.try_set_option("mip_rel_gap", 0.0).ok()?;
    target.try_set_option("mip_abs_gap", effort.gap).ok()?;
    if let Some(seconds) = effort.seconds {
        target.try_set_option("time_limit", seconds).ok()?;
    }
    target.try_set_option("mip_max_nodes", nodes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
