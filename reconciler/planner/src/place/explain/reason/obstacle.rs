//! The first thing that keeps a service off a node that could run it.
//!
//! Knows kinds only. Refuses words and numbers.
//!
//! Reasons compare many nodes, so this is quick where `violation` is complete.

use crate::place::model::{
    partial::PartialPlacement,
    service::{Candidate, per_node},
};

/// What keeps a service off a node that could run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    Room,
    Port,
    Apart,
    Most,
    Near,
    Spread,
    Devices,
}

pub fn obstacle(
    partial: &PartialPlacement<'_>,
    s: usize,
    candidate: &Candidate,
) -> Option<Obstacle> {
    let (service, n) = (&partial.indexed.services[s], candidate.node);
    let most = per_node(service.input).unwrap_or(u32::MAX);
    let capacity = partial.indexed.nodes[n].capacity;
    let full = |r: usize| partial.used[n][r].saturating_add(service.need[r]) > capacity[r];
    if partial.count(s, n) >= most {
        Some(Obstacle::Most)
    } else if (0..3).any(full) || (service.wants_gpu() && !partial.devices_fit(s, n)) {
        Some(Obstacle::Room)
    } else if service.apart.iter().any(|&other| partial.count(other, n) > 0) {
        Some(Obstacle::Apart)
    } else if !partial.fits_alone(s, n) {
        // Of all that is asked there only ports are left; those admit one instance a node.
        Some(if service.ports.is_empty() { Obstacle::Room } else { Obstacle::Port })
    } else if !partial.has_company(s, n) {
        Some(Obstacle::Near)
    } else {
        let lines = &service.spread;
        let uneven = lines.iter().any(|line| partial.skew_with(s, line, Some(n)) > 0);
        let disturbs = || partial.disturbs(s, n).then_some(Obstacle::Devices);
        if uneven { Some(Obstacle::Spread) } else { disturbs() }
    }
}
