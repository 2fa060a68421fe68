//! A bound of the score.
//!
//! Knows convexity. Refuses to know a placement.
//!
//! The nodes of a class cost at least what they would all cost at their mean. The bound is rounded
//! down by what rounding every node may have taken.

use super::Relaxation;
use crate::place::{
    effort::spent::Spent,
    model::partial::rank::{FULL, TANGENTS, excess},
    problem::Objective,
};

impl<'f> Relaxation<'f> {
    /// No placement that keeps the floors has a lower score, in millionths.
    pub(crate) fn least_score(&mut self, spent: &mut Spent<'_>) -> Option<u64> {
        match self.indexed.problem.objective {
            Objective::Balance => self.add_crowding(),
            Objective::Pack => self.add_in_use(),
        }
        for &(service, k, column) in &self.columns {
            let candidates = self.classes[k]
                .nodes
                .iter()
                .filter_map(|&node| self.indexed.services[service].candidate(node));
            let soft_cost = candidates.map(|candidate| candidate.soft_cost).min().unwrap_or(0);
            self.model.columns[column].cost = soft_cost as f64 / FULL as f64;
        }
        let bound = self.solve(spent)?;
        let whole = !self.in_use.is_empty()
            && self.columns.iter().all(|&(_, _, column)| self.model.columns[column].cost == 0.0);
        let bound = if whole { (bound - 1e-5).ceil() } else { bound - 1e-6 };
        // Every node's score is rounded down twice.
        let rounding = 2 * self.indexed.nodes.len() as u64;
        Some(((bound * FULL as f64).max(0.0) as u64).saturating_sub(rounding))
    }

    /// By convexity the nodes of a class cost at least what they would all cost at their mean.
    fn add_crowding(&mut self) {
        for k in 0..self.classes.len() {
            let size = self.classes[k].nodes.len() as f64;
            for resource in 0..2 {
                let capacity = self.classes[k].capacity[resource] as f64;
                if capacity == 0.0 {
                    continue;
                }
                let crowding = self.model.column(0.0, 1.0, false);
                self.model.columns[crowding].cost = size;
                // The level line counts as a tangent, too.
                for tenths in [0].into_iter().chain(TANGENTS) {
                    let t = tenths as f64 / 10.0;
                    let mut terms: Vec<(usize, f64)> = self
                        .columns
                        .iter()
                        .filter(|c| c.1 == k)
                        .map(|&(service, _, column)| {
                            let need = self.indexed.services[service].need[resource];
                            let part = 2.0 * t * need as f64 / capacity;
                            let more = excess(need, self.classes[k].capacity[resource], tenths);
                            (column, (part + more) / size)
                        })
                        .filter(|&(_, factor)| factor > 0.0)
                        .collect();
                    terms.push((crowding, -1.0));
                    self.model.at_most(terms, t * t);
                }
            }
        }
    }

    fn add_in_use(&mut self) {
        for (k, class) in self.classes.iter().enumerate() {
            let in_use = self.model.column(0.0, class.nodes.len() as f64, false);
            self.model.columns[in_use].cost = 1.0;
            self.in_use.push(in_use);
            for resource in 0..2 {
                let capacity = class.capacity[resource].max(1) as f64;
                let mut terms: Vec<(usize, f64)> = self
                    .columns
                    .iter()
                    .filter(|c| c.1 == k)
                    .map(|&(service, _, column)| {
                        (column, self.indexed.services[service].need[resource] as f64 / capacity)
                    })
                    .filter(|&(_, factor)| factor > 0.0)
                    .collect();
                terms.push((in_use, -1.0));
                self.model.at_most(terms, 0.0);
            }
        }
    }
}
