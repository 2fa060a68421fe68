//! Spread: `low ≤ Σ_{n∈d} x(s,n) + fixed(d)` for each open domain d, and `Σ_{n∈d} x(s,n) + fixed(d)
//! ≤ low + skew` for every domain.
//!
//! Knows one spread line. Refuses to know what a domain is.
//!
//! low is a column of its own, the emptiest of the domains where the service may run at all.
//! Instances outside the program are constants.

use std::collections::{BTreeMap, BTreeSet};

use super::{Formulation, Subproblem, Variable};
use crate::place::ix::{NodeIx, ServiceIx};

impl Formulation {
    pub(super) fn spread(
        &mut self,
        subproblem: &Subproblem<'_, '_>,
        (service_ix, line): (ServiceIx, usize),
        columns: &[(NodeIx, usize)],
        inside: &BTreeSet<NodeIx>,
    ) {
        let service = &subproblem.partial.indexed.services[service_ix];
        let spread = &service.spread[line];
        if spread.open.is_empty() {
            return;
        }
        let mut terms: BTreeMap<usize, (Vec<(usize, f64)>, u32)> = BTreeMap::new();
        for &domain in &spread.open {
            terms.insert(domain, (Vec::new(), 0));
        }
        for &(node, column) in columns {
            terms.entry(spread.domain[node]).or_default().0.push((column, 1.0));
        }
        for (&node, &count) in &subproblem.partial.of_service[service_ix] {
            if !inside.contains(&node) {
                terms.entry(spread.domain[node]).or_default().1 += count;
            }
        }
        let top = f64::from(service.input.replicas);
        let low = self.add(Variable::Emptiest { service: service_ix, line }, 0.0, top, false);
        for (domain, (mut terms, fixed)) in terms {
            let fixed = f64::from(fixed);
            terms.push((low, -1.0));
            let open = spread.open.contains(&domain);
            let lower = if open { -fixed } else { f64::NEG_INFINITY };
            self.model.row(terms, lower, f64::from(spread.skew) - fixed);
        }
    }
}
