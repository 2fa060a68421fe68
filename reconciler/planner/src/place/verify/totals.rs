//! What an outcome says of itself.
//!
//! Knows its sums. Refuses to know constraints.
//!
//! What is placed and what is told as missing are together what is wanted.

use std::collections::BTreeMap;

use devnet_schema::name::{InstanceId, ServiceName};

use super::breach::{Breach, tell};
use crate::place::{
    outcome::{Assignment, Outcome, Reason},
    problem::{Constraint, PlacementProblem},
};

/// What the outcome says of itself must be so.
pub(super) fn check_totals(
    problem: &PlacementProblem,
    outcome: &Outcome,
    breaches: &mut Vec<Breach>,
) {
    let mut placed: BTreeMap<&ServiceName, u32> = BTreeMap::new();
    let placed_at = |(_, place): &(&InstanceId, &Assignment)| place.reason != Reason::Retained;
    for (instance, _) in outcome.assignments.iter().filter(placed_at) {
        *placed.entry(&instance.service).or_insert(0) += 1;
    }
    for service in &problem.services {
        let here = placed.get(service.name.declared()).copied().unwrap_or(0);
        let told = outcome.unplaced.iter().find(|u| u.service == service.name);
        if here + told.map_or(0, |u| u.unplaced) != service.replicas {
            tell(
                breaches,
                Constraint::Total,
                format!("{}: {here} placed, wrongly told", service.name),
            );
        }
    }
    for level in &outcome.levels {
        let of_level =
            problem.services.iter().filter(|service_ix| service_ix.priority == level.priority);
        let sum: u32 =
            of_level.filter_map(|service_ix| placed.get(service_ix.name.declared())).sum();
        if sum != level.placed || level.placed > level.bound {
            tell(breaches, Constraint::Level, format!("priority {}: {sum} placed", level.priority));
        }
    }
}
