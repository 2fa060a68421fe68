//! Placements for the sake of a remedy: what could be placed with a change made.
//!
//! Knows a quick search and a full one. Refuses to explain its answer.
//!
//! Remedies are tried by dozens, so the quick one has no thought for moves and score. The full one
//! is what a plan with the change would do.

use std::collections::BTreeMap;

use super::{locks::settled, retention, strategy};
use crate::place::{
    effort::spent::Spent,
    ix::ServiceIx,
    model::{
        indices::{self, Assignments},
        partial::PartialPlacement,
        service,
    },
    problem::{PlacementProblem, ServiceKey},
};

/// What can be placed, and how many instances of each service cannot; what the storey
/// `repair` tries its changes of a small problem with.
pub(crate) fn tried(
    problem: &PlacementProblem,
    spent: &mut Spent<'_>,
) -> (Assignments, BTreeMap<ServiceKey, u32>) {
    let indexed = settled(problem);
    of_board(&strategy::placed(&indexed, spent))
}

/// What the plan of a problem places, and how many instances of each service it does not: with the
/// limits of the problem, as [`crate::place::place()`] does, and in the names of
/// the problem with what is retained.
pub(crate) fn planned(
    problem: &PlacementProblem,
    spent: &mut Spent<'_>,
) -> (Assignments, BTreeMap<ServiceKey, u32>) {
    retention::solved(problem, spent, |solved, _| of_board(&solved.partial))
}

fn of_board(partial: &PartialPlacement<'_>) -> (Assignments, BTreeMap<ServiceKey, u32>) {
    let missing = |(service_ix, service): (ServiceIx, &service::Service<'_>)| {
        (service.input.name.clone(), partial.missing(service_ix))
    };
    let missing = partial.indexed.services.enumerate().map(missing).collect();
    (indices::assign(partial), missing)
}
