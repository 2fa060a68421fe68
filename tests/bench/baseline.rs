//! What is placed without any solver: kube-scheduler's default scoring, and best fit. Each pod goes
//! to the best node that it fits on, in the order of priority, and stays there.
//!
//! Knows the hard constraints in the form such a scheduler checks them, pod by pod. Refuses to look
//! ahead or to take anything back.

use std::collections::{BTreeMap, BTreeSet};

use devnet_planner::place::{
    Key, NodeInput, NodeState, PlacementProblem, Require, ServiceInput, SpreadBy,
};
use devnet_schema::{instance::Protocol, name::ServiceName, quantity::GpuRequest};

/// How a node is chosen among those that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduler {
    /// `NodeResourcesFit` (LeastAllocated), `NodeResourcesBalancedAllocation` and preferred
    /// affinity, with the default weights of kube-scheduler 1.3x: 1, 1 and 2.
    Kube,
    /// Where the least cpu, memory and GPU is left over.
    BestFit,
}

/// Instances placed, by priority, highest first, and GPUs in use in thousandths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub levels: Vec<(u8, u32)>,
    pub gpu_milli: u64,
}

struct Yard<'a> {
    input: &'a NodeInput,
    cpu: u64,
    memory: u64,
    disk: u64,
    /// Thousandths taken of each device.
    devices: Vec<u64>,
    ports: BTreeSet<(Protocol, u16)>,
    here: BTreeMap<&'a ServiceName, u32>,
}

/// Places one pod after the other.
pub fn schedule(problem: &PlacementProblem, scheduler: Scheduler) -> Placed {
    let mut yards: Vec<Yard<'_>> = problem.nodes.iter().map(yard).collect();
    yards.sort_by(|a, b| a.input.name.cmp(&b.input.name));
    let mut order: Vec<&ServiceInput> = problem.services.iter().collect();
    order.sort_by(|a, b| (b.priority, &a.name).cmp(&(a.priority, &b.name)));
    let mut placed = Placed { levels: Vec::new(), gpu_milli: 0 };
    for service in order {
        if placed.levels.last().is_none_or(|level| level.0 != service.priority) {
            placed.levels.push((service.priority, 0));
        }
        let admitted: Vec<usize> =
            (0..yards.len()).filter(|&n| admits(yards[n].input, service)).collect();
        for _ in 0..service.replicas {
            let Some(n) = choose(&yards, &admitted, service, scheduler) else {
                break;
            };
            take(&mut yards[n], service);
            if let Some(level) = placed.levels.last_mut() {
                level.1 += 1;
            }
        }
    }
    placed.gpu_milli = yards.iter().flat_map(|yard| &yard.devices).sum();
    placed
}

fn yard(input: &NodeInput) -> Yard<'_> {
    Yard {
        input,
        cpu: 0,
        memory: 0,
        disk: 0,
        devices: vec![0; input.gpus.len()],
        ports: input.reserved_ports.iter().copied().collect(),
        here: BTreeMap::new(),
    }
}

/// Whether the node's own nature admits the service.
pub fn admits(node: &NodeInput, service: &ServiceInput) -> bool {
    let holds = |line: &Require| {
        let is = |value: &str| line.any_of.iter().any(|wanted| wanted == value);
        match line.key {
            Key::Tag => node.tags.iter().any(|tag| is(tag)),
            Key::Zone => node.zone.as_deref().is_some_and(is),
            Key::Os => is(&node.os),
            Key::Arch => is(&node.arch),
            Key::GpuModel => node.gpus.iter().any(|gpu| is(&gpu.model)),
            Key::Node => is(node.name.as_str()),
            Key::Runtime => node.runtimes.iter().any(|runtime| is(runtime)),
        }
    };
    node.state == NodeState::Ready
        && service.require.iter().all(holds)
        && !service.forbid.iter().any(holds)
        && service.pin.as_ref().is_none_or(|pin| pin.node == node.name)
}

fn choose(
    yards: &[Yard<'_>],
    admitted: &[usize],
    service: &ServiceInput,
    scheduler: Scheduler,
) -> Option<usize> {
    let domains = domains(yards, admitted, service);
    let fits = |n: &&usize| {
        let yard = &yards[**n];
        has_room(yard, service) && neighbours(yard, service) && even(yard, service, &domains)
    };
    let score = |n: &usize| match scheduler {
        Scheduler::Kube => kube_score(&yards[*n], service),
        Scheduler::BestFit => -left_over(&yards[*n], service),
    };
    let mut best: Option<(f64, usize)> = None;
    for &n in admitted.iter().filter(fits) {
        let score = score(&n);
        if best.is_none_or(|(top, _)| score > top) {
            best = Some((score, n));
        }
    }
    best.map(|(_, n)| n)
}

fn has_room(yard: &Yard<'_>, service: &ServiceInput) -> bool {
    yard.cpu + service.cpu_milli <= yard.input.cpu_milli
        && yard.memory + service.memory <= yard.input.memory
        && yard.disk + service.disk <= yard.input.disk
        && device(yard, service).is_some()
}

/// The devices it would get: untouched ones, or the fullest that has room.
fn device(yard: &Yard<'_>, service: &ServiceInput) -> Option<Vec<usize>> {
    let untouched = || (0..yard.devices.len()).filter(|&d| yard.devices[d] == 0);
    match service.gpu {
        GpuRequest::None => Some(Vec::new()),
        GpuRequest::Whole(count) => {
            let list: Vec<usize> = untouched().take(count as usize).collect();
            (list.len() == count as usize).then_some(list)
        }
        GpuRequest::Share(_) | GpuRequest::Memory(_) => (0..yard.devices.len())
            .filter(|&d| yard.devices[d] + load(yard, service, d) <= 1000)
            .max_by_key(|&d| yard.devices[d])
            .map(|d| vec![d]),
    }
}

fn load(yard: &Yard<'_>, service: &ServiceInput, device: usize) -> u64 {
    match service.gpu {
        GpuRequest::None => 0,
        GpuRequest::Whole(_) => 1000,
        GpuRequest::Share(milli) => u64::from(milli),
        GpuRequest::Memory(bytes) => {
            (bytes.0 * 1000).div_ceil(yard.input.gpus[device].memory.max(1))
        }
    }
}

fn neighbours(yard: &Yard<'_>, service: &ServiceInput) -> bool {
    let count = yard.here.get(service.name.declared()).copied().unwrap_or(0);
    let apart = service.apart_from.contains(service.name.declared());
    let most = if apart { Some(1) } else { service.max_per_node };
    let others = || yard.here.keys().filter(|name| ***name != service.name);
    most.is_none_or(|most| count < most)
        && !service.host_ports.iter().any(|port| yard.ports.contains(port))
        && !others().any(|name| service.apart_from.contains(name))
        && service.near.iter().all(|name| yard.here.contains_key(name))
}

/// For each spread line the count in every domain.
fn domains(
    yards: &[Yard<'_>],
    admitted: &[usize],
    service: &ServiceInput,
) -> Vec<BTreeMap<String, u32>> {
    let lines = service.spread.iter();
    lines
        .map(|line| {
            let mut counts = BTreeMap::new();
            for &n in admitted {
                let here = yards[n].here.get(service.name.declared()).copied().unwrap_or(0);
                *counts.entry(domain(&yards[n], line.by)).or_insert(0) += here;
            }
            counts
        })
        .collect()
}

fn domain(yard: &Yard<'_>, by: SpreadBy) -> String {
    match by {
        SpreadBy::Node => yard.input.name.to_string(),
        SpreadBy::Zone => yard.input.zone.clone().unwrap_or_default(),
    }
}

fn even(yard: &Yard<'_>, service: &ServiceInput, domains: &[BTreeMap<String, u32>]) -> bool {
    service.spread.iter().zip(domains).all(|(line, counts)| {
        let own = counts.get(&domain(yard, line.by)).copied().unwrap_or(0);
        let low = counts.values().copied().min().unwrap_or(0);
        own < low + line.max_skew
    })
}

fn take<'a>(yard: &mut Yard<'a>, service: &'a ServiceInput) {
    for d in device(yard, service).unwrap_or_default() {
        yard.devices[d] += load(yard, service, d);
    }
    yard.cpu += service.cpu_milli;
    yard.memory += service.memory;
    yard.disk += service.disk;
    yard.ports.extend(service.host_ports.iter().copied());
    *yard.here.entry(service.name.declared()).or_insert(0) += 1;
}

fn part(used: u64, more: u64, capacity: u64) -> f64 {
    (used + more) as f64 / capacity.max(1) as f64
}

fn kube_score(yard: &Yard<'_>, service: &ServiceInput) -> f64 {
    let cpu = part(yard.cpu, service.cpu_milli, yard.input.cpu_milli);
    let memory = part(yard.memory, service.memory, yard.input.memory);
    let least_allocated = 100.0 * ((1.0 - cpu) + (1.0 - memory)) / 2.0;
    // The standard deviation of two fractions is half their distance.
    let balanced = 100.0 * (1.0 - (cpu - memory).abs() / 2.0);
    least_allocated + balanced
}

fn left_over(yard: &Yard<'_>, service: &ServiceInput) -> f64 {
    let cpu = part(yard.cpu, service.cpu_milli, yard.input.cpu_milli);
    let memory = part(yard.memory, service.memory, yard.input.memory);
    let free: u64 = yard.devices.iter().map(|used| 1000 - used).sum();
    // A pod without a GPU leaves nodes with GPUs to others.
    let spared = if service.gpu == GpuRequest::None { yard.devices.len() as f64 } else { 0.0 };
    (1.0 - cpu) + (1.0 - memory) + free as f64 / 1000.0 + spared
}
