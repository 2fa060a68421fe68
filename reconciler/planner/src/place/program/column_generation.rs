//! Column generation: which patterns of whole nodes, taken so many times each, place the most.
//!
//! Knows large fleets of few kinds of nodes and services, where nothing runs yet. A linear
//! formulation chooses among the patterns known; its duals tell what an instance is worth, and for
//! each kind of node an integer program finds the pattern that is worth most. What no pattern is
//! worth more than is a bound (Gilmore and Gomory 1961; the bound of the duals is Lagrange's).
//! Refuses to know single nodes, and what spans several of them (`spread`): both only loosen the
//! bound, and whoever takes a placement from here looks at what holds on it.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::quantity::GpuRequest;

use super::{
    formulation::{Formulation, Goal, Subproblem},
    relaxation::{self, Class},
    solver::{self, Answer, EXACT, Effort, LinearOptimum, Model, NoDuals, WHOLE},
};
use crate::place::{
    effort::spent::Spent,
    model::{gpu_packing, index::IndexedProblem, partial::PartialPlacement},
};

/// Nodes from which on a fleet is large.
const NODES: usize = 400;

/// Kinds of nodes, and services, up to which they are few.
const FEW: (usize, usize) = (64, 400);

/// Rounds of pricing for one level at most.
const ROUNDS: u32 = 80;

/// Integer programs of single nodes for all levels together.
const PROGRAMS: u32 = 2_000;

/// How exactly one node is filled, in instances.
const GAP: f64 = 1e-3;

/// Branch-and-bound nodes of one pattern.
const EFFORT: u32 = 30;

/// Branch-and-bound nodes of the program that rounds a mix.
const ROUNDING: u32 = 1_000;

/// How much cpu, memory and devices weigh where a node is filled by worth for size.
const WEIGHTS: [[f64; 3]; 4] = [[0.2, 0.2, 1.0], [1.0, 0.2, 1.0], [0.2, 1.0, 1.0], [1.0, 1.0, 0.3]];

/// By how much a pattern must be worth more than those known.
const GAIN: f64 = 1e-6;

/// How one node of a kind can be filled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    class: usize,
    /// Services and how many of each.
    counts: Vec<(usize, u32)>,
}

/// The patterns known so far.
pub struct Columns<'f> {
    indexed: &'f IndexedProblem<'f>,
    classes: Vec<Class>,
    class_of: Vec<usize>,
    /// A placement with nothing on it.
    empty: PartialPlacement<'f>,
    /// Integer programs of single nodes that may still be solved.
    programs: u32,
    patterns: Vec<Pattern>,
    known: BTreeSet<Pattern>,
}

/// What limits a mix.
struct Limits {
    /// Nodes of each kind.
    nodes: Vec<u32>,
    /// Instances wanted of each service.
    replicas: Vec<u32>,
    /// Instances to be placed at each level above.
    floors: Vec<u32>,
}

/// What the optimum of the linear program says.
struct Duals {
    /// What one instance of each service is worth in a pattern.
    services: Vec<f64>,
    /// What the best pattern known of each kind of node is worth.
    nodes: Vec<f64>,
    /// What the ceiling is beside the worth of all nodes.
    beside: f64,
}

/// The program over the patterns known, and which of its rows is what. Its first columns and rows
/// are those of the services.
struct Master {
    model: Model,
    of_class: Vec<Option<usize>>,
    of_floor: Vec<Option<usize>>,
}

impl<'f> Columns<'f> {
    /// Nothing where the fleet is small, of many kinds, or not empty.
    pub fn new(indexed: &'f IndexedProblem<'f>) -> Option<Self> {
        let runs = indexed.services.iter().any(|service| service.running() > 0);
        let large = indexed.nodes.len() >= NODES && indexed.services.len() <= FEW.1;
        (large && !runs).then(|| Self::of(indexed)).filter(|columns| columns.classes.len() <= FEW.0)
    }

    /// The same of any fleet.
    pub fn of(indexed: &'f IndexedProblem<'f>) -> Self {
        let classes = relaxation::alike(indexed);
        let mut class_of = vec![0; indexed.nodes.len()];
        for (k, class) in classes.iter().enumerate() {
            class.nodes.iter().for_each(|&n| class_of[n] = k);
        }
        let (patterns, known) = (Vec::new(), BTreeSet::new());
        let (empty, programs) = (PartialPlacement::empty(indexed), PROGRAMS);
        Self { indexed, classes, class_of, empty, programs, patterns, known }
    }

    /// Takes over how the nodes of a placement are filled.
    pub fn learn(&mut self, partial: &PartialPlacement<'_>) {
        for (n, here) in partial.on_node.iter().enumerate() {
            let counts = here.iter().map(|(&s, &count)| (s, count)).collect();
            self.add(Pattern { class: self.class_of[n], counts });
        }
    }

    fn add(&mut self, pattern: Pattern) -> bool {
        let new = !pattern.counts.is_empty() && self.known.insert(pattern.clone());
        if new {
            self.patterns.push(pattern);
        }
        new
    }

    /// Looks for patterns that place more at a level while those above it keep their floors, and
    /// says what no placement exceeds, where it comes to know that.
    pub fn generate(&mut self, level: usize, floors: &[u32], spent: &mut Spent<'_>) -> Option<u32> {
        let mut most = f64::INFINITY;
        let all = self.all(&floors[..level]);
        for _ in 0..ROUNDS {
            if !spent.still_on() {
                break;
            }
            let master = self.master(level, &all, false);
            let optimum = match solver::solve_with_duals(&master.model, self.effort(EXACT, spent)) {
                Ok(optimum) => optimum,
                Err(NoDuals { late }) => {
                    spent.cut_short |= late;
                    break;
                }
            };
            let duals = self.duals(level, &all, &master, &optimum);
            // Rules of thumb first: they find most of what there is in a fraction of the time.
            if self.stack_all(&duals) > 0 {
                continue;
            }
            let (ceiling, new) = self.fill_all(&duals, &all, spent);
            most = most.min(ceiling);
            if new == 0 || self.floor(most) <= 1e-5 - optimum.objective {
                break;
            }
        }
        most.is_finite().then(|| self.floor(most).max(0.0) as u32)
    }

    /// A ceiling is a sum over all nodes, each with the solver's tolerance.
    fn floor(&self, most: f64) -> f64 {
        (most + 1e-5 + 2e-6 * self.indexed.nodes.len() as f64).floor()
    }

    fn all(&self, floors: &[u32]) -> Limits {
        Limits {
            nodes: self.classes.iter().map(|class| class.nodes.len() as u32).collect(),
            replicas: self.indexed.services.iter().map(|it| it.input.replicas).collect(),
            floors: floors.to_vec(),
        }
    }

    fn effort(&self, gap: f64, spent: &Spent<'_>) -> Effort {
        let solver = self.indexed.problem.limits.solver;
        Effort { solver, nodes: EFFORT, gap, seconds: spent.seconds() }
    }

    /// What of each service is placed is at most what the patterns hold of it: one that holds more
    /// than is wanted may be used in part.
    fn master(&self, level: usize, all: &Limits, whole: bool) -> Master {
        let services = &self.indexed.services;
        let mut model = Model::default();
        let mut within: Vec<Vec<(usize, f64)>> = Vec::new();
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
            for &(s, count) in counts {
                within[s].push((times, -f64::from(count)));
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

    fn duals(&self, level: usize, all: &Limits, master: &Master, optimum: &LinearOptimum) -> Duals {
        let services = &self.indexed.services;
        let price = |row: Option<usize>| row.map_or(0.0, |row| optimum.duals[row]);
        let floor = |at: usize| price(master.of_floor.get(at).copied().flatten()).max(0.0);
        // The rows of services come first.
        let values: Vec<f64> = (0..services.len()).map(|s| -optimum.duals[s].min(0.0)).collect();
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

    /// Adds the patterns that are worth more than those known. How many are new.
    fn learn_all(&mut self, patterns: Vec<Pattern>, duals: &Duals) -> u32 {
        let worth = |pattern: &Pattern| -> f64 {
            let counts = pattern.counts.iter();
            counts.map(|&(s, count)| duals.services[s] * f64::from(count)).sum()
        };
        let mut new = 0;
        for pattern in patterns {
            let better = worth(&pattern) > duals.nodes[pattern.class] + GAIN;
            new += u32::from(better && self.add(pattern));
        }
        new
    }

    /// Fills one node of each kind by worth for size.
    fn stack_all(&mut self, duals: &Duals) -> u32 {
        let mut patterns = Vec::new();
        for k in 0..self.classes.len() {
            for weights in WEIGHTS {
                let size = |s: usize| self.size(self.classes[k].nodes[0], s, weights);
                patterns.push(self.stack(k, &[], &order(&duals.services, size)));
            }
        }
        self.learn_all(patterns, duals)
    }

    /// Fills one node of each kind as is worth most. No mix of any patterns comes to more than the
    /// ceiling; beside it the number of patterns that were not known.
    fn fill_all(&mut self, duals: &Duals, all: &Limits, spent: &mut Spent<'_>) -> (f64, u32) {
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
    fn fill(&self, k: usize, worth: &[f64], spent: &mut Spent<'_>) -> Option<(Pattern, f64)> {
        let node = self.classes[k].nodes[0];
        let subproblem = Subproblem {
            partial: &self.empty,
            nodes: vec![node],
            floors: Vec::new(),
            migration_cap: None,
            score_cap: None,
            detailed: BTreeSet::new(),
            goal: Goal::DualValue(worth.to_vec()),
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
        let mut first: Vec<usize> = Vec::new();
        for (&s, &count) in &wanted.on_node[node] {
            first.extend((0..count).map(|_| s));
        }
        first.sort_by(|&a, &b| worth[b].total_cmp(&worth[a]).then(a.cmp(&b)));
        // Sizes that were rounded up bound what the rounded ones come to, and not the truth.
        let most = if formulation.exact { -found.bound } else { f64::INFINITY };
        Some((self.stack(k, &first, &order(worth, |_| 1.0)), most))
    }

    /// What part of a node one instance takes, by what so much cpu, memory and devices weigh.
    fn size(&self, node: usize, s: usize, weights: [f64; 3]) -> f64 {
        let (it, service) = (&self.indexed.nodes[node], &self.indexed.services[s]);
        let part = |r: usize| service.need[r] as f64 / it.capacity[r].max(1) as f64;
        let memory = it.memories.iter().max().copied().unwrap_or(1);
        let devices = match service.input.gpu {
            GpuRequest::Whole(count) => f64::from(count),
            need => gpu_packing::load(need, memory) as f64 / gpu_packing::size(memory) as f64,
        };
        let devices = devices / it.memories.len().max(1) as f64;
        weights[0] * part(0) + weights[1] * part(1) + weights[2] * devices + 1e-3
    }

    /// A node with the first ones, as far as they fit, and then the others by their order.
    fn stack(&self, k: usize, first: &[usize], order: &[usize]) -> Pattern {
        let node = self.classes[k].nodes[0];
        let mut partial = self.empty.clone();
        let fits = |partial: &PartialPlacement<'_>, s: usize| {
            partial.missing(s) > 0 && partial.fits_alone(s, node) && partial.has_company(s, node)
        };
        for &s in first {
            if fits(&partial, s) {
                partial.add(s, node);
            }
        }
        for &s in order {
            while fits(&partial, s) {
                partial.add(s, node);
            }
        }
        let counts = partial.on_node[node].iter().map(|(&s, &count)| (s, count)).collect();
        Pattern { class: k, counts }
    }

    /// The best mix of whole patterns that an integer program finds, on real nodes; it starts from
    /// the best placement, whose patterns must be known. Nothing where it finds none.
    pub fn partial(
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
        for (n, here) in partial.on_node.iter().enumerate() {
            let counts = here.iter().map(|(&s, &count)| (s, count)).collect();
            if let Some(at) = at.get(&Pattern { class: self.class_of[n], counts }) {
                point[services + at] += 1.0;
            }
        }
        point
    }

    /// Fillings on real nodes, so many times each, no more of a service than is wanted.
    fn spread(&self, times: &[f64]) -> PartialPlacement<'f> {
        let mut partial = self.empty.clone();
        let mut free: Vec<std::slice::Iter<'_, usize>> =
            self.classes.iter().map(|class| class.nodes.iter()).collect();
        for (Pattern { class, counts }, times) in self.patterns.iter().zip(times) {
            for &node in free[*class].by_ref().take(times.round() as usize) {
                for &(s, count) in counts {
                    for _ in 0..count.min(partial.missing(s)) {
                        if partial.fits_alone(s, node) {
                            partial.add(s, node);
                        }
                    }
                }
            }
        }
        partial
    }
}

/// Services worth anything, the most for its size first.
fn order(worth: &[f64], size: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut list: Vec<(f64, usize)> = worth
        .iter()
        .enumerate()
        .filter(|(_, worth)| **worth > 0.0)
        .map(|(s, worth)| (worth / size(s), s))
        .collect();
    list.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    list.into_iter().map(|(_, s)| s).collect()
}
