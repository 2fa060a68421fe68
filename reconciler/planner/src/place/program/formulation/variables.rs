//! The variables: x(s,n) instances of service s on node n, and y(s,n) of them that stay.
//!
//! Knows their bounds. Refuses to know any other constraint.
//!
//! `locked(s,n) − retained(s,n) ≤ x(s,n) ≤ min(most(s,n), left(s))`, whole; `0 ≤ y(s,n) ≤
//! min(current(s,n), x(s,n))` where staying counts. A service with two replicas and three
//! candidates has three columns, each from 0 to 2.

use std::collections::BTreeSet;

use super::{Formulation, Subproblem, Variable, counts_staying, outside};
use crate::place::ix::NodeIx;

impl Formulation {
    pub(super) fn counts(&mut self, subproblem: &Subproblem<'_, '_>) {
        let indexed = subproblem.partial.indexed;
        let inside: BTreeSet<NodeIx> = subproblem.nodes.iter().copied().collect();
        for (service_ix, service) in indexed.services.enumerate() {
            let left = service.input.replicas - outside(subproblem.partial, service_ix, &inside);
            for candidate in
                service.candidates.iter().filter(|candidate| inside.contains(&candidate.node))
            {
                let most = candidate.most.min(left);
                if most == 0 {
                    continue;
                }
                let node = candidate.node;
                // What is kept as it is may be there in its place.
                let kept = indexed.retained_at(service_ix, node).count() as u32;
                let lower = f64::from(service.locked_at(node).saturating_sub(kept).min(most));
                let count = self.add(
                    Variable::Count { service: service_ix, node },
                    lower,
                    f64::from(most),
                    true,
                );
                if candidate.current > 0 && counts_staying(subproblem) {
                    let upper = f64::from(candidate.current.min(most));
                    let kept = self.add(
                        Variable::Staying { service: service_ix, node },
                        0.0,
                        upper,
                        false,
                    );
                    self.model.at_most(vec![(kept, 1.0), (count, -1.0)], 0.0);
                }
            }
        }
    }
}
