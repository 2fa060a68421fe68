//! A driver without a machine: units in memory, for tests of everything above drivers.
//!
//! Knows the driver contract. Refuses to start anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use devnet_schema::{
    fleet::Availability,
    instance::Runtime,
    name::InstanceId,
    observed::{HeldVolume, InstanceState},
    wire::{LogEndReason, LogLine},
};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::{
    Driver, DriverError, Ground, Job, Unit, Volumes,
    logs::{Chunk, Query, Sink},
};

/// Units in memory.
pub struct FakeDriver {
    ground: Ground,
    runtime: Runtime,
    state: Mutex<State>,
    answers: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    units: BTreeMap<InstanceId, Unit>,
    failing: BTreeSet<&'static str>,
    calls: Vec<String>,
    runs: u64,
    /// Those of every unit that was started: they outlive it.
    volumes: BTreeSet<HeldVolume>,
    listings: u32,
    /// Units that are there and were not found yet: `recover` finds them.
    hidden: Vec<Unit>,
}

impl FakeDriver {
    /// An empty one.
    pub fn new(ground: Ground) -> Self {
        Self::of(ground, Runtime::Process)
    }

    /// An empty one that stands for `runtime`.
    pub fn of(ground: Ground, runtime: Runtime) -> Self {
        Self { ground, runtime, state: Mutex::default(), answers: watch::Sender::new(true) }
    }

    /// From now on, `recover` answers, or does not, until this is said again.
    pub fn answer(&self, answers: bool) {
        self.answers.send_replace(answers);
    }

    /// Puts a unit there that an earlier agent started: it is seen when `recover` has answered.
    pub fn hide(&self, unit: Unit) {
        self.state().hidden.push(unit);
    }

    /// From now on, the named call fails: `recover`, `list`, `volumes`, `prepare` or `ensure`.
    pub fn fail(&self, call: &'static str) {
        self.state().failing.insert(call);
    }

    /// From now on, it works again.
    pub fn mend(&self, call: &'static str) {
        self.state().failing.remove(call);
    }

    /// What was called so far, in order.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// Puts a unit there that nobody asked for, or one into another state.
    pub fn put(&self, unit: Unit) {
        self.state().units.insert(unit.id.clone(), unit);
        self.ground.changed.notify_one();
    }

    /// How often it was asked for volumes.
    pub fn listings(&self) -> u32 {
        self.state().listings
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, call: &'static str, id: &str) -> Result<(), DriverError> {
        let mut state = self.state();
        state.calls.push(format!("{call} {id}").trim_end().to_owned());
        match state.failing.contains(call) {
            true => Err(DriverError::failed(call, "it is broken", "mend it")),
            false => Ok(()),
        }
    }

    async fn run(&self, job: Job) -> Result<String, DriverError> {
        self.call("ensure", &job.spec.id.to_string())?;
        self.start(job).await
    }

    async fn start(&self, job: Job) -> Result<String, DriverError> {
        let spec = &job.spec;
        self.ground.secrets.values(&spec.id, &spec.secrets()).await?;
        let mut state = self.state();
        state.runs += 1;
        let unit = Unit {
            id: spec.id.clone(),
            generation: job.generation,
            digest: job.digest,
            spec: Some(spec.clone()),
            runtime: spec.workload.runtime(),
            state: InstanceState::Running,
            ending: false,
            restarts: 0,
            message: None,
            address: None,
            run: format!("run {}", state.runs),
            started_at: 0,
        };
        state.units.insert(spec.id.clone(), unit);
        for volume in &spec.volumes {
            let (instance, name) = (volume.owner(&spec.id).clone(), volume.name.clone());
            state.volumes.retain(|it| (&it.instance, &it.name) != (&instance, &name));
            let user = (instance != spec.id).then(|| spec.id.clone());
            let runtime = spec.workload.runtime();
            state.volumes.insert(HeldVolume { instance, name, runtime, user });
        }
        drop(state);
        self.ground.changed.notify_one();
        Ok(String::new())
    }
}

impl Driver for FakeDriver {
    fn runtime(&self) -> Runtime {
        self.runtime
    }

    fn probe(&self) -> BoxFuture<'_, Availability> {
        Box::pin(async { Availability { available: true, ..Availability::default() } })
    }

    fn recover(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            let mut answers = self.answers.subscribe();
            let answered = answers.wait_for(|answers| *answers).await;
            answered.map_err(|_| DriverError::Unavailable("it is gone".to_owned()))?;
            self.call("recover", "")?;
            let mut state = self.state();
            for unit in std::mem::take(&mut state.hidden) {
                state.units.insert(unit.id.clone(), unit);
            }
            Ok(())
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Unit>, DriverError>> {
        Box::pin(async {
            let state = self.state();
            match state.failing.contains("list") {
                true => Err(DriverError::failed("list", "it is broken", "mend it")),
                false => Ok(state.units.values().cloned().collect()),
            }
        })
    }

    fn volumes(&self) -> BoxFuture<'_, Result<Volumes, DriverError>> {
        Box::pin(async {
            let mut state = self.state();
            state.listings += 1;
            match state.failing.contains("volumes") {
                true => Err(DriverError::failed("volumes", "it is broken", "mend it")),
                false => {
                    let own = state.volumes.iter().cloned().collect();
                    Ok(Volumes { own, shared: Vec::new() })
                }
            }
        })
    }

    fn prepare(&self, job: Job) -> BoxFuture<'_, Result<String, DriverError>> {
        Box::pin(async move {
            self.call("prepare", &job.spec.id.to_string())?;
            Ok(String::new())
        })
    }

    fn ensure(&self, job: Job) -> BoxFuture<'_, Result<String, DriverError>> {
        Box::pin(self.run(job))
    }

    fn revive(&self, job: Job) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            self.call("revive", &job.spec.id.to_string())?;
            if self.state().units.contains_key(&job.spec.id) {
                return Ok(());
            }
            self.start(job).await.map(drop)
        })
    }

    fn remove<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), DriverError>> {
        Box::pin(async move {
            self.call("remove", &id.to_string())?;
            self.state().units.remove(id);
            self.ground.changed.notify_one();
            Ok(())
        })
    }

    fn retire(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            self.state().units.clear();
            Ok(())
        })
    }

    fn logs(&self, query: Query, sink: Sink) -> BoxFuture<'_, Result<LogEndReason, DriverError>> {
        Box::pin(async move {
            for number in 0..query.tail {
                let mut chunk = Chunk { position: number.to_string(), ..Chunk::default() };
                chunk.push(LogLine {
                    stream: "stdout".to_owned(),
                    text: format!("{} {number}", query.id),
                    ..LogLine::default()
                });
                if sink.put(chunk).await.is_err() {
                    return Ok(LogEndReason::Complete);
                }
            }
            if query.follow {
                sink.closed().await;
            }
            Ok(LogEndReason::Complete)
        })
    }

    fn exec<'a>(
        &'a self,
        _unit: &'a Unit,
        argv: &'a [String],
    ) -> BoxFuture<'a, Result<(i64, String), DriverError>> {
        Box::pin(async move { Ok((i64::from(argv != ["true"]), String::new())) })
    }
}
