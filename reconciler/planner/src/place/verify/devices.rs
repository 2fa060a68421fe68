//! The devices of one node.
//!
//! Knows loads in thousandths of a byte. Refuses to know cpu and memory.
//!
//! A whole device is nobody else’s, and shares and slices add up to no more than it has.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::quantity::GpuRequest;

use super::{
    admits::device_admitted,
    breach::{Breach, Placed, tell},
};
use crate::place::{
    outcome::Reason,
    problem::{Constraint, GpuInput, Key, NodeInput, PlacementProblem},
};

/// What of a device all those have in thousandths of a byte who are known to run there by slices.
fn ran_on(problem: &PlacementProblem, node: &NodeInput, gpu: &GpuInput) -> u128 {
    let (mut slices, mut shares) = (0, 0);
    for service in &problem.services {
        let known = service.existing();
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

pub(super) fn check_devices(
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
            tell(
                breaches,
                Constraint::Gpu,
                format!("{instance} has not the {wanted} GPUs it asks for"),
            );
        }
        for id in ids {
            let Some(gpu) = gpus.get(id) else {
                tell(breaches, Constraint::Gpu, format!("{instance} has GPU {id}, unknown"));
                continue;
            };
            if !device_admitted(service, gpu) {
                tell(
                    breaches,
                    Constraint::Condition(Key::GpuModel),
                    format!("{instance} may not have a {}", gpu.model),
                );
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
                tell(breaches, Constraint::Gpu, format!("GPU {id} of {} is overfull", node.name));
            }
            if whole {
                owner.insert(id);
            }
        }
    }
}
