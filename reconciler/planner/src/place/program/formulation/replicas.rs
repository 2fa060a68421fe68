//! Replicas: `Σ_n x(s,n) ≤ left(s)`, what is wanted of s less what is placed outside the program.
//!
//! Knows one service over the nodes of the program. Refuses to know levels.
//!
//! It also adds what spans nodes for each service: its retained instances and its spread. Nodes
//! priced by duals stand alone, so that spread is left out for them.

use std::collections::BTreeSet;

use super::{Formulation, Goal, Subproblem, outside};
use crate::place::ix::NodeIx;

impl Formulation {
    /// Replicas and spread.
    pub(super) fn services(&mut self, subproblem: &Subproblem<'_, '_>) {
        let indexed = subproblem.partial.indexed;
        let inside: BTreeSet<NodeIx> = subproblem.nodes.iter().copied().collect();
        for (service_ix, service) in indexed.services.enumerate() {
            self.counterparts(subproblem, service_ix, &inside);
            let columns: Vec<(NodeIx, usize)> = subproblem
                .nodes
                .iter()
                .filter_map(|&node| Some((node, self.count(service_ix, node)?)))
                .collect();
            if columns.is_empty() {
                continue;
            }
            let left = f64::from(
                service.input.replicas - outside(subproblem.partial, service_ix, &inside),
            );
            let most: f64 = columns.iter().map(|&(_, c)| self.model.columns[c].upper).sum();
            if most > left {
                self.model.at_most(columns.iter().map(|&(_, c)| (c, 1.0)).collect(), left);
            }
            // What one node is worth does not depend on how the others will be filled.
            if matches!(subproblem.goal, Goal::DualValue(_)) {
                continue;
            }
            for line in 0..service.spread.len() {
                self.spread(subproblem, (service_ix, line), &columns, &inside);
            }
        }
    }
}
