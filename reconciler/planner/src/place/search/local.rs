//! A better score by single shifts, and then by swaps.
//!
//! Knows when to stop. Refuses to move what stays, where that is asked for.
//!
//! It is the last step of large searches, where a program of the score would be too weak. Shifts
//! are made as long as the score falls, for twenty rounds at most.

use super::{shift::stays_in_order, swap::swap_all};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::partial::PartialPlacement,
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

/// Shifts instances one at a time as long as the score falls. With `hold`, whatever runs where it
/// ran before stays, and on its devices.
pub(crate) fn improve(partial: &mut PartialPlacement<'_>, hold: bool) {
    let rounds = if partial.indexed.pairs() > MANY_PAIRS { FEW_ROUNDS } else { ROUNDS };
    for _ in 0..rounds {
        let mut changed = false;
        for service in partial.indexed.services.positions() {
            let nodes: Vec<NodeIx> = partial.of_service[service].keys().copied().collect();
            for from in nodes {
                let bound = if hold { partial.staying(service, from) } else { 0 };
                while partial.count(service, from) > bound
                    && best_shift(partial, service, from, hold)
                {
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
pub(crate) fn polish(
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
fn best_shift(
    partial: &mut PartialPlacement<'_>,
    service: ServiceIx,
    from: NodeIx,
    hold: bool,
) -> bool {
    if !partial.may_leave(service, from) {
        return false;
    }
    partial.remove(service, from);
    let gain = partial.growth(service, from);
    let mut best: Option<(u64, NodeIx)> = None;
    for candidate in &partial.indexed.services[service].candidates {
        let to = candidate.node;
        let loss = partial.growth(service, to);
        let better = loss < gain && best.is_none_or(|b| (loss, to) < b);
        let open = to != from && better && partial.fits_alone(service, to);
        if open && !(hold && partial.disturbs(service, to)) && stays_in_order(partial, service, to)
        {
            best = Some((loss, to));
        }
    }
    partial.add(service, best.map_or(from, |(_, to)| to));
    best.is_some()
}
