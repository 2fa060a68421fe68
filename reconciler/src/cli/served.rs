//! Whether what a plan leaves in place serves, and what of what ran before still runs.
//!
//! Knows how long to wait, and how to name what does not serve. Refuses to change anything.

use std::{
    thread,
    time::{Duration, Instant},
};

use devnet_schema::{
    fleet::FleetSnapshot,
    name::{InstanceId, NodeName},
    observed::{HealthState, InstanceState},
    plan::Plan,
};

use super::{client::Client, failure::CommandError, terminal::Terminal};
use crate::{
    api::{DeploymentState, InstanceRow, ServiceRow, Status},
    view::style::printable,
};

/// How long what is there already may take to serve: as long as an update may by default.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// The finding of a plan that covers a part of the cluster.
const PARTIAL: &str = "DN-W0607";

/// Nothing can be said of the end of a plan while a deployment changes what it was made of.
///
/// # Errors
/// When one runs, or the control plane cannot be asked.
pub(super) fn undisturbed(client: &Client) -> Result<(), CommandError> {
    let status: Status = client.get("/api/v1/status", "asking whether a deployment runs")?;
    match status.deployment.filter(|it| it.state == DeploymentState::Running) {
        Some(running) => Err(CommandError::usage(format!(
            "deployment {0} is running: wait for its end and apply again, or cut it short with \
             `devnet deployment cancel {0}`",
            running.id
        ))),
        None => Ok(()),
    }
}

/// Waits until everything that the plan has a place for serves.
///
/// # Errors
/// What does not serve in the end, or that the control plane cannot be asked.
pub(super) fn all(plan: &Plan, client: &Client, terminal: &Terminal) -> Result<(), CommandError> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let rows: Vec<ServiceRow> = client.list("/api/v1/services", "asking what is healthy")?;
        let waiting = not_serving(plan, &rows);
        let Some(first) = waiting.first() else { return Ok(()) };
        if begun.elapsed() >= PATIENCE {
            let failure = CommandError::usage("not all that is declared is healthy");
            return Err(waiting.into_iter().fold(failure, CommandError::hint));
        }
        if !std::mem::replace(&mut told, true) {
            let more = waiting.len() - 1;
            let more = if more == 0 { String::new() } else { format!(", and {more} more") };
            terminal.note(&format!("Waiting until it is healthy: {}{more}\n", printable(first)));
        }
        thread::sleep(PAUSE);
    }
}

/// What the plan has a place for and does not serve there, a clause each. A plan of a part answers
/// for what it changes only.
fn not_serving(plan: &Plan, services: &[ServiceRow]) -> Vec<String> {
    let partial = plan.diagnostics.iter().any(|found| found.code == PARTIAL);
    let changed =
        |id: &InstanceId| plan.changes.iter().any(|it| it.instance == *id && it.after.is_some());
    let rows = || services.iter().flat_map(|service| &service.instances);
    let assigned = plan.placement.assignments.iter();
    let asked = assigned.filter(|it| !partial || changed(&it.instance));
    let told = asked.filter_map(|it| {
        let here =
            |row: &&InstanceRow| row.id == it.instance && row.node == it.node && !row.stranger;
        let what = match rows().find(here) {
            Some(row) => how(row)?,
            None => "it is not there".to_owned(),
        };
        Some(format!("{} on {}: {what}", it.instance.address(), it.node))
    });
    told.collect()
}

/// What keeps an instance from serving; nothing where it does.
fn how(row: &InstanceRow) -> Option<String> {
    let word = match (row.state, row.health) {
        (InstanceState::Running, HealthState::Healthy)
        | (InstanceState::Completed | InstanceState::Scheduled, _) => {
            return None;
        }
        (InstanceState::Running, HealthState::Unhealthy) => "it is unhealthy",
        (InstanceState::Running, HealthState::Starting) => "it is not healthy yet",
        (InstanceState::Running, HealthState::Unknown) => "its health is not known",
        (InstanceState::Starting, _) => "it is starting",
        (InstanceState::Exited, _) => "it does not run",
        (InstanceState::Unknown, _) => "its state is not known",
    };
    Some(match &row.message {
        Some(message) => format!("{word} ({message})"),
        None => word.to_owned(),
    })
}

/// Whether a unit is as it was left: it runs, or ran once and is done.
fn is_there(state: InstanceState) -> bool {
    use InstanceState::{Completed, Running, Scheduled};
    matches!(state, Running | Completed | Scheduled)
}

/// What became of the units that a plan was to change and that were there before it: a sentence,
/// and those that do not run as before.
pub(super) fn before(plan: &Plan, fleet: &FleetSnapshot) -> (Option<&'static str>, Vec<String>) {
    let old = plan.changes.iter().filter_map(|change| {
        let spec = change.before.as_deref()?;
        Some((spec, &spec.node))
    });
    let (mut running, mut gone) = (0, Vec::new());
    for (spec, node) in old {
        let node: &NodeName = node;
        let here = fleet.instances.iter().find(|it| it.instance() == spec.id && it.node == *node);
        match here {
            Some(seen) if seen.state == InstanceState::Unknown => {
                gone.push(format!("{} on {node}: its state is not known", spec.id.address()));
            }
            Some(seen) if seen.digest == spec.digest() && is_there(seen.state) => running += 1,
            Some(seen) if seen.digest == spec.digest() => {
                gone.push(format!("{} on {node} does not run", spec.id.address()));
            }
            Some(_) => gone.push(format!(
                "{} on {node} was stopped, and is there in its new form",
                spec.id.address()
            )),
            None => gone.push(format!("{} on {node} was stopped", spec.id.address())),
        }
    }
    let sentence = match (running, gone.is_empty()) {
        (0, true) => None,
        (_, true) => Some("what ran before keeps running"),
        (0, false) => Some("what ran before does not run as before"),
        (_, false) => Some("a part of what ran before keeps running"),
    };
    (sentence, gone)
}

#[cfg(test)]
mod tests {
    use devnet_schema::{
        diagnostic::Diagnostic,
        instance::InstanceSpec,
        observed::ObservedInstance,
        placement::Assignment,
        plan::{Action, Change},
    };

    use super::*;

    fn row(id: &str, state: InstanceState, health: HealthState) -> InstanceRow {
        InstanceRow {
            id: id.parse().unwrap(),
            node: "n1".parse().unwrap(),
            state,
            health,
            address: None,
            message: None,
            stranger: false,
            outdated: None,
            waiting: None,
        }
    }

    fn services(rows: Vec<InstanceRow>) -> Vec<ServiceRow> {
        let name = "web".parse().unwrap();
        vec![ServiceRow {
            name,
            desired: 1,
            healthy: 0,
            instances: rows,
            waiting: Vec::new(),
            undeclared: false,
        }]
    }

    fn plan(ids: &[&str]) -> Plan {
        let mut plan = Plan::empty("lab".parse().unwrap(), String::new());
        plan.placement.assignments = ids
            .iter()
            .map(|id| Assignment {
                instance: id.parse().unwrap(),
                node: "n1".parse().unwrap(),
                gpus: Vec::new(),
                reason: String::new(),
            })
            .collect();
        plan
    }

    #[test]
    fn what_restarts_again_and_again_does_not_serve() {
        let plan = plan(&["web[0]", "web[1]", "web[2]", "web[3]"]);
        let crashing = InstanceRow {
            message: Some("exited with code 1".to_owned()),
            ..row("web[1]", InstanceState::Starting, HealthState::Starting)
        };
        let stranger = InstanceRow {
            stranger: true,
            ..row("web[3]", InstanceState::Running, HealthState::Healthy)
        };
        let rows = services(vec![
            row("web[0]", InstanceState::Running, HealthState::Healthy),
            crashing,
            row("web[2]", InstanceState::Running, HealthState::Starting),
            stranger,
        ]);
        assert_eq!(
            not_serving(&plan, &rows),
            [
                "service.web[1] on n1: it is starting (exited with code 1)",
                "service.web[2] on n1: it is not healthy yet",
                "service.web[3] on n1: it is not there",
            ]
        );
    }

    #[test]
    fn a_plan_of_a_part_answers_for_what_it_changes() {
        let mut plan = plan(&["web[0]"]);
        plan.diagnostics.push(Diagnostic::warning(PARTIAL, None, ""));
        assert!(not_serving(&plan, &[]).is_empty());
    }

    fn spec(id: &str) -> Box<InstanceSpec> {
        serde_json::from_value(serde_json::json!({
            "cluster": "lab", "id": id, "node": "n1", "workload": {"process": {"argv": []}},
        }))
        .unwrap()
    }

    fn change(old: &InstanceSpec) -> Change {
        Change {
            instance: old.id.clone(),
            action: Action::Update,
            node: old.node.clone(),
            from: None,
            reason: String::new(),
            forces_replacement: Vec::new(),
            diff: String::new(),
            before: Some(Box::new(old.clone())),
            after: None,
        }
    }

    #[test]
    fn what_was_stopped_is_not_said_to_keep_running() {
        let (a, b) = (spec("web[0]"), spec("web[1]"));
        let mut plan = plan(&[]);
        plan.changes = vec![change(&a), change(&b)];
        let fleet = |instances: Vec<ObservedInstance>| -> FleetSnapshot {
            let mut fleet: FleetSnapshot = serde_json::from_str(r#"{"nodes": []}"#).unwrap();
            fleet.instances = instances;
            fleet
        };
        let (old_a, old_b) =
            (ObservedInstance::running(a.clone(), 1), ObservedInstance::running(b.clone(), 1));
        let both = before(&plan, &fleet(vec![old_a.clone(), old_b]));
        assert_eq!(both, (Some("what ran before keeps running"), Vec::new()));
        let (sentence, gone) = before(&plan, &fleet(vec![old_a]));
        assert_eq!(sentence, Some("a part of what ran before keeps running"));
        assert_eq!(gone, ["service.web[1] on n1 was stopped"]);
        let mut new = ObservedInstance::running(b, 2);
        new.digest = devnet_schema::digest::Digest::of_bytes(b"new");
        let (sentence, gone) = before(&plan, &fleet(vec![new]));
        assert_eq!(sentence, Some("what ran before does not run as before"));
        assert_eq!(gone.len(), 2);
        assert_eq!(before(&Plan { changes: Vec::new(), ..plan }, &fleet(Vec::new())).0, None);
    }
}
