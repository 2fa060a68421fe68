//! A program in the terms of good_lp.
//!
//! Knows how columns and rows are handed over. Refuses to call a solver.
//!
//! The two solvers share this translation. A row with equal limits becomes one equation, one with
//! two limits two inequalities.

use good_lp::{Expression, ProblemVariables, SolverModel, Variable, variable};

use super::linear_model::Model;

/// The variables and the objective in good_lp's terms.
pub(crate) fn variables(model: &Model) -> (ProblemVariables, Vec<Variable>, Expression) {
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
pub(crate) fn constrain<M: SolverModel>(mut target: M, model: &Model, handles: &[Variable]) -> M {
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
