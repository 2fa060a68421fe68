//! What services ask of one another as a whole: no circles among dependencies, no two services
//! that need the same port of the same node.
//!
//! Knows relations between services. Refuses to know what one service is.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::{
    component::PortDeclaration,
    desired::{SelectorKey, Service},
    diagnostic::{Diagnostic, Located},
    instance::Protocol,
    name::ServiceName,
    replicas::Replicas,
};

type Services = BTreeMap<ServiceName, Service>;

impl Check<'_> {
    /// Reports every dependency that closes a circle, with the whole circle. The path is a list
    /// and not the call stack, so that a chain of any length is fine.
    pub(super) fn cycles(&mut self, services: &Services) {
        let mut done: BTreeMap<&ServiceName, bool> = BTreeMap::new();
        for start in services.keys() {
            if done.contains_key(start) {
                continue;
            }
            done.insert(start, false);
            let mut path: Vec<(&ServiceName, usize)> = vec![(start, 0)];
            while let Some((name, next)) = path.last_mut() {
                let Some(need) = services[*name].depends_on.get(*next) else {
                    done.insert(*name, true);
                    path.pop();
                    continue;
                };
                *next += 1;
                let Some((needed, other)) = services.get_key_value(&need.value) else {
                    continue;
                };
                if other.schedule.is_some() {
                    let message = format!("`{needed}` runs at certain times: nothing waits for it");
                    let help = "remove this line, or let it run once or all the time";
                    self.error("DN-E0327", &need.at, message, help);
                }
                match done.get(needed) {
                    Some(true) => {}
                    Some(false) => self.circle(&path, needed, need),
                    None => {
                        done.insert(needed, false);
                        path.push((needed, 0));
                    }
                }
            }
        }
    }

    fn circle(
        &mut self,
        path: &[(&ServiceName, usize)],
        needed: &ServiceName,
        need: &Located<ServiceName>,
    ) {
        let from = path.iter().position(|(name, _)| *name == needed).unwrap_or(0);
        let mut names: Vec<&str> = path[from..].iter().map(|(name, _)| name.as_str()).collect();
        names.push(needed.as_str());
        let shown = if names.len() > 8 {
            let last = &names[names.len() - 2..];
            format!("{} → … → {}", names[..3].join(" → "), last.join(" → "))
        } else {
            names.join(" → ")
        };
        let message = format!("services wait in a circle: {shown}");
        self.error("DN-E0304", &need.at, message, "remove one of these `depends-on`");
    }

    /// Reports services that must run on one node and take the same port of it.
    pub(super) fn pinned_ports(&mut self, services: &Services) {
        let mut taken: BTreeMap<(String, u16, Protocol), (&Service, &Located<PortDeclaration>)> =
            BTreeMap::new();
        for service in services.values() {
            let Some(node) = only_node(service) else {
                continue;
            };
            for port in &service.ports {
                let Some(host) = port.value.host else {
                    continue;
                };
                let key = (node.to_owned(), host, port.value.protocol);
                if let Some((other, first)) = taken.get(&key) {
                    let message = format!(
                        "`{}` and `{}` both take port {host} of node `{node}`",
                        other.name, service.name
                    );
                    let error = Diagnostic::error("DN-E0314", Some(port.at.clone()), message)
                        .related(first.at.clone(), "first here")
                        .help("give one of them another `host` port, or another node");
                    self.found.push(error);
                } else {
                    taken.insert(key, (service, port));
                }
            }
        }
    }
}

impl Check<'_> {
    /// Reports what services that are on one node, whichever it is, cannot have there: all of those
    /// that have to be near one with a single instance.
    pub(super) fn neighbours(&mut self, services: &Services) {
        // How many instances there are may stand in what could not be read.
        if !self.file.unread.is_empty() {
            return;
        }
        let single = |name: &ServiceName| {
            services.get(name).is_some_and(|it| it.replicas == Replicas::Count(1))
        };
        // What has no instance keeps nobody together.
        let anchors = services.values().map(|service| {
            let near = service.place.near.iter().map(|near| &near.value);
            let names = near.chain([&service.name]);
            let names = names.filter(|name| !service.replicas.is_none() && single(name));
            names.map(ToString::to_string).collect()
        });
        let groups = groups(&anchors.collect::<Vec<_>>());
        let group_of: BTreeMap<&ServiceName, usize> =
            services.keys().zip(groups.iter().copied()).collect();
        for service in services.values() {
            if let Some(near) = service.place.near.iter().find(|near| single(&near.value)) {
                self.many_on_one_node(service, &near.value);
            }
            let own = group_of[&service.name];
            let direct = |other: &ServiceName| {
                let near = |one: &Service, two: &ServiceName| {
                    one.place.near.iter().any(|near| near.value == *two)
                };
                near(service, other) || near(&services[other], &service.name)
            };
            let apart = service.place.apart_from.iter();
            for apart in apart.filter(|it| group_of.get(&it.value) == Some(&own)) {
                // Of one that is near the other itself, that is told.
                if !direct(&apart.value) {
                    let (name, other) = (&service.name, &apart.value);
                    let message = format!("`{name}` and `{other}` are on one node, by `near`");
                    let help = "remove this line, or the `near` between them";
                    self.error("DN-E0305", &apart.at, message, help);
                }
            }
        }
        let mut taken: BTreeMap<(usize, u16, Protocol), (&Service, &Located<PortDeclaration>)> =
            BTreeMap::new();
        for (service, group) in services.values().zip(groups) {
            for port in service.ports.iter().filter(|_| !service.replicas.is_none()) {
                let Some(host) = port.value.host else { continue };
                let Some((other, first)) = taken.get(&(group, host, port.value.protocol)) else {
                    taken.insert((group, host, port.value.protocol), (service, port));
                    continue;
                };
                // Of one that takes a port twice, and of two that are pinned, it was told.
                let pinned = only_node(other).is_some() && only_node(service).is_some();
                if pinned || other.name == service.name {
                    continue;
                }
                let message = format!(
                    "`{}` and `{}` are on one node, and both take port {host} of it",
                    other.name, service.name
                );
                let error = Diagnostic::error("DN-E0314", Some(port.at.clone()), message)
                    .related(first.at.clone(), "first here")
                    .help("give one of them another `host` port, or let it be elsewhere");
                self.found.push(error);
            }
        }
    }
}

impl Check<'_> {
    /// Instances that are all on the node of one other service.
    fn many_on_one_node(&mut self, service: &Service, near: &ServiceName) {
        let Replicas::Count(replicas) = service.replicas else { return };
        let name = &service.name;
        for port in service.ports.iter().filter(|_| replicas > 1) {
            if let Some(host) = port.value.host {
                let message = format!(
                    "{replicas} instances of `{name}` are on the node of `{near}` and cannot all \
                     take port {host} there"
                );
                let help = "remove `host`, lower `replicas`, or let them be elsewhere";
                self.error("DN-E0314", &port.at, message, help);
            }
        }
        if let Some(most) = service.place.max_per_node.as_ref().filter(|it| it.value < replicas) {
            let message = format!(
                "{replicas} instances of `{name}` are on the node of `{near}`, at most {} on each",
                most.value
            );
            let help = "raise `max-per-node`, lower `replicas`, or let them be elsewhere";
            self.error("DN-E0305", &most.at, message, help);
        }
    }
}

/// The group of each, by its first one: those that share something, directly or through others,
/// are in one.
pub(super) fn groups(shares: &[BTreeSet<String>]) -> Vec<usize> {
    fn first(before: &mut [usize], mut at: usize) -> usize {
        while before[at] != at {
            // Halving the way keeps all ways short.
            before[at] = before[before[at]];
            at = before[at];
        }
        at
    }
    let mut before: Vec<usize> = (0..shares.len()).collect();
    let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, own) in shares.iter().enumerate() {
        for name in own {
            let owner = *owners.entry(name).or_insert(at);
            let (one, other) = (first(&mut before, at), first(&mut before, owner));
            before[one.max(other)] = one.min(other);
        }
    }
    (0..shares.len()).map(|at| first(&mut before, at)).collect()
}

/// The node that a service must run on, where its own lines leave only one.
fn only_node(service: &Service) -> Option<&str> {
    let required = service.place.require.iter().find_map(|selector| {
        let one = selector.value.key == SelectorKey::Node && selector.value.any_of.len() == 1;
        one.then(|| selector.value.any_of[0].as_str())
    });
    service.place.pin.as_ref().map(|pin| pin.value.as_str()).or(required)
}
