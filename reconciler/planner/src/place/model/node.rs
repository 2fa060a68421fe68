//! One node by position: what can be counted of it, its devices, its zone.
//!
//! Knows sizes and the order of devices. Refuses to know services.
//!
//! The index is built from these first; `overcommit` then widens those on which more runs than they
//! have. Bit 0 of a set of devices is the device whose id sorts first.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::placement::GpuUse;

use super::gpu_request;
use crate::place::{
    ix::PerNode,
    problem::{Current, NodeInput, NodeState, PlacementProblem},
};

/// cpu in thousandths of a core, memory and disk in bytes.
pub(crate) type Amounts = [u64; 3];

/// A node by number.
pub(crate) struct Node<'a> {
    pub input: &'a NodeInput,
    /// What can be counted as used of it; more than it has where what runs there must stay.
    pub capacity: Amounts,
    /// Whether it has less for services than what is known to run there has.
    pub overfull: bool,
    /// Memory of each device, in the order of device ids.
    pub memories: Vec<u64>,
    /// Positions in `input.gpus`, by device id.
    pub devices: Vec<usize>,
    /// Whether an instance that could stay has some of its devices now.
    pub has_previous_devices: bool,
    /// Whether it does not answer: what ran there may run on or wait for it, as it was, so nothing
    /// of it is in anything's way there.
    pub unreachable: bool,
    pub zone: usize,
}

impl Node<'_> {
    /// The devices that an instance has here, as bits, where all of them are still there.
    pub(crate) fn positions(&self, current: &Current) -> Option<u128> {
        let position =
            |gpu: &GpuUse| self.devices.iter().position(|&d| self.input.gpus[d].id == gpu.id);
        current.gpus.iter().try_fold(0, |set, gpu| Some(set | 1 << position(gpu)?))
    }
}

pub(crate) fn number_nodes(problem: &PlacementProblem) -> PerNode<Node<'_>> {
    let mut inputs: Vec<&NodeInput> = problem.nodes.iter().collect();
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    let zones: BTreeSet<&Option<String>> = inputs.iter().map(|node| &node.zone).collect();
    let zones: BTreeMap<_, _> = zones.into_iter().enumerate().map(|(i, z)| (z, i)).collect();
    inputs.into_iter().map(|input| number_node(input, zones[&input.zone])).collect()
}

fn number_node(input: &NodeInput, zone: usize) -> Node<'_> {
    let mut devices: Vec<usize> = (0..input.gpus.len()).collect();
    devices.sort_by(|&a, &b| input.gpus[a].id.cmp(&input.gpus[b].id));
    devices.truncate(gpu_request::DEVICES);
    Node {
        input,
        capacity: input.amounts(),
        overfull: false,
        memories: devices.iter().map(|&d| input.gpus[d].memory).collect(),
        devices,
        has_previous_devices: false,
        unreachable: matches!(input.state, NodeState::Offline | NodeState::Lost),
        zone,
    }
}
