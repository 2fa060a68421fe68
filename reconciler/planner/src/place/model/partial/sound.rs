//! Whether every constraint holds of a whole placement.
//!
//! Knows all of them. Refuses to repair anything.
//!
//! What a solver found is believed only after this: floating point is no proof. A placement that is
//! not sound is thrown away, and the search goes on with the one it had.

use std::collections::BTreeSet;

use super::PartialPlacement;
use crate::place::ix::{NodeIx, ServiceIx};

impl<'f> PartialPlacement<'f> {
    /// Whether every constraint holds and everything that must stay is there. Looks at the whole
    /// placement; what a solver found is believed only after this.
    pub(crate) fn sound(&self) -> bool {
        self.on_node.positions().all(|node| self.node_sound(node))
            && self.indexed.services.enumerate().all(|(service_ix, service)| {
                self.total[service_ix] <= service.input.replicas
                    && self.total_with_counterparts(service_ix)
                        <= self.indexed.wanted_with_counterparts(service_ix)
                    && self.counterparts_agree(service_ix)
                    && self.in_order(service_ix)
                    && service
                        .locked
                        .iter()
                        .all(|(&node_ix, &locked)| self.present(service_ix, node_ix) >= locked)
            })
    }

    pub(super) fn counterparts_agree(&self, service: ServiceIx) -> bool {
        let agrees = |&node: &NodeIx| {
            let (own, declared, kept) = self.with_counterparts(service, node);
            self.indexed.counterparts_agree(own, node, declared, kept)
        };
        self.indexed.services[service].counterparts.is_empty()
            || self.of_service[service].keys().all(agrees)
    }

    fn node_sound(&self, node: NodeIx) -> bool {
        let capacity = self.indexed.nodes[node].capacity;
        let mut ports = BTreeSet::new();
        (0..3).all(|resource| self.used[node][resource] <= capacity[resource])
            && self.on_node[node].iter().all(|(&service, &count)| {
                let it = &self.indexed.services[service];
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
