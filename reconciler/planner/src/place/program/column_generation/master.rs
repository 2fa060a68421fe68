//! The master program over the patterns known, and its duals.
//!
//! Knows which of its rows is what. Refuses to know how a pattern is found.
//!
//! Of each service no more is placed than the patterns hold; a pattern that holds more than is
//! wanted may be used in part. The dual of a service is what one more instance in a pattern would
//! be worth.

use super::{Columns, Pattern};
use crate::place::{
    ix::PerService,
    program::{answer::LinearOptimum, linear_model::Model},
};

/// What limits a mix.
pub(crate) struct Limits {
    /// Nodes of each kind.
    pub(super) nodes: Vec<u32>,
    /// Instances wanted of each service.
    pub(super) replicas: Vec<u32>,
    /// Instances to be placed at each level above.
    pub(super) floors: Vec<u32>,
}

/// What the optimum of the linear program says.
pub(crate) struct Duals {
    /// What one instance of each service is worth in a pattern.
    pub(super) services: PerService<f64>,
    /// What the best pattern known of each kind of node is worth.
    pub(super) nodes: Vec<f64>,
    /// What the ceiling is beside the worth of all nodes.
    pub(super) beside: f64,
}

/// The program over the patterns known, and which of its rows is what. Its first columns and rows
/// are those of the services.
pub(crate) struct Master {
    pub(super) model: Model,
    pub(super) of_class: Vec<Option<usize>>,
    pub(super) of_floor: Vec<Option<usize>>,
}

impl<'f> Columns<'f> {
    pub(super) fn all(&self, floors: &[u32]) -> Limits {
        Limits {
            nodes: self.classes.iter().map(|class| class.nodes.len() as u32).collect(),
            replicas: self.indexed.services.iter().map(|it| it.input.replicas).collect(),
            floors: floors.to_vec(),
        }
    }

    /// What of each service is placed is at most what the patterns hold of it: one that holds more
    /// than is wanted may be used in part.
    pub(super) fn master(&self, level: usize, all: &Limits, whole: bool) -> Master {
        let services = &self.indexed.services;
        let mut model = Model::default();
        let mut within: PerService<Vec<(usize, f64)>> = PerService::default();
        let mut floors: Vec<Vec<(usize, f64)>> = vec![Vec::new(); all.floors.len()];
        for (service, &replicas) in services.iter().zip(&all.replicas) {
            let placed = model.column(0.0, f64::from(replicas), false);
            within.push(vec![(placed, 1.0)]);
            if service.level == level {
                model.columns[placed].cost = -1.0;
            } else if let Some(floor) = floors.get_mut(service.level) {
                floor.push((placed, 1.0));
            }
        }
        let mut nodes: Vec<Vec<(usize, f64)>> = vec![Vec::new(); self.classes.len()];
        for Pattern { class, counts } in &self.patterns {
            let times = model.column(0.0, f64::from(all.nodes[*class]), whole);
            nodes[*class].push((times, 1.0));
            for &(service_ix, count) in counts {
                within[service_ix].push((times, -f64::from(count)));
            }
        }
        within.into_iter().for_each(|terms| model.at_most(terms, 0.0));
        let mut of_class = Vec::new();
        for (terms, &most) in nodes.into_iter().zip(&all.nodes) {
            of_class.push((!terms.is_empty()).then_some(model.rows.len()));
            model.at_most(terms, f64::from(most));
        }
        let mut of_floor = Vec::new();
        for (terms, &least) in floors.into_iter().zip(&all.floors) {
            of_floor.push((!terms.is_empty()).then_some(model.rows.len()));
            model.row(terms, f64::from(least), f64::INFINITY);
        }
        Master { model, of_class, of_floor }
    }

    pub(super) fn duals(
        &self,
        level: usize,
        all: &Limits,
        master: &Master,
        optimum: &LinearOptimum,
    ) -> Duals {
        let services = &self.indexed.services;
        let price = |row: Option<usize>| row.map_or(0.0, |row| optimum.duals[row]);
        let floor = |at: usize| price(master.of_floor.get(at).copied().flatten()).max(0.0);
        // The rows of services come first.
        let values: PerService<f64> =
            optimum.duals[..services.len()].iter().map(|dual| -dual.min(0.0)).collect();
        let mut beside = 0.0;
        for ((service, &replicas), &value) in services.iter().zip(&all.replicas).zip(&values) {
            let gain = f64::from(u8::from(service.level == level)) + floor(service.level);
            beside += f64::from(replicas) * (gain - value).max(0.0);
        }
        for (at, &least) in all.floors.iter().enumerate() {
            beside -= floor(at) * f64::from(least);
        }
        let nodes = master.of_class.iter().map(|&row| -price(row).min(0.0)).collect();
        Duals { services: values, nodes, beside }
    }
}
