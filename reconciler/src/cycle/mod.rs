//! The loop: wake, gather, plan, gate, apply, record.
//!
//! Knows time and the order of things. A wake-up carries no data: every turn reads the whole state
//! again, so that a lost or doubled wake-up changes nothing. Refuses to decide what the planner
//! decides, and to take silence of a source or an agent for an empty one.

mod adapter;
mod adopt;
mod agent_requests;
mod changes;
mod configuration;
mod deploy;
mod detail;
mod doubts;
mod drafts;
mod followed;
mod gate;
mod gather;
mod grants;
mod history;
mod hush;
mod journal;
mod made;
mod manual;
mod membership;
mod metrics;
mod newer;
mod older;
mod orders;
mod people;
mod permits;
mod query;
mod record;
mod removal;
mod request;
mod sessions;
mod steps;
mod suspend;
mod takeover;
mod tries;
mod turn;
mod unheard;
mod versions;
mod volumes;
mod waiting;
mod whatif;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

use devnet_schema::{
    diagnostic::Diagnostic,
    file::Limits,
    instance::InstanceSpec,
    name::{ClusterName, InstanceId, NodeName},
};
use tokio::sync::{Notify, watch};

pub use adapter::AdapterError;
pub use agent_requests::answer as answer_agents;
pub use changes::{
    List, Since, instance_digests, instance_key, look_for_changes, node_digests, service_digests,
};
pub use configuration::Configuration;
pub use deploy::{BeginError, CancelError};
pub use doubts::UnknownOrders;
pub use history::KeyHolder;
pub use journal::Journal;
pub use membership::{MembershipError, RegisterError};
pub use metrics::Metrics;
pub use query::{instance_rows, ordered};
pub use request::RequestError;
pub use sessions::SessionHolder;
pub use steps::unit_text;
pub use turn::follow;
pub use whatif::Explained;

pub use permits::{Permit, Work};

use changes::Changes;
use deploy::UnderWay;
use drafts::Drafts;
use grants::Grants;
use orders::{Entry, Orders};
use permits::Permits;
use sessions::Codes;
use tries::Tries;
use waiting::Waiting;

use crate::{
    api::SourceStatus,
    apply,
    auth::{Authority, Joined, Revoked},
    clock,
    fleet::Fleet,
    secrets::Secrets,
    source::Source,
    store::{AssignmentRecord, PutOffRecord, Store, StoreError},
};

/// What an admin lets a node take.
pub use crate::store::Cordon;
/// Which events are asked for.
pub use crate::store::EventFilter;
/// Why a node was not let in: part of [`RegisterError`].
pub use crate::store::JoinRefusal;

/// Who a deployment of the loop itself is by.
pub const WATCH: &str = "watch";

/// What does not change while the control plane runs.
#[derive(Debug, Clone)]
pub struct CycleConfig {
    /// How long to wait after a start for agents to connect before anything is planned. Not waited
    /// for when every known node reports before, or when there can be none.
    pub grace: Duration,
    /// Whether agents may exist that the records do not know: the CA is older than the database.
    pub records_lost: bool,
    /// Where the cluster's name is kept beside the records.
    pub name_file: PathBuf,
    /// How much of a configuration is read.
    pub limits: Limits,
    /// How long to wait for what when a plan is applied.
    pub apply: apply::Limits,
    /// Whether drafts may be committed to the source.
    pub source_write: bool,
}

/// What the adapters know, and what the loop makes of it.
pub struct ControlPlane {
    config: CycleConfig,
    store: Arc<Store>,
    fleet: Arc<Fleet>,
    secrets: Arc<Secrets>,
    pub(crate) authority: Arc<Authority>,
    revoked: Revoked,
    joined: Joined,
    source: Option<Arc<dyn Source>>,
    pub(crate) journal: Journal,
    pub(crate) metrics: Metrics,
    /// Told when something may have changed.
    wake: Arc<Notify>,
    /// Whether the source is to be asked in the next turn. Agents wake the loop often, and a remote
    /// must not be asked each time.
    source_due: Arc<AtomicBool>,
    /// Counts lines written to any deployment.
    lines: watch::Sender<u64>,
    /// Counts keys that were revoked and sessions that were ended.
    keys_revoked: watch::Sender<u64>,
    /// What changed, for those who show it.
    changes: Changes,
    drafts: Drafts,
    /// Codes that begin a session.
    codes: Codes,
    /// How many requests may read configurations and plan at once.
    permits: Permits,
    state: Mutex<State>,
    grants: Mutex<Grants>,
    orders: Mutex<Orders>,
}

/// The newest revision before it was planned with success.
#[derive(Debug, Clone)]
struct Candidate {
    configuration: Arc<Configuration>,
    /// When it was noticed, until its first plan.
    noticed: Option<Instant>,
}

/// What the loop found last.
#[derive(Default)]
struct State {
    /// What the source showed last, good or bad.
    source: Option<SourceStatus>,
    /// The newest revision, valid and not yet known to be good.
    candidate: Option<Candidate>,
    /// The newest configuration that could be planned.
    current: Option<Arc<Configuration>>,
    /// Why the source cannot be read.
    unreadable: Option<String>,
    /// The deployment that runs.
    deploying: Option<UnderWay>,
    tries: Tries,
    /// What is put off, as it is on disk.
    kept_put_off: Vec<PutOffRecord>,
    /// Why nothing is applied although something should be.
    held: Option<String>,
    /// What the newest plan declares and does not serve.
    waiting: BTreeMap<InstanceId, Waiting>,
    /// What the newest plan warns of.
    warnings: Vec<Diagnostic>,
    /// Agents had the time to connect after the start.
    settled: bool,
    /// They had the time to say what runs, too, or there are none to wait for: until then, nothing
    /// is planned by hand either.
    heard_of: bool,
    /// How often in a row a plan was made anew since what runs had moved meanwhile.
    moved: u32,
    /// Since when connected agents are waited for to say what runs.
    awaiting: Option<Duration>,
}

/// What the control plane is made of.
pub struct Parts {
    /// Records.
    pub store: Arc<Store>,
    /// Agents.
    pub fleet: Arc<Fleet>,
    /// Secrets.
    pub secrets: Arc<Secrets>,
    /// The certificate authority.
    pub authority: Arc<Authority>,
    /// Nodes that were taken out.
    pub revoked: Revoked,
    /// Nodes that joined.
    pub joined: Joined,
    /// What is followed.
    pub source: Option<Arc<dyn Source>>,
    /// Told when something may have changed.
    pub wake: Arc<Notify>,
}

impl ControlPlane {
    /// A control plane that has not looked at anything yet.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn new(config: CycleConfig, parts: Parts) -> Result<Arc<Self>, StoreError> {
        let Parts { store, fleet, secrets, authority, revoked, joined, source, wake } = parts;
        let mut grants = Grants::default();
        let told = store.assignments()?;
        for AssignmentRecord { spec, .. } in &told {
            grants.assign(spec);
        }
        let unread = store.unread_nodes()?;
        let orders = Orders::of(told, store.claims()?, unread, store.doubted_nodes()?);
        let plane = Self {
            config,
            journal: Journal::new(Arc::clone(&store)),
            store,
            fleet,
            secrets,
            authority,
            revoked,
            joined,
            source,
            metrics: Metrics::new(),
            wake,
            source_due: Arc::new(AtomicBool::new(true)),
            lines: watch::Sender::new(0),
            keys_revoked: watch::Sender::new(0),
            changes: Changes::new(clock::now().as_millisecond().unsigned_abs()),
            drafts: Drafts::default(),
            codes: Codes::default(),
            permits: Permits::default(),
            state: Mutex::default(),
            grants: Mutex::new(grants),
            orders: Mutex::new(orders),
        };
        Ok(Arc::new(plane))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves what was found last, which the next turn finds again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something may have changed: look again.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Counts lines written to any deployment; look at the records when it moves.
    pub fn follow_lines(&self) -> watch::Receiver<u64> {
        self.lines.subscribe()
    }

    /// Counts keys that were revoked; look at the records when it moves.
    pub fn follow_revoked(&self) -> watch::Receiver<u64> {
        self.keys_revoked.subscribe()
    }

    /// The number of the newest event, as it goes up.
    pub fn follow_events(&self) -> watch::Receiver<u64> {
        self.journal.follow()
    }

    /// What the cluster is called; `None` before its first configuration.
    pub fn cluster(&self) -> Option<String> {
        self.fleet.cluster().map(|name| name.to_string())
    }

    /// Whether the loop has looked at everything once since the start.
    pub fn is_ready(&self) -> bool {
        self.state().settled
    }

    /// Records that `spec` is what its node runs, on disk and for its secrets.
    fn assign(&self, spec: &InstanceSpec, generation: u64) -> Result<(), StoreError> {
        self.order(spec, generation)?;
        self.grants().assign(spec);
        Ok(())
    }

    /// Records that a node is told to run `spec`; call it before it is told. On disk first: what
    /// was ordered and forgotten would be a stranger. Refused for a node that is not on record: one
    /// that was taken out would be left with an order that nobody can take back.
    fn order(&self, spec: &InstanceSpec, generation: u64) -> Result<(), StoreError> {
        let _members = self.fleet.membership();
        if self.store.member(&spec.node)?.is_none() {
            return Err(StoreError::Missing { kind: "node", id: spec.node.to_string() });
        }
        self.store.record_assignment(&AssignmentRecord {
            instance: spec.id.clone(),
            node: spec.node.clone(),
            generation,
            spec: spec.clone(),
        })?;
        self.orders().told(spec, generation);
        Ok(())
    }

    /// Records that an order was never given: what stood before it stands.
    fn put_back(
        &self,
        instance: &InstanceId,
        node: &NodeName,
        before: Entry,
    ) -> Result<(), StoreError> {
        match before.order() {
            Some((spec, generation)) => self.order(spec, generation)?,
            None => self.store.drop_assignment(instance, node)?,
        }
        self.orders().put_back(instance, node, before);
        Ok(())
    }

    /// Records that a node was told to stop an instance, and did.
    fn stopped(&self, instance: &InstanceId, node: &NodeName) -> Result<(), StoreError> {
        self.grants().unassign(node, instance);
        self.store.drop_assignment(instance, node)?;
        self.store.drop_claim(instance, node)?;
        self.orders().stopped(instance, node);
        // Its next report comes after that of the step; until then it is no stranger.
        self.fleet.ended(instance, node);
        Ok(())
    }

    /// Whether every secret of `spec` is one that its node may have for it already.
    fn was_assigned(&self, spec: &InstanceSpec) -> bool {
        self.grants().refused(&spec.node, &spec.id, &spec.secrets()).is_none()
    }

    /// Whether a configuration for cluster `name` is for this one.
    ///
    /// # Errors
    /// The name that the cluster has, when it is another.
    fn check_name(&self, name: &ClusterName) -> Result<(), ClusterName> {
        match self.fleet.cluster() {
            Some(ours) if ours != *name => Err(ours),
            _ => Ok(()),
        }
    }

    /// Gives the cluster its name, once and for all, in the records and in a file that survives
    /// them.
    ///
    /// # Errors
    /// The name that the cluster has, when it is another.
    pub fn take_name(&self, name: &ClusterName) -> Result<(), ClusterName> {
        if self.fleet.cluster().as_ref() == Some(name) {
            return Ok(());
        }
        self.fleet.name_cluster(name)?;
        if let Err(error) = self.store.set_cluster_name(name) {
            tracing::error!(error = &error as &dyn std::error::Error, "naming the cluster");
        }
        if let Err(error) = std::fs::write(&self.config.name_file, format!("{name}\n")) {
            tracing::error!(error = &error as &dyn std::error::Error, "writing the cluster's name");
        }
        self.journal.write("sync", name.as_str(), &format!("this cluster is called {name}"));
        Ok(())
    }
}
