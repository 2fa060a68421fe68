//! Where every wanted instance really ends up: what placement says, but for those that nothing may
//! be decided about.
//!
//! Knows who is held where it is, and why. Refuses to weigh one node against another.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use devnet_schema::{
    desired::Service,
    fleet::NodeStatus,
    instance::Runtime,
    name::{InstanceId, NodeName, ServiceName},
    placement::GpuUse,
};

use crate::{
    census::{Census, Sighting},
    data::Home,
    hold::{Held, Hold, Holds, first_known, in_doubt, known_at},
    input::PlanInput,
    kept::Rooms,
    place::{Displaced, Outcome, PlacementProblem, Reason},
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
    Kept(Displaced),
    /// The same, but as it is: what is declared now would have no room there either.
    KeptAsIs(Displaced),
    /// It does not run, and may start nowhere but where its data is.
    WaitsForData(Wait),
}

/// Why an instance does not start where its data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The node does not answer, or is not in the fleet.
    Away,
    /// There is no room for it, or something else is against it.
    Place,
    /// The data is with another driver than the one that runs it by now.
    Runtime(Runtime),
    /// There is data of it here and there, by node and name, and nobody knows which is the newest.
    Doubt(Vec<(NodeName, InstanceId)>),
    /// It may leave its data, and would go to a node that has older data of it.
    Older(NodeName),
    /// Only that node says that it has its data, and the service is not to run there, for these
    /// reasons.
    Told(Vec<String>),
}

/// Where everything ends up.
#[derive(Debug, Clone, Default)]
pub struct Seats {
    /// Every instance that has a place, by identity.
    pub by_instance: BTreeMap<InstanceId, Seat>,
    /// What runs, is known to, and stops because no node has room for it.
    pub evicted: BTreeMap<InstanceId, Displaced>,
    /// Of what keeps running as it is, those that placement counted as placed.
    pub held: BTreeSet<InstanceId>,
    /// What goes on as it is because of its data, and why.
    pub holds: Holds,
    /// What has no place because its data is on a node that is not in the fleet.
    pub stranded: BTreeMap<InstanceId, NodeName>,
    /// Services that wait because one they depend on has no place at all, with its name.
    pub waiting: Waiting,
}

impl Seats {
    /// The unit that an instance goes on with where it ends up.
    pub fn unit<'c, 'a>(
        &self,
        census: &'c Census<'a>,
        id: &InstanceId,
    ) -> Option<&'c Sighting<'a>> {
        let (seat, hold) = (self.by_instance.get(id)?, self.holds.get(id));
        let mut group = census.sightings.get(id)?.iter();
        group.find(|unit| match hold {
            Some(hold) => hold.is(unit),
            None => *unit.node() == seat.node,
        })
    }

    /// Whether the instance ends up on that node.
    pub fn puts(&self, instance: &InstanceId, node: &NodeName) -> bool {
        self.by_instance.get(instance).is_some_and(|seat| seat.node == *node)
    }
}

/// Who comes to a node.
pub fn newcomers<'s>(
    seats: &'s BTreeMap<InstanceId, Seat>,
    node: &NodeName,
) -> impl Iterator<Item = &'s InstanceId> {
    let here = seats.iter().filter(move |(_, seat)| seat.node == *node);
    here.filter(|(_, seat)| {
        matches!(seat.why, Why::Placed(Reason::New { .. } | Reason::Moves { .. }))
    })
    .map(|(id, _)| id)
}

/// Services that wait, each with the one that it waits for. One that is disputed waits for itself.
pub type Waiting = BTreeMap<ServiceName, ServiceName>;

/// Declared services of which an instance is claimed by several nodes: nothing of them is touched.
pub fn disputed(input: &PlanInput<'_>, census: &Census<'_>) -> Waiting {
    let names = census.disputed.keys().map(|id| &id.service);
    let declared = names.filter(|name| input.desired.services.contains_key(*name));
    declared.map(|name| (name.clone(), name.clone())).collect()
}

/// Whether a service waits for the end of a dispute, its own or that of another.
pub fn is_held(waiting: &Waiting, service: &ServiceName) -> bool {
    let mut name = service;
    for _ in 0..=waiting.len() {
        match waiting.get(name) {
            Some(missing) if missing == name => return true,
            Some(missing) => name = missing,
            None => return false,
        }
    }
    false
}

/// Settles every wanted instance of a service that is not known to wait, and finds who else waits
/// or is held as it is.
pub fn settle(
    input: &PlanInput<'_>,
    census: &Census<'_>,
    scope: &Scope,
    (waiting, holds): (Waiting, Holds),
    (problem, outcome): (&PlacementProblem, &Outcome),
) -> Seats {
    let mut seats = Seats { holds, ..Seats::default() };
    let mut placeless = Vec::new();
    let services = input.desired.services.values();
    for service in services.filter(|service| !waiting.contains_key(&service.name)) {
        for index in 0..service.replicas {
            let id = InstanceId { service: service.name.clone(), index };
            if seats.holds.contains_key(&id) {
                seats.keep(census, service, &id, outcome);
                continue;
            }
            let seat = seat(census, scope, &id, outcome);
            if seat.as_ref().is_none_or(|seat| matches!(seat.why, Why::KeptAsIs(_))) {
                placeless.push(id.clone());
            }
            seats.by_instance.extend(seat.map(|seat| (id, seat)));
        }
    }
    let rooms = Rooms::of(problem);
    placeless.sort_by_key(|id| (Reverse(rooms.priority(id)), id.clone()));
    for id in placeless {
        let Some(unit) = census.best(&id).filter(|unit| unit.is_known()) else { continue };
        let home = input.desired.services.get(&id.service).and_then(|it| census.home(it, &id));
        if let Some(home) = home.filter(|home| home.node != unit.node()) {
            // It would start where its data is, and cannot: it is not stopped for nothing.
            let hold = Hold::of(unit, Held::Away(home.node.clone()));
            seats.holds.insert(id, hold);
            continue;
        }
        let mut why = outcome.displaced.get(&id).cloned().unwrap_or_default();
        if rooms.admit(&seats.by_instance, &id, unit) {
            seats.by_instance.insert(id, stay(unit, Vec::new(), Why::Kept(why)));
        } else if !seats.by_instance.contains_key(&id) {
            let own = rooms.priority(&id);
            let comers = newcomers(&seats.by_instance, unit.node());
            let comers = comers.filter(|it| rooms.priority(it) >= own);
            let first = comers.max_by_key(|it| (rooms.priority(it), Reverse(*it)));
            why.by = why.by.or_else(|| first.map(|it| (it.clone(), rooms.priority(it))));
            seats.evicted.insert(id, why);
        }
    }
    hold(input, census, outcome, &mut seats);
    seats.waiting = who_waits(input, &seats, waiting);
    seats.by_instance.retain(|id, _| !seats.waiting.contains_key(&id.service));
    seats.evicted.retain(|id, _| !seats.waiting.contains_key(&id.service));
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
    if it.reason == Reason::Retained {
        let why = outcome.displaced.get(id).cloned().unwrap_or_default();
        return census.best(id).map(|unit| stay(unit, Vec::new(), Why::KeptAsIs(why)));
    }
    Some(Seat { node: it.node.clone(), gpus: it.gpus.clone(), why: Why::Placed(it.reason.clone()) })
}

impl Seats {
    /// Seats what is held as it is.
    fn keep(&mut self, census: &Census<'_>, service: &Service, id: &InstanceId, outcome: &Outcome) {
        let Some(hold) = self.holds.get(id) else { return };
        let Some(unit) = census.sightings.get(id).into_iter().flatten().find(|it| hold.is(it))
        else {
            return;
        };
        let against = match &hold.why {
            Held::Runtime(of) => vec![other_driver(*of, service)],
            _ => Vec::new(),
        };
        let why = Why::KeptAsIs(Displaced { by: None, against });
        let assigned = outcome.assignments.get(id);
        if assigned.is_some_and(|it| it.reason != Reason::Retained) {
            self.held.insert(id.clone());
        }
        self.by_instance.insert(id.clone(), stay(unit, Vec::new(), why));
    }
}

/// Sees to it that no instance starts away from its data, whatever placement says: where it may not
/// leave it, it goes on as it is, or waits.
fn hold(input: &PlanInput<'_>, census: &Census<'_>, outcome: &Outcome, seats: &mut Seats) {
    let placed: Vec<InstanceId> = seats.by_instance.keys().cloned().collect();
    for id in placed {
        let service = input.desired.services.get(&id.service);
        let Some((service, home)) = service.and_then(|it| Some((it, census.home(it, &id)?))) else {
            continue;
        };
        let seat = &seats.by_instance[&id];
        let settled = matches!(seat.why, Why::Unknown | Why::OutOfScope);
        if settled || seats.holds.contains_key(&id) {
            continue;
        }
        let wait = wait(census, service, &id, home, seat);
        let Some(wait) = wait.or_else(|| told(outcome, &id, home)) else { continue };
        if let Some(unit) = known_at(census, &id, home.node) {
            if !matches!(seat.why, Why::KeptAsIs(_)) {
                let why = match wait {
                    Wait::Runtime(of) => Held::Runtime(of),
                    Wait::Doubt(all) => Held::Doubt(all),
                    _ => Held::Place,
                };
                seats.holds.insert(id, Hold::of(unit, why));
            }
        } else if let Some(unit) = first_known(census, &id) {
            let why = match wait {
                Wait::Doubt(all) => Held::Doubt(all),
                _ => Held::Away(home.node.clone()),
            };
            seats.holds.insert(id, Hold::of(unit, why));
        } else if census.nodes.contains_key(home.node) {
            let (node, why) = (home.node.clone(), Why::WaitsForData(wait));
            seats.by_instance.insert(id, Seat { node, gpus: Vec::new(), why });
        } else {
            seats.by_instance.remove(&id);
            seats.stranded.insert(id, home.node.clone());
        }
    }
}

/// A node may not draw an instance to itself by its word alone, against what is declared.
fn told(outcome: &Outcome, id: &InstanceId, home: &Home<'_>) -> Option<Wait> {
    let against = outcome.held.get(id).filter(|against| home.claimed && !against.is_empty())?;
    Some(Wait::Told(against.iter().map(|violation| violation.text.clone()).collect()))
}

/// What keeps an instance from its place there, being away from its data or unable to use it.
fn wait(
    census: &Census<'_>,
    service: &Service,
    id: &InstanceId,
    home: &Home<'_>,
    seat: &Seat,
) -> Option<Wait> {
    if home.doubtful {
        return Some(Wait::Doubt(in_doubt(home)));
    }
    if seat.node != *home.node {
        let pinned = service.place.pin.as_ref().is_some_and(|pin| pin.value == seat.node);
        return match (home.may_be_left(service), home.older.contains(&seat.node) && !pinned) {
            (true, false) => None,
            (true, true) => Some(Wait::Older(seat.node.clone())),
            (false, _) if census.status(home.node) == NodeStatus::Online => Some(Wait::Place),
            (false, _) => Some(Wait::Away),
        };
    }
    let seen = census.sightings.get(id).into_iter().flatten().any(|it| it.node() == home.node);
    if census.status(home.node) != NodeStatus::Online && !seen {
        return Some(Wait::Away);
    }
    let as_is = matches!(seat.why, Why::KeptAsIs(_));
    home.runtime.filter(|of| !as_is && *of != service.runtime).map(Wait::Runtime)
}

/// What is against running a service with another driver than the one that has its data.
pub fn other_driver(of: Runtime, service: &Service) -> String {
    let (of, now) = (of.as_str(), service.runtime.as_str());
    format!("its data is kept by {of}, and it is declared to run with {now}")
}

/// Where it is, with the devices it has; with `gpus` where those are not known.
fn stay(unit: &Sighting<'_>, gpus: Vec<GpuUse>, why: Why) -> Seat {
    let gpus = unit.spec().map_or(gpus, |spec| spec.gpus.clone());
    Seat { node: unit.node().clone(), gpus, why }
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
