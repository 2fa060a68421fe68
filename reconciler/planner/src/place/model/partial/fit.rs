//! Whether one more instance may go to a node, and whether one may leave it.
//!
//! Knows every constraint of one node. Refuses to know whether it would be good.
//!
//! This is the question in the innermost loop of every search, so the cheap parts come first. `web`
//! may leave `n1` unless `api` there must run near it and has no other of it.

use super::PartialPlacement;
use crate::place::ix::{NodeIx, ServiceIx};

impl<'f> PartialPlacement<'f> {
    /// Whether one more instance may go there as things are.
    pub(crate) fn fits(&self, service: ServiceIx, node: NodeIx) -> bool {
        self.fits_alone(service, node)
            && self.has_company(service, node)
            && self.spread_admits(service, node)
    }

    /// The same, spread and `near` left aside.
    pub(crate) fn fits_alone(&self, service: ServiceIx, node: NodeIx) -> bool {
        let it = &self.indexed.services[service];
        let Some(candidate) = it.candidate(node) else {
            return false;
        };
        let capacity = self.indexed.nodes[node].capacity;
        let used = self.used[node];
        self.count(service, node) < candidate.most
            && (it.counterparts.is_empty() || self.counterparts_admit(service, node))
            && (0..3).all(|resource| {
                used[resource].saturating_add(it.need[resource]) <= capacity[resource]
            })
            && (self.indexed.nodes[node].unreachable || self.agrees(service, node))
            && (!self.indexed.takes_devices(service, node) || self.devices_fit(service, node))
    }

    /// Whether nobody there has its ports, and it need not stay apart from anybody there.
    fn agrees(&self, service: ServiceIx, node: NodeIx) -> bool {
        let it = &self.indexed.services[service];
        !it.ports.iter().any(|port| self.ports[node].contains(port))
            && !it.apart.iter().any(|&other| self.count(other, node) > 0)
    }

    /// Instances placed of a service and of its counterparts.
    pub(super) fn total_with_counterparts(&self, service: ServiceIx) -> u32 {
        let counterparts = self.indexed.services[service].counterparts.iter();
        self.total[service] + counterparts.map(|&other| self.total[other]).sum::<u32>()
    }

    /// Whether one more is wanted beside its counterparts, on this node.
    fn counterparts_admit(&self, service: ServiceIx, node: NodeIx) -> bool {
        let (own, declared, kept) = self.with_counterparts(service, node);
        let is_retained = u32::from(self.indexed.services[service].is_retained());
        self.total_with_counterparts(service) < self.indexed.wanted_with_counterparts(service)
            && self.indexed.counterparts_agree(
                own,
                node,
                declared + 1 - is_retained,
                kept + is_retained,
            )
    }

    /// Whether every service that this one must be near is there, as it is declared or as it is.
    pub(crate) fn has_company(&self, service: ServiceIx, node: NodeIx) -> bool {
        self.indexed.nodes[node].unreachable
            || self.indexed.services[service].near.iter().all(|&it| self.present(it, node) > 0)
    }

    /// Who needs this one for company on a node, and would have none without one of it.
    pub(crate) fn deserted(&self, service: ServiceIx, node: NodeIx) -> Option<ServiceIx> {
        if self.indexed.nodes[node].unreachable {
            return None;
        }
        let (own, declared, kept) = self.with_counterparts(service, node);
        let mut supports = self.indexed.services[own].supports.iter().copied();
        let needs = supports.find(|&other| self.count(other, node) > 0);
        needs.filter(|_| declared + kept == 1)
    }

    /// Whether one instance may leave: nobody there needs its company, and it is not locked.
    pub(crate) fn may_leave(&self, service: ServiceIx, node: NodeIx) -> bool {
        let there = self.count(service, node) > 0;
        there && self.spare(service, node) && self.deserted(service, node).is_none()
    }

    /// Whether more of a service, kept as they are or not, are on a node than must be.
    pub(crate) fn spare(&self, service: ServiceIx, node: NodeIx) -> bool {
        let (own, declared, kept) = self.with_counterparts(service, node);
        declared + kept > self.indexed.services[own].locked_at(node)
    }
}
