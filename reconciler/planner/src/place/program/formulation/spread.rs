//! Spread: `low ≤ Σ_{n∈d} x(s,n) + fixed(d)` for each open domain d, and `Σ_{n∈d} x(s,n) + fixed(d)
//! ≤ low + skew` for every domain.
//!
//! Knows one spread line. Refuses to know what a domain is.
//!
//! low is a column of its own, the emptiest of the domains where the service may run at all.
//! Instances outside the program are constants.

use std::collections::{BTreeMap, BTreeSet};

use super::{Formulation, Subproblem, Variable};

impl Formulation {
    pub(super) fn spread(
        &mut self,
        subproblem: &Subproblem<'_, '_>,
        (s, line): (usize, usize),
        columns: &[(usize, usize)],
        inside: &BTreeSet<usize>,
    ) {
        let service = &subproblem.partial.indexed.services[s];
        let spread = &service.spread[line];
        if spread.open.is_empty() {
            return;
        }
        let mut terms: BTreeMap<usize, (Vec<(usize, f64)>, u32)> = BTreeMap::new();
        for &domain in &spread.open {
            terms.insert(domain, (Vec::new(), 0));
        }
        for &(n, column) in columns {
            terms.entry(spread.domain[n]).or_default().0.push((column, 1.0));
        }
        for (&n, &count) in &subproblem.partial.of_service[s] {
            if !inside.contains(&n) {
                terms.entry(spread.domain[n]).or_default().1 += count;
            }
        }
        let top = f64::from(service.input.replicas);
        let low = self.add(Variable::Emptiest { s, line }, 0.0, top, false);
        for (domain, (mut terms, fixed)) in terms {
            let fixed = f64::from(fixed);
            terms.push((low, -1.0));
            let open = spread.open.contains(&domain);
            let lower = if open { -fixed } else { f64::NEG_INFINITY };
            self.model.row(terms, lower, f64::from(spread.skew) - fixed);
        }
    }
}
