//! Ports, max-per-node, apart-from and near on one node.
//!
//! Knows who is there. Refuses to know sizes.
//!
//! What runs as it is may be beside those that it ran beside.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::name::{NodeName, ServiceName};

use super::breach::{Breach, Placed, tell};
use crate::place::{
    outcome::{Assignment, Reason},
    problem::{Constraint, ServiceInput},
};

pub(super) fn check_neighbours(node: &NodeName, placed: &Placed<'_>, breaches: &mut Vec<Breach>) {
    // By the service that a file declares: placed as it is declared, and retained.
    let mut counts: BTreeMap<&ServiceName, u32> = BTreeMap::new();
    let mut kept: BTreeSet<&ServiceName> = BTreeSet::new();
    let mut ports = BTreeSet::new();
    let is_kept = |place: &Assignment, service: &ServiceInput| {
        place.reason == Reason::Retained || service.name.is_retained()
    };
    for (instance, place, service) in placed {
        match is_kept(place, service) {
            true => drop(kept.insert(service.name.declared())),
            false => *counts.entry(service.name.declared()).or_insert(0) += 1,
        }
        for port in &service.host_ports {
            if !ports.insert(port) {
                tell(breaches, Constraint::Port, format!("{instance}: port {} is taken", port.1));
            }
        }
    }
    let ran = |name: &ServiceName| {
        let mut own = placed.iter().filter(|(_, _, it)| it.name == *name);
        own.any(|(_, _, it)| it.existing().any(|(_, it)| it.node == *node))
    };
    for (_, place, service) in placed {
        let here = counts.get(service.name.declared()).copied().unwrap_or(0);
        if service.max_per_node.is_some_and(|most| here > most) {
            tell(breaches, Constraint::MaxPerNode, format!("{here} of {} on {node}", service.name));
        }
        for other in &service.apart_from {
            let own = other == service.name.declared();
            let count = counts.get(other).copied().unwrap_or(0);
            // What runs as it is may be beside those that run there, too.
            let (wrong, whose) = match is_kept(place, service) {
                true => (!own && count > 0, other),
                false => (!own && kept.contains(other), service.name.declared()),
            };
            let both = !is_kept(place, service) && count > u32::from(own);
            if both || wrong && !ran(whose) {
                tell(
                    breaches,
                    Constraint::ApartFrom,
                    format!("{} and {other} on {node}", service.name),
                );
            }
        }
        let there = |other: &&ServiceName| counts.contains_key(*other) || kept.contains(*other);
        for other in service.near.iter().filter(|other| !there(other)) {
            tell(breaches, Constraint::Near, format!("{} on {node} without {other}", service.name));
        }
    }
}
