//! The columns of the relaxation: instances of a service on a class of nodes.
//!
//! Knows replicas, locks and retained instances. Refuses to know sizes.
//!
//! What must stay bounds a column from below. With `keep`, whatever can stay where it runs does,
//! which bounds the score of placements that move nothing.

use super::{Relaxation, classes::Part};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::service::Candidate,
};

impl<'f> Relaxation<'f> {
    pub(super) fn add_columns(&mut self, keep: bool, part: &Part) {
        let services = self.indexed.services.enumerate();
        for (service_ix, service) in services.filter(|(service_ix, _)| part.services[*service_ix]) {
            let mut terms = Vec::new();
            let stays = |node: NodeIx| match keep {
                true => service.candidate(node).map_or(0, |candidate| candidate.current),
                false => service.locked_at(node),
            };
            let staying: u64 = match keep {
                true => {
                    service.candidates.iter().map(|candidate| u64::from(candidate.current)).sum()
                }
                false => service.locked.values().copied().map(u64::from).sum(),
            };
            for (k, class) in self.classes.iter().enumerate() {
                let candidates = || class.nodes.iter().filter_map(|&node| service.candidate(node));
                let sum =
                    |f: fn(&Candidate) -> u32| candidates().map(|c| u64::from(f(c))).sum::<u64>();
                let most = sum(|c| c.most).min(u64::from(service.input.replicas));
                let stay: u64 = class.nodes.iter().map(|&node| u64::from(stays(node))).sum();
                let free = u64::from(service.input.replicas).saturating_sub(staying);
                let most = most.min(stay + free);
                if most == 0 {
                    continue;
                }
                let kept = class
                    .nodes
                    .iter()
                    .map(|&node| self.indexed.retained_at(service_ix, node).count() as u64);
                let least = stay.saturating_sub(kept.sum()).min(most);
                let column = self.model.column(least as f64, most as f64, false);
                self.columns.push((service_ix, k, column));
                terms.push((column, 1.0));
            }
            self.model.at_most(terms, f64::from(service.input.replicas));
        }
        for (service_ix, service) in self.indexed.services.enumerate() {
            if service.counterparts.first().is_some_and(|&first| first > service_ix) {
                self.add_counterparts(service_ix);
            }
        }
    }

    /// A service and what is kept of it as it is: no more than are wanted, and where some must stay
    /// no fewer.
    fn add_counterparts(&mut self, service: ServiceIx) {
        let services = &self.indexed.services;
        let all: Vec<ServiceIx> =
            services[service].counterparts.iter().copied().chain([service]).collect();
        let own = self.indexed.declared(service);
        let mut columns = self.columns.clone();
        columns.retain(|(other, ..)| all.contains(other));
        for (k, class) in self.classes.iter().enumerate() {
            let locked: u32 = class.nodes.iter().map(|&node| services[own].locked_at(node)).sum();
            let here = columns.iter().filter(|column| column.1 == k);
            let terms = here.map(|&(_, _, column)| (column, 1.0)).collect();
            // A service that is no part of this may be there and is not told of.
            if locked > 0 && self.inside[own] {
                self.model.row(terms, f64::from(locked), f64::INFINITY);
            }
        }
        let terms = columns.into_iter().map(|(_, _, column)| (column, 1.0)).collect();
        self.model.at_most(terms, f64::from(self.indexed.wanted_with_counterparts(service)));
    }
}
