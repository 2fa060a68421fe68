//! The process driver: native programs, for nodes without a container engine and for services that
//! are none. Processes outlive the agent; the next one adopts them.
//!
//! Knows the table of supervised units. Refuses to touch a process it did not start.

mod adopt;
mod badge;
mod cgroup;
mod child;
mod ending;
mod follow;
mod launch;
mod members;
mod output;
mod record;
mod supervise;

use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use devnet_schema::{
    fleet::Availability,
    instance::{InstanceSpec, Runtime, StopSpec, Workload},
    name::InstanceId,
    wire::LogEndReason,
};
use futures_util::future::BoxFuture;
use tokio::{io::AsyncReadExt, process::Command};

use self::{
    adopt::Found,
    badge::Issuer,
    ending::Endings,
    record::{Home, Record},
    supervise::{Setting, Slot},
};
pub use self::{child::wait_for_end, launch::BaseEnv};
use super::{
    Driver, DriverError, EXEC_SHOWN, Ground, Job, Unit, Volumes,
    logs::{Query, Sink},
    ports,
    uses::UsesFile,
};
use crate::identity::Watcher;

/// How long a step waits for the control plane to hand out secrets.
pub const SECRET_PATIENCE: Duration = Duration::from_secs(30);

/// How much of what a health command writes to standard error is read, in bytes. Much less of it is
/// shown: whatever stands in it is looked through for secrets before it is cut.
const EXEC_OUTPUT: u64 = 64 << 10;

/// How often, and how long apart, the ports of a process that was stopped are tried.
const PORT_TRIES: u32 = 20;
const PORT_PAUSE: Duration = Duration::from_millis(50);

/// Runs native processes.
pub struct ProcessDriver {
    setting: Setting,
    table: Mutex<BTreeMap<InstanceId, Arc<Slot>>>,
    /// What an earlier agent left; see `adopt`.
    found: Found,
    /// Removals that an earlier agent began.
    endings: Endings,
    /// Who used which volume last.
    uses: UsesFile,
}

impl ProcessDriver {
    /// A driver with an empty table. Whatever it is asked first, it looks for what runs before.
    pub fn new(ground: Ground, base: BaseEnv) -> Self {
        Self::watched(ground, base, Arc::new(|_| Ok(())))
    }

    /// As [`ProcessDriver::new`], and `watcher` is told of each point at which a record is written,
    /// so that a test can end everything there.
    pub fn watched(ground: Ground, base: BaseEnv, watcher: Arc<Watcher>) -> Self {
        let issuer = Issuer::of(&ground.owner, &ground.data_dir);
        let cgroups = cgroup::own();
        let uses = UsesFile::new(&ground.data_dir, Runtime::Process);
        let setting = Setting { ground, base, issuer, cgroups, watcher };
        Self {
            setting,
            table: Mutex::default(),
            found: Found::default(),
            endings: Endings::default(),
            uses,
        }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, BTreeMap<InstanceId, Arc<Slot>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, id: &InstanceId) -> Option<Arc<Slot>> {
        self.slots().get(id).cloned()
    }

    fn home(&self, id: &InstanceId) -> Home {
        Home::new(&self.setting.ground.data_dir, id)
    }

    fn begin(&self, record: Record, first: Option<child::Running>) {
        let id = record.spec.id.clone();
        let slot = Slot::begin(self.setting.clone(), record, first);
        self.slots().insert(id, Arc::new(slot));
    }

    async fn check(&self, job: &Job) -> Result<String, DriverError> {
        let spec = &job.spec;
        self.readable(&spec.id).await?;
        // What is being removed may have the ports.
        self.endings.over(&spec.id).await?;
        check_spec(spec)?;
        launch::program(spec, &self.setting.base, &self.home(&spec.id).work())?;
        let units: Vec<Unit> = self.slots().values().map(|slot| slot.unit()).collect();
        ports::check(spec, &ports::held_by(&units), false)?;
        let secrets = &self.setting.ground.secrets;
        secrets.values_within(&spec.id, &spec.secrets(), SECRET_PATIENCE).await?;
        let visible = match &spec.workload {
            Workload::Process { argv } => argv.iter().any(|text| text.secrets().next().is_some()),
            Workload::Container(_) => false,
        };
        Ok(match visible {
            false => String::new(),
            true => "a secret is on the command line, where every user of the node can read it; \
                     pass it in the environment or in a file"
                .to_owned(),
        })
    }

    /// Stops the old process, starts the new one, and goes back when that fails.
    async fn replace(&self, job: Job) -> Result<String, DriverError> {
        let spec = job.spec.clone();
        self.readable(&spec.id).await?;
        self.endings.over(&spec.id).await?;
        let wanted = spec.secrets();
        let secrets = &self.setting.ground.secrets;
        secrets.values_within(&spec.id, &wanted, SECRET_PATIENCE).await?;
        launch::program(&spec, &self.setting.base, &self.home(&spec.id).work())?;
        if !spec.volumes.is_empty() {
            let there = record::volumes(&self.setting.ground.data_dir, &self.uses.read()?)?;
            self.uses.none_gone(&spec, &there)?;
        }
        self.uses.starts(&spec)?;
        let old = self.slot(&spec.id);
        if let Some(old) = &old {
            job.progress.say("stopping the old process");
            old.stop().await;
        }
        job.progress.say("starting the process");
        let mut record = Record::of(&job);
        let started = match self.make_room(&record).await {
            Ok(()) => launch::start(&self.setting, &mut record).await,
            Err(error) => Err(error),
        };
        match (started, old) {
            (Ok(running), _) => {
                let message = format!("process {}", running.mark.pid);
                self.begin(record, Some(running));
                Ok(message)
            }
            (Err(error), Some(old)) => {
                self.go_back(old.record());
                Err(DriverError::failed(
                    format!("{} cannot be replaced", spec.id),
                    error,
                    "the old version is started again",
                ))
            }
            (Err(error), None) => {
                let removed = self.home(&spec.id).remove(&*self.setting.watcher);
                if let Err(error) = removed {
                    tracing::warn!(instance = %spec.id, %error, "what a start left");
                }
                Err(error)
            }
        }
    }

    /// Stops the unit and removes its directory. That it ends is written down first, so that an
    /// agent that is killed meanwhile is followed by one that finishes it.
    async fn take_away(&self, id: &InstanceId) -> Result<(), DriverError> {
        self.readable(id).await?;
        if self.endings.over(id).await? {
            return Ok(());
        }
        let (home, watcher) = (self.home(id), &*self.setting.watcher);
        let Some(slot) = self.slot(id) else {
            self.clear_unsupervised(id).await?;
            return home.remove(watcher);
        };
        let record = slot.record();
        let ending = Record { ending: true, ..record.clone() };
        if let Err(error) = home.save(&ending, watcher) {
            // A full disk keeps nobody from making room on it.
            tracing::warn!(instance = %id, %error, "writing down that a unit ends failed");
        }
        slot.stop().await;
        let cleared = self.setting.clear(&ending).await;
        if let Err(error) = cleared.and_then(|()| home.remove(watcher)) {
            self.go_back(record);
            return Err(error);
        }
        self.slots().remove(id);
        self.setting.ground.changed.notify_one();
        Ok(())
    }

    /// A step failed, and the unit should run as before it: for this agent and for the next.
    fn go_back(&self, before: Record) {
        let back = Record { process: None, ..before };
        if let Err(error) = self.home(&back.spec.id).save(&back, &*self.setting.watcher) {
            tracing::warn!(instance = %back.spec.id, %error, "writing a record failed");
        }
        self.begin(back, None);
    }

    /// Ends what runs of an instance that is in no slot, as its record says where there is one.
    async fn clear_unsupervised(&self, id: &InstanceId) -> Result<(), DriverError> {
        match self.home(id).found() {
            None => self.setting.clear_all(id, &StopSpec::default(), None).await,
            Some(found) => self.setting.clear(&self.own(found)?).await,
        }
    }

    /// Ends what runs of the instance and is in no slot, and waits for its ports.
    async fn make_room(&self, record: &Record) -> Result<(), DriverError> {
        self.setting.clear(record).await?;
        free_ports(&record.spec).await
    }

    async fn run_inside(&self, unit: &Unit, argv: &[String]) -> Result<(i64, String), DriverError> {
        let failed = |error: &dyn std::fmt::Display| {
            let act = format!("the health command of {} cannot be run", unit.id);
            DriverError::failed(act, error, "check the command in `health exec=`")
        };
        let (Some(spec), Some(name)) = (&unit.spec, argv.first()) else {
            return Err(failed(&"there is no command"));
        };
        let values = self.setting.ground.secrets.values(&spec.id, &spec.secrets()).await?;
        let dir = self.home(&unit.id).work();
        let program = child::find_program(name, &dir, &self.setting.base.path)
            .ok_or_else(|| failed(&format!("there is no program `{}`", name.escape_debug())))?;
        let mut command = Command::new(program);
        command
            .args(&argv[1..])
            .env_clear()
            .envs(launch::environment(&self.setting.base, spec, &values)?)
            .envs(self.slot(&unit.id).and_then(|slot| self.setting.badge_of(&slot.record())))
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        child::end_with_parent(&mut command);
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let mut output = Vec::new();
        if let Some(mut stderr) = child.stderr.take() {
            // Reading less than there is only means that less is shown. The rest is read, too: who
            // writes to a pipe that nobody reads is killed, and would seem unhealthy.
            let _ = (&mut stderr).take(EXEC_OUTPUT).read_to_end(&mut output).await;
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        }
        let status = child.wait().await.map_err(|error| failed(&error))?;
        let code = i64::from(status.code().unwrap_or(-1));
        Ok((code, values.quote(&output, EXEC_SHOWN)))
    }
}

/// Waits a moment for the unit's ports: what a killed process held is free a little later.
async fn free_ports(spec: &InstanceSpec) -> Result<(), DriverError> {
    let mut tries = 0;
    loop {
        match ports::check(spec, &ports::Held::new(), false) {
            Err(_) if tries < PORT_TRIES => tries += 1,
            result => return result,
        }
        tokio::time::sleep(PORT_PAUSE).await;
    }
}

/// What a process cannot have.
fn check_spec(spec: &InstanceSpec) -> Result<(), DriverError> {
    if let Some(signal) = &spec.stop.signal
        && child::signal_number(signal).is_none()
    {
        return Err(DriverError::failed(
            format!("the signal `{}` of {} cannot be sent", signal.escape_debug(), spec.id),
            "it is not known",
            "use SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH or SIGKILL",
        ));
    }
    if spec.env.contains_key(badge::VARIABLE) {
        return Err(DriverError::failed(
            format!("{} cannot be given the variable {}", spec.id, badge::VARIABLE),
            "the agent finds a unit's processes by it",
            "give the variable another name",
        ));
    }
    if let Some(port) = spec.ports.iter().find(|port| port.container != port.host) {
        return Err(DriverError::failed(
            format!("port {} of {} cannot be published as {}", port.container, spec.id, port.host),
            "a process listens on the node itself",
            "give both the same number",
        ));
    }
    Ok(())
}

impl Driver for ProcessDriver {
    fn runtime(&self) -> Runtime {
        Runtime::Process
    }

    fn probe(&self) -> BoxFuture<'_, Availability> {
        Box::pin(async {
            Availability { version: None, available: cfg!(target_os = "linux"), engine: None }
        })
    }

    fn recover(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            self.adopted().await?;
            let units: Vec<Unit> = self.slots().values().map(|slot| slot.unit()).collect();
            let specs = units.iter().filter_map(|unit| unit.spec.as_deref());
            if let Err(error) = self.uses.found(specs) {
                tracing::warn!(%error, "whose data is in volumes is not written down");
            }
            Ok(())
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Unit>, DriverError>> {
        Box::pin(async {
            self.adopted().await?;
            let mut units: Vec<Unit> = self.slots().values().map(|slot| slot.unit()).collect();
            units.extend(self.endings.units());
            units.extend(self.unreadable());
            units.sort_by(|a, b| a.id.cmp(&b.id));
            Ok(units)
        })
    }

    fn volumes(&self) -> BoxFuture<'_, Result<Volumes, DriverError>> {
        Box::pin(async {
            let uses = self.uses.read()?;
            let there = record::volumes(&self.setting.ground.data_dir, &uses)?;
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
        Box::pin(async move {
            self.readable(&job.spec.id).await?;
            self.endings.over(&job.spec.id).await?;
            // A supervisor starts its process by itself; only one without a supervisor is left.
            if self.slot(&job.spec.id).is_none() {
                self.uses.starts(&job.spec)?;
                self.begin(Record::of(&job), None);
            }
            Ok(())
        })
    }

    fn remove<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), DriverError>> {
        Box::pin(self.take_away(id))
    }

    fn retire(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            // Units whose records cannot be read end, too: by what they carry.
            let adopted = self.adopted().await;
            let slots: Vec<_> = self.slots().values().cloned().collect();
            let stopped = futures_util::future::join_all(slots.iter().map(|slot| slot.stop()));
            tokio::join!(stopped, self.endings.all_over());
            self.end_strays(|_| true).await;
            adopted
        })
    }

    fn logs(&self, query: Query, sink: Sink) -> BoxFuture<'_, Result<LogEndReason, DriverError>> {
        Box::pin(async move {
            let id = query.id.clone();
            follow::send(self.home(&id).logs(), query, sink).await.map_err(|error| {
                DriverError::failed(
                    format!("the log of {id} cannot be read"),
                    error,
                    "look at it on the node",
                )
            })
        })
    }

    fn exec<'a>(
        &'a self,
        unit: &'a Unit,
        argv: &'a [String],
    ) -> BoxFuture<'a, Result<(i64, String), DriverError>> {
        Box::pin(self.run_inside(unit, argv))
    }
}

#[cfg(test)]
mod tests;
