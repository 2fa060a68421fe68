//! What services of one Compose file share: networks and volumes.
//!
//! Knows which services that keeps together. Refuses to know how they are read. Time and memory
//! grow with what is shared, not with its square: a file may have thousands of services.

use std::collections::{BTreeMap, BTreeSet};

use super::super::graph::groups;
use crate::{
    compose::{self, Ask, Network},
    desired::{Form, Service},
    diagnostic::Located,
    file::written::ServiceSection,
    name::ServiceName,
};

/// The networks of a project that a service joins. Were every service to keep all of them, memory
/// would grow with the square of the file.
pub(super) fn joined(
    project: &compose::Project,
    service: &compose::Service,
) -> BTreeMap<String, Network> {
    let names = service.networks.iter().map(|one| &one.value.network);
    let known = names.filter_map(|name| project.networks.get_key_value(name));
    known.map(|(name, network)| (name.clone(), network.clone())).collect()
}

/// Keeps services on one node that share a network or a volume: each near one of its group, the one
/// with the fewest instances.
pub(super) fn together(services: &mut [Service], section: &ServiceSection) {
    let shares = services.iter().map(|service| match &service.form {
        Form::Compose { container, shares, .. } => {
            let others = shares.iter().map(|(_, other)| other).chain([&service.name]);
            let mut all = shared(container);
            all.extend(others.map(|name| format!("namespaces {name}")));
            all
        }
        _ => BTreeSet::new(),
    });
    let group_of = groups(&shares.collect::<Vec<_>>());
    // One on each node only goes with others of its kind, which is checked.
    let mut anchors: BTreeMap<usize, (bool, u32, ServiceName)> = BTreeMap::new();
    for (service, group) in
        services.iter().zip(&group_of).filter(|(one, _)| !one.replicas.is_none())
    {
        let each = service.replicas.is_per_node();
        let own = (each, service.replicas.count(), service.name.clone());
        let anchor = anchors.entry(*group).or_insert_with(|| own.clone());
        if own < *anchor {
            *anchor = own;
        }
    }
    for (service, group) in services.iter_mut().zip(&group_of) {
        let anchor = anchors.get(group).map(|(_, _, name)| name);
        if let Some(anchor) = anchor.filter(|name| **name != service.name) {
            let near = Located { value: anchor.clone(), at: section.at.clone() };
            service.place.near.push(near);
        }
    }
}

/// What a service shares with others of its file.
fn shared(service: &compose::Service) -> BTreeSet<String> {
    let networks = service.networks.iter().map(|one| format!("network {}", one.value.network));
    let volumes = service.volumes.iter().map(|one| format!("volume {}", one.value.name));
    let external = service.asks.iter().filter_map(|ask| match &ask.value {
        Ask::Network(network) => Some(format!("external {}", network.name)),
        _ => None,
    });
    networks.chain(volumes).chain(external).collect()
}
