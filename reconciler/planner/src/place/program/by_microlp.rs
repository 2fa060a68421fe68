//! What microlp makes of a program.
//!
//! Knows its limits and reasons for ending. Refuses to choose when it is asked.
//!
//! It is pure Rust and quick on small programs, and the only solver in a build without HiGHS. It
//! counts branch-and-bound nodes, which good_lp does not pass on, so the model inside is asked
//! directly.

use std::time::Duration;

use super::{
    answer::{Answer, Effort, Found},
    linear_model::Model,
    lp_form::{constrain, variables},
};

pub(crate) fn by_microlp(model: &Model, effort: Effort) -> Answer {
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
