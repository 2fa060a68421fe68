//! What a plan's placement counts: who has a place, who keeps running without one, who waits for
//! what, who is evicted and by whom.
//!
//! Knows where everything ends up. Refuses to decide it: one definition of each count serves every
//! plan, refused or not.

use std::{cmp::Reverse, collections::BTreeMap};

use devnet_schema::{
    desired::DesiredState,
    fleet::NodeStatus,
    name::{InstanceId, NodeName},
    placement::{Assignment, Eviction, PlacementReport, PlacementStatus, PriorityLevel},
};

use crate::{
    census::Census,
    seats::{self, Seat, Seats, Why},
};

/// Puts into the report what was decided of seats beside placement.
pub fn tell(
    desired: &DesiredState,
    census: &Census<'_>,
    seats: &Seats,
    report: &mut PlacementReport,
) {
    rows(census, seats, report);
    let moves = |(id, seat): &(&InstanceId, &Seat)| {
        let group = census.sightings.get(id).map_or(&[][..], Vec::as_slice);
        let waits = matches!(seat.why, Why::WaitsForData(_));
        !waits && !group.is_empty() && !group.iter().any(|unit| *unit.node() == seat.node)
    };
    report.moves = seats.by_instance.iter().filter(moves).count() as u32;
    report.kept = kept(seats).count() as u32;
    report.evictions = evictions(census, seats);
    report.evicted = report.evictions.len() as u32;
    levels(desired, census, seats, &mut report.levels);
    // What a service waits for may have a place only because that service has none.
    if seats.waiting.keys().any(|service| !seats::is_held(&seats.waiting, service)) {
        report.status = PlacementStatus::Infeasible;
    }
}

/// What keeps running though no node has room for it.
pub fn kept(seats: &Seats) -> impl Iterator<Item = &InstanceId> {
    let why = |seat: &Seat| matches!(seat.why, Why::Kept(_) | Why::KeptAsIs(_));
    let kept = seats.by_instance.iter().filter(move |(_, seat)| why(seat));
    kept.map(|(id, _)| id)
}

/// What waits for data on a node that is lost, with that node.
pub fn waiting_for_data<'s>(
    desired: &'s DesiredState,
    census: &'s Census<'_>,
    seats: &'s Seats,
) -> impl Iterator<Item = (&'s InstanceId, &'s NodeName)> {
    seats.by_instance.iter().filter_map(|(id, seat)| {
        let service = desired.services.get(&id.service)?;
        if matches!(seat.why, Why::WaitsForData(_)) {
            return Some((id, &seat.node));
        }
        let unit = census.best(id).filter(|unit| *unit.node() == seat.node)?;
        let waits = unit.status == NodeStatus::Lost && !service.volumes.is_empty();
        waits.then_some((id, &seat.node))
    })
}

fn rows(census: &Census<'_>, seats: &Seats, report: &mut PlacementReport) {
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
            Why::Kept(why) => keeps("without a place", &why.against),
            Why::KeptAsIs(why) => keeps("as it is", &why.against),
            Why::WaitsForData(_) => "waits for its data".to_owned(),
        };
        let row = Assignment {
            instance: id.clone(),
            node: seat.node.clone(),
            gpus: seat.gpus.clone(),
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

fn evictions(census: &Census<'_>, seats: &Seats) -> Vec<Eviction> {
    let evictions = seats.evicted.iter().filter_map(|(id, why)| {
        let node = census.best(id)?.node().clone();
        let by = why.by.as_ref().map(|(other, _)| other.clone());
        Some(Eviction { instance: id.clone(), node, by, reason: why.text() })
    });
    evictions.collect()
}

/// Counts in each level what waits apart from what is placed, and what of a service that waits was
/// no part of the problem.
fn levels(
    desired: &DesiredState,
    census: &Census<'_>,
    seats: &Seats,
    levels: &mut Vec<PriorityLevel>,
) {
    let priority = |id: &InstanceId| desired.services.get(&id.service).map(|it| it.priority);
    let mut by_priority: BTreeMap<Reverse<u8>, PriorityLevel> =
        levels.drain(..).map(|level| (Reverse(level.priority), level)).collect();
    let stranded = seats.stranded.keys();
    for id in waiting_for_data(desired, census, seats).map(|(id, _)| id).chain(stranded) {
        let level = priority(id).and_then(|it| by_priority.get_mut(&Reverse(it)));
        if let Some(level) = level.filter(|level| level.placed > 0) {
            level.placed -= 1;
            level.bound = level.bound.saturating_sub(1);
            level.waiting_for_data += 1;
        }
    }
    for id in kept(seats) {
        if let Some(level) = priority(id).and_then(|it| by_priority.get_mut(&Reverse(it))) {
            level.kept += 1;
            if seats.held.contains(id) {
                level.placed = level.placed.saturating_sub(1);
                level.bound = level.bound.saturating_sub(1);
            }
        }
    }
    for service in seats.waiting.keys().filter_map(|name| desired.services.get(name)) {
        let nothing =
            PriorityLevel { priority: service.priority, proven: true, ..PriorityLevel::default() };
        let level = by_priority.entry(Reverse(service.priority)).or_insert(nothing);
        level.wanted += service.replicas;
        level.waiting_for_service += service.replicas;
    }
    *levels = by_priority.into_values().collect();
}
