//! A placement under construction: how many instances of each service each node has.
//!
//! Knows exactly, in integers, what still fits. Refuses to know what would be good.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    filter,
    gpu_allocation::{GpuAllocation, GpuClaim},
    gpu_packing,
    index::{Amounts, IndexedProblem, Spread},
};
use crate::place::problem::Objective;

/// Instances by service and node, and all that follows from them.
#[derive(Clone)]
pub struct PartialPlacement<'f> {
    pub indexed: &'f IndexedProblem<'f>,
    /// Per node: service → instances.
    pub on_node: Vec<BTreeMap<usize, u32>>,
    /// Per service: node → instances.
    pub of_service: Vec<BTreeMap<usize, u32>>,
    pub used: Vec<Amounts>,
    ports: Vec<BTreeSet<usize>>,
    /// The GPUs of each node.
    allocations: Vec<GpuAllocation>,
    /// Instances placed of each service.
    pub total: Vec<u32>,
}

/// How good a placement is; compare with [`Rank::beats`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rank {
    /// Placed at each level, highest first.
    pub placed: Vec<u32>,
    /// Price of the moves.
    pub migration_cost: u64,
    /// Score in millionths.
    pub score: u64,
    rebalance: bool,
}

impl Rank {
    /// Whether this is better than the other, one level at a time.
    pub fn beats(&self, other: &Self) -> bool {
        let rest = |r: &Self| {
            if r.rebalance { (r.score, r.migration_cost) } else { (r.migration_cost, r.score) }
        };
        other.placed.cmp(&self.placed).then(rest(self).cmp(&rest(other))).is_lt()
    }
}

impl<'f> PartialPlacement<'f> {
    pub fn empty(indexed: &'f IndexedProblem<'f>) -> Self {
        let (nodes, services) = (indexed.nodes.len(), indexed.services.len());
        Self {
            indexed,
            on_node: vec![BTreeMap::new(); nodes],
            of_service: vec![BTreeMap::new(); services],
            used: vec![[0; 3]; nodes],
            ports: vec![BTreeSet::new(); nodes],
            allocations: indexed
                .nodes
                .iter()
                .map(|node| GpuAllocation::empty(&node.memories))
                .collect(),
            total: vec![0; services],
        }
    }

    pub fn count(&self, service: usize, node: usize) -> u32 {
        self.on_node[node].get(&service).copied().unwrap_or(0)
    }

    /// Replicas of a service still without a node.
    pub fn missing(&self, service: usize) -> u32 {
        self.indexed.services[service].input.replicas.saturating_sub(self.total[service])
    }

    /// Whether everything has a node as it is declared.
    pub fn missing_none(&self) -> bool {
        let placed = |s: usize| self.missing(s) == 0 || self.indexed.services[s].is_retained();
        (0..self.total.len()).all(placed)
    }

    /// Puts one instance there, whether it fits or not.
    pub fn add(&mut self, service: usize, node: usize) {
        let it = &self.indexed.services[service];
        *self.on_node[node].entry(service).or_insert(0) += 1;
        *self.of_service[service].entry(node).or_insert(0) += 1;
        self.total[service] += 1;
        for (used, need) in self.used[node].iter_mut().zip(it.need) {
            *used += need;
        }
        self.ports[node].extend(it.ports.iter().copied());
        if self.indexed.takes_devices(service, node) {
            let claims = |s: usize| gpu_claim(self.indexed, s, node);
            self.allocations[node].add(&self.indexed.nodes[node].memories, service, &claims);
        }
    }

    /// Takes one instance away; there must be one.
    pub fn remove(&mut self, service: usize, node: usize) {
        let it = &self.indexed.services[service];
        take(&mut self.on_node[node], service);
        take(&mut self.of_service[service], node);
        self.total[service] -= 1;
        for (used, need) in self.used[node].iter_mut().zip(it.need) {
            *used -= need;
        }
        // A service with a port never has two instances on one node.
        for port in &it.ports {
            self.ports[node].remove(port);
        }
        if self.indexed.takes_devices(service, node) {
            let claims = |s: usize| gpu_claim(self.indexed, s, node);
            self.allocations[node].remove(&self.indexed.nodes[node].memories, service, &claims);
        }
    }

    /// What is used of a node, and all that those have who are kept as they are, counted or not
    /// ([`super::overcommit`]).
    pub fn held(&self, node: usize) -> Amounts {
        let mut held = self.used[node];
        for it in self.on_node[node].keys().map(|&s| &self.indexed.services[s]) {
            let has = it.input.amounts();
            if it.is_retained() {
                held = [0, 1, 2].map(|r| held[r] + has[r].saturating_sub(it.need[r]));
            }
        }
        held
    }

    /// What a node has for services; of one that does not answer, all that runs there.
    pub fn room(&self, node: usize) -> Amounts {
        let node = &self.indexed.nodes[node];
        if node.unreachable { node.capacity } else { node.input.amounts() }
    }

    /// How much of a resource a node has too little of for so much more.
    pub fn short(&self, node: usize, r: usize, more: u64) -> u64 {
        match more <= self.indexed.nodes[node].capacity[r].saturating_sub(self.used[node][r]) {
            true => 0,
            false => self.held(node)[r].saturating_add(more).saturating_sub(self.room(node)[r]),
        }
    }

    /// How the devices of a node are given out, to be put back with
    /// [`PartialPlacement::set_devices`].
    pub fn devices(&self, node: usize) -> GpuAllocation {
        self.allocations[node].clone()
    }

    /// Gives the devices of a node out as they were when the same ran there.
    pub fn set_devices(&mut self, node: usize, devices: GpuAllocation) {
        self.allocations[node] = devices;
    }

    /// Takes everything off a node.
    pub fn clear(&mut self, node: usize) {
        let here: Vec<(usize, u32)> = self.on_node[node].iter().map(|(&s, &c)| (s, c)).collect();
        for (service, count) in here {
            for _ in 0..count {
                self.remove(service, node);
            }
        }
    }

    /// Whether one more instance may go there as things are.
    pub fn fits(&self, service: usize, node: usize) -> bool {
        self.fits_alone(service, node)
            && self.has_company(service, node)
            && self.spread_admits(service, node)
    }

    /// The same, spread and `near` left aside.
    pub fn fits_alone(&self, service: usize, node: usize) -> bool {
        let it = &self.indexed.services[service];
        let Some(candidate) = it.candidate(node) else {
            return false;
        };
        let capacity = self.indexed.nodes[node].capacity;
        let used = self.used[node];
        self.count(service, node) < candidate.most
            && (it.counterparts.is_empty() || self.counterparts_admit(service, node))
            && (0..3).all(|r| used[r].saturating_add(it.need[r]) <= capacity[r])
            && (self.indexed.nodes[node].unreachable || self.agrees(service, node))
            && (!self.indexed.takes_devices(service, node) || self.devices_fit(service, node))
    }

    /// Whether nobody there has its ports, and it need not stay apart from anybody there.
    fn agrees(&self, service: usize, node: usize) -> bool {
        let it = &self.indexed.services[service];
        !it.ports.iter().any(|port| self.ports[node].contains(port))
            && !it.apart.iter().any(|&other| self.count(other, node) > 0)
    }

    /// Instances placed of a service and of its [`super::index::Service::kin`].
    fn total_with_counterparts(&self, service: usize) -> u32 {
        let counterparts = self.indexed.services[service].counterparts.iter();
        self.total[service] + counterparts.map(|&other| self.total[other]).sum::<u32>()
    }

    /// Whether one more is wanted beside its [`super::index::Service::kin`], on this node.
    fn counterparts_admit(&self, service: usize, node: usize) -> bool {
        let (own, declared, kept) = self.with_counterparts(service, node);
        let is_retained = u32::from(self.indexed.services[service].is_retained());
        self.total_with_counterparts(service) < self.indexed.wanted_with_counterparts(service)
            && self.indexed.counterparts_agree(
                own,
                node,
                declared + 1 - is_retained,
                kept + is_retained,
            )
    }

    /// The service that is declared, and how many of it, and kept of it, are on a node.
    fn with_counterparts(&self, service: usize, node: usize) -> (usize, u32, u32) {
        let services = &self.indexed.services;
        if services[service].counterparts.is_empty() {
            return (service, self.count(service, node), 0);
        }
        let all = || services[service].counterparts.iter().copied().chain([service]);
        let own = self.indexed.declared(service);
        let kept = all().filter(|&s| s != own).map(|s| self.count(s, node)).sum();
        (own, self.count(own, node), kept)
    }

    /// Whether every service that this one must be near is there, as it is declared or as it is.
    pub fn has_company(&self, service: usize, node: usize) -> bool {
        self.indexed.nodes[node].unreachable
            || self.indexed.services[service].near.iter().all(|&it| self.present(it, node) > 0)
    }

    /// Instances of a service on a node, those among them that are kept as they are.
    pub fn present(&self, service: usize, node: usize) -> u32 {
        let (_, declared, kept) = self.with_counterparts(service, node);
        declared + kept
    }

    /// Who needs this one for company on a node, and would have none without one of it.
    pub fn deserted(&self, service: usize, node: usize) -> Option<usize> {
        if self.indexed.nodes[node].unreachable {
            return None;
        }
        let (own, declared, kept) = self.with_counterparts(service, node);
        let mut supports = self.indexed.services[own].supports.iter().copied();
        let needs = supports.find(|&other| self.count(other, node) > 0);
        needs.filter(|_| declared + kept == 1)
    }

    /// Whether the GPUs of a node would do for one more.
    pub fn devices_fit(&self, extra: usize, node: usize) -> bool {
        let claims = |s: usize| gpu_claim(self.indexed, s, node);
        self.allocations[node].admits(&self.indexed.nodes[node].memories, extra, &claims)
    }

    /// What one more GPU instance would leave unused beside itself, in thousandths of a device: the
    /// rest of the device that it shares, or the devices left untouched beside whole ones.
    pub fn waste(&self, service: usize, node: usize) -> u64 {
        let claim = gpu_claim(self.indexed, service, node);
        self.allocations[node].waste(&self.indexed.nodes[node].memories, service, &claim)
    }

    /// Whether the GPU instances of a node can all have their devices.
    pub fn devices_packed(&self, node: usize) -> bool {
        self.allocations[node].arranged()
    }

    /// The devices of every instance of a service on a node, as bits, in one arrangement of all
    /// that are there.
    pub fn devices_of(&self, service: usize, node: usize) -> Vec<u128> {
        self.allocations[node].of(service).collect()
    }

    /// What is left of each device of a node, in the units of [`super::gpu_packing::size`].
    pub fn device_room(&self, node: usize) -> &[u64] {
        self.allocations[node].left()
    }

    /// Instances that stay on a node and restart, on other devices.
    pub fn restarts_on(&self, node: usize) -> u32 {
        self.allocations[node].restarts()
    }

    /// The same on all nodes.
    pub fn restarts(&self) -> u32 {
        self.allocations.iter().map(GpuAllocation::restarts).sum()
    }

    /// Whether one more there makes others restart, on other devices.
    pub fn disturbs(&self, service: usize, node: usize) -> bool {
        self.indexed.nodes[node].has_previous_devices
            && self.indexed.services[service].wants_gpu()
            && {
                let mut allocation = self.allocations[node].clone();
                let claims = |s: usize| gpu_claim(self.indexed, s, node);
                allocation.add(&self.indexed.nodes[node].memories, service, &claims);
                allocation.restarts() > self.allocations[node].restarts()
            }
    }

    /// Looks once more, and thoroughly, for devices with which fewer restart.
    pub fn keep_devices(&mut self) {
        for (n, allocation) in self
            .allocations
            .iter_mut()
            .enumerate()
            .filter(|(_, allocation)| allocation.restarts() > 0)
        {
            let claims = |s: usize| gpu_claim(self.indexed, s, n);
            allocation.keep_devices(
                &self.indexed.nodes[n].memories,
                &claims,
                gpu_packing::THOROUGH,
            );
        }
    }

    /// Whether one more there keeps every `spread` line; adding to the emptiest domain always
    /// does.
    pub fn spread_admits(&self, service: usize, node: usize) -> bool {
        let lines = &self.indexed.services[service].spread;
        lines.iter().all(|line| {
            let counts = self.domains(service, line);
            let mine = counts.get(&line.domain[node]).copied().unwrap_or(0) + 1;
            // The domain that grows may be the emptiest one itself.
            let low = line.open.iter().map(|d| {
                let count = counts.get(d).copied().unwrap_or(0);
                if *d == line.domain[node] { count + 1 } else { count }
            });
            low.min().is_none_or(|low| mine <= low + line.skew)
        })
    }

    /// Instances of a service in each domain that has any.
    pub fn domains(&self, service: usize, line: &Spread) -> BTreeMap<usize, u32> {
        let mut counts = BTreeMap::new();
        for (&node, &count) in &self.of_service[service] {
            *counts.entry(line.domain[node]).or_insert(0) += count;
        }
        counts
    }

    /// By how much the fullest domain exceeds the emptiest beyond what the line allows.
    pub fn skew_excess(&self, service: usize, line: &Spread) -> u32 {
        self.skew_with(service, line, None)
    }

    /// The same with one instance more on a node.
    pub fn skew_with(&self, service: usize, line: &Spread, more: Option<usize>) -> u32 {
        let mut counts = self.domains(service, line);
        if let Some(node) = more {
            *counts.entry(line.domain[node]).or_insert(0) += 1;
        }
        let low = line.open.iter().map(|d| counts.get(d).copied().unwrap_or(0)).min();
        let high = counts.values().copied().max().unwrap_or(0);
        low.map_or(0, |low| high.saturating_sub(low + line.skew))
    }

    /// Whether `spread` and `near` hold of everything this service has placed.
    pub fn in_order(&self, service: usize) -> bool {
        let it = &self.indexed.services[service];
        it.spread.iter().all(|line| self.skew_excess(service, line) == 0)
            && self.of_service[service].keys().all(|&node| self.has_company(service, node))
    }

    /// Whether one instance may leave: nobody there needs its company, and it is not locked.
    pub fn may_leave(&self, service: usize, node: usize) -> bool {
        let there = self.count(service, node) > 0;
        there && self.spare(service, node) && self.deserted(service, node).is_none()
    }

    /// Whether more of a service, kept as they are or not, are on a node than must be.
    pub fn spare(&self, service: usize, node: usize) -> bool {
        let (own, declared, kept) = self.with_counterparts(service, node);
        declared + kept > self.indexed.services[own].locked_at(node)
    }

    /// Instances of a service on a node that were there before.
    pub fn staying(&self, service: usize, node: usize) -> u32 {
        let current =
            self.indexed.services[service].candidate(node).map_or(0, |candidate| candidate.current);
        current.min(self.count(service, node))
    }

    /// Whether every constraint holds and everything that must stay is there. Looks at the whole
    /// placement; what a solver found is believed only after this.
    pub fn sound(&self) -> bool {
        (0..self.on_node.len()).all(|node| self.node_sound(node))
            && self.indexed.services.iter().enumerate().all(|(s, service)| {
                self.total[s] <= service.input.replicas
                    && self.total_with_counterparts(s) <= self.indexed.wanted_with_counterparts(s)
                    && self.counterparts_agree(s)
                    && self.in_order(s)
                    && service.locked.iter().all(|(&n, &locked)| self.present(s, n) >= locked)
            })
    }

    fn counterparts_agree(&self, s: usize) -> bool {
        let agrees = |&node: &usize| {
            let (own, declared, kept) = self.with_counterparts(s, node);
            self.indexed.counterparts_agree(own, node, declared, kept)
        };
        self.indexed.services[s].counterparts.is_empty() || self.of_service[s].keys().all(agrees)
    }

    fn node_sound(&self, node: usize) -> bool {
        let capacity = self.indexed.nodes[node].capacity;
        let mut ports = BTreeSet::new();
        (0..3).all(|r| self.used[node][r] <= capacity[r])
            && self.on_node[node].iter().all(|(&s, &count)| {
                let it = &self.indexed.services[s];
                let mut agrees = || {
                    it.ports.iter().all(|port| ports.insert(*port))
                        && !it.apart.iter().any(|&other| self.count(other, node) > 0)
                };
                it.candidate(node).is_some_and(|candidate| count <= candidate.most)
                    && (self.indexed.nodes[node].unreachable || agrees())
            })
            && self.devices_packed(node)
    }

    /// Placed at each level, highest first.
    pub fn placed(&self) -> Vec<u32> {
        let mut placed = vec![0; self.indexed.levels.len()];
        for (service, &total) in self.indexed.services.iter().zip(&self.total) {
            placed[service.level] += total;
        }
        placed
    }

    /// Instances that do not stay, and the price of that: theirs, and a restart for each that stays
    /// on other devices.
    pub fn moves(&self) -> (u32, u64) {
        let mut sum = (0, u64::from(self.restarts()));
        for (s, service) in self.indexed.services.iter().enumerate() {
            let kept: u32 = self.of_service[s].keys().map(|&node| self.staying(s, node)).sum();
            let moved = service.running() - kept;
            sum = (sum.0 + moved, sum.1 + u64::from(moved) * service.migration_cost);
        }
        sum
    }

    /// The whole score in millionths.
    pub fn score(&self) -> u64 {
        let nodes: u64 = (0..self.on_node.len()).map(|node| self.node_score(node)).sum();
        let wishes: u64 = self
            .of_service
            .iter()
            .enumerate()
            .map(|(s, nodes)| {
                let migration_cost = |(&node, &count): (&usize, &u32)| {
                    let candidate = self.indexed.services[s].candidate(node);
                    u64::from(count) * candidate.map_or(0, |candidate| candidate.soft_cost)
                };
                nodes.iter().map(migration_cost).sum::<u64>()
            })
            .sum();
        nodes + wishes
    }

    /// What one node adds to the score.
    pub fn node_score(&self, node: usize) -> u64 {
        match self.indexed.problem.objective {
            Objective::Pack => u64::from(!self.on_node[node].is_empty()) * FULL,
            Objective::Balance => self.crowded([0; 2], node),
        }
    }

    /// What one more instance of a service on a node would add to the score.
    pub fn growth(&self, service: usize, node: usize) -> u64 {
        let it = &self.indexed.services[service];
        let more = match self.indexed.problem.objective {
            Objective::Pack => u64::from(self.on_node[node].is_empty()) * FULL,
            Objective::Balance => {
                let after = self.crowded([it.need[0], it.need[1]], node);
                after.saturating_sub(self.crowded([0; 2], node))
            }
        };
        more + it.candidate(node).map_or(0, |candidate| candidate.soft_cost)
    }

    fn crowded(&self, more: [u64; 2], node: usize) -> u64 {
        let capacity = self.indexed.nodes[node].capacity;
        (0..2).map(|r| crowding(self.used[node][r].saturating_add(more[r]), capacity[r])).sum()
    }

    pub fn rank(&self) -> Rank {
        Rank {
            placed: self.placed(),
            migration_cost: self.moves().1,
            score: self.score(),
            rebalance: self.indexed.problem.limits.rebalance,
        }
    }
}

fn gpu_claim<'t>(indexed: &'t IndexedProblem<'_>, service: usize, node: usize) -> GpuClaim<'t> {
    let it = &indexed.services[service];
    let allowed = match it.candidate(node) {
        Some(candidate) => candidate.allowed,
        None => filter::allowed_devices(it.input, &indexed.nodes[node]),
    };
    GpuClaim { item: gpu_packing::Item { need: it.input.gpu, allowed }, homes: it.homes.get(&node) }
}

/// The score of one resource in full use, and of one node in use under `pack`.
pub const FULL: u64 = 1_000_000;

/// Where the tangents of the square touch, in tenths of use.
pub const TANGENTS: [u64; 5] = [2, 4, 6, 8, 10];

/// The square of the use of one resource, as the highest of five tangents, in millionths: convex,
/// so that even use is cheapest, and piecewise linear, so that integer programs can hold it.
pub fn crowding(used: u64, capacity: u64) -> u64 {
    if capacity == 0 {
        return 0;
    }
    let used = match used.checked_mul(FULL) {
        Some(product) => product / capacity,
        None => (u128::from(used) * u128::from(FULL) / u128::from(capacity)) as u64,
    };
    let tangent = |t: &u64| (2 * t * used / 10).saturating_sub(t * t * FULL / 100);
    TANGENTS.iter().map(tangent).max().unwrap_or(0)
}

/// By how much the score of a resource exceeds its tangent at so many tenths where one instance
/// alone takes `need` of it; 0 where it does not reach that far.
///
/// The score less a tangent is convex and 0 where it touches, so for several instances on one node
/// it is at least the sum of what each exceeds it by. That makes rows of whole instances tighter
/// than those of their mere sum: fractions of a large one would be free of it.
pub fn excess(need: u64, capacity: u64, tenths: u64) -> f64 {
    let (used, t) = (need as f64 / capacity.max(1) as f64, tenths as f64 / 10.0);
    if used <= t {
        return 0.0;
    }
    let tangent = |t: f64| 2.0 * t * used - t * t;
    let score = TANGENTS.iter().map(|&t| tangent(t as f64 / 10.0)).fold(0.0, f64::max);
    (score - tangent(t)).max(0.0)
}

fn take(map: &mut BTreeMap<usize, u32>, key: usize) {
    if let Some(count) = map.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            map.remove(&key);
        }
    }
}
