//! From what the engine lists to units.
//!
//! Knows labels and states. Refuses to take a container for ours that lacks a label, and to tell
//! one by its name: whoever may use the engine may give it another.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use bollard::{
    errors::Error,
    models::{
        ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status,
        ContainerSummary, ContainerSummaryStateEnum, Network,
    },
    query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder},
};
use devnet_schema::{
    container::NetworkSpec,
    digest::Digest,
    instance::{Generation, InstanceSpec, Runtime, Workload},
    name::InstanceId,
    observed::InstanceState,
    secret::SecretRef,
};

use super::{
    bridges,
    create::{container_name, label},
    engine::{self, Engine},
    networks,
};
use crate::driver::{Owner, Unit};

/// A container of the owner's, whatever it is called.
#[derive(Debug, Clone)]
pub struct Found {
    /// The engine's id.
    pub container: String,
    /// Its present name, without the leading slash.
    pub name: String,
    /// Which instance it is of.
    pub id: InstanceId,
    /// As which generation it was made.
    pub generation: Generation,
    /// Whether it ran at some time.
    pub started: bool,
    /// When it was made, in seconds since 1970.
    created: i64,
    labels: HashMap<String, String>,
}

impl Found {
    /// The digest of the spec that it was made from.
    pub fn digest(&self) -> Digest {
        Digest::from(self.labels.get(label::DIGEST).cloned().unwrap_or_default())
    }
}

/// The containers of one instance, told apart by what they did and never by what they are called.
#[derive(Debug, Default)]
pub struct Roles {
    /// The one that is the unit.
    pub current: Option<Found>,
    /// What an unfinished replacement or somebody's hand left beside it.
    pub leftovers: Vec<Found>,
}

impl Roles {
    /// Of all containers of one instance. The newest of those that ran is the unit. Where none
    /// ran, a successor that lacks only its start is, and one that has not its own name yet is not.
    pub fn of(mut group: Vec<Found>, name: &str) -> Self {
        group.sort_by(|a, b| {
            let age = |it: &Found| (it.started, it.generation, it.created);
            age(b).cmp(&age(a)).then_with(|| a.container.cmp(&b.container))
        });
        let first = group.first();
        let unit =
            first.is_some_and(|first| first.started) || group.iter().any(|it| it.name == name);
        if !unit {
            return Self { current: None, leftovers: group };
        }
        let at = group.iter().position(|it| it.started || it.name == name).unwrap_or(0);
        let current = Some(group.remove(at));
        Self { current, leftovers: group }
    }
}

/// Every instance of the owner's that has a container.
///
/// # Errors
/// When the engine does not answer.
pub async fn roles(engine: &Engine, owner: &Owner) -> Result<BTreeMap<InstanceId, Roles>, Error> {
    let mut groups: BTreeMap<InstanceId, Vec<Found>> = BTreeMap::new();
    for found in all(engine, owner).await? {
        groups.entry(found.id.clone()).or_default().push(found);
    }
    let roles = groups.into_iter().map(|(id, group)| {
        let roles = Roles::of(group, &container_name(&owner.cluster, &id));
        (id, roles)
    });
    Ok(roles.collect())
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
    let generation = labels.get(label::GENERATION).and_then(|text| text.parse().ok()).unwrap_or(0);
    Some(Found {
        container: summary.id?,
        name: name.trim_start_matches('/').to_owned(),
        id: InstanceId { service, index },
        generation,
        started: summary.state != Some(ContainerSummaryStateEnum::CREATED),
        created: summary.created.unwrap_or(0),
        labels,
    })
}

/// The units among them, in order. What is left aside is not listed. `redact` takes the values of
/// a unit's secrets out of what the engine says about it.
///
/// # Errors
/// When the engine does not answer.
pub async fn units(
    engine: &Engine,
    owner: &Owner,
    redact: impl Fn(Option<&[SecretRef]>, &str) -> String,
) -> Result<Vec<Unit>, Error> {
    let mut units: Vec<Unit> = Vec::new();
    let roles = roles(engine, owner).await?;
    for found in roles.into_values().filter_map(|roles| roles.current) {
        match inspect(engine, &found.container).await {
            Ok(seen) => units.push(unit(found, seen, &redact)),
            // It went away in between.
            Err(error) if engine::is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let joins = |unit: &Unit| unit.spec.as_deref().is_some_and(|it| !networks::of(it).is_empty());
    if units.iter().any(joins) {
        let there = bridges::all(engine, owner).await?;
        units.iter_mut().for_each(|unit| in_networks(unit, &there));
    }
    Ok(units)
}

/// A unit runs in its networks as they are, whatever it was made with: a network that was changed,
/// by hand or for another unit, makes it another one, which whoever plans has to see.
fn in_networks(unit: &mut Unit, there: &BTreeMap<String, Network>) {
    let Some(spec) = &mut unit.spec else { return };
    let as_it_is = |network: &NetworkSpec| {
        let seen = there.get(&networks::name(&spec.cluster, network));
        seen.map_or_else(|| network.clone(), |seen| networks::as_it_is(network, seen))
    };
    let now: Vec<NetworkSpec> = networks::of(spec).iter().map(as_it_is).collect();
    if now == networks::of(spec) {
        return;
    }
    let spec = Arc::make_mut(spec);
    if let Workload::Container(container) = &mut spec.workload {
        container.networks = now;
    }
    unit.digest = spec.digest();
}

/// Looks at one container.
///
/// # Errors
/// When it is not there, or the engine does not answer.
pub async fn inspect(engine: &Engine, name: &str) -> Result<ContainerInspectResponse, Error> {
    engine.client.inspect_container(name, None::<InspectContainerOptions>).await
}

fn unit(
    found: Found,
    seen: ContainerInspectResponse,
    redact: &impl Fn(Option<&[SecretRef]>, &str) -> String,
) -> Unit {
    let label = |name: &str| found.labels.get(name);
    let spec = label(label::SPEC).and_then(|json| serde_json::from_str::<InstanceSpec>(json).ok());
    let digest = found.digest();
    let generation = found.generation;
    let address = address(&seen);
    let restarts = seen.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let state = seen.state.unwrap_or_default();
    let started = state.started_at.clone().unwrap_or_default();
    // A label that was changed by hand is not what runs; the digest tells.
    let spec = spec.filter(|spec| spec.digest() == digest).map(Arc::new);
    let wanted = spec.as_ref().map(|spec| spec.secrets());
    let (running, message) = running(&state, |error| redact(wanted.as_deref(), error));
    Unit {
        spec,
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

fn running(
    state: &ContainerState,
    redact: impl Fn(&str) -> String,
) -> (InstanceState, Option<String>) {
    let ended = || {
        let code = state.exit_code.unwrap_or_default();
        let error = state.error.as_deref().filter(|error| !error.is_empty());
        let memory = if state.oom_killed == Some(true) { " (out of memory)" } else { "" };
        match error {
            Some(error) => format!("exited with code {code}{memory}: {}", redact(error)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, started: bool, generation: Generation, created: i64) -> Found {
        Found {
            container: format!("id-{name}"),
            name: name.to_owned(),
            id: "web[0]".parse().unwrap(),
            generation,
            started,
            created,
            labels: HashMap::new(),
        }
    }

    /// The name of the unit, and the names of what is left beside it.
    fn roles(group: &[Found]) -> (Option<String>, Vec<String>) {
        let Roles { current, leftovers } = Roles::of(group.to_vec(), "web");
        (current.map(|it| it.name), leftovers.into_iter().map(|it| it.name).collect())
    }

    #[test]
    fn a_container_is_the_unit_whatever_it_is_called() {
        let renamed = found("mine", true, 1, 10);
        assert_eq!(roles(std::slice::from_ref(&renamed)), (Some("mine".into()), vec![]));
        let newer = found("web", true, 2, 20);
        assert_eq!(roles(&[renamed, newer]), (Some("web".into()), vec!["mine".into()]));
        let same = [found("web", true, 1, 10), found("copy", true, 1, 20)];
        assert_eq!(roles(&same), (Some("copy".into()), vec!["web".into()]));
    }

    #[test]
    fn a_successor_is_the_unit_once_it_was_started() {
        let old = found("web-old", true, 1, 10);
        let ready = found("web", false, 2, 20);
        assert_eq!(roles(&[old.clone(), ready]), (Some("web-old".into()), vec!["web".into()]));
        let runs = found("web", true, 2, 20);
        assert_eq!(roles(&[old, runs]), (Some("web".into()), vec!["web-old".into()]));
        let next = found("web-next", false, 2, 20);
        assert_eq!(roles(&[next]), (None, vec!["web-next".into()]));
        let ready = found("web", false, 2, 20);
        assert_eq!(roles(&[ready]), (Some("web".into()), vec![]));
    }
}
