//! Putting a new container in the place of an old one, and going back when that fails.
//!
//! Knows the order: create, stop the old, rename it aside, start the new, remove the old. Refuses
//! to remove the old one before the new one was started, and to touch a container that has a name
//! of ours and is not of the instance.

use bollard::{
    Docker,
    errors::Error,
    query_parameters::{
        CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
        RenameContainerOptionsBuilder, StartContainerOptions, StopContainerOptions,
    },
};
use devnet_schema::{instance::InstanceSpec, name::InstanceId};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    bridges::{self, Want},
    create::{self, Abilities, FileMount, NEXT, OLD, container_name, label},
    engine::{self, Engine, explain, explain_as, is_missing},
    locks::Shared,
    view::{self, Found, Roles},
    volumes,
};
use crate::{
    driver::{DriverError, Job, Owner},
    secrets::{Secrets, Values},
};

/// How long ports of a container that has ended may stay taken, and how often they are asked for.
///
/// Podman's service (seen with 4.3.1) keeps the sockets of a container that failed to start until
/// Go's garbage collector finds them, which it does every two minutes at the latest.
const PORTS_FREE: Duration = Duration::from_secs(5);
const PORTS_FREE_PODMAN: Duration = Duration::from_secs(150);
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Creates the job's container, and starts it in the place of the old one. The instance is locked
/// by the caller.
///
/// # Errors
/// When that fails; the old one runs again then, or the text says that it does not.
pub(super) async fn replace(
    engine: &Engine,
    shared: &Shared,
    secrets: &Secrets,
    job: &Job,
    values: &Values,
    files: &[FileMount],
) -> Result<String, DriverError> {
    let spec = &job.spec;
    let owner = Owner { cluster: spec.cluster.clone(), node: spec.node.clone() };
    let name = container_name(&spec.cluster, &spec.id);
    let old = settle(engine, secrets, &owner, &spec.id).await?;
    check_names(engine, &owner, &spec.id).await?;
    volumes::ensure(engine, shared, spec).await?;
    let _networks = bridges::hold(engine, shared, spec, Want::AsDeclared, &job.progress).await?;
    let abilities = Abilities { json_logs: engine.json_logs };
    let body = create::body(job, values, files, abilities)?;
    job.progress.say("creating the container");
    let options = CreateContainerOptionsBuilder::new().name(&format!("{name}{NEXT}")).build();
    let created = engine.client.create_container(Some(options), body).await;
    let created = created
        .map_err(|error| explain(format!("container {name} cannot be created"), &error, values))?;
    let joined = bridges::join(engine, spec, &created.id).await;
    let swapped = match joined {
        Ok(()) => swap(engine, job, old, &created.id, values).await,
        Err(error) => Err((explain(cannot_start(&name), &error, values), None)),
    };
    match swapped {
        Ok(()) => Ok(format!("container {name}")),
        Err((error, old)) => {
            // Whatever becomes of the new one, the old one runs again.
            let removed = remove(&engine.client, &created.id).await;
            let error = match old {
                None => error,
                Some(old) => go_back(engine, secrets, &old, &name, error).await,
            };
            Err(match removed {
                Ok(()) => error,
                Err(left) => {
                    let words = values.redact(&engine::words(&left));
                    error.and(&format!("and what was made for it cannot be removed: {words}"))
                }
            })
        }
    }
}

fn cannot_start(name: &str) -> String {
    format!("container {name} cannot be started")
}

/// A container that was stopped for its successor.
struct Old {
    found: Found,
    /// Whether it was renamed, so that the successor has its name.
    renamed: bool,
}

/// What went wrong while swapping, and which old container must be brought back.
type Failure = (DriverError, Option<Old>);

async fn swap(
    engine: &Engine,
    job: &Job,
    old: Option<Found>,
    new: &str,
    values: &Values,
) -> Result<(), Failure> {
    let name = container_name(&job.spec.cluster, &job.spec.id);
    let mut stopped: Option<Old> = None;
    let result: Result<(), Error> = async {
        if let Some(old) = old {
            job.progress.say("stopping the old container");
            let Old { found, renamed } = stopped.insert(Old { found: old, renamed: false });
            stop(engine, &found.container).await?;
            // Somebody may have given it another name, which is then not in the way.
            if found.name == name {
                rename(&engine.client, &found.container, &format!("{name}{OLD}")).await?;
                *renamed = true;
            }
        }
        rename(&engine.client, new, &name).await
    }
    .await;
    if let Err(error) = result {
        return Err((explain(cannot_start(&name), &error, values), stopped));
    }
    if let Err(error) = volumes::check_alone(engine, &job.spec).await {
        return Err((error, stopped));
    }
    job.progress.say("starting the container");
    if let Err(error) = start(engine, new).await {
        return Err((explain(cannot_start(&name), &error, values), stopped));
    }
    if let Some(old) = &stopped
        && let Err(error) = remove(&engine.client, &old.found.container).await
    {
        // The new one runs; what is left aside is removed the next time.
        let error = values.redact(&engine::words(&error));
        tracing::warn!(container = %name, error, "removing the old one");
    }
    Ok(())
}

async fn go_back(
    engine: &Engine,
    secrets: &Secrets,
    old: &Old,
    name: &str,
    error: DriverError,
) -> DriverError {
    let container = &old.found.container;
    if old.renamed
        && let Err(error) = rename(&engine.client, container, name).await
    {
        // It is the unit whatever it is called, and has its name again when it is next put right.
        let error = old.found.redact(secrets, &engine::words(&error));
        tracing::warn!(container = %name, error, "giving the old one its name back");
    }
    // What was to run once is not run again because its successor cannot be.
    if old.found.spec().is_some_and(|spec| spec.run_once) {
        return error;
    }
    match start(engine, container).await {
        Ok(()) => error.and("the old version runs"),
        Err(failed) => {
            // It may be of other secrets than its successor.
            let words = old.found.redact(secrets, &engine::words(&failed));
            error.and(&format!("and the old version could not be started again: {words}"))
        }
    }
}

/// Puts right what a replacement that was cut short left of every instance: see [`settle`]. One
/// that is being changed now is left to whoever does. Gives what they were made from, as far as
/// that is known.
///
/// # Errors
/// When the engine does not do it.
pub(super) async fn settle_all(
    engine: &Engine,
    shared: &Shared,
    secrets: &Secrets,
    owner: &Owner,
) -> Result<Vec<InstanceSpec>, DriverError> {
    let roles = view::roles(engine, owner).await.map_err(|error| cannot_list(&error))?;
    let current = roles.values().filter_map(|roles| roles.current.as_ref());
    let specs = current.filter_map(Found::spec).collect();
    // Most have nothing to be put right: a slow engine is not asked about each of them.
    let unsettled = roles.into_iter().filter(|(id, roles)| {
        roles.copies.iter().for_each(|copy| {
            let name = &copy.name;
            tracing::warn!(container = %name, instance = %id, "a copy of a unit is left alone");
        });
        !roles.is_settled(&container_name(&owner.cluster, id))
    });
    for (id, _) in unsettled {
        let Some(_making) = shared.instances.making_now(&id.to_string()) else { continue };
        if let Err(error) = settle(engine, secrets, owner, &id).await {
            // The others are as well known as without it; its own next step says it again.
            tracing::warn!(instance = %id, %error, "an instance could not be put right");
        }
    }
    Ok(specs)
}

fn cannot_list(error: &Error) -> DriverError {
    explain("containers cannot be listed", error, &Values::default())
}

/// Puts right what a replacement of an instance that was cut short left: a successor that was never
/// started is removed, and so is what else has a name of a replacement beside the unit: never do
/// two of them run. A unit that was stopped for a successor has its name again and is started. What
/// somebody made with another name is left alone. The unit.
///
/// # Errors
/// When the engine does not do it.
pub(super) async fn settle(
    engine: &Engine,
    secrets: &Secrets,
    owner: &Owner,
    id: &InstanceId,
) -> Result<Option<Found>, DriverError> {
    let roles = view::roles_of(engine, owner, id).await.map_err(|error| cannot_list(&error))?;
    let Roles { current, leftovers, copies: _ } = roles;
    let failed = |found: &Found, error: &Error| {
        let act = format!("container {} cannot be put right", found.name);
        explain_as(act, error, |words| found.redact(secrets, words))
    };
    for found in &leftovers {
        if found.started {
            let (name, instance) = (&found.name, &found.id);
            tracing::warn!(container = %name, %instance, "removing a second container");
            match stop(engine, &found.container).await {
                Err(error) if !is_missing(&error) => return Err(failed(found, &error)),
                _ => {}
            }
        }
        remove(&engine.client, &found.container).await.map_err(|error| failed(found, &error))?;
    }
    let Some(mut current) = current else { return Ok(None) };
    let name = container_name(&owner.cluster, id);
    if current.name == format!("{name}{OLD}") {
        let back = async {
            rename(&engine.client, &current.container, &name).await?;
            start(engine, &current.container).await
        };
        back.await.map_err(|error| failed(&current, &error))?;
        current.name = name;
    }
    Ok(Some(current))
}

/// Refuses to begin when a container that is not of the instance has one of the names that a
/// replacement needs, or a copy of the instance's runs. Nothing was stopped then.
///
/// # Errors
/// When one has, or the engine does not answer.
pub(super) async fn check_names(
    engine: &Engine,
    owner: &Owner,
    id: &InstanceId,
) -> Result<(), DriverError> {
    let roles = view::roles_of(engine, owner, id).await.map_err(|error| cannot_list(&error))?;
    roles.check_alone()?;
    let name = container_name(&owner.cluster, id);
    let names = ["", NEXT, OLD].map(|end| format!("{name}{end}"));
    let filters = HashMap::from([("name".to_owned(), vec![name.clone()])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let listed = engine.containers(options).await;
    for one in listed.map_err(|error| cannot_list(&error))? {
        let mut called = one.names.iter().flatten().map(|name| name.trim_start_matches('/'));
        // The engine's filter takes part of a name, too.
        let Some(called) = called.find(|called| names.iter().any(|name| name == called)) else {
            continue;
        };
        let labels = one.labels.clone().unwrap_or_default();
        let is = |name: &str, value: &str| labels.get(name).is_some_and(|found| found == value);
        let reason = if !is(label::CLUSTER, owner.cluster.as_str()) {
            format!("it lacks the label {}={}", label::CLUSTER, owner.cluster)
        } else if !is(label::NODE, owner.node.as_str()) {
            "it is another node's, which uses the same container engine".to_owned()
        } else if is(label::SERVICE, id.service.as_str()) && is(label::INDEX, &id.index.to_string())
        {
            continue;
        } else {
            "it is another instance's, and was renamed".to_owned()
        };
        return Err(DriverError::failed(
            format!("container {name} cannot be created"),
            format!("a container {called} is there that is not devnet's for {id}: {reason}"),
            "rename or remove it",
        ));
    }
    Ok(())
}

/// Starts a container. Ports of one that ended can stay taken after the engine says that it is
/// gone, so a port that is taken is asked for again, for a while.
async fn start(engine: &Engine, container: &str) -> Result<(), Error> {
    let begun = Instant::now();
    let patience = if engine.podman { PORTS_FREE_PODMAN } else { PORTS_FREE };
    loop {
        match engine.client.start_container(container, None::<StartContainerOptions>).await {
            Err(error) if is_port_taken(&error) && begun.elapsed() < patience => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            // It runs already.
            Err(Error::DockerResponseServerError { status_code: 304, .. }) => return Ok(()),
            other => return other,
        }
    }
}

/// In the words of Docker and of Podman.
fn is_port_taken(error: &Error) -> bool {
    let words = engine::words(error);
    words.contains("port is already allocated") || words.contains("address already in use")
}

async fn rename(client: &Docker, container: &str, name: &str) -> Result<(), Error> {
    let options = RenameContainerOptionsBuilder::new().name(name).build();
    client.rename_container(container, options).await
}

/// Stops a container with the signal and the grace it was created with.
///
/// # Errors
/// When the engine does not.
pub(super) async fn stop(engine: &Engine, container: &str) -> Result<(), Error> {
    let seen = view::inspect(engine, container).await?;
    // One that is paused hears no signal, and Podman refuses to stop it.
    if seen.state.as_ref().is_some_and(|state| state.paused == Some(true)) {
        engine.client.unpause_container(container).await?;
    }
    let grace = seen.config.and_then(|config| config.stop_timeout).unwrap_or(10).max(0);
    let client = engine.patient(grace.unsigned_abs());
    match client.stop_container(container, None::<StopContainerOptions>).await {
        // It was stopped already.
        Err(Error::DockerResponseServerError { status_code: 304, .. }) => Ok(()),
        other => other,
    }
}

/// Removes a container; its anonymous volumes go with it, named ones stay.
///
/// # Errors
/// When the engine does not. One that is not there is no error.
pub(super) async fn remove(client: &Docker, container: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match client.remove_container(container, Some(options)).await {
        Err(error) if is_missing(&error) => Ok(()),
        other => other,
    }
}
