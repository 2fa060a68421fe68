//! Capacity: `Σ_s need(s,r) · x(s,n) ≤ capacity(n,r)` for each node n and resource r.
//!
//! Knows cpu, memory and disk. Refuses to know devices.
//!
//! A row is left out where all columns at their bounds fit. Bytes are divided by what divides them
//! all: 512 MiB and 3 GiB on 8 GiB become `x + 6y ≤ 16`.

use super::{Formulation, Subproblem};
use crate::place::{ix::NodeIx, program::scaling};

impl Formulation {
    pub(super) fn capacity(&mut self, subproblem: &Subproblem<'_, '_>, node: NodeIx) {
        let indexed = subproblem.partial.indexed;
        let here = self.here(indexed, node);
        for resource in 0..3 {
            let sizes: Vec<(usize, u64)> = here
                .iter()
                .map(|&(service, column, _)| (column, indexed.services[service].need[resource]))
                .filter(|&(_, need)| need > 0)
                .collect();
            let most = |&(column, need): &(usize, u64)| {
                need.saturating_mul(self.model.columns[column].upper as u64)
            };
            let all = sizes.iter().map(most).fold(0, u64::saturating_add);
            if all > indexed.nodes[node].capacity[resource] {
                let row = scaling::knapsack(&sizes, indexed.nodes[node].capacity[resource]);
                self.push(row);
            }
        }
    }
}
