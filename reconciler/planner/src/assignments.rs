//! Where every wanted instance really ends up: what placement says, but for those that nothing may
//! be decided about.
//!
//! Knows who is held where it is, and why. Refuses to weigh one node against another.

use std::{cmp::Reverse, collections::BTreeSet};

use devnet_schema::{
    desired::Service,
    fleet::NodeStatus,
    instance::Runtime,
    name::{InstanceId, NodeName, ServiceName},
    placement::GpuUse,
};

use crate::{
    assignment::{Assignment, Assignments, Wait, Why, newcomers},
    blocked::Blocked,
    data::Home,
    hold::{Held, Hold, Holds, first_known, in_doubt, known_at},
    input::PlanInput,
    observations::Observations,
    observed::Observed,
    place::{Displaced, Outcome, PlacementProblem, Reason},
    reference,
    retained::Rooms,
    scope::Scope,
};

/// Declared services of which an instance is claimed by several nodes: nothing of them is touched.
pub(crate) fn disputed(input: &PlanInput<'_>, observations: &Observations<'_>) -> Blocked {
    let names = observations.disputed.keys().map(|id| &id.service);
    let declared = names.filter(|name| input.desired.services.contains_key(*name));
    declared.map(|name| (name.clone(), name.clone())).collect()
}

/// Settles every wanted instance of a service that is not known to wait, and finds who else waits
/// or is held as it is.
pub(crate) fn settle(
    input: &PlanInput<'_>,
    observations: &Observations<'_>,
    scope: &Scope,
    (blocked, holds): (Blocked, Holds),
    (problem, outcome): (&PlacementProblem, &Outcome),
) -> Assignments {
    let mut assignments = Assignments { holds, ..Assignments::default() };
    let mut placeless = Vec::new();
    let services = input.desired.services.values();
    for service in services.filter(|service| !blocked.contains_key(&service.name)) {
        for index in service.replicas.numbers() {
            let id = InstanceId { service: service.name.clone(), index };
            if assignments.holds.contains_key(&id) {
                assignments.keep(observations, service, &id, outcome);
                continue;
            }
            let assignment = assignment(observations, scope, &id, outcome);
            if assignment
                .as_ref()
                .is_none_or(|assignment| matches!(assignment.why, Why::KeptAsIs(_)))
            {
                placeless.push(id.clone());
            }
            assignments.by_instance.extend(assignment.map(|assignment| (id, assignment)));
        }
    }
    let rooms = Rooms::of(problem);
    placeless.sort_by_key(|id| (Reverse(rooms.priority(id)), id.clone()));
    for id in placeless {
        let Some(unit) = observations.best(&id).filter(|unit| unit.is_known()) else { continue };
        let home =
            input.desired.services.get(&id.service).and_then(|it| observations.home(it, &id));
        if let Some(home) = home.filter(|home| home.node != unit.node()) {
            // It would start where its data is, and cannot: it is not stopped for nothing.
            let hold = Hold::of(unit, Held::Away(home.node.clone()));
            assignments.holds.insert(id, hold);
            continue;
        }
        let mut why = outcome.displaced.get(&id).cloned().unwrap_or_default();
        if rooms.admit(&assignments.by_instance, &id, unit) {
            assignments.by_instance.insert(id, stay(unit, Vec::new(), Why::Kept(why)));
        } else if !assignments.by_instance.contains_key(&id) {
            let own = rooms.priority(&id);
            let comers = newcomers(&assignments.by_instance, unit.node());
            let comers = comers.filter(|it| rooms.priority(it) >= own);
            let first = comers.max_by_key(|it| (rooms.priority(it), Reverse(*it)));
            why.by = why.by.or_else(|| first.map(|it| (it.clone(), rooms.priority(it))));
            assignments.evicted.insert(id, why);
        }
    }
    hold(input, observations, outcome, &mut assignments);
    assignments.blocked = who_waits(input, &assignments, blocked);
    assignments.by_instance.retain(|id, _| !assignments.blocked.contains_key(&id.service));
    assignments.evicted.retain(|id, _| !assignments.blocked.contains_key(&id.service));
    assignments
}

fn assignment(
    observations: &Observations<'_>,
    scope: &Scope,
    id: &InstanceId,
    outcome: &Outcome,
) -> Option<Assignment> {
    let assigned = outcome.assignments.get(id);
    let gpus = || assigned.map_or(Vec::new(), |it| it.gpus.clone());
    if let Some(unit) = observations.best(id) {
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
        return observations.best(id).map(|unit| stay(unit, Vec::new(), Why::KeptAsIs(why)));
    }
    Some(Assignment {
        node: it.node.clone(),
        gpus: it.gpus.clone(),
        why: Why::Placed(it.reason.clone()),
    })
}

impl Assignments {
    /// Assignments what is held as it is.
    fn keep(
        &mut self,
        observations: &Observations<'_>,
        service: &Service,
        id: &InstanceId,
        outcome: &Outcome,
    ) {
        let Some(hold) = self.holds.get(id) else { return };
        let Some(unit) = observations.observed.get(id).into_iter().flatten().find(|it| hold.is(it))
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
fn hold(
    input: &PlanInput<'_>,
    observations: &Observations<'_>,
    outcome: &Outcome,
    assignments: &mut Assignments,
) {
    let placed: Vec<InstanceId> = assignments.by_instance.keys().cloned().collect();
    for id in placed {
        let service = input.desired.services.get(&id.service);
        let Some((service, home)) = service.and_then(|it| Some((it, observations.home(it, &id)?)))
        else {
            continue;
        };
        let assignment = &assignments.by_instance[&id];
        let settled = matches!(assignment.why, Why::Unknown | Why::OutOfScope);
        if settled || assignments.holds.contains_key(&id) {
            continue;
        }
        let wait = wait(observations, service, &id, home, assignment);
        let Some(wait) = wait.or_else(|| told(outcome, &id, home)) else { continue };
        if let Some(unit) = known_at(observations, &id, home.node) {
            if !matches!(assignment.why, Why::KeptAsIs(_)) {
                let why = match wait {
                    Wait::Runtime(of) => Held::Runtime(of),
                    Wait::Doubt(all) => Held::Doubt(all),
                    Wait::Told(against) => Held::Told(against),
                    _ => Held::Place,
                };
                assignments.holds.insert(id, Hold::of(unit, why));
            }
        } else if let Some(unit) = first_known(observations, &id) {
            let why = match wait {
                Wait::Doubt(all) => Held::Doubt(all),
                _ => Held::Away(home.node.clone()),
            };
            assignments.holds.insert(id, Hold::of(unit, why));
        } else if observations.nodes.contains_key(home.node) {
            let (node, why) = (home.node.clone(), Why::WaitsForData(wait));
            assignments.by_instance.insert(id, Assignment { node, gpus: Vec::new(), why });
        } else {
            assignments.by_instance.remove(&id);
            assignments.stranded.insert(id, home.node.clone());
        }
    }
}

/// A node may not draw an instance to itself by its word alone, nor by a receipt against what is
/// declared.
fn told(outcome: &Outcome, id: &InstanceId, home: &Home<'_>) -> Option<Wait> {
    if !home.claimed {
        return None;
    }
    let against = outcome.held.get(id).into_iter().flatten();
    let against: Vec<String> = against.map(|violation| violation.text.clone()).collect();
    (!home.shown || !against.is_empty()).then_some(Wait::Told(against))
}

/// What keeps an instance from its place there, being away from its data or unable to use it.
fn wait(
    observations: &Observations<'_>,
    service: &Service,
    id: &InstanceId,
    home: &Home<'_>,
    assignment: &Assignment,
) -> Option<Wait> {
    if home.doubtful {
        return Some(Wait::Doubt(in_doubt(home)));
    }
    let lost = home.lost(service);
    if !lost.is_empty() {
        if !home.may_be_left(service) {
            return Some(Wait::Missing(lost));
        }
        if assignment.node == *home.node {
            // It may start without its data, there too.
            return None;
        }
    }
    if assignment.node != *home.node {
        let pinned = service.place.pin.as_ref().is_some_and(|pin| pin.value == assignment.node);
        return match (home.may_be_left(service), home.older.contains(&assignment.node) && !pinned) {
            (true, false) => None,
            (true, true) => Some(Wait::Older(assignment.node.clone())),
            (false, _) if observations.status(home.node) == NodeStatus::Online => Some(Wait::Place),
            (false, _) => Some(Wait::Away),
        };
    }
    let seen = observations.observed.get(id).into_iter().flatten().any(|it| it.node() == home.node);
    if observations.status(home.node) != NodeStatus::Online && !seen {
        return Some(Wait::Away);
    }
    let as_is = matches!(assignment.why, Why::KeptAsIs(_));
    home.runtime.filter(|of| !as_is && *of != service.runtime).map(Wait::Runtime)
}

/// What is against running a service with another driver than the one that has its data.
pub(crate) fn other_driver(of: Runtime, service: &Service) -> String {
    let (of, now) = (of.as_str(), service.runtime.as_str());
    format!("its data is kept by {of}, and it is declared to run with {now}")
}

/// Where it is, with the devices it has; with `gpus` where those are not known.
fn stay(unit: &Observed<'_>, gpus: Vec<GpuUse>, why: Why) -> Assignment {
    let gpus = unit.spec().map_or(gpus, |spec| spec.gpus.clone());
    Assignment { node: unit.node().clone(), gpus, why }
}

/// Services whose dependencies have no place, directly or through others. They could not start, and
/// their templates may need the address of what is not there.
fn who_waits(input: &PlanInput<'_>, assignments: &Assignments, mut blocked: Blocked) -> Blocked {
    let placed: BTreeSet<&ServiceName> =
        assignments.by_instance.keys().map(|id| &id.service).collect();
    let services = input.desired.services.values();
    let absent: BTreeSet<&ServiceName> = services
        .filter(|service| service.replicas.count() > 0 && !placed.contains(&service.name))
        .map(|service| &service.name)
        .collect();
    loop {
        let before = blocked.len();
        for service in input.desired.services.values() {
            let declared = service.depends_on.iter().map(|it| &it.value);
            let named = absent
                .iter()
                .copied()
                .chain(blocked.keys())
                .filter(|&other| *other != service.name && reference::names(service, other));
            let stuck = |name: &&ServiceName| absent.contains(name) || blocked.contains_key(*name);
            let missing = declared.filter(stuck).chain(named).next().cloned();
            if let Some(name) = missing.filter(|_| placed.contains(&service.name)) {
                blocked.insert(service.name.clone(), name);
            }
        }
        if blocked.len() == before {
            return blocked;
        }
    }
}
