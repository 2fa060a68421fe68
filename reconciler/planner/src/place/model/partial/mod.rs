//! A placement under construction: how many instances of each service each node has.
//!
//! Knows the counts, and all that follows from them, kept up to date. Refuses to know what would be
//! good.
//!
//! Every search changes it by `add` and `remove`, and every constraint is asked of it. Instances of
//! one service are never told apart here: `indices` names them at the end.

pub mod capacity;
pub mod devices;
pub mod fit;
pub mod rank;
pub mod sound;
pub mod spread;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    filter, gpu_allocation::GpuAllocation, gpu_claim::GpuClaim, gpu_request, index::IndexedProblem,
    node::Amounts,
};

/// Instances by service and node, and all that follows from them.
#[derive(Clone)]
pub struct PartialPlacement<'f> {
    pub indexed: &'f IndexedProblem<'f>,
    /// Per node: service → instances.
    pub on_node: Vec<BTreeMap<usize, u32>>,
    /// Per service: node → instances.
    pub of_service: Vec<BTreeMap<usize, u32>>,
    pub used: Vec<Amounts>,
    ports: Vec<BTreeSet<usize>>,
    /// The GPUs of each node.
    allocations: Vec<GpuAllocation>,
    /// Instances placed of each service.
    pub total: Vec<u32>,
}

impl<'f> PartialPlacement<'f> {
    pub fn empty(indexed: &'f IndexedProblem<'f>) -> Self {
        let (nodes, services) = (indexed.nodes.len(), indexed.services.len());
        Self {
            indexed,
            on_node: vec![BTreeMap::new(); nodes],
            of_service: vec![BTreeMap::new(); services],
            used: vec![[0; 3]; nodes],
            ports: vec![BTreeSet::new(); nodes],
            allocations: indexed
                .nodes
                .iter()
                .map(|node| GpuAllocation::empty(&node.memories))
                .collect(),
            total: vec![0; services],
        }
    }

    pub fn count(&self, service: usize, node: usize) -> u32 {
        self.on_node[node].get(&service).copied().unwrap_or(0)
    }

    /// Replicas of a service still without a node.
    pub fn missing(&self, service: usize) -> u32 {
        self.indexed.services[service].input.replicas.saturating_sub(self.total[service])
    }

    /// Whether everything has a node as it is declared.
    pub fn missing_none(&self) -> bool {
        let placed = |s: usize| self.missing(s) == 0 || self.indexed.services[s].is_retained();
        (0..self.total.len()).all(placed)
    }

    /// Puts one instance there, whether it fits or not.
    pub fn add(&mut self, service: usize, node: usize) {
        let it = &self.indexed.services[service];
        *self.on_node[node].entry(service).or_insert(0) += 1;
        *self.of_service[service].entry(node).or_insert(0) += 1;
        self.total[service] += 1;
        for (used, need) in self.used[node].iter_mut().zip(it.need) {
            *used += need;
        }
        self.ports[node].extend(it.ports.iter().copied());
        if self.indexed.takes_devices(service, node) {
            let claims = |s: usize| gpu_claim(self.indexed, s, node);
            self.allocations[node].add(&self.indexed.nodes[node].memories, service, &claims);
        }
    }

    /// Takes one instance away; there must be one.
    pub fn remove(&mut self, service: usize, node: usize) {
        let it = &self.indexed.services[service];
        take(&mut self.on_node[node], service);
        take(&mut self.of_service[service], node);
        self.total[service] -= 1;
        for (used, need) in self.used[node].iter_mut().zip(it.need) {
            *used -= need;
        }
        // A service with a port never has two instances on one node.
        for port in &it.ports {
            self.ports[node].remove(port);
        }
        if self.indexed.takes_devices(service, node) {
            let claims = |s: usize| gpu_claim(self.indexed, s, node);
            self.allocations[node].remove(&self.indexed.nodes[node].memories, service, &claims);
        }
    }

    /// How the devices of a node are given out, to be put back with
    /// [`PartialPlacement::set_devices`].
    pub fn devices(&self, node: usize) -> GpuAllocation {
        self.allocations[node].clone()
    }

    /// Gives the devices of a node out as they were when the same ran there.
    pub fn set_devices(&mut self, node: usize, devices: GpuAllocation) {
        self.allocations[node] = devices;
    }

    /// Takes everything off a node.
    pub fn clear(&mut self, node: usize) {
        let here: Vec<(usize, u32)> = self.on_node[node].iter().map(|(&s, &c)| (s, c)).collect();
        for (service, count) in here {
            for _ in 0..count {
                self.remove(service, node);
            }
        }
    }

    /// The service that is declared, and how many of it, and kept of it, are on a node.
    pub(super) fn with_counterparts(&self, service: usize, node: usize) -> (usize, u32, u32) {
        let services = &self.indexed.services;
        if services[service].counterparts.is_empty() {
            return (service, self.count(service, node), 0);
        }
        let all = || services[service].counterparts.iter().copied().chain([service]);
        let own = self.indexed.declared(service);
        let kept = all().filter(|&s| s != own).map(|s| self.count(s, node)).sum();
        (own, self.count(own, node), kept)
    }

    /// Instances of a service on a node, those among them that are kept as they are.
    pub fn present(&self, service: usize, node: usize) -> u32 {
        let (_, declared, kept) = self.with_counterparts(service, node);
        declared + kept
    }

    /// Instances of a service on a node that were there before.
    pub fn staying(&self, service: usize, node: usize) -> u32 {
        let current =
            self.indexed.services[service].candidate(node).map_or(0, |candidate| candidate.current);
        current.min(self.count(service, node))
    }
}

pub fn gpu_claim<'t>(indexed: &'t IndexedProblem<'_>, service: usize, node: usize) -> GpuClaim<'t> {
    let it = &indexed.services[service];
    let allowed = match it.candidate(node) {
        Some(candidate) => candidate.allowed,
        None => filter::allowed_devices(it.input, &indexed.nodes[node]),
    };
    GpuClaim { item: gpu_request::Item { need: it.input.gpu, allowed }, homes: it.homes.get(&node) }
}

fn take(map: &mut BTreeMap<usize, u32>, key: usize) {
    if let Some(count) = map.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            map.remove(&key);
        }
    }
}
