//! How good any placement could be, from linear programs over classes of nodes that are alike.
//!
//! Knows relaxations: every bound here holds for every placement that keeps the constraints.
//! Refuses to know a placement.
//!
//! A fleet of two hundred nodes of five kinds has five columns for a service instead of two
//! hundred. A level that has reached its bound is proven, and the search leaves it.

pub(crate) mod alone;
pub(crate) mod classes;
pub(crate) mod columns;
pub(crate) mod pools;
pub(crate) mod rows;
pub(crate) mod score;

use super::{
    answer::{Answer, EXACT, Effort},
    linear_model::Model,
    solver,
};
use crate::place::{
    effort::spent::Spent,
    ix::{NodeIx, PerService, ServiceIx},
    model::{index::IndexedProblem, partial::PartialPlacement},
    problem::SolverChoice,
};
use alone::alone_each;
use classes::Class;
use classes::Part;
use classes::classes;

/// The relaxation: one column for each service and class.
pub(crate) struct Relaxation<'f> {
    indexed: &'f IndexedProblem<'f>,
    classes: Vec<Class>,
    model: Model,
    /// Service, class, column.
    columns: Vec<(ServiceIx, usize, usize)>,
    /// Under `pack`, the nodes in use of each class.
    in_use: Vec<usize>,
    solver: SolverChoice,
    /// The last solution.
    values: Vec<f64>,
    /// Replicas at each level of services that are no part of it: each is taken for placed.
    outside: Vec<u32>,
    /// Services that are part of it.
    inside: PerService<bool>,
}

/// A bound of a level from the nodes alone where it is short, which is quick; nothing where those
/// are most of the fleet.
pub(crate) fn nearby(
    partial: &PartialPlacement<'_>,
    level: usize,
    spent: &mut Spent<'_>,
) -> Option<u32> {
    let part = Part::short_of(partial, level);
    if !part.is_small() {
        return None;
    }
    let mut relaxed = Relaxation::of(partial.indexed, false, &part);
    let placed = partial.placed();
    (0..level).for_each(|above| relaxed.floor(above, placed[above]));
    relaxed.most_placed(level, spent)
}

/// So many instances of a service on some nodes together.
pub(crate) struct Share {
    pub service: ServiceIx,
    pub nodes: Vec<NodeIx>,
    pub count: f64,
}

impl<'f> Relaxation<'f> {
    /// With `keep`, whatever can stay where it runs does.
    pub(crate) fn new(indexed: &'f IndexedProblem<'f>, keep: bool) -> Self {
        Self::of(indexed, keep, &Part::all(indexed))
    }

    pub(super) fn of(indexed: &'f IndexedProblem<'f>, keep: bool, part: &Part) -> Self {
        let alone = alone_each(indexed);
        let mut outside = vec![0; indexed.levels.len()];
        for (service_ix, service) in
            indexed.services.enumerate().filter(|(service_ix, _)| !part.services[*service_ix])
        {
            outside[service.level] += alone[service_ix];
        }
        let solver = indexed.problem.limits.solver;
        let mut relaxation = Self {
            indexed,
            classes: classes(indexed, part),
            model: Model::default(),
            columns: Vec::new(),
            in_use: Vec::new(),
            solver,
            values: Vec::new(),
            outside,
            inside: part.services.clone(),
        };
        relaxation.add_columns(keep, part);
        let shared: Vec<Option<usize>> =
            (0..relaxation.classes.len()).map(|class| relaxation.add_class(class)).collect();
        relaxation.add_pools(&shared);
        relaxation
    }

    /// What the last solution puts where.
    pub(crate) fn shares(&self) -> Vec<Share> {
        let value = |column: usize| self.values.get(column).copied().unwrap_or(0.0);
        let columns = self.columns.iter();
        columns
            .map(|&(service, k, column)| {
                let nodes = self.classes[k].nodes.clone();
                Share { service, nodes, count: value(column) }
            })
            .filter(|share| share.count > 1e-6)
            .collect()
    }

    /// From now on at least so many are placed at a level.
    pub(crate) fn floor(&mut self, level: usize, placed: u32) {
        let terms = self.of_level(level);
        let inside = f64::from(placed) - f64::from(self.outside[level]);
        self.model.row(terms, inside, f64::INFINITY);
    }

    fn of_level(&self, level: usize) -> Vec<(usize, f64)> {
        let columns = self.columns.iter();
        columns
            .filter(|(service, ..)| self.indexed.services[*service].level == level)
            .map(|&(_, _, column)| (column, 1.0))
            .collect()
    }

    /// No placement that keeps the floors places more at this level.
    pub(crate) fn most_placed(&mut self, level: usize, spent: &mut Spent<'_>) -> Option<u32> {
        let terms = self.of_level(level);
        terms.iter().for_each(|&(column, _)| self.model.columns[column].cost = -1.0);
        let bound = self.solve(spent);
        terms.iter().for_each(|&(column, _)| self.model.columns[column].cost = 0.0);
        bound.map(|bound| self.outside[level] + (-bound + 1e-5).floor().max(0.0) as u32)
    }

    pub(super) fn solve(&mut self, spent: &mut Spent<'_>) -> Option<f64> {
        if !spent.still_on() {
            return None;
        }
        let seconds = spent.seconds();
        let effort = Effort { solver: self.solver, nodes: 1, gap: EXACT, seconds };
        let answer = solver::solve(&self.model, effort, None);
        spent.cut_short |= answer.is_late();
        match answer {
            Answer::Found(found) if found.optimal => {
                self.values = found.values;
                Some(found.bound)
            }
            _ => None,
        }
    }
}
