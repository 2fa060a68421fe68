//! The columns of the relaxation: instances of a service on a class of nodes.
//!
//! Knows replicas, locks and retained instances. Refuses to know sizes.
//!
//! What must stay bounds a column from below. With `keep`, whatever can stay where it runs does,
//! which bounds the score of placements that move nothing.

use super::{Relaxation, classes::Part};
use crate::place::model::service::Candidate;

impl<'f> Relaxation<'f> {
    pub(super) fn add_columns(&mut self, keep: bool, part: &Part) {
        let services = self.indexed.services.iter().enumerate();
        for (s, service) in services.filter(|(s, _)| part.services[*s]) {
            let mut terms = Vec::new();
            let stays = |n: usize| match keep {
                true => service.candidate(n).map_or(0, |candidate| candidate.current),
                false => service.locked_at(n),
            };
            let staying: u64 = match keep {
                true => {
                    service.candidates.iter().map(|candidate| u64::from(candidate.current)).sum()
                }
                false => service.locked.values().copied().map(u64::from).sum(),
            };
            for (k, class) in self.classes.iter().enumerate() {
                let candidates = || class.nodes.iter().filter_map(|&n| service.candidate(n));
                let sum =
                    |f: fn(&Candidate) -> u32| candidates().map(|c| u64::from(f(c))).sum::<u64>();
                let most = sum(|c| c.most).min(u64::from(service.input.replicas));
                let stay: u64 = class.nodes.iter().map(|&n| u64::from(stays(n))).sum();
                let free = u64::from(service.input.replicas).saturating_sub(staying);
                let most = most.min(stay + free);
                if most == 0 {
                    continue;
                }
                let kept =
                    class.nodes.iter().map(|&n| self.indexed.retained_at(s, n).count() as u64);
                let least = stay.saturating_sub(kept.sum()).min(most);
                let column = self.model.column(least as f64, most as f64, false);
                self.columns.push((s, k, column));
                terms.push((column, 1.0));
            }
            self.model.at_most(terms, f64::from(service.input.replicas));
        }
        for (s, service) in self.indexed.services.iter().enumerate() {
            if service.counterparts.first().is_some_and(|&first| first > s) {
                self.add_counterparts(s);
            }
        }
    }

    /// A service and what is kept of it as it is: no more than are wanted, and where some must stay
    /// no fewer.
    fn add_counterparts(&mut self, s: usize) {
        let services = &self.indexed.services;
        let all: Vec<usize> = services[s].counterparts.iter().copied().chain([s]).collect();
        let own = self.indexed.declared(s);
        let mut columns = self.columns.clone();
        columns.retain(|(t, ..)| all.contains(t));
        for (k, class) in self.classes.iter().enumerate() {
            let locked: u32 = class.nodes.iter().map(|&n| services[own].locked_at(n)).sum();
            let here = columns.iter().filter(|column| column.1 == k);
            let terms = here.map(|&(_, _, column)| (column, 1.0)).collect();
            // A service that is no part of this may be there and is not told of.
            if locked > 0 && self.inside[own] {
                self.model.row(terms, f64::from(locked), f64::INFINITY);
            }
        }
        let terms = columns.into_iter().map(|(_, _, column)| (column, 1.0)).collect();
        self.model.at_most(terms, f64::from(self.indexed.wanted_with_counterparts(s)));
    }
}
