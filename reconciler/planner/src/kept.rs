//! What keeps running although no node has room for it: whatever would make room for nothing if it
//! stopped.
//!
//! Knows what a node has left beside those that have a place there. Refuses to hold a running
//! instance against the lines that placement holds a new one against: where it runs, it runs, and
//! as it is where what is declared of it by now would be too much.

use std::collections::BTreeMap;

use devnet_schema::{
    instance::PortSpec,
    name::{InstanceId, ServiceName},
    placement::GpuUse,
    quantity::GpuRequest,
};

use crate::{
    census::{Census, Sighting},
    place::{Key, NodeInput, PlacementProblem, ServiceInput},
    seats::{self, Seat, Why},
};

/// The problem by name.
pub struct Rooms<'p> {
    services: BTreeMap<&'p ServiceName, &'p ServiceInput>,
    nodes: BTreeMap<&'p str, &'p NodeInput>,
}

impl<'p> Rooms<'p> {
    /// Of a problem.
    pub fn of(problem: &'p PlacementProblem) -> Self {
        let services = problem.services.iter().map(|service| (&service.name, service));
        let nodes = problem.nodes.iter().map(|node| (node.name.as_str(), node));
        Self { services: services.collect(), nodes: nodes.collect() }
    }

    /// The priority of an instance's service.
    pub fn priority(&self, id: &InstanceId) -> u8 {
        self.services.get(&id.service).map_or(0, |service| service.priority)
    }

    /// Whether an instance that no node has room for can stay where it runs, as it is declared now,
    /// without taking anything from those that are seated.
    pub fn admit(
        &self,
        seats: &BTreeMap<InstanceId, Seat>,
        id: &InstanceId,
        unit: &Sighting<'_>,
    ) -> bool {
        let own = self.services.get(&id.service);
        let (Some(own), Some(node)) = (own, self.nodes.get(unit.node().as_str())) else {
            return false;
        };
        let here = || seats.iter().filter(|(_, seat)| seat.node == node.name);
        let others: Vec<&ServiceInput> =
            here().filter_map(|(id, _)| self.services.get(&id.service).copied()).collect();
        let uses: Vec<&GpuUse> = here().flat_map(|(_, seat)| &seat.gpus).collect();
        let has = unit.spec().map_or(&[][..], |spec| &spec.gpus);
        can_run(own, node) && fits(own, node, &others) && devices_do(own, node, has, &uses)
    }

    /// The same, as it is and not as it is declared: nobody comes to its node, and what those that
    /// stay there are declared to use leaves it what it has.
    pub fn admit_as_is(
        &self,
        seats: &BTreeMap<InstanceId, Seat>,
        census: &Census<'_>,
        id: &InstanceId,
        unit: &Sighting<'_>,
    ) -> bool {
        let Some(node) = self.nodes.get(unit.node().as_str()) else {
            return false;
        };
        let here = || seats.iter().filter(|(other, seat)| seat.node == node.name && *other != id);
        let used = here().map(|(other, seat)| match census.best(other) {
            Some(old) if matches!(seat.why, Why::KeptAsIs(_)) => self.has(other, old, node),
            _ => self.services.get(&other.service).map_or([0; 2], |it| [it.cpu_milli, it.memory]),
        });
        let own = self.has(id, unit, node);
        let all = used.fold(own, |sum, used| [0, 1].map(|r| sum[r].saturating_add(used[r])));
        let taken = |port: &PortSpec| {
            let mut others = here().filter_map(|(other, _)| self.services.get(&other.service));
            others.any(|it| it.host_ports.contains(&(port.protocol, port.host)))
        };
        let uses: Vec<&GpuUse> = here().flat_map(|(_, seat)| &seat.gpus).collect();
        let room = |r: usize, capacity: u64| own[r] == 0 || all[r] <= capacity;
        seats::newcomers(seats, &node.name).next().is_none()
            && room(0, node.cpu_milli)
            && room(1, node.memory)
            && unit.spec().is_none_or(|spec| {
                !spec.ports.iter().any(taken)
                    && spec.gpus.iter().all(|own| device_has_room(node, own, &uses))
            })
    }

    /// What a unit has of cpu and memory: its limit, else what is declared of it. Nothing where
    /// that is more than the node: it runs there with less, and nobody knows with how much.
    fn has(&self, id: &InstanceId, unit: &Sighting<'_>, node: &NodeInput) -> [u64; 2] {
        let declared =
            self.services.get(&id.service).map_or([0; 2], |it| [it.cpu_milli, it.memory]);
        let limits = unit.spec().map_or([0; 2], |it| [it.limits.cpu.milli, it.limits.memory.0]);
        let capacity = [node.cpu_milli, node.memory];
        [0, 1].map(|r| {
            let amount = if limits[r] > 0 { limits[r] } else { declared[r] };
            if amount > capacity[r] { 0 } else { amount }
        })
    }
}

/// Whether the node can run the service's form and nobody outside the cluster holds its ports.
fn can_run(own: &ServiceInput, node: &NodeInput) -> bool {
    let mut runtimes = own.require.iter().filter(|line| line.key == Key::Runtime);
    runtimes.all(|line| line.any_of.iter().any(|word| node.runtimes.contains(word)))
        && !own.host_ports.iter().any(|port| node.reserved_ports.contains(port))
}

fn fits(own: &ServiceInput, node: &NodeInput, others: &[&ServiceInput]) -> bool {
    let room = |capacity: u64, need: fn(&ServiceInput) -> u64| {
        let used: u128 = others.iter().map(|it| u128::from(need(it))).sum();
        used + u128::from(need(own)) <= u128::from(capacity)
    };
    let port = |it: &&ServiceInput| it.host_ports.iter().any(|port| own.host_ports.contains(port));
    let apart = |it: &&ServiceInput| {
        let stranger = it.name != own.name;
        stranger && (it.apart_from.contains(&own.name) || own.apart_from.contains(&it.name))
    };
    room(node.cpu_milli, |it| it.cpu_milli)
        && room(node.memory, |it| it.memory)
        && room(node.disk, |it| it.disk)
        && !others.iter().any(|it| port(it) || apart(it))
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
