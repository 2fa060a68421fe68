//! Which changes could let a service have a node, read off from what speaks against each node.
//!
//! Knows what lifts each thing that can speak against a node, and what lifts two. Refuses to claim
//! that any of it works: [`super::suggest`] tries.

use std::collections::BTreeMap;

use devnet_schema::{placement::NodeViolations, quantity::GpuRequest};

use super::{
    board::{Board, FULL},
    change::{self, Change, Room},
    gpu,
    problem::{Key, NodeState, Require},
    refusal, shortfall,
};

/// Changes of one way out at most: lines, and room on a node.
const TOGETHER: usize = 2;

/// Nodes tried for the same changes.
const NODES: usize = 3;

/// Nodes of which others could make room, for the same changes.
const CROWDED: usize = 2;

/// Nodes that those in the way could go to.
const HELPERS: usize = 4;

/// Changes that could help, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    pub changes: Vec<Change>,
    /// The nodes that it is about; none for a node that is not there yet.
    pub nodes: Vec<usize>,
    /// The node that others must make room on; without one, there is room.
    pub crowded: Option<usize>,
}

/// What could help on one node.
struct Against {
    /// All that would have to change, where that is known and little enough.
    all: Option<Vec<Change>>,
    /// What would have to change if others made room; nothing where no room would do.
    lines: Option<Vec<Change>>,
    /// What is short, in millionths of the node.
    short: u64,
}

/// Where each set of changes would lift everything, and where all but the lack of room.
#[derive(Default)]
struct Found {
    lifted: Vec<usize>,
    crowded: Vec<(u64, usize)>,
}

/// Changes that could help service `s`, cheapest first, the smaller amount first of those that are
/// alike; a new node comes last. `nodes` says what speaks against each.
pub fn remedies(board: &Board<'_>, s: usize, nodes: &[NodeViolations]) -> Vec<Remedy> {
    let mut by_changes: BTreeMap<Vec<Change>, Found> = BTreeMap::new();
    for (n, told) in nodes.iter().enumerate() {
        let Against { all, lines, short } = against(board, s, n, told);
        if let Some(lines) = lines {
            by_changes.entry(lines).or_default().crowded.push((short, n));
        }
        if let Some(all) = all {
            by_changes.entry(all).or_default().lifted.push(n);
        }
    }
    let mut list = Vec::new();
    for (changes, mut found) in by_changes {
        if changes.is_empty() {
            found.crowded.sort_unstable();
            for &(_, n) in found.crowded.iter().take(2 * CROWDED) {
                list.extend(locked_here(board, s, n));
            }
        }
        list.extend(of_changes(board, s, changes, found));
    }
    list.sort_by_cached_key(|remedy| {
        let changes = &remedy.changes;
        ((change::cost(changes) * 100.0) as u64, amount(board, changes), changes.clone())
    });
    thin(list)
}

fn of_changes(board: &Board<'_>, s: usize, changes: Vec<Change>, mut found: Found) -> Vec<Remedy> {
    if !found.lifted.is_empty() {
        found.lifted.sort_by_key(|&n| (board.growth(s, n), n));
        found.lifted.truncate(NODES);
        return vec![Remedy { changes, nodes: found.lifted, crowded: None }];
    }
    found.crowded.sort_unstable();
    let crowded = found.crowded.into_iter().take(CROWDED);
    let remedy = |(_, n): (u64, usize)| {
        let nodes = with_helpers(board, n);
        Remedy { changes: changes.clone(), nodes, crowded: Some(n) }
    };
    crowded.map(remedy).collect()
}

/// How much of their nodes the changes free or add, in millionths.
fn amount(board: &Board<'_>, changes: &[Change]) -> u64 {
    let of = |change: &Change| match *change {
        Change::Free { node, what, amount } | Change::Raise { node, what, amount } => {
            part(board, node, what, amount)
        }
        _ => 0,
    };
    changes.iter().map(of).fold(0, u64::saturating_add)
}

fn part(board: &Board<'_>, node: usize, what: Room, amount: u64) -> u64 {
    let node = &board.field.nodes[node];
    let whole = match what {
        Room::Cpu => node.capacity[0],
        Room::Memory => node.capacity[1],
        Room::Disk => node.capacity[2],
        Room::Devices => node.memories.len() as u64,
        Room::Slice => node.memories.iter().sum(),
        Room::Share => node.memories.len() as u64 * 1000,
    };
    let part = u128::from(amount) * u128::from(FULL) / u128::from(whole.max(1));
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// Of changes of one kind to different nodes only the two smallest, and of pairs only the smallest.
fn thin(list: Vec<Remedy>) -> Vec<Remedy> {
    let mut kept: BTreeMap<Vec<Change>, usize> = BTreeMap::new();
    let alike = |change: &Change| match change.clone() {
        Change::Uncordon { .. } => Change::Uncordon { node: 0 },
        Change::Free { what, .. } => Change::Free { node: 0, what, amount: 0 },
        Change::Raise { what, .. } => Change::Raise { node: 0, what, amount: 0 },
        other => other,
    };
    let keep = |remedy: &Remedy| {
        if remedy.crowded.is_some() {
            return true;
        }
        let count = kept.entry(remedy.changes.iter().map(alike).collect()).or_insert(0);
        *count += 1;
        *count <= if remedy.changes.len() > 1 { 1 } else { 2 }
    };
    list.into_iter().filter(keep).collect()
}

fn against(board: &Board<'_>, s: usize, n: usize, told: &NodeViolations) -> Against {
    let words: Vec<&str> = told.violations.iter().map(|it| it.constraint.as_str()).collect();
    let Some(lines) = lines(board, s, n, &words) else {
        return Against { all: None, lines: None, short: 0 };
    };
    let model = lines.iter().any(|line| is_about_model(board, s, line));
    let room = words.iter().filter(|word| is_room(word) && !(model && **word == "gpu"));
    let room: Option<Vec<Change>> = room.map(|word| more_room(board, (s, n), word)).collect();
    let short = amount(board, room.as_deref().unwrap_or_default());
    // Room on one node is one thing, whatever it is room of.
    let room = room.filter(|room| lines.len() + usize::from(!room.is_empty()) <= TOGETHER);
    // Nobody buys hardware for a node that the file keeps it off.
    let bought = |room: &[Change]| room.iter().any(|it| matches!(it, Change::Raise { .. }));
    let room = room.filter(|room| lines.is_empty() || !bought(room));
    let all = room.map(|room| [lines.clone(), room].concat());
    let crowded = words.iter().any(|word| is_room(word)) && lines.len() <= TOGETHER;
    Against { all, lines: crowded.then_some(lines), short }
}

fn is_room(word: &str) -> bool {
    ["cpu", "memory", "disk", "gpu", "port"].contains(&word)
}

fn is_about_model(board: &Board<'_>, s: usize, change: &Change) -> bool {
    let input = board.field.services[s].input;
    match *change {
        Change::DropRequire { line } => input.require[line].key == Key::GpuModel,
        Change::DropForbid { line } => input.forbid[line].key == Key::GpuModel,
        _ => false,
    }
}

/// What lifts everything but lack of room, sorted; nothing where something cannot be lifted.
fn lines(board: &Board<'_>, s: usize, n: usize, words: &[&str]) -> Option<Vec<Change>> {
    let input = board.field.services[s].input;
    let node = board.field.nodes[n].input;
    let mut found = Vec::new();
    for &word in words.iter().filter(|word| !is_room(word)) {
        match word {
            "pin" => found.push(Change::DropPin),
            "spread" => found.push(Change::Spread),
            "max-per-node" => found.push(Change::MaxPerNode),
            "apart-from" => {
                let there = board.field.services[s].apart.iter().copied();
                found.extend(there.filter(|&other| board.count(other, n) > 0).map(|other| {
                    let name = &board.field.services[other].input.name;
                    match input.apart_from.contains(name) {
                        true => Change::ApartFrom,
                        false => Change::ApartFromOf { service: other },
                    }
                }));
            }
            "near" => found.push(Change::Near),
            "cordon" => found.push(Change::Uncordon { node: n }),
            "drain" | "away" | "lost" | "runtime" | "gpu-memory" => return None,
            key => {
                let of = |list: &[Require], held: bool| -> Vec<usize> {
                    let wrong = |(_, line): &(usize, &Require)| {
                        line.key.word() == key && refusal::holds(line, node) == held
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

/// What lifts one lack of room on a node, if anything does.
fn more_room(board: &Board<'_>, (s, n): (usize, usize), word: &str) -> Option<Change> {
    let service = &board.field.services[s];
    let node = &board.field.nodes[n];
    let r = match word {
        "cpu" => 0,
        "memory" => 1,
        "disk" => 2,
        "gpu" => return more_devices(board, s, n),
        _ => return None,
    };
    let used = board.used[n][r];
    let amount = service.need[r] - node.capacity[r].saturating_sub(used);
    let what = Room::OF_NODE[r];
    Some(if amount <= used {
        Change::Free { node: n, what, amount }
    } else {
        Change::Raise { node: n, what, amount }
    })
}

fn more_devices(board: &Board<'_>, s: usize, n: usize) -> Option<Change> {
    let input = board.field.services[s].input;
    let node = &board.field.nodes[n];
    let allowed = refusal::allowed_devices(input, node);
    let (untouched, roomiest) = shortfall::left_over(board, n, allowed);
    let (left, size) = roomiest?;
    let free = |what: Room, amount: u64| Some(Change::Free { node: n, what, amount });
    match input.gpu {
        GpuRequest::None => None,
        GpuRequest::Whole(count) => {
            let amount = (count as usize).checked_sub(untouched).filter(|it| *it > 0)?;
            if amount + node.memories.len() > gpu::DEVICES {
                return None;
            }
            let (what, amount) = (Room::Devices, amount as u64);
            match count > allowed.count_ones() {
                true => Some(Change::Raise { node: n, what, amount }),
                false => free(what, amount),
            }
        }
        GpuRequest::Share(milli) => {
            let has = u128::from(left) * 1000 / u128::from(size.max(1));
            free(Room::Share, u64::from(milli).checked_sub(has as u64).filter(|it| *it > 0)?)
        }
        // What is left is in thousandths of a byte.
        GpuRequest::Memory(bytes) if bytes.0 <= size / 1000 => {
            free(Room::Slice, bytes.0.checked_sub(left / 1000).filter(|it| *it > 0)?)
        }
        GpuRequest::Memory(_) => None,
    }
}

/// Instances with data on a node that would make room if they moved, and where they could go.
fn locked_here(board: &Board<'_>, s: usize, n: usize) -> Vec<Remedy> {
    let field = board.field;
    let node = &field.nodes[n].input;
    let enough = |t: usize| {
        let (theirs, mine) = (field.services[t].need, field.services[s].need);
        let used = board.used[n];
        (0..3).all(|r| used[r].saturating_sub(theirs[r]) + mine[r] <= field.nodes[n].capacity[r])
    };
    let whole = field.pairs() <= field.problem.limits.whole_pairs;
    let locked = board.on_node[n].keys().copied().filter(|&t| {
        !field.services[t].input.movable
            && field.services[t].cell(n).is_some_and(|cell| cell.locked > 0)
            && (whole || enough(t))
    });
    locked
        .flat_map(|service| {
            let current = field.services[service].input.current.iter();
            let here = current.filter(|(_, current)| current.node == node.name);
            here.map(move |(&index, _)| (service, index))
        })
        .map(|(service, index)| {
            let cells = field.services[service].cells.iter().map(|cell| cell.node);
            let open = cells.filter(|&to| to != n && board.fits(service, to));
            let mut open: Vec<(u64, usize)> =
                open.map(|to| (board.growth(service, to), to)).collect();
            open.sort_unstable();
            let nodes = [n].into_iter().chain(open.into_iter().map(|(_, to)| to).take(NODES));
            let changes = vec![Change::LetMove { service, index }];
            Remedy { changes, nodes: nodes.collect(), crowded: None }
        })
        .collect()
}

/// A node with some that what is in the way there could go to: where it would fit as it is, and
/// the roomiest, all together no larger than what is solved whole.
fn with_helpers(board: &Board<'_>, n: usize) -> Vec<usize> {
    let field = board.field;
    let mut nodes = vec![n];
    let leaving = board.on_node[n].keys().copied().filter(|&t| board.may_leave(t, n));
    for t in leaving {
        let open = field.services[t].cells.iter().map(|cell| cell.node);
        let open = open.filter(|to| !nodes.contains(to) && board.fits(t, *to));
        nodes.extend(open.min_by_key(|&to| (board.growth(t, to), to)));
        if nodes.len() > HELPERS / 2 {
            break;
        }
    }
    let devices = !field.nodes[n].memories.is_empty();
    let room = |to: usize| {
        let free = |r: usize| field.nodes[to].capacity[r].saturating_sub(board.used[to][r]);
        let part = |r: usize| free(r).saturating_mul(1000) / field.nodes[to].capacity[r].max(1);
        let same = devices == field.nodes[to].memories.is_empty();
        std::cmp::Reverse((!same, part(0).min(part(1)), std::cmp::Reverse(to)))
    };
    let ready = |to: &usize| field.nodes[*to].input.state == NodeState::Ready;
    let mut others: Vec<usize> = (0..field.nodes.len()).filter(ready).collect();
    others.sort_by_cached_key(|&to| room(to));
    others.retain(|to| !nodes.contains(to));
    nodes.extend(others.into_iter().take(HELPERS + 1 - nodes.len()));
    let pairs = |nodes: &[usize]| {
        let here: usize = nodes.iter().map(|&n| board.on_node[n].len()).sum();
        (here + 1) * nodes.len()
    };
    while nodes.len() > 2 && pairs(&nodes) > field.problem.limits.whole_pairs {
        nodes.pop();
    }
    nodes
}
