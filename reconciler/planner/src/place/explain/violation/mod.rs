//! Everything that speaks against one more instance of a service on a node.
//!
//! Knows all kinds of violations and their order. Refuses to stop at the first.
//!
//! A person who lifts one reason wants to know the next at once. `plan` prints them by node where
//! something does not fit, and `explain` for any node.

pub mod capacity;
pub mod data;
pub mod filters;
pub mod gpu;
pub mod make;
pub mod neighbours;
pub mod spread;

use devnet_schema::placement::Violation;

use crate::place::model::partial::PartialPlacement;
use capacity::resources;
use data::data;
use filters::refusals;
use gpu::devices;
use neighbours::left_alone;
use neighbours::neighbours;
use spread::uneven;

/// All of it, as things are on the placement; empty where it would fit.
pub fn violations(partial: &PartialPlacement<'_>, s: usize, n: usize) -> Vec<Violation> {
    let mut found = Vec::new();
    refusals(partial, s, n, &mut found);
    resources(partial, s, n, &mut found);
    devices(partial, s, n, &mut found);
    neighbours(partial, s, n, &mut found);
    spread(partial, s, n, &mut found);
    data(partial, s, n, &mut found);
    left_alone(partial, s, n, &mut found);
    found
}

/// All that speaks against moving an instance to the node; `without` is the placement `before`
/// without it. That it is away may be what makes the others uneven.
pub fn of_move(
    before: &PartialPlacement<'_>,
    without: &PartialPlacement<'_>,
    s: usize,
    n: usize,
) -> Vec<Violation> {
    let mut found = violations(without, s, n);
    // What keeps one where it is is told of that one.
    found.retain(|it| it.constraint != "data" || before.missing(s) > 0);
    if !found.iter().any(|it| it.constraint == "spread") {
        uneven(before, without, s, n, &mut found);
    }
    found
}

fn spread(partial: &PartialPlacement<'_>, s: usize, n: usize, found: &mut Vec<Violation>) {
    uneven(partial, partial, s, n, found);
}
