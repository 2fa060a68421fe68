//! Whether a node or a device may serve a service at all.
//!
//! Knows conditions, sizes and requests. Refuses to know what else is placed.
//!
//! Spread counts only domains where a service could run, so this is asked of empty nodes too.

use devnet_schema::{name::ServiceName, quantity::GpuRequest};

use crate::place::problem::{GpuInput, Key, NodeInput, PlacementProblem, Require, ServiceInput};

pub(super) fn filters_admit(service: &ServiceInput, node: &NodeInput) -> bool {
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

pub(super) fn device_admitted(service: &ServiceInput, gpu: &GpuInput) -> bool {
    let about = |line: &&Require| line.key == Key::GpuModel;
    let named = |line: &Require| line.any_of.contains(&gpu.model);
    service.device.as_ref().is_none_or(|need| need.memory <= gpu.memory)
        && service.require.iter().filter(about).all(named)
        && !service.forbid.iter().filter(about).any(named)
}

/// Whether one instance could run on the node if it were empty.
pub(super) fn could_run(
    problem: &PlacementProblem,
    service: &ServiceInput,
    node: &NodeInput,
) -> bool {
    let usable: Vec<&GpuInput> =
        node.gpus.iter().filter(|gpu| device_admitted(service, gpu)).collect();
    let gpu = match service.gpu {
        GpuRequest::None => true,
        GpuRequest::Whole(count) => usable.len() >= count as usize,
        GpuRequest::Share(milli) => milli <= 1000 && !usable.is_empty(),
        GpuRequest::Memory(bytes) => usable.iter().any(|gpu| gpu.memory.max(1) >= bytes.0),
    };
    let known =
        |name: &ServiceName| problem.services.iter().any(|service_ix| service_ix.name == *name);
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
