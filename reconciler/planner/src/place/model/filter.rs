//! What the nature of a node has against a service: conditions, pins, states, reserved ports.
//!
//! Knows one node and one service. Refuses to know what else runs there, or sizes.
//!
//! The index asks it once for each pair, and explanations ask it again for the words. `require
//! tag=ssd` rejects a node without that tag, however empty it is.

use std::collections::BTreeMap;

use devnet_schema::{instance::Protocol, quantity::GpuRequest};

use super::node::Node;
use crate::place::{
    ix::{NodeIx, PerNode},
    problem::{DeviceNeed, GpuInput, Key, NodeInput, NodeState, Pin, Require, ServiceInput},
};

/// One thing that keeps a service off a node for good.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rejection<'a> {
    /// A `require` that the node does not meet.
    Required(&'a Require),
    /// None of its devices is large enough.
    Device(&'a DeviceNeed),
    /// A `forbid` that it meets.
    Forbidden(&'a Require),
    /// It is pinned elsewhere.
    Pinned(&'a Pin),
    /// The node takes no new instances, or keeps none.
    State(NodeState),
    /// Something outside the cluster holds the port.
    Port(Protocol, u16),
    /// None of it may come there, and why.
    Closed(&'a str),
}

/// Of which nodes each condition of a problem holds: services share most of theirs, and names are
/// slow to compare.
pub(crate) struct Conditions<'a> {
    of: BTreeMap<(Key, &'a [String]), PerNode<bool>>,
}

/// The conditions of one service.
pub(crate) struct Lines<'a, 'c>(Vec<(&'a Require, &'c PerNode<bool>)>);

impl<'a> Conditions<'a> {
    pub(crate) fn new(services: &[&'a ServiceInput], nodes: &PerNode<Node<'_>>) -> Self {
        let mut of = BTreeMap::new();
        for line in services.iter().flat_map(|service| lines(service)) {
            of.entry((line.key, &line.any_of[..]))
                .or_insert_with(|| nodes.iter().map(|node| holds(line, node.input)).collect());
        }
        Self { of }
    }

    pub(crate) fn of(&self, service: &'a ServiceInput) -> Lines<'a, '_> {
        let known = |line: &'a Require| Some((line, self.of.get(&(line.key, &line.any_of[..]))?));
        Lines(lines(service).filter_map(known).collect())
    }
}

impl Lines<'_, '_> {
    /// Whether a condition of the service holds of the node of that number.
    pub(crate) fn hold(&self, line: &Require, node: NodeIx) -> bool {
        self.0.iter().any(|(known, nodes)| std::ptr::eq(*known, line) && nodes[node])
    }
}

fn lines(service: &ServiceInput) -> impl Iterator<Item = &Require> {
    let prefer = service.prefer.iter().map(|wish| &wish.condition);
    service.require.iter().chain(&service.forbid).chain(prefer)
}

/// Everything that keeps the service off the node, where `here` instances of it run now.
pub(crate) fn each<'a>(
    service: &'a ServiceInput,
    node: &Node<'_>,
    here: u32,
    tell: &mut dyn FnMut(Rejection<'a>),
) {
    each_where(&|line| holds(line, node.input), service, node, here, tell);
}

/// The same, where it is known of which conditions of the service hold.
pub(crate) fn each_where<'a>(
    holds: &dyn Fn(&Require) -> bool,
    service: &'a ServiceInput,
    node: &Node<'_>,
    here: u32,
    tell: &mut dyn FnMut(Rejection<'a>),
) {
    for line in &service.require {
        if !holds(line) {
            tell(Rejection::Required(line));
        }
    }
    if let Some(need) = service.device.as_ref().filter(|_| wants_gpu(service))
        && !node.input.gpus.iter().any(|gpu| gpu.memory >= need.memory)
    {
        tell(Rejection::Device(need));
    }
    let no_device_left = wants_gpu(service) && allowed_devices(service, node) == 0;
    for line in &service.forbid {
        let device = line.key == Key::GpuModel && wants_gpu(service);
        if holds(line) && (!device || no_device_left) {
            tell(Rejection::Forbidden(line));
        }
    }
    if let Some(pin) = service.pin.as_ref().filter(|pin| pin.node != node.input.name) {
        tell(Rejection::Pinned(pin));
    }
    let shut = service.closed.get(&node.input.name);
    let stays = !service.movable && shut.is_none() || service.name.is_retained();
    if let Some(why) = shut.filter(|_| here == 0) {
        tell(Rejection::Closed(why));
    }
    if closed(node.input.state, stays, here) {
        tell(Rejection::State(node.input.state));
    }
    for &(protocol, port) in &service.host_ports {
        if node.input.reserved_ports.contains(&(protocol, port)) {
            tell(Rejection::Port(protocol, port));
        }
    }
}

fn closed(state: NodeState, stays: bool, here: u32) -> bool {
    match state {
        NodeState::Ready => false,
        NodeState::Cordoned | NodeState::Offline => here == 0,
        // Data cannot follow, so an instance that has some stays even here, unless it may leave it;
        // and what is kept as it is has nowhere to go.
        NodeState::Draining | NodeState::Lost => !stays || here == 0,
    }
}

fn wants_gpu(service: &ServiceInput) -> bool {
    !matches!(service.gpu, GpuRequest::None | GpuRequest::Whole(0))
}

/// Whether the condition holds of the node.
pub(crate) fn holds(line: &Require, node: &NodeInput) -> bool {
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
}

/// Why a node is none for the service, whatever runs on it and however much it has; nothing where
/// it is one.
pub fn nature(service: &ServiceInput, node: &NodeInput) -> Option<String> {
    let name = &node.name;
    let gpu = wants_gpu(service);
    let words = |line: &Require| format!("{} `{}`", line.key.word(), line.any_of.join("` or `"));
    let at = |line: &Require| line.at.as_ref().map_or(String::new(), |at| format!(" at {at}"));
    let of_device = |line: &&Require| !(gpu && line.key == Key::GpuModel);
    let mut required = service.require.iter().filter(|line| !holds(line, node));
    let mut forbidden = service.forbid.iter().filter(of_device).filter(|line| holds(line, node));
    let pinned = service.pin.as_ref().filter(|pin| pin.node != *name);
    if let Some(line) = required.next() {
        return Some(match line.key {
            Key::Runtime => format!("{name} has no {}", line.written),
            _ => format!("it requires {}{}", words(line), at(line)),
        });
    }
    if let Some(line) = forbidden.next() {
        return Some(format!("it forbids {}{}", words(line), at(line)));
    }
    if let Some(pin) = pinned {
        return Some(format!("it is pinned to {}", pin.node));
    }
    let device = !gpu || node.gpus.iter().any(|gpu| accepts(service, gpu));
    (!device).then(|| format!("{name} has no GPU that it could use"))
}

/// The devices whose model and size the service accepts, as bits in the order of device ids.
pub(crate) fn allowed_devices(service: &ServiceInput, node: &Node<'_>) -> u128 {
    let devices = node.devices.iter().enumerate();
    devices
        .filter(|&(_, &position)| accepts(service, &node.input.gpus[position]))
        .fold(0, |set, (bit, _)| set | 1 << bit)
}

/// Whether the service accepts a device of this model and size; what is kept as it is has its own.
pub(crate) fn accepts(service: &ServiceInput, gpu: &GpuInput) -> bool {
    if service.name.is_retained() {
        let mut own = service.current.values().flat_map(|current| &current.gpus);
        return own.any(|own| own.id == gpu.id);
    }
    let named = |line: &Require| line.any_of.contains(&gpu.model);
    let about = |line: &&Require| line.key == Key::GpuModel;
    service.device.as_ref().is_none_or(|need| gpu.memory >= need.memory)
        && service.require.iter().filter(about).all(named)
        && !service.forbid.iter().filter(about).any(named)
}

/// Whether a line of the service or the node's state is against it on a node where `here` run now.
pub(crate) fn refused<'a>(
    input: &'a ServiceInput,
    (node_ix, node): (NodeIx, &Node<'_>),
    here: u32,
    lines: &Lines<'a, '_>,
) -> bool {
    let mut refused = false;
    let hold = |line: &Require| lines.hold(line, node_ix);
    each_where(&hold, input, node, here, &mut |_| refused = true);
    refused
}
