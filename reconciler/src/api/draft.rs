//! The documents of what-if questions and drafts.
//!
//! Knows their JSON form. Refuses to know how a file is edited: `schema` does.

use std::collections::BTreeMap;

use devnet_schema::{
    diagnostic::Diagnostic,
    file::edit::Edit,
    name::{InstanceId, NodeName, ServiceName},
    plan::Plan,
};
use serde::{Deserialize, Serialize};

/// A node that is supposed to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupposedNode {
    /// What it is called; `new` where nothing is said.
    #[serde(default)]
    pub name: Option<NodeName>,
    /// Whole cores.
    pub cpu: u32,
    /// A size: `64GiB`.
    pub memory: String,
    /// A size.
    #[serde(default)]
    pub disk: Option<String>,
    /// Devices and the memory of each: `2x24GiB`.
    #[serde(default)]
    pub gpus: Option<String>,
    /// Its failure domain.
    #[serde(default)]
    pub zone: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// Something that has not happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Suppose {
    /// The node gives up what can move.
    Drain(NodeName),
    /// The node was lost for good.
    Without(NodeName),
    /// A node joined.
    WithNode(SupposedNode),
    /// The service has this many replicas.
    Scale {
        /// Which.
        service: ServiceName,
        /// How many.
        replicas: u32,
    },
    /// The cluster file was edited.
    Edit(Edit),
}

/// Body of `POST /api/v1/whatif`. Of `draft`, `files` and `rev` the first that is there counts;
/// without any, the newest revision of the source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WhatIfRequest {
    /// A draft of one's own.
    pub draft: Option<String>,
    /// Files by path.
    pub files: BTreeMap<String, String>,
    /// The cluster file among them.
    pub root: String,
    /// A revision.
    pub rev: Option<String>,
    /// What has not happened.
    pub suppose: Vec<Suppose>,
    /// Whether to lose each node in turn, too.
    pub survive: bool,
    /// How long the search may take, in milliseconds; 5,000 at most.
    pub solve_limit_ms: Option<u64>,
}

/// What one lost node means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Which.
    pub node: NodeName,
    /// What would not run.
    pub down: Vec<InstanceId>,
    /// Of these, what waits for data that is lost with the node.
    pub data: Vec<InstanceId>,
    /// What would be started on another node.
    pub elsewhere: Vec<InstanceId>,
}

/// Answer of `POST /api/v1/whatif`. The plan is saved nowhere and cannot be applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhatIf {
    /// What would be planned.
    pub plan: Plan,
    /// With `survive`: every node, the worst loss first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses: Option<Vec<Loss>>,
}

/// Body of `POST` and `PATCH /api/v1/drafts`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DraftRequest {
    /// The revision that is edited; the newest where none is named. A draft keeps its own.
    pub base: Option<String>,
    /// All edits, in order. `PATCH` takes them in the place of those before.
    pub edits: Vec<Edit>,
}

/// A draft: an edit of the cluster file that nobody has committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Its id; it is good for a day, and gone after a restart of the control plane.
    pub id: String,
    /// The revision that it edits.
    pub base: String,
    /// The cluster file's path.
    pub root: String,
    /// The blocks that were added or changed, to be copied.
    pub kdl: String,
    /// What `git apply` takes.
    pub patch: String,
    /// The edited files, by path.
    pub files: BTreeMap<String, String>,
    /// What is wrong with the configuration as edited.
    pub diagnostics: Vec<Diagnostic>,
}

/// Body of `POST /api/v1/drafts/{id}/commit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitRequest {
    /// What the commit says; the first line is its summary.
    pub message: String,
    /// The branch; made at the draft's revision where it is not there.
    pub branch: String,
}

/// Answer of `POST /api/v1/drafts/{id}/commit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The commit's id.
    pub commit: String,
    /// The branch that leads to it now.
    pub branch: String,
}

/// `GET /api/v1/source?rev=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFiles {
    /// The revision.
    pub revision: String,
    /// The cluster file among the files.
    pub root: String,
    /// Every text file that the configuration is made of, by path.
    pub files: BTreeMap<String, String>,
}
