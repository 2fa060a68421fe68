//! The lines of a cluster file that placement looks at.
//!
//! Knows conditions, wishes, pins, spread, and where each is written. Refuses to parse any.
//!
//! Explanations name the line that speaks against a node, so it is kept with its place: `require
//! tag=ssd` at `cluster.kdl:7:5`.

use std::collections::BTreeMap;

use devnet_schema::name::{NodeName, ServiceName};

/// Where lines about a service and its neighbours are written, `file:line:column`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    /// That of `max-per-node`.
    pub max_per_node: Option<String>,
    /// Those of `apart-from`, by the service that each names.
    pub apart_from: BTreeMap<ServiceName, String>,
    /// Those of `near`, by the service that each names.
    pub near: BTreeMap<ServiceName, String>,
}

/// What claims a port of the node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortLine {
    /// As the file would write it: `host=80`, or `port 80` of a process.
    pub written: String,
    /// Whether a process listens there: it has no network of its own, so all of its instances have
    /// the same number.
    pub of_process: bool,
    /// Where it is written, `file:line:column`.
    pub at: Option<String>,
}

/// A condition on a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Require {
    /// What it looks at.
    pub key: Key,
    /// The values that satisfy it.
    pub any_of: Vec<String>,
    /// The values that the file names, as it would write them: `ssd nvme`, `"RTX 4090"`.
    pub written: String,
    /// Where it is written, `file:line:column`.
    pub at: Option<String>,
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A tag of the node.
    Tag,
    /// Its zone.
    Zone,
    /// Its operating system.
    Os,
    /// Its instruction set.
    Arch,
    /// The model of a GPU.
    GpuModel,
    /// Its name.
    Node,
    /// A runtime it offers.
    Runtime,
}

impl Require {
    /// The line of the file, after `require` or `forbid`: `require tag=ssd`.
    pub fn line(&self, verb: &str) -> String {
        format!("{verb} {}={}", self.key.word(), self.written)
    }
}

impl Key {
    /// The word of the cluster file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Zone => "zone",
            Self::Os => "os",
            Self::Arch => "arch",
            Self::GpuModel => "gpu-model",
            Self::Node => "node",
            Self::Runtime => "runtime",
        }
    }
}

/// A wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefer {
    /// Where the node meets this, it is better.
    pub condition: Require,
    /// By so much; 10 outweighs a whole node's worth of balance.
    pub weight: u32,
}

/// The one node a service may run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Which.
    pub node: NodeName,
    /// Where it is written, `file:line:column`.
    pub at: Option<String>,
}

/// How evenly a service is spread: over the domains where it may run at all, the largest count of
/// its instances less the smallest is at most `max_skew`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// What is a domain.
    pub by: SpreadBy,
    /// At least 1.
    pub max_skew: u32,
    /// Where it is written, `file:line:column`.
    pub at: Option<String>,
}

/// What is a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpreadBy {
    /// Each node.
    Node,
    /// Each zone.
    Zone,
}
