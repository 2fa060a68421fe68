//! Objective: one goal at a time, `max Σ weight(level) · x`, `max Σ dual(s) · x`, `min migration`,
//! `min score`.
//!
//! Knows the goals. Refuses to mix two: the levels of the objective are programs of their own.
//!
//! Placing may prefer placements in which more stays, worth less than any instance even when all
//! are summed. Whether the objective takes whole numbers only decides how soon a search may end.

use super::{Formulation, Goal, Subproblem, Variable};

impl Formulation {
    pub(super) fn objective(&mut self, subproblem: &Subproblem<'_, '_>) {
        let indexed = subproblem.partial.indexed;
        match &subproblem.goal {
            Goal::Place { weights, keep } => {
                let all: f64 = self.staying_at_most();
                for (column, variable) in self.variables.iter().enumerate() {
                    match *variable {
                        Variable::Count { service, .. } => {
                            let weight = weights[indexed.services[service].level];
                            self.model.columns[column].cost = -f64::from(weight);
                        }
                        // Worth less than any placement even when all are summed.
                        Variable::Staying { .. } if *keep => {
                            self.model.columns[column].cost = -0.5 / all.max(1.0);
                            self.whole = false;
                        }
                        Variable::Restarts { .. } if *keep => {
                            self.model.columns[column].cost = 0.25 / all.max(1.0);
                        }
                        _ => {}
                    }
                }
            }
            Goal::DualValue(worth) => {
                self.whole = false;
                for (column, variable) in self.variables.iter().enumerate() {
                    if let Variable::Count { service, .. } = *variable {
                        let column = &mut self.model.columns[column];
                        column.cost = -worth[service];
                        // Worth nothing, and company for nobody.
                        if worth[service] <= 0.0 && indexed.services[service].supports.is_empty() {
                            column.upper = column.lower;
                        }
                    }
                }
            }
            Goal::Moves => {
                let (terms, unit) = self.migration_terms(indexed);
                self.whole = terms.iter().all(|(_, migration_cost)| migration_cost.fract() == 0.0)
                    && unit >= 1.0;
                for (column, migration_cost) in terms {
                    self.model.columns[column].cost = -migration_cost;
                }
            }
            Goal::Score => {
                self.whole = false;
                for (column, value) in self.score_terms(indexed) {
                    self.model.columns[column].cost = value;
                }
            }
        }
    }

    fn staying_at_most(&self) -> f64 {
        let kept = self.variables.iter().zip(&self.model.columns);
        kept.filter(|(m, _)| matches!(m, Variable::Staying { .. })).map(|(_, c)| c.upper).sum()
    }
}
