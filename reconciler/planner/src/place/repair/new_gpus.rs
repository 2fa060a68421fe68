//! Devices made for instances of a service.
//!
//! Knows how many, how large, and of which model. Refuses to know nodes.
//!
//! A device is as large as is asked for, else like those of its model that are there.

use std::collections::BTreeSet;

use devnet_schema::quantity::GpuRequest;

use super::crew::{Crew, first};
use crate::place::{
    ix::{Position, ServiceIx},
    model::{gpu_request, index::IndexedProblem},
    problem::{GpuInput, Key, Require, ServiceInput},
};

pub(crate) const GIB: u64 = 1 << 30;

/// A device of a fleet that has none, where any size will do.
const USUAL: u64 = 24 * GIB;

/// The GPUs that so many instances need.
#[derive(Clone)]
pub(crate) struct Devices<'a> {
    pub(super) count: usize,
    /// Bytes that each must have; nothing where any size will do.
    pub(super) least: Option<u64>,
    /// The model, where the service names some.
    pub(super) model: Option<&'a str>,
    /// The models that it forbids, where it names none that it wants.
    pub(super) other_than: Vec<&'a str>,
}

/// The GPUs of such a node, of one model where one is named; nothing where no node could have them.
pub(crate) fn all_devices<'a>(
    indexed: &IndexedProblem<'a>,
    crew: &Crew,
) -> Option<Vec<Devices<'a>>> {
    let of = |&(other, count): &(ServiceIx, u32)| {
        devices(indexed, indexed.services[other].input, devices_for(indexed, other, count)?)
    };
    let mut all = crew.iter().map(of).collect::<Option<Vec<_>>>()?;
    all.retain(|it| it.count > 0);
    let models: BTreeSet<&str> = all.iter().filter_map(|it| it.model).collect();
    let fits =
        all.iter().map(|it| it.count).sum::<usize>() <= gpu_request::DEVICES && models.len() < 2;
    for device in &mut all {
        device.model = models.first().copied();
    }
    fits.then_some(all)
}

/// So many devices that the service accepts.
pub(crate) fn gpus(
    indexed: &IndexedProblem<'_>,
    service: ServiceIx,
    count: usize,
) -> Vec<GpuInput> {
    let input = indexed.services[service].input;
    let Some(devices) = devices(indexed, input, count) else {
        return Vec::new();
    };
    let model = devices.model.unwrap_or_default().to_owned();
    let memory = size(indexed, &devices);
    let ids = (0..count).map(|i| format!("new-gpu-{}-{i}", service.number()));
    ids.map(|id| GpuInput { id, model: model.clone(), memory }).collect()
}

/// How many devices so many instances need; nothing where no node could have them.
pub(crate) fn devices_for(
    indexed: &IndexedProblem<'_>,
    service: ServiceIx,
    instances: u32,
) -> Option<usize> {
    let input = indexed.services[service].input;
    let count = match input.gpu {
        // The node must have such a device, whoever uses it.
        GpuRequest::None | GpuRequest::Whole(0) => u64::from(first(input, Key::GpuModel).is_some()),
        GpuRequest::Whole(count) => u64::from(count) * u64::from(instances),
        GpuRequest::Share(milli) => {
            u64::from(instances).div_ceil(1000u64.checked_div(milli.into())?.max(1))
        }
        GpuRequest::Memory(_) => u64::from(instances),
    };
    let count = usize::try_from(count).ok().filter(|count| *count <= gpu_request::DEVICES)?;
    devices(indexed, input, count).map(|_| count)
}

/// So many devices; nothing where no device would do.
pub(crate) fn devices<'a>(
    indexed: &IndexedProblem<'_>,
    input: &'a ServiceInput,
    count: usize,
) -> Option<Devices<'a>> {
    let slice = match input.gpu {
        GpuRequest::Memory(bytes) => Some(bytes.0),
        _ => None,
    };
    let whole_gib = |bytes: u64| bytes.div_ceil(GIB).saturating_mul(GIB);
    let least = input.device.as_ref().map(|need| whole_gib(need.memory)).max(slice);
    let model = model(indexed, input, least);
    let named = first(input, Key::GpuModel).is_some();
    let forbidden = about_model(&input.forbid).filter(|_| !named);
    let other_than = forbidden.flat_map(|line| line.any_of.iter().map(String::as_str)).collect();
    (model.is_some() || !named).then_some(Devices { count, least, model, other_than })
}

fn about_model(list: &[Require]) -> impl Iterator<Item = &Require> {
    list.iter().filter(|line| line.key == Key::GpuModel)
}

/// A model that every condition accepts, and of which no device here is known to be too small.
pub(crate) fn model<'a>(
    indexed: &IndexedProblem<'_>,
    input: &'a ServiceInput,
    least: Option<u64>,
) -> Option<&'a str> {
    let fits = |model: &&String| {
        about_model(&input.require).all(|line| line.any_of.contains(model))
            && !about_model(&input.forbid).any(|line| line.any_of.contains(model))
            && known(indexed, model).is_none_or(|memory| least.is_none_or(|least| memory >= least))
    };
    about_model(&input.require).next()?.any_of.iter().find(fits).map(String::as_str)
}

/// The memory of the largest device here of a model, or of one that is called so in part.
fn known(indexed: &IndexedProblem<'_>, model: &str) -> Option<u64> {
    let part = model.to_lowercase();
    let devices = indexed.nodes.iter().flat_map(|node| &node.input.gpus);
    let named = devices.filter(|device| device.model.to_lowercase().contains(&part));
    named.map(|device| device.memory).max()
}

/// The memory of such a device, in bytes: what is needed, else what such devices have here.
pub(crate) fn size(indexed: &IndexedProblem<'_>, devices: &Devices<'_>) -> u64 {
    let largest = || indexed.nodes.iter().flat_map(|node| node.memories.iter().copied()).max();
    let known = || devices.model.and_then(|model| known(indexed, model));
    devices.least.or_else(known).or_else(largest).unwrap_or(USUAL)
}
