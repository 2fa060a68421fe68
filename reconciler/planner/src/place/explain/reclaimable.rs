//! What others on a node could give up.
//!
//! Knows who is in the way there. Refuses to choose among them.
//!
//! A shortage that others could fill is lifted by freeing, and any other only by hardware. A
//! service never asks one that it must be near.

use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{partial::PartialPlacement, service::Service},
};

/// Whether others on the node could give up so much of cpu, memory or disk.
pub(crate) fn could_be_freed(
    partial: &PartialPlacement<'_>,
    at: (ServiceIx, NodeIx),
    resource: usize,
    amount: u64,
) -> bool {
    let there =
        in_the_way(partial, at).map(|(other, count)| other.need[resource].saturating_mul(count));
    amount <= there.fold(0, u64::saturating_add)
}

/// Services whose instances on the node could make room by being smaller or elsewhere: neither the
/// service itself nor one that it must be near.
fn in_the_way<'f>(
    partial: &PartialPlacement<'f>,
    (service, node): (ServiceIx, NodeIx),
) -> impl Iterator<Item = (&'f Service<'f>, u64)> {
    let services = &partial.indexed.services;
    let others = partial.on_node[node].iter();
    let others = others
        .filter(move |(other, _)| **other != service && !services[service].near.contains(other));
    others.map(|(&other, &count)| (&services[other], u64::from(count)))
}

/// Whether a device of the node could be had by asking others to make room.
pub(crate) fn has_devices_in_the_way(
    partial: &PartialPlacement<'_>,
    at: (ServiceIx, NodeIx),
) -> bool {
    in_the_way(partial, at).any(|(other, _)| other.wants_gpu())
}
