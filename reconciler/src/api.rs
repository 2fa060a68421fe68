//! The documents of the HTTP API, shared by the server (`http`) and the command line (`cli`).
//!
//! Knows their JSON form. Refuses to know routes and connections.

pub mod audit;
pub mod database;
pub mod detail;
pub mod draft;
pub mod session;

use std::collections::BTreeMap;

use devnet_schema::{
    diagnostic::Diagnostic,
    fleet::{NodeFacts, NodeStatus},
    name::{InstanceId, NodeName, SecretName, ServiceName},
    observed::{HealthState, InstanceState},
    plan::Summary,
    plan_options::PlanOptions,
    quantity::Period,
    secret::InTransit,
    step::StepReport,
    wire::{LogEnd, LogLine},
};
use serde::{Deserialize, Serialize};

use crate::time::Time;

/// Body of `POST /api/v1/plans`: files of a checkout, or a revision the control plane knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanRequest {
    /// Text files by path relative to the configuration's root; empty when `rev` is given.
    pub files: BTreeMap<String, String>,
    /// The cluster file among them.
    pub root: String,
    /// A revision of the control plane's own source; empty means its newest.
    pub rev: Option<String>,
    /// Overrides of `vars`. One that is not declared is an error.
    pub vars: BTreeMap<String, String>,
    /// Overrides from somebody's environment, which count less. One that is not declared is a
    /// warning, and `_` may stand for `-`.
    pub env_vars: BTreeMap<String, String>,
    /// What to plan.
    pub options: PlanOptions,
}

/// Body of `POST /api/v1/plans/{id}/apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApplyRequest {
    /// How many steps run at once.
    pub parallelism: u32,
    /// Even though the control plane follows a source by itself and would undo it.
    pub force: bool,
    /// Only say whether it could be applied now; nothing begins.
    pub check: bool,
}

impl Default for ApplyRequest {
    /// Ten at once, as Terraform does.
    fn default() -> Self {
        Self { parallelism: 10, force: false, check: false }
    }
}

/// The most items that a page holds.
pub const MAX_PAGE: u32 = 500;

/// A plan in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRow {
    /// Its digest.
    pub id: String,
    /// The configuration's revision.
    pub revision: String,
    /// `watch`, or the name of whoever asked.
    pub by: String,
    /// RFC 3339.
    pub created_at: Time,
    /// RFC 3339.
    pub expires_at: Option<Time>,
    /// What it changes.
    pub summary: Summary,
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeploymentState {
    /// Steps are being run.
    Running,
    /// Everything was done and is healthy.
    Succeeded,
    /// Every step was done, and something declared is not there all the same: its node cannot be
    /// reached, or no node has room for it. The errors say what.
    Incomplete,
    /// Something failed; the error says what.
    Failed,
    /// Cut short: what was running was finished, the rest was left. The errors say what.
    Cancelled,
    /// The control plane stopped in the middle; the next cycle goes on from what runs.
    Interrupted,
}

impl DeploymentState {
    /// Each state and its word, as in JSON and in the records.
    pub const WORDS: [(Self, &'static str); 6] = [
        (Self::Running, "running"),
        (Self::Succeeded, "succeeded"),
        (Self::Incomplete, "incomplete"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
        (Self::Interrupted, "interrupted"),
    ];
}

/// One run of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// Digest of the plan it runs.
    pub plan: String,
    /// The configuration's revision.
    pub revision: String,
    /// `watch`, or the name of whoever asked.
    pub by: String,
    /// RFC 3339.
    pub started_at: Time,
    /// RFC 3339, once it has ended.
    pub ended_at: Option<Time>,
    /// How far it is.
    pub state: DeploymentState,
    /// What it changes; what it did change, once it has ended.
    pub summary: Summary,
    /// Why it failed: each failed step and its error.
    pub errors: Vec<String>,
}

/// One line of `GET /api/v1/deployments/{id}/logs` (newline-delimited JSON).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum DeploymentLine {
    /// A step went on.
    Step {
        /// When.
        at: Time,
        /// Whose step it is.
        instance: InstanceId,
        /// Where.
        node: NodeName,
        /// What the agent said.
        report: StepReport,
    },
    /// The deployment has ended; the last line.
    End {
        /// How it ended.
        deployment: Deployment,
    },
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Up by one with each event; the cursor of the list.
    pub seq: u64,
    /// RFC 3339.
    pub at: Time,
    /// `commit`, `plan`, `apply`, `node`, `instance`, `sync`, `secret`, `auth`.
    pub kind: String,
    /// What it is about: `node.n1`, `service.db[0]`, a revision.
    pub subject: String,
    /// A sentence.
    pub message: String,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Pass as `?cursor=` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /api/v1/status`: everything `devnet status` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Which cluster; absent before the first configuration.
    pub cluster: Option<String>,
    /// What the control plane follows.
    pub source: Option<SourceStatus>,
    /// Every node.
    pub nodes: Vec<NodeRow>,
    /// Every service.
    pub services: Vec<ServiceRow>,
    /// The newest deployment.
    pub deployment: Option<Deployment>,
    /// What is wrong with the control plane itself, like records that cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What the control plane follows, and how far it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Where it is: a path or URL without credentials.
    pub location: String,
    /// The branch.
    pub branch: String,
    /// The newest commit seen.
    pub seen: Option<String>,
    /// The newest commit applied.
    pub applied: Option<String>,
    /// Why the newest commit is not applied.
    pub problem: Option<String>,
    /// Diagnostics of the newest commit.
    pub diagnostics: Vec<Diagnostic>,
}

/// A node in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// Its name.
    pub name: NodeName,
    /// Whether it can be reached.
    pub status: NodeStatus,
    /// Its address.
    pub ip: String,
    /// Instances on it.
    pub instances: u32,
    /// When it was heard of last; empty where it never was.
    #[serde(with = "crate::time::or_empty")]
    pub last_seen: Option<Time>,
    /// What is wrong with it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// An admin let no new instances come to it, by command.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cordoned: bool,
    /// The cluster file has it give up what can move.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
    /// The cluster file lets no new instances come to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shut: bool,
    /// RFC 3339; when it joined, where that is on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<Time>,
    /// It joined, and its agent has never connected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never_connected: bool,
}

/// A service in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRow {
    /// Its name.
    pub name: ServiceName,
    /// Instances wanted.
    pub desired: u32,
    /// Instances that run and serve.
    pub healthy: u32,
    /// Its instances.
    pub instances: Vec<InstanceRow>,
    /// Each instance that is declared and is not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<WaitingRow>,
    /// The configuration in force does not declare it; it runs all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undeclared: bool,
}

/// An instance that is declared and is not there, or not as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingRow {
    /// Which.
    pub instance: InstanceId,
    /// Where it is to run, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// Why it does not, as a clause.
    pub reason: String,
    /// How often it was tried in a row, and failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u32>,
    /// After so many of them it is not tried again by itself until something changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u32>,
    /// RFC 3339; when it is tried again by itself, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Time>,
}

/// An instance in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRow {
    /// Which.
    pub id: InstanceId,
    /// Where.
    pub node: NodeName,
    /// Whether it runs.
    pub state: InstanceState,
    /// Whether it serves.
    pub health: HealthState,
    /// `ip:port` of its first port.
    pub address: Option<String>,
    /// The last thing worth saying.
    pub message: Option<String>,
    /// Nobody ordered it there: its node says that it runs, and nothing is done about it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stranger: bool,
    /// It runs an older declaration, or does not serve: what that waits for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outdated: Option<String>,
    /// The same in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingRow>,
}

/// `GET /api/v1/secrets`: names and versions, never values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRow {
    /// Its name.
    pub name: SecretName,
    /// Its version.
    pub version: u64,
    /// RFC 3339.
    pub updated_at: Time,
}

/// What a key may do. Each role may do all that the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look, but not at logs of services.
    Viewer,
    /// And make plans and read logs: a CI job on a merge request.
    Planner,
    /// And apply them: a CI job on the main branch.
    Editor,
    /// And secrets, nodes and keys.
    Admin,
}

/// Body of `POST /api/v1/apikeys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyRequest {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// A key in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyRow {
    /// The public part.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// RFC 3339.
    pub created_at: Time,
}

/// The longest life of a join token, in seconds: seven days.
pub const LONGEST_TTL: u64 = 7 * 24 * 3600;

/// Body of `POST /api/v1/nodes/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JoinTokenRequest {
    /// Seconds until it is worthless; at most seven days.
    pub ttl_seconds: u64,
    /// Only a node of this name may use it.
    pub node: Option<NodeName>,
    /// It may take over the name of a known node.
    pub replace: bool,
}

impl Default for JoinTokenRequest {
    /// One hour, any name, no takeover.
    fn default() -> Self {
        Self { ttl_seconds: 3600, node: None, replace: false }
    }
}

/// The word of the refusal to take out a node on which something is left.
pub const NODE_IN_USE: &str = "node-in-use";

/// How the line of that refusal begins that says that a node's agent is connected.
pub const AGENT_CONNECTED: &str = "its agent is connected";

/// The word of the refusal to apply what the loop would undo.
pub const FOLLOWS_SOURCE: &str = "follows-source";

/// The word of the refusal while agents are waited for after a start.
pub const NOT_READY: &str = "not-ready";

/// An error of the API, RFC 9457 (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable word: `invalid-configuration`, `stale-plan`, `not-found`, `forbidden`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// What failed.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When the configuration is at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

/// Answer of `POST /api/v1/apikeys`: the only time the key is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewApiKey {
    /// The public part and what it is for.
    #[serde(flatten)]
    pub row: ApiKeyRow,
    /// The whole key.
    pub key: InTransit,
}

/// Answer of `GET /api/v1/whoami`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whoami {
    /// What the key is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// What the loop leaves alone until somebody resumes it: `GET /api/v1/suspensions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Which service; without one, everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// RFC 3339; it ends by itself then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Why, as somebody said it; empty where nobody did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who said so.
    pub by: String,
    /// RFC 3339; when.
    pub at: Time,
}

/// Body of `POST /api/v1/suspensions`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SuspensionRequest {
    /// Which service; without one, everything.
    pub service: Option<ServiceName>,
    /// For so long, as `2h`; else until somebody resumes it.
    pub r#for: Option<Period>,
    /// Why; at most 500 bytes.
    pub reason: String,
}

/// A revision in `GET /api/v1/revisions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRow {
    /// Commit id, or digest of the files.
    pub revision: String,
    /// First line of the commit's message.
    pub summary: String,
    /// Who made it.
    pub author: String,
    /// Empty where the source does not say.
    #[serde(with = "crate::time::or_empty")]
    pub committed_at: Option<Time>,
    /// RFC 3339.
    pub seen_at: Time,
    /// RFC 3339; when it was applied last.
    pub applied_at: Option<Time>,
    /// Why it cannot be planned.
    pub problem: Option<String>,
}

/// One line of `GET /api/v1/instances/{id}/logs` and `GET /api/v1/services/{name}/logs`
/// (newline-delimited JSON).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceLine {
    /// Who wrote it.
    pub instance: InstanceId,
    /// What.
    #[serde(flatten)]
    pub line: LogLine,
}

/// The last line of an instance in a log stream, and why nothing of it follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceEnd {
    /// Whose log.
    pub instance: InstanceId,
    /// Why.
    pub end: LogEnd,
}

/// Either of the two, as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogEntry {
    /// Whose log.
    pub instance: InstanceId,
    /// As in [`InstanceEnd`]; the rest means nothing then.
    #[serde(default)]
    pub end: Option<LogEnd>,
    /// As in [`LogLine`].
    #[serde(default)]
    pub at: String,
    /// As in [`LogLine`].
    #[serde(default)]
    pub stream: String,
    /// As in [`LogLine`].
    #[serde(default)]
    pub text: String,
    /// As in [`LogLine`].
    #[serde(default)]
    pub continued: bool,
}

/// Body of `POST /api/v1/nodes/{id}/heartbeat`; may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeartbeatRequest {
    /// What the machine has, when it changed.
    pub facts: Option<NodeFacts>,
}

/// Body of `POST /api/v1/nodes/{id}/deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// Chosen by the caller; names the deployment in its events.
    pub deployment_id: String,
    /// Names the service that the units belong to.
    pub template_id: String,
    /// A Compose file.
    #[serde(default)]
    pub rendered_compose: String,
    /// Values for `${…}` in it.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What to do.
    pub action: DeployAction,
}

/// What a deploy request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeployAction {
    /// Run it.
    Apply,
    /// Stop and remove it.
    Remove,
}
