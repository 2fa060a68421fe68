//! One machine of a problem.
//!
//! Knows capacity, devices, and what may happen on it. Refuses to know agents.
//!
//! Capacity is what services may have: the reserve is taken off before.

use devnet_schema::{instance::Protocol, name::NodeName};

/// What may happen on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum NodeState {
    /// Takes instances.
    #[default]
    Ready,
    /// Keeps what it has, takes none.
    Cordoned,
    /// Gives up what can move, takes none. What has data there stays.
    Draining,
    /// Not heard of: keeps what it has, since that may still run; takes none.
    Offline,
    /// Not heard of for so long that what can move is placed elsewhere. What has data there stays.
    Lost,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInput {
    /// Its name.
    pub name: NodeName,
    /// Its tags.
    pub tags: Vec<String>,
    /// Where it stands; nodes without a zone together count as one zone.
    pub zone: Option<String>,
    /// `linux`, `macos`, …
    pub os: String,
    /// `x86_64`, `aarch64`, …
    pub arch: String,
    /// What it can run: `docker`, `podman`, `process`, `kubernetes`.
    pub runtimes: Vec<String>,
    /// Thousandths of a core it can hold in total, less its reserve.
    pub cpu_milli: u64,
    /// Bytes of memory it can hold in total, less its reserve.
    pub memory: u64,
    /// Bytes of disk it can hold in total, less its reserve.
    pub disk: u64,
    /// Its GPUs.
    pub gpus: Vec<GpuInput>,
    /// What may happen on it.
    pub state: NodeState,
    /// Ports that something else holds.
    pub reserved_ports: Vec<(Protocol, u16)>,
}

impl NodeInput {
    /// cpu in thousandths of a core, memory and disk in bytes.
    pub(in crate::place) fn amounts(&self) -> [u64; 3] {
        [self.cpu_milli, self.memory, self.disk]
    }
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GpuInput {
    /// UUID.
    pub id: String,
    /// Model, as its driver names it.
    pub model: String,
    /// Bytes of memory.
    pub memory: u64,
}
