//! Keeps one process running: starts it again when it ends, stops it when told.
//!
//! Knows one unit and its present process. Refuses to know why it should run.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use devnet_schema::{
    instance::{Runtime, StopSpec},
    name::InstanceId,
    observed::InstanceState,
};
use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    task::JoinHandle,
    time::{Instant, interval, sleep},
};

use super::{
    badge::{self, Badge, Issuer},
    cgroup::Cgroup,
    child::{End, Running, signal_number},
    launch::{self, BaseEnv},
    members::Traces,
    output,
    record::{Home, Record},
};
use crate::{
    driver::{DriverError, Ground, Unit},
    identity::Watcher,
    rules,
};

/// How often log files are looked at for their size.
const BOUND_EVERY: Duration = Duration::from_secs(2);

/// What a supervisor needs.
#[derive(Clone)]
pub(super) struct Setting {
    /// What every driver is given.
    pub ground: Ground,
    /// What every process is given.
    pub base: BaseEnv,
    /// Who makes the badges.
    pub issuer: Issuer,
    /// Where cgroups may be made, if anywhere.
    pub cgroups: Option<PathBuf>,
    /// Told of each point at which a record is written.
    pub watcher: Arc<Watcher>,
}

impl Setting {
    /// A cgroup for an instance, where one may be made.
    pub(super) fn cgroup(&self, id: &InstanceId) -> Option<Cgroup> {
        let base = self.cgroups.as_deref()?;
        Cgroup::make(base, &format!("{}.{}", self.issuer.place(), id.slug()))
    }

    /// The variable that the processes of a record's start carry.
    pub(super) fn badge_of(&self, record: &Record) -> Option<(String, String)> {
        let badge = Badge { slug: record.spec.id.slug(), nonce: record.nonce.clone()? };
        Some((badge::VARIABLE.to_owned(), self.issuer.write(&badge)))
    }

    /// By what the processes of a record's start are known; its first process is not among it.
    pub(super) fn traces(&self, record: &Record) -> Traces {
        Traces {
            issuer: self.issuer.clone(),
            slug: record.spec.id.slug(),
            nonce: Some(record.nonce.clone().unwrap_or_default()),
            leader: None,
            cgroup: record.cgroup.clone(),
        }
    }

    /// Ends whatever runs of a record's instance, of whichever start, as its spec says.
    ///
    /// # Errors
    /// When something does not end, or it cannot be seen what runs: nothing may be started then.
    pub(super) async fn clear(&self, record: &Record) -> Result<(), DriverError> {
        self.clear_all(&record.spec.id, &record.spec.stop, record.cgroup.clone()).await
    }

    /// As [`Setting::clear`], where there may be no record.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn clear_all(
        &self,
        id: &InstanceId,
        stop: &StopSpec,
        cgroup: Option<Cgroup>,
    ) -> Result<(), DriverError> {
        let traces = Traces {
            issuer: self.issuer.clone(),
            slug: id.slug(),
            nonce: None,
            leader: None,
            cgroup: cgroup.or_else(|| self.cgroup(id)),
        };
        Self::nothing_left(id, traces.end(Some(politeness(stop))).await)
    }

    /// What ending all of a unit came to.
    ///
    /// # Errors
    /// When something is left of it, or that cannot be seen.
    pub(super) fn nothing_left(
        id: &InstanceId,
        ended: io::Result<Vec<i32>>,
    ) -> Result<(), DriverError> {
        let left = ended.map_err(|error| {
            DriverError::NotKnown(format!(
                "it cannot be seen what runs of {id}: {error}; check that the agent may read /proc"
            ))
        })?;
        match left.is_empty() {
            true => Ok(()),
            false => Err(still_there(id, &left)),
        }
    }
}

/// For people.
pub(super) fn still_there(id: &InstanceId, left: &[i32]) -> DriverError {
    let pids: Vec<_> = left.iter().map(ToString::to_string).collect();
    DriverError::failed(
        format!("what runs of {id} cannot be ended"),
        format!("killed processes are still there: {}", pids.join(", ")),
        "they may wait for a disk or a network file system: look at them on the node",
    )
}

/// How a unit is asked to end.
pub(super) fn politeness(stop: &StopSpec) -> (i32, Duration) {
    let signal = stop.signal.as_deref().and_then(signal_number);
    (signal.unwrap_or(libc::SIGTERM), stop.grace.into())
}

#[derive(Clone)]
struct Status {
    record: Record,
    state: InstanceState,
    message: Option<String>,
}

/// One supervised unit.
pub(super) struct Slot {
    status: Arc<Mutex<Status>>,
    stop: watch::Sender<bool>,
    task: AsyncMutex<Option<JoinHandle<()>>>,
}

impl Slot {
    /// Begins to supervise; without `first`, the process is started.
    pub(super) fn begin(setting: Setting, record: Record, first: Option<Running>) -> Self {
        let (stop, stopped) = watch::channel(false);
        // What is done is kept in sight, and not done again.
        if record.completed {
            let state = InstanceState::Completed;
            let status = Arc::new(Mutex::new(Status { record, state, message: None }));
            return Self { status, stop, task: AsyncMutex::new(None) };
        }
        let state = if first.is_some() { InstanceState::Running } else { InstanceState::Starting };
        let status = Arc::new(Mutex::new(Status { record, state, message: None }));
        let status_of = status.clone();
        let supervisor = Supervisor { setting, status: status_of, stopped, ends: 0, over: None };
        let task = AsyncMutex::new(Some(tokio::spawn(supervisor.run(first))));
        Self { status, stop, task }
    }

    /// Ends the process and its supervision, and returns when both are over.
    pub(super) async fn stop(&self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.lock().await.take() {
            // A supervisor that panicked has nothing left to end.
            let _ = task.await;
        }
    }

    /// What it runs.
    pub(super) fn record(&self) -> Record {
        lock(&self.status).record.clone()
    }

    /// What is to be seen of it.
    pub(super) fn unit(&self) -> Unit {
        let Status { record, state, message } = lock(&self.status).clone();
        let mark = record.process.as_ref();
        Unit {
            id: record.spec.id.clone(),
            generation: record.generation,
            digest: record.digest,
            runtime: Runtime::Process,
            state,
            ending: false,
            restarts: record.restarts,
            message,
            address: None,
            run: mark.map(|mark| format!("{}@{}", mark.pid, mark.start)).unwrap_or_default(),
            started_at: mark.map_or(0, |mark| mark.started_at),
            spec: Some(record.spec),
        }
    }
}

fn lock(status: &Mutex<Status>) -> std::sync::MutexGuard<'_, Status> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Supervisor {
    setting: Setting,
    status: Arc<Mutex<Status>>,
    stopped: watch::Receiver<bool>,
    /// How often it ended by itself in a row.
    ends: u32,
    /// How what was to run once ended.
    over: Option<(InstanceState, String)>,
}

impl Supervisor {
    async fn run(mut self, mut first: Option<Running>) {
        loop {
            let pause = match first.take() {
                Some(running) => self.watch(running).await,
                None => match self.start().await {
                    Some(running) => self.watch(running).await,
                    None => self.pause(),
                },
            };
            let Some(pause) = pause else { break };
            tokio::select! {
                () = sleep(pause) => {}
                () = stop_wanted(&mut self.stopped) => break,
            }
        }
        // A start that was given up on halfway may have left something.
        let record = lock(&self.status).record.clone();
        if let Err(error) = self.setting.clear(&record).await {
            tracing::error!(instance = %record.spec.id, %error, "ending a unit failed");
        }
        let stopped = || (InstanceState::Exited, "stopped".to_owned());
        let (state, message) = self.over.take().unwrap_or_else(stopped);
        self.say(state, Some(message));
    }

    /// Takes down how what was to run once ended. Only what is written down as done is not run
    /// again by the next agent.
    fn finish(&mut self, end: End) {
        let mut record = lock(&self.status).record.clone();
        let done = end.is_success();
        record.completed = done;
        let home = Home::new(&self.setting.ground.data_dir, &record.spec.id);
        if done && let Err(error) = home.save(&record, &*self.setting.watcher) {
            tracing::error!(instance = %record.spec.id, %error, "what is done may be done again");
        }
        lock(&self.status).record = record;
        let state = if done { InstanceState::Completed } else { InstanceState::Exited };
        self.over = Some((state, end.words()));
    }

    /// Starts the process; `None` when that failed or is not wanted any more.
    async fn start(&mut self) -> Option<Running> {
        let mut record = lock(&self.status).record.clone();
        let result = tokio::select! {
            result = launch::start(&self.setting, &mut record) => result,
            () = stop_wanted(&mut self.stopped) => return None,
        };
        match result {
            Ok(running) => {
                lock(&self.status).record = record;
                Some(running)
            }
            Err(error) => {
                tracing::warn!(instance = %record.spec.id, %error, "starting a process failed");
                self.ends += 1;
                self.say(InstanceState::Starting, Some(error.to_string()));
                None
            }
        }
    }

    /// Stays with a process until it ends; how long to wait then, or `None` to give up on it.
    async fn watch(&mut self, mut running: Running) -> Option<Duration> {
        self.say(InstanceState::Running, None);
        let began = Instant::now();
        let mut bounding = interval(BOUND_EVERY);
        let (id, stop) = {
            let status = lock(&self.status);
            (status.record.spec.id.clone(), status.record.spec.stop.clone())
        };
        let logs = Home::new(&self.setting.ground.data_dir, &id).logs();
        let end = loop {
            tokio::select! {
                end = running.ended() => break end,
                () = stop_wanted(&mut self.stopped) => {
                    let (signal, grace) = politeness(&stop);
                    complain(&id, running.terminate(signal, grace).await);
                    return None;
                }
                _ = bounding.tick() => {
                    let logs = logs.clone();
                    let bounded = tokio::task::spawn_blocking(move || output::bound(&logs)).await;
                    if let Ok(Err(error)) = bounded {
                        tracing::warn!(instance = %id, %error, "a log was not kept in bounds");
                    }
                }
            }
        };
        // What the leader left behind would hold the ports that its successor needs.
        complain(&id, running.end_rest().await);
        if lock(&self.status).record.spec.run_once {
            self.finish(end);
            return None;
        }
        self.ends = if began.elapsed() >= rules::STEADY { 1 } else { self.ends + 1 };
        let pause = rules::restart_pause(self.ends);
        lock(&self.status).record.restarts += 1;
        let words = format!("{}; starting it again in {pause:?}", end.words());
        tracing::warn!(instance = %id, "the process {words}");
        self.say(InstanceState::Starting, Some(words));
        Some(pause)
    }

    /// How long to wait after a failed start; `None` when stopping is the reason.
    fn pause(&self) -> Option<Duration> {
        (!*self.stopped.borrow()).then(|| rules::restart_pause(self.ends))
    }

    fn say(&self, state: InstanceState, message: Option<String>) {
        {
            let mut status = lock(&self.status);
            status.state = state;
            status.message = message;
        }
        self.setting.ground.changed.notify_one();
    }
}

/// Whatever did not end is ended before the next start, or keeps it from happening.
fn complain(id: &InstanceId, ended: io::Result<Vec<i32>>) {
    match ended {
        Ok(left) if left.is_empty() => {}
        Ok(left) => tracing::error!(instance = %id, "{}", still_there(id, &left)),
        Err(error) => tracing::error!(instance = %id, %error, "it cannot be seen what runs"),
    }
}

async fn stop_wanted(stopped: &mut watch::Receiver<bool>) {
    // The sender lives as long as the slot; without a slot nobody wants the process stopped, and
    // it goes on without this agent.
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}
