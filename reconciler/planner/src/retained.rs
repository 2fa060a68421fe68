//! What keeps running as it is declared although it has no place: whatever would make room for
//! nothing if it stopped.
//!
//! Knows what a node has left beside those that have a place there, or keep what they have. Refuses
//! to hold a running instance against the lines that placement holds a new one against: where it
//! runs, it runs.

use std::collections::BTreeMap;

use devnet_schema::{
    instance::Protocol,
    name::{InstanceId, ServiceName},
    placement::GpuUse,
    quantity::GpuRequest,
};

use crate::{
    assignment::{Assignment, Why},
    observed::Observed,
    place::{Key, NodeInput, PlacementProblem, ServiceInput},
};

/// The problem by name.
pub(crate) struct Rooms<'p> {
    services: BTreeMap<&'p ServiceName, &'p ServiceInput>,
    nodes: BTreeMap<&'p str, &'p NodeInput>,
}

impl<'p> Rooms<'p> {
    /// Of a problem.
    pub(crate) fn of(problem: &'p PlacementProblem) -> Self {
        let services = problem.services.iter().map(|service| (service.name.declared(), service));
        let nodes = problem.nodes.iter().map(|node| (node.name.as_str(), node));
        Self { services: services.collect(), nodes: nodes.collect() }
    }

    /// The priority of an instance's service.
    pub(crate) fn priority(&self, id: &InstanceId) -> u8 {
        self.services.get(&id.service).map_or(0, |service| service.priority)
    }

    /// Whether an instance that has no place can stay where it runs, as it is declared now, without
    /// taking anything from those that are seated.
    pub(crate) fn admit(
        &self,
        assignments: &BTreeMap<InstanceId, Assignment>,
        id: &InstanceId,
        unit: &Observed<'_>,
    ) -> bool {
        let own = self.services.get(&id.service);
        let (Some(own), Some(node)) = (own, self.nodes.get(unit.node().as_str())) else {
            return false;
        };
        let here = || {
            assignments
                .iter()
                .filter(|(other, assignment)| assignment.node == node.name && *other != id)
        };
        let others: Vec<Neighbour<'_>> =
            here().filter_map(|(id, assignment)| self.neighbour(id, assignment)).collect();
        let uses: Vec<&GpuUse> = here().flat_map(|(_, assignment)| &assignment.gpus).collect();
        let has = unit.spec().map_or(&[][..], |spec| &spec.gpus);
        can_run(own, node) && fits(own, node, &others) && devices_do(own, node, has, &uses)
    }

    fn neighbour(&self, id: &InstanceId, assignment: &Assignment) -> Option<Neighbour<'p>> {
        let service = self.services.get(&id.service)?;
        let as_is = matches!(assignment.why, Why::KeptAsIs(_));
        let (amounts, ports) = match service.holdings.get(&id.index).filter(|_| as_is) {
            Some(it) => ([it.cpu_milli, it.memory, it.disk], &it.ports),
            None => (amounts(service), &service.host_ports),
        };
        Some(Neighbour { service, amounts, ports })
    }
}

/// Who else is on a node, and what it has there.
struct Neighbour<'p> {
    service: &'p ServiceInput,
    /// cpu in thousandths of a core, memory and disk in bytes.
    amounts: [u64; 3],
    ports: &'p [(Protocol, u16)],
}

fn amounts(service: &ServiceInput) -> [u64; 3] {
    [service.cpu_milli, service.memory, service.disk]
}

/// Whether the node can run the service's form and nobody outside the cluster holds its ports.
fn can_run(own: &ServiceInput, node: &NodeInput) -> bool {
    let mut runtimes = own.require.iter().filter(|line| line.key == Key::Runtime);
    runtimes.all(|line| line.any_of.iter().any(|word| node.runtimes.contains(word)))
        && !own.host_ports.iter().any(|port| node.reserved_ports.contains(port))
}

fn fits(own: &ServiceInput, node: &NodeInput, others: &[Neighbour<'_>]) -> bool {
    let capacity = [node.cpu_milli, node.memory, node.disk];
    let room = |r: usize| {
        let used: u128 = others.iter().map(|it| u128::from(it.amounts[r])).sum();
        used + u128::from(amounts(own)[r]) <= u128::from(capacity[r])
    };
    let port = |it: &Neighbour<'_>| it.ports.iter().any(|port| own.host_ports.contains(port));
    let apart = |it: &Neighbour<'_>| {
        let (it, [its, own_name]) = (it.service, [it.service, own].map(|of| of.name.declared()));
        its != own_name && (it.apart_from.contains(own_name) || own.apart_from.contains(its))
    };
    (0..3).all(room) && !others.iter().any(|it| port(it) || apart(it))
}

/// Whether the devices that it has are what it asks for, and the others leave it that much of them.
fn devices_do(own: &ServiceInput, node: &NodeInput, has: &[GpuUse], uses: &[&GpuUse]) -> bool {
    let count = match own.gpu {
        GpuRequest::None | GpuRequest::Whole(0) => return true,
        GpuRequest::Whole(count) => count as usize,
        GpuRequest::Share(_) | GpuRequest::Memory(_) => 1,
    };
    let wanted = |use_: &GpuUse| match own.gpu {
        GpuRequest::Share(milli) => use_.share_milli == milli && use_.memory.0 == 0,
        GpuRequest::Memory(bytes) => use_.share_milli == 0 && use_.memory == bytes,
        _ => use_.share_milli == 1000 && use_.memory.0 == 0,
    };
    has.len() == count && has.iter().all(|own| wanted(own) && device_has_room(node, own, uses))
}

fn device_has_room(node: &NodeInput, own: &GpuUse, uses: &[&GpuUse]) -> bool {
    let device = node.gpus.iter().find(|gpu| gpu.id == own.id);
    device.is_some_and(|gpu| {
        let load = |it: &GpuUse| {
            let memory = u128::from(gpu.memory);
            u128::from(it.share_milli) * memory + u128::from(it.memory.0) * 1000
        };
        let used: u128 = uses.iter().filter(|it| it.id == own.id).map(|it| load(it)).sum();
        used + load(own) <= u128::from(gpu.memory) * 1000
    })
}
