//! Violations by data that is elsewhere.
//!
//! Knows where all that wait have their data. Refuses to know lines.
//!
//! An instance with data is not placed away from it, however much room there is. `its data is on
//! n1`.

use devnet_schema::placement::Violation;

use super::make::say;
use crate::place::{
    explain::amount::listed,
    ix::{NodeIx, ServiceIx},
    model::partial::PartialPlacement,
    problem::Constraint,
};

/// Where all that wait have their data.
pub(crate) fn data_of_waiting(
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
) -> Vec<NodeIx> {
    let service = &partial.indexed.services[service_ix];
    let all: u32 = service
        .at_home()
        .map(|(node, ran)| ran.saturating_sub(partial.count(service_ix, node)))
        .sum();
    let (missing, movable) = (partial.missing(service_ix), service.input.movable);
    if movable || missing == 0 || all < missing {
        return Vec::new();
    }
    let waits = |&(node, ran): &(NodeIx, u32)| ran > partial.count(service_ix, node);
    service.at_home().filter(waits).map(|(node, _)| node).collect()
}

pub(crate) fn data(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    node: NodeIx,
    found: &mut Vec<Violation>,
) {
    let homes = data_of_waiting(partial, service);
    if homes.is_empty() || homes.contains(&node) {
        return;
    }
    let names = homes.iter().map(|&home| partial.indexed.nodes[home].input.name.to_string());
    let text = format!("its data is on {}", listed(&names.collect::<Vec<_>>()));
    found.push(say(Constraint::Data, None, text));
}
