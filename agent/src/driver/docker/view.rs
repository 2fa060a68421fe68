//! From what the engine lists to units.
//!
//! Knows labels and states. Refuses to take a container for ours that lacks a label, and to tell
//! one by its name: whoever may use the engine may give it another.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use bollard::{
    errors::Error,
    models::{
        ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status,
        ContainerSummary, ContainerSummaryStateEnum, EndpointSettings, Network,
        RestartPolicyNameEnum,
    },
    query_parameters::ListContainersOptionsBuilder,
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
    create::{NEXT, OLD, container_name, label},
    engine::{self, Engine},
    networks,
};
use crate::{
    driver::{DriverError, Owner, Unit},
    secrets::Secrets,
};

/// A container of the owner's, whatever it is called.
#[derive(Debug, Clone)]
pub(super) struct Found {
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
    /// Whether it runs now, or the engine starts it again.
    pub live: bool,
    /// When it was made, in seconds since 1970.
    created: i64,
    labels: HashMap<String, String>,
}

impl Found {
    /// The digest of the spec that it was made from.
    pub(super) fn digest(&self) -> Digest {
        Digest::from(self.labels.get(label::DIGEST).cloned().unwrap_or_default())
    }

    /// The spec that it was made from. A label that was changed by hand is not what runs; the
    /// digest tells.
    pub(super) fn spec(&self) -> Option<InstanceSpec> {
        let json = self.labels.get(label::SPEC)?;
        let spec = serde_json::from_str::<InstanceSpec>(json).ok()?;
        (spec.digest() == self.digest()).then_some(spec)
    }

    /// What the engine said of it, without the values of its secrets; kept back as a whole where
    /// they are not here.
    pub(super) fn redact(&self, secrets: &Secrets, words: &str) -> String {
        let wanted = self.spec().map(|spec| spec.secrets());
        secrets.redact(wanted.as_deref(), words)
    }
}

/// The containers of one instance.
#[derive(Debug, Default)]
pub(super) struct Roles {
    /// The one that is the unit.
    pub current: Option<Found>,
    /// What an unfinished replacement left beside it, by its names.
    pub leftovers: Vec<Found>,
    /// Others with the labels of the instance: what somebody made of its container, as with
    /// `docker commit`, which copies labels. They are somebody's, and nobody but him removes them.
    pub copies: Vec<Found>,
}

impl Roles {
    /// Of all containers of one instance. The newest of those that ran is the unit, by generation,
    /// then by its name, then by when it was made. Where none ran, a successor that lacks only its
    /// start is, and one that has not its own name yet is not.
    pub(super) fn of(mut group: Vec<Found>, name: &str) -> Self {
        group.sort_by(|a, b| {
            let age = |it: &Found| (it.started, it.generation, it.name == name, it.created);
            age(b).cmp(&age(a)).then_with(|| a.container.cmp(&b.container))
        });
        let first = group.first();
        let unit =
            first.is_some_and(|first| first.started) || group.iter().any(|it| it.name == name);
        let current = unit.then(|| {
            let at = group.iter().position(|it| it.started || it.name == name).unwrap_or(0);
            group.remove(at)
        });
        let names = ["", NEXT, OLD].map(|end| format!("{name}{end}"));
        let (leftovers, copies) = group.into_iter().partition(|it| names.contains(&it.name));
        Self { current, leftovers, copies }
    }

    /// Whether nothing of an unfinished replacement is there.
    pub(super) fn is_settled(&self, name: &str) -> bool {
        let old = format!("{name}{OLD}");
        self.leftovers.is_empty() && self.current.as_ref().is_none_or(|it| it.name != old)
    }

    /// What an instance leaves when it is removed: all but a copy that runs.
    pub(super) fn removable(self) -> impl Iterator<Item = Found> {
        let ended = self.copies.into_iter().filter(|copy| !copy.live);
        self.current.into_iter().chain(self.leftovers).chain(ended)
    }

    /// Refuses to go on beside a copy that runs: it may be on the unit's volumes and ports.
    ///
    /// # Errors
    /// When there is one; the text names it.
    pub(super) fn check_alone(&self) -> Result<(), DriverError> {
        let Some(copy) = self.copies.iter().find(|copy| copy.live) else { return Ok(()) };
        Err(DriverError::failed(
            format!("{} cannot be changed", copy.id),
            format!(
                "container {} is in the way: it has the labels of {} and another name, as a copy \
                 that `docker commit` makes has",
                copy.name, copy.id
            ),
            format!(
                "end it with `docker rm -f {}`, or start it without the labels `devnet.*`",
                copy.name
            ),
        ))
    }
}

/// Every instance of the owner's that has a container.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn roles(
    engine: &Engine,
    owner: &Owner,
) -> Result<BTreeMap<InstanceId, Roles>, Error> {
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

/// The containers of one instance.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn roles_of(
    engine: &Engine,
    owner: &Owner,
    id: &InstanceId,
) -> Result<Roles, Error> {
    let only =
        [format!("{}={}", label::SERVICE, id.service), format!("{}={}", label::INDEX, id.index)];
    let mut found = listed(engine, owner, &only).await?;
    found.retain(|one| one.id == *id);
    Ok(Roles::of(found, &container_name(&owner.cluster, id)))
}

/// Every container of the owner's, also those that a replacement left aside.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn all(engine: &Engine, owner: &Owner) -> Result<Vec<Found>, Error> {
    listed(engine, owner, &[]).await
}

async fn listed(engine: &Engine, owner: &Owner, only: &[String]) -> Result<Vec<Found>, Error> {
    let mut labels = vec![
        format!("{}={}", label::CLUSTER, owner.cluster),
        format!("{}={}", label::NODE, owner.node),
    ];
    labels.extend_from_slice(only);
    let filters = HashMap::from([("label".to_owned(), labels)]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let listed = engine.containers(options).await?;
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
        live: is_live(summary.state),
        created: summary.created.unwrap_or(0),
        labels,
    })
}

/// Whether a container in this state runs, or is about to by itself.
pub(super) fn is_live(state: Option<ContainerSummaryStateEnum>) -> bool {
    use ContainerSummaryStateEnum::{PAUSED, RESTARTING, RUNNING};
    matches!(state, Some(RUNNING | PAUSED | RESTARTING))
}

/// The units among them, in order. What is left aside is not listed. `redact` takes the values of
/// a unit's secrets out of what the engine says about it.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn units(
    engine: &Engine,
    owner: &Owner,
    redact: impl Fn(Option<&[SecretRef]>, &str) -> String,
) -> Result<Vec<Unit>, Error> {
    let roles = roles(engine, owner).await?;
    let found = roles.into_values().filter_map(|roles| roles.current).collect();
    look_at(engine, owner, found, redact).await
}

/// The unit that one container is; nothing when it went away.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn unit_of(
    engine: &Engine,
    owner: &Owner,
    found: Found,
    redact: impl Fn(Option<&[SecretRef]>, &str) -> String,
) -> Result<Option<Unit>, Error> {
    Ok(look_at(engine, owner, vec![found], redact).await?.pop())
}

async fn look_at(
    engine: &Engine,
    owner: &Owner,
    all: Vec<Found>,
    redact: impl Fn(Option<&[SecretRef]>, &str) -> String,
) -> Result<Vec<Unit>, Error> {
    let mut units: Vec<(Unit, BTreeSet<String>)> = Vec::new();
    for found in all {
        match inspect(engine, &found.container).await {
            Ok(seen) => {
                let joined = joined(&seen);
                let left = left_behind(engine, owner, &found, &seen).await?;
                let mut unit = unit(found, seen, &redact);
                alone(&mut unit, &left);
                units.push((unit, joined));
            }
            // It went away in between.
            Err(error) if engine::is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let joins = |unit: &Unit| unit.spec.as_deref().is_some_and(|it| !networks::of(it).is_empty());
    if units.iter().any(|(unit, _)| joins(unit)) {
        let there = bridges::all(engine, owner).await?;
        units.iter_mut().for_each(|(unit, joined)| in_networks(unit, joined, &there));
    }
    Ok(units.into_iter().map(|(unit, _)| unit).collect())
}

/// The names of the networks that a container which runs is in. Docker goes on naming one that it
/// could not let the container into, without an endpoint; Podman names addresses and no endpoints.
fn joined(seen: &ContainerInspectResponse) -> BTreeSet<String> {
    let networks = seen.network_settings.as_ref().and_then(|all| all.networks.as_ref());
    let is_in = |endpoint: &EndpointSettings| {
        let EndpointSettings { endpoint_id, ip_address, global_ipv6_address, .. } = endpoint;
        let mut signs = [endpoint_id, ip_address, global_ipv6_address].into_iter().flatten();
        signs.any(|sign| !sign.is_empty())
    };
    let joined = networks.into_iter().flatten().filter(|(_, endpoint)| is_in(endpoint));
    joined.map(|(name, _)| name.clone()).collect()
}

/// A unit runs in its networks as they are, whatever it was made with: a network that was changed,
/// by hand or for another unit, or that it was taken out of, makes it another one, which whoever
/// plans has to see. One that does not run comes back into its networks with its start.
fn in_networks(unit: &mut Unit, joined: &BTreeSet<String>, there: &BTreeMap<String, Network>) {
    let runs = !matches!(unit.state, InstanceState::Exited | InstanceState::Completed);
    let Some(spec) = &mut unit.spec else { return };
    let as_it_is = |network: &NetworkSpec| {
        let name = networks::name(&spec.cluster, network);
        if runs && !joined.contains(&name) {
            return None;
        }
        let seen = there.get(&name);
        Some(seen.map_or_else(|| network.clone(), |seen| networks::as_it_is(network, seen)))
    };
    let now: Vec<NetworkSpec> = networks::of(spec).iter().filter_map(as_it_is).collect();
    if now == networks::of(spec) {
        return;
    }
    let spec = Arc::make_mut(spec);
    if let Workload::Container(container) = &mut spec.workload {
        container.networks = now;
    }
    unit.digest = spec.digest();
}

/// Those whose namespaces a container that runs should be in and is not: they were made anew, or
/// started again after it. It has no network any more then, whatever the engine says.
async fn left_behind(
    engine: &Engine,
    owner: &Owner,
    found: &Found,
    seen: &ContainerInspectResponse,
) -> Result<BTreeSet<InstanceId>, Error> {
    let mut left = BTreeSet::new();
    let Some(spec) = found.spec().filter(|_| found.live) else { return Ok(left) };
    let Workload::Container(container) = &spec.workload else { return Ok(left) };
    for share in &container.shares {
        let name = container_name(&owner.cluster, &share.with);
        let other = match inspect(engine, &name).await {
            Ok(other) => Some(other),
            Err(error) if engine::is_missing(&error) => None,
            Err(error) => return Err(error),
        };
        if !other.is_some_and(|other| lives_in(seen, &other)) {
            left.insert(share.with.clone());
        }
    }
    Ok(left)
}

/// Whether a container is in the namespaces that another one has now.
fn lives_in(seen: &ContainerInspectResponse, other: &ContainerInspectResponse) -> bool {
    let host = seen.host_config.as_ref();
    let modes = host.map(|host| [&host.network_mode, &host.pid_mode, &host.ipc_mode]);
    let joined =
        modes.into_iter().flatten().flatten().filter_map(|it| it.strip_prefix("container:"));
    let (id, name) = (other.id.as_deref(), other.name.as_deref());
    let name = name.map(|name| name.trim_start_matches('/'));
    let right = joined.into_iter().any(|one| Some(one) == id || Some(one) == name);
    let started = |one: &ContainerInspectResponse| -> Option<jiff::Timestamp> {
        one.state.as_ref()?.started_at.as_deref()?.parse().ok()
    };
    right && started(seen) >= started(other)
}

/// A unit that is left behind by those whose namespaces it was made for is another one than was
/// declared, which whoever plans has to see.
fn alone(unit: &mut Unit, left: &BTreeSet<InstanceId>) {
    let Some(spec) = unit.spec.as_mut().filter(|_| !left.is_empty()) else { return };
    let spec = Arc::make_mut(spec);
    if let Workload::Container(container) = &mut spec.workload {
        container.shares.retain(|share| !left.contains(&share.with));
    }
    unit.digest = spec.digest();
}

/// Looks at one container.
///
/// # Errors
/// When it is not there, or the engine does not answer.
pub(super) async fn inspect(
    engine: &Engine,
    name: &str,
) -> Result<ContainerInspectResponse, Error> {
    engine.container(name).await
}

fn unit(
    found: Found,
    seen: ContainerInspectResponse,
    redact: &impl Fn(Option<&[SecretRef]>, &str) -> String,
) -> Unit {
    let spec = found.spec().map(Arc::new);
    let digest = found.digest();
    let generation = found.generation;
    let address = address(&seen);
    // Of a container whose label could not hold its spec, what the engine was told says it.
    let never_again = seen.host_config.as_ref().and_then(|host| host.restart_policy.as_ref());
    let never_again = never_again.and_then(|policy| policy.name) == Some(RestartPolicyNameEnum::NO);
    let once = spec.as_ref().map_or(never_again, |spec| spec.run_once);
    let restarts = seen.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let state = seen.state.unwrap_or_default();
    let started = state.started_at.clone().unwrap_or_default();
    let wanted = spec.as_ref().map(|spec| spec.secrets());
    let (running, message) = running(&state, once, |error| redact(wanted.as_deref(), error));
    Unit {
        spec,
        id: found.id,
        generation,
        digest,
        runtime: Runtime::Docker,
        state: running,
        ending: false,
        restarts,
        message,
        address,
        run: format!("{}@{started}", found.container),
        started_at: started.parse::<jiff::Timestamp>().map_or(0, |at| at.as_millisecond()),
    }
}

fn running(
    state: &ContainerState,
    once: bool,
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
        Some(Status::EXITED) if once && state.exit_code == Some(0) => {
            (InstanceState::Completed, Some(ended()))
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
    use devnet_schema::instance::ContainerSpec;

    use super::*;

    fn found(name: &str, started: bool, generation: Generation, created: i64) -> Found {
        Found {
            container: format!("id-{name}"),
            name: name.to_owned(),
            id: "web[0]".parse().unwrap(),
            generation,
            started,
            live: started,
            created,
            labels: HashMap::new(),
        }
    }

    /// The name of the unit, and the names of what is left beside it.
    fn roles(group: &[Found]) -> (Option<String>, Vec<String>) {
        let Roles { current, leftovers, copies: _ } = Roles::of(group.to_vec(), "web");
        (current.map(|it| it.name), leftovers.into_iter().map(|it| it.name).collect())
    }

    #[test]
    fn a_container_is_the_unit_whatever_it_is_called() {
        let renamed = found("mine", true, 1, 10);
        assert_eq!(roles(std::slice::from_ref(&renamed)), (Some("mine".into()), vec![]));
        let newer = found("web", true, 2, 20);
        assert_eq!(roles(&[renamed, newer]), (Some("web".into()), vec![]));
    }

    #[test]
    fn a_copy_of_the_unit_is_not_the_unit_and_is_named_when_it_runs() {
        let unit = found("web", true, 1, 10);
        let copy = found("copy", true, 1, 20);
        let both = Roles::of(vec![unit.clone(), copy.clone()], "web");
        assert_eq!(both.current.as_ref().unwrap().name, "web");
        assert_eq!((both.leftovers.len(), both.copies.len()), (0, 1));
        let said = both.check_alone().unwrap_err().to_string();
        assert!(said.contains("container copy is in the way"), "{said}");
        let ended = Found { live: false, ..copy };
        Roles::of(vec![unit.clone(), ended], "web").check_alone().unwrap();
        // The newest generation is the unit, whatever it is called.
        let renamed = found("mine", true, 2, 20);
        let roles = Roles::of(vec![unit, renamed], "web");
        assert_eq!(roles.current.unwrap().name, "mine");
        assert_eq!(roles.leftovers[0].name, "web");
    }

    #[test]
    fn a_container_that_the_engine_starts_again_and_again_counts_as_running() {
        use ContainerSummaryStateEnum::{CREATED, EXITED, PAUSED, RESTARTING, RUNNING};
        assert!([RUNNING, PAUSED, RESTARTING].map(Some).into_iter().all(is_live));
        assert!(![Some(CREATED), Some(EXITED), None].into_iter().any(is_live));
    }

    #[test]
    fn a_unit_that_was_taken_out_of_a_network_is_another_one() {
        let network = NetworkSpec {
            project: "shop".parse().unwrap(),
            name: "back".into(),
            aliases: vec![],
            internal: false,
            subnet: None,
            gateway: None,
            address: None,
        };
        let mut spec = crate::sample::process(&[]);
        let networks = vec![network];
        spec.workload = Workload::Container(ContainerSpec { networks, ..ContainerSpec::default() });
        let look = |state, joined: &[&str]| {
            let mut unit = crate::sample::unit(&spec, 1, state);
            let joined = joined.iter().map(|&name| name.to_owned()).collect();
            in_networks(&mut unit, &joined, &BTreeMap::new());
            (unit.digest == spec.digest(), networks::of(unit.spec.as_deref().unwrap()).len())
        };
        let name = "devnet-home-shop.back";
        assert_eq!(look(InstanceState::Running, &["bridge", name]), (true, 1));
        assert_eq!(look(InstanceState::Running, &["bridge"]), (false, 0));
        assert_eq!(look(InstanceState::Exited, &[]), (true, 1), "its start brings it back");
    }

    #[test]
    fn a_network_that_is_named_without_an_endpoint_was_not_joined() {
        let seen = serde_json::json!({"NetworkSettings": {"Networks": {
            "docker": {"NetworkID": "n", "EndpointID": "e", "IPAddress": "10.0.0.2"},
            "podman": {"NetworkID": "podman", "EndpointID": "", "IPAddress": "10.0.0.2"},
            "refused": {"NetworkID": "n", "EndpointID": "", "IPAddress": ""},
        }}});
        let joined = joined(&serde_json::from_value(seen).unwrap());
        assert_eq!(joined.into_iter().collect::<Vec<_>>(), ["docker", "podman"]);
    }

    #[test]
    fn words_about_a_container_whose_values_are_not_here_are_kept_back() {
        use devnet_schema::secret::{Part, SecretRef, Text};
        let secret = SecretRef { name: "pw".parse().unwrap(), version: 1 };
        let mut spec = crate::sample::process(&[]);
        spec.env.insert("PASSWORD".into(), Text(vec![Part::Secret(secret)]));
        let mut one = found("web", true, 1, 10);
        one.labels.insert(label::DIGEST.into(), spec.digest().to_string());
        one.labels.insert(label::SPEC.into(), serde_json::to_string(&spec).unwrap());
        let secrets = Secrets::default();
        assert!(one.redact(&secrets, "exec: hunter2").contains("not shown"));
        one.labels.insert(label::SPEC.into(), "changed by hand".into());
        assert!(one.redact(&secrets, "exec: hunter2").contains("not shown"), "nor where unknown");
        let plain = crate::sample::process(&[]);
        one.labels.insert(label::DIGEST.into(), plain.digest().to_string());
        one.labels.insert(label::SPEC.into(), serde_json::to_string(&plain).unwrap());
        assert_eq!(one.redact(&secrets, "exec: no such file"), "exec: no such file");
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
