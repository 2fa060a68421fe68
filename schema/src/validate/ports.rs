//! Ports: a component's and a service's own, in one list.
//!
//! Knows when two ports of one service are in each other's way. Refuses to choose host ports: the
//! planner does.

use super::Check;
use crate::{
    component::{ComponentSignature, PortDeclaration},
    diagnostic::{Diagnostic, Located, Location},
    file::{
        MOST_PORTS,
        written::{PortSection, ServiceSection},
    },
    instance::Runtime,
    name::is_label,
};

impl Check<'_> {
    /// The component's ports, then the service's own; a line for a port that the component has
    /// changes that port.
    pub(super) fn ports(
        &mut self,
        service: &ServiceSection,
        signature: Option<&ComponentSignature>,
        runtime: Runtime,
    ) -> Vec<Located<PortDeclaration>> {
        let declared = signature.map_or(&[][..], |signature| &signature.ports);
        let mut ports: Vec<Located<PortDeclaration>> = declared
            .iter()
            .map(|port| Located { value: port.clone(), at: service.at.clone() })
            .collect();
        let mut said: Vec<Option<&PortSection>> = vec![None; ports.len()];
        for section in &service.ports {
            let Some(container) = &section.container else {
                continue;
            };
            let protocol = section.protocol.as_ref().map(|protocol| protocol.value);
            let known = ports[..said.len()].iter().position(|port| {
                port.value.container == container.value
                    && protocol.is_none_or(|protocol| protocol == port.value.protocol)
            });
            match known {
                Some(at) => match said[at].replace(section) {
                    Some(first) => self.clash(&section.at, &first.at, twice(container.value)),
                    None => overlay(&mut ports[at], section),
                },
                None => {
                    let main = ports.is_empty();
                    ports.push(self.port(section, container.value, main));
                }
            }
        }
        if runtime == Runtime::Process {
            self.process_ports(&mut ports);
        }
        self.clashes(&ports);
        ports
    }

    fn port(
        &mut self,
        section: &PortSection,
        container: u16,
        main: bool,
    ) -> Located<PortDeclaration> {
        let usual = || {
            if main { "main".to_owned() } else { format!("port-{container}") }
        };
        let name = section.name.as_ref().map_or_else(usual, |name| name.value.clone());
        if let Some(name) = section.name.as_ref().filter(|name| !is_label(&name.value)) {
            let message = format!("`{}` is not a port's name", name.value.escape_debug());
            let help = "use lower-case letters, digits and `-`";
            self.error("DN-E0301", &name.at, message, help);
        }
        let value = PortDeclaration {
            name,
            container,
            host: section.host.as_ref().map(|host| host.value),
            scope: section.scope.as_ref().map(|scope| scope.value).unwrap_or_default(),
            protocol: section.protocol.as_ref().map(|p| p.value).unwrap_or_default(),
        };
        Located { value, at: section.at.clone() }
    }

    fn clash(&mut self, at: &Location, first: &Location, message: String) {
        let error = Diagnostic::error("DN-E0313", Some(at.clone()), message)
            .related(first.clone(), "first here")
            .help("change one of the two");
        self.found.push(error);
    }

    /// A process listens on the node itself, so both numbers are one.
    fn process_ports(&mut self, ports: &mut [Located<PortDeclaration>]) {
        for port in ports {
            let container = port.value.container;
            let host = *port.value.host.get_or_insert(container);
            if host != container {
                let message =
                    format!("a process that listens on {container} cannot be reached on {host}");
                let help = "a process has no network of its own: remove `host`, or make it listen \
                            there and write that number";
                self.error("DN-E0315", &port.at, message, help);
            }
        }
    }

    fn clashes(&mut self, ports: &[Located<PortDeclaration>]) {
        for (index, port) in ports.iter().enumerate().take(MOST_PORTS) {
            let PortDeclaration { name, container, host, scope: _, protocol } = &port.value;
            let earlier = ports[..index].iter().find_map(|first| {
                let same = first.value.protocol == *protocol;
                if same && first.value.container == *container {
                    Some((first, twice(*container)))
                } else if same && host.is_some() && first.value.host == *host {
                    let host = host.unwrap_or_default();
                    Some((first, format!("two ports take port {host} of the node")))
                } else if first.value.name == *name {
                    Some((first, format!("two ports are named `{name}`")))
                } else {
                    None
                }
            });
            if let Some((first, message)) = earlier {
                self.clash(&port.at, &first.at, message);
            }
        }
        if let Some(port) = ports.get(MOST_PORTS) {
            let message = format!("this service has more than {MOST_PORTS} ports");
            self.error("DN-E0313", &port.at, message, "declare fewer");
        }
    }
}

fn twice(container: u16) -> String {
    format!("port {container} is declared twice")
}

/// What a service says of a port that its component has.
fn overlay(port: &mut Located<PortDeclaration>, section: &PortSection) {
    port.at = section.at.clone();
    if let Some(host) = &section.host {
        port.value.host = Some(host.value);
    }
    if let Some(name) = &section.name {
        port.value.name.clone_from(&name.value);
    }
    if let Some(scope) = &section.scope {
        port.value.scope = scope.value;
    }
}
