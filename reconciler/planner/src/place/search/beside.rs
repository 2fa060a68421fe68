//! What is retained, put beside a placement that was found without it.
//!
//! Knows how counts are taken over from one index to another. Refuses to search.
//!
//! Where all of them have their room as it stands, nothing is solved again. Of retained instances
//! that are alike the last are kept, so that the next plan is the same.

use std::collections::BTreeMap;

use super::{displaced::numbers, score, solved::Solved};
use crate::place::{
    effort::spent::Spent,
    ix::ServiceIx,
    model::{
        index::{IndexedProblem, Level},
        partial::PartialPlacement,
        retained::retained_services,
    },
};

/// What was placed before and all that is to be kept beside it, where that is possible: nothing
/// better is, and what was known of moves still holds.
pub(crate) fn with_all<'f>(
    indexed: &'f IndexedProblem<'f>,
    first: &Solved<'_>,
    spent: &mut Spent<'_>,
) -> Option<Solved<'f>> {
    let partial = beside(indexed, &first.partial);
    if !partial.sound() || retained_services(indexed).any(|service| partial.total[service] == 0) {
        return None;
    }
    let placed = partial.placed();
    let known = |level: &Level| first.partial.indexed.levels.binary_search(level).ok();
    let bounds = indexed.levels.iter().zip(placed);
    let bounds = bounds.map(|(level, placed)| known(level).map_or(placed, |at| first.bounds[at]));
    let bounds = bounds.collect();
    let score_bound = score::least_score(&partial, spent).max(first.score_bound);
    // With the score first, the price is that of the best score of what is kept, too.
    let migration_bound = match indexed.problem.limits.rebalance {
        true => indexed.forced().1,
        false => first.migration_bound,
    };
    Some(Solved { partial, bounds, migration_bound, score_bound })
}

/// The better of what was found and of what was placed before, with what is kept where it has the
/// room: a search that was stopped may have found less.
pub(crate) fn take_better(
    solved: &mut Solved<'_>,
    first: &PartialPlacement<'_>,
    spent: &mut Spent<'_>,
) {
    let indexed = solved.partial.indexed;
    let partial = beside(indexed, first);
    if partial.sound() && partial.rank().beats(&solved.partial.rank()) {
        solved.partial = partial;
        // What was known of moves and score holds for as much placed as before only.
        solved.migration_bound = indexed.forced().1;
        solved.score_bound = score::least_score(&solved.partial, spent);
    }
}

/// Of those that may be kept and are alike, keeps the last: the first have the places, whichever of
/// them the solver took.
pub(crate) fn in_order(partial: &mut PartialPlacement<'_>) {
    let indexed = partial.indexed;
    let mut alike: BTreeMap<_, Vec<(u32, ServiceIx)>> = BTreeMap::new();
    for service_ix in
        retained_services(indexed).filter(|&service_ix| !indexed.services[service_ix].wants_gpu())
    {
        let service = &indexed.services[service_ix];
        let home = service.candidates.first().map(|candidate| candidate.node);
        if let Some((id, node)) = service.input.name.retained().zip(home) {
            let has = (service.need, service.input.amounts(), &service.ports);
            alike.entry((&id.service, node, has)).or_default().push((id.index, service_ix));
        }
    }
    for ((_, node, _), mut all) in alike {
        all.sort_unstable();
        let kept = all.iter().filter(|(_, service_ix)| partial.total[*service_ix] > 0).count();
        let placed = all.len() - kept;
        let gone = all[..placed].iter().filter(|(_, service_ix)| partial.total[*service_ix] > 0);
        gone.copied()
            .collect::<Vec<_>>()
            .iter()
            .for_each(|&(_, service_ix)| partial.remove(service_ix, node));
        let missing =
            all[placed..].iter().filter(|(_, service_ix)| partial.total[*service_ix] == 0);
        missing
            .copied()
            .collect::<Vec<_>>()
            .iter()
            .for_each(|&(_, service_ix)| partial.add(service_ix, node));
    }
}

/// What was placed before, with what is kept where it has the room.
fn beside<'f>(
    indexed: &'f IndexedProblem<'f>,
    first: &PartialPlacement<'_>,
) -> PartialPlacement<'f> {
    let numbers = numbers(indexed);
    let mut partial = PartialPlacement::empty(indexed);
    for (service, nodes) in first.of_service.enumerate() {
        let own = numbers[&first.indexed.services[service].input.name];
        for (&node, &count) in nodes {
            (0..count).for_each(|_| partial.add(own, node));
        }
    }
    for service in retained_services(indexed) {
        let home = indexed.services[service].candidates.first().map(|candidate| candidate.node);
        if let Some(node) = home.filter(|&node| partial.fits_alone(service, node)) {
            partial.add(service, node);
        }
    }
    partial
}
