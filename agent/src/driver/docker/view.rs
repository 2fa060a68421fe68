//! From what the engine lists to units.
//!
//! Knows labels and states. Refuses to take a container for ours that lacks a label.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use bollard::{
    errors::Error,
    models::{
        ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status,
        ContainerSummary,
    },
    query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder},
};
use devnet_schema::{
    digest::Digest,
    instance::{InstanceSpec, Runtime},
    name::InstanceId,
    observed::InstanceState,
};

use super::{
    create::{container_name, label},
    engine::{self, Engine},
};
use crate::driver::{Owner, Unit};

/// A container of the owner's, whatever it is called.
pub struct Found {
    /// The engine's id.
    pub container: String,
    /// Its present name, without the leading slash.
    pub name: String,
    /// Which instance it is of.
    pub id: InstanceId,
    labels: HashMap<String, String>,
}

/// Every container of the owner's, also those that a replacement left aside.
///
/// # Errors
/// When the engine does not answer.
pub async fn all(engine: &Engine, owner: &Owner) -> Result<Vec<Found>, Error> {
    let labels = vec![
        format!("{}={}", label::CLUSTER, owner.cluster),
        format!("{}={}", label::NODE, owner.node),
    ];
    let filters = HashMap::from([("label".to_owned(), labels)]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let listed = engine.client.list_containers(Some(options)).await?;
    let mut found: Vec<_> = listed.into_iter().filter_map(|one| ours(one, owner)).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Checked again here: a filter that an engine does not know must not widen what is touched.
fn ours(summary: ContainerSummary, owner: &Owner) -> Option<Found> {
    let labels = summary.labels?;
    let is = |name: &str, value: &str| labels.get(name).is_some_and(|found| found == value);
    if !is(label::CLUSTER, owner.cluster.as_str()) || !is(label::NODE, owner.node.as_str()) {
        return None;
    }
    let service = labels.get(label::SERVICE)?.parse().ok()?;
    let index = labels.get(label::INDEX)?.parse().ok()?;
    let name = summary.names?.into_iter().next()?;
    Some(Found {
        container: summary.id?,
        name: name.trim_start_matches('/').to_owned(),
        id: InstanceId { service, index },
        labels,
    })
}

/// The units among them, in order. What is left aside is not listed.
///
/// # Errors
/// When the engine does not answer.
pub async fn units(engine: &Engine, owner: &Owner) -> Result<Vec<Unit>, Error> {
    let mut units = Vec::new();
    for found in all(engine, owner).await? {
        if found.name != container_name(&owner.cluster, &found.id) {
            continue;
        }
        match inspect(engine, &found.container).await {
            Ok(seen) => units.push(unit(found, seen)),
            // It went away in between.
            Err(error) if engine::is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    units.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(units)
}

/// Looks at one container.
///
/// # Errors
/// When it is not there, or the engine does not answer.
pub async fn inspect(engine: &Engine, name: &str) -> Result<ContainerInspectResponse, Error> {
    engine.client.inspect_container(name, None::<InspectContainerOptions>).await
}

fn unit(found: Found, seen: ContainerInspectResponse) -> Unit {
    let label = |name: &str| found.labels.get(name);
    let spec = label(label::SPEC).and_then(|json| serde_json::from_str::<InstanceSpec>(json).ok());
    let digest = Digest::from(label(label::DIGEST).cloned().unwrap_or_default());
    let generation = label(label::GENERATION).and_then(|text| text.parse().ok()).unwrap_or(0);
    let address = address(&seen);
    let restarts = seen.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let state = seen.state.unwrap_or_default();
    let started = state.started_at.clone().unwrap_or_default();
    let (running, message) = running(&state);
    Unit {
        // A label that was changed by hand is not what runs; the digest tells.
        spec: spec.filter(|spec| spec.digest() == digest).map(Arc::new),
        id: found.id,
        generation,
        digest,
        runtime: Runtime::Docker,
        state: running,
        restarts,
        message,
        address,
        run: format!("{}@{started}", found.container),
        started_at: started.parse::<jiff::Timestamp>().map_or(0, |at| at.as_millisecond()),
    }
}

fn running(state: &ContainerState) -> (InstanceState, Option<String>) {
    let ended = || {
        let code = state.exit_code.unwrap_or_default();
        let error = state.error.as_deref().filter(|error| !error.is_empty());
        let memory = if state.oom_killed == Some(true) { " (out of memory)" } else { "" };
        match error {
            Some(error) => format!("exited with code {code}{memory}: {error}"),
            None => format!("exited with code {code}{memory}"),
        }
    };
    match state.status {
        Some(Status::RUNNING) => (InstanceState::Running, None),
        Some(Status::PAUSED) => (InstanceState::Running, Some("paused by hand".to_owned())),
        Some(Status::RESTARTING) => {
            (InstanceState::Starting, Some(format!("{}; starting it again", ended())))
        }
        Some(Status::CREATED) => {
            (InstanceState::Exited, Some("was created and never started".to_owned()))
        }
        _ => (InstanceState::Exited, Some(ended())),
    }
}

/// Its address in the first network that gave it one.
fn address(seen: &ContainerInspectResponse) -> Option<IpAddr> {
    let networks = seen.network_settings.as_ref()?.networks.as_ref()?;
    let mut addresses: Vec<IpAddr> = networks
        .values()
        .filter_map(|network| network.ip_address.as_deref()?.parse().ok())
        .collect();
    addresses.sort();
    addresses.into_iter().next()
}
