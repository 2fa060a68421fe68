//! Whether every constraint holds of a whole placement.
//!
//! Knows all of them. Refuses to repair anything.
//!
//! What a solver found is believed only after this: floating point is no proof. A placement that is
//! not sound is thrown away, and the search goes on with the one it had.

use std::collections::BTreeSet;

use super::PartialPlacement;

impl<'f> PartialPlacement<'f> {
    /// Whether every constraint holds and everything that must stay is there. Looks at the whole
    /// placement; what a solver found is believed only after this.
    pub fn sound(&self) -> bool {
        (0..self.on_node.len()).all(|node| self.node_sound(node))
            && self.indexed.services.iter().enumerate().all(|(s, service)| {
                self.total[s] <= service.input.replicas
                    && self.total_with_counterparts(s) <= self.indexed.wanted_with_counterparts(s)
                    && self.counterparts_agree(s)
                    && self.in_order(s)
                    && service.locked.iter().all(|(&n, &locked)| self.present(s, n) >= locked)
            })
    }

    pub(super) fn counterparts_agree(&self, s: usize) -> bool {
        let agrees = |&node: &usize| {
            let (own, declared, kept) = self.with_counterparts(s, node);
            self.indexed.counterparts_agree(own, node, declared, kept)
        };
        self.indexed.services[s].counterparts.is_empty() || self.of_service[s].keys().all(agrees)
    }

    fn node_sound(&self, node: usize) -> bool {
        let capacity = self.indexed.nodes[node].capacity;
        let mut ports = BTreeSet::new();
        (0..3).all(|r| self.used[node][r] <= capacity[r])
            && self.on_node[node].iter().all(|(&s, &count)| {
                let it = &self.indexed.services[s];
                let mut agrees = || {
                    it.ports.iter().all(|port| ports.insert(*port))
                        && !it.apart.iter().any(|&other| self.count(other, node) > 0)
                };
                it.candidate(node).is_some_and(|candidate| count <= candidate.most)
                    && (self.indexed.nodes[node].unreachable || agrees())
            })
            && self.devices_packed(node)
    }
}
