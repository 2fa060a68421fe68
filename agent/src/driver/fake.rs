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
    observed::InstanceState,
    wire::{LogEndReason, LogLine},
};
use futures_util::future::BoxFuture;

use super::{
    Driver, DriverError, Ground, Job, Unit,
    logs::{Chunk, Query, Sink},
};

/// Units in memory.
pub struct FakeDriver {
    ground: Ground,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    units: BTreeMap<InstanceId, Unit>,
    failing: BTreeSet<&'static str>,
    calls: Vec<String>,
    runs: u64,
}

impl FakeDriver {
    /// An empty one.
    pub fn new(ground: Ground) -> Self {
        Self { ground, state: Mutex::default() }
    }

    /// From now on, the named call fails: `list`, `prepare` or `ensure`.
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
        let spec = &job.spec;
        self.call("ensure", &spec.id.to_string())?;
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
            restarts: 0,
            message: None,
            address: None,
            run: format!("run {}", state.runs),
            started_at: 0,
        };
        state.units.insert(spec.id.clone(), unit);
        drop(state);
        self.ground.changed.notify_one();
        Ok(String::new())
    }
}

impl Driver for FakeDriver {
    fn runtime(&self) -> Runtime {
        Runtime::Process
    }

    fn probe(&self) -> BoxFuture<'_, Availability> {
        Box::pin(async { Availability { available: true, ..Availability::default() } })
    }

    fn recover(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async { Ok(()) })
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
        Box::pin(async move { self.call("revive", &job.spec.id.to_string()) })
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
