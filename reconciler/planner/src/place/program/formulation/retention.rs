//! Retention: `Σ_n (x(s,n) + Σ_t x(t,n)) ≤ wanted(s)` and `x(s,n) + Σ_t x(t,n) ≥ locked(s,n)`, t
//! being the retained instances of s.
//!
//! Knows a service with its retained instances. Refuses to know which are worth retaining.
//!
//! Where one of t stays on n, `x(s,n) + Σ_t x(t,n) ≤ ran(s,n)`: those that ran there are one or the
//! other. `db` and `db[0]` as it runs are together no more than `db` wants.

use std::collections::BTreeSet;

use super::{Formulation, Subproblem, outside};
use crate::place::ix::{NodeIx, ServiceIx};

impl Formulation {
    /// What is kept of a service as it is, and that service together, told once.
    pub(super) fn counterparts(
        &mut self,
        subproblem: &Subproblem<'_, '_>,
        service: ServiceIx,
        inside: &BTreeSet<NodeIx>,
    ) {
        let indexed = subproblem.partial.indexed;
        let counterparts = &indexed.services[service].counterparts;
        if counterparts.is_empty() || counterparts.iter().any(|&other| other < service) {
            return;
        }
        let all = || counterparts.iter().copied().chain([service]);
        let columns =
            all().flat_map(|service| subproblem.nodes.iter().map(move |&node| (service, node)));
        let terms =
            columns.filter_map(|(service, node)| Some((self.count(service, node)?, 1.0))).collect();
        let outside: u32 = all().map(|service| outside(subproblem.partial, service, inside)).sum();
        let left = indexed.wanted_with_counterparts(service).saturating_sub(outside);
        self.model.at_most(terms, f64::from(left));
        let own = indexed.declared(service);
        for &node in &subproblem.nodes {
            let kept: Vec<usize> = indexed
                .retained_at(own, node)
                .filter_map(|other_ix| self.count(other_ix, node))
                .collect();
            let locked = indexed.services[own].locked_at(node);
            if locked > 0 && !kept.is_empty() {
                let both = kept.iter().copied().chain(self.count(own, node)).map(|it| (it, 1.0));
                self.model.row(both.collect(), f64::from(locked), f64::INFINITY);
            }
            let Some(declared) = self.count(own, node) else { continue };
            let most = self.model.columns[declared].upper;
            let ran = indexed.services[own].ran_at(node);
            for &one in &kept {
                let mut terms: Vec<(usize, f64)> =
                    kept.iter().map(|&it| (it, if it == one { 1.0 + most } else { 1.0 })).collect();
                terms.push((declared, 1.0));
                self.model.at_most(terms, f64::from(ran) + most);
            }
        }
    }
}
