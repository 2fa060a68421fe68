//! Better placements by small steps: back home, and towards a better score.
//!
//! Knows single shifts and swaps that keep every constraint. Refuses to give up anything placed.

use crate::place::{
    model::{
        index::Candidate,
        partial::{PartialPlacement, crowding},
    },
    problem::Objective,
};

/// Rounds of looking at every instance.
const ROUNDS: usize = 20;

/// The same where there are many pairs of a service and a node.
const FEW_ROUNDS: usize = 3;

/// How many pairs are many.
const MANY_PAIRS: usize = 200_000;

/// Pairs of instances looked at before swapping ends: a second or so of a fleet of 200 nodes.
const LOOKS: u64 = 5_000_000;

/// Brings instances back to where they ran, wherever there is room now.
pub fn return_home(partial: &mut PartialPlacement<'_>) {
    for s in 0..partial.indexed.services.len() {
        let homes: Vec<usize> = partial.indexed.services[s]
            .candidates
            .iter()
            .filter(|candidate| candidate.current > 0)
            .map(|candidate| candidate.node)
            .collect();
        for home in homes {
            while partial.staying(s, home) < current(partial, s, home)
                && bring_one(partial, s, home)
            {}
        }
    }
}

fn current(partial: &PartialPlacement<'_>, s: usize, node: usize) -> u32 {
    partial.indexed.services[s].candidate(node).map_or(0, |candidate| candidate.current)
}

fn bring_one(partial: &mut PartialPlacement<'_>, s: usize, home: usize) -> bool {
    let migration_cost = partial.indexed.services[s].migration_cost;
    let strays: Vec<usize> = partial.of_service[s]
        .keys()
        .copied()
        .filter(|&node| node != home && partial.count(s, node) > partial.staying(s, node))
        .collect();
    strays.into_iter().any(|from| {
        let before = partial.restarts();
        shift(partial, s, from, home) && {
            // Others that would restart for it may be dearer than its own move.
            let worth = u64::from(partial.restarts().saturating_sub(before)) < migration_cost;
            worth || !shift(partial, s, home, from)
        }
    })
}

/// Sends newcomers elsewhere for whom others would restart, on other devices.
pub fn leave_in_peace(partial: &mut PartialPlacement<'_>) {
    let indexed = partial.indexed;
    for n in (0..indexed.nodes.len()).filter(|&n| indexed.nodes[n].has_previous_devices) {
        let here: Vec<usize> = partial.on_node[n].keys().copied().collect();
        for s in here.into_iter().filter(|&s| indexed.services[s].wants_gpu()) {
            while partial.restarts_on(n) > 0 && partial.count(s, n) > partial.staying(s, n) {
                let before = partial.restarts();
                let mut to: Vec<usize> =
                    indexed.services[s].candidates.iter().map(|c| c.node).collect();
                to.retain(|&to| to != n && partial.fits_alone(s, to) && !partial.disturbs(s, to));
                to.sort_by_key(|&to| (partial.growth(s, to), to));
                let Some(&to) = to.iter().find(|&&to| shift(partial, s, n, to)) else { break };
                if partial.restarts() >= before {
                    shift(partial, s, to, n);
                    break;
                }
            }
        }
    }
}

/// Moves one instance, or leaves the placement as it was.
pub fn shift(partial: &mut PartialPlacement<'_>, s: usize, from: usize, to: usize) -> bool {
    if !partial.may_leave(s, from) {
        return false;
    }
    partial.remove(s, from);
    if partial.fits(s, to) {
        partial.add(s, to);
        if partial.in_order(s) {
            return true;
        }
        partial.remove(s, to);
    }
    partial.add(s, from);
    false
}

/// Shifts instances one at a time as long as the score falls. With `hold`, whatever runs where it
/// ran before stays, and on its devices.
pub fn improve(partial: &mut PartialPlacement<'_>, hold: bool) {
    let rounds = if partial.indexed.pairs() > MANY_PAIRS { FEW_ROUNDS } else { ROUNDS };
    for _ in 0..rounds {
        let mut changed = false;
        for s in 0..partial.indexed.services.len() {
            let nodes: Vec<usize> = partial.of_service[s].keys().copied().collect();
            for from in nodes {
                let bound = if hold { partial.staying(s, from) } else { 0 };
                while partial.count(s, from) > bound && best_shift(partial, s, from, hold) {
                    changed = true;
                }
            }
        }
        if !changed {
            return;
        }
    }
}

/// Shifts and swaps as long as the score falls.
pub fn polish(
    partial: &mut PartialPlacement<'_>,
    hold: bool,
    go_on: &mut dyn FnMut(&PartialPlacement<'_>) -> bool,
) {
    improve(partial, hold);
    let mut looks = LOOKS;
    let swaps = partial.indexed.problem.objective == Objective::Balance;
    while swaps && looks > 0 && go_on(partial) && swap_all(partial, hold, &mut looks) {
        improve(partial, hold);
    }
}

/// A shift of one instance that could stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    pub s: usize,
    pub from: usize,
    pub to: usize,
    /// By how much the score falls.
    pub gain: u64,
}

/// The shift that lowers the score most, of all instances that run where they ran before.
pub fn best_hop(partial: &PartialPlacement<'_>) -> Option<Hop> {
    let mut best: Option<Hop> = None;
    let mut trial = partial.clone();
    for s in 0..partial.indexed.services.len() {
        for &from in partial.of_service[s].keys() {
            if partial.staying(s, from) < partial.count(s, from) || !partial.may_leave(s, from) {
                continue;
            }
            trial.remove(s, from);
            let was = trial.growth(s, from);
            // What left a node does not come back: the moves would be one, shown as two.
            let open = |candidate: &&Candidate| {
                candidate.node != from && partial.count(s, candidate.node) >= candidate.current
            };
            for candidate in partial.indexed.services[s].candidates.iter().filter(open) {
                let gain = was.saturating_sub(trial.growth(s, candidate.node));
                let better = gain > best.map_or(0, |best| best.gain);
                if better
                    && trial.fits_alone(s, candidate.node)
                    && !trial.disturbs(s, candidate.node)
                    && stays_in_order(&mut trial, s, candidate.node)
                {
                    best = Some(Hop { s, from, to: candidate.node, gain });
                }
            }
            trial.add(s, from);
        }
    }
    best
}

/// An instance that may be swapped, with what it takes.
struct Piece {
    s: usize,
    need: [u64; 2],
}

/// Goes once over all pairs of nodes. Whether anything was swapped.
fn swap_all(partial: &mut PartialPlacement<'_>, hold: bool, looks: &mut u64) -> bool {
    let mut changed = false;
    let mut nodes: Vec<usize> = (0..partial.on_node.len()).collect();
    nodes.retain(|&n| !partial.on_node[n].is_empty());
    nodes.sort_by_key(|&n| (std::cmp::Reverse(partial.node_score(n)), n));
    for (at, &a) in nodes.iter().enumerate() {
        // The hottest with the coolest first: there is most to gain.
        for &b in nodes[at + 1..].iter().rev() {
            let pairs = partial.on_node[a].len() * partial.on_node[b].len();
            *looks = looks.saturating_sub(pairs as u64);
            if *looks == 0 {
                return changed;
            }
            while swap_best(partial, a, b, hold) {
                changed = true;
            }
        }
    }
    changed
}

fn pieces(partial: &PartialPlacement<'_>, from: usize, to: usize, hold: bool) -> Vec<Piece> {
    let free = |&s: &usize| {
        let settled = if hold { partial.staying(s, from) } else { 0 };
        partial.count(s, from) > settled
            && partial.indexed.services[s].candidate(to).is_some()
            && partial.may_leave(s, from)
    };
    let here = partial.on_node[from].keys().copied().filter(free);
    here.map(|s| {
        let need = partial.indexed.services[s].need;
        Piece { s, need: [need[0], need[1]] }
    })
    .collect()
}

/// Makes the swap between two nodes that lowers the score most, if one does.
fn swap_best(partial: &mut PartialPlacement<'_>, a: usize, b: usize, hold: bool) -> bool {
    let (left, right) = (pieces(partial, a, b, hold), pieces(partial, b, a, hold));
    let soft_cost =
        |s: usize, n: usize| partial.indexed.services[s].candidate(n).map_or(0, |c| c.soft_cost);
    let before = partial.node_score(a) + partial.node_score(b);
    let mut found: Vec<(u64, usize, usize)> = Vec::new();
    for x in &left {
        for y in &right {
            if x.need == y.need {
                continue;
            }
            let after = swapped(partial, a, x, y).zip(swapped(partial, b, y, x));
            let Some((one, two)) = after else { continue };
            let was = before + soft_cost(x.s, a) + soft_cost(y.s, b);
            let is = one + two + soft_cost(x.s, b) + soft_cost(y.s, a);
            if is < was {
                found.push((was - is, x.s, y.s));
            }
        }
    }
    found.sort_unstable_by(|p, q| q.0.cmp(&p.0).then((p.1, p.2).cmp(&(q.1, q.2))));
    found.into_iter().take(4).any(|(_, s, t)| swap(partial, (s, a), (t, b), hold))
}

/// What a node costs with one piece for another; nothing where that is too much for it.
fn swapped(partial: &PartialPlacement<'_>, n: usize, out: &Piece, into: &Piece) -> Option<u64> {
    let (used, capacity) = (partial.used[n], partial.indexed.nodes[n].capacity);
    let mut sum = 0;
    for r in 0..2 {
        let after = used[r] - out.need[r] + into.need[r];
        if after > capacity[r] {
            return None;
        }
        sum += crowding(after, capacity[r]);
    }
    Some(sum)
}

/// Swaps two instances, or leaves the placement as it was. With `hold`, nobody restarts for that.
fn swap(
    partial: &mut PartialPlacement<'_>,
    (s, a): (usize, usize),
    (t, b): (usize, usize),
    hold: bool,
) -> bool {
    let before = partial.restarts_on(a) + partial.restarts_on(b);
    partial.remove(s, a);
    partial.remove(t, b);
    if partial.fits(s, b) {
        partial.add(s, b);
        if partial.fits(t, a) {
            partial.add(t, a);
            let keep_devices = !hold || partial.restarts_on(a) + partial.restarts_on(b) <= before;
            if keep_devices && partial.in_order(s) && partial.in_order(t) {
                return true;
            }
            partial.remove(t, a);
        }
        partial.remove(s, b);
    }
    partial.add(t, b);
    partial.add(s, a);
    false
}

/// Makes the shift of one instance that lowers the score most, if one does.
fn best_shift(partial: &mut PartialPlacement<'_>, s: usize, from: usize, hold: bool) -> bool {
    if !partial.may_leave(s, from) {
        return false;
    }
    partial.remove(s, from);
    let gain = partial.growth(s, from);
    let mut best: Option<(u64, usize)> = None;
    for candidate in &partial.indexed.services[s].candidates {
        let to = candidate.node;
        let loss = partial.growth(s, to);
        let better = loss < gain && best.is_none_or(|b| (loss, to) < b);
        let open = to != from && better && partial.fits_alone(s, to);
        if open && !(hold && partial.disturbs(s, to)) && stays_in_order(partial, s, to) {
            best = Some((loss, to));
        }
    }
    partial.add(s, best.map_or(from, |(_, to)| to));
    best.is_some()
}

fn stays_in_order(partial: &mut PartialPlacement<'_>, s: usize, to: usize) -> bool {
    if partial.indexed.services[s].spread.is_empty() && partial.indexed.services[s].near.is_empty()
    {
        return true;
    }
    partial.add(s, to);
    let in_order = partial.in_order(s);
    partial.remove(s, to);
    in_order
}
