//! The best mix of whole patterns, on real nodes.
//!
//! Knows how a mix becomes a placement. Refuses to know why a pattern is good.
//!
//! A linear program takes half of a pattern, and nodes are whole. The program starts from the best
//! placement at hand, whose patterns are known.

use std::collections::BTreeMap;

use super::{Columns, Pattern};
use crate::place::{
    effort::spent::Spent,
    ix::NodeIx,
    model::partial::PartialPlacement,
    program::{
        answer::{Answer, Effort, WHOLE},
        solver,
    },
};

/// Branch-and-bound nodes of the program that rounds a mix.
const ROUNDING: u32 = 1_000;

impl<'f> Columns<'f> {
    /// The best mix of whole patterns that an integer program finds, on real nodes; it starts from
    /// the best placement, whose patterns must be known. Nothing where it finds none.
    pub(crate) fn partial(
        &self,
        level: usize,
        best: &PartialPlacement<'f>,
        spent: &mut Spent<'_>,
    ) -> Option<PartialPlacement<'f>> {
        let placed = best.placed();
        let all = self.all(&placed[..level]);
        let master = self.master(level, &all, true);
        let effort = Effort { nodes: ROUNDING, ..self.effort(WHOLE, spent) };
        let start = self.point(best, master.model.columns.len());
        let answer = solver::solve(&master.model, effort, Some(&start));
        spent.cut_short |= answer.is_late();
        let Answer::Found(found) = answer else {
            return None;
        };
        spent.solvers.insert(found.by);
        Some(self.spread(&found.values[self.indexed.services.len()..]))
    }

    /// A placement as a point of the program: what it places, and how often it fills a node how.
    fn point(&self, partial: &PartialPlacement<'f>, columns: usize) -> Vec<f64> {
        let services = self.indexed.services.len();
        let mut point = vec![0.0; columns];
        for (placed, &total) in point.iter_mut().zip(&partial.total) {
            *placed = f64::from(total);
        }
        let at: BTreeMap<&Pattern, usize> =
            self.patterns.iter().enumerate().map(|(at, pattern)| (pattern, at)).collect();
        for (node, here) in partial.on_node.enumerate() {
            let counts = here.iter().map(|(&service, &count)| (service, count)).collect();
            if let Some(at) = at.get(&Pattern { class: self.class_of[node], counts }) {
                point[services + at] += 1.0;
            }
        }
        point
    }

    /// Fillings on real nodes, so many times each, no more of a service than is wanted.
    pub(super) fn spread(&self, times: &[f64]) -> PartialPlacement<'f> {
        let mut partial = self.empty.clone();
        let mut free: Vec<std::slice::Iter<'_, NodeIx>> =
            self.classes.iter().map(|class| class.nodes.iter()).collect();
        for (Pattern { class, counts }, times) in self.patterns.iter().zip(times) {
            for &node in free[*class].by_ref().take(times.round() as usize) {
                for &(service, count) in counts {
                    for _ in 0..count.min(partial.missing(service)) {
                        if partial.fits_alone(service, node) {
                            partial.add(service, node);
                        }
                    }
                }
            }
        }
        partial
    }
}
