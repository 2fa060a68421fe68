//! From the desired state and the fleet to a placement problem.
//!
//! Knows what each part of the cluster file and of a node's facts means for placement. Refuses to
//! place anything.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    desired::{self, Capacity, Domain, NodePolicy, Selector, SelectorKey, Service},
    diagnostic::{Located, Location},
    fleet::{Gpu, Node, NodeStatus},
    instance::{Limits, Protocol, Runtime},
    name::{InstanceId, NodeName, ServiceName},
    quantity::{GpuRequest, Resources},
    replicas::Replicas,
};

use crate::{
    asis::{self, Beside, Besides},
    blocked::Blocked,
    hold::Holds,
    input::PlanInput,
    observations::Observations,
    observed::Observed,
    place::{
        Current, DeviceNeed, GpuInput, Holding, Key, NodeInput, NodeState, Pin, PlacementProblem,
        Places, PortLine, Prefer, Require, ServiceInput, Spread, SpreadBy,
    },
    ports::fixed,
    scope::Scope,
};

/// What moving an instance with data costs at least, in restarts. Only a constraint or a lost node
/// moves it at all; the price decides between two of them.
const DATA_MOVE: u64 = 100;

/// The highest price of a move: solvers still tell it from 1.
const DEAREST_MOVE: u64 = 10_000;

/// What moving one instance costs, in restarts: each GiB of its models that is downloaded anew, or
/// of the disk that is reserved for its data, counts as one more.
pub(crate) fn move_cost(service: &Service) -> u64 {
    let gib = |bytes: u64| bytes.div_ceil(1 << 30);
    let download: u64 = service.models.iter().map(|model| gib(model.needs.weights.0)).sum();
    let own = match service.volumes.is_empty() {
        true => 1,
        false => DATA_MOVE + gib(service.resources.disk.0),
    };
    (own + download).min(DEAREST_MOVE)
}

/// The placement problem of a plan. Services that wait are no part of it: their units stay where
/// they run and keep what they hold. What its data holds as it is counts as it is.
pub(crate) fn build(
    input: &PlanInput<'_>,
    observations: &Observations<'_>,
    scope: &Scope,
    (blocked, holds): (&Blocked, &Holds),
) -> PlacementProblem {
    let held = stays(input, observations, scope, (blocked, holds));
    let known =
        observations.nodes.values().map(|node| node_input(input, observations, node, &held));
    let mut nodes: Vec<NodeInput> = known.chain(gone(input, observations, holds)).collect();
    let models = models(&nodes);
    let mut besides = Besides::new();
    let services = input.desired.services.values();
    let services = services
        .filter(|service| !blocked.contains_key(&service.name))
        .map(|service| {
            let holdings = holdings(input, service, observations);
            let own =
                ServiceInput { holdings, ..service_input(service, observations, scope, &models) };
            if !scope.touches(&service.name) {
                return as_it_runs(own);
            }
            let mut own = own;
            let held = asis::of_service(holds, observations, service);
            let held = held.filter_map(|(id, unit)| {
                Some((id, unit, holding(input, service, observations, unit, true)?))
            });
            asis::enter(&mut own, &held.collect::<Vec<_>>(), &mut besides);
            own
        })
        .collect();
    for node in &mut nodes {
        besides.get(&node.name).into_iter().for_each(|beside| leave_room(node, beside));
    }
    PlacementProblem {
        objective: input.desired.settings.objective,
        limits: input.limits.clone(),
        leaving: BTreeSet::new(),
        services,
        nodes,
    }
}

/// The models of all devices.
pub(crate) fn models(nodes: &[NodeInput]) -> BTreeSet<String> {
    nodes.iter().flat_map(|node| node.gpus.iter().map(|gpu| gpu.model.clone())).collect()
}

fn leave_room(node: &mut NodeInput, beside: &Beside) {
    node.cpu_milli = node.cpu_milli.saturating_sub(beside.cpu_milli);
    node.memory = node.memory.saturating_sub(beside.memory);
    let mut ports: BTreeSet<(Protocol, u16)> = node.reserved_ports.drain(..).collect();
    ports.extend(&beside.ports);
    node.reserved_ports = ports.into_iter().collect();
}

/// What stays although it has no place: it is not declared, waits, is another copy of something
/// that nothing is decided about, or nobody ordered it there. It keeps its ports and its share of
/// the node.
fn stays<'a>(
    input: &PlanInput<'_>,
    observations: &Observations<'a>,
    scope: &Scope,
    (blocked, holds): (&Blocked, &Holds),
) -> BTreeMap<&'a NodeName, Vec<Observed<'a>>> {
    let mut held: BTreeMap<&NodeName, Vec<Observed<'a>>> = BTreeMap::new();
    for (id, observed) in observations.all() {
        let service = input.desired.services.get(&id.service);
        let wanted = service.is_some_and(|service| service.replicas.wants(id.index));
        let waits = blocked.contains_key(&id.service);
        let hold = holds.get(id).filter(|hold| hold.decides_nothing());
        let copy = hold.is_some_and(|hold| !hold.is(observed));
        if waits || copy || (!wanted && !scope.removes(input, observations, (id, observed))) {
            held.entry(observed.node()).or_default().push(*observed);
        }
    }
    for unit in observations.left_alone() {
        held.entry(unit.node()).or_default().push(*unit);
    }
    held
}

/// One node, less what stays there without a place.
pub(crate) fn node_input(
    input: &PlanInput<'_>,
    observations: &Observations<'_>,
    node: &Node,
    held: &BTreeMap<&NodeName, Vec<Observed<'_>>>,
) -> NodeInput {
    let policy = input.desired.nodes.get(&node.name);
    let reserve = policy.map_or(Resources::default(), |policy| policy.reserve);
    let specs = || held.get(&node.name).into_iter().flatten().filter_map(Observed::spec);
    let cpu = specs().map(|spec| spec.limits.cpu.milli).fold(0, u64::saturating_add);
    let memory = specs().map(|spec| spec.limits.memory.0).fold(0, u64::saturating_add);
    let used: BTreeSet<&str> =
        specs().flat_map(|spec| spec.gpus.iter().map(|gpu| gpu.id.as_str())).collect();
    let ports = specs().flat_map(|spec| spec.ports.iter().map(|port| (port.protocol, port.host)));
    let mut reserved: BTreeSet<(Protocol, u16)> = ports.collect();
    reserved.extend(observations.ports_outside(node));
    let [all_cpu, all_memory, all_disk] = whole(node, policy);
    NodeInput {
        name: node.name.clone(),
        tags: tags(node, policy),
        zone: policy.and_then(|policy| policy.zone.clone()).or_else(|| node.zone.clone()),
        os: node.facts.os.clone(),
        arch: node.facts.arch.clone(),
        runtimes: runtimes(node, observations),
        cpu_milli: all_cpu.saturating_sub(reserve.cpu.milli).saturating_sub(cpu),
        memory: all_memory.saturating_sub(reserve.memory.0).saturating_sub(memory),
        disk: all_disk.saturating_sub(reserve.disk.0),
        gpus: gpus(node, policy, &used),
        state: state(node, policy),
        reserved_ports: reserved.into_iter().collect(),
    }
}

/// Nodes that are not in the fleet and have the data of something that is wanted: it waits there,
/// as for one that is lost.
fn gone(input: &PlanInput<'_>, observations: &Observations<'_>, holds: &Holds) -> Vec<NodeInput> {
    let homes = observations.homes.iter().filter(|(id, _)| !holds.contains_key(id));
    let wanted = homes.filter(|(id, home)| {
        let service = input.desired.services.get(&id.service);
        let service = service.filter(|it| it.replicas.wants(id.index) && !it.volumes.is_empty());
        service.is_some_and(|service| !home.may_be_left(service))
    });
    let nodes: BTreeSet<&NodeName> = wanted.map(|(_, home)| home.node).collect();
    let gone = nodes.into_iter().filter(|node| !observations.nodes.contains_key(node));
    gone.map(|name| NodeInput {
        name: name.clone(),
        tags: Vec::new(),
        zone: None,
        os: String::new(),
        arch: String::new(),
        runtimes: Vec::new(),
        cpu_milli: 0,
        memory: 0,
        disk: 0,
        gpus: Vec::new(),
        state: NodeState::Lost,
        reserved_ports: Vec::new(),
    })
    .collect()
}

/// All that counts of what a machine is reported to have: cpu in thousandths of a core, memory and
/// disk in bytes.
fn whole(node: &Node, policy: Option<&NodePolicy>) -> [u64; 3] {
    let mib = |mib: u64| mib.saturating_mul(1 << 20);
    // Volumes and images live on one file system, so the largest is what there is; a sum over
    // several would promise room that no single one has.
    let disk = node.facts.disks.iter().map(|disk| disk.total_mb).max().unwrap_or(0);
    let reported =
        [u64::from(node.facts.cpu_count) * 1000, mib(node.facts.total_memory_mb), mib(disk)];
    let Some(NodePolicy { capacity, .. }) = policy else { return reported };
    let Capacity { cpu, memory, disk, gpus: _ } = capacity;
    let most = [cpu.map(|it| it.milli), memory.map(|it| it.0), disk.map(|it| it.0)];
    std::array::from_fn(|at| most[at].map_or(reported[at], |most| most.min(reported[at])))
}

/// Tags come from the cluster file and from an admin; never from the agent.
fn tags(node: &Node, policy: Option<&NodePolicy>) -> Vec<String> {
    let declared = policy.into_iter().flat_map(|policy| &policy.tags);
    let all: BTreeSet<&String> = declared.chain(&node.tags).collect();
    all.into_iter().cloned().collect()
}

fn gpus(node: &Node, policy: Option<&NodePolicy>, used: &BTreeSet<&str>) -> Vec<GpuInput> {
    let mut devices: Vec<&Gpu> = node.facts.gpus.iter().collect();
    if let Some(most) = policy.and_then(|policy| policy.capacity.gpus) {
        devices.sort_by_key(|gpu| gpu.id.as_str());
        devices.truncate(most as usize);
    }
    let free = devices.into_iter().filter(|gpu| !used.contains(gpu.id.as_str()));
    free.map(|gpu| GpuInput {
        id: gpu.id.clone(),
        model: gpu.model.clone(),
        memory: gpu.mem_mb.saturating_mul(1 << 20),
    })
    .collect()
}

fn state(node: &Node, policy: Option<&NodePolicy>) -> NodeState {
    match node.status {
        NodeStatus::Lost => NodeState::Lost,
        NodeStatus::Offline => NodeState::Offline,
        NodeStatus::Online if node.drained || policy.is_some_and(|policy| policy.drain) => {
            NodeState::Draining
        }
        NodeStatus::Online if node.cordoned || policy.is_some_and(|policy| policy.cordon) => {
            NodeState::Cordoned
        }
        NodeStatus::Online => NodeState::Ready,
    }
}

/// What the node can run. A driver that does not answer right now is still there for the instances
/// it holds: their state is unknown, and an engine that restarts must not scatter them.
fn runtimes(node: &Node, observations: &Observations<'_>) -> Vec<String> {
    let facts = &node.facts;
    let mut words: BTreeSet<String> = BTreeSet::new();
    if facts.docker.available {
        words.insert(Runtime::Docker.as_str().to_owned());
        words.extend(facts.docker.engine.clone());
    }
    if facts.process.available {
        words.insert(Runtime::Process.as_str().to_owned());
    }
    if facts.k8s.available {
        words.insert(Runtime::Kubernetes.as_str().to_owned());
    }
    let here = observations.all().filter(|(_, it)| *it.node() == node.name && !it.is_known());
    words.extend(here.filter_map(|(_, it)| {
        let of_spec = it.spec().map(|spec| spec.workload.runtime());
        of_spec.or(it.seen.runtime).map(|runtime| runtime.as_str().to_owned())
    }));
    words.into_iter().collect()
}

/// One service, as it is declared.
pub(crate) fn service_input(
    service: &Service,
    observations: &Observations<'_>,
    scope: &Scope,
    models: &BTreeSet<String>,
) -> ServiceInput {
    let place = &service.place;
    let stateful = !service.volumes.is_empty();
    let port_lines = host_ports(service);
    let selector = |line: &Located<Selector>| require(line, models);
    let mut required: Vec<Require> = place.require.iter().map(selector).collect();
    required.push(Require {
        key: Key::Runtime,
        any_of: vec![service.runtime.as_str().to_owned()],
        written: service.runtime.as_str().to_owned(),
        at: Some(service.at.to_string()),
    });
    let names = |list: &[Located<ServiceName>]| list.iter().map(|it| it.value.clone()).collect();
    ServiceInput {
        name: service.name.clone().into(),
        at: Some(service.at.to_string()),
        replicas: service.replicas.count(),
        numbers: match &service.replicas {
            Replicas::Count(_) => None,
            Replicas::PerNode(all) => Some(all.numbers.clone()),
        },
        priority: service.priority,
        cpu_milli: service.resources.cpu.milli,
        memory: service.resources.memory.0,
        disk: service.resources.disk.0,
        gpu: service.resources.gpu,
        device: holds_models(service),
        host_ports: port_lines.keys().copied().collect(),
        port_lines,
        require: required,
        forbid: place.forbid.iter().map(selector).collect(),
        prefer: place
            .prefer
            .iter()
            .map(|(line, weight)| Prefer { condition: require(line, models), weight: *weight })
            .collect(),
        pin: place.pin.as_ref().map(|pin| Pin { node: pin.value.clone(), at: at(&pin.at) }),
        spread: place.spread.iter().map(spread).collect(),
        max_per_node: match service.replicas {
            Replicas::Count(_) => place.max_per_node.as_ref().map(|most| most.value),
            Replicas::PerNode(_) => Some(1),
        },
        apart_from: names(&place.apart_from),
        near: names(&place.near),
        places: Places {
            max_per_node: place.max_per_node.as_ref().and_then(|most| at(&most.at)),
            apart_from: places(&place.apart_from),
            near: places(&place.near),
        },
        movable: !stateful && scope.touches(&service.name),
        closed: closed(service, observations),
        move_cost: move_cost(service),
        current: current(service, observations, scope.touches(&service.name)),
        holdings: BTreeMap::new(),
    }
}

/// A service that the plan does not touch: what runs of it has what it has, where it is, whatever
/// is declared by now, and nobody joins it.
fn as_it_runs(mut input: ServiceInput) -> ServiceInput {
    match &mut input.numbers {
        None => {
            let last = input.current.range(..input.replicas).next_back();
            input.replicas = last.map_or(0, |(index, _)| index + 1);
        }
        Some(numbers) => {
            numbers.retain(|index| input.current.contains_key(index));
            input.replicas = numbers.len() as u32;
        }
    }
    let known = input.holdings.iter().filter(|(index, _)| match &input.numbers {
        None => **index < input.replicas,
        Some(numbers) => numbers.contains(index),
    });
    let known: Vec<&Holding> = known.map(|(_, it)| it).collect();
    let most = |of: fn(&Holding) -> u64| known.iter().map(|it| of(it)).max();
    input.cpu_milli = most(|it| it.cpu_milli).unwrap_or(input.cpu_milli);
    input.memory = most(|it| it.memory).unwrap_or(input.memory);
    input.disk = most(|it| it.disk).unwrap_or(input.disk);
    input.require.retain(|line| line.key == Key::Runtime);
    input.forbid.clear();
    input.near.clear();
    input.spread.clear();
    input.closed.clear();
    (input.pin, input.max_per_node) = (None, None);
    let own = input.name.clone();
    input.apart_from.retain(|other| *other != own);
    input
}

/// Memory of a device that its driver keeps.
const DRIVER: u64 = 512 << 20;

/// The language models of a service need devices that hold them, a part of them in each where
/// several are asked for, in the share of one where that is asked for. A slice of memory was held
/// against the models when the file was read.
fn holds_models(service: &Service) -> Option<DeviceNeed> {
    let first = service.models.first()?;
    let sum = |sum: u64, model: &desired::Model| sum.saturating_add(model.needs.memory().0);
    let need = service.models.iter().fold(0, sum);
    let part = match service.resources.gpu {
        GpuRequest::Whole(count) if count > 0 => need.div_ceil(count.into()),
        GpuRequest::Share(milli) if milli > 0 => {
            let whole = (u128::from(need) * 1000).div_ceil(milli.into());
            u64::try_from(whole).unwrap_or(u64::MAX)
        }
        _ => return None,
    };
    let memory = part.saturating_add(DRIVER);
    Some(DeviceNeed { memory, what: first.name.value.clone(), at: at(&first.name.at) })
}

fn places(list: &[Located<ServiceName>]) -> BTreeMap<ServiceName, String> {
    list.iter().map(|it| (it.value.clone(), it.at.to_string())).collect()
}

fn at(location: &Location) -> Option<String> {
    Some(location.to_string())
}

/// Ports of the node that every instance takes, whatever node it is on, and what claims them.
fn host_ports(service: &Service) -> BTreeMap<(Protocol, u16), PortLine> {
    let of_process = service.runtime == Runtime::Process;
    let settled = service.ports.iter().filter_map(|port| {
        let number = fixed(service, &port.value)?;
        let written = match of_process {
            true => format!("port {number}"),
            false => format!("host={number}"),
        };
        let line = PortLine { written, of_process, at: at(&port.at) };
        Some(((port.value.protocol, number), line))
    });
    settled.collect()
}

fn require(line: &Located<Selector>, models: &BTreeSet<String>) -> Require {
    let key = match line.value.key {
        SelectorKey::Tag => Key::Tag,
        SelectorKey::Zone => Key::Zone,
        SelectorKey::Os => Key::Os,
        SelectorKey::Arch => Key::Arch,
        SelectorKey::GpuModel => Key::GpuModel,
        SelectorKey::Node => Key::Node,
    };
    let mut any_of = line.value.any_of.clone();
    let written = any_of.iter().map(|value| kdl_value(value)).collect::<Vec<_>>().join(" ");
    if key == Key::GpuModel {
        // "A100" means every model whose full name holds it, whatever the case.
        let wanted: Vec<String> = any_of.iter().map(|part| part.to_lowercase()).collect();
        let named = |model: &&String| {
            let model = model.to_lowercase();
            wanted.iter().any(|part| model.contains(part))
        };
        any_of.extend(models.iter().filter(named).cloned());
        any_of.dedup();
    }
    Require { key, any_of, written, at: at(&line.at) }
}

/// A value as a KDL file may hold it: in quotes where it is no plain word.
fn kdl_value(value: &str) -> String {
    let plain = value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if plain { value.to_owned() } else { format!("{value:?}") }
}

fn spread(line: &Located<desired::Spread>) -> Spread {
    let by = match line.value.by {
        Domain::Node => SpreadBy::Node,
        Domain::Zone => SpreadBy::Zone,
    };
    Spread { by, max_skew: line.value.max_skew, at: at(&line.at) }
}

/// Where each instance is, or its data where that is known: it is held there unless the service may
/// leave it. Of a service that the plan does not touch, only what was seen.
fn current(
    service: &Service,
    observations: &Observations<'_>,
    touched: bool,
) -> BTreeMap<u32, Current> {
    let at = |id: &InstanceId, node: &NodeName, held: bool| {
        let unit = observations.best(id).filter(|unit| unit.node() == node);
        let spec = unit.and_then(|unit| unit.spec());
        let gpus = spec.map_or(Vec::new(), |spec| spec.gpus.clone());
        (id.index, Current { node: node.clone(), gpus, held })
    };
    let own = of_service(&observations.observed, service);
    let seen = own.filter_map(|(id, group)| Some(at(id, group.first()?.node(), false)));
    let mut current: BTreeMap<u32, Current> = seen.collect();
    if touched && !service.volumes.is_empty() {
        let homes = of_service(&observations.homes, service)
            .filter(|(id, _)| service.replicas.wants(id.index));
        let homes =
            homes.map(|(id, home)| at(id, home.node, home.doubtful || !home.may_be_left(service)));
        current.extend(homes);
    }
    current
}

/// Nodes where none of the service may come to: what leaves its data there does not come back to it
/// by the same line, and what leaves one place goes to no older data, unless it is pinned to that.
fn closed(service: &Service, observations: &Observations<'_>) -> BTreeMap<NodeName, String> {
    let mut closed = BTreeMap::new();
    if service.leave_data.is_empty() || service.volumes.is_empty() {
        return closed;
    }
    let wanted = || {
        of_service(&observations.homes, service).filter(|(id, _)| service.replicas.wants(id.index))
    };
    for (id, home) in wanted() {
        let pinned =
            |node: &NodeName| service.place.pin.as_ref().is_some_and(|pin| pin.value == *node);
        for &node in home.older.iter().filter(|node| !pinned(node)) {
            if home.may_be_left(service) {
                closed.insert(node.clone(), format!("{node} has older data of {id}"));
            }
        }
    }
    // Where all of it is gone, nothing is left there by starting anew.
    let gone = |node: &NodeName| {
        let mut there = wanted().filter(|(_, home)| home.node == node).peekable();
        there.peek().is_some() && there.all(|(_, home)| !home.lost(service).is_empty())
    };
    for line in service.leave_data.iter().filter(|line| !gone(&line.value)) {
        let node = line.value.clone();
        let text = format!("leaves its data on {node} (`leave-data` at {})", line.at);
        closed.insert(node, text);
    }
    closed
}

/// Of a map by instance, those of a service.
fn of_service<'m, T>(
    map: &'m BTreeMap<InstanceId, T>,
    service: &'m Service,
) -> impl Iterator<Item = (&'m InstanceId, &'m T)> {
    let first = InstanceId { service: service.name.clone(), index: 0 };
    map.range(first..).take_while(|(id, _)| id.service == service.name)
}

/// What each instance that is known to run has of its node: its limits, but what is declared of it
/// by now where that is less or where it has no limit; never more than the machine has. Of what it
/// has no limit of, and is declared to use more of than there is, nothing: nobody knows how much.
/// None of whom it is not known which devices it has.
fn holdings(
    input: &PlanInput<'_>,
    service: &Service,
    observations: &Observations<'_>,
) -> BTreeMap<u32, Holding> {
    let own = of_service(&observations.observed, service);
    own.filter_map(|(id, group)| {
        let unit = group.first().filter(|unit| unit.is_known())?;
        if observations.home(service, id).is_some_and(|home| home.node != unit.node()) {
            return None;
        }
        Some((id.index, holding(input, service, observations, unit, false)?))
    })
    .collect()
}

/// What one of them has; all of it where it is not updated for now.
fn holding(
    input: &PlanInput<'_>,
    service: &Service,
    observations: &Observations<'_>,
    unit: &Observed<'_>,
    as_it_is: bool,
) -> Option<Holding> {
    let devices = !matches!(service.resources.gpu, GpuRequest::None | GpuRequest::Whole(0));
    if devices && unit.spec().is_none() && !as_it_is {
        return None;
    }
    let policy = input.desired.nodes.get(unit.node());
    let whole = whole(observations.nodes.get(unit.node())?, policy);
    let limits = unit.spec().map_or(Limits::default(), |spec| spec.limits);
    let declared = &service.resources;
    // It is updated where it is to what is declared, if that is no more than it has.
    let amounts = [(limits.cpu.milli, declared.cpu.milli), (limits.memory.0, declared.memory.0)];
    let grows = amounts.iter().any(|&(limit, declared)| 0 < limit && limit < declared);
    let has = |limit: u64, declared: u64, whole: u64| match limit {
        0 if declared > whole => 0,
        0 => declared,
        limit => whole.min(if grows || as_it_is { limit } else { declared }),
    };
    let ports = unit.spec().into_iter().flat_map(|spec| &spec.ports);
    Some(Holding {
        cpu_milli: has(limits.cpu.milli, declared.cpu.milli, whole[0]),
        memory: has(limits.memory.0, declared.memory.0, whole[1]),
        disk: has(0, declared.disk.0, whole[2]),
        ports: ports.map(|port| (port.protocol, port.host)).collect(),
    })
}
