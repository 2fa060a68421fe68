//! One instance from one node to another.
//!
//! Knows shifts that keep every constraint. Refuses to give up anything placed.
//!
//! Bringing an instance home, sending a newcomer away and evening out are all such shifts. A shift
//! that would break a line leaves the placement as it was.

use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{partial::PartialPlacement, service::Candidate},
};

/// Brings instances back to where they ran, wherever there is room now.
pub(crate) fn return_home(partial: &mut PartialPlacement<'_>) {
    for service in partial.indexed.services.positions() {
        let homes: Vec<NodeIx> = partial.indexed.services[service]
            .candidates
            .iter()
            .filter(|candidate| candidate.current > 0)
            .map(|candidate| candidate.node)
            .collect();
        for home in homes {
            while partial.staying(service, home) < current(partial, service, home)
                && bring_one(partial, service, home)
            {}
        }
    }
}

fn current(partial: &PartialPlacement<'_>, service: ServiceIx, node: NodeIx) -> u32 {
    partial.indexed.services[service].candidate(node).map_or(0, |candidate| candidate.current)
}

fn bring_one(partial: &mut PartialPlacement<'_>, service: ServiceIx, home: NodeIx) -> bool {
    let migration_cost = partial.indexed.services[service].migration_cost;
    let strays: Vec<NodeIx> = partial.of_service[service]
        .keys()
        .copied()
        .filter(|&node| {
            node != home && partial.count(service, node) > partial.staying(service, node)
        })
        .collect();
    strays.into_iter().any(|from| {
        let before = partial.restarts();
        shift(partial, service, from, home) && {
            // Others that would restart for it may be dearer than its own move.
            let worth = u64::from(partial.restarts().saturating_sub(before)) < migration_cost;
            worth || !shift(partial, service, home, from)
        }
    })
}

/// Sends newcomers elsewhere for whom others would restart, on other devices.
pub(crate) fn leave_in_peace(partial: &mut PartialPlacement<'_>) {
    let indexed = partial.indexed;
    for node in indexed.nodes.positions().filter(|&node| indexed.nodes[node].has_previous_devices) {
        let here: Vec<ServiceIx> = partial.on_node[node].keys().copied().collect();
        for service in here.into_iter().filter(|&service| indexed.services[service].wants_gpu()) {
            while partial.restarts_on(node) > 0
                && partial.count(service, node) > partial.staying(service, node)
            {
                let before = partial.restarts();
                let mut to: Vec<NodeIx> =
                    indexed.services[service].candidates.iter().map(|c| c.node).collect();
                to.retain(|&to| {
                    to != node && partial.fits_alone(service, to) && !partial.disturbs(service, to)
                });
                to.sort_by_key(|&to| (partial.growth(service, to), to));
                let Some(&to) = to.iter().find(|&&to| shift(partial, service, node, to)) else {
                    break;
                };
                if partial.restarts() >= before {
                    shift(partial, service, to, node);
                    break;
                }
            }
        }
    }
}

/// Moves one instance, or leaves the placement as it was.
pub(crate) fn shift(
    partial: &mut PartialPlacement<'_>,
    service: ServiceIx,
    from: NodeIx,
    to: NodeIx,
) -> bool {
    if !partial.may_leave(service, from) {
        return false;
    }
    partial.remove(service, from);
    if partial.fits(service, to) {
        partial.add(service, to);
        if partial.in_order(service) {
            return true;
        }
        partial.remove(service, to);
    }
    partial.add(service, from);
    false
}

/// A shift of one instance that could stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hop {
    pub service: ServiceIx,
    pub from: NodeIx,
    pub to: NodeIx,
    /// By how much the score falls.
    pub gain: u64,
}

/// The shift that lowers the score most, of all instances that run where they ran before.
pub(crate) fn best_hop(partial: &PartialPlacement<'_>) -> Option<Hop> {
    let mut best: Option<Hop> = None;
    let mut trial = partial.clone();
    for service in partial.indexed.services.positions() {
        for &from in partial.of_service[service].keys() {
            if partial.staying(service, from) < partial.count(service, from)
                || !partial.may_leave(service, from)
            {
                continue;
            }
            trial.remove(service, from);
            let was = trial.growth(service, from);
            // What left a node does not come back: the moves would be one, shown as two.
            let open = |candidate: &&Candidate| {
                candidate.node != from
                    && partial.count(service, candidate.node) >= candidate.current
            };
            for candidate in partial.indexed.services[service].candidates.iter().filter(open) {
                let gain = was.saturating_sub(trial.growth(service, candidate.node));
                let better = gain > best.map_or(0, |best| best.gain);
                if better
                    && trial.fits_alone(service, candidate.node)
                    && !trial.disturbs(service, candidate.node)
                    && stays_in_order(&mut trial, service, candidate.node)
                {
                    best = Some(Hop { service, from, to: candidate.node, gain });
                }
            }
            trial.add(service, from);
        }
    }
    best
}

pub(crate) fn stays_in_order(
    partial: &mut PartialPlacement<'_>,
    service: ServiceIx,
    to: NodeIx,
) -> bool {
    if partial.indexed.services[service].spread.is_empty()
        && partial.indexed.services[service].near.is_empty()
    {
        return true;
    }
    partial.add(service, to);
    let in_order = partial.in_order(service);
    partial.remove(service, to);
    in_order
}
