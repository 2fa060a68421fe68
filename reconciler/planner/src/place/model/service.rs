//! One service by position, and the nodes where it may be.
//!
//! Knows what one instance needs, its candidates, its neighbours, and where it runs now. Refuses to
//! know what else is placed.
//!
//! Searches read all of this in their inner loops, so a candidate holds what was worked out once:
//! how many fit on the empty node, and what a missed `prefer` costs. A service that may be on two
//! of three nodes has two candidates.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::quantity::GpuRequest;

use super::{gpu_claim::PreviousDevices, node::Amounts};
use crate::place::{
    ix::{NodeIx, PerNode, ServiceIx},
    problem::ServiceInput,
};

/// A service by number.
pub(crate) struct Service<'a> {
    pub input: &'a ServiceInput,
    /// Position in [`super::index::IndexedProblem::levels`].
    pub level: usize,
    pub need: Amounts,
    /// Host ports, by number.
    pub ports: Vec<usize>,
    /// Services never on the same node, both ways.
    pub apart: Vec<ServiceIx>,
    /// Services that must be on the same node.
    pub near: Vec<ServiceIx>,
    /// Services that must be where this one is.
    pub supports: Vec<ServiceIx>,
    /// What is kept as it is of the same service, and that service: together with them it has no
    /// more instances than that one wants.
    pub counterparts: Vec<ServiceIx>,
    /// By node, how many of it run there now.
    pub ran: BTreeMap<NodeIx, u32>,
    /// By node, how many of these are known to run: of the others only the data is there.
    pub known: BTreeMap<NodeIx, u32>,
    /// By node, how many must stay there: as they are declared, or kept as they are where that is
    /// open to them ([`Service::counterparts`]).
    pub locked: BTreeMap<NodeIx, u32>,
    /// Where some run though a line or the node's state is against it.
    pub(super) refused: BTreeSet<NodeIx>,
    /// Where it may be, by node.
    pub candidates: Vec<Candidate>,
    /// Position in `candidates` of every node.
    pub(super) candidate_of: PerNode<u32>,
    /// By node, where an instance that could stay has devices.
    pub homes: BTreeMap<NodeIx, PreviousDevices>,
    pub spread: Vec<Spread>,
    /// Instances whose node is not in the fleet any more.
    pub gone: u32,
    /// The price of a move; at least 1.
    pub migration_cost: u64,
}

/// A node where a service may be.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub node: NodeIx,
    /// Instances that fit when nothing else is there; at least 1.
    pub most: u32,
    /// Instances there now that could stay.
    pub current: u32,
    /// Score of one instance here for wishes not met, in millionths.
    pub soft_cost: u64,
    /// Devices it may use.
    pub allowed: u128,
    /// Whether a line or the node's state is against it: only what is held there is there.
    pub against: bool,
}

/// One `spread` line.
pub(crate) struct Spread {
    pub skew: u32,
    /// The domain of every node.
    pub domain: PerNode<usize>,
    /// Domains where the service may run at all: the emptiest of these counts.
    pub open: BTreeSet<usize>,
}

pub(crate) const NOWHERE: u32 = u32::MAX;

impl Service<'_> {
    /// The candidate of a node, where the service may be there.
    pub(crate) fn candidate(&self, node: NodeIx) -> Option<&Candidate> {
        match self.candidate_of[node] {
            NOWHERE => None,
            at => self.candidates.get(at as usize),
        }
    }

    /// Instances that run now and are still wanted.
    pub(crate) fn running(&self) -> u32 {
        self.input.existing().count() as u32
    }

    /// Lets every instance go where it likes, those with data too.
    pub(crate) fn unlock(&mut self) {
        self.locked.clear();
    }

    /// How many must stay on a node.
    pub(crate) fn locked_at(&self, node: NodeIx) -> u32 {
        self.locked.get(&node).copied().unwrap_or(0)
    }

    /// How many run on a node.
    pub(crate) fn ran_at(&self, node: NodeIx) -> u32 {
        self.ran.get(&node).copied().unwrap_or(0)
    }

    /// How many are known to run on a node.
    pub(crate) fn known_at(&self, node: NodeIx) -> u32 {
        self.known.get(&node).copied().unwrap_or(0)
    }

    /// Nodes where some run and no line speaks against it, and how many.
    pub(crate) fn at_home(&self) -> impl Iterator<Item = (NodeIx, u32)> + '_ {
        let ran = self.ran.iter().map(|(&node, &ran)| (node, ran));
        ran.filter(|(node, _)| !self.refused.contains(node))
    }

    /// Data that runs where no line speaks against it, and is not held there.
    pub(crate) fn loose(&self) -> bool {
        !self.input.movable && self.at_home().any(|(node, ran)| self.locked_at(node) < ran)
    }

    /// Holds one more with data to a node where it runs and could be kept as it is: however few of
    /// them have room there as they are declared.
    pub(super) fn hold_one_more(&mut self, node: NodeIx) {
        if !self.input.movable && !self.refused.contains(&node) {
            let most = self.ran_at(node);
            let locked = self.locked.entry(node).or_insert(0);
            *locked = most.min(*locked + 1);
        }
    }

    /// Whether it is one running instance that is kept as it is
    /// ([`crate::place::search::retention`]).
    pub(crate) fn is_retained(&self) -> bool {
        self.input.name.is_retained()
    }

    pub(crate) fn wants_gpu(&self) -> bool {
        !matches!(self.input.gpu, GpuRequest::None | GpuRequest::Whole(0))
    }
}

/// `max-per-node`, or 1 for a service that is apart from itself.
pub(crate) fn per_node(input: &ServiceInput) -> Option<u32> {
    if input.is_apart_from_itself() { Some(1) } else { input.max_per_node }
}
