//! The machine-readable stream of `plan -json` and `apply -json`: one object per line.
//!
//! Knows the types that docs/cli.md lists. Refuses to print: it returns objects.

use devnet_schema::{
    diagnostic::Diagnostic,
    placement::{PlacementReport, PlacementStatus, Unplaceable},
    plan::{Action, Change, Drift, Plan, Summary},
    step::{StepReport, StepState},
};
use serde_json::{Value, json};

use super::{diagnostics, plan_text};
use crate::api::{Deployment, DeploymentLine, DeploymentState};

/// One line: `fields` with the five that every line has.
fn line(level: &str, message: &str, now: &str, kind: &str, fields: Value) -> Value {
    let mut out = json!({
        "@level": level,
        "@message": message,
        "@module": "devnet.ui",
        "@timestamp": now,
        "type": kind,
    });
    if let (Value::Object(out), Value::Object(fields)) = (&mut out, fields) {
        out.extend(fields);
    }
    out
}

/// The first line of every stream.
pub fn version(now: &str) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let fields = json!({"devnet": version, "ui": "1.0"});
    line("info", &format!("devnet {version}"), now, "version", fields)
}

/// A finding.
pub fn diagnostic(found: &Diagnostic, now: &str) -> Value {
    let level = if found.is_error() { "error" } else { "warn" };
    let fields = json!({"diagnostic": diagnostics::json_form(found)});
    line(level, &found.message, now, "diagnostic", fields)
}

/// Every line of a plan, without the version.
pub fn plan(plan: &Plan, now: &str) -> Vec<Value> {
    let mut out: Vec<Value> = plan.diagnostics.iter().map(|d| diagnostic(d, now)).collect();
    out.extend(plan.drift.iter().map(|drift| resource_drift(drift, now)));
    out.extend(plan.changes.iter().map(|change| planned_change(change, now)));
    out.extend(plan.placement.infeasible.iter().map(|what| infeasible(what, now)));
    out.push(placement(&plan.placement, now));
    out.push(change_summary(&plan.summary, "plan", &plan_text::summary(&plan.summary), now));
    out
}

fn action_word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Replace => "replace",
        Action::Move => "move",
        Action::Delete => "delete",
        Action::Noop => "noop",
        Action::Forget => "forget",
    }
}

fn resource(instance: &devnet_schema::name::InstanceId, node: &impl ToString) -> Value {
    json!({
        "addr": instance.address(),
        "service": instance.service,
        "index": instance.index,
        "node": node.to_string(),
    })
}

fn planned_change(change: &Change, now: &str) -> Value {
    let action = action_word(change.action);
    let mut body = json!({
        "resource": resource(&change.instance, &change.node),
        "action": action,
        "reason": change.reason,
    });
    if let Some(from) = &change.from {
        body["from"] = json!(from);
    }
    let message = format!("{}: Plan to {action}", change.instance.address());
    line("info", &message, now, "planned_change", json!({"change": body}))
}

fn resource_drift(drift: &Drift, now: &str) -> Value {
    let Drift { instance, node, what } = drift;
    let body = json!({"resource": resource(instance, node), "action": "update", "reason": what});
    let message = format!("{}: Drift detected ({what})", instance.address());
    line("info", &message, now, "resource_drift", json!({"change": body}))
}

/// The answer of the solver, with every assignment.
fn placement(report: &PlacementReport, now: &str) -> Value {
    let assignments: Vec<Value> = report
        .assignments
        .iter()
        .map(|a| {
            let gpus: Vec<Value> = a
                .gpus
                .iter()
                .map(|gpu| {
                    let share = f64::from(gpu.share_milli) / 1000.0;
                    json!({"id": gpu.id, "share": share, "memory_mb": gpu.memory.as_mib()})
                })
                .collect();
            json!({"instance": a.instance, "node": a.node, "gpus": gpus, "reason": a.reason})
        })
        .collect();
    let mut body = json!({
        "status": report.status, "unplaced": report.unplaced, "moves": report.moves,
        "evicted": report.evicted, "kept": report.kept, "evictions": report.evictions,
        "restarts": report.restarts,
        "moves_bound": report.moves_bound,
        "move_cost": report.move_cost, "move_cost_bound": report.move_cost_bound,
        "moves_proven": report.moves_proven, "objective": report.objective,
        "cost": report.cost, "bound": report.bound, "gap": report.gap,
        "score_proven": report.score_proven,
        "seconds": report.seconds.unwrap_or(0.0), "solver": report.solver,
        "assignments": assignments, "levels": report.levels, "gains": report.gains,
    });
    if let Some(limit) = report.solve_limit {
        body["solve_limit"] = json!(limit);
        body["cut_short"] = json!(report.cut_short);
    }
    if !report.search.is_empty() {
        body["search"] = json!(report.search);
    }
    let level = if report.status == PlacementStatus::Infeasible { "error" } else { "info" };
    let message = format!("Placement: {} to move, {} unplaced", report.moves, report.unplaced);
    line(level, &message, now, "placement", json!({"placement": body}))
}

fn infeasible(what: &Unplaceable, now: &str) -> Value {
    let message = format!("service.{}: {} not placed", what.service, what.unplaced);
    line("error", &message, now, "placement_infeasible", json!({"placement_infeasible": what}))
}

fn change_summary(counts: &Summary, operation: &str, message: &str, now: &str) -> Value {
    let Summary { add, change, destroy, moved, forget } = counts;
    let changes = json!({
        "add": add, "change": change, "remove": destroy, "move": moved, "forget": forget,
        "operation": operation,
    });
    line("info", message, now, "change_summary", json!({"changes": changes}))
}

/// What a line of a deployment's log becomes.
pub fn deployment(entry: &DeploymentLine) -> Value {
    match entry {
        DeploymentLine::Step { at, instance, node, report } => {
            let StepReport { deployment: _, step, state } = report;
            let (level, kind, message) = match state {
                StepState::Running { message } if message.is_empty() => {
                    ("info", "apply_start", format!("{step}: Starting"))
                }
                StepState::Running { message } => ("info", "apply_progress", message.clone()),
                StepState::Succeeded { .. } => {
                    ("info", "apply_complete", format!("{step}: Complete"))
                }
                StepState::Failed { error } => ("error", "apply_errored", error.clone()),
            };
            let hook = json!({"resource": resource(instance, node), "step": step});
            line(level, &message, &at.to_string(), kind, json!({"hook": hook}))
        }
        DeploymentLine::End { deployment } => {
            let Deployment { state, summary, ended_at, .. } = deployment;
            let now = ended_at.map(|at| at.to_string()).unwrap_or_default();
            let message = match state {
                DeploymentState::Succeeded => plan_text::applied(summary),
                DeploymentState::Incomplete => "Apply incomplete".to_owned(),
                DeploymentState::Cancelled => "Apply cancelled".to_owned(),
                _ => "Apply failed".to_owned(),
            };
            change_summary(summary, "apply", &message, &now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_the_five_fields() {
        let first = version("2026-01-02T03:04:05Z");
        for key in ["@level", "@message", "@module", "@timestamp", "type"] {
            assert!(first.get(key).is_some(), "{key}");
        }
        assert_eq!(first["ui"], "1.0");
        let counts = change_summary(&Summary { add: 1, ..Summary::default() }, "plan", "m", "t");
        assert_eq!(counts["changes"]["add"], 1);
        assert_eq!(counts["changes"]["operation"], "plan");
    }
}
