//! What lists of the API tell beside the rows that the command line prints: sizes and what is
//! placed of them, what a service is made of, and how far each step of a deployment is.
//!
//! Knows their JSON form: sizes are numbers with their unit in the name. Refuses to know how any of
//! it is found.

use devnet_schema::{
    diagnostic::Diagnostic,
    name::{InstanceId, NodeName, SecretName, ServiceName},
    secret::InTransit,
};
use serde::{Deserialize, Serialize};

use crate::time::Time;

use super::{NodeRow, PlanRow, ServiceRow, Status};

/// A list that can be read again as what changed since.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed<T> {
    /// What is on it; after `?since=` what changed.
    pub items: Vec<T>,
    /// Pass as `?cursor=` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Pass as `?since=` to be told what changed after this answer.
    pub serial: u64,
    /// After `?since=`: what is no longer there, by the list's keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
    /// After `?since=`: what changed is not known any more, and this is the whole list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

/// How much of something a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// All that counts.
    pub whole: u64,
    /// Kept free for the host.
    pub reserved: u64,
    /// What instances that were ordered there reserve.
    pub placed: u64,
}

/// The room of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Room {
    /// In thousandths of a core.
    pub cpu_milli: Amount,
    /// In MiB.
    pub memory_mb: Amount,
    /// In MiB, of the largest file system.
    pub disk_mb: Amount,
}

/// A GPU and what of it is placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuRow {
    /// Its UUID.
    pub id: String,
    /// The maker's name for it.
    pub model: String,
    /// Its memory, in MiB.
    pub mem_mb: u64,
    /// Memory slices that instances have, in MiB.
    pub placed_mb: u64,
    /// Shares that instances have, in thousandths; 1000 where one has the whole device.
    pub share_milli: u32,
}

/// What runs units on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineRow {
    /// `docker`, `podman`, `process`, `kubernetes`.
    pub name: String,
    /// Its own version, where it says one.
    pub version: Option<String>,
    /// Whether it answers.
    pub available: bool,
}

/// A node in `GET /api/v1/nodes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailedNode {
    /// As the command line prints it.
    #[serde(flatten)]
    pub row: NodeRow,
    /// Its failure domain.
    pub zone: Option<String>,
    /// Of the cluster file and of an admin.
    pub tags: Vec<String>,
    /// The system and the processor: `linux`, `x86_64`.
    pub os: String,
    /// As above.
    pub arch: String,
    /// What runs units there.
    pub engines: Vec<EngineRow>,
    /// What it has, and what of it is placed.
    pub room: Room,
    /// Its devices.
    pub gpus: Vec<GpuRow>,
}

/// What one instance reserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reserved {
    /// In thousandths of a core.
    pub cpu_milli: u64,
    /// In MiB.
    pub memory_mb: u64,
    /// In MiB.
    pub disk_mb: u64,
    /// Whole devices.
    pub gpus: u32,
    /// A share of one device, in thousandths.
    pub gpu_share_milli: u32,
    /// A slice of one device's memory, in MiB.
    pub gpu_memory_mb: u64,
}

/// What a service is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// `component`, `image`, `process`, `compose`, `kubernetes`.
    pub form: String,
    /// Its component, of that form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The component's version, or the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it is declared: `cluster.kdl:41:9`.
    pub at: String,
    /// 0 gives way first, 100 last.
    pub priority: u8,
    /// Services that must be healthy before it starts.
    pub depends_on: Vec<ServiceName>,
    /// Only on a node with these.
    pub near: Vec<ServiceName>,
    /// Never on a node with these.
    pub apart_from: Vec<ServiceName>,
    /// Its other lines about place: `require tag=ssd`.
    pub place: Vec<String>,
    /// What each instance reserves.
    pub resources: Reserved,
    /// The secrets that it names.
    pub secrets: Vec<SecretName>,
}

/// A service in `GET /api/v1/services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailedService {
    /// As the command line prints it.
    #[serde(flatten)]
    pub row: ServiceRow,
    /// As the configuration in force declares it; absent where it does not any more.
    #[serde(flatten, default)]
    pub declared: Option<Declared>,
}

/// How many there are of something, by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeCounts {
    /// Connected.
    pub online: u32,
    /// Not heard of lately.
    pub offline: u32,
    /// Not heard of for longer than `lost-after`.
    pub lost: u32,
}

/// The same for services and instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceCounts {
    /// As many instances serve as are declared.
    pub healthy: u32,
    /// Some are missing or do not serve.
    pub degraded: u32,
    /// Of one at least, nothing is known.
    pub unknown: u32,
}

/// Nodes and services by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Nodes.
    pub nodes: NodeCounts,
    /// Services.
    pub services: ServiceCounts,
}

/// What the loop does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopStatus {
    /// `waiting` for agents after a start, `deploying`, `held`, or `idle`.
    pub state: String,
    /// The deployment that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
}

/// `GET /api/v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetailedStatus {
    /// As the command line prints it.
    #[serde(flatten)]
    pub status: Status,
    /// Why nothing is applied although something should be.
    pub held: Option<String>,
    /// What the loop does.
    #[serde(rename = "loop")]
    pub following: LoopStatus,
    /// The revision in force, from which the loop plans.
    pub planned: Option<String>,
    /// What the loop's newest plan warns of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Diagnostic>,
    /// By state.
    pub counts: Counts,
}

/// A plan in `GET /api/v1/plans`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailedPlan {
    /// What it is.
    #[serde(flatten)]
    pub row: PlanRow,
    /// Whether it holds no errors; whether it is stale is another question.
    pub applicable: bool,
    /// Errors among its diagnostics.
    pub errors: u32,
    /// Instances that change node.
    pub moves: u32,
    /// Instances that no node has room for.
    pub unplaced: u32,
}

/// `GET /api/v1/plans/{id}/stale`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staleness {
    /// The parts of what it was made from that have moved; none where it may be applied.
    pub moved: Vec<String>,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepWord {
    /// Others have to succeed before.
    Waiting,
    /// It is being done.
    Running,
    /// It is done.
    Succeeded,
    /// It failed.
    Failed,
    /// The deployment ended before it began.
    NotRun,
}

/// A step of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRow {
    /// `db[0]/start`.
    pub id: String,
    /// Whose.
    pub instance: InstanceId,
    /// Where.
    pub node: NodeName,
    /// `prepare`, `start`, `await-healthy`, `remove`.
    #[serde(rename = "do")]
    pub act: String,
    /// Steps that must succeed before.
    pub after: Vec<String>,
    /// How far it is.
    pub state: StepWord,
    /// Of these, the ones that have not succeeded, while it has not begun.
    pub blocked_by: Vec<String>,
    /// RFC 3339; when something was first heard of it.
    pub began: Option<Time>,
    /// RFC 3339; when it was done, or failed.
    pub ended: Option<Time>,
    /// The last thing that was said of it.
    pub message: Option<String>,
    /// How much of something that takes long is there, like bytes of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// All of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// A unit as text, with secrets as references.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitText {
    /// Whose.
    pub instance: InstanceId,
    /// Where.
    pub node: NodeName,
    /// YAML, as in the diffs of plans.
    pub compose: String,
}

/// Answer of `POST /api/v1/nodes/tokens`: the only time the token is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJoinCommand {
    /// The whole token.
    pub token: InTransit,
    /// RFC 3339.
    pub expires_at: Time,
    /// The token's public part.
    pub id: String,
    /// The address that an agent joins at, as the request had it.
    pub server: String,
    /// A line to run on the new node; the token is in it.
    pub command: InTransit,
}

/// A join token that may still be used, in a list: never its secret part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTokenRow {
    /// The public part.
    pub id: String,
    /// The only node that may use it.
    pub node: Option<NodeName>,
    /// Whether it may take over the name of a known node.
    pub replace: bool,
    /// RFC 3339.
    pub created_at: Time,
    /// RFC 3339.
    pub expires_at: Time,
}
