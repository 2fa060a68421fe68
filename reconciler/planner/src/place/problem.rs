//! The placement problem, as plain data.
//!
//! Knows what can be asked: integers in base units, lists in any order. Refuses to know files,
//! agents, or how an answer is found.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    instance::Protocol,
    name::{InstanceId, NodeName, ServiceName},
    quantity::GpuRequest,
};

pub use devnet_schema::placement::{
    Edit, GpuUse, NodeViolations, Objective, PlacementStatus, PriorityLevel, Suggestion,
    Unplaceable, Violation,
};

/// Everything a placement depends on. The order of nodes and services does not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacementProblem {
    /// The machines; names are unique.
    pub nodes: Vec<NodeInput>,
    /// What is to run; names are unique.
    pub services: Vec<ServiceInput>,
    /// Who is not kept as it is, for others came for its room to a node that has too little: found
    /// while placing, and empty before.
    pub leaving: BTreeSet<InstanceId>,
    /// What makes one complete placement better than another.
    pub objective: Objective,
    /// How much work may be spent.
    pub limits: Limits,
}

/// How much work may be spent. There is no clock among them, so that the same problem has the
/// same answer on every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Put the score before the number of moves.
    pub rebalance: bool,
    /// Integer programs of one search at most, those for suggestions and for column generation not
    /// counted. Where something is left without a proof, the search is made again from its own
    /// answer until nothing more is placed: an unchanged problem keeps its placement.
    pub ilps: u32,
    /// Branch-and-bound nodes of one integer program.
    pub search_nodes: u32,
    /// Problems with at most this many pairs of service and node are solved whole, with a proof.
    pub whole_pairs: usize,
    /// How many remedies are tried for each service that does not fit; 0 to look for none.
    pub suggestions: u32,
    /// Which solver answers.
    pub solver: SolverChoice,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rebalance: false,
            ilps: 60,
            search_nodes: 5_000,
            whole_pairs: 600,
            suggestions: 12,
            solver: SolverChoice::Auto,
        }
    }
}

/// Which solver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SolverChoice {
    /// microlp for small models, HiGHS for the others where it is built in.
    #[default]
    Auto,
    /// HiGHS; falls back to microlp in a build without it.
    Highs,
    /// microlp.
    Microlp,
}

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
    pub(super) fn amounts(&self) -> [u64; 3] {
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

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInput {
    /// Its name.
    pub name: ServiceName,
    /// Where it is declared, `file:line:column`.
    pub at: Option<String>,
    /// Instances wanted.
    pub replicas: u32,
    /// 0 to 100; the higher is placed first.
    pub priority: u8,
    /// Thousandths of a core for each instance.
    pub cpu_milli: u64,
    /// Bytes of memory for each instance.
    pub memory: u64,
    /// Bytes of disk for each instance.
    pub disk: u64,
    /// GPUs for each instance.
    pub gpu: GpuRequest,
    /// How large each of these must be, whatever part of it is asked for.
    pub device: Option<DeviceNeed>,
    /// Ports of the node that each instance takes.
    pub host_ports: Vec<(Protocol, u16)>,
    /// The line of the file that claims each of these, where one does.
    pub port_lines: BTreeMap<(Protocol, u16), PortLine>,
    /// All must hold. For a service that asks for a GPU, `gpu-model` speaks of the device it gets.
    pub require: Vec<Require>,
    /// None may hold.
    pub forbid: Vec<Require>,
    /// Better where these hold.
    pub prefer: Vec<Prefer>,
    /// The one node it may run on.
    pub pin: Option<Pin>,
    /// How evenly it is spread.
    pub spread: Vec<Spread>,
    /// Instances on one node at most.
    pub max_per_node: Option<u32>,
    /// Services it never shares a node with; itself means one instance a node.
    pub apart_from: Vec<ServiceName>,
    /// Services that must each run on every node where this one runs.
    pub near: Vec<ServiceName>,
    /// Where the lines of these three are written.
    pub places: Places,
    /// Whether an instance may go to another node. One with data may not: it stays unless it is not
    /// [held](Current::held) and a constraint or a node that is gone forbids it.
    pub movable: bool,
    /// Nodes that none of it may come to, and why, for people: what runs there may stay, and gives
    /// way where the node gives up what can move.
    pub closed: BTreeMap<NodeName, String>,
    /// The price of moving one instance, in restarts of one: what stays on its node and gets other
    /// devices costs 1. 0 counts as 1.
    pub move_cost: u64,
    /// Where its instances are now, by index.
    pub current: BTreeMap<u32, Current>,
    /// What each of these that is known to run has of its node: where it has no place as it is
    /// declared, it keeps that if nobody more important needs it.
    pub holdings: BTreeMap<u32, Holding>,
}

/// What a running instance has of its node, beside its devices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holding {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
    /// Bytes.
    pub disk: u64,
    /// Ports of the node.
    pub ports: Vec<(Protocol, u16)>,
}

impl Holding {
    /// cpu in thousandths of a core, memory and disk in bytes.
    pub(super) fn amounts(&self) -> [u64; 3] {
        [self.cpu_milli, self.memory, self.disk]
    }
}

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
    /// Where it is written, `file:line:column`.
    pub at: Option<String>,
}

/// How large a device must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceNeed {
    /// Bytes that it has in all.
    pub memory: u64,
    /// What needs them: the name of a model.
    pub what: String,
    /// Where that is written, `file:line:column`.
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

impl ServiceInput {
    /// What one instance asks for: cpu in thousandths of a core, memory and disk in bytes.
    pub(super) fn amounts(&self) -> [u64; 3] {
        [self.cpu_milli, self.memory, self.disk]
    }

    /// Whether an instance is known to run with less than is declared of it by now, or with other
    /// devices.
    pub(super) fn has_grown(&self, index: u32) -> bool {
        let devices = self.current.get(&index).map(Current::request);
        self.holdings.get(&index).is_some_and(|has| {
            has.cpu_milli < self.cpu_milli
                || has.memory < self.memory
                || has.disk < self.disk
                || self.host_ports.iter().any(|port| !has.ports.contains(port))
                || devices.is_some_and(|devices| !same_devices(devices, self.gpu))
        })
    }

    /// The line that limits how many are on one node, as the file has it, and where.
    pub fn max_per_node_line(&self) -> (String, Option<&String>) {
        match self.max_per_node {
            Some(most) => (
                format!("max-per-node {most}"),
                self.places.max_per_node.as_ref().or(self.at.as_ref()),
            ),
            None => self.apart_from_line(std::slice::from_ref(&self.name)),
        }
    }

    /// The line that keeps these away, and where.
    pub fn apart_from_line(&self, names: &[ServiceName]) -> (String, Option<&String>) {
        self.line("apart-from", names, &self.places.apart_from)
    }

    /// The line that wants these on the same node, and where.
    pub fn near_line(&self, names: &[ServiceName]) -> (String, Option<&String>) {
        self.line("near", names, &self.places.near)
    }

    fn line<'p>(
        &'p self,
        word: &str,
        names: &[ServiceName],
        places: &'p BTreeMap<ServiceName, String>,
    ) -> (String, Option<&'p String>) {
        let named: String = names.iter().map(|name| format!(" \"{name}\"")).collect();
        let at = names.iter().find_map(|name| places.get(name)).or(self.at.as_ref());
        (format!("{word}{named}"), at)
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

/// Where an instance is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The node, known or gone.
    pub node: NodeName,
    /// Its devices.
    pub gpus: Vec<GpuUse>,
    /// Whether its data holds it there, whatever line or state of the node is against that.
    pub held: bool,
}

impl Current {
    /// What it must have asked for of the devices of its node.
    pub(super) fn request(&self) -> GpuRequest {
        match self.gpus.as_slice() {
            [] => GpuRequest::None,
            [one] if one.memory.0 > 0 => GpuRequest::Memory(one.memory),
            [one] if one.share_milli < 1000 => GpuRequest::Share(one.share_milli),
            all => GpuRequest::Whole(all.len() as u32),
        }
    }
}

/// Whether two requests are the same devices: all of one is one.
fn same_devices(a: GpuRequest, b: GpuRequest) -> bool {
    let plain = |request| match request {
        GpuRequest::Whole(0) => GpuRequest::None,
        GpuRequest::Share(1000) => GpuRequest::Whole(1),
        other => other,
    };
    plain(a) == plain(b)
}
