//! One change that a person could make so that a service fits: what it is, and what it is thought
//! to cost.
//!
//! Knows changes as data. Refuses to make them (`apply`), to word them (`wording`), and to know
//! which help.
//!
//! It is called a change and not an edit, since an edit is what the plan document says to programs.
//! Moves are cheapest, then lines of the file, then room of others, then hardware.

use std::collections::BTreeSet;

use crate::place::ix::{NodeIx, ServiceIx};
use devnet_schema::instance::Protocol;

/// One change to the problem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// An instance with data goes elsewhere after all.
    LetMove {
        service: ServiceIx,
        index: u32,
    },
    DropPin,
    Spread,
    MaxPerNode,
    ApartFrom,
    /// The line of another service that keeps it away.
    ApartFromOf {
        service: ServiceIx,
    },
    Near,
    /// Another port of the node than this one.
    OtherPort {
        port: (Protocol, u16),
    },
    Uncordon {
        node: NodeIx,
    },
    DropRequire {
        line: usize,
    },
    DropForbid {
        line: usize,
    },
    /// What runs there gives up so much.
    Free {
        node: NodeIx,
        what: Resource,
        amount: u64,
    },
    /// The node gets so much more: even empty it has too little.
    Raise {
        node: NodeIx,
        what: Resource,
        amount: u64,
    },
    /// The node gets so many devices that the service accepts: it has none, or too few.
    Equip {
        node: NodeIx,
        count: u32,
    },
    /// Equal nodes join, each made for so many instances, and for those `with` them, a service for
    /// each instance of it; each in the zone of a node that is there, where that matters.
    AddNodes {
        each: u32,
        with: Vec<ServiceIx>,
        zones: Vec<Option<NodeIx>>,
    },
    /// A change for another service, which is placed with this one.
    Of {
        service: ServiceIx,
        change: Box<Change>,
    },
}

/// Whether others are asked to give something up.
pub(crate) fn frees(change: &Change) -> bool {
    match change {
        Change::Free { .. } => true,
        Change::Of { change, .. } => frees(change),
        _ => false,
    }
}

/// What a node has too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Resource {
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
    pub(crate) const OF_NODE: [Self; 3] = [Self::Cpu, Self::Memory, Self::Disk];
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
    pub(crate) fn cost(&self) -> f64 {
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
    pub(crate) fn is_about_nodes(&self) -> bool {
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
pub(crate) fn cost(changes: &[Change]) -> f64 {
    changes.iter().map(Change::cost).sum()
}

/// What it is thought to cost that so many instances still wait: a node for each of them.
pub(crate) fn cost_of_waiting(instances: u32) -> f64 {
    NODE * f64::from(instances)
}

/// What moves of such a price cost beside changes: always less than a line of the file.
pub(crate) fn cost_of_moves(price: u64) -> f64 {
    let price = price as f64;
    1.0 + 8.0 * price / (price + DEAR as f64)
}

/// Whether one instance more is all that the changes can be believed for: the room on a device
/// that was freed for it is no room for two.
pub(crate) fn is_for_one(changes: &[Change]) -> bool {
    let one = |change: &Change| match change {
        Change::Of { change, .. } => is_for_one(std::slice::from_ref(change)),
        Change::Free { what, .. } => matches!(what, Resource::Slice | Resource::Share),
        _ => false,
    };
    changes.iter().any(one)
}

/// Whom a new node is made for, and how many of each.
pub(crate) fn crew(service: ServiceIx, each: u32, with: &[ServiceIx]) -> Vec<(ServiceIx, u32)> {
    let mut crew: Vec<(ServiceIx, u32)> =
        with.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u32)).collect();
    crew.push((service, each));
    crew
}

/// The services that the changes are about beside the one in question: they are placed with it.
pub(crate) fn company(changes: &[Change]) -> BTreeSet<ServiceIx> {
    let of = |change: &Change| match change {
        Change::Of { service, .. } => vec![*service],
        Change::AddNodes { with, .. } => with.clone(),
        _ => Vec::new(),
    };
    changes.iter().flat_map(of).collect()
}
