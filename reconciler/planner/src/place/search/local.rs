//! A better score by single shifts, and then by swaps.
//!
//! Knows when to stop. Refuses to move what stays, where that is asked for.
//!
//! It is the last step of large searches, where a program of the score would be too weak. Shifts
//! are made as long as the score falls, for twenty rounds at most.

use super::{shift::stays_in_order, swap::swap_all};
use crate::place::{model::partial::PartialPlacement, problem::Objective};

/// Rounds of looking at every instance.
const ROUNDS: usize = 20;

/// The same where there are many pairs of a service and a node.
const FEW_ROUNDS: usize = 3;

/// How many pairs are many.
const MANY_PAIRS: usize = 200_000;

/// Pairs of instances looked at before swapping ends: a second or so of a fleet of 200 nodes.
const LOOKS: u64 = 5_000_000;

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
