//! Remedies that take several changes at once, for when nothing smaller helps.
//!
//! Knows what has to change for a service and all that it must be near. Refuses to know what it
//! does to others.
//!
//! A service near another that waits too can only be placed with it. At most three lines, and room
//! on one node.

use std::collections::BTreeMap;

use super::{
    change::{self, Change, Resource},
    headroom, lifting, new_node, new_zones,
    remedy::{self, CandidateRemedy},
};
use crate::place::{
    explain::{reclaimable, violation},
    ix::{NodeIx, ServiceIx},
    model::{filter, partial::PartialPlacement},
    problem::{Constraint, Key},
};

/// Lines of the file, ports and cordons of one remedy at most, beside room on one node.
const TOGETHER: usize = 3;

/// Remedies that are handed on at most.
const MOST: usize = 8;

/// All that could let the service have a node, cheapest first: with what it must be near, or
/// `alone` and without that line.
pub(crate) fn remedies(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    alone: bool,
) -> Vec<CandidateRemedy> {
    let missing = partial.missing(service);
    let near = group(partial, service);
    let groups = match (alone, near.len()) {
        (false, 1) => vec![Group::of(service, &near, &|_| 1)],
        // One of each that it must be near, or all that wait of them.
        (false, _) => {
            vec![
                Group::of(service, &near, &|_| 1),
                Group::of(service, &near, &|other| partial.missing(other).max(1)),
            ]
        }
        (true, 1) => Vec::new(),
        (true, _) => vec![Group { company: Vec::new(), service }],
    };
    let mut all: Vec<(Vec<Change>, Vec<NodeIx>, u32)> = Vec::new();
    let mut aims = vec![missing, 1];
    aims.dedup();
    for aim in aims {
        for group in &groups {
            for node in partial.indexed.nodes.positions() {
                all.extend(
                    on_node(partial, group, node, aim).map(|changes| (changes, vec![node], aim)),
                );
            }
            let nodes = on_new_node(partial, group, aim);
            all.extend(nodes.into_iter().map(|changes| (changes, Vec::new(), aim)));
        }
    }
    all.retain(|(changes, ..)| !changes.is_empty());
    all.sort_by_cached_key(|(changes, _, aim)| {
        let cost = change::cost(changes) + change::cost_of_waiting(missing - aim);
        ((cost * 100.0) as u64, remedy::amount(partial, changes), changes.clone())
    });
    all.dedup_by(|a, b| a.0 == b.0);
    all.truncate(MOST);
    let remedy = |(changes, nodes, aim)| CandidateRemedy { changes, nodes, crowded: None, aim };
    all.into_iter().map(remedy).collect()
}

/// Who is placed together.
struct Group {
    /// Those that the service must be near and how many of each, each behind those that it needs
    /// itself; none where the service is to go without.
    company: Vec<(ServiceIx, u32)>,
    /// The service in question.
    service: ServiceIx,
}

impl Group {
    /// The service, and before it the others of its group.
    pub(super) fn of(
        service: ServiceIx,
        group: &[ServiceIx],
        count: &dyn Fn(ServiceIx) -> u32,
    ) -> Self {
        let company = group.iter().filter(|other| **other != service);
        Self { company: company.map(|&other| (other, count(other))).collect(), service }
    }

    /// Whether a service goes where it is put whatever it should be near.
    fn is_alone(&self, partial: &PartialPlacement<'_>, other: ServiceIx) -> bool {
        other == self.service
            && self.company.is_empty()
            && !partial.indexed.services[other].near.is_empty()
    }
}

/// The service and all that must be where it is, each behind those that it needs.
fn group(partial: &PartialPlacement<'_>, service: ServiceIx) -> Vec<ServiceIx> {
    let mut group = Vec::new();
    let mut open = vec![(service, false)];
    while let Some((other, ready)) = open.pop() {
        if group.contains(&other) {
            continue;
        }
        if ready {
            group.push(other);
            continue;
        }
        let waits = open.contains(&(other, true));
        if waits {
            continue;
        }
        open.push((other, true));
        open.extend(partial.indexed.services[other].near.iter().map(|&near| (near, false)));
    }
    group
}

/// A change for one of the group.
fn of(group: &Group, other: ServiceIx, change: Change) -> Change {
    match change {
        Change::Uncordon { .. } => change,
        _ if group.service == other => change,
        _ => Change::Of { service: other, change: Box::new(change) },
    }
}

/// What lets so many of the service, and one of each of its group, have the node.
fn on_node(
    partial: &PartialPlacement<'_>,
    group: &Group,
    node: NodeIx,
    aim: u32,
) -> Option<Vec<Change>> {
    let service = group.service;
    let mut trial = partial.clone();
    let (mut lines, mut devices) = (Vec::new(), Vec::new());
    let mut rooms: BTreeMap<Resource, u64> = BTreeMap::new();
    let company =
        group.company.iter().copied().filter(|(other_ix, _)| partial.count(*other_ix, node) == 0);
    for (other_ix, wanted) in company.chain([(service, aim)]) {
        let (own, room) =
            of_one(&trial, (other_ix, node), wanted, group.is_alone(partial, other_ix))?;
        lines.extend(own.into_iter().map(|change| of(group, other_ix, change)));
        for change in room {
            match change {
                Change::Free { what, amount, .. } | Change::Raise { what, amount, .. }
                    if Resource::OF_NODE.contains(&what) =>
                {
                    *rooms.entry(what).or_insert(0) += amount;
                }
                other => devices.push(of(group, other_ix, other)),
            }
        }
        (0..wanted).for_each(|_| trial.add(other_ix, node));
    }
    lines.sort();
    lines.dedup();
    let few = lines.len() <= TOGETHER;
    let room = rooms.into_iter().map(|(what, amount)| match what as usize {
        resource if reclaimable::could_be_freed(partial, (service, node), resource, amount) => {
            Change::Free { node, what, amount }
        }
        _ => Change::Raise { node, what, amount },
    });
    let mut changes: Vec<Change> = lines.into_iter().chain(room).chain(devices).collect();
    changes.sort();
    few.then_some(changes)
}

/// What lets so many of one service have the node as the others are: lines, and room.
fn of_one(
    partial: &PartialPlacement<'_>,
    (other, node): (ServiceIx, NodeIx),
    wanted: u32,
    alone: bool,
) -> Option<(Vec<Change>, Vec<Change>)> {
    let told = violation::violations(partial, other, node);
    let all: Option<Vec<Constraint>> = told.iter().map(Constraint::of).collect();
    // Those that it must be near come with it. Who drains a node can stop that.
    let all = all?.into_iter().filter(|it| *it != Constraint::Near || alone);
    let all: Vec<Constraint> =
        all.map(|it| if it == Constraint::Drain { Constraint::Cordon } else { it }).collect();
    // What is moved by hand is told alone.
    if all.contains(&Constraint::Data) {
        return None;
    }
    let mut lines = lifting::lines(partial, other, node, &all)?;
    // Instead of asking for another model, a device of this one.
    let model = lines.iter().any(|line| lifting::is_about_model(partial, other, line));
    lines.retain(|line| !lifting::is_about_model(partial, other, line));
    if all.contains(&Constraint::Port) {
        lines.extend(lifting::ports(partial, other, node)?);
    }
    let mut room = headroom::more(partial, (other, node), wanted, true)?;
    if model && !partial.indexed.services[other].wants_gpu() {
        room.push(headroom::equip(partial, (other, node), wanted)?);
    }
    Some((lines, room))
}

/// One new node for so many of the service and one of each of its group, without the lines that
/// keep them off it; as they are spread, and as if they were not.
fn on_new_node(partial: &PartialPlacement<'_>, group: &Group, aim: u32) -> Vec<Vec<Change>> {
    let (indexed, service) = (partial.indexed, group.service);
    let crew = group.company.iter().copied().chain([(service, aim)]);
    if crew.clone().any(|(other, count)| count > new_node::most_on_one(indexed, other)) {
        return Vec::new();
    }
    let company = group.company.iter();
    let with: Vec<ServiceIx> =
        company.flat_map(|&(other, count)| std::iter::repeat_n(other, count as usize)).collect();
    let zones = [new_zones::zones(partial, service, aim, 1)];
    let zones = zones.into_iter().chain(new_zones::other_zones(partial, service, 1));
    let mut found = Vec::new();
    for zones in zones {
        let crew = change::crew(service, aim, &with);
        let [node] = &new_node::nodes(indexed, &crew, &zones)[..] else {
            continue;
        };
        let mut changes = vec![Change::AddNodes { each: aim, with: with.clone(), zones }];
        changes.extend(group.is_alone(partial, service).then_some(Change::Near));
        let mut spread = Vec::new();
        for (other, _) in crew {
            let input = indexed.services[other].input;
            let held = |line: &crate::place::Require| filter::holds(line, node);
            let about = |line: &crate::place::Require| line.key != Key::GpuModel;
            let lines = input.require.iter().enumerate().filter(|(_, line)| about(line));
            let required = lines.filter(|(_, line)| !held(line)).map(|(line, _)| line);
            let lines = input.forbid.iter().enumerate().filter(|(_, line)| about(line));
            let forbidden = lines.filter(|(_, line)| held(line)).map(|(line, _)| line);
            let pin = input.pin.iter().map(|_| Change::DropPin);
            let all = pin
                .chain(required.map(|line| Change::DropRequire { line }))
                .chain(forbidden.map(|line| Change::DropForbid { line }));
            changes.extend(all.map(|change| of(group, other, change)));
            spread.extend(input.spread.first().map(|_| of(group, other, Change::Spread)));
        }
        changes.sort();
        if changes.len() > TOGETHER {
            continue;
        }
        if !spread.is_empty() {
            let mut without = changes.iter().cloned().chain(spread).collect::<Vec<_>>();
            without.sort();
            found.push(without);
        }
        found.push(changes);
    }
    found
}
