//! Floors and caps: `Σ x(s,n) ≥ floor(level)`, `migration ≤ cap`, `score ≤ cap`.
//!
//! Knows what earlier goals have reached. Refuses to know how.
//!
//! These rows make the objective lexicographic: what was placed at a level stays placed while the
//! next is improved. Instances outside the program count towards a floor as a constant.

use std::collections::BTreeSet;

use super::{Formulation, Subproblem, Variable, outside};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::partial::rank::FULL,
};

impl Formulation {
    pub(super) fn floors(&mut self, subproblem: &Subproblem<'_, '_>) {
        let indexed = subproblem.partial.indexed;
        let inside: BTreeSet<NodeIx> = subproblem.nodes.iter().copied().collect();
        for &(level, floor) in &subproblem.floors {
            let of_level = |service: ServiceIx| indexed.services[service].level == level;
            let services = indexed.services.positions().filter(|&service| of_level(service));
            let fixed: u32 =
                services.map(|service| outside(subproblem.partial, service, &inside)).sum();
            let terms =
                self.variables.iter().enumerate().filter_map(|(c, variable)| match *variable {
                    Variable::Count { service, .. } if of_level(service) => Some((c, 1.0)),
                    _ => None,
                });
            let lower = f64::from(floor) - f64::from(fixed);
            self.model.row(terms.collect(), lower, f64::INFINITY);
        }
        if let Some(cap) = subproblem.migration_cap {
            let (terms, unit) = self.migration_terms(indexed);
            let all = Self::current_migration_cost(subproblem);
            self.model.row(terms, (all - cap as f64) / unit - 1e-6, f64::INFINITY);
        }
        if let Some(cap) = subproblem.score_cap {
            let slack = 4e-6 * subproblem.nodes.len() as f64;
            self.model.at_most(self.score_terms(indexed), cap as f64 / FULL as f64 + slack);
        }
    }
}
