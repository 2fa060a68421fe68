//! The best placement by trying every one.
//!
//! Knows the rules from the problem's own data, in plain loops: who may be where, what fits, what
//! runs now, what is better. Refuses to use anything of the planner's for that, so that a mistake
//! there is not made here again. One thing only is taken from it: how many instances with data
//! stay on a node although something speaks against that. That is a choice of the planner's, and no
//! rule.

use devnet_schema::{
    name::{NodeName, ServiceName},
    placement::GpuUse,
    quantity::GpuRequest,
};

use crate::place::{
    problem::{
        Current, GpuInput, Key, NodeInput, NodeState, Objective, PlacementProblem, Require,
        ServiceInput, Spread, SpreadBy,
    },
    search::locks::settled,
};

/// The best there is: placed at each level, price of moves, score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Best {
    pub placed: Vec<u32>,
    pub price: u64,
    pub cost: u64,
}

/// Tries every placement that keeps the constraints and the locks.
pub(super) fn best(problem: &PlacementProblem) -> Best {
    let mut services: Vec<&ServiceInput> = problem.services.iter().collect();
    services.sort_by_key(|service| &service.name);
    let mut nodes: Vec<&NodeInput> = problem.nodes.iter().collect();
    nodes.sort_by_key(|node| &node.name);
    let mut levels: Vec<u8> = services.iter().map(|service| service.priority).collect();
    levels.sort_unstable_by(|a, b| b.cmp(a));
    levels.dedup();
    let indexed = settled(problem);
    let locks = indexed
        .services
        .iter()
        .map(|service| indexed.nodes.positions().map(|node| service.locked_at(node)).collect());
    let mut replicas = Vec::new();
    for (s, service) in services.iter().enumerate() {
        replicas.extend((0..service.replicas).map(|_| s));
    }
    let mut search = Search {
        problem,
        counts: vec![vec![0; nodes.len()]; services.len()],
        locks: locks.collect(),
        open: vec![vec![false; nodes.len()]; services.len()],
        services,
        nodes,
        levels,
        replicas,
        best: None,
    };
    for s in 0..search.services.len() {
        for n in 0..search.nodes.len() {
            search.counts[s][n] = 1;
            let ready = search.nodes[n].state == NodeState::Ready;
            search.open[s][n] = ready && search.may_be(s, n) && search.node_ok(s, n);
            search.counts[s][n] = 0;
        }
    }
    search.descend(0, 0);
    search.best.expect("placing nothing but what is locked is a placement")
}

struct Search<'p> {
    problem: &'p PlacementProblem,
    services: Vec<&'p ServiceInput>,
    nodes: Vec<&'p NodeInput>,
    levels: Vec<u8>,
    replicas: Vec<usize>,
    counts: Vec<Vec<u32>>,
    locks: Vec<Vec<u32>>,
    /// Where one instance of a service could be if nothing else were there.
    open: Vec<Vec<bool>>,
    best: Option<Best>,
}

fn meets(line: &Require, node: &NodeInput) -> bool {
    line.any_of.iter().any(|wanted| match line.key {
        Key::Tag => node.tags.contains(wanted),
        Key::Zone => node.zone.as_ref() == Some(wanted),
        Key::Os => node.os == *wanted,
        Key::Arch => node.arch == *wanted,
        Key::GpuModel => node.gpus.iter().any(|gpu| gpu.model == *wanted),
        Key::Node => node.name.as_str() == wanted,
        Key::Runtime => node.runtimes.contains(wanted),
    })
}

fn devices_wanted(service: &ServiceInput) -> usize {
    match service.gpu {
        GpuRequest::None => 0,
        GpuRequest::Whole(count) => count as usize,
        GpuRequest::Share(_) | GpuRequest::Memory(_) => 1,
    }
}

fn may_have(service: &ServiceInput, gpu: &GpuInput) -> bool {
    let models = |lines: &'_ [Require]| -> Vec<bool> {
        let about = lines.iter().filter(|line| line.key == Key::GpuModel);
        about.map(|line| line.any_of.contains(&gpu.model)).collect()
    };
    let large = match &service.device {
        Some(need) => gpu.memory >= need.memory,
        None => true,
    };
    large && !models(&service.require).contains(&false) && !models(&service.forbid).contains(&true)
}

/// Whether it does not answer: what runs there is as it was, whatever is asked for by now.
fn silent(node: &NodeInput) -> bool {
    matches!(node.state, NodeState::Offline | NodeState::Lost)
}

/// Instances that are there now and still wanted.
fn here(service: &ServiceInput, node: &NodeName) -> u32 {
    let mut count = 0;
    for (&index, current) in &service.current {
        count += u32::from(index < service.replicas && current.node == *node);
    }
    count
}

impl Search<'_> {
    /// Replicas of one service take ascending nodes; the last choice is none.
    fn descend(&mut self, at: usize, from: usize) {
        let Some(&s) = self.replicas.get(at) else {
            return self.consider();
        };
        for n in from..self.nodes.len() {
            self.counts[s][n] += 1;
            if self.may_be(s, n) && self.node_ok(s, n) {
                self.descend(at + 1, if self.replicas.get(at + 1) == Some(&s) { n } else { 0 });
            }
            self.counts[s][n] -= 1;
        }
        let skip = self.replicas[at..].iter().take_while(|&&t| t == s).count();
        self.descend(at + skip, 0);
    }

    /// What the service's own lines and the node's state say, as many as there are now.
    fn may_be(&self, s: usize, n: usize) -> bool {
        let (service, node) = (self.services[s], self.nodes[n]);
        let count = self.counts[s][n];
        if node.state == NodeState::Offline && here(service, &node.name) > 0 {
            return count <= here(service, &node.name);
        }
        let gpu = devices_wanted(service) > 0;
        let required = service.require.iter().all(|line| meets(line, node));
        // For a service with a GPU, a model is forbidden as its device and not on its node.
        let forbidden = service
            .forbid
            .iter()
            .any(|line| meets(line, node) && !(gpu && line.key == Key::GpuModel));
        let pinned = match &service.pin {
            Some(pin) => pin.node == node.name,
            None => true,
        };
        let held = service.host_ports.iter().any(|port| node.reserved_ports.contains(port));
        let open = match node.state {
            NodeState::Ready => true,
            NodeState::Cordoned | NodeState::Offline => count <= here(service, &node.name),
            NodeState::Draining | NodeState::Lost => {
                !service.movable && count <= here(service, &node.name)
            }
        };
        let company =
            service.near.iter().all(|name| self.services.iter().any(|other| other.name == *name));
        required && !forbidden && pinned && !held && open && company
    }

    /// Whether all that is on a node fits together. Adding more can only make it worse.
    fn node_ok(&self, s: usize, n: usize) -> bool {
        let (service, node) = (self.services[s], self.nodes[n]);
        if silent(node) {
            // A line that no device there meets still speaks against it.
            let mut lines = service.require.iter().chain(&service.forbid);
            let of_devices =
                lines.any(|line| line.key == Key::GpuModel) || service.device.is_some();
            let any = node.gpus.iter().any(|gpu| may_have(service, gpu));
            let away = node.state == NodeState::Offline;
            return away || devices_wanted(service) == 0 || !of_devices || any;
        }
        let mut used = [0u64; 3];
        let mut ports = Vec::new();
        let mut wanting = Vec::new();
        for (other, counts) in self.services.iter().zip(&self.counts) {
            for _ in 0..counts[n] {
                used[0] += other.cpu_milli;
                used[1] += other.memory;
                used[2] += other.disk;
                for port in &other.host_ports {
                    if ports.contains(port) {
                        return false;
                    }
                    ports.push(*port);
                }
                wanting.extend((devices_wanted(other) > 0).then_some(*other));
            }
        }
        if used[0] > node.cpu_milli || used[1] > node.memory || used[2] > node.disk {
            return false;
        }
        let count = self.counts[s][n];
        if service.max_per_node.is_some_and(|most| count > most) {
            return false;
        }
        for (other, counts) in self.services.iter().zip(&self.counts) {
            let apart =
                |a: &ServiceInput, b: &ServiceInput| a.apart_from.contains(b.name.declared());
            let most = u32::from(other.name == service.name);
            if (apart(service, other) || apart(other, service)) && counts[n] > most {
                return false;
            }
        }
        let free = node.gpus.iter().map(|gpu| (u128::from(gpu.memory.max(1)) * 1000, true));
        devices_ok(&node.gpus, &wanting, free.collect())
    }

    fn consider(&mut self) {
        if !self.all_ok() {
            return;
        }
        let mut placed = vec![0; self.levels.len()];
        let (mut price, mut cost) = (0, 0);
        for (service, counts) in self.services.iter().zip(&self.counts) {
            let level = self.levels.iter().position(|level| *level == service.priority).unwrap();
            placed[level] += counts.iter().sum::<u32>();
            let running = service.current.keys().filter(|index| **index < service.replicas);
            let mut moved = running.count() as u32;
            for (node, &count) in self.nodes.iter().zip(counts) {
                moved -= count.min(here(service, &node.name));
                for wish in service.prefer.iter().filter(|wish| !meets(&wish.condition, node)) {
                    cost += u64::from(count) * u64::from(wish.weight) * 100_000;
                }
            }
            price += u64::from(moved) * service.move_cost.max(1);
        }
        price += (0..self.nodes.len()).map(|n| self.restarts(n)).sum::<u64>();
        cost += (0..self.nodes.len()).map(|n| self.node_cost(n)).sum::<u64>();
        let key = |best: &Best| {
            let rest = if self.problem.limits.rebalance {
                (best.cost, best.price)
            } else {
                (best.price, best.cost)
            };
            (best.placed.iter().map(|&p| std::cmp::Reverse(p)).collect::<Vec<_>>(), rest)
        };
        let new = Best { placed, price, cost };
        if self.best.as_ref().is_none_or(|old| key(&new) < key(old)) {
            self.best = Some(new);
        }
    }

    fn node_cost(&self, n: usize) -> u64 {
        if self.problem.objective == Objective::Pack {
            return u64::from(self.counts.iter().any(|counts| counts[n] > 0)) * 1_000_000;
        }
        let sum = |need: fn(&ServiceInput) -> u64| -> u64 {
            let all = self.services.iter().zip(&self.counts);
            all.map(|(service, counts)| need(service) * u64::from(counts[n])).sum()
        };
        let node = self.nodes[n];
        // What runs on a node that does not answer has room there.
        let room = |has: u64, need: fn(&ServiceInput) -> u64| match silent(node) {
            true => has.max(
                self.services.iter().map(|it| need(it) * u64::from(here(it, &node.name))).sum(),
            ),
            false => has,
        };
        crowding(sum(|it| it.cpu_milli), room(node.cpu_milli, |it| it.cpu_milli))
            + crowding(sum(|it| it.memory), room(node.memory, |it| it.memory))
    }

    /// Of the instances that stay on a node, the fewest that must change their devices.
    fn restarts(&self, n: usize) -> u64 {
        let node = self.nodes[n];
        if silent(node) {
            return 0;
        }
        let mut wanting = Vec::new();
        for (service, counts) in self.services.iter().zip(&self.counts) {
            let wants = devices_wanted(service) > 0;
            wanting.extend((0..counts[n]).filter(|_| wants).map(|_| *service));
        }
        let free = node.gpus.iter().map(|gpu| (u128::from(gpu.memory.max(1)) * 1000, true));
        let mut fewest = u64::MAX;
        each_choice(&node.gpus, &wanting, free.collect(), &mut Vec::new(), &mut |chosen| {
            let changed = |service: &&&ServiceInput| {
                let own =
                    wanting.iter().zip(chosen).filter(|(other, _)| other.name == service.name);
                let mut sets: Vec<&Vec<usize>> = own.map(|(_, set)| set).collect();
                let stay = here(service, &node.name).min(sets.len() as u32);
                let (mut free_to_change, mut at_home) = (0, 0);
                for (_, current) in service.current.range(..service.replicas) {
                    if current.node != node.name {
                        continue;
                    }
                    let Some(home) = home(service, node, current) else {
                        free_to_change += 1;
                        continue;
                    };
                    if let Some(at) = sets.iter().position(|set| **set == home) {
                        sets.remove(at);
                        at_home += 1;
                    }
                }
                u64::from(stay.saturating_sub(free_to_change + at_home))
            };
            fewest = fewest.min(
                self.services.iter().filter(|s| wanting.contains(s)).map(|s| changed(&s)).sum(),
            );
        });
        if wanting.is_empty() { 0 } else { fewest }
    }

    /// What only the whole placement tells.
    fn all_ok(&self) -> bool {
        (0..self.services.len()).all(|s| {
            let (service, counts) = (self.services[s], &self.counts[s]);
            let company = (0..counts.len()).all(|n| {
                let there = |name: &ServiceName| {
                    let mut named =
                        (0..self.services.len()).filter(|&t| self.services[t].name == *name);
                    named.all(|t| self.counts[t][n] > 0)
                };
                counts[n] == 0 || silent(self.nodes[n]) || service.near.iter().all(there)
            });
            let locked = counts.iter().zip(&self.locks[s]).all(|(count, lock)| count >= lock);
            company && locked && service.spread.iter().all(|line| self.is_even(s, line))
        })
    }

    fn is_even(&self, s: usize, line: &Spread) -> bool {
        let same = |a: usize, b: usize| match line.by {
            SpreadBy::Node => a == b,
            SpreadBy::Zone => self.nodes[a].zone == self.nodes[b].zone,
        };
        let all = 0..self.nodes.len();
        let domain = |n: usize| -> u32 {
            all.clone().filter(|&other| same(n, other)).map(|other| self.counts[s][other]).sum()
        };
        let high = all.clone().map(domain).max().unwrap_or(0);
        let low = all.clone().filter(|&n| self.open[s][n]).map(domain).min();
        low.is_none_or(|low| high <= low + line.max_skew)
    }
}

fn devices_ok(gpus: &[GpuInput], wanting: &[&ServiceInput], free: Vec<(u128, bool)>) -> bool {
    let mut found = false;
    each_choice(gpus, wanting, free, &mut Vec::new(), &mut |_| found = true);
    found
}

/// The devices that an instance has, if it may keep them.
fn home(service: &ServiceInput, node: &NodeInput, current: &Current) -> Option<Vec<usize>> {
    let place = |gpu: &GpuUse| node.gpus.iter().position(|other| other.id == gpu.id);
    let mut home: Vec<usize> = current.gpus.iter().map(place).collect::<Option<_>>()?;
    home.sort_unstable();
    let suits = home.iter().all(|&d| may_have(service, &node.gpus[d]));
    (suits && home.len() == devices_wanted(service)).then_some(home)
}

/// Every choice of devices, one instance after another. `free` holds what is left of each device,
/// in thousandths of a byte, and whether nobody is on it.
fn each_choice(
    gpus: &[GpuInput],
    wanting: &[&ServiceInput],
    free: Vec<(u128, bool)>,
    so_far: &mut Vec<Vec<usize>>,
    found: &mut dyn FnMut(&[Vec<usize>]),
) {
    let Some((&service, rest)) = wanting.split_first() else {
        return found(so_far);
    };
    for set in 0u32..1 << gpus.len() {
        let chosen: Vec<usize> = (0..gpus.len()).filter(|d| set >> d & 1 == 1).collect();
        let admitted = chosen.iter().all(|&d| may_have(service, &gpus[d]));
        if chosen.len() != devices_wanted(service) || !admitted {
            continue;
        }
        if let Some(left) = taken(gpus, service, &chosen, free.clone()) {
            so_far.push(chosen);
            each_choice(gpus, rest, left, so_far, found);
            so_far.pop();
        }
    }
}

/// What is left of the devices where an instance has these, if it may.
fn taken(
    gpus: &[GpuInput],
    service: &ServiceInput,
    chosen: &[usize],
    mut left: Vec<(u128, bool)>,
) -> Option<Vec<(u128, bool)>> {
    for &d in chosen {
        let memory = u128::from(gpus[d].memory.max(1));
        let load = match service.gpu {
            GpuRequest::None => 0,
            GpuRequest::Whole(_) if !left[d].1 => return None,
            GpuRequest::Whole(_) => memory * 1000,
            GpuRequest::Share(milli) => memory * u128::from(milli),
            GpuRequest::Memory(bytes) => u128::from(bytes.0) * 1000,
        };
        if load > left[d].0 {
            return None;
        }
        left[d] = (left[d].0 - load, false);
    }
    Some(left)
}

/// The square of the use of a resource as the highest of its tangents at a fifth, two fifths and so
/// on, in millionths.
fn crowding(used: u64, capacity: u64) -> u64 {
    if capacity == 0 {
        return 0;
    }
    let used = used * 1_000_000 / capacity;
    let tangents = [200_000, 400_000, 600_000, 800_000, 1_000_000u64];
    let height = |at: u64| (2 * at / 100_000 * used / 10).saturating_sub(at * at / 1_000_000);
    tangents.into_iter().map(height).max().unwrap_or(0)
}
