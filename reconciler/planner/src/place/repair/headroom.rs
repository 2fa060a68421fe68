//! How much more room a node needs for so many instances, and of what.
//!
//! Knows sizes and devices. Refuses to know what else keeps a service off a node.
//!
//! What others use can be freed; what is short beyond that the node has to be given. `2 cpu and a
//! GPU`.

use devnet_schema::quantity::GpuRequest;

use super::{
    change::{Change, Resource},
    new_gpus,
};
use crate::place::{
    explain::reclaimable::{could_be_freed, has_devices_in_the_way},
    ix::{NodeIx, ServiceIx},
    model::{
        filter, gpu_request, index::IndexedProblem, partial::PartialPlacement, service::Service,
    },
    problem::Key,
};

/// What must change so that `wanted` instances of service `s` more have room on node `n`; nothing
/// where no such change would do. `devices` says whether devices are looked at.
///
/// What other services use can be freed, unless they must be there, too; what is short beyond that,
/// the node has to be given.
pub(crate) fn more(
    partial: &PartialPlacement<'_>,
    (service_ix, node): (ServiceIx, NodeIx),
    wanted: u32,
    devices: bool,
) -> Option<Vec<Change>> {
    let service = &partial.indexed.services[service_ix];
    let mut changes = Vec::new();
    for (resource, what) in Resource::OF_NODE.into_iter().enumerate() {
        let short =
            partial.short(node, resource, service.need[resource].checked_mul(wanted.into())?);
        changes.extend(match short {
            0 => None,
            amount if could_be_freed(partial, (service_ix, node), resource, amount) => {
                Some(Change::Free { node, what, amount })
            }
            amount => Some(Change::Raise { node, what, amount }),
        });
    }
    if devices && service.wants_gpu() {
        let more = more_devices(partial, (service_ix, node), wanted)?;
        let known = more.is_some() || partial.devices_fit(service_ix, node);
        changes.extend(known.then_some(more)?);
    }
    Some(changes)
}

/// Devices for a node that has none that the service accepts.
pub(crate) fn equip(
    partial: &PartialPlacement<'_>,
    (service, node): (ServiceIx, NodeIx),
    wanted: u32,
) -> Option<Change> {
    let count = new_gpus::devices_for(partial.indexed, service, wanted)?;
    let all = count + partial.indexed.nodes[node].memories.len();
    let count = u32::try_from(count).ok()?;
    (count > 0 && all <= gpu_request::DEVICES).then_some(Change::Equip { node, count })
}

/// The change inside, or nothing inside where there are devices enough.
#[expect(clippy::option_option, reason = "no change needed is not the same as no change possible")]
fn more_devices(
    partial: &PartialPlacement<'_>,
    (service, node_ix): (ServiceIx, NodeIx),
    wanted: u32,
) -> Option<Option<Change>> {
    let input = partial.indexed.services[service].input;
    let node = &partial.indexed.nodes[node_ix];
    let memories = &node.memories;
    let allowed = filter::allowed_devices(input, node);
    let usable: Vec<usize> = (0..memories.len())
        .filter(|d| allowed >> d & 1 == 1)
        .filter(|&d| gpu_request::load(input.gpu, memories[d]) <= gpu_request::size(memories[d]))
        .collect();
    if usable.is_empty() {
        return equip(partial, (service, node_ix), wanted).map(Some);
    }
    let left = partial.device_room(node_ix);
    let GpuRequest::Whole(each) = input.gpu else {
        return slices(partial, (service, node_ix), wanted, (&usable, left));
    };
    let untouched =
        usable.iter().filter(|&&d| left[d] == gpu_request::size(memories[d])).count() as u64;
    let Some(amount @ 1..) = (u64::from(each) * u64::from(wanted)).checked_sub(untouched) else {
        return Some(None);
    };
    let all = u64::from(each) * (u64::from(wanted) + u64::from(partial.count(service, node_ix)));
    if all <= usable.len() as u64 && has_devices_in_the_way(partial, (service, node_ix)) {
        return Some(Some(Change::Free { node: node_ix, what: Resource::Devices, amount }));
    }
    raise(partial, (service, node_ix), amount).map(Some)
}

/// So many devices more: of any model like those that are there, else of one that it accepts.
fn raise(
    partial: &PartialPlacement<'_>,
    (service, node): (ServiceIx, NodeIx),
    amount: u64,
) -> Option<Change> {
    let input = partial.indexed.services[service].input;
    let has = partial.indexed.nodes[node].memories.len() as u64;
    let choosy = input.require.iter().chain(&input.forbid).any(|line| line.key == Key::GpuModel);
    if has + amount > gpu_request::DEVICES as u64 {
        return None;
    }
    Some(match u32::try_from(amount) {
        Ok(count) if choosy => Change::Equip { node, count },
        _ => Change::Raise { node, what: Resource::Devices, amount },
    })
}

/// The same for parts of devices: one more is freed, several get devices more.
#[expect(clippy::option_option, reason = "as above")]
fn slices(
    partial: &PartialPlacement<'_>,
    (service, node): (ServiceIx, NodeIx),
    wanted: u32,
    (usable, left): (&[usize], &[u64]),
) -> Option<Option<Change>> {
    let need = partial.indexed.services[service].input.gpu;
    let memories = &partial.indexed.nodes[node].memories;
    let load = |d: usize| gpu_request::load(need, memories[d]).max(1);
    let fits: u64 = usable.iter().map(|&d| left[d] / load(d)).sum();
    let missing = u64::from(wanted).saturating_sub(fits);
    if missing == 0 {
        return Some(None);
    }
    if missing > 1 || !has_devices_in_the_way(partial, (service, node)) {
        let large = usable.iter().max_by_key(|&&d| memories[d])?;
        let devices = missing.div_ceil(gpu_request::size(memories[*large]) / load(*large));
        return raise(partial, (service, node), devices).map(Some);
    }
    let of = |d: usize| (left[d] % load(d), gpu_request::size(memories[d]));
    let (rest, size) = usable.iter().map(|&d| of(d)).max()?;
    let (what, amount) = match need {
        // What is left is in thousandths of a byte.
        GpuRequest::Memory(bytes) => (Resource::Slice, bytes.0.checked_sub(rest / 1000)?),
        GpuRequest::Share(milli) => {
            let has = u128::from(rest) * 1000 / u128::from(size.max(1));
            (Resource::Share, u64::from(milli).checked_sub(has as u64)?)
        }
        GpuRequest::None | GpuRequest::Whole(_) => return None,
    };
    Some((amount > 0).then_some(Change::Free { node, what, amount }))
}

/// The changes as they must be called where these are then on each node, with how many of each:
/// what others there do not use by then cannot be freed, and is given. Nothing where that is no
/// change.
pub(crate) fn named_for(
    indexed: &IndexedProblem<'_>,
    service_ix: ServiceIx,
    changes: &[Change],
    there: &dyn Fn(NodeIx) -> Vec<(ServiceIx, u32)>,
) -> Option<Vec<Change>> {
    let of = |change: &Change| match change {
        Change::Free { node, what, amount } => {
            let (node, what, amount) = (*node, *what, *amount);
            let near = &indexed.services[service_ix].near;
            // Even empty, the node would have too little.
            let small = Resource::OF_NODE.contains(&what)
                && indexed.services[service_ix].need[what as usize]
                    > indexed.nodes[node].capacity[what as usize];
            let others = there(node)
                .into_iter()
                .filter(|(other, _)| *other != service_ix && !near.contains(other));
            let others = others.map(|(other, count)| (&indexed.services[other], u64::from(count)));
            let used = others.map(|(it, count)| uses(it, what).saturating_mul(count));
            if !small && amount <= used.fold(0, u64::saturating_add) {
                return Some(change.clone());
            }
            let part = matches!(what, Resource::Slice | Resource::Share);
            (!part).then_some(Change::Raise { node, what, amount })
        }
        Change::Of { service, change } => {
            let own = named_for(indexed, *service, std::slice::from_ref(change), there)?.pop()?;
            Some(Change::Of { service: *service, change: Box::new(own) })
        }
        _ => Some(change.clone()),
    };
    changes.iter().map(of).collect()
}

/// What an instance of a service has of it: of a part of a device, all that could be asked for.
fn uses(service: &Service<'_>, what: Resource) -> u64 {
    match (what, service.input.gpu) {
        (Resource::Cpu | Resource::Memory | Resource::Disk, _) => service.need[what as usize],
        (_, GpuRequest::None | GpuRequest::Whole(0)) => 0,
        (Resource::Devices, GpuRequest::Whole(count)) => count.into(),
        (Resource::Devices, _) => 1,
        (Resource::Slice | Resource::Share, _) => u64::MAX,
    }
}
