//! The integer program over some nodes: how many instances of each service go on each of them.
//!
//! Knows how each constraint becomes rows. Replicas are never told apart, which halves the columns
//! and removes their symmetry; nodes outside the program stay as they are on the placement given.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    scaling::{self, Row},
    solver::Model,
};
use crate::place::{
    model::{
        index::{Candidate, IndexedProblem},
        partial::{FULL, PartialPlacement, TANGENTS, excess},
    },
    problem::Objective,
};

/// What one program decides and must keep.
pub struct Subproblem<'b, 'f> {
    /// What stays outside `nodes`; on `nodes` it is also the starting point.
    pub partial: &'b PartialPlacement<'f>,
    /// The nodes to decide about, ascending.
    pub nodes: Vec<usize>,
    /// At least so many placed at a level, over all nodes.
    pub floors: Vec<(usize, u32)>,
    /// Moves on these nodes cost at most this.
    pub migration_cap: Option<u64>,
    /// The score of these nodes is at most this, in millionths.
    pub score_cap: Option<u64>,
    /// Nodes whose devices are told apart one by one.
    pub detailed: BTreeSet<usize>,
    pub goal: Goal,
}

/// What is minimised.
#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// Most placed, each level times its weight; and among those, most kept.
    Place { weights: Vec<u32>, keep: bool },
    /// What the placed instances are worth, told for each service; most is best.
    DualValue(Vec<f64>),
    /// The price of moves.
    Moves,
    /// The score.
    Score,
}

/// What a column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variable {
    /// Instances of a service on a node.
    Count { s: usize, n: usize },
    /// Of those, the ones that were there before.
    Staying { s: usize, n: usize },
    /// 1 where there is any.
    Present { s: usize, n: usize },
    /// Instances (or whole devices) on one kind of device.
    OnKind { s: usize, n: usize, kind: usize },
    /// Of the instances on some devices, the ones that had them before; told apart by number.
    AtHome { s: usize, n: usize, home: usize },
    /// Instances that stay on a node and restart, on other devices.
    Restarts { s: usize, n: usize },
    /// Devices of one kind that are shared.
    Shared { n: usize, kind: usize },
    /// The score of a resource of a node, 1 at full use.
    Crowding { n: usize, resource: usize },
    /// 1 where a node is in use.
    InUse { n: usize },
    /// The emptiest domain of a spread line.
    Emptiest { s: usize, line: usize },
}

/// A program and what its columns mean.
pub struct Formulation {
    pub model: Model,
    pub(super) variables: Vec<Variable>,
    pub(super) column: BTreeMap<Variable, usize>,
    /// The objective takes whole numbers only.
    pub whole: bool,
    /// Every size fits the solver's number range exactly, so that its proofs are proofs.
    pub exact: bool,
}

/// A kind of device on a node: those that every service treats alike.
pub(super) struct Kind {
    memory: u64,
    pub(super) mask: u128,
}

impl Formulation {
    pub fn new(subproblem: &Subproblem<'_, '_>) -> Self {
        let mut formulation = Self {
            model: Model::default(),
            variables: Vec::new(),
            column: BTreeMap::new(),
            whole: true,
            exact: true,
        };
        formulation.counts(subproblem);
        for &n in &subproblem.nodes {
            formulation.capacity(subproblem, n);
            // Where nothing answers nobody is in anybody's way.
            if !subproblem.partial.indexed.nodes[n].unreachable {
                formulation.exclusions(subproblem, n);
                formulation.devices(subproblem, n);
            }
        }
        formulation.services(subproblem);
        if subproblem.goal == Goal::Score || subproblem.score_cap.is_some() {
            formulation.score(subproblem);
        }
        formulation.objective(subproblem);
        formulation.floors(subproblem);
        formulation
    }

    fn add(&mut self, variable: Variable, lower: f64, upper: f64, integer: bool) -> usize {
        let column = self.model.column(lower, upper, integer);
        self.variables.push(variable);
        self.column.insert(variable, column);
        column
    }

    fn count(&self, s: usize, n: usize) -> Option<usize> {
        self.column.get(&Variable::Count { s, n }).copied()
    }

    fn counts(&mut self, subproblem: &Subproblem<'_, '_>) {
        let indexed = subproblem.partial.indexed;
        let inside: BTreeSet<usize> = subproblem.nodes.iter().copied().collect();
        for (s, service) in indexed.services.iter().enumerate() {
            let left = service.input.replicas - outside(subproblem.partial, s, &inside);
            for candidate in
                service.candidates.iter().filter(|candidate| inside.contains(&candidate.node))
            {
                let most = candidate.most.min(left);
                if most == 0 {
                    continue;
                }
                let n = candidate.node;
                // What is kept as it is may be there in its place.
                let kept = indexed.retained_at(s, n).count() as u32;
                let lower = f64::from(service.locked_at(n).saturating_sub(kept).min(most));
                let count = self.add(Variable::Count { s, n }, lower, f64::from(most), true);
                if candidate.current > 0 && counts_staying(subproblem) {
                    let upper = f64::from(candidate.current.min(most));
                    let kept = self.add(Variable::Staying { s, n }, 0.0, upper, false);
                    self.model.at_most(vec![(kept, 1.0), (count, -1.0)], 0.0);
                }
            }
        }
    }

    /// The services with a column on a node, with their candidates.
    pub(super) fn here<'f>(
        &self,
        indexed: &'f IndexedProblem<'_>,
        n: usize,
    ) -> Vec<(usize, usize, &'f Candidate)> {
        let services = indexed.services.iter().enumerate();
        services.filter_map(|(s, v)| Some((s, self.count(s, n)?, v.candidate(n)?))).collect()
    }

    fn capacity(&mut self, subproblem: &Subproblem<'_, '_>, n: usize) {
        let indexed = subproblem.partial.indexed;
        let here = self.here(indexed, n);
        for r in 0..3 {
            let sizes: Vec<(usize, u64)> = here
                .iter()
                .map(|&(s, column, _)| (column, indexed.services[s].need[r]))
                .filter(|&(_, need)| need > 0)
                .collect();
            let most = |&(column, need): &(usize, u64)| {
                need.saturating_mul(self.model.columns[column].upper as u64)
            };
            let all = sizes.iter().map(most).fold(0, u64::saturating_add);
            if all > indexed.nodes[n].capacity[r] {
                let row = scaling::knapsack(&sizes, indexed.nodes[n].capacity[r]);
                self.push(row);
            }
        }
    }

    fn push(&mut self, row: Row) {
        self.exact &= row.exact;
        self.model.at_most(row.terms, row.upper);
    }

    /// Ports, `apart-from`, `near`.
    fn exclusions(&mut self, subproblem: &Subproblem<'_, '_>, n: usize) {
        let indexed = subproblem.partial.indexed;
        let here = self.here(indexed, n);
        let mut ports: BTreeMap<usize, Vec<(usize, f64)>> = BTreeMap::new();
        for &(s, column, _) in &here {
            for &port in &indexed.services[s].ports {
                ports.entry(port).or_default().push((column, 1.0));
            }
        }
        for terms in ports.into_values().filter(|terms| terms.len() > 1) {
            self.model.at_most(terms, 1.0);
        }
        for &(s, column, _) in &here {
            for &other in indexed.services[s].apart.iter().filter(|&&other| other > s) {
                if self.count(other, n).is_some() {
                    let pair = [self.present(s, n), self.present(other, n)];
                    self.model.at_most(pair.map(|column| (column, 1.0)).to_vec(), 1.0);
                }
            }
            let most = self.model.columns[column].upper;
            for &other in &indexed.services[s].near {
                let mut terms = vec![(column, 1.0)];
                let company = indexed.retained_at(other, n).chain([other]);
                terms.extend(company.filter_map(|it| Some((self.count(it, n)?, -most))));
                self.model.at_most(terms, 0.0);
            }
        }
    }

    /// A column that is 1 where the service is on the node.
    fn present(&mut self, s: usize, n: usize) -> usize {
        let count = self.column[&Variable::Count { s, n }];
        let most = self.model.columns[count].upper;
        if most <= 1.0 {
            return count;
        }
        if let Some(&present) = self.column.get(&Variable::Present { s, n }) {
            return present;
        }
        let present = self.add(Variable::Present { s, n }, 0.0, 1.0, true);
        self.model.at_most(vec![(count, 1.0), (present, -most)], 0.0);
        present
    }

    /// GPUs: whole ones and shared ones of each kind, shares within the shared ones.
    fn devices(&mut self, subproblem: &Subproblem<'_, '_>, n: usize) {
        let indexed = subproblem.partial.indexed;
        let mut here = self.here(indexed, n);
        here.retain(|&(s, ..)| indexed.services[s].wants_gpu());
        if here.is_empty() {
            return;
        }
        let kinds = kinds(subproblem, n, here.iter().map(|(_, _, candidate)| candidate.allowed));
        let mut load: Vec<Vec<(usize, usize)>> = vec![Vec::new(); kinds.len()];
        for &(s, count, candidate) in &here {
            let of = self.on_kinds(indexed, (s, n), count, candidate, &kinds);
            if subproblem.detailed.contains(&n) && counts_staying(subproblem) {
                self.homes(indexed, (s, n), &kinds, &of);
            }
            for (kind, column) in of {
                load[kind].push((s, column));
            }
        }
        let alike = kinds.len() == 1;
        for (at, kind) in kinds.iter().enumerate() {
            let devices = f64::from(kind.mask.count_ones());
            let shared = self.add(Variable::Shared { n, kind: at }, 0.0, devices, true);
            for row in scaling::devices(indexed, kind.memory, devices, shared, &load[at], alike) {
                self.push(row);
            }
        }
    }

    /// The columns of a service on each kind of device. Where all devices are alike the count
    /// itself serves; whole devices are then counted by its coefficient.
    fn on_kinds(
        &mut self,
        indexed: &IndexedProblem<'_>,
        (s, n): (usize, usize),
        count: usize,
        candidate: &Candidate,
        kinds: &[Kind],
    ) -> Vec<(usize, usize)> {
        if let [_] = kinds {
            return vec![(0, count)];
        }
        let each = scaling::devices_each(indexed.services[s].input.gpu);
        let most = self.model.columns[count].upper;
        let mut columns = Vec::new();
        for (at, kind) in kinds.iter().enumerate().filter(|(_, k)| k.mask & candidate.allowed != 0)
        {
            let upper = match each {
                Some(_) => f64::from(kind.mask.count_ones()),
                None => most,
            };
            let variable = Variable::OnKind { s, n, kind: at };
            columns.push((at, self.add(variable, 0.0, upper, true)));
        }
        let mut terms: Vec<(usize, f64)> = columns.iter().map(|&(_, c)| (c, 1.0)).collect();
        terms.push((count, -f64::from(each.unwrap_or(1))));
        self.model.row(terms, 0.0, 0.0);
        columns
    }

    /// The price of other devices, where each has a column of its own: of the instances kept, so
    /// many restart as have no home among those that are lived in.
    fn homes(
        &mut self,
        indexed: &IndexedProblem<'_>,
        (s, n): (usize, usize),
        kinds: &[Kind],
        of: &[(usize, usize)],
    ) {
        let Some(&kept) = self.column.get(&Variable::Staying { s, n }) else {
            return;
        };
        let Some(homes) = indexed.services[s].homes.get(&n).filter(|_| kinds.len() > 1) else {
            return;
        };
        let upper = self.model.columns[kept].upper;
        let restarts = self.add(Variable::Restarts { s, n }, 0.0, upper, false);
        let mut terms = vec![(kept, 1.0), (restarts, -1.0)];
        for (home, (set, many)) in homes.per_set().into_iter().enumerate() {
            let at_home = self.add(Variable::AtHome { s, n, home }, 0.0, f64::from(many), false);
            for &(_, column) in of.iter().filter(|(kind, _)| kinds[*kind].mask & set != 0) {
                self.model.at_most(vec![(at_home, 1.0), (column, -1.0)], 0.0);
            }
            terms.push((at_home, -1.0));
        }
        self.model.at_most(terms, f64::from(homes.strangers));
    }

    /// Replicas and spread.
    fn services(&mut self, subproblem: &Subproblem<'_, '_>) {
        let indexed = subproblem.partial.indexed;
        let inside: BTreeSet<usize> = subproblem.nodes.iter().copied().collect();
        for (s, service) in indexed.services.iter().enumerate() {
            self.counterparts(subproblem, s, &inside);
            let columns: Vec<(usize, usize)> =
                subproblem.nodes.iter().filter_map(|&n| Some((n, self.count(s, n)?))).collect();
            if columns.is_empty() {
                continue;
            }
            let left = f64::from(service.input.replicas - outside(subproblem.partial, s, &inside));
            let most: f64 = columns.iter().map(|&(_, c)| self.model.columns[c].upper).sum();
            if most > left {
                self.model.at_most(columns.iter().map(|&(_, c)| (c, 1.0)).collect(), left);
            }
            // What one node is worth does not depend on how the others will be filled.
            if matches!(subproblem.goal, Goal::DualValue(_)) {
                continue;
            }
            for line in 0..service.spread.len() {
                self.spread(subproblem, (s, line), &columns, &inside);
            }
        }
    }

    /// What is kept of a service as it is, and that service together, told once.
    fn counterparts(
        &mut self,
        subproblem: &Subproblem<'_, '_>,
        s: usize,
        inside: &BTreeSet<usize>,
    ) {
        let indexed = subproblem.partial.indexed;
        let counterparts = &indexed.services[s].counterparts;
        if counterparts.is_empty() || counterparts.iter().any(|&other| other < s) {
            return;
        }
        let all = || counterparts.iter().copied().chain([s]);
        let columns = all().flat_map(|s| subproblem.nodes.iter().map(move |&n| (s, n)));
        let terms = columns.filter_map(|(s, n)| Some((self.count(s, n)?, 1.0))).collect();
        let outside: u32 = all().map(|s| outside(subproblem.partial, s, inside)).sum();
        let left = indexed.wanted_with_counterparts(s).saturating_sub(outside);
        self.model.at_most(terms, f64::from(left));
        let own = indexed.declared(s);
        for &n in &subproblem.nodes {
            let kept: Vec<usize> =
                indexed.retained_at(own, n).filter_map(|t| self.count(t, n)).collect();
            let locked = indexed.services[own].locked_at(n);
            if locked > 0 && !kept.is_empty() {
                let both = kept.iter().copied().chain(self.count(own, n)).map(|it| (it, 1.0));
                self.model.row(both.collect(), f64::from(locked), f64::INFINITY);
            }
            let Some(declared) = self.count(own, n) else { continue };
            let most = self.model.columns[declared].upper;
            let ran = indexed.services[own].ran_at(n);
            for &one in &kept {
                let mut terms: Vec<(usize, f64)> =
                    kept.iter().map(|&it| (it, if it == one { 1.0 + most } else { 1.0 })).collect();
                terms.push((declared, 1.0));
                self.model.at_most(terms, f64::from(ran) + most);
            }
        }
    }

    fn spread(
        &mut self,
        subproblem: &Subproblem<'_, '_>,
        (s, line): (usize, usize),
        columns: &[(usize, usize)],
        inside: &BTreeSet<usize>,
    ) {
        let service = &subproblem.partial.indexed.services[s];
        let spread = &service.spread[line];
        if spread.open.is_empty() {
            return;
        }
        let mut terms: BTreeMap<usize, (Vec<(usize, f64)>, u32)> = BTreeMap::new();
        for &domain in &spread.open {
            terms.insert(domain, (Vec::new(), 0));
        }
        for &(n, column) in columns {
            terms.entry(spread.domain[n]).or_default().0.push((column, 1.0));
        }
        for (&n, &count) in &subproblem.partial.of_service[s] {
            if !inside.contains(&n) {
                terms.entry(spread.domain[n]).or_default().1 += count;
            }
        }
        let top = f64::from(service.input.replicas);
        let low = self.add(Variable::Emptiest { s, line }, 0.0, top, false);
        for (domain, (mut terms, fixed)) in terms {
            let fixed = f64::from(fixed);
            terms.push((low, -1.0));
            let open = spread.open.contains(&domain);
            let lower = if open { -fixed } else { f64::NEG_INFINITY };
            self.model.row(terms, lower, f64::from(spread.skew) - fixed);
        }
    }

    /// The score of each node, from below by tangents.
    fn score(&mut self, subproblem: &Subproblem<'_, '_>) {
        let indexed = subproblem.partial.indexed;
        for &n in &subproblem.nodes {
            let here = self.here(indexed, n);
            if indexed.problem.objective == Objective::Pack {
                let in_use = self.add(Variable::InUse { n }, 0.0, 1.0, true);
                for (_, count, _) in here {
                    let most = self.model.columns[count].upper;
                    self.model.at_most(vec![(count, 1.0), (in_use, -most)], 0.0);
                }
                continue;
            }
            for resource in 0..2 {
                let capacity = indexed.nodes[n].capacity[resource];
                if capacity == 0 {
                    continue;
                }
                let crowding = self.add(Variable::Crowding { n, resource }, 0.0, 1.0, false);
                for tenths in [0].into_iter().chain(TANGENTS) {
                    let t = tenths as f64 / 10.0;
                    let share = |&(s, c, _): &(usize, usize, &Candidate)| {
                        let need = indexed.services[s].need[resource];
                        let part = 2.0 * t * need as f64 / capacity as f64;
                        (c, part + excess(need, capacity, tenths))
                    };
                    let mut terms: Vec<_> = here.iter().map(share).filter(|x| x.1 > 0.0).collect();
                    terms.push((crowding, -1.0));
                    self.model.at_most(terms, t * t);
                }
            }
        }
    }

    /// The score as terms: 1 is a full resource or a node in use.
    fn score_terms(&self, indexed: &IndexedProblem<'_>) -> Vec<(usize, f64)> {
        let variables = self.variables.iter().enumerate();
        variables
            .filter_map(|(column, variable)| match *variable {
                Variable::Crowding { .. } | Variable::InUse { .. } => Some((column, 1.0)),
                Variable::Count { s, n } => {
                    let soft_cost = indexed.services[s].candidate(n)?.soft_cost;
                    (soft_cost > 0).then_some((column, soft_cost as f64 / FULL as f64))
                }
                _ => None,
            })
            .collect()
    }

    /// What is saved by kept instances, less the restarts of some of them, in a unit that makes the
    /// prices small whole numbers if possible.
    fn migration_terms(&self, indexed: &IndexedProblem<'_>) -> (Vec<(usize, f64)>, f64) {
        let saved =
            self.variables.iter().enumerate().filter_map(|(column, variable)| match *variable {
                Variable::Staying { s, .. } => {
                    Some((column, indexed.services[s].migration_cost, 1.0))
                }
                Variable::Restarts { .. } => Some((column, 1, -1.0)),
                _ => None,
            });
        let saved: Vec<(usize, u64, f64)> = saved.collect();
        let unit = scaling::unit(saved.iter().map(|&(_, migration_cost, _)| migration_cost));
        (
            saved
                .iter()
                .map(|&(c, migration_cost, sign)| (c, sign * migration_cost as f64 / unit))
                .collect(),
            unit,
        )
    }

    fn objective(&mut self, subproblem: &Subproblem<'_, '_>) {
        let indexed = subproblem.partial.indexed;
        match &subproblem.goal {
            Goal::Place { weights, keep } => {
                let all: f64 = self.staying_at_most();
                for (column, variable) in self.variables.iter().enumerate() {
                    match *variable {
                        Variable::Count { s, .. } => {
                            let weight = weights[indexed.services[s].level];
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
                    if let Variable::Count { s, .. } = *variable {
                        let column = &mut self.model.columns[column];
                        column.cost = -worth[s];
                        // Worth nothing, and company for nobody.
                        if worth[s] <= 0.0 && indexed.services[s].supports.is_empty() {
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

    fn floors(&mut self, subproblem: &Subproblem<'_, '_>) {
        let indexed = subproblem.partial.indexed;
        let inside: BTreeSet<usize> = subproblem.nodes.iter().copied().collect();
        for &(level, floor) in &subproblem.floors {
            let of_level = |s: usize| indexed.services[s].level == level;
            let services = (0..indexed.services.len()).filter(|&s| of_level(s));
            let fixed: u32 = services.map(|s| outside(subproblem.partial, s, &inside)).sum();
            let terms =
                self.variables.iter().enumerate().filter_map(|(c, variable)| match *variable {
                    Variable::Count { s, .. } if of_level(s) => Some((c, 1.0)),
                    _ => None,
                });
            let lower = f64::from(floor) - f64::from(fixed);
            self.model.row(terms.collect(), lower, f64::INFINITY);
        }
        if let Some(cap) = subproblem.migration_cap {
            let (terms, unit) = self.migration_terms(indexed);
            let all = Self::current_migration_cost(subproblem);
            self.model.row(terms, (all - cap as f64) / unit - 1e-6, f64::INFINITY);
        }
        if let Some(cap) = subproblem.score_cap {
            let slack = 4e-6 * subproblem.nodes.len() as f64;
            self.model.at_most(self.score_terms(indexed), cap as f64 / FULL as f64 + slack);
        }
    }

    /// The price if nothing on these nodes were kept: of what ran on them, and of all others.
    fn current_migration_cost(subproblem: &Subproblem<'_, '_>) -> f64 {
        let inside: BTreeSet<usize> = subproblem.nodes.iter().copied().collect();
        let services = subproblem.partial.indexed.services.iter().enumerate();
        let migration_cost = services.map(|(s, service)| {
            let outside = subproblem.partial.of_service[s].keys().filter(|&n| !inside.contains(n));
            let kept: u32 = outside.map(|&n| subproblem.partial.staying(s, n)).sum();
            f64::from(service.running() - kept) * service.migration_cost as f64
        });
        let outside = (0..subproblem.partial.indexed.nodes.len()).filter(|n| !inside.contains(n));
        let restarts: u32 = outside.map(|n| subproblem.partial.restarts_on(n)).sum();
        migration_cost.sum::<f64>() + f64::from(restarts)
    }

    /// The price in the problem's unit of an objective value of [`Goal::Moves`].
    pub fn price_of(&self, subproblem: &Subproblem<'_, '_>, objective: f64) -> f64 {
        let (_, unit) = self.migration_terms(subproblem.partial.indexed);
        Self::current_migration_cost(subproblem) + objective * unit
    }
}

/// The kinds of devices of a node, told apart by memory and by which services may use them.
pub(super) fn kinds(
    subproblem: &Subproblem<'_, '_>,
    n: usize,
    allowed: impl Iterator<Item = u128>,
) -> Vec<Kind> {
    let masks: BTreeSet<u128> = allowed.collect();
    let memories = &subproblem.partial.indexed.nodes[n].memories;
    let mut kinds: BTreeMap<(u64, Vec<bool>, usize), u128> = BTreeMap::new();
    for (d, &memory) in memories.iter().enumerate() {
        let users: Vec<bool> = masks.iter().map(|mask| mask >> d & 1 == 1).collect();
        if users.iter().any(|&user| user) {
            let own = if subproblem.detailed.contains(&n) { d } else { 0 };
            *kinds.entry((memory, users, own)).or_insert(0) |= 1 << d;
        }
    }
    kinds.into_iter().map(|((memory, ..), mask)| Kind { memory, mask }).collect()
}

fn counts_staying(subproblem: &Subproblem<'_, '_>) -> bool {
    subproblem.migration_cap.is_some()
        || matches!(subproblem.goal, Goal::Moves | Goal::Place { keep: true, .. })
}

/// Instances of a service on nodes that the program does not decide about.
fn outside(partial: &PartialPlacement<'_>, s: usize, inside: &BTreeSet<usize>) -> u32 {
    let nodes = partial.of_service[s].iter().filter(|(n, _)| !inside.contains(n));
    nodes.map(|(_, count)| count).sum()
}
