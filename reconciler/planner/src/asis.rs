//! What is held as it is by its data, in the placement problem: it has what it has of its node,
//! whatever is declared by now.
//!
//! Knows how much of that its service counts for it, and what is counted beside. Refuses to place
//! anything, and to count less than there is.

use std::collections::BTreeMap;

use devnet_schema::{
    desired::Service,
    instance::Protocol,
    name::{InstanceId, NodeName},
    placement::GpuUse,
    quantity::GpuRequest,
};

use crate::{
    hold::{Hold, Holds},
    observations::Observations,
    observed::Observed,
    place::{Holding, ServiceInput},
};

/// What is held of a node beside what its services count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beside {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
    /// Ports of the node.
    pub ports: Vec<(Protocol, u16)>,
}

/// By node.
pub(crate) type Besides<'a> = BTreeMap<&'a NodeName, Beside>;

/// The unit of each instance of a service that is held.
pub(crate) fn of_service<'m, 'a>(
    holds: &'m Holds,
    observations: &'m Observations<'a>,
    service: &'m Service,
) -> impl Iterator<Item = (&'m InstanceId, &'m Observed<'a>)> {
    let first = InstanceId { service: service.name.clone(), index: 0 };
    let own = holds.range(first..).take_while(|(id, _)| id.service == service.name);
    own.filter_map(move |(id, hold)| Some((id, unit(observations, id, hold)?)))
}

fn unit<'c, 'a>(
    observations: &'c Observations<'a>,
    id: &InstanceId,
    hold: &Hold,
) -> Option<&'c Observed<'a>> {
    observations.observed.get(id)?.iter().find(|it| hold.is(it))
}

/// Enters those that are held into their service: each is where it is, with what it has. Where all
/// of the service are, nothing else is counted of it; of one among others, at least what is
/// declared.
pub(crate) fn enter<'a>(
    input: &mut ServiceInput,
    held: &[(&InstanceId, &Observed<'a>, Holding)],
    besides: &mut Besides<'a>,
) {
    if held.is_empty() {
        return;
    }
    if held.len() == input.replicas as usize {
        let least = |of: fn(&Holding) -> u64| held.iter().map(|(_, _, it)| of(it)).min();
        input.cpu_milli = least(|it| it.cpu_milli).unwrap_or_default();
        input.memory = least(|it| it.memory).unwrap_or_default();
        input.disk = least(|it| it.disk).unwrap_or_default();
        let requests = held.iter().filter_map(|(_, unit, _)| Some(request(&unit.spec()?.gpus)));
        let requests: Vec<GpuRequest> = requests.collect();
        if let [first, rest @ ..] = requests.as_slice()
            && rest.iter().all(|it| it == first)
        {
            (input.gpu, input.device) = (*first, None);
        }
        input.host_ports.clear();
        input.port_lines.clear();
    }
    for (id, unit, has) in held {
        let beside = besides.entry(unit.node()).or_default();
        beside.cpu_milli += has.cpu_milli.saturating_sub(input.cpu_milli);
        beside.memory = beside.memory.saturating_add(has.memory.saturating_sub(input.memory));
        let (counted, others): (Vec<_>, Vec<_>) =
            has.ports.iter().copied().partition(|port| input.host_ports.contains(port));
        beside.ports.extend(others);
        let holding = Holding {
            cpu_milli: has.cpu_milli.min(input.cpu_milli),
            memory: has.memory.min(input.memory),
            disk: has.disk.min(input.disk),
            ports: counted,
        };
        input.holdings.insert(id.index, holding);
        let gpus = unit.spec().map_or(Vec::new(), |spec| spec.gpus.clone());
        let current = crate::place::Current { node: unit.node().clone(), gpus, held: true };
        input.current.insert(id.index, current);
    }
}

/// What a unit must have asked for of the devices of its node.
fn request(gpus: &[GpuUse]) -> GpuRequest {
    match gpus {
        [] => GpuRequest::None,
        [one] if one.memory.0 > 0 => GpuRequest::Memory(one.memory),
        [one] if one.share_milli < 1000 => GpuRequest::Share(one.share_milli),
        all => GpuRequest::Whole(all.len() as u32),
    }
}
