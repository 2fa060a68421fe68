//! How good any placement could be, from linear programs over classes of nodes that are alike.
//!
//! Knows relaxations: every bound here holds for every placement that keeps the constraints.
//! Refuses to know a placement.

use std::collections::BTreeMap;

use super::{
    board::{FULL, TANGENTS},
    field::{Amounts, Cell, Field},
    problem::{Objective, SolverChoice},
    rows,
    solve::{self, Answer, Effort, Model},
};

/// Nodes that are alike for every service.
struct Class {
    nodes: Vec<usize>,
    capacity: Amounts,
    devices: usize,
    /// Memory of the largest device.
    memory: u64,
}

/// The relaxation: one column for each service and class.
pub struct Relaxation<'f> {
    field: &'f Field<'f>,
    classes: Vec<Class>,
    model: Model,
    /// Service, class, column.
    columns: Vec<(usize, usize, usize)>,
    /// Under `pack`, the nodes in use of each class.
    in_use: Vec<usize>,
    solver: SolverChoice,
}

/// Replicas that could be placed at each level if every service were alone.
pub fn alone(field: &Field<'_>) -> Vec<u32> {
    let mut bounds = vec![0; field.levels.len()];
    for service in &field.services {
        let fits = service.cells.iter().map(|cell| u64::from(cell.most)).sum::<u64>();
        bounds[service.level] += fits.min(u64::from(service.input.replicas)) as u32;
    }
    bounds
}

impl<'f> Relaxation<'f> {
    /// With `keep`, whatever can stay where it runs does.
    pub fn new(field: &'f Field<'f>, keep: bool) -> Self {
        let solver = field.problem.limits.solver;
        let mut relaxation = Self {
            field,
            classes: classes(field),
            model: Model::default(),
            columns: Vec::new(),
            in_use: Vec::new(),
            solver,
        };
        relaxation.add_columns(keep);
        for class in 0..relaxation.classes.len() {
            relaxation.add_class(class);
        }
        relaxation
    }

    fn add_columns(&mut self, keep: bool) {
        for (s, service) in self.field.services.iter().enumerate() {
            let mut terms = Vec::new();
            for (k, class) in self.classes.iter().enumerate() {
                let cells = || class.nodes.iter().filter_map(|&n| service.cell(n));
                let sum = |f: fn(&Cell) -> u32| cells().map(|c| u64::from(f(c))).sum::<u64>();
                let most = sum(|c| c.most).min(u64::from(service.input.replicas));
                if most == 0 {
                    continue;
                }
                let stay = if keep { sum(|c| c.current) } else { sum(|c| c.locked) };
                let column = self.model.column(stay.min(most) as f64, most as f64, false);
                self.columns.push((s, k, column));
                terms.push((column, 1.0));
            }
            self.model.at_most(terms, f64::from(service.input.replicas));
        }
    }

    fn add_class(&mut self, k: usize) {
        let users: Vec<(usize, usize)> =
            self.columns.iter().filter(|c| c.1 == k).map(|&(s, _, column)| (s, column)).collect();
        let size = self.classes[k].nodes.len() as f64;
        for resource in 0..3 {
            self.add_resource(k, &users, resource, size);
        }
        let mut ports: BTreeMap<usize, Vec<(usize, f64)>> = BTreeMap::new();
        for &(s, column) in &users {
            for &port in &self.field.services[s].ports {
                ports.entry(port).or_default().push((column, 1.0));
            }
            for &other in &self.field.services[s].near {
                let most = f64::from(self.field.services[s].input.replicas);
                let mut terms = vec![(column, 1.0)];
                let found = users.iter().find(|&&(t, _)| t == other);
                terms.extend(found.map(|&(_, column)| (column, -most)));
                self.model.at_most(terms, 0.0);
            }
        }
        ports.into_values().for_each(|terms| self.model.at_most(terms, size));
        self.add_devices(k, &users, size);
    }

    /// The capacity of a class, and cuts for sizes of which only so many fit on one node.
    fn add_resource(&mut self, k: usize, users: &[(usize, usize)], resource: usize, size: f64) {
        let capacity = self.classes[k].capacity[resource];
        let need = |s: usize| self.field.services[s].need[resource];
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

    fn add_devices(&mut self, k: usize, users: &[(usize, usize)], size: f64) {
        let class = &self.classes[k];
        let users: Vec<(usize, usize)> =
            users.iter().copied().filter(|&(s, _)| self.field.services[s].wants_gpu()).collect();
        if users.is_empty() {
            return;
        }
        let devices = class.devices as f64 * size;
        let memory = class.memory;
        let shared = self.model.column(0.0, devices, false);
        // Taking every device for as large as the largest only loosens the rows.
        for row in rows::devices(self.field, memory, devices, shared, &users, true) {
            self.model.at_most(row.terms, row.upper);
        }
    }

    /// From now on at least so many are placed at a level.
    pub fn floor(&mut self, level: usize, placed: u32) {
        let terms = self.of_level(level);
        self.model.row(terms, f64::from(placed), f64::INFINITY);
    }

    fn of_level(&self, level: usize) -> Vec<(usize, f64)> {
        let columns = self.columns.iter();
        columns
            .filter(|(s, ..)| self.field.services[*s].level == level)
            .map(|&(_, _, column)| (column, 1.0))
            .collect()
    }

    /// No placement that keeps the floors places more at this level.
    pub fn most_placed(&mut self, level: usize) -> Option<u32> {
        let terms = self.of_level(level);
        terms.iter().for_each(|&(column, _)| self.model.columns[column].cost = -1.0);
        let bound = self.solve();
        terms.iter().for_each(|&(column, _)| self.model.columns[column].cost = 0.0);
        bound.map(|bound| (-bound + 1e-5).floor().max(0.0) as u32)
    }

    /// No placement that keeps the floors has a lower score, in millionths.
    pub fn least_cost(&mut self) -> Option<u64> {
        match self.field.problem.objective {
            Objective::Balance => self.add_crowding(),
            Objective::Pack => self.add_in_use(),
        }
        for &(s, k, column) in &self.columns {
            let cells =
                self.classes[k].nodes.iter().filter_map(|&n| self.field.services[s].cell(n));
            let penalty = cells.map(|cell| cell.penalty).min().unwrap_or(0);
            self.model.columns[column].cost = penalty as f64 / FULL as f64;
        }
        let bound = self.solve()?;
        let whole = !self.in_use.is_empty()
            && self.columns.iter().all(|&(_, _, column)| self.model.columns[column].cost == 0.0);
        let bound = if whole { (bound - 1e-5).ceil() } else { bound - 1e-6 };
        // Every node's score is rounded down twice.
        let rounding = 2 * self.field.nodes.len() as u64;
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
                for t in TANGENTS.map(|tenths| tenths as f64 / 10.0) {
                    let mut terms: Vec<(usize, f64)> = self
                        .columns
                        .iter()
                        .filter(|c| c.1 == k)
                        .map(|&(s, _, column)| {
                            let need = self.field.services[s].need[resource] as f64;
                            (column, 2.0 * t * need / (capacity * size))
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
                        (column, self.field.services[s].need[resource] as f64 / capacity)
                    })
                    .filter(|&(_, factor)| factor > 0.0)
                    .collect();
                terms.push((in_use, -1.0));
                self.model.at_most(terms, 0.0);
            }
        }
    }

    fn solve(&self) -> Option<f64> {
        let effort = Effort { solver: self.solver, nodes: 1, whole: false };
        match solve::solve(&self.model, effort, None) {
            Answer::Found(found) if found.optimal => Some(found.bound),
            _ => None,
        }
    }
}

/// A node as its services see it.
type Look = (Amounts, Vec<u64>, Vec<(usize, u32, u128, u64)>);

fn classes(field: &Field<'_>) -> Vec<Class> {
    let mut looks: Vec<Look> = field
        .nodes
        .iter()
        .map(|node| {
            let mut memories = node.memories.clone();
            memories.sort_unstable();
            (node.capacity, memories, Vec::new())
        })
        .collect();
    for (s, service) in field.services.iter().enumerate() {
        for cell in &service.cells {
            looks[cell.node].2.push((s, cell.most, cell.allowed, cell.penalty));
        }
    }
    let mut classes: BTreeMap<Look, Class> = BTreeMap::new();
    for (node, look) in looks.into_iter().enumerate() {
        let class = Class {
            nodes: Vec::new(),
            capacity: look.0,
            devices: look.1.len(),
            memory: look.1.last().copied().unwrap_or(0),
        };
        classes.entry(look).or_insert(class).nodes.push(node);
    }
    classes.into_values().collect()
}
