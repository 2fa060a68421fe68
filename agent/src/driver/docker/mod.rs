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
mod small;
mod stage;
mod stream;
mod view;
mod volumes;

use std::{path::PathBuf, sync::Arc};

use bollard::{errors::Error, query_parameters::StartContainerOptions};
use devnet_schema::{
    fleet::Availability, instance::Runtime, name::InstanceId, observed::InstanceState,
    secret::SecretRef, wire::LogEndReason,
};
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use self::{
    bridges::Want,
    create::container_name,
    engine::{Engine, explain, explain_as},
    locks::Shared,
    view::{Found, Roles},
};
use super::{
    Driver, DriverError, EXEC_SHOWN, Ground, Job, Unit, Volumes,
    logs::{Query, Sink},
    ports,
    process::SECRET_PATIENCE,
    uses::UsesFile,
};
use crate::secrets::Values;

/// Runs containers.
pub struct DockerDriver {
    ground: Ground,
    sockets: Vec<PathBuf>,
    engine: Mutex<Option<Engine>>,
    shared: Shared,
    /// Who used which volume last.
    uses: UsesFile,
}

impl DockerDriver {
    /// A driver that looks for an engine at these sockets, in order.
    pub fn new(ground: Ground, sockets: Vec<PathBuf>) -> Arc<Self> {
        let uses = UsesFile::new(&ground.data_dir, Runtime::Docker);
        let (engine, shared) = (Mutex::default(), Shared::default());
        Arc::new(Self { ground, sockets, engine, shared, uses })
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

    /// The containers of one instance, whatever they are called.
    async fn roles(&self, engine: &Engine, id: &InstanceId) -> Result<Roles, DriverError> {
        let roles = view::roles_of(engine, &self.ground.owner, id).await;
        roles.map_err(|error| cannot_list(&error))
    }

    /// The unit that one container is.
    async fn look_at(&self, engine: &Engine, found: &Found) -> Result<Option<Unit>, DriverError> {
        let (owner, secrets) = (&self.ground.owner, &self.ground.secrets);
        let redact = |wanted: Option<&[SecretRef]>, text: &str| secrets.redact(wanted, text);
        let unit = view::unit_of(engine, owner, found.clone(), redact).await;
        unit.map_err(|error| {
            let act = format!("container {} cannot be looked at", found.name);
            explain_as(act, &error, |words| found.redact(secrets, words))
        })
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
        let units = view::units(&engine, &self.ground.owner, redact).await;
        units.map_err(|error| cannot_list(&error))
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
        if !job.spec.volumes.is_empty() {
            let there = volumes::held(&engine, &self.ground.owner, &self.uses.read()?).await?;
            self.uses.none_gone(&job.spec, &there)?;
        }
        self.uses.starts(&job.spec)?;
        let mounts = stage::write(&self.ground, &job, &values)?;
        let (shared, secrets) = (&self.shared, &self.ground.secrets);
        match replace::replace(&engine, shared, secrets, &job, &values, &mounts).await {
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
        let Some(found) = self.roles(&engine, &job.spec.id).await?.current else { return Ok(()) };
        let Some(unit) = self.look_at(&engine, &found).await? else { return Ok(()) };
        // It ran once, and is not run again for the asking.
        if unit.state == InstanceState::Completed {
            return Ok(());
        }
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
            explain_as(act, &error, |words| found.redact(&self.ground.secrets, words))
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

    /// Removes what there is of an instance: all of it, or nothing where a copy runs beside it,
    /// which would be taken for the unit once that is gone.
    async fn remove_one(&self, id: &InstanceId) -> Result<(), DriverError> {
        let engine = self.engine().await?;
        let making = self.shared.instances.making(&id.to_string()).await;
        let roles = self.roles(&engine, id).await?;
        roles.check_alone()?;
        let removals = roles.removable().map(|one| self.remove_container(&engine, one));
        let results = futures_util::future::join_all(removals).await;
        drop(making);
        self.after_removal(&engine).await;
        results.into_iter().collect()
    }

    async fn remove_all(&self) -> Result<(), DriverError> {
        let engine = self.engine().await?;
        let all = view::roles(&engine, &self.ground.owner).await;
        let all = all.map_err(|error| cannot_list(&error))?.into_values();
        let removals = all.flat_map(Roles::removable).map(async |one| {
            let _making = self.shared.instances.making(&one.id.to_string()).await;
            self.remove_container(&engine, one).await
        });
        let results = futures_util::future::join_all(removals).await;
        self.after_removal(&engine).await;
        results.into_iter().collect()
    }

    async fn remove_container(&self, engine: &Engine, one: Found) -> Result<(), DriverError> {
        let removed = match replace::stop(engine, &one.container).await {
            Err(error) if engine::is_missing(&error) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => replace::remove(&engine.client, &one.container).await,
        };
        removed.map_err(|error| {
            let act = format!("container {} cannot be removed", one.name);
            explain_as(act, &error, |words| one.redact(&self.ground.secrets, words))
        })?;
        stage::remove(&self.ground, &one.id);
        Ok(())
    }

    async fn after_removal(&self, engine: &Engine) {
        bridges::sweep(engine, &self.shared, &self.ground.owner).await;
        self.ground.changed.notify_one();
    }
}

fn cannot_list(error: &Error) -> DriverError {
    // It is said of no unit.
    explain("containers cannot be listed", error, &Values::default())
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
            let Ground { owner, secrets, .. } = &self.ground;
            let specs = replace::settle_all(&engine, &self.shared, secrets, owner).await?;
            if let Err(error) = self.uses.found(specs.iter()) {
                tracing::warn!(%error, "whose data is in volumes is not written down");
            }
            Ok(())
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Unit>, DriverError>> {
        Box::pin(self.units())
    }

    fn volumes(&self) -> BoxFuture<'_, Result<Volumes, DriverError>> {
        Box::pin(async {
            let engine = self.engine().await?;
            let there = volumes::held(&engine, &self.ground.owner, &self.uses.read()?).await?;
            self.uses.listed(&there)?;
            Ok(there)
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
        Box::pin(self.remove_one(id))
    }

    fn retire(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            match self.engine().await {
                Err(DriverError::Unavailable(_)) => Ok(()),
                _ => self.remove_all().await,
            }
        })
    }

    fn logs(&self, query: Query, sink: Sink) -> BoxFuture<'_, Result<LogEndReason, DriverError>> {
        Box::pin(async move {
            let engine = self.engine().await?;
            let owner = &self.ground.owner;
            let error = match logs::send(&engine, owner, &query, &sink).await {
                Ok(end) => return Ok(end),
                Err(error) => error,
            };
            let act = format!("the log of {} cannot be read", query.id);
            let found = self.roles(&engine, &query.id).await?.current;
            Err(explain_as(act, &error, |words| match found {
                Some(found) => found.redact(&self.ground.secrets, words),
                None => words.to_owned(),
            }))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use devnet_schema::instance::{ContainerSpec, InstanceSpec, Workload};
    use tokio::sync::Notify;

    use super::{small::SmallEngine, *};
    use crate::{
        driver::{Owner, Progress},
        sample,
        secrets::Secrets,
    };

    fn ground(dir: &std::path::Path) -> Ground {
        Ground {
            owner: Owner { cluster: "home".parse().unwrap(), node: "n1".parse().unwrap() },
            data_dir: dir.join("data"),
            volatile_dir: dir.join("volatile"),
            secrets: Arc::new(Secrets::default()),
            changed: Arc::new(Notify::new()),
            stop_on_exit: false,
        }
    }

    fn spec(id: &str) -> InstanceSpec {
        let mut spec = sample::process(&[]);
        spec.id = id.parse().unwrap();
        let container = ContainerSpec { image: "redis:7".into(), ..ContainerSpec::default() };
        spec.workload = Workload::Container(container);
        spec
    }

    /// A container as the engine lists it.
    fn listed(container: &str, name: &str, spec: &InstanceSpec, state: &str) -> serde_json::Value {
        serde_json::json!({
            "Id": container, "Names": [format!("/{name}")], "State": state, "Created": 1,
            "Labels": {
                create::label::CLUSTER: "home", create::label::NODE: "n1",
                create::label::SERVICE: spec.id.service.to_string(),
                create::label::INDEX: spec.id.index.to_string(),
                create::label::GENERATION: "1",
                create::label::DIGEST: spec.digest().to_string(),
                create::label::SPEC: serde_json::to_string(spec).unwrap(),
            },
        })
    }

    fn job(spec: &InstanceSpec, generation: u64) -> Job {
        let digest = spec.digest();
        Job { spec: Arc::new(spec.clone()), generation, digest, progress: Progress::none() }
    }

    #[tokio::test]
    async fn one_container_is_looked_at_to_start_one_again_however_many_there_are() {
        let specs = ["a[0]", "b[0]", "c[0]"].map(spec);
        let all: Vec<_> = specs
            .iter()
            .map(|spec| {
                let slug = spec.id.slug();
                listed(&slug, &format!("devnet-home-{slug}"), spec, "exited")
            })
            .collect();
        let all = serde_json::to_string(&all).unwrap();
        let small = SmallEngine::new(move |asked| match asked {
            "GET /version" => (200, r#"{"Version":"20.10.24","Components":[]}"#.to_owned()),
            "GET /containers/json" => (200, all.clone()),
            asked if asked.starts_with("GET ") => {
                (200, r#"{"State":{"Status":"exited"}}"#.to_owned())
            }
            _ => (204, String::new()),
        });
        let dir = tempfile::tempdir().unwrap();
        let driver = DockerDriver::new(ground(dir.path()), vec![small.socket.clone()]);
        driver.recover().await.unwrap();
        let before = small.asked().len();
        driver.revive(job(&specs[1], 1)).await.unwrap();
        let asked = small.asked().split_off(before);
        let looks = ["GET /containers/json", "GET /containers/b-0/json"];
        assert_eq!(asked, [looks[0], looks[1], "POST /containers/b-0/start"]);
        let lists = small.asked()[..before].iter().filter(|asked| *asked == looks[0]).count();
        assert_eq!(lists, 1, "to see that nothing has to be put right");
    }

    #[tokio::test]
    async fn the_old_container_runs_again_also_when_the_new_one_cannot_be_removed() {
        let old = spec("web[0]");
        let all = [listed("old", "devnet-home-web-0", &old, "running")];
        let all = serde_json::to_string(&all).unwrap();
        let refused = |why: &str| (500, format!(r#"{{"message":"{why}"}}"#));
        let small = SmallEngine::new(move |asked| match asked {
            "GET /version" => (200, r#"{"Version":"20.10.24","Components":[]}"#.to_owned()),
            "GET /containers/json" => (200, all.clone()),
            "POST /containers/create" => (201, r#"{"Id":"new","Warnings":[]}"#.to_owned()),
            "POST /containers/new/start" => refused("no such file or directory"),
            "DELETE /containers/new" => refused("device or resource busy"),
            asked if asked.starts_with("GET ") => (200, "{}".to_owned()),
            _ => (204, String::new()),
        });
        let dir = tempfile::tempdir().unwrap();
        let driver = DockerDriver::new(ground(dir.path()), vec![small.socket.clone()]);
        let mut new = spec("web[0]");
        new.env.insert("NEW".into(), devnet_schema::secret::Text::plain("1"));
        let error = driver.ensure(job(&new, 2)).await.unwrap_err().to_string();
        for said in ["no such file", "the old version runs", "removed: device or resource busy"] {
            assert!(error.contains(said), "{said}: {error}");
        }
        let asked = small.asked();
        assert_eq!(asked.last().unwrap(), "POST /containers/old/start", "{asked:?}");
    }

    #[tokio::test]
    async fn a_log_is_never_that_of_a_foreign_container_of_the_name() {
        let small = SmallEngine::new(|asked| match asked {
            "GET /version" => (200, r#"{"Version":"20.10.24","Components":[]}"#.to_owned()),
            "GET /containers/json" => (200, "[]".to_owned()),
            _ => (200, r#"{"Id":"foreign"}"#.to_owned()),
        });
        let dir = tempfile::tempdir().unwrap();
        let driver = DockerDriver::new(ground(dir.path()), vec![small.socket.clone()]);
        let (id, here) = ("web[0]".parse().unwrap(), Arc::new(|| true));
        let query = Query { id, tail: 10, follow: false, after: None, here };
        let (sink, _chunks) = Sink::new();
        let error = driver.logs(query, sink).await.unwrap_err().to_string();
        assert!(error.contains("there is no container of web[0] on this node"), "{error}");
        let logs = small.asked().into_iter().filter(|asked| asked.contains("/logs"));
        assert_eq!(logs.count(), 0);
    }
}
