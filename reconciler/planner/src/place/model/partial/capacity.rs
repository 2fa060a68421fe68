//! How much of a node is in use, and how much too little it has.
//!
//! Knows cpu, memory and disk. Refuses to know devices.
//!
//! Explanations and remedies ask for the shortage in numbers where a search only asks whether it
//! fits. What is retained may hold more than is counted of it, and that is too much in use, not
//! free.

use super::PartialPlacement;
use crate::place::{ix::NodeIx, model::node::Amounts};

impl<'f> PartialPlacement<'f> {
    /// What is used of a node, and all that those have who are kept as they are, counted or not
    /// ([`crate::place::model::overcommit`]).
    pub(crate) fn held(&self, node: NodeIx) -> Amounts {
        let mut held = self.used[node];
        for it in self.on_node[node].keys().map(|&service| &self.indexed.services[service]) {
            let has = it.input.amounts();
            if it.is_retained() {
                held = [0, 1, 2].map(|resource| {
                    held[resource] + has[resource].saturating_sub(it.need[resource])
                });
            }
        }
        held
    }

    /// What a node has for services; of one that does not answer, all that runs there.
    pub(crate) fn room(&self, node: NodeIx) -> Amounts {
        let node = &self.indexed.nodes[node];
        if node.unreachable { node.capacity } else { node.input.amounts() }
    }

    /// How much of a resource a node has too little of for so much more.
    pub(crate) fn short(&self, node: NodeIx, resource: usize, more: u64) -> u64 {
        match more
            <= self.indexed.nodes[node].capacity[resource].saturating_sub(self.used[node][resource])
        {
            true => 0,
            false => self.held(node)[resource]
                .saturating_add(more)
                .saturating_sub(self.room(node)[resource]),
        }
    }
}
