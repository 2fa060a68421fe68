//! What HiGHS makes of a program.
//!
//! Knows its options, its bound and its duals. Refuses to choose when it is asked; in a build
//! without it microlp answers.
//!
//! It is by far the better solver on large programs, and needs a C++ compiler to build. One thread
//! and a fixed seed, so that it answers the same everywhere.

#[cfg(not(feature = "highs"))]
use super::by_microlp::by_microlp;
#[cfg(feature = "highs")]
use super::{
    answer::Found,
    lp_form::{constrain, variables},
};
use super::{
    answer::{Answer, Effort, LinearOptimum, NoDuals},
    linear_model::Model,
};

#[cfg(not(feature = "highs"))]
pub fn by_highs(model: &Model, effort: Effort, _start: Option<&[f64]>) -> Answer {
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
pub(crate) fn by_highs(model: &Model, effort: Effort, start: Option<&[f64]>) -> Answer {
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

#[cfg(not(feature = "highs"))]
pub fn duals_by_highs(_model: &Model, _effort: Effort) -> Result<LinearOptimum, NoDuals> {
    Err(NoDuals { late: false })
}

#[cfg(feature = "highs")]
pub(crate) fn duals_by_highs(model: &Model, effort: Effort) -> Result<LinearOptimum, NoDuals> {
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
