//! How good any placement could be, from linear programs over classes of nodes that are alike.
//!
//! Knows relaxations: every bound here holds for every placement that keeps the constraints.
//! Refuses to know a placement.

use std::collections::BTreeMap;

use super::{
    scaling,
    solver::{self, Answer, EXACT, Effort, Model},
};
use crate::place::{
    effort::spent::Spent,
    model::{
        gpu_packing, gpu_patterns,
        index::{Amounts, Candidate, IndexedProblem},
        partial::{FULL, PartialPlacement, TANGENTS, excess},
    },
    problem::{Objective, SolverChoice},
};

/// Nodes that are alike for every service.
pub struct Class {
    pub nodes: Vec<usize>,
    capacity: Amounts,
    devices: usize,
    /// Memory of the largest device.
    memory: u64,
}

/// The relaxation: one column for each service and class.
pub struct Relaxation<'f> {
    indexed: &'f IndexedProblem<'f>,
    classes: Vec<Class>,
    model: Model,
    /// Service, class, column.
    columns: Vec<(usize, usize, usize)>,
    /// Under `pack`, the nodes in use of each class.
    in_use: Vec<usize>,
    solver: SolverChoice,
    /// The last solution.
    values: Vec<f64>,
    /// Replicas at each level of services that are no part of it: each is taken for placed.
    outside: Vec<u32>,
    /// Services that are part of it.
    inside: Vec<bool>,
}

/// The shares of one size: columns, and the replicas of each service among them.
type Load = (Vec<(usize, f64)>, BTreeMap<usize, u64>);

/// Some nodes, and the services that can be nowhere else.
struct Part {
    nodes: Vec<bool>,
    services: Vec<bool>,
}

impl Part {
    fn all(indexed: &IndexedProblem<'_>) -> Self {
        Self {
            nodes: vec![true; indexed.nodes.len()],
            services: vec![true; indexed.services.len()],
        }
    }

    /// The nodes where what a level misses may be.
    fn short_of(partial: &PartialPlacement<'_>, level: usize) -> Self {
        let indexed = partial.indexed;
        let mut nodes = vec![false; indexed.nodes.len()];
        for (s, service) in indexed.services.iter().enumerate() {
            if service.level == level && partial.missing(s) > 0 {
                service.candidates.iter().for_each(|candidate| nodes[candidate.node] = true);
            }
        }
        let inside =
            |candidates: &[Candidate]| candidates.iter().all(|candidate| nodes[candidate.node]);
        let services = indexed.services.iter().map(|service| inside(&service.candidates)).collect();
        Self { nodes, services }
    }

    fn is_small(&self) -> bool {
        let most = |list: &[bool]| list.iter().filter(|it| **it).count() * 2 < list.len();
        most(&self.nodes) && most(&self.services)
    }
}

/// A bound of a level from the nodes alone where it is short, which is quick; nothing where those
/// are most of the fleet.
pub fn nearby(partial: &PartialPlacement<'_>, level: usize, spent: &mut Spent<'_>) -> Option<u32> {
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
pub struct Share {
    pub s: usize,
    pub nodes: Vec<usize>,
    pub count: f64,
}

/// Replicas that could be placed at each level if every service were alone.
pub fn alone(indexed: &IndexedProblem<'_>) -> Vec<u32> {
    let mut bounds = vec![0; indexed.levels.len()];
    for (service, fits) in indexed.services.iter().zip(alone_each(indexed)) {
        bounds[service.level] += fits;
    }
    bounds
}

fn alone_each(indexed: &IndexedProblem<'_>) -> Vec<u32> {
    let services = indexed.services.iter();
    services
        .map(|service| {
            let fits =
                service.candidates.iter().map(|candidate| u64::from(candidate.most)).sum::<u64>();
            fits.min(u64::from(service.input.replicas)) as u32
        })
        .collect()
}

impl<'f> Relaxation<'f> {
    /// With `keep`, whatever can stay where it runs does.
    pub fn new(indexed: &'f IndexedProblem<'f>, keep: bool) -> Self {
        Self::of(indexed, keep, &Part::all(indexed))
    }

    fn of(indexed: &'f IndexedProblem<'f>, keep: bool, part: &Part) -> Self {
        let alone = alone_each(indexed);
        let mut outside = vec![0; indexed.levels.len()];
        for (s, service) in indexed.services.iter().enumerate().filter(|(s, _)| !part.services[*s])
        {
            outside[service.level] += alone[s];
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
    pub fn shares(&self) -> Vec<Share> {
        let value = |column: usize| self.values.get(column).copied().unwrap_or(0.0);
        let columns = self.columns.iter();
        columns
            .map(|&(s, k, column)| {
                let nodes = self.classes[k].nodes.clone();
                Share { s, nodes, count: value(column) }
            })
            .filter(|share| share.count > 1e-6)
            .collect()
    }

    fn add_columns(&mut self, keep: bool, part: &Part) {
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

    /// The column of the shared devices, where there is one.
    fn add_class(&mut self, k: usize) -> Option<usize> {
        let users: Vec<(usize, usize)> =
            self.columns.iter().filter(|c| c.1 == k).map(|&(s, _, column)| (s, column)).collect();
        let size = self.classes[k].nodes.len() as f64;
        for resource in 0..3 {
            self.add_resource(k, &users, resource, size);
        }
        if self.classes[k].nodes.iter().any(|&n| self.indexed.nodes[n].unreachable) {
            return None;
        }
        let mut ports: BTreeMap<usize, Vec<(usize, f64)>> = BTreeMap::new();
        for &(s, column) in &users {
            for &port in &self.indexed.services[s].ports {
                ports.entry(port).or_default().push((column, 1.0));
            }
            // One that is no part of this may be anywhere.
            let near = self.indexed.services[s].near.iter().filter(|&&other| self.inside[other]);
            for &other in near {
                let most = f64::from(self.indexed.services[s].input.replicas);
                let mut terms = vec![(column, 1.0)];
                let counterparts = &self.indexed.services[other].counterparts;
                let company = users.iter().filter(|(t, _)| *t == other || counterparts.contains(t));
                terms.extend(company.map(|&(_, column)| (column, -most)));
                self.model.at_most(terms, 0.0);
            }
        }
        ports.into_values().for_each(|terms| self.model.at_most(terms, size));
        self.add_devices(k, &users, size)
    }

    /// The capacity of a class, and cuts for sizes of which only so many fit on one node.
    fn add_resource(&mut self, k: usize, users: &[(usize, usize)], resource: usize, size: f64) {
        let capacity = self.classes[k].capacity[resource];
        let need = |s: usize| self.indexed.services[s].need[resource];
        let terms: Vec<(usize, f64)> = users
            .iter()
            .filter(|&&(s, _)| need(s) > 0)
            .map(|&(s, column)| (column, need(s) as f64 / capacity as f64))
            .collect();
        let mut cuts = Vec::new();
        for q in 1..=3u64 {
            let cut = |&(s, column): &(usize, usize)| {
                let share = u128::from(need(s)) * u128::from(q + 1);
                let times = share.div_ceil(u128::from(capacity.max(1))).saturating_sub(1);
                (column, times as f64)
            };
            let terms: Vec<_> = users.iter().map(cut).filter(|&(_, times)| times > 0.0).collect();
            cuts.push((terms, q as f64 * size));
        }
        self.model.at_most(terms, size);
        cuts.into_iter().for_each(|(terms, upper)| self.model.at_most(terms, upper));
    }

    fn add_devices(&mut self, k: usize, users: &[(usize, usize)], size: f64) -> Option<usize> {
        let class = &self.classes[k];
        let users: Vec<(usize, usize)> =
            users.iter().copied().filter(|&(s, _)| self.indexed.services[s].wants_gpu()).collect();
        if users.is_empty() {
            return None;
        }
        let devices = class.devices as f64 * size;
        let memory = class.memory;
        let shared = self.model.column(0.0, devices, false);
        // Taking every device for as large as the largest only loosens the rows.
        for row in scaling::devices(self.indexed, memory, devices, shared, &users, true) {
            self.model.at_most(row.terms, row.upper);
        }
        Some(shared)
    }

    /// What can stand together on one device, over all classes whose devices are as large: sums of
    /// shares are not enough where the shares do not add up to whole devices.
    fn add_pools(&mut self, shared: &[Option<usize>]) {
        let mut pools: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (k, class) in self.classes.iter().enumerate().filter(|(k, _)| shared[*k].is_some()) {
            pools.entry(class.memory).or_default().push(k);
        }
        for (memory, classes) in pools {
            self.add_pool(memory, &classes, shared);
        }
    }

    fn add_pool(&mut self, memory: u64, classes: &[usize], shared: &[Option<usize>]) {
        let mut loads: BTreeMap<u64, Load> = BTreeMap::new();
        for &(s, _, column) in self.columns.iter().filter(|c| classes.contains(&c.1)) {
            let input = self.indexed.services[s].input;
            let load = match scaling::devices_each(input.gpu) {
                Some(_) => continue,
                None => gpu_packing::load(input.gpu, memory),
            };
            let (terms, users) = loads.entry(load).or_default();
            terms.push((column, 1.0));
            users.insert(s, u64::from(input.replicas));
        }
        let sizes: Vec<(u64, u64)> =
            loads.iter().map(|(&load, (_, users))| (load, users.values().sum())).collect();
        let Some(list) = gpu_patterns::maximal(&sizes, gpu_packing::size(memory)) else {
            return;
        };
        let devices: usize =
            classes.iter().map(|&k| self.classes[k].devices * self.classes[k].nodes.len()).sum();
        let mut rows: Vec<Vec<(usize, f64)>> =
            loads.into_values().map(|(terms, _)| terms).collect();
        let mut all: Vec<(usize, f64)> =
            classes.iter().filter_map(|&k| Some((shared[k]?, -1.0))).collect();
        for pattern in list {
            let column = self.model.column(0.0, devices as f64, false);
            all.push((column, 1.0));
            for (row, count) in rows.iter_mut().zip(pattern) {
                if count > 0 {
                    row.push((column, -(count as f64)));
                }
            }
        }
        rows.into_iter().for_each(|row| self.model.at_most(row, 0.0));
        self.model.at_most(all, 0.0);
    }

    /// From now on at least so many are placed at a level.
    pub fn floor(&mut self, level: usize, placed: u32) {
        let terms = self.of_level(level);
        let inside = f64::from(placed) - f64::from(self.outside[level]);
        self.model.row(terms, inside, f64::INFINITY);
    }

    fn of_level(&self, level: usize) -> Vec<(usize, f64)> {
        let columns = self.columns.iter();
        columns
            .filter(|(s, ..)| self.indexed.services[*s].level == level)
            .map(|&(_, _, column)| (column, 1.0))
            .collect()
    }

    /// No placement that keeps the floors places more at this level.
    pub fn most_placed(&mut self, level: usize, spent: &mut Spent<'_>) -> Option<u32> {
        let terms = self.of_level(level);
        terms.iter().for_each(|&(column, _)| self.model.columns[column].cost = -1.0);
        let bound = self.solve(spent);
        terms.iter().for_each(|&(column, _)| self.model.columns[column].cost = 0.0);
        bound.map(|bound| self.outside[level] + (-bound + 1e-5).floor().max(0.0) as u32)
    }

    /// No placement that keeps the floors has a lower score, in millionths.
    pub fn least_score(&mut self, spent: &mut Spent<'_>) -> Option<u64> {
        match self.indexed.problem.objective {
            Objective::Balance => self.add_crowding(),
            Objective::Pack => self.add_in_use(),
        }
        for &(s, k, column) in &self.columns {
            let candidates =
                self.classes[k].nodes.iter().filter_map(|&n| self.indexed.services[s].candidate(n));
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
                        .map(|&(s, _, column)| {
                            let need = self.indexed.services[s].need[resource];
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
                    .map(|&(s, _, column)| {
                        (column, self.indexed.services[s].need[resource] as f64 / capacity)
                    })
                    .filter(|&(_, factor)| factor > 0.0)
                    .collect();
                terms.push((in_use, -1.0));
                self.model.at_most(terms, 0.0);
            }
        }
    }

    fn solve(&mut self, spent: &mut Spent<'_>) -> Option<f64> {
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

/// A node as its services see it.
type Look = (Amounts, Vec<u64>, Vec<(usize, u32, u128, u64)>);

/// The classes of all nodes.
pub fn alike(indexed: &IndexedProblem<'_>) -> Vec<Class> {
    classes(indexed, &Part::all(indexed))
}

fn classes(indexed: &IndexedProblem<'_>, part: &Part) -> Vec<Class> {
    let mut looks: Vec<Look> = indexed
        .nodes
        .iter()
        .map(|node| {
            // In the order of devices, which `allowed` below speaks of.
            (node.capacity, node.memories.clone(), Vec::new())
        })
        .collect();
    for (s, service) in indexed.services.iter().enumerate().filter(|(s, _)| part.services[*s]) {
        for candidate in &service.candidates {
            looks[candidate.node].2.push((
                s,
                candidate.most,
                candidate.allowed,
                candidate.soft_cost,
            ));
        }
    }
    let mut classes: BTreeMap<Look, Class> = BTreeMap::new();
    for (node, look) in looks.into_iter().enumerate().filter(|(node, _)| part.nodes[*node]) {
        let class = Class {
            nodes: Vec::new(),
            capacity: look.0,
            devices: look.1.len(),
            memory: look.1.iter().copied().max().unwrap_or(0),
        };
        classes.entry(look).or_insert(class).nodes.push(node);
    }
    classes.into_values().collect()
}
