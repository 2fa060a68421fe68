//! Volumes on the engine: made once, and only taken when they are what devnet makes.
//!
//! Knows names, labels and who else is on a volume. Refuses to make a volume anew, to remove one,
//! and to take one for ours that lacks our labels.

use std::collections::HashMap;

use bollard::{
    models::{Volume, VolumeCreateRequest, VolumeScopeEnum},
    query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder},
};
use devnet_schema::{
    container::ExternalVolume,
    instance::{InstanceSpec, Runtime, VolumeSpec, Workload},
    name::{InstanceId, ServiceName},
    observed::{HeldVolume, SharedVolume},
};

use super::{
    create::{label, shared_volume, volume_name, volume_of},
    engine::{self, Engine, explain},
    locks::Shared,
    view,
};
use crate::{
    driver::{DriverError, Owner, Volumes, uses::Uses},
    secrets::Values,
};

/// Makes the volumes of a unit that are not there.
///
/// # Errors
/// When the engine does not, or one that is there is not what devnet makes, or is in use.
pub(super) async fn ensure(
    engine: &Engine,
    shared: &Shared,
    spec: &InstanceSpec,
) -> Result<(), DriverError> {
    for volume in &spec.volumes {
        let name = volume_of(spec, volume);
        let _making = shared.volumes.making(&name).await;
        if check_one(engine, spec, volume, &name).await? {
            continue;
        }
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(labels(spec, volume)),
            ..VolumeCreateRequest::default()
        };
        let created = engine.client.create_volume(request).await;
        created.map_err(|error| {
            explain(format!("volume {name} cannot be created"), &error, &Values::default())
        })?;
    }
    Ok(())
}

/// What stands in the way of a unit's volumes and can be known before anything is changed.
///
/// # Errors
/// The first of it.
pub(super) async fn check(engine: &Engine, spec: &InstanceSpec) -> Result<(), DriverError> {
    for volume in external(spec) {
        let name = &volume.name;
        match engine.client.inspect_volume(name).await {
            Ok(_) => {}
            // Docker would make an empty one in its place.
            Err(error) if engine::is_missing(&error) => {
                return Err(DriverError::failed(
                    format!("{} cannot have volume {name}", spec.id),
                    "it is external, and this node's engine has none of that name",
                    format!(
                        "make it with `docker volume create {name}` on the node, or place the \
                         service where it is"
                    ),
                ));
            }
            Err(error) => {
                let act = format!("volume {name} cannot be looked at");
                return Err(explain(act, &error, &Values::default()));
            }
        }
    }
    for volume in &spec.volumes {
        check_one(engine, spec, volume, &volume_of(spec, volume)).await?;
    }
    Ok(())
}

/// The volumes of a unit that devnet has not made.
fn external(spec: &InstanceSpec) -> &[ExternalVolume] {
    match &spec.workload {
        Workload::Container(container) => &container.host.volumes,
        Workload::Process { .. } => &[],
    }
}

/// Whether the volume is there and can be taken.
async fn check_one(
    engine: &Engine,
    spec: &InstanceSpec,
    volume: &VolumeSpec,
    name: &str,
) -> Result<bool, DriverError> {
    match engine.client.inspect_volume(name).await {
        Ok(seen) => difference(&labels(spec, volume), &seen)
            .map_or(Ok(true), |why| Err(refusal(spec, volume, name, &why))),
        Err(error) if engine::is_missing(&error) => Ok(false),
        Err(error) => {
            let act = format!("volume {name} cannot be looked at");
            Err(explain(act, &error, &Values::default()))
        }
    }
}

/// The volumes of the owner's instances and projects, whether anything uses them or not, in order.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn held(
    engine: &Engine,
    owner: &Owner,
    uses: &Uses,
) -> Result<Volumes, DriverError> {
    let labels = vec![format!("{}={}", label::CLUSTER, owner.cluster)];
    let filters = HashMap::from([("label".to_owned(), labels)]);
    let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let listed = engine.client.list_volumes(Some(options)).await.map_err(|error| {
        explain("volumes cannot be listed".to_owned(), &error, &Values::default())
    })?;
    let all = listed.volumes.unwrap_or_default();
    let mut own: Vec<_> =
        all.iter().filter_map(|volume| of_instance(volume, owner, uses)).collect();
    let mut shared: Vec<_> =
        all.iter().filter_map(|volume| of_project(volume, owner, uses)).collect();
    own.sort();
    shared.sort();
    Ok(Volumes { own, shared })
}

/// Whether a volume is of this cluster and this node: by its label, or since it was `used` here,
/// for a node that was given another name keeps its data.
fn is_ours(volume: &Volume, owner: &Owner, used: bool) -> bool {
    let is = |name: &str, value: &str| volume.labels.get(name).is_some_and(|found| found == value);
    is(label::CLUSTER, owner.cluster.as_str()) && (used || is(label::NODE, owner.node.as_str()))
}

/// Checked again here, as for containers; and its name has to be the one that devnet gives it.
fn of_instance(volume: &Volume, owner: &Owner, uses: &Uses) -> Option<HeldVolume> {
    let labels = &volume.labels;
    let service = labels.get(label::SERVICE)?.parse().ok()?;
    let index = labels.get(label::INDEX)?.parse().ok()?;
    let instance = InstanceId { service, index };
    let name = volume.name.strip_prefix(&volume_name(&owner.cluster, &instance, ""))?.to_owned();
    let user = uses.of_instance(&instance, &name);
    let ours = is_ours(volume, owner, user.is_some());
    let user = user.filter(|user| **user != instance).cloned();
    ours.then_some(HeldVolume { instance, name, runtime: Runtime::Docker, user })
}

/// The same for one that the instances of a project share.
fn of_project(volume: &Volume, owner: &Owner, uses: &Uses) -> Option<SharedVolume> {
    let project: ServiceName = volume.labels.get(label::PROJECT)?.parse().ok()?;
    let name = volume.name.strip_prefix(&shared_volume(&owner.cluster, &project, ""))?.to_owned();
    let users = uses.of_project(&project, &name);
    let ours = is_ours(volume, owner, users.is_some());
    let users = users.cloned().unwrap_or_default();
    ours.then_some(SharedVolume { project, name, runtime: Runtime::Docker, users })
}

fn labels(spec: &InstanceSpec, volume: &VolumeSpec) -> HashMap<String, String> {
    let mut labels = HashMap::from([
        (label::CLUSTER.to_owned(), spec.cluster.to_string()),
        (label::NODE.to_owned(), spec.node.to_string()),
    ]);
    match &volume.project {
        Some(project) => drop(labels.insert(label::PROJECT.to_owned(), project.to_string())),
        None => {
            let owner = volume.owner(&spec.id);
            labels.insert(label::SERVICE.to_owned(), owner.service.to_string());
            labels.insert(label::INDEX.to_owned(), owner.index.to_string());
        }
    }
    labels
}

/// Why a volume that is there is not the one that is meant, as a clause.
fn difference(wanted: &HashMap<String, String>, seen: &Volume) -> Option<String> {
    // Named in full: what is forgotten here is never compared.
    let Volume {
        name: _,
        driver,
        mountpoint: _,
        created_at: _,
        status: _,
        labels,
        scope,
        cluster_volume,
        options,
        usage_data: _,
    } = seen;
    // A node that was given another name keeps its data.
    let mut wanted: Vec<_> = wanted.iter().filter(|(name, _)| *name != label::NODE).collect();
    wanted.sort();
    if let Some((name, value)) =
        wanted.iter().find(|(name, value)| labels.get(*name) != Some(*value))
    {
        return Some(format!("it is not devnet's for this: it lacks the label {name}={value}"));
    }
    if driver != "local" {
        return Some(format!("it is of the driver `{}`, not `local`", driver.escape_debug()));
    }
    let elsewhere =
        scope.is_some_and(|it| it == VolumeScopeEnum::GLOBAL) || cluster_volume.is_some();
    if elsewhere {
        return Some("it is not of this node alone".to_owned());
    }
    (!options.is_empty()).then(|| "it has options, and devnet makes volumes without".to_owned())
}

fn refusal(spec: &InstanceSpec, volume: &VolumeSpec, name: &str, why: &str) -> DriverError {
    let labels = labels(spec, volume);
    let mut labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("--label {name}={value}")).collect();
    labels.sort();
    DriverError::failed(
        format!("volume {name} is there and is not taken"),
        why,
        format!(
            "move it out of the way; where its data is wanted, make it anew with `docker volume \
             create {} {name}` and copy the data into it",
            labels.join(" ")
        ),
    )
}

/// Refuses to start a unit beside another one that runs on a volume of its own.
///
/// # Errors
/// When one does, or the engine does not answer.
pub(super) async fn check_alone(engine: &Engine, spec: &InstanceSpec) -> Result<(), DriverError> {
    let none = Values::default();
    for volume in spec.volumes.iter().filter(|volume| volume.project.is_none()) {
        let name = volume_of(spec, volume);
        let filters = HashMap::from([
            ("volume".to_owned(), vec![name.clone()]),
            ("label".to_owned(), vec![format!("{}={}", label::CLUSTER, spec.cluster)]),
        ]);
        let options = ListContainersOptionsBuilder::new().filters(&filters).all(true).build();
        let listed = engine.containers(options).await;
        let listed =
            listed.map_err(|error| explain("containers cannot be listed", &error, &none))?;
        // Not asked for by state: Podman refuses the names of states that only Docker has.
        if let Some(other) = listed.into_iter().find(|one| view::is_live(one.state)) {
            let other = other.names.and_then(|names| names.into_iter().next()).or(other.id);
            let other = other.unwrap_or_default();
            return Err(DriverError::failed(
                format!("{} cannot be started", spec.id),
                format!("container {} runs on its volume {name}", other.trim_start_matches('/')),
                "stop that container first",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn spec() -> (InstanceSpec, VolumeSpec) {
        let volume = VolumeSpec {
            name: "data".into(),
            path: "/data".into(),
            data_of: None,
            project: None,
            read_only: false,
        };
        (sample::process(&[]), volume)
    }

    #[test]
    fn a_volume_that_devnet_made_is_taken_and_no_other() {
        let (spec, volume) = spec();
        let wanted = labels(&spec, &volume);
        let mut made =
            Volume { driver: "local".into(), labels: wanted.clone(), ..Volume::default() };
        assert_eq!(difference(&wanted, &made), None);
        made.labels.insert(label::NODE.to_owned(), "renamed".to_owned());
        assert_eq!(difference(&wanted, &made), None, "its node was given another name");
        let bind = HashMap::from([("device".to_owned(), "/etc".to_owned())]);
        let others = [
            Volume { labels: HashMap::new(), ..made.clone() },
            Volume { driver: "nfs".into(), ..made.clone() },
            Volume { options: bind, ..made.clone() },
            Volume { scope: Some(VolumeScopeEnum::GLOBAL), ..made.clone() },
        ];
        for other in &others {
            assert!(difference(&wanted, other).is_some(), "{other:?}");
        }
        let shared = VolumeSpec { project: Some("shop".parse().unwrap()), ..volume };
        assert!(difference(&labels(&spec, &shared), &made).is_some(), "of an instance");
    }

    #[test]
    fn a_volume_tells_its_instance_and_its_name_where_both_are_of_devnet() {
        let (spec, volume) = spec();
        let owner = Owner { cluster: spec.cluster.clone(), node: spec.node.clone() };
        let made = Volume {
            name: volume_of(&spec, &volume),
            labels: labels(&spec, &volume),
            ..Volume::default()
        };
        let none = Uses::default();
        let held = of_instance(&made, &owner, &none).unwrap();
        assert_eq!((held.instance, &*held.name), (spec.id.clone(), "data"));
        let copy = Volume { name: "data-copy".to_owned(), ..made.clone() };
        assert_eq!(
            of_instance(&copy, &owner, &none),
            None,
            "it would not be found under that name"
        );
        let other = Owner { node: "n2".parse().unwrap(), ..owner.clone() };
        assert_eq!(of_instance(&made, &other, &none), None);
        let project = VolumeSpec { project: Some("shop".parse().unwrap()), ..volume };
        let name = volume_of(&spec, &project);
        let shared = Volume { labels: labels(&spec, &project), name, ..made.clone() };
        assert_eq!(of_instance(&shared, &owner, &none), None);
        let held = of_project(&shared, &owner, &none).unwrap();
        assert_eq!((held.project.as_str(), &*held.name, held.users.len()), ("shop", "data", 0));
        assert!(of_project(&made, &owner, &none).is_none());
        assert!(of_project(&shared, &other, &none).is_none());
        // What was used here is here, whatever the node was called then; and is of who used it.
        let uses = serde_json::json!({
            "own": {"web[0]": {"data": "shop[0]"}},
            "shared": {"shop": {"data": {"shop-db[0]": "/data"}}},
        });
        let uses: Uses = serde_json::from_value(uses).unwrap();
        let user = of_instance(&made, &other, &uses).unwrap().user.unwrap();
        assert_eq!(user.to_string(), "shop[0]");
        assert_eq!(of_project(&shared, &other, &uses).unwrap().users.len(), 1);
    }

    #[test]
    fn the_remedy_is_said_in_full() {
        let (spec, volume) = spec();
        let error = refusal(&spec, &volume, "v", "it is not devnet's").to_string();
        assert!(
            error.contains(
                "docker volume create --label devnet.cluster=home --label devnet.index=0 --label \
                 devnet.node=n1 --label devnet.service=web v"
            ),
            "{error}"
        );
    }
}
