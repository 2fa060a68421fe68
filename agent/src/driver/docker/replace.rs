//! Putting a new container in the place of an old one, and going back when that fails.
//!
//! Knows the order: create, stop the old, rename it aside, start the new, remove the old. Refuses
//! to remove the old one before the new one was started.

use bollard::{
    Docker,
    errors::Error,
    models::{ContainerStateStatusEnum as Status, VolumeCreateRequest},
    query_parameters::{
        CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder,
        RenameContainerOptionsBuilder, StartContainerOptions, StopContainerOptions,
    },
};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    create::{self, Abilities, FileMount, container_name, label, volume_of},
    engine::{self, Engine, explain, is_missing},
    networks,
    view::{self, Found},
};
use crate::{
    driver::{DriverError, Job, Owner},
    secrets::Values,
};

/// Ends the name of a container that is not started yet.
const NEXT: &str = "-next";

/// How long ports of a container that has ended may stay taken, and how often they are asked for.
///
/// Podman's service (seen with 4.3.1) keeps the sockets of a container that failed to start until
/// Go's garbage collector finds them, which it does every two minutes at the latest.
const PORTS_FREE: Duration = Duration::from_secs(5);
const PORTS_FREE_PODMAN: Duration = Duration::from_secs(150);
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Ends the name of a container that was stopped for its successor.
const OLD: &str = "-old";

/// Creates the job's container, and starts it in the place of the old one.
///
/// # Errors
/// When that fails; the old one runs again then, or the text says that it does not.
pub async fn replace(
    engine: &Engine,
    job: &Job,
    values: &Values,
    files: &[FileMount],
) -> Result<String, DriverError> {
    let spec = &job.spec;
    let owner = Owner { cluster: spec.cluster.clone(), node: spec.node.clone() };
    let name = container_name(&spec.cluster, &spec.id);
    let next = format!("{name}{NEXT}");
    settle(engine, &owner, Some(job)).await?;
    volumes(engine, job).await?;
    networks::make(engine, job).await?;
    let abilities = Abilities { json_logs: engine.json_logs };
    let body = create::body(job, values, files, abilities)?;
    job.progress.say("creating the container");
    let options = CreateContainerOptionsBuilder::new().name(&next).build();
    let mut created = engine.client.create_container(Some(options.clone()), body.clone()).await;
    if created.as_ref().is_err_and(is_missing) {
        // A network that nobody was in may have been swept away just now.
        networks::make(engine, job).await?;
        created = engine.client.create_container(Some(options), body).await;
    }
    let created = created
        .map_err(|error| explain(format!("container {name} cannot be created"), &error, values))?;
    let joined = networks::join(engine, &job.spec, &created.id).await;
    let swapped = match joined {
        Ok(()) => swap(engine, job, &owner, &created.id).await,
        Err(error) => Err(Failure { error, old: None }),
    };
    match swapped {
        Ok(()) => Ok(format!("container {name}")),
        Err(failure) => {
            let act = format!("container {name} cannot be started");
            let error = explain(act, &failure.error, values);
            remove(&engine.client, &created.id).await.map_err(|error| {
                explain(format!("container {next} cannot be removed"), &error, values)
            })?;
            match failure.old {
                None => Err(error),
                Some(old) => Err(go_back(engine, &old, &name, error, values).await),
            }
        }
    }
}

/// What went wrong while swapping, and which old container must be brought back.
struct Failure {
    error: Error,
    old: Option<String>,
}

async fn swap(engine: &Engine, job: &Job, owner: &Owner, new: &str) -> Result<(), Failure> {
    let name = container_name(&owner.cluster, &job.spec.id);
    let before = |error| Failure { error, old: None };
    let old = view::all(engine, owner).await.map_err(before)?;
    let old = old.into_iter().find(|found| found.name == name).map(|found| found.container);
    let failed = |error| Failure { error, old: old.clone() };
    if let Some(old) = &old {
        job.progress.say("stopping the old container");
        stop(engine, old).await.map_err(failed)?;
        rename(&engine.client, old, &format!("{name}{OLD}")).await.map_err(failed)?;
    }
    rename(&engine.client, new, &name).await.map_err(failed)?;
    job.progress.say("starting the container");
    start(engine, new).await.map_err(failed)?;
    if let Some(old) = &old
        && let Err(error) = remove(&engine.client, old).await
    {
        // The new one runs; what is left aside is removed the next time.
        tracing::warn!(container = %name, error = %engine::words(&error), "removing the old one");
    }
    Ok(())
}

async fn go_back(
    engine: &Engine,
    old: &str,
    name: &str,
    error: DriverError,
    values: &Values,
) -> DriverError {
    // It still has its name when it failed to stop.
    let renamed = match rename(&engine.client, old, name).await {
        Err(Error::DockerResponseServerError { status_code: 400 | 409 | 500, .. }) => Ok(()),
        other => other,
    };
    let started = match renamed {
        Ok(()) => start(engine, old).await,
        Err(error) => Err(error),
    };
    let DriverError::Failed { act, reason, next } = error else {
        return error;
    };
    match started {
        Ok(()) => {
            DriverError::Failed { act, reason, next: format!("{next}; the old version runs") }
        }
        Err(error) => {
            let words = values.redact(&engine::words(&error));
            let next = format!("{next}; and the old version could not be started again: {words}");
            DriverError::Failed { act, reason, next }
        }
    }
}

/// Puts right what a replacement that was cut short left: containers that were never started are
/// removed, and an old one is removed when its successor runs and brought back when it does not.
/// With a job, looks at that instance only.
///
/// # Errors
/// When the engine does not do it.
pub async fn settle(engine: &Engine, owner: &Owner, job: Option<&Job>) -> Result<(), DriverError> {
    let none = Values::default();
    let all = view::all(engine, owner)
        .await
        .map_err(|error| explain("containers cannot be listed", &error, &none))?;
    let mine = |found: &&Found| job.is_none_or(|job| job.spec.id == found.id);
    for found in all.iter().filter(mine) {
        let name = container_name(&owner.cluster, &found.id);
        let result = if found.name == format!("{name}{NEXT}") {
            remove(&engine.client, &found.container).await
        } else if found.name == format!("{name}{OLD}") {
            let successor = all.iter().find(|other| other.name == name);
            settle_old(engine, &found.container, successor, &name).await
        } else {
            Ok(())
        };
        result.map_err(|error| {
            explain(format!("container {} cannot be put right", found.name), &error, &none)
        })?;
    }
    Ok(())
}

async fn settle_old(
    engine: &Engine,
    old: &str,
    successor: Option<&Found>,
    name: &str,
) -> Result<(), Error> {
    if let Some(successor) = successor {
        let state = view::inspect(engine, &successor.container).await?.state.unwrap_or_default();
        if !matches!(state.status, Some(Status::CREATED)) {
            return remove(&engine.client, old).await;
        }
        remove(&engine.client, &successor.container).await?;
    }
    rename(&engine.client, old, name).await?;
    start(engine, old).await
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
            other => return other,
        }
    }
}

/// In the words of Docker and of Podman.
fn is_port_taken(error: &Error) -> bool {
    let words = engine::words(error);
    words.contains("port is already allocated") || words.contains("address already in use")
}

async fn volumes(engine: &Engine, job: &Job) -> Result<(), DriverError> {
    let spec = &job.spec;
    for volume in &spec.volumes {
        let name = volume_of(spec, volume);
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
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(labels),
            ..VolumeCreateRequest::default()
        };
        // One that is there already is left as it is.
        let created = engine.client.create_volume(request).await;
        created.map_err(|error| {
            explain(format!("volume {name} cannot be created"), &error, &Values::default())
        })?;
    }
    Ok(())
}

async fn rename(client: &Docker, container: &str, name: &str) -> Result<(), Error> {
    let options = RenameContainerOptionsBuilder::new().name(name).build();
    client.rename_container(container, options).await
}

/// Stops a container with the signal and the grace it was created with.
///
/// # Errors
/// When the engine does not.
pub async fn stop(engine: &Engine, container: &str) -> Result<(), Error> {
    let seen = view::inspect(engine, container).await?;
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
pub async fn remove(client: &Docker, container: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match client.remove_container(container, Some(options)).await {
        Err(error) if is_missing(&error) => Ok(()),
        other => other,
    }
}
