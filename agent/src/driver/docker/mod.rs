//! The container driver: Docker 20.10 and later, and Podman behind the same API.
//!
//! Knows containers that carry this cluster's and this node's labels. Refuses to touch any other.

mod bridges;
mod create;
mod engine;
mod locks;
mod logs;
mod networks;
mod pull;
mod replace;
mod seek;
mod settings;
mod stage;
mod stream;
mod view;
mod volumes;

use std::{path::PathBuf, sync::Arc};

use bollard::query_parameters::StartContainerOptions;
use devnet_schema::{
    fleet::Availability,
    instance::Runtime,
    name::InstanceId,
    observed::{HeldVolume, InstanceState},
    secret::SecretRef,
    wire::LogEndReason,
};
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use self::{
    bridges::Want,
    create::container_name,
    engine::{Engine, explain},
    locks::Shared,
    view::Found,
};
use super::{
    Driver, DriverError, EXEC_SHOWN, Ground, Job, Unit,
    logs::{Query, Sink},
    ports,
    process::SECRET_PATIENCE,
};
use crate::secrets::Values;

/// Runs containers.
pub struct DockerDriver {
    ground: Ground,
    sockets: Vec<PathBuf>,
    engine: Mutex<Option<Engine>>,
    shared: Shared,
}

impl DockerDriver {
    /// A driver that looks for an engine at these sockets, in order.
    pub fn new(ground: Ground, sockets: Vec<PathBuf>) -> Arc<Self> {
        Arc::new(Self { ground, sockets, engine: Mutex::default(), shared: Shared::default() })
    }

    /// Follows the engine's events for ever, across its restarts.
    pub async fn watch(self: Arc<Self>) {
        loop {
            if let Ok(engine) = self.engine().await {
                let ended = stream::events(&engine, &self.ground.owner, &self.ground.changed).await;
                if let Err(error) = ended {
                    tracing::debug!(error = %engine::words(&error), "the event stream ended");
                }
                // It may be another engine that answers next.
                *self.engine.lock().await = None;
                self.ground.changed.notify_one();
            }
            stream::rest().await;
        }
    }

    async fn engine(&self) -> Result<Engine, DriverError> {
        let mut known = self.engine.lock().await;
        if let Some(engine) = &*known {
            return Ok(engine.clone());
        }
        let engine = Engine::find(&self.sockets).await?;
        Ok(known.insert(engine).clone())
    }

    async fn values(&self, job: &Job) -> Result<Values, DriverError> {
        let (spec, secrets) = (&job.spec, &self.ground.secrets);
        Ok(secrets.values_within(&spec.id, &spec.secrets(), SECRET_PATIENCE).await?)
    }

    /// The container that is an instance's unit, whatever it is called.
    async fn found(&self, engine: &Engine, id: &InstanceId) -> Result<Option<Found>, DriverError> {
        let roles = view::roles(engine, &self.ground.owner).await;
        let mut roles = roles
            .map_err(|error| explain("containers cannot be listed", &error, &Values::default()))?;
        Ok(roles.remove(id).and_then(|roles| roles.current))
    }

    /// Has the values of a running unit asked for, so that they can be hidden in what it says: an
    /// agent that adopted it does not have them. The unit itself does not wait for that.
    fn learn(&self, unit: &Unit) {
        let wanted = unit.spec.as_ref().map(|spec| spec.secrets()).unwrap_or_default();
        if wanted.is_empty() {
            return;
        }
        let (secrets, id) = (self.ground.secrets.clone(), unit.id.clone());
        tokio::spawn(async move {
            // Without an answer, what it says stays hidden as a whole.
            let _ = secrets.values_within(&id, &wanted, SECRET_PATIENCE).await;
        });
    }

    async fn units(&self) -> Result<Vec<Unit>, DriverError> {
        let engine = self.engine().await?;
        let secrets = &self.ground.secrets;
        let redact = |wanted: Option<&[SecretRef]>, text: &str| secrets.redact(wanted, text);
        view::units(&engine, &self.ground.owner, redact)
            .await
            .map_err(|error| explain("containers cannot be listed", &error, &Values::default()))
    }

    async fn check(&self, job: &Job) -> Result<String, DriverError> {
        let engine = self.engine().await?;
        let spec = &job.spec;
        let container = create::container(spec)?;
        if !spec.gpus.is_empty() && !engine.podman && !engine.nvidia {
            return Err(DriverError::failed(
                format!("{} cannot be given a GPU", spec.id),
                "the container engine has no NVIDIA runtime",
                "install the NVIDIA container toolkit on the node and restart the engine",
            ));
        }
        let ours = ports::held_by(&self.units().await?);
        ports::check(spec, &ours, true)?;
        replace::check_names(&engine, &self.ground.owner, &spec.id).await?;
        volumes::check(&engine, spec).await?;
        bridges::check(&engine, spec).await?;
        let values = self.values(job).await?;
        let (images, image) = (&self.shared.images, &container.image);
        let pulled = pull::ensure_image(&engine, images, image, &job.progress).await?;
        create::body(job, &values, &[], create::Abilities { json_logs: false })?;
        Ok(if pulled { format!("pulled {}", container.image) } else { String::new() })
    }

    async fn replace(&self, job: Job) -> Result<String, DriverError> {
        let engine = self.engine().await?;
        let image = &create::container(&job.spec)?.image;
        pull::ensure_image(&engine, &self.shared.images, image, &job.progress).await?;
        let values = self.values(&job).await?;
        let _making = self.shared.instances.making(&job.spec.id.to_string()).await;
        let mounts = stage::write(&self.ground, &job, &values)?;
        match replace::replace(&engine, &self.shared, &job, &values, &mounts).await {
            Ok(message) => {
                stage::keep_only(&self.ground, &job);
                Ok(message)
            }
            Err(error) => {
                stage::discard(&self.ground, &job);
                Err(error)
            }
        }
    }

    /// Starts a container that should run: after a reboot its files in memory are gone, so that the
    /// engine could not start it, and somebody may have removed its networks while it was stopped.
    async fn start_again(&self, job: Job) -> Result<(), DriverError> {
        let engine = self.engine().await?;
        let _making = self.shared.instances.making(&job.spec.id.to_string()).await;
        let found = self.found(&engine, &job.spec.id).await?;
        let unit = self.units().await?.into_iter().find(|unit| unit.id == job.spec.id);
        let (Some(found), Some(unit)) = (found, unit) else { return Ok(()) };
        // Beside what it was made from it may by now be what another unit made of its networks.
        if found.digest() != job.digest && unit.digest != job.digest {
            return Ok(());
        }
        let spec = job.spec.clone();
        let name = container_name(&spec.cluster, &spec.id);
        let container = &found.container;
        // The container may be of an earlier generation with the same digest; its files are there
        // under that number.
        let job = Job { generation: found.generation, digest: found.digest(), ..job };
        let runs = unit.state != InstanceState::Exited;
        let want = Want::AsItIs;
        let _networks = bridges::hold(&engine, &self.shared, &spec, want, &job.progress).await?;
        let joined = bridges::join(&engine, &spec, container).await;
        joined.map_err(|error| {
            let act = format!("container {name} cannot be brought into its networks");
            explain(act, &error, &Values::default())
        })?;
        if runs && stage::is_complete(&self.ground, &job) {
            return Ok(());
        }
        let values = self.values(&job).await?;
        stage::write(&self.ground, &job, &values)?;
        if runs {
            return Ok(());
        }
        volumes::check_alone(&engine, &spec).await?;
        tracing::info!(container = %name, "starting a container that should run");
        let start = engine.client.start_container(container, None::<StartContainerOptions>).await;
        start.map_err(|error| {
            explain(format!("container {name} cannot be started"), &error, &values)
        })
    }

    async fn remove_where(&self, wanted: impl Fn(&InstanceId) -> bool) -> Result<(), DriverError> {
        let engine = self.engine().await?;
        let none = Values::default();
        let found = view::all(&engine, &self.ground.owner)
            .await
            .map_err(|error| explain("containers cannot be listed", &error, &none))?;
        let found: Vec<_> = found.into_iter().filter(|one| wanted(&one.id)).collect();
        let removals = found.iter().map(async |one| {
            let _making = self.shared.instances.making(&one.id.to_string()).await;
            let removed = match replace::stop(&engine, &one.container).await {
                Err(error) if engine::is_missing(&error) => Ok(()),
                Err(error) => Err(error),
                Ok(()) => replace::remove(&engine.client, &one.container).await,
            };
            removed.map_err(|error| {
                explain(format!("container {} cannot be removed", one.name), &error, &none)
            })?;
            stage::remove(&self.ground, &one.id);
            Ok(())
        });
        let results = futures_util::future::join_all(removals).await;
        bridges::sweep(&engine, &self.shared, &self.ground.owner).await;
        self.ground.changed.notify_one();
        results.into_iter().collect()
    }
}

impl Driver for DockerDriver {
    fn runtime(&self) -> Runtime {
        Runtime::Docker
    }

    fn probe(&self) -> BoxFuture<'_, Availability> {
        Box::pin(async {
            // Asked anew: the engine may have been stopped or upgraded since.
            match Engine::find(&self.sockets).await {
                Ok(engine) => engine.availability(),
                Err(error) => {
                    tracing::debug!(%error, "no container engine");
                    Availability::default()
                }
            }
        })
    }

    fn recover(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            let engine = self.engine().await?;
            replace::settle_all(&engine, &self.shared, &self.ground.owner).await
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Unit>, DriverError>> {
        Box::pin(self.units())
    }

    fn volumes(&self) -> BoxFuture<'_, Result<Vec<HeldVolume>, DriverError>> {
        Box::pin(async {
            let engine = self.engine().await?;
            volumes::held(&engine, &self.ground.owner).await
        })
    }

    fn prepare(&self, job: Job) -> BoxFuture<'_, Result<String, DriverError>> {
        Box::pin(async move { self.check(&job).await })
    }

    fn ensure(&self, job: Job) -> BoxFuture<'_, Result<String, DriverError>> {
        Box::pin(self.replace(job))
    }

    fn revive(&self, job: Job) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(self.start_again(job))
    }

    fn remove<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), DriverError>> {
        Box::pin(self.remove_where(move |found| found == id))
    }

    fn retire(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            match self.engine().await {
                Err(DriverError::Unavailable(_)) => Ok(()),
                _ => self.remove_where(|_| true).await,
            }
        })
    }

    fn logs(&self, query: Query, sink: Sink) -> BoxFuture<'_, Result<LogEndReason, DriverError>> {
        Box::pin(async move {
            let engine = self.engine().await?;
            let owner = &self.ground.owner;
            logs::send(&engine, owner, &query, &sink).await.map_err(|error| {
                let act = format!("the log of {} cannot be read", query.id);
                explain(act, &error, &Values::default())
            })
        })
    }

    fn exec<'a>(
        &'a self,
        unit: &'a Unit,
        argv: &'a [String],
    ) -> BoxFuture<'a, Result<(i64, String), DriverError>> {
        Box::pin(async move {
            let engine = self.engine().await?;
            let (container, _) = unit.run.split_once('@').unwrap_or((&unit.run, ""));
            let secrets = &self.ground.secrets;
            let wanted = unit.spec.as_ref().map(|spec| spec.secrets());
            match stream::exec(&engine, container, argv).await {
                Ok((code, output)) => {
                    if code != 0 {
                        self.learn(unit);
                    }
                    Ok((code, secrets.quote(wanted.as_deref(), &output, EXEC_SHOWN)))
                }
                Err(error) => Err(DriverError::failed(
                    format!("the health command of {} cannot be run", unit.id),
                    secrets.redact(wanted.as_deref(), &engine::words(&error)),
                    "check the command in `health exec=`, and the container engine",
                )),
            }
        })
    }
}
