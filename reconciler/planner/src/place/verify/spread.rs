//! Spread over nodes or zones.
//!
//! Knows counts by domain. Refuses to know capacity beyond whether one instance could run.
//!
//! A domain where none could run is not counted as empty.

use std::collections::BTreeMap;

use devnet_schema::name::NodeName;

use super::{
    admits::could_run,
    breach::{Breach, Placed, tell},
};
use crate::place::{
    outcome::Reason,
    problem::{Constraint, NodeInput, NodeState, PlacementProblem, ServiceInput, Spread, SpreadBy},
};

pub(super) fn check_spread(
    problem: &PlacementProblem,
    service: &ServiceInput,
    on_node: &BTreeMap<&NodeName, Placed<'_>>,
    breaches: &mut Vec<Breach>,
) {
    for line in &service.spread {
        let mut open: BTreeMap<String, u32> = BTreeMap::new();
        let mut all: BTreeMap<String, u32> = BTreeMap::new();
        for node in &problem.nodes {
            let placed = on_node.get(&node.name).into_iter().flatten();
            let own = placed.filter(|(_, place, service_ix)| {
                service_ix.name == service.name && place.reason != Reason::Retained
            });
            let here = own.count() as u32;
            let domain = domain(line, node);
            if node.state == NodeState::Ready && could_run(problem, service, node) {
                *open.entry(domain.clone()).or_insert(0) += 0;
            }
            *all.entry(domain).or_insert(0) += here;
        }
        let low = open.keys().map(|domain| all[domain]).min();
        let high = all.values().copied().max().unwrap_or(0);
        if low.is_some_and(|low| high > low + line.max_skew) {
            tell(breaches, Constraint::Spread, format!("{} is spread unevenly", service.name));
        }
    }
}

fn domain(line: &Spread, node: &NodeInput) -> String {
    match line.by {
        SpreadBy::Node => node.name.to_string(),
        SpreadBy::Zone => node.zone.as_ref().map_or(String::new(), |zone| format!("={zone}")),
    }
}
