//! Networks on the engine: made once, made anew when they are declared otherwise, swept away when
//! nobody is in them.
//!
//! Knows how containers are carried over from one network to another while they run. Refuses to
//! touch a network or a container without this cluster's label.

use std::collections::{BTreeMap, HashMap};

use bollard::{
    errors::Error,
    models::{
        EndpointSettings, Network, NetworkConnectRequest, NetworkCreateRequest,
        NetworkDisconnectRequest,
    },
    query_parameters::{
        InspectNetworkOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    },
};
use devnet_schema::{container::NetworkSpec, instance::InstanceSpec};

use super::{
    create::label,
    engine::{Engine, explain, is_missing, words},
    locks::{Shared, Using},
    networks, view,
};
use crate::{
    driver::{DriverError, Owner, Progress},
    secrets::Values,
};

/// How often a network is looked at again after it was put right. Once is enough, unless another
/// agent of the same engine does the same at the same time.
const LOOKS: u32 = 3;

/// A container in a network.
struct Member {
    container: String,
    name: String,
    /// It is not of this cluster.
    foreign: bool,
    endpoint: EndpointSettings,
}

/// What is asked of a network that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// That it is as the unit declares it; else it is made anew.
    AsDeclared,
    /// Nothing: the unit is only started again, and another may have changed it since.
    AsItIs,
}

/// The networks of a unit. Nobody changes or removes them while the locks are held.
///
/// # Errors
/// When the engine does not make them, or something that is not devnet's is in the way.
pub(super) async fn hold(
    engine: &Engine,
    shared: &Shared,
    spec: &InstanceSpec,
    want: Want,
    progress: &Progress,
) -> Result<Vec<Using>, DriverError> {
    let mut wanted: Vec<(String, &NetworkSpec)> =
        networks::of(spec).iter().map(|it| (networks::name(&spec.cluster, it), it)).collect();
    // In one order for everybody, so that nobody waits for whom it keeps waiting.
    wanted.sort_by(|a, b| a.0.cmp(&b.0));
    let mut held = Vec::new();
    for (name, network) in wanted {
        let using = shared.networks.using(&name).await;
        let there = named(engine, spec, &name).await?;
        if settled(network, &there) || want == Want::AsItIs && !there.is_empty() {
            held.push(using);
            continue;
        }
        drop(using);
        let making = shared.networks.making(&name).await;
        put_right(engine, spec, network, &name, progress).await?;
        held.push(making.downgrade());
    }
    Ok(held)
}

/// What stands in the way of a unit's networks and can be known before anything is changed.
///
/// # Errors
/// The first of it.
pub(super) async fn check(engine: &Engine, spec: &InstanceSpec) -> Result<(), DriverError> {
    for network in networks::external(spec) {
        let name = &network.name;
        match engine.client.inspect_network(name, None::<InspectNetworkOptions>).await {
            Ok(_) => {}
            Err(error) if is_missing(&error) => {
                return Err(DriverError::failed(
                    format!("{} cannot join network {name}", spec.id),
                    "it is external, and this node's engine has none of that name",
                    format!(
                        "make it with `docker network create {name}` on the node, or place the \
                         service where it is"
                    ),
                ));
            }
            Err(error) => {
                let act = format!("network {name} cannot be looked at");
                return Err(explain(act, &error, &Values::default()));
            }
        }
    }
    for network in networks::of(spec) {
        let name = networks::name(&spec.cluster, network);
        let there = named(engine, spec, &name).await?;
        if settled(network, &there) {
            continue;
        }
        for old in &there {
            let members = members(engine, spec, old).await?;
            check_members(&name, network, old, &members)?;
        }
    }
    Ok(())
}

/// Whether it is there once, and as declared.
fn settled(network: &NetworkSpec, there: &[Network]) -> bool {
    matches!(there, [one] if networks::difference(network, one).is_none())
}

/// Every network of that name; engines before Docker 25 may have several.
async fn named(
    engine: &Engine,
    spec: &InstanceSpec,
    name: &str,
) -> Result<Vec<Network>, DriverError> {
    let filters = HashMap::from([("name".to_owned(), vec![name.to_owned()])]);
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let listed = engine.client.list_networks(Some(options)).await;
    let mut there =
        listed.map_err(|error| explain("networks cannot be listed", &error, &Values::default()))?;
    // The engine's filter takes part of a name, too.
    there.retain(|network| network.name.as_deref() == Some(name));
    let ours = |network: &Network| has(network.labels.as_ref(), spec);
    if let Some(foreign) = there.iter().find(|network| !ours(network)) {
        return Err(DriverError::failed(
            format!("network {name} cannot be used"),
            format!(
                "a network of that name is there that is not devnet's: {} lacks the label {}={}",
                id(foreign).get(..12).unwrap_or(id(foreign)),
                label::CLUSTER,
                spec.cluster
            ),
            "remove it on the node with `docker network rm`, or rename the service",
        ));
    }
    // The oldest stays, so that two agents of one engine keep the same one.
    there.sort_by_cached_key(|network| {
        let created = network.created.as_deref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        (created, id(network).to_owned())
    });
    Ok(there)
}

/// Whether labels are of the spec's cluster. The node is not asked: one that was given another name
/// goes on with what it has.
fn has(labels: Option<&HashMap<String, String>>, spec: &InstanceSpec) -> bool {
    labels.and_then(|all| all.get(label::CLUSTER)).map(String::as_str)
        == Some(spec.cluster.as_str())
}

fn id(network: &Network) -> &str {
    network.id.as_deref().unwrap_or_default()
}

/// What a network is called when it is removed: its id, since engines before Docker 25 may have
/// several of one name. Podman has one of each, and (seen with 4.3.1) by its id removes even one
/// that containers are in.
fn handle<'a>(engine: &Engine, network: &'a Network) -> &'a str {
    match &network.name {
        Some(name) if engine.podman => name,
        _ => id(network),
    }
}

/// Makes it so that the network is there once and as declared.
async fn put_right(
    engine: &Engine,
    spec: &InstanceSpec,
    network: &NetworkSpec,
    name: &str,
    progress: &Progress,
) -> Result<(), DriverError> {
    for _ in 0..LOOKS {
        let there = named(engine, spec, name).await?;
        if settled(network, &there) {
            return Ok(());
        }
        let right = there.iter().position(|it| networks::difference(network, it).is_none());
        let mut away = there;
        let keep = right.map(|right| away.remove(right));
        let mut carried = Vec::new();
        for old in &away {
            let members = members(engine, spec, old).await?;
            check_members(name, network, old, &members)?;
            carried.push(members);
        }
        if let Some(old) = away.first().filter(|_| keep.is_none()) {
            let why = networks::difference(network, old).unwrap_or_default();
            tracing::info!(network = %name, %why, "making a network anew");
            progress.say(format!(
                "making network {name} anew: {why}; its containers lose their connections"
            ));
        }
        replace(engine, (spec, network, name), keep, &away, &carried).await?;
    }
    Err(DriverError::failed(
        format!("network {name} cannot be used"),
        "it does not become what is declared, or is made again and again by somebody else",
        "look at it with `docker network inspect` on the node",
    ))
}

/// Refuses to take a network away from containers that are not devnet's.
fn check_members(
    name: &str,
    network: &NetworkSpec,
    old: &Network,
    members: &[Member],
) -> Result<(), DriverError> {
    let Some(Member { name: foreign, .. }) = members.iter().find(|member| member.foreign) else {
        return Ok(());
    };
    let why = networks::difference(network, old).unwrap_or_else(|| "it is there twice".to_owned());
    Err(DriverError::failed(
        format!("network {name} cannot be made anew, which has to be because {why}"),
        format!("container {foreign} is in it, and is not devnet's"),
        format!("take it out with `docker network disconnect {name} {foreign}`"),
    ))
}

async fn members(
    engine: &Engine,
    spec: &InstanceSpec,
    network: &Network,
) -> Result<Vec<Member>, DriverError> {
    // Those that do not run are in it too.
    let filters = HashMap::from([("network".to_owned(), vec![id(network).to_owned()])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let listed = engine.containers(options).await;
    let listed = listed
        .map_err(|error| explain("containers cannot be listed", &error, &Values::default()))?;
    let name = network.name.as_deref().unwrap_or_default();
    let mut members = Vec::new();
    for one in listed {
        let Some(container) = one.id else { continue };
        // The list says nothing of further names in the network.
        let seen = match view::inspect(engine, &container).await {
            Ok(seen) => seen,
            // It went away in between.
            Err(error) if is_missing(&error) => continue,
            Err(error) => {
                let act = format!("container {container} cannot be looked at");
                return Err(explain(act, &error, &Values::default()));
            }
        };
        let networks = seen.network_settings.and_then(|all| all.networks);
        let endpoint = networks.and_then(|mut all| all.remove(name)).unwrap_or_default();
        // What the engine found out by itself is not asked for again.
        let EndpointSettings { aliases, ipam_config, .. } = endpoint;
        let called = one.names.and_then(|names| names.into_iter().next());
        let called = called.unwrap_or_else(|| container.clone());
        let ours = has(one.labels.as_ref(), spec);
        members.push(Member {
            container,
            name: called.trim_start_matches('/').to_owned(),
            foreign: !ours,
            endpoint: EndpointSettings { aliases, ipam_config, ..EndpointSettings::default() },
        });
    }
    Ok(members)
}

/// Takes `away` away and carries who is in them over to `keep`, or to a new one. When that cannot
/// be made, the first of the old ones is made again.
async fn replace(
    engine: &Engine,
    (spec, network, name): (&InstanceSpec, &NetworkSpec, &str),
    keep: Option<Network>,
    away: &[Network],
    carried: &[Vec<Member>],
) -> Result<(), DriverError> {
    let none = Values::default();
    let remove = async {
        for (old, members) in away.iter().zip(carried) {
            for member in members {
                leave(engine, id(old), &member.container).await?;
            }
            match engine.client.remove_network(handle(engine, old)).await {
                Err(error) if !is_missing(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    };
    let kept = keep.as_ref().map(|keep| id(keep).to_owned());
    let made = match (remove.await, kept) {
        (Err(error), _) => Err(error),
        (Ok(()), Some(kept)) => Ok(kept),
        (Ok(()), None) => create(engine, networks::request(spec, network, name)).await,
    };
    let (there, result) = match made {
        Ok(there) => (Some(there), Ok(())),
        Err(error) => {
            let error = explain(format!("network {name} cannot be made"), &error, &none);
            // By name: it is still there when it could not be removed.
            let there = match (named(engine, spec, name).await, away.first()) {
                // It is not known which is there; the engine knows it by its name.
                (Err(_), _) => Some(name.to_owned()),
                (Ok(left), old) => match (left.first(), old) {
                    (Some(left), _) => Some(id(left).to_owned()),
                    (None, Some(old)) => create(engine, networks::again(old)).await.ok(),
                    (None, None) => None,
                },
            };
            (there, Err(error))
        }
    };
    let mut lost = Vec::new();
    for member in carried.iter().flatten() {
        let carried = match &there {
            Some(there) => carry(engine, there, member).await.map_err(|error| words(&error)),
            None => Err("the network is not there any more".to_owned()),
        };
        if let Err(why) = carried {
            tracing::warn!(container = %member.name, %why, "a container lost a network");
            lost.push(format!("{} ({why})", member.name));
        }
    }
    told(name, result, &lost)
}

/// What making a network anew came to, with who could not be carried over to it.
fn told(name: &str, made: Result<(), DriverError>, lost: &[String]) -> Result<(), DriverError> {
    if lost.is_empty() {
        return made;
    }
    let without = format!("without it are now: {}", lost.join(", "));
    Err(match made {
        Ok(()) => DriverError::failed(
            format!("network {name} was made anew, and not all could be carried over to it"),
            without,
            format!(
                "give it room for all, and plan again, or join them to it with `docker network \
                 connect {name} CONTAINER`"
            ),
        ),
        Err(error) => error.and(&without),
    })
}

async fn create(engine: &Engine, request: NetworkCreateRequest) -> Result<String, Error> {
    engine.client.create_network(request).await.map(|made| made.id)
}

async fn leave(engine: &Engine, network: &str, container: &str) -> Result<(), Error> {
    let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
    match engine.client.disconnect_network(network, request).await {
        Err(error) if is_missing(&error) || words(&error).contains("is not connected") => Ok(()),
        other => other,
    }
}

/// Lets a container into a network. One whose fixed address is not of the new range gets another:
/// its own step, which follows, says which.
async fn carry(engine: &Engine, network: &str, member: &Member) -> Result<(), Error> {
    let Member { container, name: _, foreign: _, endpoint } = member;
    let mut result = connect(engine, network, container, endpoint.clone()).await;
    if result.is_err() && endpoint.ipam_config.is_some() {
        let endpoint = EndpointSettings { ipam_config: None, ..endpoint.clone() };
        result = connect(engine, network, container, endpoint).await;
    }
    match result {
        // Some were not taken out before the removal failed.
        Err(error) if is_in(&error) => Ok(()),
        Err(error) => match view::inspect(engine, container).await {
            // It went away in between.
            Err(gone) if is_missing(&gone) => Ok(()),
            _ => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

/// Whether the engine says that a container is in the network, in the words of Docker and Podman.
fn is_in(error: &Error) -> bool {
    let words = words(error);
    words.contains("already exists in network") || words.contains("already connected")
}

async fn connect(
    engine: &Engine,
    network: &str,
    container: &str,
    endpoint: EndpointSettings,
) -> Result<(), Error> {
    let request =
        NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint) };
    engine.client.connect_network(network, request).await
}

/// Joins a container to those of its networks that it is not in: all but the first after it was
/// created, and whichever it was taken out of, or was in before somebody removed it: what is there
/// now under that name is another network to the engine.
///
/// # Errors
/// When the engine does not.
pub(super) async fn join(
    engine: &Engine,
    spec: &InstanceSpec,
    container: &str,
) -> Result<(), Error> {
    if networks::of(spec).is_empty() && networks::external(spec).is_empty() {
        return Ok(());
    }
    let seen = view::inspect(engine, container).await?.network_settings.unwrap_or_default();
    let seen = seen.networks.unwrap_or_default();
    for network in networks::of(spec) {
        let name = networks::name(&spec.cluster, network);
        let there = engine.client.inspect_network(&name, None::<InspectNetworkOptions>).await?;
        let there = there.id.unwrap_or_default();
        match seen.get(&name).map(|joined| joined.network_id.as_deref().unwrap_or_default()) {
            // Podman says the name. One that was never started has no id yet.
            Some(joined) if joined.is_empty() || joined == there || joined == name => continue,
            Some(_) => leave(engine, &there, container).await?,
            None => {}
        }
        connect(engine, &there, container, networks::endpoint(network)).await?;
    }
    for network in networks::external(spec).iter().filter(|one| !seen.contains_key(&one.name)) {
        connect(engine, &network.name, container, networks::guest(network)).await?;
    }
    Ok(())
}

/// The networks of the owner's cluster, by name.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn all(
    engine: &Engine,
    owner: &Owner,
) -> Result<BTreeMap<String, Network>, Error> {
    let labels = vec![format!("{}={}", label::CLUSTER, owner.cluster), label::PROJECT.to_owned()];
    let filters = HashMap::from([("label".to_owned(), labels)]);
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let listed = engine.client.list_networks(Some(options)).await?;
    Ok(listed.into_iter().filter_map(|one| Some((one.name.clone()?, one))).collect())
}

/// Removes networks of ours that no container is in. What stays behind harms nobody: the next
/// removal tries again.
pub(super) async fn sweep(engine: &Engine, shared: &Shared, owner: &Owner) {
    let labels = vec![
        format!("{}={}", label::CLUSTER, owner.cluster),
        format!("{}={}", label::NODE, owner.node),
        label::PROJECT.to_owned(),
    ];
    let filters = HashMap::from([("label".to_owned(), labels)]);
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let Ok(networks) = engine.client.list_networks(Some(options)).await else { return };
    for network in networks {
        let Some(name) = &network.name else { continue };
        // Somebody who uses it now is about to be in it.
        let Some(_making) = shared.networks.making_now(name) else { continue };
        if let Err(error) = engine.client.remove_network(handle(engine, &network)).await {
            // Most often a container is in it still.
            tracing::debug!(network = %name, error = %words(&error), "a network stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::small::SmallEngine, *};

    #[test]
    fn whoever_lost_a_network_is_named() {
        told("n", Ok(()), &[]).unwrap();
        let lost = ["db (no room)".to_owned()];
        let said = told("n", Ok(()), &lost).unwrap_err().to_string();
        assert!(said.contains("without it are now: db (no room)"), "{said}");
        let failed = DriverError::failed("network n cannot be made", "overlap", "do so");
        let said = told("n", Err(failed), &lost).unwrap_err().to_string();
        assert!(said.starts_with("network n cannot be made: overlap; do so; "), "{said}");
        assert!(said.contains("without it are now: db (no room)"), "{said}");
    }

    /// One network with one container, and what became of carrying it over.
    async fn carried(
        answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static,
    ) -> (DriverError, Vec<String>) {
        let small = SmallEngine::new(answer);
        let spec = crate::sample::process(&[]);
        let network = NetworkSpec {
            project: "shop".parse().unwrap(),
            name: "back".into(),
            aliases: vec![],
            internal: false,
            subnet: None,
            gateway: None,
            address: None,
        };
        let old = Network { id: Some("old".into()), ..Network::default() };
        let endpoint = EndpointSettings::default();
        let (container, name) = ("c1".to_owned(), "db".to_owned());
        let member = Member { container, name, foreign: false, endpoint };
        let what = (&spec, &network, "net");
        let made = replace(&small.engine, what, None, &[old], &[vec![member]]).await;
        (made.unwrap_err(), small.asked())
    }

    fn refused(why: &str) -> (u16, String) {
        (500, format!(r#"{{"message":"{why}"}}"#))
    }

    #[tokio::test]
    async fn a_step_fails_when_a_container_is_left_without_its_network() {
        let (error, asked) = carried(|asked| match asked {
            "POST /networks/create" => (201, r#"{"Id":"new","Warning":""}"#.to_owned()),
            "POST /networks/new/connect" => refused("no available IPv4 addresses"),
            _ => (200, "{}".to_owned()),
        })
        .await;
        let said = error.to_string();
        assert!(said.contains("db (no available IPv4 addresses)"), "{said}");
        assert!(asked.contains(&"DELETE /networks/old".to_owned()), "{asked:?}");
    }

    #[tokio::test]
    async fn whoever_was_taken_out_is_let_in_again_whatever_fails_then() {
        let (error, asked) = carried(|asked| match asked {
            "DELETE /networks/old" => refused("it has active endpoints"),
            "GET /networks" => refused("the daemon is busy"),
            _ => (200, "{}".to_owned()),
        })
        .await;
        assert!(error.to_string().contains("it has active endpoints"), "{error}");
        assert_eq!(asked.last().unwrap(), "POST /networks/net/connect", "{asked:?}");
    }
}
