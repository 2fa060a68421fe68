//! In which condition a unit is: broken, on its way, or otherwise than it was left.
//!
//! Knows what a report says of one unit. Refuses to decide what is done about it.

use devnet_schema::{
    instance::{Generation, InstanceSpec},
    name::{InstanceId, NodeName},
    observed::{HealthState, InstanceState},
    plan::Drift,
};

use crate::{
    diff::{self, Difference},
    observed::Observed,
};

/// A unit that runs as declared and is neither healthy nor known to have failed.
#[derive(Debug, Clone)]
pub(crate) struct Starting {
    /// Which instance.
    pub id: InstanceId,
    /// Where it is.
    pub node: NodeName,
    /// As of which generation its node runs it.
    pub generation: Generation,
}

/// What of the running unit is not as declared; `None` when all is.
pub(crate) fn differs(unit: &Observed<'_>, spec: &InstanceSpec) -> Option<Difference> {
    if unit.seen.digest == spec.digest() {
        return None;
    }
    Some(match unit.spec() {
        // What it is said to be was not what it was told to be, which is as declared.
        Some(before) if before == spec => Difference {
            reason: "it runs something else than it was told to".to_owned(),
            ..Difference::default()
        },
        Some(before) => diff::between(before, spec),
        None => Difference {
            reason: "it runs something else, of which nothing more is known".to_owned(),
            ..Difference::default()
        },
    })
}

/// Why it has to be put right though its content is right.
///
/// Of what runs at certain times, a run that failed is told, and the next one is the cure.
pub(crate) fn broken(unit: &Observed<'_>) -> Option<String> {
    match (unit.seen.state, unit.seen.health) {
        (InstanceState::Exited, _) => Some(match unit.seen.message.as_deref() {
            Some(message) if message.starts_with("exited") => format!("it {message}"),
            Some(message) => format!("it does not run: {message}"),
            None => "it does not run".to_owned(),
        }),
        (InstanceState::Running, HealthState::Unhealthy) => Some(match &unit.seen.message {
            Some(message) => format!("it is unhealthy: {message}"),
            None => "it is unhealthy".to_owned(),
        }),
        _ => None,
    }
}

/// A unit that is as declared, if it does not serve yet and may do so soon.
pub(crate) fn starting(unit: &Observed<'_>) -> Option<Starting> {
    let done = matches!(unit.seen.state, InstanceState::Running | InstanceState::Completed);
    let waits_for_its_time = unit.seen.state == InstanceState::Scheduled;
    let serves = waits_for_its_time || done && unit.seen.health == HealthState::Healthy;
    let waits = unit.is_known() && !serves && broken(unit).is_none();
    waits.then(|| Starting {
        id: unit.runs_as(),
        node: unit.node().clone(),
        generation: unit.seen.generation,
    })
}

/// What of a unit is not as it was left.
pub(crate) fn drift(id: &InstanceId, unit: &Observed<'_>) -> Option<Drift> {
    let what = if unit.is_known() {
        broken(unit)?
    } else {
        format!("state unknown: {}", unit.why_unknown())
    };
    let what = what.strip_prefix("it ").map(str::to_owned).unwrap_or(what);
    Some(Drift { instance: id.clone(), node: unit.node().clone(), what })
}
