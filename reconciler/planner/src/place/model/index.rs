//! The problem with its names turned into numbers, and every pair of a service and a node that
//! could ever meet.
//!
//! Knows eligibility: filters, sizes, node states, what runs where now. Refuses to know what is
//! placed together with what.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use devnet_schema::{
    instance::Protocol,
    name::{InstanceId, NodeName, ServiceName},
    placement::GpuUse,
    quantity::GpuRequest,
};

use super::{
    filter::{self, Conditions, Lines},
    gpu_allocation::PreviousDevices,
    gpu_packing, overcommit,
};
use crate::place::problem::{
    Current, NodeInput, NodeState, PlacementProblem, Require, ServiceInput, SpreadBy,
};

/// cpu in thousandths of a core, memory and disk in bytes.
pub type Amounts = [u64; 3];

/// The problem, sorted and numbered. Numbers follow the order of names, so that the order of the
/// input has no effect on anything.
pub struct IndexedProblem<'a> {
    pub problem: &'a PlacementProblem,
    pub nodes: Vec<Node<'a>>,
    pub services: Vec<Service<'a>>,
    /// In the order in which they are filled.
    pub levels: Vec<Level>,
}

/// What is placed before what: the higher priority first, and of one priority last what is kept as
/// it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level {
    pub priority: Reverse<u8>,
    /// Whether it is of those that are kept as they are ([`crate::place::search::retention`]).
    pub kept: bool,
}

impl Level {
    fn of(input: &ServiceInput) -> Self {
        let kept = input.name.lone_instance().is_some();
        Self { priority: Reverse(input.priority), kept }
    }
}

/// A node by number.
pub struct Node<'a> {
    pub input: &'a NodeInput,
    /// What can be counted as used of it; more than it has where what runs there must stay.
    pub capacity: Amounts,
    /// Whether it has less for services than what is known to run there has.
    pub overfull: bool,
    /// Memory of each device, in the order of device ids.
    pub memories: Vec<u64>,
    /// Positions in `input.gpus`, by device id.
    pub devices: Vec<usize>,
    /// Whether an instance that could stay has some of its devices now.
    pub has_previous_devices: bool,
    /// Whether it does not answer: what ran there may run on or wait for it, as it was, so nothing
    /// of it is in anything's way there.
    pub unreachable: bool,
    pub zone: usize,
}

/// A service by number.
pub struct Service<'a> {
    pub input: &'a ServiceInput,
    /// Position in [`IndexedProblem::levels`].
    pub level: usize,
    pub need: Amounts,
    /// Host ports, by number.
    pub ports: Vec<usize>,
    /// Services never on the same node, both ways.
    pub apart: Vec<usize>,
    /// Services that must be on the same node.
    pub near: Vec<usize>,
    /// Services that must be where this one is.
    pub supports: Vec<usize>,
    /// What is kept as it is of the same service, and that service: together with them it has no
    /// more instances than that one wants.
    pub counterparts: Vec<usize>,
    /// By node, how many of it run there now.
    pub ran: BTreeMap<usize, u32>,
    /// By node, how many must stay there: as they are declared, or kept as they are where that is
    /// open to them ([`Service::kin`]).
    pub locked: BTreeMap<usize, u32>,
    /// Where some run though a line or the node's state is against it.
    refused: BTreeSet<usize>,
    /// Where it may be, by node.
    pub candidates: Vec<Candidate>,
    /// Position in `candidates` of every node.
    candidate_of: Vec<u32>,
    /// By node, where an instance that could stay has devices.
    pub homes: BTreeMap<usize, PreviousDevices>,
    pub spread: Vec<Spread>,
    /// Instances whose node is not in the fleet any more.
    pub gone: u32,
    /// The price of a move; at least 1.
    pub migration_cost: u64,
}

/// A node where a service may be.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub node: usize,
    /// Instances that fit when nothing else is there; at least 1.
    pub most: u32,
    /// Instances there now that could stay.
    pub current: u32,
    /// Score of one instance here for wishes not met, in millionths.
    pub soft_cost: u64,
    /// Devices it may use.
    pub allowed: u128,
    /// Whether a line or the node's state is against it: only what is held there is there.
    pub against: bool,
}

/// One `spread` line.
pub struct Spread {
    pub skew: u32,
    /// The domain of every node.
    pub domain: Vec<usize>,
    /// Domains where the service may run at all: the emptiest of these counts.
    pub open: BTreeSet<usize>,
}

const NOWHERE: u32 = u32::MAX;

/// What one point of `prefer` weight is worth, in millionths of score: ten of them equal a node
/// that goes from idle to full.
const WISH: u64 = 100_000;

impl IndexedProblem<'_> {
    pub fn new(problem: &PlacementProblem) -> IndexedProblem<'_> {
        let mut nodes = number_nodes(problem);
        let mut inputs: Vec<&ServiceInput> = problem.services.iter().collect();
        inputs.sort_by(|a, b| a.name.cmp(&b.name));
        let levels: BTreeSet<Level> = inputs.iter().map(|input| Level::of(input)).collect();
        let levels: Vec<Level> = levels.into_iter().collect();
        let (names, conditions) = (Names::new(&nodes, &inputs), Conditions::new(&inputs, &nodes));
        let counted = overcommit::settle(problem, &mut nodes, &inputs, &names.nodes, &conditions);
        let numbered = |&input: &_| {
            let need = need(input, &counted);
            number_service((input, need), &nodes, &levels, &names, &conditions)
        };
        let mut services: Vec<Service<'_>> = inputs.iter().map(numbered).collect();
        link(&mut services);
        for (n, node) in nodes.iter_mut().enumerate().filter(|(_, node)| node.unreachable) {
            widen(node, n, &services);
        }
        for &n in services.iter().flat_map(|service| service.homes.keys()) {
            nodes[n].has_previous_devices = true;
        }
        IndexedProblem { problem, nodes, services, levels }
    }

    /// Replicas wanted at each level.
    pub fn wanted(&self) -> Vec<u32> {
        let mut wanted = vec![0; self.levels.len()];
        for service in &self.services {
            wanted[service.level] += service.input.replicas;
        }
        wanted
    }

    /// How many of a service and its [`Service::kin`] are wanted together.
    pub fn wanted_with_counterparts(&self, s: usize) -> u32 {
        let all = self.services[s].counterparts.iter().copied().chain([s]);
        all.map(|s| self.services[s].input.replicas).max().unwrap_or(0)
    }

    /// Whether so many of a service as it is declared, and so many of it that are kept, can be on
    /// one node: those that run there are one or the other.
    pub fn counterparts_agree(&self, s: usize, node: usize, declared: u32, kept: u32) -> bool {
        let ran = self.services[s].ran_at(node);
        declared == 0 || kept == 0 || declared + kept <= ran
    }

    /// Of what is kept as it is of a service, those that are at home on a node.
    pub fn retained_at(&self, s: usize, node: usize) -> impl Iterator<Item = usize> + '_ {
        let counterparts = self.services[s].counterparts.iter().copied();
        counterparts.filter(move |&t| {
            self.services[t].is_retained() && self.services[t].candidate(node).is_some()
        })
    }

    /// The service that is declared, of one that is kept as it is.
    pub fn declared(&self, s: usize) -> usize {
        let mut counterparts = self.services[s].counterparts.iter().copied().chain([s]);
        counterparts.find(|&t| !self.services[t].is_retained()).unwrap_or(s)
    }

    /// Whether an instance of a service takes devices of a node.
    pub fn takes_devices(&self, s: usize, node: usize) -> bool {
        self.services[s].wants_gpu() && !self.nodes[node].unreachable
    }

    /// Pairs of a service and a node that could meet.
    pub fn pairs(&self) -> usize {
        self.services.iter().map(|service| service.candidates.len()).sum()
    }

    /// Whether something holds room on a node that could take more and may not move because of its
    /// data.
    pub fn holds_data(&self) -> bool {
        let here = |(&n, &locked): (&usize, &u32)| locked > 0 && !self.nodes[n].unreachable;
        let mut data = self.services.iter().filter(|service| !service.input.movable);
        data.any(|service| service.locked.iter().any(here))
    }

    /// The price of the moves that no placement avoids.
    pub fn forced(&self) -> (u32, u64) {
        self.services.iter().enumerate().fold((0, 0), |(moves, migration_cost), (s, service)| {
            let all = service.running();
            let stay: u32 = service.candidates.iter().map(|c| c.current).sum();
            let gone = all - stay.min(all) + self.one_or_the_other(s);
            (moves + gone, migration_cost + u64::from(gone) * service.migration_cost)
        })
    }

    /// Of a service's instances and of those that may be kept as they are in their place, so many
    /// are not there, however it is placed.
    fn one_or_the_other(&self, s: usize) -> u32 {
        let service = &self.services[s];
        if service.is_retained() || service.counterparts.is_empty() {
            return 0;
        }
        let here = |(&n, &ran): (&usize, &u32)| {
            let declared = service.candidate(n).map_or(0, |candidate| candidate.current);
            (declared + self.retained_at(s, n).count() as u32).saturating_sub(ran)
        };
        service.ran.iter().map(here).sum()
    }
}

impl Node<'_> {
    /// The devices that an instance has here, as bits, where all of them are still there.
    pub fn positions(&self, current: &Current) -> Option<u128> {
        let position =
            |gpu: &GpuUse| self.devices.iter().position(|&d| self.input.gpus[d].id == gpu.id);
        current.gpus.iter().try_fold(0, |set, gpu| Some(set | 1 << position(gpu)?))
    }
}

impl Service<'_> {
    /// The candidate of a node, where the service may be there.
    pub fn candidate(&self, node: usize) -> Option<&Candidate> {
        match self.candidate_of[node] {
            NOWHERE => None,
            at => self.candidates.get(at as usize),
        }
    }

    /// Instances that run now and are still wanted.
    pub fn running(&self) -> u32 {
        self.input.current.range(..self.input.replicas).count() as u32
    }

    /// Lets every instance go where it likes, those with data too.
    pub fn unlock(&mut self) {
        self.locked.clear();
    }

    /// How many must stay on a node.
    pub fn locked_at(&self, node: usize) -> u32 {
        self.locked.get(&node).copied().unwrap_or(0)
    }

    /// How many run on a node.
    pub fn ran_at(&self, node: usize) -> u32 {
        self.ran.get(&node).copied().unwrap_or(0)
    }

    /// Nodes where some run and no line speaks against it, and how many.
    pub fn at_home(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let ran = self.ran.iter().map(|(&n, &ran)| (n, ran));
        ran.filter(|(n, _)| !self.refused.contains(n))
    }

    /// Data that runs where no line speaks against it, and is not held there.
    pub fn loose(&self) -> bool {
        !self.input.movable && self.at_home().any(|(n, ran)| self.locked_at(n) < ran)
    }

    /// Holds one more with data to a node where it runs and could be kept as it is: however few of
    /// them have room there as they are declared.
    fn hold_one_more(&mut self, node: usize) {
        if !self.input.movable && !self.refused.contains(&node) {
            let most = self.ran_at(node);
            let locked = self.locked.entry(node).or_insert(0);
            *locked = most.min(*locked + 1);
        }
    }

    /// Whether it is one running instance that is kept as it is
    /// ([`crate::place::search::retention`]).
    pub fn is_retained(&self) -> bool {
        self.input.name.lone_instance().is_some()
    }

    pub fn wants_gpu(&self) -> bool {
        !matches!(self.input.gpu, GpuRequest::None | GpuRequest::Whole(0))
    }
}

struct Names<'a> {
    nodes: BTreeMap<&'a NodeName, usize>,
    services: BTreeMap<&'a ServiceName, usize>,
    ports: BTreeMap<(Protocol, u16), usize>,
}

impl<'a> Names<'a> {
    fn new(nodes: &[Node<'a>], services: &[&'a ServiceInput]) -> Self {
        let ports: BTreeSet<(Protocol, u16)> =
            services.iter().flat_map(|s| s.host_ports.iter().copied()).collect();
        Self {
            nodes: nodes.iter().enumerate().map(|(i, n)| (&n.input.name, i)).collect(),
            services: services.iter().enumerate().map(|(i, s)| (&s.name, i)).collect(),
            ports: ports.into_iter().enumerate().map(|(i, port)| (port, i)).collect(),
        }
    }
}

fn number_nodes(problem: &PlacementProblem) -> Vec<Node<'_>> {
    let mut inputs: Vec<&NodeInput> = problem.nodes.iter().collect();
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    let zones: BTreeSet<&Option<String>> = inputs.iter().map(|n| &n.zone).collect();
    let zones: BTreeMap<_, _> = zones.into_iter().enumerate().map(|(i, z)| (z, i)).collect();
    inputs.into_iter().map(|input| number_node(input, zones[&input.zone])).collect()
}

fn number_node(input: &NodeInput, zone: usize) -> Node<'_> {
    let mut devices: Vec<usize> = (0..input.gpus.len()).collect();
    devices.sort_by(|&a, &b| input.gpus[a].id.cmp(&input.gpus[b].id));
    devices.truncate(gpu_packing::DEVICES);
    Node {
        input,
        capacity: input.amounts(),
        overfull: false,
        memories: devices.iter().map(|&d| input.gpus[d].memory).collect(),
        devices,
        has_previous_devices: false,
        unreachable: matches!(input.state, NodeState::Offline | NodeState::Lost),
        zone,
    }
}

/// All that runs on a node that does not answer has its room there, however much it asks for by
/// now.
fn widen(node: &mut Node<'_>, n: usize, services: &[Service<'_>]) {
    for r in 0..3 {
        let needs = services.iter().map(|it| it.need[r].saturating_mul(it.ran_at(n).into()));
        node.capacity[r] = node.capacity[r].max(needs.fold(0, u64::saturating_add));
    }
}

/// Whether a line of the service or the node's state is against it on a node where `here` run now.
pub fn refused<'a>(
    input: &'a ServiceInput,
    (n, node): (usize, &Node<'_>),
    here: u32,
    lines: &Lines<'a, '_>,
) -> bool {
    let mut refused = false;
    let hold = |line: &Require| lines.hold(line, n);
    filter::each_where(&hold, input, node, here, &mut |_| refused = true);
    refused
}

/// What one instance takes of its node: of one that is kept as it is on a node that has less by now
/// than all who run there, what is counted of it.
fn need(input: &ServiceInput, counted: &BTreeMap<InstanceId, Amounts>) -> Amounts {
    let kept = input.name.lone_instance();
    kept.and_then(|id| counted.get(&id).copied()).unwrap_or_else(|| input.amounts())
}

fn number_service<'a>(
    (input, need): (&'a ServiceInput, Amounts),
    nodes: &[Node<'a>],
    levels: &[Level],
    names: &Names<'_>,
    conditions: &Conditions<'a>,
) -> Service<'a> {
    let number = |list: &[ServiceName]| -> Vec<usize> {
        let known: BTreeSet<usize> =
            list.iter().filter_map(|name| names.services.get(name).copied()).collect();
        known.into_iter().filter(|&s| names.services.get(&input.name) != Some(&s)).collect()
    };
    let ports: BTreeSet<usize> = input.host_ports.iter().map(|port| names.ports[port]).collect();
    let mut service = Service {
        input,
        level: levels.binary_search(&Level::of(input)).unwrap_or(0),
        need,
        ports: ports.into_iter().collect(),
        apart: number(&input.apart_from),
        near: number(&input.near),
        supports: Vec::new(),
        counterparts: Vec::new(),
        ran: BTreeMap::new(),
        locked: BTreeMap::new(),
        refused: BTreeSet::new(),
        candidates: Vec::new(),
        candidate_of: vec![NOWHERE; nodes.len()],
        homes: BTreeMap::new(),
        spread: Vec::new(),
        gone: 0,
        migration_cost: input.move_cost.max(1),
    };
    let lines = conditions.of(input);
    let stranger = input.near.iter().any(|name| !names.services.contains_key(name));
    let (mut here, mut held) = (vec![0u32; nodes.len()], vec![0u32; nodes.len()]);
    for (_, current) in input.current.range(..input.replicas) {
        match names.nodes.get(&current.node) {
            Some(&n) => (here[n], held[n]) = (here[n] + 1, held[n] + u32::from(current.held)),
            None => service.gone += 1,
        }
    }
    service.ran = here.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect();
    for (n, node) in nodes.iter().enumerate() {
        let refused = stranger || refused(input, (n, node), here[n], &lines);
        // What runs on a node that is offline stays until that answers, and data is held.
        let waits = node.input.state == NodeState::Offline && here[n] > 0;
        if refused && !waits && held[n] == 0 {
            service.refused.extend((here[n] > 0).then_some(n));
            continue;
        }
        let against = refused && !waits;
        let stay = if against { held[n] } else { here[n] };
        if let Some(candidate) = candidate(&service, (n, node), (stay, against), &lines) {
            // Whether one that is kept as it is must be there, its service tells.
            let held = !input.movable || node.input.state == NodeState::Offline;
            if held && candidate.current > 0 && !service.is_retained() {
                service.locked.insert(n, candidate.current);
            }
            if candidate.current > 0 && service.wants_gpu() && !node.unreachable {
                service.homes.extend(homes(input, node, &candidate).map(|homes| (n, homes)));
            }
            service.candidate_of[n] = service.candidates.len() as u32;
            service.candidates.push(candidate);
        }
    }
    service.spread = spreads(&service, nodes);
    service
}

/// What of a service fits on an otherwise empty node that its filters admit, or that is held there.
fn candidate(
    service: &Service<'_>,
    (n, node): (usize, &Node<'_>),
    (here, against): (u32, bool),
    lines: &Lines<'_, '_>,
) -> Option<Candidate> {
    let input = service.input;
    let allowed = filter::allowed_devices(input, node);
    let full = node.input.state != NodeState::Ready || service.is_retained() || against;
    let full = full || input.closed.contains_key(&node.input.name);
    let mut most = u64::from(input.replicas);
    if !node.unreachable {
        for (need, capacity) in service.need.iter().zip(node.capacity) {
            most = most.min(capacity.checked_div(*need).unwrap_or(u64::MAX));
        }
        most = most.min(gpu_packing::most(input.gpu, &node.memories, allowed));
        most = most.min(per_node(input).map_or(u64::MAX, u64::from));
        if !service.ports.is_empty() {
            most = most.min(1);
        }
    }
    if full {
        most = most.min(u64::from(here));
    }
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    if most == 0 {
        return None;
    }
    let current = here.min(most);
    let missed = input.prefer.iter().filter(|p| !lines.hold(&p.condition, n));
    Some(Candidate {
        node: n,
        most,
        current,
        soft_cost: missed.map(|p| u64::from(p.weight) * WISH).sum(),
        allowed,
        against,
    })
}

/// Who has which devices of a node now, lowest index first.
fn homes(input: &ServiceInput, node: &Node<'_>, candidate: &Candidate) -> Option<PreviousDevices> {
    let wanted = match input.gpu {
        GpuRequest::None => 0,
        GpuRequest::Whole(count) => count,
        GpuRequest::Share(_) | GpuRequest::Memory(_) => 1,
    };
    let here = input.current.range(..input.replicas).map(|(_, current)| current);
    let here: Vec<&Current> = here.filter(|it| it.node == node.input.name).collect();
    let mut devices: Vec<u128> = here.iter().filter_map(|it| node.positions(it)).collect();
    devices.retain(|home| home & !candidate.allowed == 0 && home.count_ones() == wanted);
    let strangers = (here.len() - devices.len()) as u32;
    (!devices.is_empty()).then_some(PreviousDevices {
        devices,
        current: candidate.current,
        strangers,
    })
}

/// `max-per-node`, or 1 for a service that is apart from itself.
pub fn per_node(input: &ServiceInput) -> Option<u32> {
    if input.apart_from.contains(&input.name) { Some(1) } else { input.max_per_node }
}

fn spreads(service: &Service<'_>, nodes: &[Node<'_>]) -> Vec<Spread> {
    let lines = service.input.spread.iter();
    lines
        .map(|line| {
            let domain: Vec<usize> = match line.by {
                SpreadBy::Node => (0..nodes.len()).collect(),
                SpreadBy::Zone => nodes.iter().map(|node| node.zone).collect(),
            };
            let ready = |candidate: &&Candidate| {
                nodes[candidate.node].input.state == NodeState::Ready && !candidate.against
            };
            let open = service
                .candidates
                .iter()
                .filter(ready)
                .map(|candidate| domain[candidate.node])
                .collect();
            Spread { skew: line.max_skew, domain, open }
        })
        .collect()
}

/// Makes `apart` hold both ways and fills `supports`.
fn link(services: &mut [Service<'_>]) {
    let apart: Vec<(usize, usize)> = services
        .iter()
        .enumerate()
        .flat_map(|(s, v)| v.apart.iter().map(move |&t| (t, s)))
        .collect();
    for (t, s) in apart {
        if let Err(at) = services[t].apart.binary_search(&s) {
            services[t].apart.insert(at, s);
        }
    }
    let near: Vec<(usize, usize)> = services
        .iter()
        .enumerate()
        .flat_map(|(s, v)| v.near.iter().map(move |&t| (t, s)))
        .collect();
    for (t, s) in near {
        services[t].supports.push(s);
    }
    let lone = |(s, service): (usize, &Service<'_>)| {
        Some((service.input.name.lone_instance()?.service, s))
    };
    let mut counterparts: BTreeMap<ServiceName, Vec<usize>> = BTreeMap::new();
    for (name, s) in services.iter().enumerate().filter_map(lone) {
        counterparts.entry(name).or_default().push(s);
    }
    for (name, mut all) in counterparts {
        let own = services.iter().position(|it| it.input.name == name);
        let homes = all.iter().filter_map(|&s| Some(services[s].candidates.first()?.node));
        for n in homes.collect::<Vec<usize>>() {
            own.into_iter().for_each(|s| services[s].hold_one_more(n));
        }
        // Who stays apart from its service stays apart from what is kept of it.
        let apart = own.map_or(Vec::new(), |own| services[own].apart.clone());
        for (&kept, &other) in all.iter().flat_map(|s| apart.iter().map(move |t| (s, t))) {
            let declared = Some(other) != own && !services[other].is_retained();
            for (a, b) in [(kept, other), (other, kept)].into_iter().filter(|_| declared) {
                if let Err(at) = services[a].apart.binary_search(&b) {
                    services[a].apart.insert(at, b);
                }
            }
        }
        all.iter().for_each(|&kept| reconcile(services, kept));
        all.extend(own);
        for &s in &all {
            services[s].counterparts = all.iter().copied().filter(|&other| other != s).collect();
        }
    }
}

/// Lets what is kept as it is be beside those that it should stay apart from by now and that run
/// there, too.
fn reconcile(services: &mut [Service<'_>], kept: usize) {
    let Some(home) = services[kept].candidates.first().map(|candidate| candidate.node) else {
        return;
    };
    let beside = |t: &usize| !services[*t].is_retained() && services[*t].ran_at(home) > 0;
    let (beside, apart): (Vec<usize>, Vec<usize>) =
        services[kept].apart.iter().copied().partition(beside);
    services[kept].apart = apart;
    for other in beside {
        services[other].apart.retain(|&it| it != kept);
    }
}
