//! Which changes could let a service have a node, read off from what speaks against each node.
//!
//! Knows what lifts each thing that can speak against a node, and what lifts two. Refuses to claim
//! that any of it works: [`super::suggest`] tries.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{instance::Protocol, placement::NodeViolations};

use super::{
    edit::{self, Change, Resource},
    headroom, multi_node,
};
use crate::place::{
    explain::violation,
    model::{
        filter,
        partial::{FULL, PartialPlacement},
    },
    problem::{Current, Key, NodeState, Require},
};

/// Changes of one remedy at most: lines, and room on a node.
const TOGETHER: usize = 2;

/// Nodes tried for the same changes.
const NODES: usize = 3;

/// The same where several instances wait for them.
const MANY: u32 = 6;

/// Nodes of which others could make room, for the same changes.
const CROWDED: usize = 2;

/// Nodes that those in the way could go to.
const HELPERS: usize = 4;

/// Changes that could help, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateRemedy {
    pub changes: Vec<Change>,
    /// The nodes that it is about; none for nodes that are not there yet.
    pub nodes: Vec<usize>,
    /// The node that others must make room on; without one, there is room.
    pub crowded: Option<usize>,
    /// Waiting instances that it is meant for, at least 1.
    pub aim: u32,
}

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
    lifted: Vec<usize>,
    crowded: Vec<(u64, usize)>,
}

/// Sets of changes, each with the instances that it is meant for.
type Sets = BTreeMap<(u32, Vec<Change>), Found>;

/// Changes that could help service `s`, cheapest first, the smaller amount first of those that are
/// alike; first those meant for all of its instances that wait. `nodes` says what speaks against
/// each.
pub fn remedies(
    partial: &PartialPlacement<'_>,
    s: usize,
    nodes: &[NodeViolations],
) -> Vec<CandidateRemedy> {
    let missing = partial.missing(s);
    let mut sets = Sets::new();
    let mut open = Vec::new();
    for (n, told) in nodes.iter().enumerate() {
        let words: Vec<&str> = told.violations.iter().map(|it| it.constraint.as_str()).collect();
        let Some(against) = against(partial, s, n, &words) else {
            continue;
        };
        let lifting = lifting(partial, (s, n), &against);
        if against.crowded && against.lines.len() <= TOGETHER {
            let smallest = lifting.iter().map(|(_, changes)| amount(partial, changes)).min();
            let found = sets.entry((missing, against.lines.clone())).or_default();
            found.crowded.push((smallest.unwrap_or(0), n));
        }
        if against.lines.is_empty() && against.ports.is_empty() {
            open.push(n);
        }
        for set in lifting {
            sets.entry(set).or_default().lifted.push(n);
        }
    }
    let mut list = multi_node::rooms(partial, s, &open);
    for ((aim, changes), mut found) in sets {
        if changes.is_empty() {
            found.crowded.sort_unstable();
            for &(_, n) in found.crowded.iter().take(2 * CROWDED) {
                list.extend(locked_here(partial, s, n));
            }
        }
        list.extend(of_changes(partial, s, (aim, changes), found));
    }
    list.sort_by_cached_key(|CandidateRemedy { changes, aim, .. }| {
        let cost = edit::cost(changes) + edit::cost_of_waiting(missing - aim);
        ((cost * 100.0) as u64, amount(partial, changes), changes.clone())
    });
    thin(list)
}

fn of_changes(
    partial: &PartialPlacement<'_>,
    s: usize,
    (aim, changes): (u32, Vec<Change>),
    mut found: Found,
) -> Vec<CandidateRemedy> {
    if !found.lifted.is_empty() {
        found.lifted.sort_by_key(|&n| (partial.growth(s, n), n));
        found.lifted.truncate(NODES.max(aim.min(MANY) as usize));
        return vec![CandidateRemedy { changes, nodes: found.lifted, crowded: None, aim }];
    }
    found.crowded.sort_unstable();
    let crowded = found.crowded.into_iter().take(CROWDED);
    let remedy = |(_, n): (u64, usize)| {
        let nodes = with_helpers(partial, n);
        CandidateRemedy { changes: changes.clone(), nodes, crowded: Some(n), aim }
    };
    crowded.map(remedy).collect()
}

/// How much the changes free or add, in millionths of the largest node.
pub fn amount(partial: &PartialPlacement<'_>, changes: &[Change]) -> u64 {
    let of = |change: &Change| match *change {
        Change::Free { node, what, amount } | Change::Raise { node, what, amount } => {
            part(partial, node, what, amount)
        }
        Change::Equip { node, count } => part(partial, node, Resource::Devices, count.into()),
        Change::Of { ref change, .. } => amount(partial, std::slice::from_ref(change)),
        _ => 0,
    };
    changes.iter().map(of).fold(0, u64::saturating_add)
}

fn part(partial: &PartialPlacement<'_>, node: usize, what: Resource, amount: u64) -> u64 {
    let nodes = &partial.indexed.nodes;
    let largest = |r: usize| nodes.iter().map(|node| node.capacity[r]).max().unwrap_or(0);
    let node = &nodes[node];
    let whole = match what {
        Resource::Cpu => largest(0),
        Resource::Memory => largest(1),
        Resource::Disk => largest(2),
        Resource::Devices => node.memories.len() as u64,
        Resource::Slice => node.memories.iter().sum(),
        Resource::Share => node.memories.len() as u64 * 1000,
    };
    let part = u128::from(amount) * u128::from(FULL) / u128::from(whole.max(1));
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// The kinds of the changes, whatever the node and the amount.
pub fn kinds(changes: &[Change]) -> BTreeSet<Change> {
    let kind = |change: &Change| match change.clone() {
        Change::Uncordon { .. } => Change::Uncordon { node: 0 },
        Change::Free { what, .. } => Change::Free { node: 0, what, amount: 0 },
        Change::Raise { what, .. } => Change::Raise { node: 0, what, amount: 0 },
        Change::Equip { .. } => Change::Equip { node: 0, count: 0 },
        Change::Of { service, change } => {
            let kind = kinds(std::slice::from_ref(&change)).into_iter().next();
            kind.map_or(Change::Of { service, change }, |kind| Change::Of {
                service,
                change: Box::new(kind),
            })
        }
        other => other,
    };
    changes.iter().map(kind).collect()
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

fn against(partial: &PartialPlacement<'_>, s: usize, n: usize, words: &[&str]) -> Option<Against> {
    let lines = lines(partial, s, n, words)?;
    let ports = if words.contains(&"port") { ports(partial, s, n) } else { Vec::new() };
    // No emptying makes a device larger.
    let crowded = words.iter().any(|word| is_room(word)) && !words.contains(&"gpu-memory");
    Some(Against { lines, ports, crowded })
}

/// The sets of changes that would lift everything on one node, for one instance, and for as many
/// of those that wait as may be there.
fn lifting(
    partial: &PartialPlacement<'_>,
    (s, n): (usize, usize),
    against: &Against,
) -> Vec<(u32, Vec<Change>)> {
    let Against { lines, ports, .. } = against;
    let lines = [lines.as_slice(), ports].concat();
    let missing = partial.missing(s);
    let freed =
        lines.iter().any(|line| matches!(line, Change::MaxPerNode | Change::OtherPort { .. }));
    let most =
        if freed { missing } else { missing.min(multi_node::most_more(partial, s, n)).max(1) };
    let model = lines.iter().any(|line| is_about_model(partial, s, line));
    let mut sets = sets(partial, (s, n), &lines, (most, !model));
    if model {
        // Instead of asking for another model, a device of this one.
        let wants = partial.indexed.services[s].wants_gpu();
        let rest: Vec<Change> =
            lines.into_iter().filter(|line| !is_about_model(partial, s, line)).collect();
        for (aim, mut changes) in self::sets(partial, (s, n), &rest, (most, true)) {
            if !wants {
                changes.extend(headroom::equip(partial, (s, n), aim));
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
    (s, n): (usize, usize),
    lines: &[Change],
    (most, devices): (u32, bool),
) -> Vec<(u32, Vec<Change>)> {
    // Nobody buys hardware for a node that the file keeps it off.
    let bought = |it: &Change| matches!(it, Change::Raise { .. } | Change::Equip { .. });
    // What is moved by hand is told alone.
    let by_hand = lines.iter().any(|line| matches!(line, Change::LetMove { .. }));
    let set = |aim: u32| {
        let room = headroom::more(partial, (s, n), aim, devices)?;
        // Resource on one node is one thing, whatever it is room of.
        let few = lines.len() + usize::from(!room.is_empty()) <= TOGETHER;
        let fair = room.is_empty() || !by_hand && (lines.is_empty() || !room.iter().any(bought));
        // Lines alone may help on many nodes.
        let aim = if room.is_empty() { partial.missing(s) } else { aim };
        (few && fair).then(|| (aim, [lines, &room].concat()))
    };
    let mut all: Vec<(u32, Vec<Change>)> = [most, 1].into_iter().filter_map(set).collect();
    all.dedup_by(|a, b| a.1 == b.1);
    all
}

fn is_room(word: &str) -> bool {
    ["cpu", "memory", "disk", "gpu", "port", "gpu-memory"].contains(&word)
}

pub fn is_about_model(partial: &PartialPlacement<'_>, s: usize, change: &Change) -> bool {
    let input = partial.indexed.services[s].input;
    match *change {
        Change::DropRequire { line } => input.require[line].key == Key::GpuModel,
        Change::DropForbid { line } => input.forbid[line].key == Key::GpuModel,
        _ => false,
    }
}

/// Another port for each that is taken on the node.
pub fn ports(partial: &PartialPlacement<'_>, s: usize, n: usize) -> Vec<Change> {
    let node = partial.indexed.nodes[n].input;
    let taken = |port: &&(Protocol, u16)| {
        node.reserved_ports.contains(port) || violation::holder(partial, n, **port).is_some()
    };
    let ports = partial.indexed.services[s].input.host_ports.iter().filter(taken);
    let mut all: Vec<Change> = ports.map(|&port| Change::OtherPort { port }).collect();
    all.sort();
    all
}

/// What lifts everything but lack of room, sorted; nothing where something cannot be lifted.
pub fn lines(
    partial: &PartialPlacement<'_>,
    s: usize,
    n: usize,
    words: &[&str],
) -> Option<Vec<Change>> {
    let input = partial.indexed.services[s].input;
    let node = partial.indexed.nodes[n].input;
    let mut found = Vec::new();
    for &word in words.iter().filter(|word| !is_room(word)) {
        match word {
            "pin" => found.push(Change::DropPin),
            "spread" => found.push(Change::Spread),
            "max-per-node" => found.push(Change::MaxPerNode),
            "apart-from" => {
                let there = partial.indexed.services[s].apart.iter().copied();
                found.extend(there.filter(|&other| partial.count(other, n) > 0).map(|other| {
                    let name = partial.indexed.services[other].input.name.declared();
                    match input.apart_from.contains(&name) {
                        true => Change::ApartFrom,
                        false => Change::ApartFromOf { service: partial.indexed.declared(other) },
                    }
                }));
            }
            // The line of who would be left alone is not its own.
            "near" if input.near.is_empty() => return None,
            "near" => found.push(Change::Near),
            // Beside other changes it would be told of as if it moved by itself.
            "data" if words == ["data"] => found.extend(let_move(partial, s)),
            "data" => return None,
            "cordon" => found.push(Change::Uncordon { node: n }),
            "drain" | "away" | "lost" | "runtime" | "closed" => return None,
            key => {
                let of = |list: &[Require], held: bool| -> Vec<usize> {
                    let wrong = |(_, line): &(usize, &Require)| {
                        line.key.word() == key && filter::holds(line, node) == held
                    };
                    list.iter().enumerate().filter(wrong).map(|(at, _)| at).collect()
                };
                let required = of(&input.require, false).into_iter();
                found.extend(required.map(|line| Change::DropRequire { line }));
                let forbidden = of(&input.forbid, true).into_iter();
                found.extend(forbidden.map(|line| Change::DropForbid { line }));
            }
        }
    }
    found.sort();
    found.dedup();
    Some(found)
}

/// That the first of those that wait with their data elsewhere goes away from it.
fn let_move(partial: &PartialPlacement<'_>, s: usize) -> Option<Change> {
    let homes = violation::data_of_waiting(partial, s);
    let input = partial.indexed.services[s].input;
    let at_home = |current: &Current| {
        homes.iter().any(|&n| partial.indexed.nodes[n].input.name == current.node)
    };
    let mut waiting = input.current.range(..input.replicas).filter(|(_, it)| at_home(it));
    waiting.next().map(|(&index, _)| Change::LetMove { service: s, index })
}

/// Instances with data on a node that would make room if they moved, and where they could go.
fn locked_here(partial: &PartialPlacement<'_>, s: usize, n: usize) -> Vec<CandidateRemedy> {
    let indexed = partial.indexed;
    let node = &indexed.nodes[n].input;
    let enough = |t: usize| {
        let (theirs, mine) = (indexed.services[t].need, indexed.services[s].need);
        let used = partial.used[n];
        (0..3).all(|r| used[r].saturating_sub(theirs[r]) + mine[r] <= indexed.nodes[n].capacity[r])
    };
    let whole = indexed.pairs() <= indexed.problem.limits.whole_pairs;
    let locked = partial.on_node[n].keys().copied().filter(|&t| {
        !indexed.services[t].input.movable
            && indexed.services[t].locked_at(n) > 0
            && (whole || enough(t))
    });
    locked
        .flat_map(|service| {
            let current = indexed.services[service].input.current.iter();
            let here = current.filter(|(_, current)| current.node == node.name);
            here.map(move |(&index, _)| (service, index))
        })
        .map(|(service, index)| {
            let candidates =
                indexed.services[service].candidates.iter().map(|candidate| candidate.node);
            let open = candidates.filter(|&to| to != n && partial.fits(service, to));
            let mut open: Vec<(u64, usize)> =
                open.map(|to| (partial.growth(service, to), to)).collect();
            open.sort_unstable();
            let nodes = [n].into_iter().chain(open.into_iter().map(|(_, to)| to).take(NODES));
            let changes = vec![Change::LetMove { service, index }];
            CandidateRemedy {
                changes,
                nodes: nodes.collect(),
                crowded: None,
                aim: partial.missing(s),
            }
        })
        .collect()
}

/// A node with some that what is in the way there could go to: where it would fit as it is, and
/// the roomiest, all together no larger than what is solved whole.
fn with_helpers(partial: &PartialPlacement<'_>, n: usize) -> Vec<usize> {
    let indexed = partial.indexed;
    let mut nodes = vec![n];
    let leaving = partial.on_node[n].keys().copied().filter(|&t| partial.may_leave(t, n));
    for t in leaving {
        let open = indexed.services[t].candidates.iter().map(|candidate| candidate.node);
        let open = open.filter(|to| !nodes.contains(to) && partial.fits(t, *to));
        nodes.extend(open.min_by_key(|&to| (partial.growth(t, to), to)));
        if nodes.len() > HELPERS / 2 {
            break;
        }
    }
    let devices = !indexed.nodes[n].memories.is_empty();
    let room = |to: usize| {
        let free = |r: usize| indexed.nodes[to].capacity[r].saturating_sub(partial.used[to][r]);
        let part = |r: usize| free(r).saturating_mul(1000) / indexed.nodes[to].capacity[r].max(1);
        let same = devices == indexed.nodes[to].memories.is_empty();
        std::cmp::Reverse((!same, part(0).min(part(1)), std::cmp::Reverse(to)))
    };
    let ready = |to: &usize| indexed.nodes[*to].input.state == NodeState::Ready;
    let mut others: Vec<usize> = (0..indexed.nodes.len()).filter(ready).collect();
    others.sort_by_cached_key(|&to| room(to));
    others.retain(|to| !nodes.contains(to));
    nodes.extend(others.into_iter().take(HELPERS + 1 - nodes.len()));
    let pairs = |nodes: &[usize]| {
        let here: usize = nodes.iter().map(|&n| partial.on_node[n].len()).sum();
        (here + 1) * nodes.len()
    };
    while nodes.len() > 2 && pairs(&nodes) > indexed.problem.limits.whole_pairs {
        nodes.pop();
    }
    nodes
}
