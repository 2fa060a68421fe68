//! Drivers: what can run a unit. One trait, and the words that drivers and their callers share.
//!
//! Knows units as they are on this node. Refuses to decide what should run: `rules` does.

pub mod docker;
pub mod fake;
pub mod files;
pub mod logs;
pub mod ports;
pub mod process;
pub mod uses;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use devnet_schema::{
    digest::Digest,
    fleet::Availability,
    instance::{Generation, InstanceSpec, Runtime},
    name::{ClusterName, InstanceId, NodeName},
    observed::{HeldVolume, InstanceState, SharedVolume},
    wire::LogEndReason,
};
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use crate::secrets::SecretError;

/// How much of what a health command wrote is shown, in bytes.
pub const EXEC_SHOWN: usize = 512;

/// Whose units a driver may see and touch: those of one cluster on one node, and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The cluster.
    pub cluster: ClusterName,
    /// This node.
    pub node: NodeName,
}

/// A unit as its driver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Which instance it is.
    pub id: InstanceId,
    /// Which generation it was started as.
    pub generation: Generation,
    /// The digest of its spec.
    pub digest: Digest,
    /// Its spec, where the driver has it.
    pub spec: Option<Arc<InstanceSpec>>,
    /// Which driver runs it.
    pub runtime: Runtime,
    /// Whether it runs.
    pub state: InstanceState,
    /// Its removal was begun and goes on: it serves nobody, and whoever orders it waits for that.
    pub ending: bool,
    /// How often it was started again after it ended by itself.
    pub restarts: u32,
    /// The last thing worth saying.
    pub message: Option<String>,
    /// Where it has an address of its own.
    pub address: Option<IpAddr>,
    /// Differs between two runs of the same unit: container id and start time, or process id and
    /// start time.
    pub run: String,
    /// When this run began, in milliseconds since 1970; 0 when it never ran.
    pub started_at: i64,
}

/// Where a driver says what it is doing now.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(String) + Send + Sync>);

impl Progress {
    /// Calls `report` with every message.
    pub fn new(report: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }

    /// To nobody.
    pub fn none() -> Self {
        Self::new(drop)
    }

    /// Says what is being done.
    pub fn say(&self, message: impl Into<String>) {
        (self.0)(message.into());
    }
}

/// A unit that is to run.
#[derive(Clone)]
pub struct Job {
    /// What.
    pub spec: Arc<InstanceSpec>,
    /// As which generation.
    pub generation: Generation,
    /// Its digest.
    pub digest: Digest,
    /// Where progress goes.
    pub progress: Progress,
}

/// What failed in a driver, in words that name it and what to do. Never holds a secret's value.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// This node has nothing that could run the unit.
    #[error("{0}")]
    Unavailable(String),
    /// What runs could not be found out, so that nothing may be started or taken for gone.
    #[error("{0}")]
    NotKnown(String),
    /// The engine or the operating system refused.
    #[error("{act}: {reason}; {next}")]
    Failed {
        /// What was being done, e.g. `image postgres:99 cannot be pulled`.
        act: String,
        /// Why it failed.
        reason: String,
        /// What to do.
        next: String,
    },
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl DriverError {
    /// A failure in three parts.
    pub fn failed(
        act: impl Into<String>,
        reason: impl std::fmt::Display,
        next: impl Into<String>,
    ) -> Self {
        Self::Failed { act: act.into(), reason: reason.to_string(), next: next.into() }
    }

    /// The same, with what else is to be known.
    #[must_use]
    pub fn and(self, more: &str) -> Self {
        match self {
            Self::Failed { act, reason, next } => {
                Self::Failed { act, reason, next: format!("{next}; {more}") }
            }
            Self::Unavailable(why) => Self::Unavailable(format!("{why}; {more}")),
            Self::NotKnown(why) => Self::NotKnown(format!("{why}; {more}")),
            Self::Secret(error) => Self::failed("its secrets cannot be had", error, more),
        }
    }
}

/// What can run units.
pub trait Driver: Send + Sync {
    /// Which runtime this is.
    fn runtime(&self) -> Runtime;

    /// Whether it can be used on this node.
    fn probe(&self) -> BoxFuture<'_, Availability>;

    /// Whatever must be put right before anything else: finds what runs and takes it over, and
    /// finishes what an agent that was killed left half done. Called at start until it succeeds,
    /// and again after the engine was away; nothing else is asked of the driver before.
    fn recover(&self) -> BoxFuture<'_, Result<(), DriverError>>;

    /// Every unit of the owner, in order. One whose record cannot be read is in the state unknown,
    /// with a message that says what to do.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Unit>, DriverError>>;

    /// Every volume of the owner's instances that is kept here, whether anything uses it or not.
    fn volumes(&self) -> BoxFuture<'_, Result<Volumes, DriverError>>;

    /// Gets ready without touching what runs, and says what there is to say.
    fn prepare(&self, job: Job) -> BoxFuture<'_, Result<String, DriverError>>;

    /// Makes the job run in place of whatever the instance ran. When the new unit cannot be
    /// started, the old one is started again, and the error says so.
    fn ensure(&self, job: Job) -> BoxFuture<'_, Result<String, DriverError>>;

    /// Starts a unit again that should run and does not, as after a reboot.
    fn revive(&self, job: Job) -> BoxFuture<'_, Result<(), DriverError>>;

    /// Stops the unit as its own spec says, and removes it; volumes stay. A unit that is not there
    /// is no error.
    fn remove<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<(), DriverError>>;

    /// Ends every unit, because the agent was told that they end with it.
    fn retire(&self) -> BoxFuture<'_, Result<(), DriverError>>;

    /// Writes the log of an instance into `sink`, no faster than it takes it: old lines, then, with
    /// `follow`, new ones, across restarts, until the instance is gone or nobody reads any more.
    fn logs(
        &self,
        query: logs::Query,
        sink: logs::Sink,
    ) -> BoxFuture<'_, Result<LogEndReason, DriverError>>;

    /// Runs a command inside the unit; its exit code and the beginning of what it wrote,
    /// without the values of the unit's secrets.
    fn exec<'a>(
        &'a self,
        unit: &'a Unit,
        argv: &'a [String],
    ) -> BoxFuture<'a, Result<(i64, String), DriverError>>;
}

/// The volumes that a driver keeps, whether anything uses them or not; both sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Volumes {
    /// Those of instances.
    pub own: Vec<HeldVolume>,
    /// Those of Compose projects.
    pub shared: Vec<SharedVolume>,
}

/// What every driver is given.
#[derive(Clone)]
pub struct Ground {
    /// Whose units.
    pub owner: Owner,
    /// The agent's data directory.
    pub data_dir: PathBuf,
    /// A directory for files that hold secrets, in memory where the system has one for us.
    pub volatile_dir: PathBuf,
    /// Where secret values come from.
    pub secrets: Arc<crate::secrets::Secrets>,
    /// Rung whenever what runs may have changed.
    pub changed: Arc<Notify>,
    /// Units end with the agent.
    pub stop_on_exit: bool,
}
