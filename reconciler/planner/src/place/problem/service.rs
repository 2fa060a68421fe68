//! One service of a problem, and what runs of it.
//!
//! Knows what one instance asks for and what running ones have. Refuses to know files.
//!
//! An instance runs with what was declared when it started; where more is declared by now, it has
//! grown.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    instance::Protocol,
    name::{NodeName, ServiceName},
    placement::GpuUse,
    quantity::GpuRequest,
};

use super::{
    key::{InstanceKey, ServiceKey},
    lines::{Pin, Places, PortLine, Prefer, Require, Spread},
};

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInput {
    /// What a file declares, or one running instance that keeps what it has.
    pub name: ServiceKey,
    /// Where it is declared, `file:line:column`.
    pub at: Option<String>,
    /// Instances wanted.
    pub replicas: u32,
    /// Their numbers where these are not the first: of a service with one on each eligible node.
    /// One that has a node goes to no other.
    pub numbers: Option<BTreeSet<u32>>,
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
    pub(in crate::place) fn amounts(&self) -> [u64; 3] {
        [self.cpu_milli, self.memory, self.disk]
    }
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

impl ServiceInput {
    /// The instance of that number.
    pub(in crate::place) fn instance(&self, index: u32) -> InstanceKey {
        InstanceKey { service: self.name.clone(), index }
    }

    /// Whether it is one instance a node: it stays apart from itself.
    pub(in crate::place) fn is_apart_from_itself(&self) -> bool {
        self.apart_from.iter().any(|name| self.name == *name)
    }

    /// What one instance asks for: cpu in thousandths of a core, memory and disk in bytes.
    pub(in crate::place) fn amounts(&self) -> [u64; 3] {
        [self.cpu_milli, self.memory, self.disk]
    }

    /// Whether the instance of that number is wanted.
    pub(in crate::place) fn wants(&self, index: u32) -> bool {
        match &self.numbers {
            None => index < self.replicas,
            Some(numbers) => numbers.contains(&index),
        }
    }

    /// The numbers of the instances that are wanted, in order.
    pub(in crate::place) fn wanted(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.end()).filter(|index| self.wants(*index))
    }

    /// One more than the highest of these.
    fn end(&self) -> u32 {
        let last = |numbers: &BTreeSet<u32>| numbers.last().map_or(0, |last| last + 1);
        self.numbers.as_ref().map_or(self.replicas, last)
    }

    /// What exists of the instances that are wanted.
    pub(in crate::place) fn existing(&self) -> impl Iterator<Item = (&u32, &Current)> {
        self.current.range(..self.end()).filter(|(index, _)| self.wants(**index))
    }

    /// Wants no more than so many: of one on each node, those first that have one.
    pub(in crate::place) fn limit(&mut self, most: u32) {
        if let Some(numbers) = &mut self.numbers {
            let mut order: Vec<u32> = numbers.iter().copied().collect();
            order.sort_by_key(|index| (!self.current.contains_key(index), *index));
            *numbers = order.into_iter().take(most as usize).collect();
        }
        self.replicas = most;
    }

    /// Whether an instance is known to run with less than is declared of it by now, or with other
    /// devices.
    pub(in crate::place) fn has_grown(&self, index: u32) -> bool {
        let devices = self.current.get(&index).map(Current::request);
        self.holdings.get(&index).is_some_and(|has| {
            has.cpu_milli < self.cpu_milli
                || has.memory < self.memory
                || has.disk < self.disk
                || self.host_ports.iter().any(|port| !has.ports.contains(port))
                || devices.is_some_and(|devices| !same_devices(devices, self.gpu))
        })
    }
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
    pub(in crate::place) fn request(&self) -> GpuRequest {
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
