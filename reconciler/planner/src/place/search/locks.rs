//! Which instances must stay, as far as they can all stay.
//!
//! Knows what locks contradict one another. Refuses to know why an instance is locked.
//!
//! Two instances with data on a node that shrank may not both fit any more; the less important lock
//! is let go before any search. All bounds and programs may then rely on the locks.

use super::{
    construct::{add_locked, locks, run},
    style::REPAIRS,
};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{index::IndexedProblem, partial::PartialPlacement},
    problem::PlacementProblem,
};

/// The indexed problem, with locks only on instances that can really stay.
pub(crate) fn settled(problem: &PlacementProblem) -> IndexedProblem<'_> {
    let mut indexed = IndexedProblem::new(problem);
    settle_locks(&mut indexed);
    loop {
        let broken = broken_lock(&indexed);
        match broken {
            Some(service) => indexed.services[service].unlock(),
            None => return indexed,
        }
    }
}

/// The first service whose instances that must stay break a rule whatever is placed around them,
/// if any does.
pub(crate) fn broken_lock(indexed: &IndexedProblem<'_>) -> Option<ServiceIx> {
    // Without `spread` and `near` nothing is ever out of order.
    let bound = |service_ix: &ServiceIx| {
        let service = &indexed.services[*service_ix];
        !service.spread.is_empty() || !service.near.is_empty()
    };
    let locked: Vec<ServiceIx> = indexed
        .services
        .positions()
        .filter(bound)
        .filter(|&service_ix| !indexed.services[service_ix].locked.is_empty())
        .collect();
    if locked.is_empty() {
        return None;
    }
    let partial = run(indexed, REPAIRS[0]);
    locked.into_iter().find(|&service_ix| !partial.in_order(service_ix))
}

/// Lets go of every lock that does not fit beside those of more important services, or beside what
/// is as important and runs, so that the others can be relied on.
pub(crate) fn settle_locks(indexed: &mut IndexedProblem<'_>) {
    // Service and node of each lock that is not kept in full, and what is kept of it.
    let mut broken: Vec<(ServiceIx, NodeIx, u32)> = Vec::new();
    {
        let mut partial = PartialPlacement::empty(indexed);
        for lock in locks(indexed) {
            let count = add_locked(&mut partial, &lock);
            broken.extend((count < lock.count).then_some((lock.service, lock.node, count)));
        }
    }
    for (service, node, count) in broken {
        indexed.services[service].locked.insert(node, count);
    }
}
