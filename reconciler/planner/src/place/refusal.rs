//! What a node's own nature has against a service: filters, pins, states, reserved ports.
//!
//! Knows one node and one service. Refuses to know what else runs there, or sizes.

use devnet_schema::{instance::Protocol, quantity::GpuRequest};

use super::{
    field::Node,
    problem::{DeviceNeed, GpuInput, Key, NodeInput, NodeState, Pin, Require, ServiceInput},
};

/// One thing that keeps a service off a node for good.
#[derive(Debug, Clone, Copy)]
pub enum Refusal<'a> {
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
}

/// Whether anything keeps the service off the node, where `here` instances of it run now.
pub fn refused(service: &ServiceInput, node: &Node<'_>, here: u32) -> bool {
    let mut any = false;
    each(service, node, here, &mut |_| any = true);
    any
}

/// Everything that keeps the service off the node.
pub fn each<'a>(
    service: &'a ServiceInput,
    node: &Node<'_>,
    here: u32,
    tell: &mut dyn FnMut(Refusal<'a>),
) {
    for line in &service.require {
        if !holds(line, node.input) {
            tell(Refusal::Required(line));
        }
    }
    if let Some(need) = service.device.as_ref().filter(|_| wants_gpu(service))
        && !node.input.gpus.iter().any(|gpu| gpu.memory >= need.memory)
    {
        tell(Refusal::Device(need));
    }
    let no_device_left = wants_gpu(service) && allowed_devices(service, node) == 0;
    for line in &service.forbid {
        let device = line.key == Key::GpuModel && wants_gpu(service);
        if holds(line, node.input) && (!device || no_device_left) {
            tell(Refusal::Forbidden(line));
        }
    }
    if let Some(pin) = service.pin.as_ref().filter(|pin| pin.node != node.input.name) {
        tell(Refusal::Pinned(pin));
    }
    if closed(node.input.state, service.movable, here) {
        tell(Refusal::State(node.input.state));
    }
    for &(protocol, port) in &service.host_ports {
        if node.input.reserved_ports.contains(&(protocol, port)) {
            tell(Refusal::Port(protocol, port));
        }
    }
}

fn closed(state: NodeState, movable: bool, here: u32) -> bool {
    match state {
        NodeState::Ready => false,
        NodeState::Cordoned | NodeState::Away => here == 0,
        // Data cannot follow, so an instance that has some stays even here.
        NodeState::Draining | NodeState::Lost => movable || here == 0,
    }
}

fn wants_gpu(service: &ServiceInput) -> bool {
    !matches!(service.gpu, GpuRequest::None | GpuRequest::Whole(0))
}

/// Whether the condition holds of the node.
pub fn holds(line: &Require, node: &NodeInput) -> bool {
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

/// The devices whose model and size the service accepts, as bits in the order of device ids.
pub fn allowed_devices(service: &ServiceInput, node: &Node<'_>) -> u128 {
    let devices = node.devices.iter().enumerate();
    devices
        .filter(|&(_, &position)| accepts(service, &node.input.gpus[position]))
        .fold(0, |set, (bit, _)| set | 1 << bit)
}

/// Whether the service accepts a device of this model and size.
pub fn accepts(service: &ServiceInput, gpu: &GpuInput) -> bool {
    let named = |line: &Require| line.any_of.contains(&gpu.model);
    let about = |line: &&Require| line.key == Key::GpuModel;
    service.device.as_ref().is_none_or(|need| gpu.memory >= need.memory)
        && service.require.iter().filter(about).all(named)
        && !service.forbid.iter().filter(about).any(named)
}
