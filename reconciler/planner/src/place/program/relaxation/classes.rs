//! Nodes that are alike for every service, and parts of a fleet.
//!
//! Knows what a node looks like to its services. Refuses to know rows.
//!
//! Two nodes are one class where capacity, devices and every candidate agree. A part is the nodes
//! where a short level could be, with the services that can be nowhere else: its bound is quick.

use std::collections::BTreeMap;

use crate::place::{
    ix::{NodeIx, PerNode, PerService, ServiceIx},
    model::{index::IndexedProblem, node::Amounts, partial::PartialPlacement, service::Candidate},
};

/// Nodes that are alike for every service.
pub(crate) struct Class {
    pub nodes: Vec<NodeIx>,
    pub(super) capacity: Amounts,
    pub(super) devices: usize,
    /// Memory of the largest device.
    pub(super) memory: u64,
}

/// Some nodes, and the services that can be nowhere else.
pub(crate) struct Part {
    pub(super) nodes: PerNode<bool>,
    pub(super) services: PerService<bool>,
}

impl Part {
    pub(super) fn all(indexed: &IndexedProblem<'_>) -> Self {
        Self {
            nodes: PerNode::filled(true, indexed.nodes.len()),
            services: PerService::filled(true, indexed.services.len()),
        }
    }

    /// The nodes where what a level misses may be.
    pub(super) fn short_of(partial: &PartialPlacement<'_>, level: usize) -> Self {
        let indexed = partial.indexed;
        let mut nodes = PerNode::filled(false, indexed.nodes.len());
        for (service_ix, service) in indexed.services.enumerate() {
            if service.level == level && partial.missing(service_ix) > 0 {
                service.candidates.iter().for_each(|candidate| nodes[candidate.node] = true);
            }
        }
        let inside =
            |candidates: &[Candidate]| candidates.iter().all(|candidate| nodes[candidate.node]);
        let services = indexed.services.iter().map(|service| inside(&service.candidates)).collect();
        Self { nodes, services }
    }

    pub(super) fn is_small(&self) -> bool {
        let few = |(part, all): (usize, usize)| part * 2 < all;
        let nodes = self.nodes.iter().filter(|it| **it).count();
        let services = self.services.iter().filter(|it| **it).count();
        few((nodes, self.nodes.len())) && few((services, self.services.len()))
    }
}

/// A node as its services see it.
type Look = (Amounts, Vec<u64>, Vec<(ServiceIx, u32, u128, u64)>);

/// The classes of all nodes.
pub(crate) fn alike(indexed: &IndexedProblem<'_>) -> Vec<Class> {
    classes(indexed, &Part::all(indexed))
}

pub(crate) fn classes(indexed: &IndexedProblem<'_>, part: &Part) -> Vec<Class> {
    let mut looks: PerNode<Look> = indexed
        .nodes
        .iter()
        .map(|node| {
            // In the order of devices, which `allowed` below speaks of.
            (node.capacity, node.memories.clone(), Vec::new())
        })
        .collect();
    for (service_ix, service) in
        indexed.services.enumerate().filter(|(service_ix, _)| part.services[*service_ix])
    {
        for candidate in &service.candidates {
            looks[candidate.node].2.push((
                service_ix,
                candidate.most,
                candidate.allowed,
                candidate.soft_cost,
            ));
        }
    }
    let mut classes: BTreeMap<Look, Class> = BTreeMap::new();
    for (node, look) in looks.into_enumerate().filter(|(node, _)| part.nodes[*node]) {
        let class = Class {
            nodes: Vec::new(),
            capacity: look.0,
            devices: look.1.len(),
            memory: look.1.iter().copied().max().unwrap_or(0),
        };
        classes.entry(look).or_insert(class).nodes.push(node);
    }
    classes.into_values().collect()
}
