//! Ports of a Compose service on its node.
//!
//! Knows their names, scopes and numbers. Refuses to know how they were written.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    component::PortDeclaration,
    compose::{self, Ask, Port},
    container::Namespace,
    diagnostic::{Diagnostic, Located, Location},
    instance::{Protocol, Scope},
    name::is_label,
    validate::Check,
};

impl Check<'_> {
    /// Published ports. One without an address is reached at the node's own; in the node's network
    /// a service listens on the node itself.
    pub(super) fn compose_ports(
        &mut self,
        container: &mut compose::Service,
    ) -> Vec<Located<PortDeclaration>> {
        let host_network =
            container.asks.iter().any(|ask| ask.value == Ask::Namespace(Namespace::Network));
        let (mut all, mut names) = (Vec::new(), BTreeSet::new());
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let mut taken: BTreeMap<(Protocol, u16), Location> = BTreeMap::new();
        for Located { value, at } in std::mem::take(&mut container.ports) {
            let Port { name, container, host, host_ip, protocol, published } = value;
            if !published && !host_network {
                continue;
            }
            if let Some(host) = host.filter(|host| host_network && *host != container) {
                let message = format!(
                    "a service in the network of its node that listens on {container} cannot be \
                     reached on {host}"
                );
                let help = format!(
                    "write `{container}:{container}`, or make it listen on {host} and write that \
                     number"
                );
                self.error("DN-E0315", &at, message, help);
                continue;
            }
            let host = if host_network { Some(container) } else { host };
            let scope = match host_ip.as_deref() {
                None => Scope::Internal,
                Some("0.0.0.0" | "::") => Scope::Public,
                Some("127.0.0.1" | "::1") => Scope::Node,
                Some(ip) => {
                    let message = format!("`{ip}` is an address of one node, and nodes differ");
                    let help = "leave it out for the node's address; 127.0.0.1 is the node alone, \
                                0.0.0.0 is everyone";
                    self.error("DN-E0313", &at, message, help);
                    Scope::Internal
                }
            };
            if let Some(host) = host {
                if let Some(first) = taken.get(&(protocol, host)) {
                    let message = format!("two ports take port {host} of the node");
                    let error = Diagnostic::error("DN-E0313", Some(at.clone()), message)
                        .related(first.clone(), "first here")
                        .help("change one of the two");
                    self.found.push(error);
                    continue;
                }
                taken.insert((protocol, host), at.clone());
            }
            let usual = match (names.is_empty(), protocol) {
                (true, _) => "main".to_owned(),
                (_, Protocol::Tcp) => format!("port-{container}"),
                (_, Protocol::Udp) => format!("port-{container}-udp"),
            };
            let name = name.filter(|name| is_label(name)).unwrap_or(usual);
            // What was counted for one of that name is not counted again.
            let number = numbers.entry(name.clone()).or_insert(1);
            let mut unique = name.clone();
            while !names.insert(unique.clone()) {
                *number += 1;
                unique = format!("{name}-{number}");
            }
            let value = PortDeclaration { name: unique, container, host, scope, protocol };
            all.push(Located { value, at });
        }
        all
    }
}
