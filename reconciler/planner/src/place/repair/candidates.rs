//! Which changes could let a service have a node, read off from what speaks against each node.
//!
//! Knows sets of changes that lift everything on a node. Refuses to claim that any of it works.
//!
//! Trying all combinations is hopeless, and what speaks against a node says which could do. A node
//! that lacks 2 GiB and a tag has one candidate: free 2 GiB and drop the line.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::placement::NodeViolations;

use super::{
    change::{self, Change},
    destinations::{NODES, locked_here, with_destinations},
    headroom,
    lifting::{is_about_model, lines, ports},
    multi_node, new_node,
    remedy::{CandidateRemedy, amount, kinds},
};
use crate::place::{
    ix::{NodeIx, PerNode, ServiceIx},
    model::partial::PartialPlacement,
    problem::Constraint,
};

/// Changes of one remedy at most: lines, and room on a node.
const TOGETHER: usize = 2;

/// The same where several instances wait for them.
const MANY: u32 = 6;

/// Nodes of which others could make room, for the same changes.
const CROWDED: usize = 2;

/// What speaks against one node, as what would lift it.
struct Against {
    /// All but lack of room.
    lines: Vec<Change>,
    /// Ports that are taken.
    ports: Vec<Change>,
    /// Others could make the room that is short.
    crowded: bool,
}

/// Where a set of changes would lift everything, and where all but the lack of room.
#[derive(Default)]
struct Found {
    lifted: Vec<NodeIx>,
    crowded: Vec<(u64, NodeIx)>,
}

/// Sets of changes, each with the instances that it is meant for.
type Sets = BTreeMap<(u32, Vec<Change>), Found>;

/// Changes that could help service `s`, cheapest first, the smaller amount first of those that are
/// alike; first those meant for all of its instances that wait. `nodes` says what speaks against
/// each.
pub(crate) fn remedies(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    nodes: &PerNode<NodeViolations>,
) -> Vec<CandidateRemedy> {
    let missing = partial.missing(service);
    let mut sets = Sets::new();
    let mut open = Vec::new();
    for (node, told) in nodes.enumerate() {
        let Some(against) = against(partial, service, node, told) else {
            continue;
        };
        let lifting = lifting(partial, (service, node), &against);
        if against.crowded && against.lines.len() <= TOGETHER {
            let smallest = lifting.iter().map(|(_, changes)| amount(partial, changes)).min();
            let found = sets.entry((missing, against.lines.clone())).or_default();
            found.crowded.push((smallest.unwrap_or(0), node));
        }
        if against.lines.is_empty() && against.ports.is_empty() {
            open.push(node);
        }
        for set in lifting {
            sets.entry(set).or_default().lifted.push(node);
        }
    }
    let mut list = multi_node::rooms(partial, service, &open);
    for ((aim, changes), mut found) in sets {
        if changes.is_empty() {
            found.crowded.sort_unstable();
            for &(_, node) in found.crowded.iter().take(2 * CROWDED) {
                list.extend(locked_here(partial, service, node));
            }
        }
        list.extend(of_changes(partial, service, (aim, changes), found));
    }
    list.sort_by_cached_key(|CandidateRemedy { changes, aim, .. }| {
        let cost = change::cost(changes) + change::cost_of_waiting(missing - aim);
        ((cost * 100.0) as u64, amount(partial, changes), changes.clone())
    });
    thin(list)
}

fn of_changes(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    (aim, changes): (u32, Vec<Change>),
    mut found: Found,
) -> Vec<CandidateRemedy> {
    if !found.lifted.is_empty() {
        found.lifted.sort_by_key(|&node| (partial.growth(service, node), node));
        found.lifted.truncate(NODES.max(aim.min(MANY) as usize));
        return vec![CandidateRemedy { changes, nodes: found.lifted, crowded: None, aim }];
    }
    found.crowded.sort_unstable();
    let crowded = found.crowded.into_iter().take(CROWDED);
    let remedy = |(_, node): (u64, NodeIx)| {
        let nodes = with_destinations(partial, node);
        CandidateRemedy { changes: changes.clone(), nodes, crowded: Some(node), aim }
    };
    crowded.map(remedy).collect()
}

/// Of changes of one kind to different nodes only the two smallest, and of pairs only the smallest.
fn thin(list: Vec<CandidateRemedy>) -> Vec<CandidateRemedy> {
    let mut kept: BTreeMap<(BTreeSet<Change>, usize, u32), usize> = BTreeMap::new();
    let keep = |remedy: &CandidateRemedy| {
        if remedy.crowded.is_some() {
            return true;
        }
        let CandidateRemedy { changes, aim, .. } = remedy;
        let count = kept.entry((kinds(changes), changes.len(), *aim)).or_insert(0);
        *count += 1;
        *count <= if changes.len() > 1 { 1 } else { 2 }
    };
    list.into_iter().filter(keep).collect()
}

fn against(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    node: NodeIx,
    told: &NodeViolations,
) -> Option<Against> {
    let all: Option<Vec<Constraint>> = told.violations.iter().map(Constraint::of).collect();
    let all = all?;
    let lines = lines(partial, service, node, &all)?;
    let ports =
        if all.contains(&Constraint::Port) { ports(partial, service, node)? } else { Vec::new() };
    // No emptying makes a device larger.
    let crowded = all.iter().any(|it| it.is_room()) && !all.contains(&Constraint::GpuMemory);
    Some(Against { lines, ports, crowded })
}

/// The sets of changes that would lift everything on one node, for one instance, and for as many
/// of those that wait as may be there.
fn lifting(
    partial: &PartialPlacement<'_>,
    (service, node): (ServiceIx, NodeIx),
    against: &Against,
) -> Vec<(u32, Vec<Change>)> {
    let Against { lines, ports, .. } = against;
    let lines = [lines.as_slice(), ports].concat();
    let missing = partial.missing(service);
    let freed =
        lines.iter().any(|line| matches!(line, Change::MaxPerNode | Change::OtherPort { .. }));
    let most = if freed {
        missing
    } else {
        missing.min(new_node::most_more(partial, service, node)).max(1)
    };
    let model = lines.iter().any(|line| is_about_model(partial, service, line));
    let mut sets = sets(partial, (service, node), &lines, (most, !model));
    if model {
        // Instead of asking for another model, a device of this one.
        let wants = partial.indexed.services[service].wants_gpu();
        let rest: Vec<Change> =
            lines.into_iter().filter(|line| !is_about_model(partial, service, line)).collect();
        for (aim, mut changes) in self::sets(partial, (service, node), &rest, (most, true)) {
            if !wants {
                changes.extend(headroom::equip(partial, (service, node), aim));
            }
            let buys = changes.iter().any(|change| matches!(change, Change::Equip { .. }));
            sets.extend((buys && rest.is_empty()).then_some((aim, changes)));
        }
    }
    sets
}

/// The lines with room for one instance, and with room for `most`.
fn sets(
    partial: &PartialPlacement<'_>,
    (service, node): (ServiceIx, NodeIx),
    lines: &[Change],
    (most, devices): (u32, bool),
) -> Vec<(u32, Vec<Change>)> {
    // Nobody buys hardware for a node that the file keeps it off.
    let bought = |it: &Change| matches!(it, Change::Raise { .. } | Change::Equip { .. });
    // What is moved by hand is told alone.
    let by_hand = lines.iter().any(|line| matches!(line, Change::LetMove { .. }));
    let set = |aim: u32| {
        let room = headroom::more(partial, (service, node), aim, devices)?;
        // Resource on one node is one thing, whatever it is room of.
        let few = lines.len() + usize::from(!room.is_empty()) <= TOGETHER;
        let fair = room.is_empty() || !by_hand && (lines.is_empty() || !room.iter().any(bought));
        // Lines alone may help on many nodes.
        let aim = if room.is_empty() { partial.missing(service) } else { aim };
        (few && fair).then(|| (aim, [lines, &room].concat()))
    };
    let mut all: Vec<(u32, Vec<Change>)> = [most, 1].into_iter().filter_map(set).collect();
    all.dedup_by(|a, b| a.1 == b.1);
    all
}
