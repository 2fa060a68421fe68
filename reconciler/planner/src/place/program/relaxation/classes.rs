//! Nodes that are alike for every service, and parts of a fleet.
//!
//! Knows what a node looks like to its services. Refuses to know rows.
//!
//! Two nodes are one class where capacity, devices and every candidate agree. A part is the nodes
//! where a short level could be, with the services that can be nowhere else: its bound is quick.

use std::collections::BTreeMap;

use crate::place::model::{
    index::IndexedProblem, node::Amounts, partial::PartialPlacement, service::Candidate,
};

/// Nodes that are alike for every service.
pub struct Class {
    pub nodes: Vec<usize>,
    pub(super) capacity: Amounts,
    pub(super) devices: usize,
    /// Memory of the largest device.
    pub(super) memory: u64,
}

/// Some nodes, and the services that can be nowhere else.
pub struct Part {
    pub(super) nodes: Vec<bool>,
    pub(super) services: Vec<bool>,
}

impl Part {
    pub(super) fn all(indexed: &IndexedProblem<'_>) -> Self {
        Self {
            nodes: vec![true; indexed.nodes.len()],
            services: vec![true; indexed.services.len()],
        }
    }

    /// The nodes where what a level misses may be.
    pub(super) fn short_of(partial: &PartialPlacement<'_>, level: usize) -> Self {
        let indexed = partial.indexed;
        let mut nodes = vec![false; indexed.nodes.len()];
        for (s, service) in indexed.services.iter().enumerate() {
            if service.level == level && partial.missing(s) > 0 {
                service.candidates.iter().for_each(|candidate| nodes[candidate.node] = true);
            }
        }
        let inside =
            |candidates: &[Candidate]| candidates.iter().all(|candidate| nodes[candidate.node]);
        let services = indexed.services.iter().map(|service| inside(&service.candidates)).collect();
        Self { nodes, services }
    }

    pub(super) fn is_small(&self) -> bool {
        let most = |list: &[bool]| list.iter().filter(|it| **it).count() * 2 < list.len();
        most(&self.nodes) && most(&self.services)
    }
}

/// A node as its services see it.
type Look = (Amounts, Vec<u64>, Vec<(usize, u32, u128, u64)>);

/// The classes of all nodes.
pub fn alike(indexed: &IndexedProblem<'_>) -> Vec<Class> {
    classes(indexed, &Part::all(indexed))
}

pub fn classes(indexed: &IndexedProblem<'_>, part: &Part) -> Vec<Class> {
    let mut looks: Vec<Look> = indexed
        .nodes
        .iter()
        .map(|node| {
            // In the order of devices, which `allowed` below speaks of.
            (node.capacity, node.memories.clone(), Vec::new())
        })
        .collect();
    for (s, service) in indexed.services.iter().enumerate().filter(|(s, _)| part.services[*s]) {
        for candidate in &service.candidates {
            looks[candidate.node].2.push((
                s,
                candidate.most,
                candidate.allowed,
                candidate.soft_cost,
            ));
        }
    }
    let mut classes: BTreeMap<Look, Class> = BTreeMap::new();
    for (node, look) in looks.into_iter().enumerate().filter(|(node, _)| part.nodes[*node]) {
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
