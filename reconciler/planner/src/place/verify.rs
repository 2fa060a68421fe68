//! A second look at an outcome, apart from everything that found it.
//!
//! Knows the constraints by their definition, over names. Refuses to share a line with the solver:
//! a mistake there must not be a mistake here.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use devnet_schema::{
    name::{InstanceId, NodeName, ServiceName},
    quantity::{Bytes, GpuRequest},
};

use super::{
    outcome::{Assignment, Outcome, Reason},
    problem::{
        GpuInput, Holding, Key, NodeInput, NodeState, PlacementProblem, Require, ServiceInput,
        Spread, SpreadBy,
    },
};

/// A constraint that an outcome does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which, in the words of [`super::Violation`].
    pub constraint: &'static str,
    /// Whom it concerns and how, for people.
    pub text: String,
}

type Placed<'a> = Vec<(&'a InstanceId, &'a Assignment, Cow<'a, ServiceInput>)>;

/// Every constraint that the outcome does not keep; empty for a good one.
pub fn verify(problem: &PlacementProblem, outcome: &Outcome) -> Vec<Breach> {
    let mut breaches = breaches(problem, &outcome.assignments);
    check_totals(problem, outcome, &mut breaches);
    breaches
}

/// The same of instances on nodes, whatever is said of them.
pub fn breaches(
    problem: &PlacementProblem,
    assignments: &BTreeMap<InstanceId, Assignment>,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let services: BTreeMap<&ServiceName, &ServiceInput> =
        problem.services.iter().map(|service| (&service.name, service)).collect();
    let nodes: BTreeMap<&NodeName, &NodeInput> =
        problem.nodes.iter().map(|node| (&node.name, node)).collect();
    let mut on_node: BTreeMap<&NodeName, Placed<'_>> = BTreeMap::new();
    for (instance, place) in assignments {
        let Some(service) = services.get(&instance.service) else {
            tell(&mut breaches, "service", format!("{instance} is of no known service"));
            continue;
        };
        let mut service = Cow::Borrowed(*service);
        if place.reason == Reason::Retained {
            match as_it_is(&service, instance.index, nodes.get(&place.node).copied()) {
                Some(input) => service = Cow::Owned(input),
                None => tell(&mut breaches, "home", format!("{instance} does not run there")),
            }
        }
        if instance.index >= service.replicas {
            tell(&mut breaches, "replicas", format!("{instance} is not wanted"));
        }
        let Some(node) = nodes.get(&place.node) else {
            tell(&mut breaches, "node", format!("{instance} is on {}, unknown", place.node));
            continue;
        };
        check_filters(&service, node, instance, place, &mut breaches);
        on_node.entry(&node.name).or_default().push((instance, place, service));
    }
    // On a node that does not answer all is as it was, whatever is asked for by now.
    let answers =
        |name: &NodeName| !matches!(nodes[name].state, NodeState::Offline | NodeState::Lost);
    for (name, placed) in on_node.iter().filter(|(name, _)| answers(name)) {
        check_capacity(problem, nodes[name], placed, &mut breaches);
        check_devices(problem, nodes[name], placed, &mut breaches);
        check_neighbours(name, placed, &mut breaches);
    }
    for service in services.values() {
        check_spread(problem, service, &on_node, &mut breaches);
    }
    breaches
}

fn tell(breaches: &mut Vec<Breach>, constraint: &'static str, text: String) {
    breaches.push(Breach { constraint, text });
}

/// What an instance that is kept as it is has in place of what is declared; nothing where it does
/// not run there, or is not known to.
fn as_it_is(service: &ServiceInput, index: u32, node: Option<&NodeInput>) -> Option<ServiceInput> {
    let (holding, node) = (service.holdings.get(&index)?, node?);
    let current = service.current.get(&index).filter(|current| current.node == node.name)?;
    let size = |id: &str| node.gpus.iter().find(|gpu| gpu.id == id).map(|gpu| gpu.memory);
    let known = || current.gpus.iter().filter_map(|gpu| Some((gpu, size(&gpu.id)?)));
    let part = known().find(|(gpu, _)| gpu.share_milli < 1000 || gpu.memory.0 > 0);
    let gpu = match (part, known().count()) {
        (None, 0) => GpuRequest::None,
        (None, count) => GpuRequest::Whole(count as u32),
        (Some((gpu, size)), _) if gpu.memory.0 > 0 => {
            GpuRequest::Memory(Bytes(gpu.memory.0.min(size)))
        }
        (Some((gpu, _)), _) => GpuRequest::Share(gpu.share_milli),
    };
    Some(ServiceInput {
        cpu_milli: holding.cpu_milli,
        memory: holding.memory,
        disk: holding.disk,
        gpu,
        device: None,
        host_ports: holding.ports.clone(),
        require: Vec::new(),
        forbid: Vec::new(),
        pin: None,
        max_per_node: None,
        near: Vec::new(),
        ..service.clone()
    })
}

fn check_filters(
    service: &ServiceInput,
    node: &NodeInput,
    instance: &InstanceId,
    place: &Assignment,
    breaches: &mut Vec<Breach>,
) {
    let current = service.current.get(&instance.index).filter(|it| it.node == node.name);
    let was_here = current.is_some();
    // What runs on a node that is offline stays until that answers, and data is held.
    let held = current.is_some_and(|it| it.held);
    let waits = held || was_here && node.state == NodeState::Offline;
    if !waits && !filters_admit(service, node) {
        tell(breaches, "filter", format!("{instance} may not be on {}", node.name));
    }
    let kept = place.reason == Reason::Retained || service.name.lone_instance().is_some();
    if kept && service.current.get(&instance.index).is_none_or(|it| it.gpus != place.gpus) {
        tell(breaches, "gpu", format!("{instance} has other GPUs than it had"));
    }
    let open = match node.state {
        NodeState::Ready => true,
        NodeState::Cordoned | NodeState::Offline => was_here,
        NodeState::Draining | NodeState::Lost => {
            let data = !service.movable && !service.closed.contains_key(&node.name);
            held || was_here && (kept || data)
        }
    };
    if !was_here && service.closed.contains_key(&node.name) {
        tell(breaches, "closed", format!("{instance} may not come to {}", node.name));
    }
    if !open {
        tell(breaches, "state", format!("{instance} is on {}, which takes none", node.name));
    }
}

fn filters_admit(service: &ServiceInput, node: &NodeInput) -> bool {
    let gpu = asks_gpu(service);
    let bad = |line: &&Require| matches(line, node) && !(gpu && line.key == Key::GpuModel);
    service.require.iter().all(|line| matches(line, node))
        && !service.forbid.iter().any(|line| bad(&line))
        && service.pin.as_ref().is_none_or(|pin| pin.node == node.name)
        && !service.host_ports.iter().any(|port| node.reserved_ports.contains(port))
}

fn matches(line: &Require, node: &NodeInput) -> bool {
    let values: Vec<&str> = match line.key {
        Key::Tag => node.tags.iter().map(String::as_str).collect(),
        Key::Zone => node.zone.iter().map(String::as_str).collect(),
        Key::Os => vec![&node.os],
        Key::Arch => vec![&node.arch],
        Key::GpuModel => node.gpus.iter().map(|gpu| gpu.model.as_str()).collect(),
        Key::Node => vec![node.name.as_str()],
        Key::Runtime => node.runtimes.iter().map(String::as_str).collect(),
    };
    values.iter().any(|value| line.any_of.iter().any(|wanted| wanted == value))
}

fn asks_gpu(service: &ServiceInput) -> bool {
    !matches!(service.gpu, GpuRequest::None | GpuRequest::Whole(0))
}

/// One resource of what is asked for and of what runs.
#[derive(Clone, Copy)]
struct Amount {
    need: fn(&ServiceInput) -> u64,
    has: fn(&Holding) -> u64,
}

fn check_capacity(
    problem: &PlacementProblem,
    node: &NodeInput,
    placed: &Placed<'_>,
    breaches: &mut Vec<Breach>,
) {
    let amounts: [(_, _, Amount); 3] = [
        ("cpu", node.cpu_milli, Amount { need: |it| it.cpu_milli, has: |it| it.cpu_milli }),
        ("memory", node.memory, Amount { need: |it| it.memory, has: |it| it.memory }),
        ("disk", node.disk, Amount { need: |it| it.disk, has: |it| it.disk }),
    ];
    for (word, capacity, amount) in amounts {
        let capacity = u128::from(capacity);
        let used = placed.iter().map(|(_, _, it)| u128::from((amount.need)(it))).sum::<u128>();
        if used > capacity && !as_before(problem, node, placed, (capacity, amount)) {
            tell(breaches, word, format!("{} has {capacity} of {word}, {used} used", node.name));
        }
    }
}

/// More than the node has is in order only of what ran there. What is placed as it is declared has
/// its room beside the data that stays, unless a line is against that data; and all of it is no
/// more than what ran there.
fn as_before(
    problem: &PlacementProblem,
    node: &NodeInput,
    placed: &Placed<'_>,
    (capacity, Amount { need, has }): (u128, Amount),
) -> bool {
    let (mut ran, mut data) = (0, 0);
    let here: BTreeSet<&InstanceId> = placed.iter().map(|(id, _, _)| *id).collect();
    let mut held: BTreeSet<&ServiceName> = BTreeSet::new();
    for service in &problem.services {
        let keeps = || service.current.values().any(|it| it.held && it.node == node.name);
        let stays = !service.movable && (filters_admit(service, node) || keeps());
        held.extend(stays.then_some(&service.name));
        for (index, current) in service.current.range(..service.replicas) {
            let holding = service.holdings.get(index).filter(|_| current.node == node.name);
            // What is held and does not run comes back to where its data is, like what runs there.
            let back = current.held && current.node == node.name;
            let needs = if back { u128::from(need(service)) } else { 0 };
            let has = holding.map_or(needs, |it| u128::from(has(it)));
            ran += has;
            let id = InstanceId { service: service.name.clone(), index: *index };
            data += if stays && here.contains(&id) { has } else { 0 };
        }
    }
    let counts = |place: &Assignment, it: &ServiceInput| {
        place.reason != Reason::Retained || held.contains(&it.name)
    };
    let sum = |counted: bool| -> u128 {
        let all = placed.iter().filter(|(_, place, it)| !counted || counts(place, it));
        all.map(|(_, _, it)| u128::from(need(it))).sum()
    };
    sum(true) <= capacity.max(data) && sum(false) <= capacity.max(ran)
}

/// What of a device all those have in thousandths of a byte who are known to run there by slices.
fn ran_on(problem: &PlacementProblem, node: &NodeInput, gpu: &GpuInput) -> u128 {
    let (mut slices, mut shares) = (0, 0);
    for service in &problem.services {
        let known = service.current.range(..service.replicas);
        let known = known.filter(|(index, _)| service.holdings.contains_key(index));
        let here = known.filter(|(_, current)| current.node == node.name);
        for own in here.flat_map(|(_, it)| &it.gpus).filter(|own| own.id == gpu.id) {
            match own.memory.0 {
                0 => shares += u128::from(own.share_milli),
                slice => slices += u128::from(slice) * 1000,
            }
        }
    }
    if slices == 0 { 0 } else { slices + shares * u128::from(gpu.memory) + 1000 * shares }
}

fn check_devices(
    problem: &PlacementProblem,
    node: &NodeInput,
    placed: &Placed<'_>,
    breaches: &mut Vec<Breach>,
) {
    let gpus: BTreeMap<&str, &GpuInput> =
        node.gpus.iter().map(|gpu| (gpu.id.as_str(), gpu)).collect();
    // In thousandths of a byte, so that shares add up exactly.
    let mut load: BTreeMap<&str, u128> = BTreeMap::new();
    let mut owner: BTreeSet<&str> = BTreeSet::new();
    for (instance, place, service) in placed {
        // A device that its node reports no more is nobody else's.
        let kept = place.reason == Reason::Retained;
        let known = place.gpus.iter().map(|gpu| gpu.id.as_str());
        let list: Vec<&str> = known.filter(|id| !kept || gpus.contains_key(id)).collect();
        let ids: BTreeSet<&str> = list.iter().copied().collect();
        let wanted = match service.gpu {
            GpuRequest::None => 0,
            GpuRequest::Whole(count) => count as usize,
            GpuRequest::Share(_) | GpuRequest::Memory(_) => 1,
        };
        if ids.len() != wanted || list.len() != wanted {
            tell(breaches, "gpu", format!("{instance} has not the {wanted} GPUs it asks for"));
        }
        for id in ids {
            let Some(gpu) = gpus.get(id) else {
                tell(breaches, "gpu", format!("{instance} has GPU {id}, unknown"));
                continue;
            };
            if !device_admitted(service, gpu) {
                tell(breaches, "gpu-model", format!("{instance} may not have a {}", gpu.model));
            }
            let size = u128::from(gpu.memory.max(1)) * 1000;
            *load.entry(id).or_insert(0) += match service.gpu {
                GpuRequest::None => 0,
                GpuRequest::Whole(_) => size,
                GpuRequest::Share(milli) => u128::from(gpu.memory.max(1)) * u128::from(milli),
                GpuRequest::Memory(bytes) => u128::from(bytes.0) * 1000,
            };
            let whole = matches!(service.gpu, GpuRequest::Whole(_));
            let over = load[id] > size && load[id] > ran_on(problem, node, gpu);
            if over || owner.contains(id) {
                tell(breaches, "gpu", format!("GPU {id} of {} is overfull", node.name));
            }
            if whole {
                owner.insert(id);
            }
        }
    }
}

fn device_admitted(service: &ServiceInput, gpu: &GpuInput) -> bool {
    let about = |line: &&Require| line.key == Key::GpuModel;
    let named = |line: &Require| line.any_of.contains(&gpu.model);
    service.device.as_ref().is_none_or(|need| need.memory <= gpu.memory)
        && service.require.iter().filter(about).all(named)
        && !service.forbid.iter().filter(about).any(named)
}

fn check_neighbours(node: &NodeName, placed: &Placed<'_>, breaches: &mut Vec<Breach>) {
    let mut counts: BTreeMap<ServiceName, u32> = BTreeMap::new();
    let mut kept: BTreeSet<ServiceName> = BTreeSet::new();
    let mut ports = BTreeSet::new();
    let is_kept = |place: &Assignment, service: &ServiceInput| {
        place.reason == Reason::Retained || service.name.lone_instance().is_some()
    };
    for (instance, place, service) in placed {
        match is_kept(place, service) {
            true => drop(kept.insert(service.name.declared())),
            false => *counts.entry(service.name.clone()).or_insert(0) += 1,
        }
        for port in &service.host_ports {
            if !ports.insert(port) {
                tell(breaches, "port", format!("{instance}: port {} is taken", port.1));
            }
        }
    }
    let ran = |name: &ServiceName| {
        let mut own = placed.iter().filter(|(_, _, it)| it.name == *name);
        own.any(|(_, _, it)| it.current.range(..it.replicas).any(|(_, it)| it.node == *node))
    };
    for (_, place, service) in placed {
        let here = counts.get(&service.name).copied().unwrap_or(0);
        if service.max_per_node.is_some_and(|most| here > most) {
            tell(breaches, "max-per-node", format!("{here} of {} on {node}", service.name));
        }
        for other in &service.apart_from {
            let own = *other == service.name.declared();
            let count = counts.get(other).copied().unwrap_or(0);
            // What runs as it is may be beside those that run there, too.
            let (wrong, whose) = match is_kept(place, service) {
                true => (!own && count > 0, other),
                false => (!own && kept.contains(other), &service.name),
            };
            let both = !is_kept(place, service) && count > u32::from(own);
            if both || wrong && !ran(whose) {
                tell(breaches, "apart-from", format!("{} and {other} on {node}", service.name));
            }
        }
        let there = |other: &&ServiceName| counts.contains_key(*other) || kept.contains(*other);
        for other in service.near.iter().filter(|other| !there(other)) {
            tell(breaches, "near", format!("{} on {node} without {other}", service.name));
        }
    }
}

fn check_spread(
    problem: &PlacementProblem,
    service: &ServiceInput,
    on_node: &BTreeMap<&NodeName, Placed<'_>>,
    breaches: &mut Vec<Breach>,
) {
    for line in &service.spread {
        let mut open: BTreeMap<String, u32> = BTreeMap::new();
        let mut all: BTreeMap<String, u32> = BTreeMap::new();
        for node in &problem.nodes {
            let placed = on_node.get(&node.name).into_iter().flatten();
            let own = placed
                .filter(|(_, place, s)| s.name == service.name && place.reason != Reason::Retained);
            let here = own.count() as u32;
            let domain = domain(line, node);
            if node.state == NodeState::Ready && could_run(problem, service, node) {
                *open.entry(domain.clone()).or_insert(0) += 0;
            }
            *all.entry(domain).or_insert(0) += here;
        }
        let low = open.keys().map(|domain| all[domain]).min();
        let high = all.values().copied().max().unwrap_or(0);
        if low.is_some_and(|low| high > low + line.max_skew) {
            tell(breaches, "spread", format!("{} is spread unevenly", service.name));
        }
    }
}

fn domain(line: &Spread, node: &NodeInput) -> String {
    match line.by {
        SpreadBy::Node => node.name.to_string(),
        SpreadBy::Zone => node.zone.as_ref().map_or(String::new(), |zone| format!("={zone}")),
    }
}

/// Whether one instance could run on the node if it were empty.
fn could_run(problem: &PlacementProblem, service: &ServiceInput, node: &NodeInput) -> bool {
    let usable: Vec<&GpuInput> =
        node.gpus.iter().filter(|gpu| device_admitted(service, gpu)).collect();
    let gpu = match service.gpu {
        GpuRequest::None => true,
        GpuRequest::Whole(count) => usable.len() >= count as usize,
        GpuRequest::Share(milli) => milli <= 1000 && !usable.is_empty(),
        GpuRequest::Memory(bytes) => usable.iter().any(|gpu| gpu.memory.max(1) >= bytes.0),
    };
    let known = |name: &ServiceName| problem.services.iter().any(|s| s.name == *name);
    let ran = || service.current.values().any(|it| it.node == node.name);
    filters_admit(service, node)
        && (!service.closed.contains_key(&node.name) || ran())
        && gpu
        && service.near.iter().all(known)
        && service.max_per_node != Some(0)
        && service.cpu_milli <= node.cpu_milli
        && service.memory <= node.memory
        && service.disk <= node.disk
}

/// What the outcome says of itself must be so.
fn check_totals(problem: &PlacementProblem, outcome: &Outcome, breaches: &mut Vec<Breach>) {
    let mut placed: BTreeMap<&ServiceName, u32> = BTreeMap::new();
    let placed_at = |(_, place): &(&InstanceId, &Assignment)| place.reason != Reason::Retained;
    for (instance, _) in outcome.assignments.iter().filter(placed_at) {
        *placed.entry(&instance.service).or_insert(0) += 1;
    }
    for service in &problem.services {
        let here = placed.get(&service.name).copied().unwrap_or(0);
        let told = outcome.unplaced.iter().find(|u| u.service == service.name);
        if here + told.map_or(0, |u| u.unplaced) != service.replicas {
            tell(breaches, "total", format!("{}: {here} placed, wrongly told", service.name));
        }
    }
    for level in &outcome.levels {
        let of_level = problem.services.iter().filter(|s| s.priority == level.priority);
        let sum: u32 = of_level.filter_map(|s| placed.get(&s.name)).sum();
        if sum != level.placed || level.placed > level.bound {
            tell(breaches, "level", format!("priority {}: {sum} placed", level.priority));
        }
    }
}
