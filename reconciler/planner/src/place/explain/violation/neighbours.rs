//! Violations by what else is on the node: ports, apart-from, near, max-per-node.
//!
//! Knows who is there. Refuses to know sizes.
//!
//! The line to blame may be that of the other service. `port 80/tcp is taken by web` names who
//! holds it.

use devnet_schema::{instance::Protocol, name::NodeName, placement::Violation};

use super::make::{blame, say, say_as};
use crate::place::{
    explain::amount::port_words,
    ix::{NodeIx, ServiceIx},
    model::{partial::PartialPlacement, service::per_node},
    problem::{Constraint, ServiceInput},
};

/// Whom it would leave alone where all that wait are kept as they are, and each is company there.
pub(crate) fn left_alone(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    node_ix: NodeIx,
    found: &mut Vec<Violation>,
) {
    let services = &partial.indexed.services;
    let kept = services[service].counterparts.iter().filter(|&&kept| services[kept].is_retained());
    let kept = kept.flat_map(|&kept| partial.of_service[kept].keys().map(move |&at| (kept, at)));
    let kept: Vec<(ServiceIx, NodeIx)> = kept.collect();
    if kept.len() < partial.missing(service).max(1) as usize
        || kept.iter().any(|(_, at)| *at == node_ix)
    {
        return;
    }
    let alone = kept.iter().map(|&(kept, at)| Some((partial.deserted(kept, at)?, at)));
    let alone: Option<Vec<(ServiceIx, NodeIx)>> = alone.collect();
    if let Some(&(other, at)) = alone.iter().flatten().next() {
        let node = &partial.indexed.nodes[at].input.name;
        found.push(deserts(services[service].input, services[other].input, node));
    }
}

/// What is told of a port, with the line that claims it.
pub(crate) fn say_port(input: &ServiceInput, port: (Protocol, u16), text: String) -> Violation {
    let line = input.port_lines.get(&port);
    let at = line.and_then(|line| line.at.as_ref()).or(input.at.as_ref());
    let written = line.map_or_else(|| port_words(port), |line| line.written.clone());
    blame(written, say(Constraint::Port, at, text))
}

/// The service on a node that holds a port.
pub(crate) fn holder(
    partial: &PartialPlacement<'_>,
    node: NodeIx,
    port: (Protocol, u16),
) -> Option<ServiceIx> {
    let services = &partial.indexed.services;
    let mut here = partial.on_node[node].keys().copied();
    here.find(|&other| services[other].input.host_ports.contains(&port))
}

pub(crate) fn neighbours(
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
    node: NodeIx,
    found: &mut Vec<Violation>,
) {
    let indexed = partial.indexed;
    let service = &indexed.services[service_ix];
    let input = service.input;
    let count = partial.count(service_ix, node);
    if let Some(most) = per_node(service.input).filter(|&most| count >= most) {
        let text = format!("runs {count} of at most {most} instance(s) there already");
        found.push(say_as(Constraint::MaxPerNode, input.max_per_node_line(), text));
    }
    for &port in &service.input.host_ports {
        if let Some(other) = holder(partial, node, port) {
            let holder = &indexed.services[other].input.name;
            let text = format!("{} is taken by {holder}", port_words(port));
            found.push(say_port(service.input, port, text));
        }
    }
    for &other in service.apart.iter().filter(|&&other| partial.count(other, node) > 0) {
        let other = indexed.services[other].input;
        let name = other.name.declared();
        found.push(match service.input.apart_from.contains(name) {
            true => {
                let text = format!("must stay apart from {}", other.name);
                say_as(
                    Constraint::ApartFrom,
                    input.apart_from_line(std::slice::from_ref(name)),
                    text,
                )
            }
            // The line is the other's.
            false => {
                let text = format!("{} must stay apart from it", other.name);
                say_as(
                    Constraint::ApartFrom,
                    other.apart_from_line(std::slice::from_ref(input.name.declared())),
                    text,
                )
            }
        });
    }
    for name in service.input.near.iter().filter(|name| input.name != **name) {
        let other = indexed.services.position(|other| other.input.name == *name);
        if other.is_none_or(|other| partial.present(other, node) == 0) {
            let text = format!("must run near {name}, which is not there");
            found.push(say_as(Constraint::Near, input.near_line(std::slice::from_ref(name)), text));
        }
    }
}

/// What speaks against a service's going away where another must run near it: the line is the
/// other's.
pub(crate) fn deserts(service: &ServiceInput, other: &ServiceInput, node: &NodeName) -> Violation {
    let text = format!("{} on {node} must run near it", other.name);
    say_as(Constraint::Near, other.near_line(std::slice::from_ref(service.name.declared())), text)
}
