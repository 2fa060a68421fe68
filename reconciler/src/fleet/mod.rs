//! The fleet: agents that are connected, what they report, and how to ask something of them.
//!
//! Knows sessions and what came over them. Refuses to know records, secrets and plans: what an
//! agent needs from those is passed on as a [`Call`] and answered by the loop. Everything is
//! bounded: queues, frames, and the time a send may take.

mod bounds;
mod link;
mod logs;
mod pulse;
mod rate;
mod registry;
mod renewals;
mod session;
mod specs;
mod volumes;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use devnet_schema::{
    fleet::{Node, NodeFacts},
    instance::Generation,
    name::{ClusterName, InstanceId, NodeName},
    observed::ObservedInstance,
    order::Accepted,
    secret::{InTransit, SecretRef},
    step::{Act, Step, StepId, StepReport},
    wire::{ControlMessage, MAX_FRAME, OrderMark, Origin, Receipt, size},
};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

use crate::clock::{Clock, Moment};
use link::Link;
pub use link::LogQuery;
pub use logs::LogStream;
use pulse::Pulse;
use registry::Registry;
pub use registry::{Purpose, Remembered};
use renewals::Renewals;
pub use session::run as run_session;
pub use volumes::Volumes;

/// How long a message may wait for room in the queue of its agent.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages that may wait for one agent.
const QUEUE: usize = 64;

/// Why an agent could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// Its agent is not connected.
    #[error("node {0} is not connected")]
    NotConnected(NodeName),
    /// It does not read what is sent to it.
    #[error("node {0} does not take messages")]
    Stuck(NodeName),
    /// It does not fit into a frame. Planning refuses such a unit; one of an older plan comes here.
    #[error(
        "this step cannot be sent to {node}: it has {bytes} bytes and {MAX_FRAME} fit into a \
         message; make the service's files and environment smaller and plan again"
    )]
    TooLarge {
        /// Whose step.
        node: NodeName,
        /// How large it is, as JSON.
        bytes: usize,
    },
    /// So many logs are being read.
    #[error("{0} logs are being read, and more are not read at the same time")]
    ManyReaders(usize),
    /// As many logs of this node are being read as may be.
    #[error("too many logs of node {0} are being read at the same time")]
    ManyReadersOf(NodeName),
}

/// What agents tell or ask that concerns records, secrets or the CA.
#[derive(Debug)]
pub enum Call {
    /// A session has opened.
    Connected {
        /// Whose.
        node: NodeName,
        /// Its id, from its certificate.
        id: String,
        /// What the machine has.
        facts: NodeFacts,
        /// Which machine it is.
        origin: Origin,
    },
    /// A second machine came with the identity of one that is connected.
    Double {
        /// Whose.
        node: NodeName,
        /// What is wrong and what to do, for people.
        problem: String,
    },
    /// Its session has ended.
    Disconnected {
        /// Whose.
        node: NodeName,
    },
    /// What the machine has is different now.
    Facts {
        /// Whose.
        node: NodeName,
        /// What.
        facts: NodeFacts,
    },
    /// What runs is different now; the registry has it.
    Observed {
        /// Where.
        node: NodeName,
    },
    /// An agent asks for values of secrets.
    Secrets {
        /// Who asks.
        node: NodeName,
        /// Its id, from its certificate.
        id: String,
        /// For which instance.
        instance: InstanceId,
        /// Which.
        secrets: Vec<SecretRef>,
        /// Values by name, or why not.
        answer: oneshot::Sender<Result<BTreeMap<String, InTransit>, String>>,
    },
    /// An agent asks for a new certificate.
    Renew {
        /// Who asks.
        node: NodeName,
        /// Its id, from its certificate.
        id: String,
        /// PKCS#10 request, PEM.
        csr: String,
        /// Certificate chain, PEM, or why not.
        answer: oneshot::Sender<Result<String, String>>,
    },
}

/// What does not change while the control plane runs.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// How often agents send a heartbeat; three missed ones end a session.
    pub heartbeat: Duration,
}

/// The fleet.
#[derive(Debug)]
pub struct Fleet {
    config: FleetConfig,
    clock: Clock,
    state: Mutex<State>,
    /// Told whenever a plan could come out differently.
    changed: Arc<Notify>,
    /// Counts openings and endings of sessions, for those who wait for one.
    sessions: watch::Sender<u64>,
    /// Counts changes of what is known of the nodes.
    reports: watch::Sender<u64>,
    /// `None` until a configuration has named the cluster.
    cluster: watch::Sender<Option<ClusterName>>,
    calls: mpsc::Sender<Call>,
    membership: Mutex<()>,
    /// Room for those who read logs.
    readers: Arc<Semaphore>,
    closing: AtomicBool,
}

/// The receipts of orders: by node, instance and generation.
pub type Receipts = BTreeMap<(NodeName, InstanceId, Generation), Receipt>;

#[derive(Debug, Default)]
struct State {
    registry: Registry,
    links: BTreeMap<NodeName, Link>,
    /// Who waits for reports: by deployment, node and step, so that no node can report for another.
    steps: BTreeMap<(String, NodeName, StepId), mpsc::Sender<StepReport>>,
    last_number: u64,
    renewals: Renewals,
    /// What is sent along with the orders of each node.
    marks: BTreeMap<NodeName, OrderMark>,
    /// What is sent along with the orders of the deployment that runs.
    receipts: Receipts,
    /// What is wrong with nodes, for people, and until when that is shown.
    problems: BTreeMap<NodeName, (String, Duration)>,
}

impl Fleet {
    /// A fleet without nodes. `calls` must be read by someone; `changed` is told of every change.
    pub fn new(
        config: FleetConfig,
        cluster: Option<ClusterName>,
        changed: Arc<Notify>,
        calls: mpsc::Sender<Call>,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            clock: Clock::start(),
            state: Mutex::default(),
            changed,
            sessions: watch::Sender::new(0),
            reports: watch::Sender::new(0),
            cluster: watch::Sender::new(cluster),
            calls,
            membership: Mutex::default(),
            readers: Arc::new(Semaphore::new(logs::MOST_READERS)),
            closing: AtomicBool::new(false),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the registry as it was between two assignments: still true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while a session opens, and while a node is taken in or out: so no session opens for a
    /// node that was just removed.
    pub fn membership(&self) -> MutexGuard<'_, ()> {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// How often agents send a heartbeat.
    pub fn heartbeat(&self) -> Duration {
        self.config.heartbeat
    }

    /// Which cluster agents are told they belong to, once it has a name.
    pub fn cluster(&self) -> Option<ClusterName> {
        self.cluster.borrow().clone()
    }

    /// Names the cluster, once and for all: agents look for units under this name, so another one
    /// would leave everything that runs to nobody.
    ///
    /// # Errors
    /// The name that it has, when it is another.
    pub fn name_cluster(&self, name: &ClusterName) -> Result<(), ClusterName> {
        let mut other = None;
        self.cluster.send_if_modified(|current| match current {
            Some(current) => {
                other = (current != name).then(|| current.clone());
                false
            }
            None => {
                *current = Some(name.clone());
                true
            }
        });
        other.map_or(Ok(()), Err)
    }

    /// Takes a node from the records.
    pub fn remember(&self, name: NodeName, known: Remembered, ran: Vec<ObservedInstance>) {
        self.state().registry.remember(name, known, ran);
    }

    /// Up by one whenever anything changed that a plan could read.
    pub fn serial(&self) -> u64 {
        self.state().registry.serial()
    }

    /// The nodes and what runs on them, both sorted.
    pub fn view(
        &self,
        purpose: Purpose,
        lost_after: Duration,
    ) -> (Vec<Node>, Vec<ObservedInstance>) {
        let now = self.clock.since_start();
        self.state().registry.view(purpose, now, lost_after)
    }

    /// How long until the next node becomes lost, when one is on its way to it.
    pub fn next_loss(&self, lost_after: Duration) -> Option<Duration> {
        let now = self.clock.since_start();
        self.state().registry.next_loss(now, lost_after)
    }

    /// What a node was last seen to run, and whether that is all of it by its own word.
    pub fn report_of(&self, node: &NodeName) -> (bool, Vec<ObservedInstance>) {
        self.state().registry.report_of(node)
    }

    /// What agents have written down of generations, by node and instance.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.state().registry.accepted()
    }

    /// What the agent of one node has written down of generations.
    pub fn accepted_of(&self, node: &NodeName) -> BTreeMap<InstanceId, Generation> {
        self.state().registry.accepted_of(node)
    }

    /// What the agent of one node shows for what it was told to run.
    pub fn receipts_of(&self, node: &NodeName) -> BTreeMap<InstanceId, Vec<Receipt>> {
        self.state().registry.receipts_of(node)
    }

    /// The volumes that a node says it keeps.
    pub fn volumes_of(&self, node: &NodeName) -> Arc<Volumes> {
        self.state().registry.volumes_of(node)
    }

    /// The same, where the node is connected and has told all that it has.
    pub fn told_volumes_of(&self, node: &NodeName) -> Option<Arc<Volumes>> {
        self.state().registry.told_volumes_of(node)
    }

    /// Whether a node was silent for longer than `lost_after`, or is not known.
    pub fn is_lost(&self, node: &NodeName, lost_after: Duration) -> bool {
        self.state().registry.is_lost(node, self.clock.since_start(), lost_after)
    }

    /// Whether every known node has said what runs since it connected.
    pub fn all_reported(&self) -> bool {
        self.state().registry.all_reported()
    }

    /// Nodes that are connected and have not yet said what runs.
    pub fn awaited(&self) -> Vec<NodeName> {
        self.state().registry.awaited()
    }

    /// Whether a node is known.
    pub fn knows(&self, node: &NodeName) -> bool {
        self.state().registry.knows(node)
    }

    /// Counts changes of what is known of the nodes.
    pub fn reports(&self) -> watch::Receiver<u64> {
        self.reports.subscribe()
    }

    /// Counts openings and endings of sessions.
    pub fn sessions(&self) -> watch::Receiver<u64> {
        self.sessions.subscribe()
    }

    /// How far the clocks of connected nodes are ahead of ours, in milliseconds, as they said last.
    pub fn skews(&self) -> BTreeMap<NodeName, i64> {
        self.state().registry.skews()
    }

    /// The session that speaks for a node, while one is open.
    pub fn session(&self, node: &NodeName) -> Option<u64> {
        self.state().registry.session(node)
    }

    /// The nodes that are connected.
    pub fn connected(&self) -> Vec<NodeName> {
        self.state().links.keys().cloned().collect()
    }

    /// Whether a node has said everything that runs, in full, since it connected.
    pub fn has_told(&self, node: &NodeName) -> bool {
        self.state().registry.has_told(node)
    }

    /// Whether a node is connected and has said what runs.
    pub fn is_online(&self, node: &NodeName) -> bool {
        self.state().registry.is_online(node)
    }

    /// Shows `problem` with a node for as long as `shown`. Whether that is news.
    pub fn note(&self, node: &NodeName, problem: &str, shown: Duration) -> bool {
        let now = self.clock.since_start();
        let until = now + shown;
        let before = self.state().problems.insert(node.clone(), (problem.to_owned(), until));
        before.is_none_or(|(text, until)| text != problem || until <= now)
    }

    /// What is wrong with nodes now.
    pub fn problems(&self) -> BTreeMap<NodeName, String> {
        let now = self.clock.since_start();
        let mut state = self.state();
        state.problems.retain(|_, (_, until)| *until > now);
        state.problems.iter().map(|(node, (text, _))| (node.clone(), text.clone())).collect()
    }

    /// A node was told to stop an instance, and said that it did.
    pub fn ended(&self, instance: &InstanceId, node: &NodeName) {
        self.state().registry.ended(instance, node);
    }

    /// An admin said whether a node takes new instances, and whether it gives up what it has.
    pub fn set_cordoned(&self, node: &NodeName, cordoned: bool, drained: bool) {
        self.state().registry.set_cordoned(node, cordoned, drained);
        self.tell();
    }

    /// Forgets a node and ends its session.
    pub fn remove(&self, node: &NodeName) {
        let link = {
            let mut state = self.state();
            state.registry.remove(node);
            state.renewals.forget(node);
            state.links.remove(node)
        };
        if let Some(link) = link {
            link.refuse("this node was removed from the cluster");
        }
        self.tell();
    }

    /// Ends every session: the control plane stops.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        for link in self.state().links.values() {
            link.end();
        }
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Reports of `step` in `deployment` go to `to` until [`Fleet::unsubscribe`].
    pub fn subscribe(
        &self,
        deployment: &str,
        node: &NodeName,
        step: &str,
        to: mpsc::Sender<StepReport>,
    ) {
        self.state().steps.insert((deployment.to_owned(), node.clone(), step.to_owned()), to);
    }

    /// Nobody waits for reports of this step any longer.
    pub fn unsubscribe(&self, deployment: &str, node: &NodeName, step: &str) {
        self.state().steps.remove(&(deployment.to_owned(), node.clone(), step.to_owned()));
    }

    /// Sends these along with the orders of their nodes from now on, and these with the orders that
    /// they are of.
    pub fn accompany(&self, marks: BTreeMap<NodeName, OrderMark>, receipts: Receipts) {
        let mut state = self.state();
        state.marks.extend(marks);
        state.receipts = receipts;
    }

    /// Tells the agent of `step.node` to run it. Telling it again is harmless.
    ///
    /// # Errors
    /// When the agent is not connected or does not read, or when the step cannot travel at all.
    pub async fn send_step(&self, deployment: &str, step: &Step) -> Result<(), FleetError> {
        let order = (step.node.clone(), step.instance.clone(), step.generation);
        let (mark, receipt) = {
            let state = self.state();
            let receipt = state.receipts.get(&order).filter(|_| step.act.is_order()).cloned();
            (state.marks.get(&step.node).cloned(), receipt)
        };
        let message = ControlMessage::Run {
            deployment: deployment.to_owned(),
            step: Box::new(step.clone()),
            mark,
            receipt,
        };
        let bytes = size(&message);
        if bytes > MAX_FRAME {
            return Err(FleetError::TooLarge { node: step.node.clone(), bytes });
        }
        match &step.act {
            Act::Ensure { spec } => self.state().registry.ordered(spec.clone()),
            Act::Remove => self.state().registry.ordered_removal(&step.node, &step.instance),
            Act::Prepare { .. } | Act::AwaitHealthy { .. } => {}
        }
        self.send(&step.node, message).await
    }

    async fn send(&self, node: &NodeName, message: ControlMessage) -> Result<(), FleetError> {
        let queue = self
            .state()
            .links
            .get(node)
            .map(|link| link.queue.clone())
            .ok_or_else(|| FleetError::NotConnected(node.clone()))?;
        match queue.send_timeout(message, SEND_TIMEOUT).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => {
                Err(FleetError::NotConnected(node.clone()))
            }
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(FleetError::Stuck(node.clone())),
        }
    }

    /// Something changed that a plan could read.
    fn tell(&self) {
        self.reports.send_modify(|count| *count += 1);
        self.changed.notify_one();
    }

    fn sessions_changed(&self) {
        self.sessions.send_modify(|count| *count += 1);
        self.tell();
    }
}
