//! How the index is made from a problem.
//!
//! Knows eligibility: filters, sizes, states of nodes, what runs where now. Refuses to know what is
//! placed together with what.
//!
//! It is the only place where names become positions. A node where a filter rejects a service is no
//! candidate of it, unless data holds an instance there.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    instance::Protocol,
    name::{InstanceId, NodeName, ServiceName},
    quantity::GpuRequest,
};

use super::{
    filter::{self, Conditions, Lines, refused},
    gpu_claim::PreviousDevices,
    gpu_request,
    index::{IndexedProblem, Level},
    links::link,
    node::{Amounts, Node, number_nodes},
    overcommit,
    service::{Candidate, NOWHERE, Service, Spread, per_node},
};
use crate::place::{
    ix::{NodeIx, PerNode, PerService, Position, ServiceIx},
    problem::{Current, NodeState, PlacementProblem, ServiceInput, SpreadBy},
};

/// What one point of `prefer` weight is worth, in millionths of score: ten of them equal a node
/// that goes from idle to full.
const WISH: u64 = 100_000;

impl IndexedProblem<'_> {
    pub(crate) fn new(problem: &PlacementProblem) -> IndexedProblem<'_> {
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
        let mut services: PerService<Service<'_>> = inputs.iter().map(numbered).collect();
        link(&mut services);
        for (node_ix, node) in nodes.enumerate_mut().filter(|(_, node)| node.unreachable) {
            widen(node, node_ix, &services);
        }
        for &node_ix in services.iter().flat_map(|service| service.homes.keys()) {
            nodes[node_ix].has_previous_devices = true;
        }
        IndexedProblem { problem, nodes, services, levels }
    }
}

struct Names<'a> {
    nodes: BTreeMap<&'a NodeName, NodeIx>,
    /// Those that a file declares.
    services: BTreeMap<&'a ServiceName, ServiceIx>,
    ports: BTreeMap<(Protocol, u16), usize>,
}

impl<'a> Names<'a> {
    pub(super) fn new(nodes: &PerNode<Node<'a>>, services: &[&'a ServiceInput]) -> Self {
        let ports: BTreeSet<(Protocol, u16)> =
            services.iter().flat_map(|service| service.host_ports.iter().copied()).collect();
        Self {
            nodes: nodes.enumerate().map(|(i, node)| (&node.input.name, i)).collect(),
            services: services
                .iter()
                .enumerate()
                .filter(|(_, service)| !service.name.is_retained())
                .map(|(i, service)| (service.name.declared(), ServiceIx::at(i)))
                .collect(),
            ports: ports.into_iter().enumerate().map(|(i, port)| (port, i)).collect(),
        }
    }
}

/// All that runs on a node that does not answer has its room there, however much it asks for by
/// now.
fn widen(node: &mut Node<'_>, node_ix: NodeIx, services: &PerService<Service<'_>>) {
    for resource in 0..3 {
        let needs =
            services.iter().map(|it| it.need[resource].saturating_mul(it.ran_at(node_ix).into()));
        node.capacity[resource] = node.capacity[resource].max(needs.fold(0, u64::saturating_add));
    }
}

/// What one instance takes of its node: of one that is kept as it is on a node that has less by now
/// than all who run there, what is counted of it.
fn need(input: &ServiceInput, counted: &BTreeMap<InstanceId, Amounts>) -> Amounts {
    let retained = input.name.retained();
    retained.and_then(|id| counted.get(id).copied()).unwrap_or_else(|| input.amounts())
}

/// The other services of a list, as far as they are part of the problem.
fn others(input: &ServiceInput, list: &[ServiceName], names: &Names<'_>) -> Vec<ServiceIx> {
    let others = list.iter().filter(|name| input.name != **name);
    let known: BTreeSet<ServiceIx> =
        others.filter_map(|name| names.services.get(name).copied()).collect();
    known.into_iter().collect()
}

fn number_service<'a>(
    (input, need): (&'a ServiceInput, Amounts),
    nodes: &PerNode<Node<'a>>,
    levels: &[Level],
    names: &Names<'_>,
    conditions: &Conditions<'a>,
) -> Service<'a> {
    let ports: BTreeSet<usize> = input.host_ports.iter().map(|port| names.ports[port]).collect();
    let mut service = Service {
        input,
        level: levels.binary_search(&Level::of(input)).unwrap_or(0),
        need,
        ports: ports.into_iter().collect(),
        apart: others(input, &input.apart_from, names),
        near: others(input, &input.near, names),
        supports: Vec::new(),
        counterparts: Vec::new(),
        ran: BTreeMap::new(),
        known: BTreeMap::new(),
        locked: BTreeMap::new(),
        refused: BTreeSet::new(),
        candidates: Vec::new(),
        candidate_of: PerNode::filled(NOWHERE, nodes.len()),
        homes: BTreeMap::new(),
        spread: Vec::new(),
        gone: 0,
        migration_cost: input.move_cost.max(1),
    };
    let lines = conditions.of(input);
    let stranger = input.near.iter().any(|name| !names.services.contains_key(name));
    let mut here = PerNode::filled(0u32, nodes.len());
    let mut held = here.clone();
    for (index, current) in input.existing() {
        let Some(&node_ix) = names.nodes.get(&current.node) else {
            service.gone += 1;
            continue;
        };
        here[node_ix] += 1;
        held[node_ix] += u32::from(current.held);
        if input.holdings.contains_key(index) {
            *service.known.entry(node_ix).or_insert(0) += 1;
        }
    }
    let ran = here.enumerate().filter(|(_, count)| **count > 0);
    service.ran = ran.map(|(node_ix, &count)| (node_ix, count)).collect();
    for (node_ix, node) in nodes.enumerate() {
        let refused = stranger || refused(input, (node_ix, node), here[node_ix], &lines);
        // What runs on a node that is offline stays until that answers, and data is held.
        let waits = node.input.state == NodeState::Offline && here[node_ix] > 0;
        if refused && !waits && held[node_ix] == 0 {
            service.refused.extend((here[node_ix] > 0).then_some(node_ix));
            continue;
        }
        let against = refused && !waits;
        let stay = if against { held[node_ix] } else { here[node_ix] };
        if let Some(candidate) = candidate(&service, (node_ix, node), (stay, against), &lines) {
            // Whether one that is kept as it is must be there, its service tells.
            let held = !input.movable || node.input.state == NodeState::Offline;
            if held && candidate.current > 0 && !service.is_retained() {
                service.locked.insert(node_ix, candidate.current);
            }
            if candidate.current > 0 && service.wants_gpu() && !node.unreachable {
                service.homes.extend(homes(input, node, &candidate).map(|homes| (node_ix, homes)));
            }
            service.candidate_of[node_ix] = service.candidates.len() as u32;
            service.candidates.push(candidate);
        }
    }
    service.spread = spreads(&service, nodes);
    service
}

/// What of a service fits on an otherwise empty node that its filters admit, or that is held there.
fn candidate(
    service: &Service<'_>,
    (node_ix, node): (NodeIx, &Node<'_>),
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
        most = most.min(gpu_request::most(input.gpu, &node.memories, allowed));
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
    let missed = input.prefer.iter().filter(|p| !lines.hold(&p.condition, node_ix));
    Some(Candidate {
        node: node_ix,
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
    let here = input.existing().map(|(_, current)| current);
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

fn spreads(service: &Service<'_>, nodes: &PerNode<Node<'_>>) -> Vec<Spread> {
    let lines = service.input.spread.iter();
    lines
        .map(|line| {
            let domain: PerNode<usize> = match line.by {
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
