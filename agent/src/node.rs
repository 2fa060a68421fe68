//! This node: its drivers, its ledger, its secrets and what it last saw. It outlives connections.
//!
//! Knows how to look at all drivers at once and write down what was found. Refuses to know the
//! control plane.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use devnet_schema::{
    instance::{InstanceSpec, Runtime},
    name::InstanceId,
    observed::InstanceState,
    order::MAX_GENERATION,
};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, watch},
    time::Instant,
};

use crate::{
    clock,
    driver::{Driver, DriverError, Job, Owner, Progress, Unit, Volumes},
    health::Health,
    ledger::{Content, Entry, Ledger},
    observe::{self, Sight},
    recovery::Recovery,
    rules,
    schedule::{self, Timetable},
    secrets::Secrets,
};

/// How often this node looks at itself without a reason: an event may have been lost.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Changes come in groups; so long after the first, the group is looked at.
const GATHER: Duration = Duration::from_millis(30);

/// How long nobody asks what is due, at most: clocks are set.
const TICK: Duration = Duration::from_secs(20);

/// How often volumes are listed that nothing is known to have changed.
const VOLUMES_EVERY: Duration = Duration::from_secs(300);

/// How long a driver may take to say what runs.
const LIST_PATIENCE: Duration = Duration::from_secs(20);

/// This node.
pub struct Node {
    /// Whose units are ours.
    pub owner: Owner,
    /// What can run units.
    pub drivers: BTreeMap<Runtime, Arc<dyn Driver>>,
    /// Secret values.
    pub secrets: Arc<Secrets>,
    /// Rung when what runs may have changed.
    pub changed: Arc<Notify>,
    /// What was last seen.
    pub sight: watch::Sender<Arc<Sight>>,
    /// Whether it is known what each driver runs.
    pub recovery: Recovery,
    health: Health,
    ledger: Mutex<Ledger>,
    table: Mutex<Timetable>,
    busy: Mutex<BTreeMap<InstanceId, Arc<AsyncMutex<()>>>>,
    ordered: Mutex<BTreeSet<InstanceId>>,
    shelf: Mutex<Shelf>,
    /// Instances that wait for their turn to be started again.
    reviving: Mutex<BTreeSet<(Runtime, InstanceId)>>,
    /// Whether another machine may run what is told to this one.
    held_back: watch::Sender<bool>,
}

/// The volumes of each driver, as they were listed last. They change with what is started, and
/// otherwise by somebody's hand only.
#[derive(Default)]
struct Shelf(BTreeMap<Runtime, (Volumes, Instant)>);

impl Shelf {
    fn fresh(&self, runtime: Runtime, now: Instant) -> Option<Volumes> {
        let (volumes, at) = self.0.get(&runtime)?;
        (now.duration_since(*at) < VOLUMES_EVERY).then(|| volumes.clone())
    }

    fn listed(&mut self, runtime: Runtime, volumes: Volumes, now: Instant) {
        self.0.insert(runtime, (volumes, now));
    }

    fn forget(&mut self, runtime: Runtime) {
        self.0.remove(&runtime);
    }
}

/// Held while an instance is replaced or stopped by order: what it does meanwhile is no accident.
pub struct Ordered<'a> {
    node: &'a Node,
    id: InstanceId,
}

impl Drop for Ordered<'_> {
    fn drop(&mut self) {
        self.node.ordered().remove(&self.id);
        self.node.changed.notify_one();
    }
}

impl Node {
    /// A node that has seen nothing yet.
    pub fn new(
        owner: Owner,
        drivers: Vec<Arc<dyn Driver>>,
        (ledger, table): (Ledger, Timetable),
        secrets: Arc<Secrets>,
        changed: Arc<Notify>,
    ) -> Arc<Self> {
        let drivers: BTreeMap<_, _> =
            drivers.into_iter().map(|driver| (driver.runtime(), driver)).collect();
        Arc::new(Self {
            owner,
            recovery: Recovery::new(drivers.keys().copied()),
            drivers,
            secrets,
            health: Health::new(changed.clone()),
            changed,
            sight: watch::Sender::new(Arc::new(Sight::nothing())),
            ledger: Mutex::new(ledger),
            table: Mutex::new(table),
            busy: Mutex::default(),
            ordered: Mutex::default(),
            shelf: Mutex::default(),
            reviving: Mutex::default(),
            held_back: watch::Sender::new(false),
        })
    }

    /// Starts nothing by itself, and puts no driver right, until [`Node::revive_known`]: another
    /// machine may run it.
    pub fn hold_back(&self) {
        self.held_back.send_replace(true);
    }

    fn ordered(&self) -> MutexGuard<'_, BTreeSet<InstanceId>> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, until the value is dropped, the instance is reported as it was seen last: it
    /// is being replaced or stopped because somebody said so.
    pub fn by_order(&self, id: &InstanceId) -> Ordered<'_> {
        self.ordered().insert(id.clone());
        Ordered { node: self, id: id.clone() }
    }

    /// The ledger, for a moment.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by whoever changes an instance.
    pub fn busy(&self, id: &InstanceId) -> Arc<AsyncMutex<()>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.entry(id.clone()).or_default().clone()
    }

    /// Every unit of every driver, or what went wrong with each. A driver that has not been put
    /// right yet is not asked.
    pub async fn list(&self) -> BTreeMap<Runtime, Result<Vec<Unit>, DriverError>> {
        let lists = self
            .drivers
            .iter()
            .map(async |(runtime, driver)| (*runtime, self.list_of(*runtime, &**driver).await));
        futures_util::future::join_all(lists).await.into_iter().collect()
    }

    async fn list_of(
        &self,
        runtime: Runtime,
        driver: &dyn Driver,
    ) -> Result<Vec<Unit>, DriverError> {
        self.recovery.check(runtime)?;
        let listed = tokio::time::timeout(LIST_PATIENCE, driver.list()).await;
        let listed = listed.unwrap_or_else(|_| {
            Err(DriverError::failed(
                format!("the {} driver cannot say what runs", runtime.as_str()),
                format!("no answer within {} s", LIST_PATIENCE.as_secs()),
                "look at the container engine on the node",
            ))
        });
        if let Err(error) = &listed {
            self.silent(runtime, error);
        }
        listed
    }

    /// The volumes of the drivers of which it is known what they run; listed anew where that is
    /// due.
    async fn volumes(&self) -> BTreeMap<Runtime, Result<Volumes, DriverError>> {
        let known = self.drivers.iter().filter(|(of, _)| self.recovery.check(**of).is_ok());
        let lists = known.map(async |(runtime, driver)| {
            if let Some(volumes) = self.shelf().fresh(*runtime, Instant::now()) {
                return (*runtime, Ok(volumes));
            }
            let listed = tokio::time::timeout(LIST_PATIENCE, driver.volumes()).await;
            let listed = listed.unwrap_or_else(|_| {
                Err(DriverError::failed(
                    format!("the {} driver cannot say which volumes there are", runtime.as_str()),
                    format!("no answer within {} s", LIST_PATIENCE.as_secs()),
                    "look at the container engine on the node",
                ))
            });
            if let Ok(volumes) = &listed {
                self.shelf().listed(*runtime, volumes.clone(), Instant::now());
            }
            (*runtime, listed)
        });
        futures_util::future::join_all(lists).await.into_iter().collect()
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The volumes of a driver may be others now: they are listed with the next look.
    pub fn volumes_changed(&self, runtime: Runtime) {
        self.shelf().forget(runtime);
    }

    /// Looks now, and says what there is to whoever listens.
    pub async fn look(&self) -> Arc<Sight> {
        let listed = self.list().await;
        let units: Vec<Unit> = listed.values().flatten().flatten().cloned().collect();
        self.adopt(&units);
        let with_driver =
            units.iter().filter_map(|unit| Some((unit, self.drivers.get(&unit.runtime)?)));
        self.health.follow(with_driver);
        let volumes = self.volumes().await;
        let before = self.sight.borrow().clone();
        let ledger = self.ledger();
        let verdict = |unit: &Unit| self.health.verdict(unit);
        let mut sight = observe::gather(&self.owner, &listed, &ledger, verdict);
        let answers = |runtime: Runtime| listed.get(&runtime).is_some_and(Result::is_ok);
        let table = self.table();
        observe::with_schedules(&mut sight.observed, &self.owner, (&ledger, &table), answers);
        drop((ledger, table));
        observe::with_volumes(&mut sight.observed, volumes);
        observe::keep_ordered(&mut sight.observed, &before.observed, &self.ordered());
        let sight = Arc::new(sight);
        self.sight.send_if_modified(|known| {
            let news = **known != *sight;
            known.clone_from(&sight);
            news
        });
        sight
    }

    /// A unit with our labels that the ledger does not know: the data directory was lost. It is
    /// ours all the same. A generation that no control plane counts to was written by hand: taken
    /// once, it would refuse every later step. The report says so.
    fn adopt(&self, units: &[Unit]) {
        let mut ledger = self.ledger();
        for unit in units {
            let counts = unit.generation <= MAX_GENERATION;
            let known = unit.state != InstanceState::Unknown;
            if ledger.get(&unit.id).is_some() || !known || unit.ending || !counts {
                continue;
            }
            tracing::info!(instance = %unit.id, generation = unit.generation, "adopting a unit");
            let content = Content::Present {
                digest: unit.digest.clone(),
                spec: unit.spec.as_deref().cloned().map(Box::new),
            };
            let entry = Entry { generation: unit.generation, content };
            if let Err(error) = ledger.put(unit.id.clone(), entry, clock::now_seconds()) {
                tracing::error!(error = format!("{error:#}"), "writing the ledger failed");
            }
        }
    }

    /// Puts right what a killed agent or a rebooted machine left, looks, and looks again whenever
    /// something changed. Each driver is put right by itself: one that hangs holds up no other.
    pub async fn watch(self: Arc<Self>) {
        let keeping = self.drivers.keys().map(|runtime| self.clone().keep_known(*runtime));
        let keeping = futures_util::future::join_all(keeping);
        tokio::join!(keeping, self.keep_looking(), self.clone().keep_times());
    }

    /// Runs what is due, as long as the agent lives: whether a control plane is there or not.
    async fn keep_times(self: Arc<Self>) {
        let let_in = self.held_back.subscribe().wait_for(|held| !*held).await.map(drop);
        let_in.unwrap_or_else(|_| tracing::debug!("this node is gone"));
        loop {
            self.learn_times();
            let now = clock::now();
            let (due, next) = self.table().due(now);
            for id in due {
                tokio::spawn(self.clone().run_one(id));
            }
            let next = next.and_then(|next| Duration::try_from(next - now).ok());
            tokio::time::sleep(next.map_or(TICK, |next| next.min(TICK))).await;
        }
    }

    /// What of the ledger runs at certain times.
    fn learn_times(&self) {
        let specs: Vec<InstanceSpec> = {
            let ledger = self.ledger();
            let present = ledger.entries().filter_map(|(_, entry)| match &entry.content {
                Content::Present { spec: Some(spec), .. } => Some(&**spec),
                _ => None,
            });
            let own = |spec: &&InstanceSpec| {
                spec.cluster == self.owner.cluster && spec.node == self.owner.node
            };
            present.filter(own).filter(|spec| spec.schedule.is_some()).cloned().collect()
        };
        self.table().told(specs.iter(), clock::now());
    }

    /// Runs an instance that is due; passes over it where it still runs, or is being changed. What
    /// a driver cannot say now is asked again with the next turn.
    async fn run_one(self: Arc<Self>, id: InstanceId) {
        let busy = self.busy(&id);
        let Ok(_held) = busy.try_lock() else { return };
        let Some(job) = self.job(&id).filter(|job| job.spec.schedule.is_some()) else { return };
        let runtime = job.spec.workload.runtime();
        let Some(driver) = self.drivers.get(&runtime) else { return };
        let Ok(units) = self.list_of(runtime, &**driver).await else { return };
        let runs = |unit: &Unit| {
            unit.id == id && matches!(unit.state, InstanceState::Running | InstanceState::Starting)
        };
        let still = units.iter().any(runs);
        // Before it begins: an agent that is killed meanwhile does not run it a second time.
        self.table().ran(&id, clock::now());
        if still {
            tracing::info!(instance = %id, "it still runs: this run is passed over");
            return self.changed.notify_one();
        }
        tracing::info!(instance = %id, "running it: it is time");
        if let Err(error) = driver.ensure(job).await {
            tracing::warn!(instance = %id, %error, "a run could not be started");
            self.table().failed(&id, &error.to_string());
        }
        self.changed.notify_one();
    }

    /// Takes up a unit that runs at certain times: what ran of it before ends, and its next run is
    /// waited for.
    ///
    /// # Errors
    /// When its time zone is not known here, or what runs cannot be ended.
    pub async fn schedule(
        &self,
        driver: &Arc<dyn Driver>,
        job: &Job,
    ) -> Result<String, DriverError> {
        let id = &job.spec.id;
        if let Some(Err(why)) = job.spec.schedule.as_ref().map(schedule::zone) {
            let act = format!("{id} cannot be scheduled");
            return Err(DriverError::failed(act, why, "then plan again"));
        }
        driver.remove(id).await?;
        self.learn_times();
        Ok(self.table().says(id).1)
    }

    fn table(&self) -> MutexGuard<'_, Timetable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one way on which a driver is put right: asked until it has said what runs, and again
    /// whenever it became silent. Only then is anything of it started again.
    async fn keep_known(self: Arc<Self>, runtime: Runtime) {
        // A driver that is put right starts what an earlier agent left.
        let let_in = self.held_back.subscribe().wait_for(|held| !*held).await.map(drop);
        let_in.unwrap_or_else(|_| tracing::debug!("this node is gone"));
        let (mut failures, mut losses) = (0, 0);
        loop {
            match self.drivers[&runtime].recover().await {
                Ok(()) => {
                    failures = 0;
                    self.volumes_changed(runtime);
                    self.recovery.known(runtime);
                    self.revive(runtime);
                    self.changed.notify_one();
                    let since = Instant::now();
                    self.recovery.lost(runtime).await;
                    // One that answers only now and then is asked ever more seldom: what it is
                    // asked, and what is started again then, is a load for it.
                    losses = if since.elapsed() >= rules::STEADY { 1 } else { losses + 1 };
                    tokio::time::sleep(rules::recover_pause(losses)).await;
                }
                Err(error) => {
                    failures += 1;
                    self.silent(runtime, &error);
                    self.changed.notify_one();
                    tokio::time::sleep(rules::recover_pause(failures)).await;
                }
            }
        }
    }

    /// Takes down, and says once, that a driver cannot say what runs.
    fn silent(&self, runtime: Runtime, error: &DriverError) {
        let news = self.recovery.failed(runtime, error);
        let driver = runtime.as_str();
        match error {
            _ if !news => {}
            // A node without an engine is none the worse.
            DriverError::Unavailable(_) => tracing::debug!(driver, %error, "no driver"),
            _ => tracing::warn!(driver, %error, "it is not known what runs; asking again"),
        }
    }

    async fn keep_looking(&self) {
        loop {
            self.look().await;
            tokio::select! {
                () = self.changed.notified() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Starts again whatever the ledger says should run and does not, by the drivers of which it is
    /// known what they run.
    pub fn revive_known(self: &Arc<Self>) {
        self.held_back.send_replace(false);
        for runtime in self.drivers.keys() {
            if self.recovery.check(*runtime).is_ok() {
                self.revive(*runtime);
            }
        }
    }

    /// Each in a task of its own: one may wait for a secret.
    fn revive(self: &Arc<Self>, runtime: Runtime) {
        if *self.held_back.borrow() {
            return;
        }
        let ids: Vec<InstanceId> = self.ledger().entries().map(|(id, _)| id.clone()).collect();
        for id in ids {
            // What runs at certain times is not started for having ended.
            let wanted = self.job(&id).is_some_and(|job| {
                job.spec.workload.runtime() == runtime && job.spec.schedule.is_none()
            });
            // One that waits for its turn does it for all who ask meanwhile.
            if wanted && self.reviving().insert((runtime, id.clone())) {
                tokio::spawn(self.clone().revive_one(id, runtime));
            }
        }
    }

    fn reviving(&self) -> MutexGuard<'_, BTreeSet<(Runtime, InstanceId)>> {
        self.reviving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What should run as an instance. What the ledger has of another node is not started: the
    /// machine joined under another name since, and the unit may run as the old one.
    fn job(&self, id: &InstanceId) -> Option<Job> {
        let ledger = self.ledger();
        let Entry { generation, content } = ledger.get(id)?;
        let Content::Present { digest, spec: Some(spec) } = content else { return None };
        if spec.cluster != self.owner.cluster || spec.node != self.owner.node {
            tracing::warn!(
                instance = %id, cluster = %spec.cluster, node = %spec.node,
                "a unit of another node is in the ledger; it is not started here"
            );
            return None;
        }
        let spec = Arc::new((**spec).clone());
        let (generation, digest) = (*generation, digest.clone());
        Some(Job { spec, generation, digest, progress: Progress::none() })
    }

    async fn revive_one(self: Arc<Self>, id: InstanceId, runtime: Runtime) {
        let busy = self.busy(&id);
        let _held = busy.lock().await;
        self.reviving().remove(&(runtime, id.clone()));
        let Some(driver) = self.drivers.get(&runtime) else { return };
        if self.recovery.check(runtime).is_err() {
            // It became silent meanwhile; when it answers again, this is done again.
            return;
        }
        // As the ledger has it now: it may have been replaced or removed meanwhile.
        let job = self.job(&id).filter(|job| job.spec.workload.runtime() == runtime);
        let Some(job) = job else { return };
        if let Err(error) = driver.revive(job).await {
            tracing::warn!(instance = %id, %error, "starting a unit again failed");
        }
        self.changed.notify_one();
    }

    /// Ends every unit; what may be another machine's is left alone.
    pub async fn retire(&self) {
        if *self.held_back.borrow() {
            return;
        }
        let endings = self.drivers.values().map(async |driver| {
            if let Err(error) = driver.retire().await {
                let driver = driver.runtime().as_str();
                tracing::error!(driver, %error, "ending units failed");
            }
        });
        futures_util::future::join_all(endings).await;
    }

    /// The spec that runs as an instance, as the ledger has it.
    pub fn spec(&self, id: &InstanceId) -> Option<Arc<InstanceSpec>> {
        match &self.ledger().get(id)?.content {
            Content::Present { spec, .. } => spec.as_deref().cloned().map(Arc::new),
            Content::Removed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        driver::{
            Ground,
            process::{BaseEnv, ProcessDriver},
        },
        sample,
    };

    /// A node on a data directory in which an earlier agent left a unit that should run.
    fn node(dir: &std::path::Path) -> Arc<Node> {
        let spec = sample::process(&["sleep", "1000"]);
        let owner = Owner { cluster: spec.cluster.clone(), node: spec.node.clone() };
        let (secrets, changed) = (Arc::new(Secrets::default()), Arc::new(Notify::new()));
        let ground = Ground {
            owner: owner.clone(),
            data_dir: dir.to_owned(),
            volatile_dir: dir.join("secret-files"),
            secrets: secrets.clone(),
            changed: changed.clone(),
            stop_on_exit: true,
        };
        let home = dir.join("instances").join(spec.id.slug());
        std::fs::create_dir_all(&home).unwrap();
        let record = serde_json::json!({
            "generation": 1, "digest": spec.digest(), "spec": spec, "process": null, "restarts": 0,
        });
        std::fs::write(home.join("unit.json"), record.to_string()).unwrap();
        let [path, home, lang] = ["/usr/bin:/bin", "/", "C"].map(str::to_owned);
        let driver = ProcessDriver::new(ground, BaseEnv { path, home, lang });
        let records = (Ledger::open(dir).unwrap(), Timetable::open(dir).unwrap());
        Node::new(owner, vec![Arc::new(driver)], records, secrets, changed)
    }

    #[tokio::test]
    async fn what_an_earlier_agent_left_is_not_started_before_a_copy_is_let_in() {
        let dir = tempfile::tempdir().unwrap();
        let node = node(dir.path());
        node.hold_back();
        let patience = Duration::from_secs(10);
        let watching = tokio::spawn(node.clone().watch());
        let mut sights = node.sight.subscribe();
        tokio::time::timeout(patience, sights.changed()).await.unwrap().unwrap();
        // It has looked; and whoever asks is told that nobody knows.
        assert!(!node.look().await.observed.complete);
        let decided = node.recovery.decided(Runtime::Process, Duration::from_millis(200)).await;
        assert!(decided.is_err() && !dir.path().join("instances/web-0/work").exists());
        node.retire().await;
        node.revive_known();
        node.recovery.decided(Runtime::Process, patience).await.unwrap();
        let started = sights
            .wait_for(|sight| sight.units.iter().any(|unit| unit.state == InstanceState::Running));
        tokio::time::timeout(patience, started).await.expect("it is started").unwrap();
        node.retire().await;
        watching.abort();
    }
}
