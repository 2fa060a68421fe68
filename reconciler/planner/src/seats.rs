//! Where every wanted instance really ends up: what placement says, but for those that nothing may
//! be decided about.
//!
//! Knows who is held where it is, and why. Refuses to weigh one node against another.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    fleet::NodeStatus,
    name::{InstanceId, NodeName, ServiceName},
    placement::{Assignment, GpuUse, PlacementReport},
    quantity::GpuRequest,
};

use crate::{
    census::{Census, Sighting},
    input::PlanInput,
    place::{Outcome, PlacementProblem, Reason, ServiceInput},
    reference,
    scope::Scope,
};

/// Where an instance ends up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// On which node.
    pub node: NodeName,
    /// On which devices.
    pub gpus: Vec<GpuUse>,
    /// Why.
    pub why: Why,
}

/// Why an instance is where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Placement says so.
    Placed(Reason),
    /// Its state is not known, so nothing is decided about it.
    Unknown,
    /// The plan may not touch it.
    OutOfScope,
    /// It fits nowhere and disturbs nobody where it runs.
    NoRoom,
}

/// Where everything ends up.
#[derive(Debug, Clone, Default)]
pub struct Seats {
    /// Every instance that has a place, by identity.
    pub by_instance: BTreeMap<InstanceId, Seat>,
    /// Services that wait because one they depend on has no place at all, with its name.
    pub waiting: Waiting,
}

impl Seats {
    /// Whether the instance ends up on that node.
    pub fn puts(&self, instance: &InstanceId, node: &NodeName) -> bool {
        self.by_instance.get(instance).is_some_and(|seat| seat.node == *node)
    }
}

/// Services that wait, each with the one that it waits for.
pub type Waiting = BTreeMap<ServiceName, ServiceName>;

/// Settles every wanted instance of a service that is not known to wait, finds who else waits, and
/// tells the report where it was overruled.
pub fn settle(
    input: &PlanInput<'_>,
    census: &Census<'_>,
    scope: &Scope,
    waiting: Waiting,
    (problem, outcome): (&PlacementProblem, &Outcome),
    report: &mut PlacementReport,
) -> Seats {
    let mut seats = Seats::default();
    let mut homeless = Vec::new();
    let services = input.desired.services.values();
    for service in services.filter(|service| !waiting.contains_key(&service.name)) {
        for index in 0..service.replicas {
            let id = InstanceId { service: service.name.clone(), index };
            match seat(census, scope, &id, outcome) {
                Some(seat) => drop(seats.by_instance.insert(id, seat)),
                None => homeless.push(id),
            }
        }
    }
    for id in homeless {
        let unit = census.best(&id).filter(|unit| unit.is_known());
        if let Some(unit) = unit.filter(|unit| has_room(problem, &seats, &id, unit)) {
            seats.by_instance.insert(id, stay(unit, Vec::new(), Why::NoRoom));
        }
    }
    seats.waiting = who_waits(input, &seats, waiting);
    seats.by_instance.retain(|id, _| !seats.waiting.contains_key(&id.service));
    tell(&seats, census, report);
    report.evicted = evicted(input, census, &seats);
    seats
}

fn seat(census: &Census<'_>, scope: &Scope, id: &InstanceId, outcome: &Outcome) -> Option<Seat> {
    let assigned = outcome.assignments.get(id);
    let gpus = || assigned.map_or(Vec::new(), |it| it.gpus.clone());
    if let Some(unit) = census.best(id) {
        let same = assigned.is_some_and(|it| it.node == *unit.node());
        if !unit.is_known() && (unit.status != NodeStatus::Lost || same) {
            return Some(stay(unit, gpus(), Why::Unknown));
        }
        let nodes: Vec<&NodeName> =
            assigned.iter().map(|it| &it.node).chain([unit.node()]).collect();
        if !scope.holds(id, &nodes) {
            return Some(stay(unit, gpus(), Why::OutOfScope));
        }
    }
    let it = assigned?;
    Some(Seat { node: it.node.clone(), gpus: it.gpus.clone(), why: Why::Placed(it.reason.clone()) })
}

/// Where it is, with the devices it has; with `gpus` where those are not known.
fn stay(unit: &Sighting<'_>, gpus: Vec<GpuUse>, why: Why) -> Seat {
    let gpus = unit.spec().map_or(gpus, |spec| spec.gpus.clone());
    Seat { node: unit.node().clone(), gpus, why }
}

/// Whether an instance that no node has room for can stay where it runs without taking anything
/// from those that were placed.
fn has_room(
    problem: &PlacementProblem,
    seats: &Seats,
    id: &InstanceId,
    unit: &Sighting<'_>,
) -> bool {
    let of = |name: &ServiceName| problem.services.iter().find(|it| it.name == *name);
    let node = problem.nodes.iter().find(|it| it.name == *unit.node());
    let (Some(own), Some(node)) = (of(&id.service), node) else {
        return false;
    };
    let others = || seats.by_instance.iter().filter(|(_, seat)| seat.node == node.name);
    let services: Vec<&ServiceInput> = others().filter_map(|(id, _)| of(&id.service)).collect();
    let fits = |capacity: u64, need: fn(&ServiceInput) -> u64| {
        let used: u128 = services.iter().map(|it| u128::from(need(it))).sum();
        used + u128::from(need(own)) <= u128::from(capacity)
    };
    let fits = fits(node.cpu_milli, |it| it.cpu_milli)
        && fits(node.memory, |it| it.memory)
        && fits(node.disk, |it| it.disk);
    let ports = |it: &&ServiceInput| it.host_ports.iter().any(|port| own.host_ports.contains(port));
    let apart =
        |it: &&ServiceInput| it.apart_from.contains(&own.name) || own.apart_from.contains(&it.name);
    let used: BTreeSet<&str> =
        others().flat_map(|(_, seat)| seat.gpus.iter().map(|gpu| gpu.id.as_str())).collect();
    let mine = unit.spec().map_or(&[][..], |spec| &spec.gpus);
    let device = own.gpu == GpuRequest::None
        || (!mine.is_empty() && !mine.iter().any(|gpu| used.contains(gpu.id.as_str())));
    fits && device && !services.iter().any(|it| ports(it) || apart(it))
}

/// Services whose dependencies have no place, directly or through others. They could not start, and
/// their templates may need the address of what is not there.
fn who_waits(input: &PlanInput<'_>, seats: &Seats, mut waiting: Waiting) -> Waiting {
    let placed: BTreeSet<&ServiceName> = seats.by_instance.keys().map(|id| &id.service).collect();
    let services = input.desired.services.values();
    let absent: BTreeSet<&ServiceName> = services
        .filter(|service| service.replicas > 0 && !placed.contains(&service.name))
        .map(|service| &service.name)
        .collect();
    loop {
        let before = waiting.len();
        for service in input.desired.services.values() {
            let declared = service.depends_on.iter().map(|it| &it.value);
            let named = absent
                .iter()
                .copied()
                .chain(waiting.keys())
                .filter(|&other| *other != service.name && reference::names(service, other));
            let stuck = |name: &&ServiceName| absent.contains(name) || waiting.contains_key(*name);
            let blocked = declared.filter(stuck).chain(named).next().cloned();
            if let Some(name) = blocked.filter(|_| placed.contains(&service.name)) {
                waiting.insert(service.name.clone(), name);
            }
        }
        if waiting.len() == before {
            return waiting;
        }
    }
}

/// Puts into the report what was decided here instead of by placement.
fn tell(seats: &Seats, census: &Census<'_>, report: &mut PlacementReport) {
    let mut rows: BTreeMap<InstanceId, Assignment> =
        report.assignments.drain(..).map(|row| (row.instance.clone(), row)).collect();
    rows.retain(|id, _| seats.by_instance.contains_key(id));
    for (id, seat) in &seats.by_instance {
        let reason = match &seat.why {
            Why::Placed(_) => continue,
            Why::Unknown => match census.best(id) {
                Some(unit) => format!("stays: {}", unit.why_unknown()),
                None => continue,
            },
            Why::OutOfScope => "stays: this plan does not touch it".to_owned(),
            Why::NoRoom => "stays where it runs: it would fit nowhere else".to_owned(),
        };
        let row = Assignment {
            instance: id.clone(),
            node: seat.node.clone(),
            gpus: seat.gpus.clone(),
            reason,
        };
        rows.insert(id.clone(), row);
    }
    let moves = |(id, seat): &(&InstanceId, &Seat)| {
        let group = census.sightings.get(id).map_or(&[][..], Vec::as_slice);
        !group.is_empty() && !group.iter().any(|unit| *unit.node() == seat.node)
    };
    report.moves = seats.by_instance.iter().filter(moves).count() as u32;
    report.assignments = rows.into_values().collect();
}

/// Instances that were seen and are wanted, and have no place now. What waits goes on running.
fn evicted(input: &PlanInput<'_>, census: &Census<'_>, seats: &Seats) -> u32 {
    let gone = census.sightings.keys().filter(|id| {
        let service = input.desired.services.get(&id.service);
        service.is_some_and(|service| id.index < service.replicas)
            && !seats.by_instance.contains_key(*id)
            && !seats.waiting.contains_key(&id.service)
    });
    gone.count() as u32
}
