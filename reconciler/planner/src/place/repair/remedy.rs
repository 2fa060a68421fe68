//! Changes that could help, and where: a candidate for a remedy.
//!
//! Knows its size, to sort by. Refuses to know whether it works.
//!
//! Of candidates alike in kind the smaller amount is tried first. Amounts are compared in
//! millionths of the largest node.

use std::collections::BTreeSet;

use super::change::{Change, Resource};
use crate::place::{
    ix::{NodeIx, Position},
    model::partial::{PartialPlacement, rank::FULL},
};

/// Changes that could help, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CandidateRemedy {
    pub changes: Vec<Change>,
    /// The nodes that it is about; none for nodes that are not there yet.
    pub nodes: Vec<NodeIx>,
    /// The node that others must make room on; without one, there is room.
    pub crowded: Option<NodeIx>,
    /// Waiting instances that it is meant for, at least 1.
    pub aim: u32,
}

/// How much the changes free or add, in millionths of the largest node.
pub(crate) fn amount(partial: &PartialPlacement<'_>, changes: &[Change]) -> u64 {
    let of = |change: &Change| match *change {
        Change::Free { node, what, amount } | Change::Raise { node, what, amount } => {
            part(partial, node, what, amount)
        }
        Change::Equip { node, count } => part(partial, node, Resource::Devices, count.into()),
        Change::Of { ref change, .. } => amount(partial, std::slice::from_ref(change)),
        _ => 0,
    };
    changes.iter().map(of).fold(0, u64::saturating_add)
}

pub(crate) fn part(
    partial: &PartialPlacement<'_>,
    node: NodeIx,
    what: Resource,
    amount: u64,
) -> u64 {
    let nodes = &partial.indexed.nodes;
    let largest =
        |resource: usize| nodes.iter().map(|node| node.capacity[resource]).max().unwrap_or(0);
    let node = &nodes[node];
    let whole = match what {
        Resource::Cpu => largest(0),
        Resource::Memory => largest(1),
        Resource::Disk => largest(2),
        Resource::Devices => node.memories.len() as u64,
        Resource::Slice => node.memories.iter().sum(),
        Resource::Share => node.memories.len() as u64 * 1000,
    };
    let part = u128::from(amount) * u128::from(FULL) / u128::from(whole.max(1));
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// The kinds of the changes, whatever the node and the amount.
pub(crate) fn kinds(changes: &[Change]) -> BTreeSet<Change> {
    let kind = |change: &Change| match change.clone() {
        Change::Uncordon { .. } => Change::Uncordon { node: NodeIx::at(0) },
        Change::Free { what, .. } => Change::Free { node: NodeIx::at(0), what, amount: 0 },
        Change::Raise { what, .. } => Change::Raise { node: NodeIx::at(0), what, amount: 0 },
        Change::Equip { .. } => Change::Equip { node: NodeIx::at(0), count: 0 },
        Change::Of { service, change } => {
            let kind = kinds(std::slice::from_ref(&change)).into_iter().next();
            kind.map_or(Change::Of { service, change }, |kind| Change::Of {
                service,
                change: Box::new(kind),
            })
        }
        other => other,
    };
    changes.iter().map(kind).collect()
}
