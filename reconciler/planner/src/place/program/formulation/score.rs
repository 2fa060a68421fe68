//! Score: for balance `u(n,r) ≥ 2t · use(n,r) − t²` for each tangent t, for pack `x(s,n) ≤ most ·
//! in_use(n)`.
//!
//! Knows both objectives. Refuses to know the goal.
//!
//! The rows of balance are those of the score itself, so that what is proven of a program is proven
//! of the placement. An instance that alone reaches beyond a tangent adds its excess, which keeps
//! fractions of it from being free.

use super::{Formulation, Subproblem, Variable};
use crate::place::{
    ix::ServiceIx,
    model::{
        index::IndexedProblem,
        partial::rank::{FULL, TANGENTS, excess},
        service::Candidate,
    },
    problem::Objective,
};

impl Formulation {
    /// The score of each node, from below by tangents.
    pub(super) fn score(&mut self, subproblem: &Subproblem<'_, '_>) {
        let indexed = subproblem.partial.indexed;
        for &node in &subproblem.nodes {
            let here = self.here(indexed, node);
            if indexed.problem.objective == Objective::Pack {
                let in_use = self.add(Variable::InUse { node }, 0.0, 1.0, true);
                for (_, count, _) in here {
                    let most = self.model.columns[count].upper;
                    self.model.at_most(vec![(count, 1.0), (in_use, -most)], 0.0);
                }
                continue;
            }
            for resource in 0..2 {
                let capacity = indexed.nodes[node].capacity[resource];
                if capacity == 0 {
                    continue;
                }
                let crowding = self.add(Variable::Crowding { node, resource }, 0.0, 1.0, false);
                for tenths in [0].into_iter().chain(TANGENTS) {
                    let other = tenths as f64 / 10.0;
                    let share = |&(service, c, _): &(ServiceIx, usize, &Candidate)| {
                        let need = indexed.services[service].need[resource];
                        let part = 2.0 * other * need as f64 / capacity as f64;
                        (c, part + excess(need, capacity, tenths))
                    };
                    let mut terms: Vec<_> = here.iter().map(share).filter(|x| x.1 > 0.0).collect();
                    terms.push((crowding, -1.0));
                    self.model.at_most(terms, other * other);
                }
            }
        }
    }

    /// The score as terms: 1 is a full resource or a node in use.
    pub(super) fn score_terms(&self, indexed: &IndexedProblem<'_>) -> Vec<(usize, f64)> {
        let variables = self.variables.iter().enumerate();
        variables
            .filter_map(|(column, variable)| match *variable {
                Variable::Crowding { .. } | Variable::InUse { .. } => Some((column, 1.0)),
                Variable::Count { service, node } => {
                    let soft_cost = indexed.services[service].candidate(node)?.soft_cost;
                    (soft_cost > 0).then_some((column, soft_cost as f64 / FULL as f64))
                }
                _ => None,
            })
            .collect()
    }
}
