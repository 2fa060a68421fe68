//! Everything that speaks against one more instance of a service on a node.
//!
//! Knows all kinds of violations and their order. Refuses to stop at the first.
//!
//! A person who lifts one reason wants to know the next at once. `plan` prints them by node where
//! something does not fit, and `explain` for any node.

pub(crate) mod capacity;
pub(crate) mod data;
pub(crate) mod filters;
pub(crate) mod gpu;
pub(crate) mod make;
pub(crate) mod neighbours;
pub(crate) mod spread;

use devnet_schema::placement::Violation;

use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::partial::PartialPlacement,
    problem::Constraint,
};
use capacity::resources;
use data::data;
use filters::refusals;
use gpu::devices;
use neighbours::left_alone;
use neighbours::neighbours;
use spread::uneven;

/// All of it, as things are on the placement; empty where it would fit.
pub(crate) fn violations(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    node: NodeIx,
) -> Vec<Violation> {
    let mut found = Vec::new();
    refusals(partial, service, node, &mut found);
    resources(partial, service, node, &mut found);
    devices(partial, service, node, &mut found);
    neighbours(partial, service, node, &mut found);
    spread(partial, service, node, &mut found);
    data(partial, service, node, &mut found);
    left_alone(partial, service, node, &mut found);
    found
}

/// All that speaks against moving an instance to the node; `without` is the placement `before`
/// without it. That it is away may be what makes the others uneven.
pub(crate) fn of_move(
    before: &PartialPlacement<'_>,
    without: &PartialPlacement<'_>,
    service: ServiceIx,
    node: NodeIx,
) -> Vec<Violation> {
    let mut found = violations(without, service, node);
    // What keeps one where it is is told of that one.
    found.retain(|it| Constraint::of(it) != Some(Constraint::Data) || before.missing(service) > 0);
    if !found.iter().any(|it| Constraint::of(it) == Some(Constraint::Spread)) {
        uneven(before, without, service, node, &mut found);
    }
    found
}

fn spread(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    node: NodeIx,
    found: &mut Vec<Violation>,
) {
    uneven(partial, partial, service, node, found);
}
