//! What services of one Compose file share: networks and volumes.
//!
//! Knows which services that keeps together. Refuses to know how they are read. Time and memory
//! grow with what is shared, not with its square: a file may have thousands of services.

use std::collections::{BTreeMap, BTreeSet};

use super::super::graph::groups;
use crate::{
    compose::{self, Network},
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
        Form::Compose { container, .. } => shared(container),
        _ => BTreeSet::new(),
    });
    let group_of = groups(&shares.collect::<Vec<_>>());
    let mut anchors: BTreeMap<usize, (u32, ServiceName)> = BTreeMap::new();
    for (service, group) in services.iter().zip(&group_of).filter(|(one, _)| one.replicas > 0) {
        let own = (service.replicas, service.name.clone());
        let anchor = anchors.entry(*group).or_insert_with(|| own.clone());
        if own < *anchor {
            *anchor = own;
        }
    }
    for (service, group) in services.iter_mut().zip(&group_of) {
        if let Some((_, anchor)) = anchors.get(group).filter(|(_, name)| *name != service.name) {
            let near = Located { value: anchor.clone(), at: section.at.clone() };
            service.place.near.push(near);
        }
    }
}

/// What a service shares with others of its file.
fn shared(service: &compose::Service) -> BTreeSet<String> {
    let networks = service.networks.iter().map(|one| format!("network {}", one.value.network));
    let volumes = service.volumes.iter().map(|one| format!("volume {}", one.value.name));
    networks.chain(volumes).collect()
}
