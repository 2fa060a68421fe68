//! One instance on its node, before it has its words.
//!
//! Knows positions and devices as bits. Refuses to know names.
//!
//! Naming instances fills these from the counts, service by service. `web[1]` on the second node,
//! with no devices, where it ran before.

use crate::place::ix::{NodeIx, ServiceIx};

/// An instance on its node.
pub(crate) struct PlacedInstance {
    pub(super) service: ServiceIx,
    pub(super) index: u32,
    pub(super) node: NodeIx,
    /// Its devices, as bits.
    pub(super) devices: u128,
    pub(super) stays: bool,
}
