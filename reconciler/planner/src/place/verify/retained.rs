//! What an instance that is retained has in place of what is declared.
//!
//! Knows what is known to run. Refuses to guess.
//!
//! It is held against what it had, and against none of the lines that it no longer meets.

use devnet_schema::quantity::{Bytes, GpuRequest};

use crate::place::problem::{NodeInput, ServiceInput};

/// What an instance that is kept as it is has in place of what is declared; nothing where it does
/// not run there, or is not known to.
pub(super) fn as_it_is(
    service: &ServiceInput,
    index: u32,
    node: Option<&NodeInput>,
) -> Option<ServiceInput> {
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
