//! Ways out for a service that does not fit: one change each, tried by placing again.
//!
//! Knows what a person could change and roughly what that costs them. Refuses to suggest what it
//! has not seen work.

use std::collections::BTreeMap;

use devnet_schema::{
    name::{InstanceId, ServiceName},
    placement::{Edit, Suggestion},
    quantity::Cpu,
};

use super::{
    Assignments,
    board::Board,
    field::Field,
    newcomer,
    problem::{Current, Key, NodeState, Outcome, PlacementProblem, Require, ServiceInput},
    shortfall, tried,
    work::Work,
};

/// One change to the problem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// An instance with data goes elsewhere after all.
    LetMove {
        service: usize,
        index: u32,
    },
    DropPin,
    Spread,
    MaxPerNode,
    ApartFrom,
    Near,
    Uncordon {
        node: usize,
    },
    DropRequire {
        line: usize,
    },
    DropForbid {
        line: usize,
    },
    Free {
        node: usize,
        resource: usize,
        amount: u64,
    },
    AddNode,
}

impl Change {
    /// What it is thought to cost; only for sorting.
    fn cost(&self) -> f64 {
        match self {
            Self::LetMove { .. } => 1.0,
            Self::DropPin => 10.0,
            Self::Spread | Self::MaxPerNode => 20.0,
            Self::Uncordon { .. } => 30.0,
            Self::ApartFrom | Self::Near => 40.0,
            Self::DropRequire { .. } | Self::DropForbid { .. } => 50.0,
            Self::Free { .. } => 60.0,
            Self::AddNode => 80.0,
        }
    }
}

/// How many changes may still be tried, over all services.
pub struct Budget {
    each: u32,
    all: u32,
}

impl Budget {
    /// Large problems take longer to place again, so fewer changes are tried on them.
    pub fn of(field: &Field<'_>) -> Self {
        let limits = &field.problem.limits;
        let large = field.pairs() > limits.whole_pairs;
        let all = if large { 4 } else { 8 * limits.suggestions };
        Self { each: limits.suggestions, all }
    }

    fn take(&mut self, spent: &mut u32) -> bool {
        let left = self.all > 0 && *spent < self.each;
        if left {
            self.all -= 1;
            *spent += 1;
        }
        left
    }
}

/// The ways out for one service, cheapest first, each seen to place more of it and no less of
/// anything else.
pub fn ways_out(
    field: &Field<'_>,
    board: &Board<'_>,
    outcome: &Outcome,
    s: usize,
    (budget, work): (&mut Budget, &mut Work<'_>),
) -> Vec<Suggestion> {
    let before: BTreeMap<&ServiceName, u32> = (0..field.services.len())
        .map(|t| (&field.services[t].input.name, board.missing(t)))
        .collect();
    let mut found = Vec::new();
    let mut spent = 0;
    for change in candidates(field, board, s) {
        if !budget.take(&mut spent) || !work.go_on(board) {
            break;
        }
        let problem = changed(field, s, &change, outcome);
        let (after, missing) = work.aside(|work| tried(&problem, work));
        let name = &field.services[s].input.name;
        let helps = missing.iter().all(|(service, count)| {
            if service == name { *count < before[service] } else { *count <= before[service] }
        });
        if helps {
            found.push(worded(field, s, &change, &after, outcome));
        }
    }
    found
}

/// Changes that could help, cheapest first: those that lift everything that speaks against some
/// node, and a new node.
fn candidates(field: &Field<'_>, board: &Board<'_>, s: usize) -> Vec<Change> {
    let service = &field.services[s];
    let mut list = Vec::new();
    for n in 0..field.nodes.len() {
        let against = shortfall::violations(board, s, n);
        let kinds: Vec<&str> = against.iter().map(|v| v.constraint.as_str()).collect();
        list.extend(lifting(field, board, (s, n), &kinds));
        let crowded = |kind: &&str| ["cpu", "memory", "disk", "gpu", "port"].contains(kind);
        if service.cell(n).is_some() && kinds.iter().all(crowded) {
            list.extend(locked_here(field, board, n));
        }
    }
    list.push(Change::AddNode);
    list.sort_by(|a, b| a.cost().total_cmp(&b.cost()).then(a.cmp(b)));
    list.dedup();
    thin(list)
}

/// Only the two smallest amounts to free.
fn thin(list: Vec<Change>) -> Vec<Change> {
    let mut amounts: Vec<u64> = list
        .iter()
        .filter_map(|c| match c {
            Change::Free { amount, .. } => Some(*amount),
            _ => None,
        })
        .collect();
    amounts.sort_unstable();
    let limit = amounts.get(1).or(amounts.first()).copied().unwrap_or(0);
    let keep = |c: &Change| !matches!(c, Change::Free { amount, .. } if *amount > limit);
    list.into_iter().filter(keep).collect()
}

/// The change that lifts everything that speaks against a node, if a single one does.
fn lifting(
    field: &Field<'_>,
    board: &Board<'_>,
    (s, n): (usize, usize),
    kinds: &[&str],
) -> Option<Change> {
    let service = &field.services[s];
    let input = service.input;
    let (first, rest) = kinds.split_first()?;
    if rest.iter().any(|kind| kind != first) {
        return None;
    }
    let node = &field.nodes[n];
    let line = |list: &[Require], wrong: bool| {
        let mut lines = list.iter().enumerate().filter(|(_, line)| {
            // A service's form asks for its runtime: nobody wrote a line that could be dropped.
            super::refusal::holds(line, node.input) == wrong
                && line.key.word() == *first
                && line.key != Key::Runtime
        });
        let only = lines.next().map(|(at, _)| at);
        only.filter(|_| lines.next().is_none())
    };
    match *first {
        "pin" => Some(Change::DropPin),
        "spread" => Some(Change::Spread),
        "max-per-node" => Some(Change::MaxPerNode),
        "apart-from" => Some(Change::ApartFrom),
        "near" => Some(Change::Near),
        "cordon" => Some(Change::Uncordon { node: n }),
        "cpu" | "memory" | "disk" if rest.is_empty() => {
            let r = ["cpu", "memory", "disk"].iter().position(|word| word == first)?;
            let free = node.capacity[r].saturating_sub(board.used[n][r]);
            Some(Change::Free { node: n, resource: r, amount: service.need[r] - free })
        }
        _ => line(&input.require, false)
            .map(|line| Change::DropRequire { line })
            .or_else(|| line(&input.forbid, true).map(|line| Change::DropForbid { line })),
    }
}

/// Instances with data on a node that would make room if they moved.
fn locked_here(field: &Field<'_>, board: &Board<'_>, n: usize) -> Vec<Change> {
    let node = &field.nodes[n].input;
    let locked = board.on_node[n].keys().copied().filter(|&t| {
        !field.services[t].input.movable
            && field.services[t].cell(n).is_some_and(|cell| cell.locked > 0)
    });
    locked
        .flat_map(|service| {
            let current = field.services[service].input.current.iter();
            current
                .filter(|(_, current)| current.node == node.name)
                .map(move |(&index, _)| Change::LetMove { service, index })
        })
        .collect()
}

/// The problem with the change made.
fn changed(field: &Field<'_>, s: usize, change: &Change, outcome: &Outcome) -> PlacementProblem {
    let mut problem = field.problem.clone();
    problem.limits.suggestions = 0;
    problem.limits.ilps = problem.limits.ilps.min(12);
    if field.pairs() > problem.limits.whole_pairs {
        problem.limits.ilps = 0;
        settle(&mut problem, outcome);
    }
    let named = |t: usize| &field.services[t].input.name;
    let target = match change {
        Change::LetMove { service, .. } => named(*service),
        _ => named(s),
    };
    if let Some(input) = problem.services.iter_mut().find(|input| input.name == *target) {
        change_service(input, change);
    }
    match *change {
        Change::Uncordon { node } => {
            let name = &field.nodes[node].input.name;
            let nodes = problem.nodes.iter_mut().filter(|input| input.name == *name);
            nodes.for_each(|input| input.state = NodeState::Ready);
        }
        Change::Free { node, resource, amount } => {
            let name = &field.nodes[node].input.name;
            for input in problem.nodes.iter_mut().filter(|input| input.name == *name) {
                let held = match resource {
                    0 => &mut input.cpu_milli,
                    1 => &mut input.memory,
                    _ => &mut input.disk,
                };
                *held = held.saturating_add(amount);
            }
        }
        Change::AddNode => problem.nodes.extend(newcomer::node(field, s)),
        _ => {}
    }
    problem
}

/// Lets what can move start from where it was placed: a large fleet is repaired sooner than placed.
fn settle(problem: &mut PlacementProblem, outcome: &Outcome) {
    let mut by_name: BTreeMap<&ServiceName, BTreeMap<u32, Current>> = BTreeMap::new();
    for (id, place) in &outcome.assignments {
        let current = Current { node: place.node.clone(), gpus: place.gpus.clone() };
        by_name.entry(&id.service).or_default().insert(id.index, current);
    }
    for service in problem.services.iter_mut().filter(|service| service.movable) {
        service.current = by_name.remove(&service.name).unwrap_or_default();
    }
}

fn change_service(input: &mut ServiceInput, change: &Change) {
    match *change {
        Change::LetMove { .. } => input.movable = true,
        Change::DropPin => input.pin = None,
        Change::Spread => input.spread.clear(),
        Change::MaxPerNode => {
            input.max_per_node = None;
            let own = input.name.clone();
            input.apart_from.retain(|name| *name != own);
        }
        Change::ApartFrom => input.apart_from.clear(),
        Change::Near => input.near.clear(),
        Change::DropRequire { line } => drop(input.require.remove(line)),
        Change::DropForbid { line } => drop(input.forbid.remove(line)),
        Change::Uncordon { .. } | Change::Free { .. } | Change::AddNode => {}
    }
}

fn worded(
    field: &Field<'_>,
    s: usize,
    change: &Change,
    after: &Assignments,
    before: &Outcome,
) -> Suggestion {
    let input = field.services[s].input;
    let (text, mut edits) = words(field, s, change);
    let mut text = text;
    if let Change::LetMove { service, .. } = change {
        let name = &field.services[*service].input.name;
        let moved: Vec<(&InstanceId, Edit)> = before
            .assignments
            .iter()
            .filter(|(instance, _)| instance.service == *name)
            .filter_map(|(instance, old)| {
                let new = after.get(instance)?;
                (new.node != old.node).then(|| {
                    let (from, to) = (old.node.clone(), new.node.clone());
                    (instance, Edit::Move { instance: instance.clone(), from, to })
                })
            })
            .collect();
        let parts: Vec<String> = moved
            .iter()
            .filter_map(|(instance, edit)| match edit {
                Edit::Move { from, to, .. } => {
                    Some(format!("move {} from {from} to {to}", instance.address()))
                }
                _ => None,
            })
            .collect();
        text = format!("{}; its data must be moved with it", parts.join(" and "));
        edits = moved.into_iter().map(|(_, edit)| edit).collect();
    }
    let left = after_missing(field, s, after);
    if left > 0 {
        text.push_str(&format!("; {left} instance(s) of {} would still wait", input.name));
    }
    Suggestion { text, cost: change.cost(), verified: true, edits }
}

fn after_missing(field: &Field<'_>, s: usize, after: &Assignments) -> u32 {
    let input = field.services[s].input;
    let placed = after.keys().filter(|instance| instance.service == input.name);
    input.replicas - placed.count() as u32
}

fn words(field: &Field<'_>, s: usize, change: &Change) -> (String, Vec<Edit>) {
    let input = field.services[s].input;
    let drop = |constraint: &str, at: Option<&String>| {
        let at = at.or(input.at.as_ref());
        let place = at.map_or(String::new(), |at| format!(" at {at}"));
        let text = format!("drop `{constraint}` of service {}{place}", input.name);
        let constraint = constraint.split(' ').next().unwrap_or(constraint).to_owned();
        (text, vec![Edit::Drop { constraint, service: input.name.clone(), at: at.cloned() }])
    };
    let condition = |verb: &str, line: &Require| drop(&line.line(verb), line.at.as_ref());
    match change {
        Change::LetMove { .. } => (String::new(), Vec::new()),
        Change::DropPin => drop("pin", input.pin.as_ref().and_then(|pin| pin.at.as_ref())),
        Change::Spread => drop("spread", input.spread.first().and_then(|line| line.at.as_ref())),
        Change::MaxPerNode => drop("max-per-node", None),
        Change::ApartFrom => drop("apart-from", None),
        Change::Near => drop("near", None),
        Change::DropRequire { line } => condition("require", &input.require[*line]),
        Change::DropForbid { line } => condition("forbid", &input.forbid[*line]),
        Change::Uncordon { node } => {
            let node = field.nodes[*node].input.name.clone();
            (format!("uncordon node {node}"), vec![Edit::Uncordon { node }])
        }
        Change::Free { node, resource, amount } => free_words(field, *node, *resource, *amount),
        Change::AddNode => newcomer::words(field, s),
    }
}

fn free_words(field: &Field<'_>, node: usize, resource: usize, amount: u64) -> (String, Vec<Edit>) {
    let node = field.nodes[node].input.name.clone();
    let word = ["cpu", "memory", "disk"][resource];
    let (text, amount) = match resource {
        0 => (format!("free {} cpu on {node}", Cpu { milli: amount }), amount),
        _ => {
            let mib = amount.div_ceil(1 << 20);
            (format!("free {} of {word} on {node}", shortfall::size(mib << 20)), mib)
        }
    };
    (text, vec![Edit::Free { node, resource: word.to_owned(), amount }])
}
