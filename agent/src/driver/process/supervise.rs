//! Keeps one process running: starts it again when it ends, stops it when told.
//!
//! Knows one unit and its present process. Refuses to know why it should run.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use devnet_schema::{instance::Runtime, observed::InstanceState};
use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    task::JoinHandle,
    time::{Instant, interval, sleep},
};

use super::{
    child::{Running, signal_number},
    launch::{self, BaseEnv},
    output,
    record::{Home, Record},
};
use crate::{
    driver::{Ground, Unit},
    rules,
};

/// How often log files are looked at for their size.
const BOUND_EVERY: Duration = Duration::from_secs(2);

/// What a supervisor needs.
#[derive(Clone)]
pub struct Setting {
    /// What every driver is given.
    pub ground: Ground,
    /// What every process is given.
    pub base: BaseEnv,
}

#[derive(Clone)]
struct Status {
    record: Record,
    state: InstanceState,
    message: Option<String>,
}

/// One supervised unit.
pub struct Slot {
    status: Arc<Mutex<Status>>,
    stop: watch::Sender<bool>,
    task: AsyncMutex<Option<JoinHandle<()>>>,
}

impl Slot {
    /// Begins to supervise; without `first`, the process is started.
    pub fn begin(setting: Setting, record: Record, first: Option<Running>) -> Self {
        let state = if first.is_some() { InstanceState::Running } else { InstanceState::Starting };
        let status = Arc::new(Mutex::new(Status { record, state, message: None }));
        let (stop, stopped) = watch::channel(false);
        let supervisor = Supervisor { setting, status: status.clone(), stopped, ends: 0 };
        let task = AsyncMutex::new(Some(tokio::spawn(supervisor.run(first))));
        Self { status, stop, task }
    }

    /// Ends the process and its supervision, and returns when both are over.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.lock().await.take() {
            // A supervisor that panicked has nothing left to end.
            let _ = task.await;
        }
    }

    /// What it runs.
    pub fn record(&self) -> Record {
        lock(&self.status).record.clone()
    }

    /// What is to be seen of it.
    pub fn unit(&self) -> Unit {
        let Status { record, state, message } = lock(&self.status).clone();
        let mark = record.process.as_ref();
        Unit {
            id: record.spec.id.clone(),
            generation: record.generation,
            digest: record.digest,
            runtime: Runtime::Process,
            state,
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
        self.say(InstanceState::Exited, Some("stopped".to_owned()));
    }

    /// Starts the process; `None` when that failed or is not wanted any more.
    async fn start(&mut self) -> Option<Running> {
        let mut record = lock(&self.status).record.clone();
        let result = tokio::select! {
            result = launch::start(&self.setting.ground, &self.setting.base, &mut record) => result,
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
                    let signal = stop.signal.as_deref().and_then(signal_number);
                    running.terminate(signal.unwrap_or(libc::SIGTERM), stop.grace.into()).await;
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
        running.kill_group();
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

async fn stop_wanted(stopped: &mut watch::Receiver<bool>) {
    // The sender lives as long as the slot; without a slot nobody wants the process stopped, and
    // it goes on without this agent.
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}
