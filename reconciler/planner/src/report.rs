//! What a plan's placement counts: who has a place, who keeps running without one, who waits for
//! what, who is evicted and by whom.
//!
//! Knows where everything ends up. Refuses to decide it: one definition of each count serves every
//! plan, refused or not.

use std::{cmp::Reverse, collections::BTreeMap};

use devnet_schema::{
    desired::{DesiredState, Selector, Service},
    diagnostic::Located,
    fleet::NodeStatus,
    name::{InstanceId, NodeName},
    placement::{self, Eviction, PlacementReport, PlacementStatus, PriorityLevel},
};

use crate::{
    assignment::{Assignment, Assignments, Why},
    blocked,
    observations::Observations,
};

/// Puts into the report what was decided of assignments beside placement.
pub(crate) fn tell(
    desired: &DesiredState,
    observations: &Observations<'_>,
    assignments: &Assignments,
    report: &mut PlacementReport,
) {
    rows(observations, assignments, report);
    let moves = |(id, assignment): &(&InstanceId, &Assignment)| {
        let group = observations.observed.get(id).map_or(&[][..], Vec::as_slice);
        let waits = matches!(assignment.why, Why::WaitsForData(_));
        !waits && !group.is_empty() && !group.iter().any(|unit| *unit.node() == assignment.node)
    };
    report.moves = assignments.by_instance.iter().filter(moves).count() as u32;
    report.kept = kept(assignments).count() as u32;
    report.evictions = evictions(observations, assignments);
    report.evicted = report.evictions.len() as u32;
    levels(desired, observations, assignments, &mut report.levels);
    // What a service waits for may have a place only because that service has none.
    if assignments.blocked.keys().any(|service| !blocked::is_held(&assignments.blocked, service)) {
        report.status = PlacementStatus::Infeasible;
    }
}

/// What keeps running though no node has room for it.
pub(crate) fn kept(assignments: &Assignments) -> impl Iterator<Item = &InstanceId> {
    let why = |assignment: &Assignment| matches!(assignment.why, Why::Kept(_) | Why::KeptAsIs(_));
    let kept = assignments.by_instance.iter().filter(move |(_, assignment)| why(assignment));
    kept.map(|(id, _)| id)
}

/// What waits for data on a node that is lost, with that node.
pub(crate) fn waiting_for_data<'s>(
    desired: &'s DesiredState,
    observations: &'s Observations<'_>,
    assignments: &'s Assignments,
) -> impl Iterator<Item = (&'s InstanceId, &'s NodeName)> {
    assignments.by_instance.iter().filter_map(|(id, assignment)| {
        let service = desired.services.get(&id.service)?;
        if matches!(assignment.why, Why::WaitsForData(_)) {
            return Some((id, &assignment.node));
        }
        let unit = observations.best(id).filter(|unit| *unit.node() == assignment.node)?;
        let waits = unit.status == NodeStatus::Lost && !service.volumes.is_empty();
        waits.then_some((id, &assignment.node))
    })
}

fn rows(observations: &Observations<'_>, assignments: &Assignments, report: &mut PlacementReport) {
    let mut rows: BTreeMap<InstanceId, placement::Assignment> =
        report.assignments.drain(..).map(|row| (row.instance.clone(), row)).collect();
    rows.retain(|id, _| assignments.by_instance.contains_key(id));
    for (id, assignment) in &assignments.by_instance {
        let reason = match &assignment.why {
            Why::Placed(_) => continue,
            Why::Unknown => match observations.best(id) {
                Some(unit) => format!("stays: {}", unit.why_unknown()),
                None => continue,
            },
            Why::OutOfScope => "stays: this plan does not touch it".to_owned(),
            Why::Kept(why) => keeps("without a place", &why.against),
            Why::KeptAsIs(why) => keeps("as it is", &why.against),
            Why::WaitsForData(_) => "waits for its data".to_owned(),
        };
        let row = placement::Assignment {
            instance: id.clone(),
            node: assignment.node.clone(),
            gpus: assignment.gpus.clone(),
            reason,
        };
        rows.insert(id.clone(), row);
    }
    report.assignments = rows.into_values().collect();
}

fn keeps(how: &str, against: &[String]) -> String {
    match against {
        [] => format!("keeps running {how}"),
        some => format!("keeps running {how}: {}", some.join(", ")),
    }
}

fn evictions(observations: &Observations<'_>, assignments: &Assignments) -> Vec<Eviction> {
    let evictions = assignments.evicted.iter().filter_map(|(id, why)| {
        let node = observations.best(id)?.node().clone();
        let by = why.by.as_ref().map(|(other, _)| other.clone());
        Some(Eviction { instance: id.clone(), node, by, reason: why.text() })
    });
    evictions.collect()
}

/// Counts in each level what waits apart from what is placed, and what of a service that waits was
/// no part of the problem.
fn levels(
    desired: &DesiredState,
    observations: &Observations<'_>,
    assignments: &Assignments,
    levels: &mut Vec<PriorityLevel>,
) {
    let priority = |id: &InstanceId| desired.services.get(&id.service).map(|it| it.priority);
    let mut by_priority: BTreeMap<Reverse<u8>, PriorityLevel> =
        levels.drain(..).map(|level| (Reverse(level.priority), level)).collect();
    let stranded = assignments.stranded.keys();
    for id in waiting_for_data(desired, observations, assignments).map(|(id, _)| id).chain(stranded)
    {
        let level = priority(id).and_then(|it| by_priority.get_mut(&Reverse(it)));
        if let Some(level) = level.filter(|level| level.placed > 0) {
            level.placed -= 1;
            level.bound = level.bound.saturating_sub(1);
            level.waiting_for_data += 1;
        }
    }
    for id in kept(assignments) {
        if let Some(level) = priority(id).and_then(|it| by_priority.get_mut(&Reverse(it))) {
            level.kept += 1;
            if assignments.held.contains(id) {
                level.placed = level.placed.saturating_sub(1);
                level.bound = level.bound.saturating_sub(1);
            }
        }
    }
    for service in assignments.blocked.keys().filter_map(|name| desired.services.get(name)) {
        let nothing =
            PriorityLevel { priority: service.priority, proven: true, ..PriorityLevel::default() };
        let level = by_priority.entry(Reverse(service.priority)).or_insert(nothing);
        level.wanted += service.replicas.count();
        level.waiting_for_service += service.replicas.count();
    }
    *levels = by_priority.into_values().collect();
}

/// Placement's reason for a move as a clause, with the place of the line that speaks: what it says
/// of the service begins with a verb, what it says of anything else names that.
pub(crate) fn moved(service: Option<&Service>, because: &str) -> String {
    if let Some(pin) = because.strip_prefix("is pinned to ") {
        let at = service.and_then(|service| service.place.pin.as_ref()).map(|pin| &pin.at);
        return at.map_or(format!("pinned to {pin}"), |at| format!("pinned to {pin} at {at}"));
    }
    let of_service = ["requires ", "forbids ", "needs ", "must ", "runs ", "makes ", "would "];
    if !of_service.iter().any(|verb| because.starts_with(verb)) {
        return because.to_owned();
    }
    let lines = service.into_iter().flat_map(|it| it.place.require.iter().chain(&it.place.forbid));
    let filter = because.starts_with("requires ") || because.starts_with("forbids ");
    let named = |line: &&Located<Selector>| line.value.any_of.iter().any(|it| because.contains(it));
    match lines.filter(|_| filter).find(named) {
        Some(line) => format!("it {because} at {}", line.at),
        None => format!("it {because}"),
    }
}
