//! Steps, carried out: asks `rules` what follows, lets a driver do it, reports.
//!
//! Knows the order of ledger and driver. Refuses to decide, and to run the same step twice at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use devnet_schema::{
    digest::Digest,
    instance::{InstanceSpec, Runtime},
    name::InstanceId,
    observed::{HealthState, InstanceState, ObservedInstance},
    quantity::Period,
    step::{Act, Step, StepReport, StepState},
    wire::Receipt,
};

use crate::{
    clock,
    driver::{Driver, DriverError, Job, Progress, Unit},
    ledger::{Content, Entry},
    node::Node,
    outbox::Outbox,
    rules::{self, Asked, Change, Decision},
};

/// A unit that ended by itself this often while somebody waits for it will not become healthy.
const HOPELESS: u32 = 4;

/// How long a step waits for a driver to say what runs after the agent has started.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(20);

/// Carries out steps.
pub struct Executor {
    node: Arc<Node>,
    outbox: Arc<Outbox>,
    running: Mutex<BTreeSet<(String, String)>>,
    /// What came with the newest order of each instance.
    receipts: Mutex<BTreeMap<InstanceId, Receipt>>,
}

/// How a step ended: a word for people, or what failed.
type Outcome = Result<String, String>;

impl Executor {
    /// One for this node.
    pub fn new(node: Arc<Node>, outbox: Arc<Outbox>) -> Arc<Self> {
        let (running, receipts) = (Mutex::default(), Mutex::default());
        Arc::new(Self { node, outbox, running, receipts })
    }

    /// Begins a step. One that is still running goes on, and reports once.
    pub fn begin(self: &Arc<Self>, deployment: String, step: Step) {
        let key = (deployment, step.id.clone());
        if !self.running().insert(key.clone()) {
            return;
        }
        self.outbox.forget(&key.0, &key.1);
        let executor = self.clone();
        tokio::spawn(async move {
            let (deployment, _) = &key;
            let outcome = executor.carry_out(deployment, &step).await;
            let state = match outcome {
                Ok(message) => StepState::Succeeded { message },
                Err(error) => {
                    tracing::warn!(step = %step.id, %error, "a step failed");
                    StepState::Failed { error }
                }
            };
            executor.running().remove(&key);
            executor.report(deployment, &step, state);
        });
    }

    /// Keeps what comes with an order; it is written down with it.
    pub fn keep(&self, step: &Step, receipt: Receipt) {
        self.receipts().insert(step.instance.clone(), receipt);
    }

    fn receipts(&self) -> std::sync::MutexGuard<'_, BTreeMap<InstanceId, Receipt>> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receipt(&self, step: &Step) -> Option<Receipt> {
        let receipt = self.receipts().get(&step.instance).cloned();
        receipt.filter(|it| it.generation == step.generation && step.act.is_order())
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeSet<(String, String)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, deployment: &str, step: &Step, state: StepState) {
        let (deployment, step) = (deployment.to_owned(), step.id.clone());
        self.outbox.put(StepReport { deployment, step, state });
    }

    async fn carry_out(self: &Arc<Self>, deployment: &str, step: &Step) -> Outcome {
        let message = format!("{} {}", step.act.word(), step.instance);
        tracing::info!(step = %step.id, generation = step.generation, "{message}");
        self.report(deployment, step, StepState::Running { message });
        match rules::asked(&step.act) {
            // Nobody is kept from replacing what is waited for.
            Asked::Wait(timeout) => {
                self.may_wait(step)?;
                await_healthy(&self.node, step, timeout).await
            }
            Asked::Change(change) => {
                let busy = self.node.busy(&step.instance);
                let _held = busy.lock().await;
                self.change(deployment, step, change).await
            }
        }
    }

    async fn change(
        self: &Arc<Self>,
        deployment: &str,
        step: &Step,
        change: Change<'_>,
    ) -> Outcome {
        let units = self.units(step, change).await?;
        match self.decide(step, change, &units)? {
            Decision::RunsAlready => self.note(step).map(|()| "it runs already".to_owned()),
            Decision::Prepare(spec) => {
                let driver = self.driver(spec.workload.runtime())?;
                let job = self.job(deployment, step, spec);
                driver.prepare(job).await.map_err(|error| error.to_string())
            }
            Decision::Ensure(spec) => self.ensure(deployment, step, spec, &units).await,
            Decision::Remove => self.remove(step, &units).await,
        }
    }

    /// What runs of the step's instance, according to drivers that answer. When the one that
    /// matters does not, the step fails.
    async fn units(&self, step: &Step, change: Change<'_>) -> Result<Vec<Unit>, String> {
        let wanted = change.spec().map(|spec| spec.workload.runtime());
        let known = self.node.spec(&step.instance).map(|spec| spec.workload.runtime());
        // Without a ledger nothing says that another driver does not run it.
        let anywhere = known.is_none() && self.node.ledger().began_empty();
        let matters = |runtime| wanted == Some(runtime) || known == Some(runtime);
        for runtime in self.node.drivers.keys().copied().filter(|runtime| matters(*runtime)) {
            let decided = self.node.recovery.decided(runtime, RECOVERY_PATIENCE).await;
            decided.map_err(|error| error.to_string())?;
        }
        let mut units = Vec::new();
        for (runtime, listed) in self.node.list().await {
            match listed {
                Ok(all) => units.extend(all.into_iter().filter(|unit| unit.id == step.instance)),
                Err(error) if matters(runtime) => return Err(error.to_string()),
                Err(DriverError::Unavailable(_)) => {}
                Err(error) if anywhere => return Err(error.to_string()),
                Err(_) => {}
            }
        }
        Ok(units)
    }

    fn decide<'a>(
        &self,
        step: &Step,
        change: Change<'a>,
        units: &[Unit],
    ) -> Result<Decision<'a>, String> {
        let ledger = self.node.ledger();
        let units: Vec<&Unit> = units.iter().collect();
        rules::decide(
            step,
            change,
            &self.node.owner,
            ledger.get(&step.instance),
            &units,
            clock::now_seconds(),
        )
    }

    fn may_wait(&self, step: &Step) -> Result<(), String> {
        let ledger = self.node.ledger();
        rules::may_wait(step, &self.node.owner, ledger.get(&step.instance), clock::now_seconds())
    }

    fn driver(&self, runtime: Runtime) -> Result<&Arc<dyn Driver>, String> {
        self.node.drivers.get(&runtime).ok_or_else(|| {
            format!(
                "node {} does not run {} units; place the service elsewhere, or start the agent \
                 with that driver",
                self.node.owner.node,
                runtime.as_str()
            )
        })
    }

    fn job(self: &Arc<Self>, deployment: &str, step: &Step, spec: &InstanceSpec) -> Job {
        let (executor, deployment, about) = (self.clone(), deployment.to_owned(), step.clone());
        Job {
            spec: Arc::new(spec.clone()),
            generation: step.generation,
            digest: spec.digest(),
            progress: Progress::new(move |message| {
                executor.report(&deployment, &about, StepState::Running { message });
            }),
        }
    }

    /// Writes down that this generation was accepted; the entry it replaces.
    fn accept(&self, step: &Step, content: Content) -> Result<Option<Entry>, String> {
        self.put(step, content).map_err(|error| {
            format!("{error:#}; nothing was changed; check that the node's disk has room")
        })
    }

    fn put(&self, step: &Step, content: Content) -> anyhow::Result<Option<Entry>> {
        let mut ledger = self.node.ledger();
        if let Some(receipt) = self.receipt(step) {
            ledger.keep(&step.instance, receipt)?;
        }
        let entry = Entry { generation: step.generation, content };
        ledger.put(step.instance.clone(), entry, clock::now_seconds())
    }

    /// The right thing runs already, maybe as an older generation.
    fn note(&self, step: &Step) -> Result<(), String> {
        let Act::Ensure { spec } = &step.act else {
            return Ok(());
        };
        let content = Content::Present { digest: spec.digest(), spec: Some(spec.clone()) };
        self.accept(step, content)?;
        self.node.changed.notify_one();
        Ok(())
    }

    async fn ensure(
        self: &Arc<Self>,
        deployment: &str,
        step: &Step,
        spec: &InstanceSpec,
        units: &[Unit],
    ) -> Outcome {
        let runtime = spec.workload.runtime();
        let job = self.job(deployment, step, spec);
        let driver = self.driver(runtime)?;
        let content = Content::Present {
            digest: job.digest.clone(),
            spec: Some(Box::new((*job.spec).clone())),
        };
        let before = self.accept(step, content)?;
        let others: Vec<&Unit> = units.iter().filter(|unit| unit.runtime != runtime).collect();
        let ordered = self.node.by_order(&step.instance);
        let result = self.replace(driver, job, &others).await;
        self.node.volumes_changed(runtime);
        drop(ordered);
        match &result {
            Ok(_) => self.node.secrets.retain(&self.node.ledger().secrets()),
            Err(_) => {
                let restored = self.node.ledger().restore(step.instance.clone(), before);
                if let Err(error) = restored {
                    tracing::error!(error = format!("{error:#}"), "writing the ledger failed");
                }
            }
        }
        self.node.changed.notify_one();
        result.map_err(|error| error.to_string())
    }

    /// Starts the job. What another driver runs of the instance ends before, because it may have
    /// the ports, and comes back when the job cannot be started.
    async fn replace(
        &self,
        driver: &Arc<dyn Driver>,
        job: Job,
        others: &[&Unit],
    ) -> Result<String, DriverError> {
        for other in others {
            self.node.drivers[&other.runtime].remove(&other.id).await?;
        }
        if job.spec.schedule.is_some() {
            return self.node.schedule(driver, &job).await;
        }
        let progress = job.progress.clone();
        let failed = match driver.ensure(job).await {
            Ok(message) => return Ok(message),
            Err(error) => error,
        };
        for other in others {
            let Some(spec) = other.spec.clone() else {
                continue;
            };
            let (generation, digest) = (other.generation, other.digest.clone());
            let job = Job { spec, generation, digest, progress: progress.clone() };
            if let Err(error) = self.node.drivers[&other.runtime].ensure(job).await {
                tracing::error!(instance = %other.id, %error, "bringing the old unit back failed");
            }
        }
        Err(failed)
    }

    async fn remove(&self, step: &Step, units: &[Unit]) -> Outcome {
        let id = &step.instance;
        let removed = Content::Removed { at: clock::now_seconds() };
        let written = self.put(step, removed.clone());
        let unwritten = written.is_err();
        let before = written.unwrap_or_else(|error| {
            // A full disk keeps nobody from making room on it.
            let error = format!("{error:#}");
            tracing::warn!(instance = %id, error, "writing down that a unit is removed failed");
            let entry = Entry { generation: step.generation, content: removed.clone() };
            self.node.ledger().hold(id.clone(), Some(entry))
        });
        let _ordered = self.node.by_order(&step.instance);
        for driver in self.node.drivers.values() {
            let there = units.iter().any(|unit| unit.runtime == driver.runtime());
            match driver.remove(id).await {
                Ok(()) => {}
                Err(DriverError::Unavailable(_)) if !there => {}
                Err(error) => {
                    let mut ledger = self.node.ledger();
                    if let Err(error) = ledger.restore(id.clone(), before.clone()) {
                        tracing::error!(error = format!("{error:#}"), "writing the ledger failed");
                        if unwritten {
                            ledger.hold(id.clone(), before);
                        }
                    }
                    return Err(error.to_string());
                }
            }
        }
        if unwritten && let Err(error) = self.put(step, removed) {
            self.node.changed.notify_one();
            return Err(format!(
                "{id} was removed, and that could not be written down: {error:#}; free some disk \
                 space on the node and plan again: else it is started once more with the agent"
            ));
        }
        self.node.secrets.retain(&self.node.ledger().secrets());
        self.node.changed.notify_one();
        Ok(if units.is_empty() { "it was not there".to_owned() } else { String::new() })
    }
}

/// Waits for what the ledger says should run to be seen healthy.
async fn await_healthy(node: &Node, step: &Step, timeout: Period) -> Outcome {
    let mut last = None;
    let waited = tokio::time::timeout(timeout.into(), watch_health(node, step, &mut last)).await;
    if let Ok(outcome) = waited {
        return outcome;
    }
    let id = &step.instance;
    let seen = match last {
        Some(message) => format!(": {message}"),
        None => String::new(),
    };
    Err(format!("{id} is not healthy after {timeout}{seen}; look at `devnet logs {id}`"))
}

async fn watch_health(node: &Node, step: &Step, last: &mut Option<String>) -> Outcome {
    let mut sights = node.sight.subscribe();
    let mut restarts = None;
    let id = &step.instance;
    loop {
        let entry = node.ledger().get(id).cloned();
        let Some(Entry { generation, content: Content::Present { digest, .. } }) = entry else {
            return Err(format!("{id} was removed while it was waited for"));
        };
        if generation != step.generation {
            return Err(format!("generation {generation} of {id} took its place; plan again"));
        }
        let sight = sights.borrow_and_update().clone();
        if given_up(&sight.observed.instances, id, &digest).is_some() {
            // What was seen last may be older than the unit that is waited for.
            let fresh = node.look().await;
            if let Some(why) = given_up(&fresh.observed.instances, id, &digest) {
                return Err(format!("{id} {why}; look at `devnet logs {id}`"));
            }
        }
        let seen = find(&sight.observed.instances, id).filter(|seen| seen.digest == digest);
        match seen {
            Some(seen) if seen.health == HealthState::Healthy => return Ok(String::new()),
            Some(seen) => {
                last.clone_from(&seen.message);
                let first = *restarts.get_or_insert(seen.restarts);
                if seen.restarts >= first.saturating_add(HOPELESS) {
                    let why = seen.message.as_deref().unwrap_or("it ends by itself");
                    return Err(format!(
                        "{id} does not keep running: {why}; look at `devnet logs {id}`"
                    ));
                }
            }
            None => *last = Some("it is not running".to_owned()),
        }
        if sights.changed().await.is_err() {
            return Err("the agent is stopping".to_owned());
        }
    }
}

/// Why nothing more is to be hoped for: its own retries are exhausted, or it has ended for good.
fn given_up(all: &[ObservedInstance], id: &InstanceId, digest: &Digest) -> Option<String> {
    let seen = find(all, id).filter(|seen| seen.digest == *digest)?;
    let what = match (seen.state, seen.health) {
        (InstanceState::Running, HealthState::Unhealthy) => "is unhealthy",
        (InstanceState::Exited, _) => "does not run",
        _ => return None,
    };
    let why = seen.message.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    Some(format!("{what}{why}"))
}

fn find<'a>(all: &'a [ObservedInstance], id: &InstanceId) -> Option<&'a ObservedInstance> {
    all.iter().find(|one| one.instance() == *id)
}

#[cfg(test)]
mod tests;
