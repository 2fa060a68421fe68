//! One change that a person could make so that a service fits: what it does to the problem, and
//! what it is thought to cost.
//!
//! Knows the changes one by one. Refuses to know words for them ([`super::wording`]), and which of
//! them help: [`super::suggest`] tries.

use std::collections::BTreeSet;

use devnet_schema::instance::Protocol;

use super::new_node;
use crate::place::{
    model::index::IndexedProblem,
    problem::{GpuInput, NodeInput, NodeState, PlacementProblem, ServiceInput},
};

/// One change to the problem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// An instance with data goes elsewhere after all.
    LetMove {
        service: usize,
        index: u32,
    },
    DropPin,
    Spread,
    MaxPerNode,
    ApartFrom,
    /// The line of another service that keeps it away.
    ApartFromOf {
        service: usize,
    },
    Near,
    /// Another port of the node than this one.
    OtherPort {
        port: (Protocol, u16),
    },
    Uncordon {
        node: usize,
    },
    DropRequire {
        line: usize,
    },
    DropForbid {
        line: usize,
    },
    /// What runs there gives up so much.
    Free {
        node: usize,
        what: Resource,
        amount: u64,
    },
    /// The node gets so much more: even empty it has too little.
    Raise {
        node: usize,
        what: Resource,
        amount: u64,
    },
    /// The node gets so many devices that the service accepts: it has none, or too few.
    Equip {
        node: usize,
        count: u32,
    },
    /// Equal nodes join, each made for so many instances, and for those `with` them, a service for
    /// each instance of it; each in the zone of a node that is there, where that matters.
    AddNodes {
        each: u32,
        with: Vec<usize>,
        zones: Vec<Option<usize>>,
    },
    /// A change for another service, which is placed with this one.
    Of {
        service: usize,
        change: Box<Change>,
    },
}

/// Whether others are asked to give something up.
pub fn frees(change: &Change) -> bool {
    match change {
        Change::Free { .. } => true,
        Change::Of { change, .. } => frees(change),
        _ => false,
    }
}

/// What a node has too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Thousandths of a core.
    Cpu,
    /// Bytes.
    Memory,
    /// Bytes.
    Disk,
    /// Whole devices.
    Devices,
    /// Bytes of one device.
    Slice,
    /// Thousandths of one device.
    Share,
}

impl Resource {
    /// For cpu, memory and disk by their number.
    pub const OF_NODE: [Self; 3] = [Self::Cpu, Self::Memory, Self::Disk];
}

/// What a node more is thought to cost.
const NODE: f64 = 3000.0;

/// The price of a move that is half as dear as such a price can be.
const DEAR: u64 = 100;

impl Change {
    /// What it is thought to cost; only for sorting. In this order, whatever the amounts: moves
    /// (nobody changes what was asked for), lines of the file (a commit; what only shapes a
    /// placement before what names a node or kept two services apart for a reason), what others
    /// must give up, more hardware for a node that is there, one more node.
    pub fn cost(&self) -> f64 {
        match self {
            Self::LetMove { .. } => 1.0,
            Self::DropPin => 10.0,
            Self::Spread | Self::MaxPerNode => 20.0,
            Self::Uncordon { .. } => 30.0,
            Self::ApartFrom | Self::ApartFromOf { .. } | Self::Near => 40.0,
            Self::OtherPort { .. } => 45.0,
            Self::DropRequire { .. } | Self::DropForbid { .. } => 50.0,
            Self::Free { .. } => 200.0,
            Self::Raise { .. } | Self::Equip { .. } => 1000.0,
            Self::AddNodes { zones, .. } => NODE * zones.len() as f64,
            Self::Of { change, .. } => change.cost(),
        }
    }

    /// Whether it changes nodes, or their number.
    pub fn is_about_nodes(&self) -> bool {
        match self {
            Self::Uncordon { .. }
            | Self::Free { .. }
            | Self::Raise { .. }
            | Self::Equip { .. }
            | Self::AddNodes { .. } => true,
            Self::LetMove { .. }
            | Self::DropPin
            | Self::Spread
            | Self::MaxPerNode
            | Self::ApartFrom
            | Self::ApartFromOf { .. }
            | Self::Near
            | Self::OtherPort { .. }
            | Self::DropRequire { .. }
            | Self::DropForbid { .. } => false,
            Self::Of { change, .. } => change.is_about_nodes(),
        }
    }
}

/// All of them together. Two changes are dearer than each of them, and never cheaper than one of
/// the dearer's kind.
pub fn cost(changes: &[Change]) -> f64 {
    changes.iter().map(Change::cost).sum()
}

/// What it is thought to cost that so many instances still wait: a node for each of them.
pub fn cost_of_waiting(instances: u32) -> f64 {
    NODE * f64::from(instances)
}

/// What moves of such a price cost beside changes: always less than a line of the file.
pub fn cost_of_moves(price: u64) -> f64 {
    let price = price as f64;
    1.0 + 8.0 * price / (price + DEAR as f64)
}

/// Makes the changes to the problem, for service `s` of the indexed problem.
pub fn make(
    indexed: &IndexedProblem<'_>,
    s: usize,
    changes: &[Change],
    problem: &mut PlacementProblem,
) {
    // Lines are counted from the front: the last is dropped first.
    for change in changes.iter().rev() {
        if let Change::Of { service, change } = change {
            make(indexed, *service, std::slice::from_ref(change), problem);
            continue;
        }
        let target = match change {
            Change::LetMove { service, .. } => *service,
            _ => s,
        };
        if let Change::ApartFromOf { service } = *change {
            let (own, other) = (indexed.services[s].input, indexed.services[service].input);
            // What is kept of it, too, keeps away by that line.
            let services = problem.services.iter_mut();
            let others = services.filter(|input| input.name.declared() == other.name);
            others.for_each(|input| input.apart_from.retain(|name| *name != own.name));
            continue;
        }
        let name = &indexed.services[target].input.name;
        if let Some(input) = problem.services.iter_mut().find(|input| input.name == *name) {
            change_service(input, change);
        }
        match change {
            Change::Uncordon { node }
            | Change::Free { node, .. }
            | Change::Raise { node, .. }
            | Change::Equip { node, .. } => {
                let name = &indexed.nodes[*node].input.name;
                for input in problem.nodes.iter_mut().filter(|input| input.name == *name) {
                    change_node(indexed, s, input, change);
                }
            }
            Change::AddNodes { each, with, zones } => {
                problem.nodes.extend(new_node::nodes(indexed, &crew(s, *each, with), zones));
            }
            _ => {}
        }
    }
}

fn change_service(input: &mut ServiceInput, change: &Change) {
    match *change {
        Change::LetMove { .. } => {
            input.movable = true;
            input.current.values_mut().for_each(|current| current.held = false);
        }
        Change::DropPin => input.pin = None,
        Change::Spread => input.spread.clear(),
        Change::MaxPerNode => {
            input.max_per_node = None;
            let own = input.name.clone();
            input.apart_from.retain(|name| *name != own);
        }
        Change::ApartFrom => input.apart_from.clear(),
        Change::Near => input.near.clear(),
        Change::OtherPort { port } => input.host_ports.retain(|it| *it != port),
        Change::DropRequire { line } => drop(input.require.remove(line)),
        Change::DropForbid { line } => drop(input.forbid.remove(line)),
        Change::ApartFromOf { .. }
        | Change::Uncordon { .. }
        | Change::Free { .. }
        | Change::Raise { .. }
        | Change::Equip { .. }
        | Change::AddNodes { .. }
        | Change::Of { .. } => {}
    }
}

fn change_node(indexed: &IndexedProblem<'_>, s: usize, input: &mut NodeInput, change: &Change) {
    let (what, amount) = match *change {
        Change::Uncordon { .. } => {
            input.state = NodeState::Ready;
            return;
        }
        Change::Equip { count, .. } => {
            input.gpus.extend(new_node::gpus(indexed, s, count as usize));
            return;
        }
        Change::Free { what, amount, .. } | Change::Raise { what, amount, .. } => (what, amount),
        _ => return,
    };
    let held = match what {
        Resource::Cpu => &mut input.cpu_milli,
        Resource::Memory => &mut input.memory,
        Resource::Disk => &mut input.disk,
        // What is freed on a device is room for the service beside what stays: one more device is
        // the same to one instance.
        Resource::Devices => return more_devices(indexed, s, input, amount),
        Resource::Slice | Resource::Share => return more_devices(indexed, s, input, 1),
    };
    *held = held.saturating_add(amount);
}

/// Gives the node so many devices more, like the largest one that it has.
fn more_devices(indexed: &IndexedProblem<'_>, s: usize, input: &mut NodeInput, count: u64) {
    let service = indexed.services[s].input;
    let fits = |gpu: &&GpuInput| crate::place::model::filter::accepts(service, gpu);
    let pattern = input.gpus.iter().filter(fits).max_by_key(|gpu| (gpu.memory, &gpu.id)).cloned();
    let Some(pattern) = pattern else {
        return;
    };
    input
        .gpus
        .extend((0..count).map(|i| GpuInput { id: format!("freed-{s}-{i}"), ..pattern.clone() }));
}

/// Whether one instance more is all that the changes can be believed for: the room on a device
/// that was freed for it is no room for two.
pub fn is_for_one(changes: &[Change]) -> bool {
    let one = |change: &Change| match change {
        Change::Of { change, .. } => is_for_one(std::slice::from_ref(change)),
        Change::Free { what, .. } => matches!(what, Resource::Slice | Resource::Share),
        _ => false,
    };
    changes.iter().any(one)
}

/// Whom a new node is made for, and how many of each.
pub fn crew(s: usize, each: u32, with: &[usize]) -> Vec<(usize, u32)> {
    let mut crew: Vec<(usize, u32)> =
        with.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u32)).collect();
    crew.push((s, each));
    crew
}

/// The services that the changes are about beside the one in question: they are placed with it.
pub fn company(changes: &[Change]) -> BTreeSet<usize> {
    let of = |change: &Change| match change {
        Change::Of { service, .. } => vec![*service],
        Change::AddNodes { with, .. } => with.clone(),
        _ => Vec::new(),
    };
    changes.iter().flat_map(of).collect()
}
