//! A placement under construction: how many instances of each service each node has.
//!
//! Knows the counts, and all that follows from them, kept up to date. Refuses to know what would be
//! good.
//!
//! Every search changes it by `add` and `remove`, and every constraint is asked of it. Instances of
//! one service are never told apart here: `indices` names them at the end.

use crate::place::ix::{NodeIx, PerNode, PerService, ServiceIx};

pub(crate) mod capacity;
pub(crate) mod devices;
pub(crate) mod fit;
pub(crate) mod rank;
pub(crate) mod sound;
pub(crate) mod spread;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    filter, gpu_allocation::GpuAllocation, gpu_claim::GpuClaim, gpu_request, index::IndexedProblem,
    node::Amounts,
};

/// Instances by service and node, and all that follows from them.
#[derive(Clone)]
pub(crate) struct PartialPlacement<'f> {
    pub indexed: &'f IndexedProblem<'f>,
    /// Per node: service → instances.
    pub on_node: PerNode<BTreeMap<ServiceIx, u32>>,
    /// Per service: node → instances.
    pub of_service: PerService<BTreeMap<NodeIx, u32>>,
    pub used: PerNode<Amounts>,
    ports: PerNode<BTreeSet<usize>>,
    /// The GPUs of each node.
    allocations: PerNode<GpuAllocation>,
    /// Instances placed of each service.
    pub total: PerService<u32>,
}

impl<'f> PartialPlacement<'f> {
    pub(crate) fn empty(indexed: &'f IndexedProblem<'f>) -> Self {
        let (nodes, services) = (indexed.nodes.len(), indexed.services.len());
        Self {
            indexed,
            on_node: PerNode::filled(BTreeMap::new(), nodes),
            of_service: PerService::filled(BTreeMap::new(), services),
            used: PerNode::filled([0; 3], nodes),
            ports: PerNode::filled(BTreeSet::new(), nodes),
            allocations: indexed
                .nodes
                .iter()
                .map(|node| GpuAllocation::empty(&node.memories))
                .collect(),
            total: PerService::filled(0, services),
        }
    }

    pub(crate) fn count(&self, service: ServiceIx, node: NodeIx) -> u32 {
        self.on_node[node].get(&service).copied().unwrap_or(0)
    }

    /// Replicas of a service still without a node.
    pub(crate) fn missing(&self, service: ServiceIx) -> u32 {
        self.indexed.services[service].input.replicas.saturating_sub(self.total[service])
    }

    /// Whether everything has a node as it is declared.
    pub(crate) fn missing_none(&self) -> bool {
        let placed = |service: ServiceIx| {
            self.missing(service) == 0 || self.indexed.services[service].is_retained()
        };
        self.total.positions().all(placed)
    }

    /// Puts one instance there, whether it fits or not.
    pub(crate) fn add(&mut self, service: ServiceIx, node: NodeIx) {
        let it = &self.indexed.services[service];
        *self.on_node[node].entry(service).or_insert(0) += 1;
        *self.of_service[service].entry(node).or_insert(0) += 1;
        self.total[service] += 1;
        for (used, need) in self.used[node].iter_mut().zip(it.need) {
            *used += need;
        }
        self.ports[node].extend(it.ports.iter().copied());
        if self.indexed.takes_devices(service, node) {
            let claims = |service_ix: ServiceIx| gpu_claim(self.indexed, service_ix, node);
            self.allocations[node].add(&self.indexed.nodes[node].memories, service, &claims);
        }
    }

    /// Takes one instance away; there must be one.
    pub(crate) fn remove(&mut self, service: ServiceIx, node: NodeIx) {
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
            let claims = |service_ix: ServiceIx| gpu_claim(self.indexed, service_ix, node);
            self.allocations[node].remove(&self.indexed.nodes[node].memories, service, &claims);
        }
    }

    /// How the devices of a node are given out, to be put back with
    /// [`PartialPlacement::set_devices`].
    pub(crate) fn devices(&self, node: NodeIx) -> GpuAllocation {
        self.allocations[node].clone()
    }

    /// Gives the devices of a node out as they were when the same ran there.
    pub(crate) fn set_devices(&mut self, node: NodeIx, devices: GpuAllocation) {
        self.allocations[node] = devices;
    }

    /// Takes everything off a node.
    pub(crate) fn clear(&mut self, node: NodeIx) {
        let here: Vec<(ServiceIx, u32)> =
            self.on_node[node].iter().map(|(&service_ix, &c)| (service_ix, c)).collect();
        for (service, count) in here {
            for _ in 0..count {
                self.remove(service, node);
            }
        }
    }

    /// The service that is declared, and how many of it, and kept of it, are on a node.
    pub(super) fn with_counterparts(
        &self,
        service: ServiceIx,
        node: NodeIx,
    ) -> (ServiceIx, u32, u32) {
        let services = &self.indexed.services;
        if services[service].counterparts.is_empty() {
            return (service, self.count(service, node), 0);
        }
        let all = || services[service].counterparts.iter().copied().chain([service]);
        let own = self.indexed.declared(service);
        let kept = all()
            .filter(|&service_ix| service_ix != own)
            .map(|service_ix| self.count(service_ix, node))
            .sum();
        (own, self.count(own, node), kept)
    }

    /// Instances of a service on a node, those among them that are kept as they are.
    pub(crate) fn present(&self, service: ServiceIx, node: NodeIx) -> u32 {
        let (_, declared, kept) = self.with_counterparts(service, node);
        declared + kept
    }

    /// Instances of a service on a node that were there before.
    pub(crate) fn staying(&self, service: ServiceIx, node: NodeIx) -> u32 {
        let current =
            self.indexed.services[service].candidate(node).map_or(0, |candidate| candidate.current);
        current.min(self.count(service, node))
    }
}

pub(crate) fn gpu_claim<'t>(
    indexed: &'t IndexedProblem<'_>,
    service: ServiceIx,
    node: NodeIx,
) -> GpuClaim<'t> {
    let it = &indexed.services[service];
    let allowed = match it.candidate(node) {
        Some(candidate) => candidate.allowed,
        None => filter::allowed_devices(it.input, &indexed.nodes[node]),
    };
    GpuClaim { item: gpu_request::Item { need: it.input.gpu, allowed }, homes: it.homes.get(&node) }
}

fn take<K: Ord>(map: &mut BTreeMap<K, u32>, key: K) {
    if let Some(count) = map.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            map.remove(&key);
        }
    }
}
