//! One instance from one node to another.
//!
//! Knows shifts that keep every constraint. Refuses to give up anything placed.
//!
//! Bringing an instance home, sending a newcomer away and evening out are all such shifts. A shift
//! that would break a line leaves the placement as it was.

use crate::place::model::{partial::PartialPlacement, service::Candidate};

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

pub fn stays_in_order(partial: &mut PartialPlacement<'_>, s: usize, to: usize) -> bool {
    if partial.indexed.services[s].spread.is_empty() && partial.indexed.services[s].near.is_empty()
    {
        return true;
    }
    partial.add(s, to);
    let in_order = partial.in_order(s);
    partial.remove(s, to);
    in_order
}
