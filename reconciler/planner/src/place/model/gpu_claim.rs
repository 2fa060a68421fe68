//! What a service claims of the devices of a node, and which its instances had before.
//!
//! Knows sets of devices as bits. Refuses to know an arrangement.
//!
//! An instance that gets the devices it had does not restart, so they are remembered by service and
//! node. Two instances of `llm` on `GPU-0` and `GPU-1` are the sets `01` and `10`.

use std::collections::BTreeMap;

use super::gpu_request::{Group, Item};
use crate::place::ix::ServiceIx;

/// Who of a service has which devices of a node now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PreviousDevices {
    /// The devices of each instance that could stay on them, as bits; not empty.
    pub devices: Vec<u128>,
    /// Instances that could stay on the node.
    pub current: u32,
    /// Of all that are there, those without such devices: any are as good for them.
    pub strangers: u32,
}

impl PreviousDevices {
    /// The devices where somebody is at home, and how many are.
    pub(crate) fn per_set(&self) -> BTreeMap<u128, u32> {
        let mut many = BTreeMap::new();
        for &home in &self.devices {
            *many.entry(home).or_insert(0) += 1;
        }
        many
    }

    /// Of so many, those that restart unless they are at home.
    pub(super) fn stay(&self, count: u32) -> u32 {
        self.current.min(count).saturating_sub(self.strangers)
    }
}

/// What a service asks of a node's devices, and what its instances have of them now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GpuClaim<'t> {
    /// What each instance asks.
    pub item: Item,
    /// Nothing where nobody has devices that are worth keeping.
    pub homes: Option<&'t PreviousDevices>,
}

impl GpuClaim<'_> {
    /// So many of them together.
    pub(super) fn group(&self, count: u32) -> Group {
        let homes = self.homes.map_or(Vec::new(), |homes| homes.devices.clone());
        let stay = self.homes.map_or(0, |homes| homes.stay(count));
        Group { item: self.item, count, homes, stay }
    }

    pub(super) fn devices(&self) -> &[u128] {
        self.homes.map_or(&[], |homes| &homes.devices)
    }
}

/// What each service asks, by its number.
pub(crate) type GpuClaims<'t> = dyn Fn(ServiceIx) -> GpuClaim<'t> + 't;
