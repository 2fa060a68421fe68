//! A second look at an outcome, apart from everything that found it.
//!
//! Knows the constraints by their definition, over names. Refuses to share a line with the solver:
//! a mistake there must not be a mistake here.
//!
//! Every plan is looked at by it before it is printed, and parts of a fleet that were planned again
//! are. It sees a problem and an outcome and nothing else.

mod admits;
mod breach;
mod capacity;
mod devices;
mod filters;
mod neighbours;
mod retained;
mod spread;
mod totals;

use std::{borrow::Cow, collections::BTreeMap};

use devnet_schema::name::NodeName;

use crate::place::{
    outcome::{Assignment, Outcome, Reason},
    problem::{
        Constraint, InstanceKey, NodeInput, NodeState, PlacementProblem, ServiceInput, ServiceKey,
    },
};
pub use breach::Breach;
use breach::Placed;
use breach::tell;
use capacity::check_capacity;
use devices::check_devices;
use filters::check_filters;
use neighbours::check_neighbours;
use retained::as_it_is;
use spread::check_spread;
use totals::check_totals;

/// Every constraint that the outcome does not keep; empty for a good one.
pub fn verify(problem: &PlacementProblem, outcome: &Outcome) -> Vec<Breach> {
    let placed = outcome.assignments.iter();
    let placed = placed.map(|(id, place)| (InstanceKey::declared(id.clone()), place));
    let mut breaches = breaches(problem, placed);
    check_totals(problem, outcome, &mut breaches);
    breaches
}

/// The same of instances on nodes, whatever is said of them.
pub(super) fn breaches<'a>(
    problem: &'a PlacementProblem,
    assignments: impl Iterator<Item = (InstanceKey, &'a Assignment)>,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let services: BTreeMap<&ServiceKey, &ServiceInput> =
        problem.services.iter().map(|service| (&service.name, service)).collect();
    let nodes: BTreeMap<&NodeName, &NodeInput> =
        problem.nodes.iter().map(|node| (&node.name, node)).collect();
    let mut on_node: BTreeMap<&NodeName, Placed<'_>> = BTreeMap::new();
    for (instance, place) in assignments {
        let Some(service) = services.get(&instance.service) else {
            tell(
                &mut breaches,
                Constraint::KnownService,
                format!("{instance} is of no known service"),
            );
            continue;
        };
        let mut service = Cow::Borrowed(*service);
        if place.reason == Reason::Retained {
            match as_it_is(&service, instance.index, nodes.get(&place.node).copied()) {
                Some(input) => service = Cow::Owned(input),
                None => tell(
                    &mut breaches,
                    Constraint::Retained,
                    format!("{instance} does not run there"),
                ),
            }
        }
        if !service.wants(instance.index) {
            tell(&mut breaches, Constraint::Replicas, format!("{instance} is not wanted"));
        }
        let Some(node) = nodes.get(&place.node) else {
            tell(
                &mut breaches,
                Constraint::KnownNode,
                format!("{instance} is on {}, unknown", place.node),
            );
            continue;
        };
        check_filters(&service, node, &instance, place, &mut breaches);
        on_node.entry(&node.name).or_default().push((instance, place, service));
    }
    // On a node that does not answer all is as it was, whatever is asked for by now.
    let answers =
        |name: &NodeName| !matches!(nodes[name].state, NodeState::Offline | NodeState::Lost);
    for (name, placed) in on_node.iter().filter(|(name, _)| answers(name)) {
        check_capacity(problem, nodes[name], placed, &mut breaches);
        check_devices(problem, nodes[name], placed, &mut breaches);
        check_neighbours(name, placed, &mut breaches);
    }
    for service in services.values() {
        check_spread(problem, service, &on_node, &mut breaches);
    }
    breaches
}
