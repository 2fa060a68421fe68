//! New patterns that are worth more than those known.
//!
//! Knows duals and one node of each kind. Refuses to know how often a pattern is used.
//!
//! Rules of thumb come first: they find most of what there is in a fraction of the time. Where they
//! find nothing, an integer program of one node says what no pattern is worth more than.

use std::collections::BTreeSet;

use devnet_schema::quantity::GpuRequest;

use super::{
    Columns, Pattern,
    master::{Duals, Limits},
};
use crate::place::{
    effort::spent::Spent,
    ix::{NodeIx, PerService, ServiceIx},
    model::{gpu_request, partial::PartialPlacement},
    program::{
        answer::Answer,
        formulation::{Formulation, Goal, Subproblem},
        solver,
    },
};

/// How exactly one node is filled, in instances.
const GAP: f64 = 1e-3;

/// How much cpu, memory and devices weigh where a node is filled by worth for size.
const WEIGHTS: [[f64; 3]; 4] = [[0.2, 0.2, 1.0], [1.0, 0.2, 1.0], [0.2, 1.0, 1.0], [1.0, 1.0, 0.3]];

/// By how much a pattern must be worth more than those known.
const GAIN: f64 = 1e-6;

impl<'f> Columns<'f> {
    /// Adds the patterns that are worth more than those known. How many are new.
    fn learn_all(&mut self, patterns: Vec<Pattern>, duals: &Duals) -> u32 {
        let worth = |pattern: &Pattern| -> f64 {
            let counts = pattern.counts.iter();
            counts.map(|&(service, count)| duals.services[service] * f64::from(count)).sum()
        };
        let mut new = 0;
        for pattern in patterns {
            let better = worth(&pattern) > duals.nodes[pattern.class] + GAIN;
            new += u32::from(better && self.add(pattern));
        }
        new
    }

    /// Fills one node of each kind by worth for size.
    pub(super) fn stack_all(&mut self, duals: &Duals) -> u32 {
        let mut patterns = Vec::new();
        for k in 0..self.classes.len() {
            for weights in WEIGHTS {
                let size =
                    |service: ServiceIx| self.size(self.classes[k].nodes[0], service, weights);
                patterns.push(self.stack(k, &[], &order(&duals.services, size)));
            }
        }
        self.learn_all(patterns, duals)
    }

    /// Fills one node of each kind as is worth most. No mix of any patterns comes to more than the
    /// ceiling; beside it the number of patterns that were not known.
    pub(super) fn fill_all(
        &mut self,
        duals: &Duals,
        all: &Limits,
        spent: &mut Spent<'_>,
    ) -> (f64, u32) {
        let mut ceiling = duals.beside;
        let mut new = 0;
        for k in 0..self.classes.len() {
            if self.programs == 0 || !spent.still_on() {
                return (f64::INFINITY, 0);
            }
            self.programs -= 1;
            let Some((pattern, most)) = self.fill(k, &duals.services, spent) else {
                return (f64::INFINITY, new);
            };
            ceiling += f64::from(all.nodes[k]) * most.max(0.0);
            new += self.learn_all(vec![pattern], duals);
        }
        (ceiling, new)
    }

    /// The pattern of a node of this kind that is worth most, as far as is known, and what none is
    /// worth more than.
    pub(super) fn fill(
        &self,
        k: usize,
        worth: &PerService<f64>,
        spent: &mut Spent<'_>,
    ) -> Option<(Pattern, f64)> {
        let node = self.classes[k].nodes[0];
        let subproblem = Subproblem {
            partial: &self.empty,
            nodes: vec![node],
            floors: Vec::new(),
            migration_cap: None,
            score_cap: None,
            detailed: BTreeSet::new(),
            goal: Goal::DualValue(worth.clone()),
        };
        let formulation = Formulation::new(&subproblem);
        let answer = solver::solve(&formulation.model, self.effort(GAP, spent), None);
        spent.cut_short |= answer.is_late();
        let Answer::Found(found) = answer else {
            return None;
        };
        spent.solvers.insert(found.by);
        // The program knows of devices only how many are shared: what they cannot hold is left out,
        // and what still fits is put in.
        let wanted = formulation.decode(&subproblem, &found.values);
        let mut first: Vec<ServiceIx> = Vec::new();
        for (&service, &count) in &wanted.on_node[node] {
            first.extend((0..count).map(|_| service));
        }
        first.sort_by(|&a, &b| worth[b].total_cmp(&worth[a]).then(a.cmp(&b)));
        // Sizes that were rounded up bound what the rounded ones come to, and not the truth.
        let most = if formulation.exact { -found.bound } else { f64::INFINITY };
        Some((self.stack(k, &first, &order(worth, |_| 1.0)), most))
    }

    /// What part of a node one instance takes, by what so much cpu, memory and devices weigh.
    pub(super) fn size(&self, node: NodeIx, service_ix: ServiceIx, weights: [f64; 3]) -> f64 {
        let (it, service) = (&self.indexed.nodes[node], &self.indexed.services[service_ix]);
        let part =
            |resource: usize| service.need[resource] as f64 / it.capacity[resource].max(1) as f64;
        let memory = it.memories.iter().max().copied().unwrap_or(1);
        let devices = match service.input.gpu {
            GpuRequest::Whole(count) => f64::from(count),
            need => gpu_request::load(need, memory) as f64 / gpu_request::size(memory) as f64,
        };
        let devices = devices / it.memories.len().max(1) as f64;
        weights[0] * part(0) + weights[1] * part(1) + weights[2] * devices + 1e-3
    }

    /// A node with the first ones, as far as they fit, and then the others by their order.
    fn stack(&self, k: usize, first: &[ServiceIx], order: &[ServiceIx]) -> Pattern {
        let node = self.classes[k].nodes[0];
        let mut partial = self.empty.clone();
        let fits = |partial: &PartialPlacement<'_>, service: ServiceIx| {
            partial.missing(service) > 0
                && partial.fits_alone(service, node)
                && partial.has_company(service, node)
        };
        for &service in first {
            if fits(&partial, service) {
                partial.add(service, node);
            }
        }
        for &service in order {
            while fits(&partial, service) {
                partial.add(service, node);
            }
        }
        let counts =
            partial.on_node[node].iter().map(|(&service, &count)| (service, count)).collect();
        Pattern { class: k, counts }
    }
}

/// Services worth anything, the most for its size first.
fn order(worth: &PerService<f64>, size: impl Fn(ServiceIx) -> f64) -> Vec<ServiceIx> {
    let mut list: Vec<(f64, ServiceIx)> = worth
        .enumerate()
        .filter(|(_, worth)| **worth > 0.0)
        .map(|(service, worth)| (worth / size(service), service))
        .collect();
    list.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    list.into_iter().map(|(_, service)| service).collect()
}
