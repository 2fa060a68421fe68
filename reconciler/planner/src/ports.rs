//! Host ports: the declared one, the one it has, or the lowest that is free.
//!
//! Knows which ports of a node are spoken for. Refuses to know addresses they are bound to.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use devnet_schema::{
    component::PortDeclaration,
    desired::Service,
    diagnostic::{Diagnostic, Located},
    instance::{InstanceSpec, Protocol, Runtime},
    name::{InstanceId, NodeName},
};

use crate::{
    assignment::{Assignments, Why},
    input::PlanInput,
    observations::Observations,
};

/// Where ports without `host=` are taken from: below the range that Linux gives to outgoing
/// connections (32768 to 60999).
pub const RANGE: RangeInclusive<u16> = 20000..=29999;

/// Host port of every port of an instance, by the port's name.
pub(crate) type HostPorts = BTreeMap<InstanceId, BTreeMap<String, u16>>;

type Taken<'a> = BTreeMap<&'a NodeName, BTreeSet<(Protocol, u16)>>;

/// Gives every port of every seated instance a port of its node. The same input gives the same
/// ports, and who has a port keeps it.
///
/// # Errors
/// When a node has no port left.
pub(crate) fn allocate(
    input: &PlanInput<'_>,
    observations: &Observations<'_>,
    assignments: &Assignments,
) -> Result<HostPorts, Vec<Diagnostic>> {
    let mut ports = HostPorts::new();
    let mut taken = outside(input, observations);
    held(observations, assignments, &mut taken, &mut ports);
    declared(input, assignments, &mut taken, &mut ports);
    kept(input, observations, assignments, &mut taken, &mut ports);
    // What runs now may still hold its port while the newcomer starts.
    for unit in observations.all().map(|(_, unit)| unit).chain(observations.left_alone()) {
        let held = unit.spec().into_iter().flat_map(|spec| &spec.ports);
        taken.entry(unit.node()).or_default().extend(held.map(|port| (port.protocol, port.host)));
    }
    let mut errors = Vec::new();
    for (id, assignment) in &assignments.by_instance {
        let Some(service) = input.desired.services.get(&id.service) else {
            continue;
        };
        let own = ports.entry(id.clone()).or_default();
        let used = taken.entry(&assignment.node).or_default();
        for port in &service.ports {
            if own.contains_key(&port.value.name) {
                continue;
            }
            let free = RANGE.into_iter().find(|&host| !used.contains(&(port.value.protocol, host)));
            let Some(host) = free else {
                errors.push(exhausted(id, &assignment.node, port));
                break;
            };
            used.insert((port.value.protocol, host));
            own.insert(port.value.name.clone(), host);
        }
    }
    if errors.is_empty() { Ok(ports) } else { Err(errors) }
}

fn exhausted(id: &InstanceId, node: &NodeName, port: &Located<PortDeclaration>) -> Diagnostic {
    let (first, last) = (RANGE.start(), RANGE.end());
    let message = format!(
        "no port from {first} to {last} is free on {node} for port `{}` of {id}",
        port.value.name
    );
    Diagnostic::error("DN-E0605", Some(port.at.clone()), message)
        .help("give it a port with host=, or move other services off the node")
}

/// Ports that something outside the cluster holds.
fn outside<'a>(input: &PlanInput<'a>, observations: &Observations<'a>) -> Taken<'a> {
    let nodes = input.fleet.nodes.iter();
    nodes.map(|node| (&node.name, observations.ports_outside(node).collect())).collect()
}

/// The host port that the declaration itself settles. A process listens where it listens, so its
/// own port is the node's.
pub(crate) fn fixed(service: &Service, port: &PortDeclaration) -> Option<u16> {
    let own = (service.runtime == Runtime::Process).then_some(port.container);
    port.host.or(own)
}

/// Who is held where it is keeps every port it has, whatever is declared by now: that is where
/// others reach it.
fn held<'a>(
    observations: &Observations<'_>,
    assignments: &'a Assignments,
    taken: &mut Taken<'a>,
    ports: &mut HostPorts,
) {
    for (id, assignment) in &assignments.by_instance {
        if !matches!(assignment.why, Why::Unknown | Why::OutOfScope | Why::KeptAsIs(_)) {
            continue;
        }
        let spec = assignments.unit(observations, id).and_then(|unit| unit.spec());
        for port in spec.into_iter().flat_map(|spec| &spec.ports) {
            taken.entry(&assignment.node).or_default().insert((port.protocol, port.host));
            ports.entry(id.clone()).or_default().insert(port.name.clone(), port.host);
        }
    }
}

fn declared<'a>(
    input: &PlanInput<'a>,
    assignments: &'a Assignments,
    taken: &mut Taken<'a>,
    ports: &mut HostPorts,
) {
    for (id, assignment) in &assignments.by_instance {
        let Some(service) = input.desired.services.get(&id.service) else {
            continue;
        };
        let own = ports.entry(id.clone()).or_default();
        for port in service.ports.iter().map(|port| &port.value) {
            if own.contains_key(&port.name) {
                continue;
            }
            if let Some(host) = fixed(service, port) {
                taken.entry(&assignment.node).or_default().insert((port.protocol, host));
                own.insert(port.name.clone(), host);
            }
        }
    }
}

/// Who runs on the node already keeps the port it has there, unless someone declares it.
fn kept<'a>(
    input: &PlanInput<'a>,
    observations: &Observations<'_>,
    assignments: &'a Assignments,
    taken: &mut Taken<'a>,
    ports: &mut HostPorts,
) {
    for (id, assignment) in &assignments.by_instance {
        let Some(service) = input.desired.services.get(&id.service) else {
            continue;
        };
        let group = observations.observed.get(id).into_iter().flatten();
        let before =
            group.filter(|unit| *unit.node() == assignment.node).find_map(|unit| unit.spec());
        let Some(before) = before else { continue };
        let own = ports.entry(id.clone()).or_default();
        let used = taken.entry(&assignment.node).or_default();
        for port in service.ports.iter().map(|port| &port.value) {
            if own.contains_key(&port.name) {
                continue;
            }
            let had = previous(before, port).filter(|&host| !used.contains(&(port.protocol, host)));
            if let Some(host) = had {
                used.insert((port.protocol, host));
                own.insert(port.name.clone(), host);
            }
        }
    }
}

/// The port it has now, where that is one of those given out here: one that was declared before and
/// is not any more goes back.
fn previous(before: &InstanceSpec, port: &PortDeclaration) -> Option<u16> {
    let same = before.ports.iter().find(|it| it.name == port.name && it.protocol == port.protocol);
    same.map(|it| it.host).filter(|host| RANGE.contains(host))
}
