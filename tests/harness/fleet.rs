//! What a fleet looks like once a plan was carried out.
//!
//! Knows plan files and snapshots. Refuses to plan: the command line did.

use std::{fs, path::Path};

use devnet_schema::{
    fleet::FleetSnapshot,
    instance::InstanceSpec,
    observed::{HealthState, InstanceState},
    plan::Plan,
};
use serde_json::{Value, json};

/// The snapshot `fleet` with everything running that the plan in `plan_file` starts, and nothing
/// that it stops.
///
/// # Panics
/// When one of them is not what it should be.
pub fn after(plan_file: &Path, fleet: &str) -> String {
    let text = fs::read_to_string(plan_file).expect("a plan file can be read");
    let (_, body) = text.split_once('\n').expect("a plan file has a header");
    let plan: Plan = serde_json::from_str(body).expect("a plan");
    let mut fleet: FleetSnapshot = serde_json::from_str(fleet).expect("a fleet");
    let changed: Vec<_> = plan.changes.iter().map(|change| change.instance.clone()).collect();
    fleet.instances.retain(|seen| !changed.contains(&seen.instance()));
    let specs = plan.changes.into_iter().filter_map(|change| change.after);
    fleet.instances.extend(
        specs.map(|spec| serde_json::from_value(running(&spec)).expect("an observed instance")),
    );
    serde_json::to_string_pretty(&fleet).expect("a fleet has a text")
}

fn running(spec: &InstanceSpec) -> Value {
    json!({
        "id": format!("{}-{}", spec.id.service, spec.id.index),
        "service": spec.id.service,
        "index": spec.id.index,
        "node": spec.node,
        "generation": 1,
        "digest": spec.digest(),
        "state": InstanceState::Running,
        "health": HealthState::Healthy,
        "spec": spec,
    })
}
