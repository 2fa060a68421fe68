//! Ports, apart-from and near: `Σ_s x(s,n) ≤ 1` for a port, `p(s,n) + p(t,n) ≤ 1` for s apart from
//! t, `x(s,n) ≤ most · Σ_t x(t,n)` for s near t.
//!
//! Knows pairs on one node. Refuses to know spread.
//!
//! p(s,n) is 1 where any of s is on n: `x(s,n) ≤ most · p(s,n)`; where at most one fits, the count
//! itself serves. The company of `near` may be a retained instance.

use std::collections::BTreeMap;

use super::{Formulation, Subproblem, Variable};
use crate::place::ix::{NodeIx, ServiceIx};

impl Formulation {
    /// Ports, `apart-from`, `near`.
    pub(super) fn exclusions(&mut self, subproblem: &Subproblem<'_, '_>, node: NodeIx) {
        let indexed = subproblem.partial.indexed;
        let here = self.here(indexed, node);
        let mut ports: BTreeMap<usize, Vec<(usize, f64)>> = BTreeMap::new();
        for &(service, column, _) in &here {
            for &port in &indexed.services[service].ports {
                ports.entry(port).or_default().push((column, 1.0));
            }
        }
        for terms in ports.into_values().filter(|terms| terms.len() > 1) {
            self.model.at_most(terms, 1.0);
        }
        for &(service, column, _) in &here {
            for &other in indexed.services[service].apart.iter().filter(|&&other| other > service) {
                if self.count(other, node).is_some() {
                    let pair = [self.present(service, node), self.present(other, node)];
                    self.model.at_most(pair.map(|column| (column, 1.0)).to_vec(), 1.0);
                }
            }
            let most = self.model.columns[column].upper;
            for &other in &indexed.services[service].near {
                let mut terms = vec![(column, 1.0)];
                let company = indexed.retained_at(other, node).chain([other]);
                terms.extend(company.filter_map(|it| Some((self.count(it, node)?, -most))));
                self.model.at_most(terms, 0.0);
            }
        }
    }

    /// A column that is 1 where the service is on the node.
    pub(super) fn present(&mut self, service: ServiceIx, node: NodeIx) -> usize {
        let count = self.column[&Variable::Count { service, node }];
        let most = self.model.columns[count].upper;
        if most <= 1.0 {
            return count;
        }
        if let Some(&present) = self.column.get(&Variable::Present { service, node }) {
            return present;
        }
        let present = self.add(Variable::Present { service, node }, 0.0, 1.0, true);
        self.model.at_most(vec![(count, 1.0), (present, -most)], 0.0);
        present
    }
}
