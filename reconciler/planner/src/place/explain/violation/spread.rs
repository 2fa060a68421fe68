//! Violations of spread lines.
//!
//! Knows how uneven one more would make it. Refuses to know domains by name.
//!
//! A move is held against the placement before it: leaving a domain may be what makes the others
//! uneven.

use devnet_schema::placement::Violation;

use super::make::say_line;
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{partial::PartialPlacement, service::Service},
    problem::Constraint,
};

/// Lines of `spread` that one more on the node breaks further than `before` does.
pub(crate) fn uneven(
    before: &PartialPlacement<'_>,
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
    node: NodeIx,
    found: &mut Vec<Violation>,
) {
    let service: &Service<'_> = &partial.indexed.services[service_ix];
    for (line, input) in service.spread.iter().zip(&service.input.spread) {
        let excess = partial.skew_with(service_ix, line, Some(node));
        if excess > before.skew_excess(service_ix, line) {
            let skew = line.skew + excess;
            let text = format!("would be spread unevenly: {skew} apart, {} allowed", line.skew);
            found.push(say_line(Constraint::Spread, input.at.as_ref(), text));
        }
    }
}
