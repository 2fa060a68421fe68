//! Migration cost: `Σ_s cost(s) · (running(s) − Σ_n y(s,n)) + Σ restarts`.
//!
//! Knows what staying saves. Refuses to know whether it is the goal or a limit.
//!
//! Costs are divided by what divides them all, so that they are small whole numbers where that is
//! possible. What runs outside the program is a constant.

use std::collections::BTreeSet;

use super::{Formulation, Subproblem, Variable};
use crate::place::{ix::NodeIx, model::index::IndexedProblem, program::scaling};

impl Formulation {
    /// What is saved by kept instances, less the restarts of some of them, in a unit that makes the
    /// prices small whole numbers if possible.
    pub(super) fn migration_terms(&self, indexed: &IndexedProblem<'_>) -> (Vec<(usize, f64)>, f64) {
        let saved =
            self.variables.iter().enumerate().filter_map(|(column, variable)| match *variable {
                Variable::Staying { service, .. } => {
                    Some((column, indexed.services[service].migration_cost, 1.0))
                }
                Variable::Restarts { .. } => Some((column, 1, -1.0)),
                _ => None,
            });
        let saved: Vec<(usize, u64, f64)> = saved.collect();
        let unit = scaling::unit(saved.iter().map(|&(_, migration_cost, _)| migration_cost));
        (
            saved
                .iter()
                .map(|&(c, migration_cost, sign)| (c, sign * migration_cost as f64 / unit))
                .collect(),
            unit,
        )
    }

    /// The price if nothing on these nodes were kept: of what ran on them, and of all others.
    pub(super) fn current_migration_cost(subproblem: &Subproblem<'_, '_>) -> f64 {
        let inside: BTreeSet<NodeIx> = subproblem.nodes.iter().copied().collect();
        let services = subproblem.partial.indexed.services.enumerate();
        let migration_cost = services.map(|(service_ix, service)| {
            let outside = subproblem.partial.of_service[service_ix]
                .keys()
                .filter(|&node| !inside.contains(node));
            let kept: u32 = outside.map(|&node| subproblem.partial.staying(service_ix, node)).sum();
            f64::from(service.running() - kept) * service.migration_cost as f64
        });
        let outside =
            subproblem.partial.indexed.nodes.positions().filter(|node| !inside.contains(node));
        let restarts: u32 = outside.map(|node| subproblem.partial.restarts_on(node)).sum();
        migration_cost.sum::<f64>() + f64::from(restarts)
    }

    /// The price in the problem's unit of an objective value of [`super::Goal::Moves`].
    pub(crate) fn price_of(&self, subproblem: &Subproblem<'_, '_>, objective: f64) -> f64 {
        let (_, unit) = self.migration_terms(subproblem.partial.indexed);
        Self::current_migration_cost(subproblem) + objective * unit
    }
}
