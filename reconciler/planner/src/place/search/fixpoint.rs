//! No churn: an answer is given only when the same problem, once that answer runs, is answered with
//! it again.
//!
//! Knows how to make the next problem from an answer. Refuses to accept a next answer that does not
//! place more: nothing else is worth a move.
//!
//! A search that begins from its own answer may find a place for what it left out, and then the
//! next plan would move things. So that search is made at once, until nothing more is placed.

use std::collections::BTreeMap;

use super::{locks::settled, score, solved::Solved, strategy};
use crate::place::{
    effort::spent::Spent,
    model::{index::IndexedProblem, indices, partial::PartialPlacement},
    problem::{Current, PlacementProblem},
};

/// The best placement of an indexed problem whose locks are settled.
///
/// What is missing without a proof that it must be may be found a place by a search that starts
/// from what this one found. That search is made at once, with limits of its own as it will have
/// when the plan is made again, and so on until nothing more is placed: each round places more
/// than the one before, so there is a last one.
pub(crate) fn solve<'f>(indexed: &'f IndexedProblem<'f>, spent: &mut Spent<'_>) -> Solved<'f> {
    let mut solved = strategy::solve(indexed, None, spent);
    while open(&solved) && spent.go_on(solved.partial.placed()) {
        let next = running(indexed.problem, &solved.partial);
        let next_field = settled(&next);
        let known = Some(solved.bounds.clone());
        let again = spent.nested(|spent| strategy::solve(&next_field, known, spent));
        let Some(partial) =
            same(indexed, &again.partial).filter(|partial| more(partial, &solved.partial))
        else {
            break;
        };
        // What was known of this indexed problem's moves and score holds for as much placed as
        // before only.
        solved.partial = partial;
        solved.migration_bound = indexed.forced().1;
        solved.score_bound = score::least_score(&solved.partial, spent);
    }
    solved
}

fn open(solved: &Solved<'_>) -> bool {
    !solved.partial.indexed.problem.limits.rebalance && solved.partial.placed() != solved.bounds
}

fn more(new: &PartialPlacement<'_>, old: &PartialPlacement<'_>) -> bool {
    new.placed() > old.placed()
}

/// The same problem with a placement running.
fn running(problem: &PlacementProblem, partial: &PartialPlacement<'_>) -> PlacementProblem {
    let mut current: BTreeMap<_, BTreeMap<u32, Current>> = BTreeMap::new();
    for (id, place) in indices::assign(partial) {
        let place = Current { node: place.node, gpus: place.gpus, held: false };
        current.entry(id.service).or_default().insert(id.index, place);
    }
    let mut next = problem.clone();
    for service in &mut next.services {
        let mut now = current.remove(&service.name).unwrap_or_default();
        for (index, place) in &mut now {
            let before = service.current.get(index).filter(|it| it.node == place.node);
            place.held = before.is_some_and(|it| it.held);
        }
        service.current = now;
    }
    next
}

/// The same counts on another indexed problem of the same nodes and services.
fn same<'f>(
    indexed: &'f IndexedProblem<'f>,
    other: &PartialPlacement<'_>,
) -> Option<PartialPlacement<'f>> {
    let mut partial = PartialPlacement::empty(indexed);
    for (service, nodes) in other.of_service.enumerate() {
        for (&node, &count) in nodes {
            (0..count).for_each(|_| partial.add(service, node));
        }
    }
    partial.sound().then_some(partial)
}
