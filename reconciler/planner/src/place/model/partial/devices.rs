//! The devices of nodes, as the instances that are there have them.
//!
//! Knows which node to ask. Refuses to pack devices itself: each node has its allocation.
//!
//! An instance that stays on its node and gets other devices restarts, and that has a migration
//! cost. `keep_devices` looks once more for an arrangement with fewer restarts.

use super::{PartialPlacement, gpu_claim};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{gpu_allocation::GpuAllocation, gpu_packing},
};

impl<'f> PartialPlacement<'f> {
    /// Whether the GPUs of a node would do for one more.
    pub(crate) fn devices_fit(&self, extra: ServiceIx, node: NodeIx) -> bool {
        let claims = |service: ServiceIx| gpu_claim(self.indexed, service, node);
        self.allocations[node].admits(&self.indexed.nodes[node].memories, extra, &claims)
    }

    /// What one more GPU instance would leave unused beside itself, in thousandths of a device: the
    /// rest of the device that it shares, or the devices left untouched beside whole ones.
    pub(crate) fn waste(&self, service: ServiceIx, node: NodeIx) -> u64 {
        let claim = gpu_claim(self.indexed, service, node);
        self.allocations[node].waste(&self.indexed.nodes[node].memories, service, &claim)
    }

    /// Whether the GPU instances of a node can all have their devices.
    pub(crate) fn devices_packed(&self, node: NodeIx) -> bool {
        self.allocations[node].arranged()
    }

    /// The devices of every instance of a service on a node, as bits, in one arrangement of all
    /// that are there.
    pub(crate) fn devices_of(&self, service: ServiceIx, node: NodeIx) -> Vec<u128> {
        self.allocations[node].of(service).collect()
    }

    /// What is left of each device of a node, in the units of
    /// [`size`](crate::place::model::gpu_request::size).
    pub(crate) fn device_room(&self, node: NodeIx) -> &[u64] {
        self.allocations[node].left()
    }

    /// Instances that stay on a node and restart, on other devices.
    pub(crate) fn restarts_on(&self, node: NodeIx) -> u32 {
        self.allocations[node].restarts()
    }

    /// The same on all nodes.
    pub(crate) fn restarts(&self) -> u32 {
        self.allocations.iter().map(GpuAllocation::restarts).sum()
    }

    /// Whether one more there makes others restart, on other devices.
    pub(crate) fn disturbs(&self, service: ServiceIx, node: NodeIx) -> bool {
        self.indexed.nodes[node].has_previous_devices
            && self.indexed.services[service].wants_gpu()
            && {
                let mut allocation = self.allocations[node].clone();
                let claims = |service_ix: ServiceIx| gpu_claim(self.indexed, service_ix, node);
                allocation.add(&self.indexed.nodes[node].memories, service, &claims);
                allocation.restarts() > self.allocations[node].restarts()
            }
    }

    /// Looks once more, and thoroughly, for devices with which fewer restart.
    pub(crate) fn keep_devices(&mut self) {
        for (node, allocation) in
            self.allocations.enumerate_mut().filter(|(_, allocation)| allocation.restarts() > 0)
        {
            let claims = |service: ServiceIx| gpu_claim(self.indexed, service, node);
            allocation.keep_devices(
                &self.indexed.nodes[node].memories,
                &claims,
                gpu_packing::THOROUGH,
            );
        }
    }
}
