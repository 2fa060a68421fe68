//! The first thing that keeps a service off a node that could run it.
//!
//! Knows kinds only. Refuses words and numbers.
//!
//! Reasons compare many nodes, so this is quick where `violation` is complete.

use crate::place::{
    ix::ServiceIx,
    model::{
        partial::PartialPlacement,
        service::{Candidate, per_node},
    },
};

/// What keeps a service off a node that could run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Obstacle {
    Room,
    Port,
    Apart,
    Most,
    Near,
    Spread,
    Devices,
}

pub(crate) fn obstacle(
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
    candidate: &Candidate,
) -> Option<Obstacle> {
    let (service, node) = (&partial.indexed.services[service_ix], candidate.node);
    let most = per_node(service.input).unwrap_or(u32::MAX);
    let capacity = partial.indexed.nodes[node].capacity;
    let full = |resource: usize| {
        partial.used[node][resource].saturating_add(service.need[resource]) > capacity[resource]
    };
    if partial.count(service_ix, node) >= most {
        Some(Obstacle::Most)
    } else if (0..3).any(full) || (service.wants_gpu() && !partial.devices_fit(service_ix, node)) {
        Some(Obstacle::Room)
    } else if service.apart.iter().any(|&other| partial.count(other, node) > 0) {
        Some(Obstacle::Apart)
    } else if !partial.fits_alone(service_ix, node) {
        // Of all that is asked there only ports are left; those admit one instance a node.
        Some(if service.ports.is_empty() { Obstacle::Room } else { Obstacle::Port })
    } else if !partial.has_company(service_ix, node) {
        Some(Obstacle::Near)
    } else {
        let lines = &service.spread;
        let uneven = lines.iter().any(|line| partial.skew_with(service_ix, line, Some(node)) > 0);
        let disturbs = || partial.disturbs(service_ix, node).then_some(Obstacle::Devices);
        if uneven { Some(Obstacle::Spread) } else { disturbs() }
    }
}
