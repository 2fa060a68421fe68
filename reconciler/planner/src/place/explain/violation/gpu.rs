//! Violations of devices, with numbers.
//!
//! Knows untouched devices and the roomiest. Refuses to know an arrangement.
//!
//! Whether devices fit is exact packing; what is said is the figure that a person can act on.
//! `needs 2 whole GPU(s), 1 free`.

use devnet_schema::{placement::Violation, quantity::GpuRequest};

use super::make::say;
use crate::place::{
    explain::{
        amount::{size, tenths},
        reclaimable,
    },
    ix::{NodeIx, ServiceIx},
    model::{filter, gpu_request, partial::PartialPlacement},
    problem::{Constraint, DeviceNeed, Key},
};

pub(crate) fn devices(
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
    node_ix: NodeIx,
    found: &mut Vec<Violation>,
) {
    let service = &partial.indexed.services[service_ix];
    if !service.wants_gpu() || partial.devices_fit(service_ix, node_ix) {
        return;
    }
    let node = &partial.indexed.nodes[node_ix];
    let mask = node.memories.iter().enumerate().fold(0u128, |set, (d, _)| set | 1 << d);
    let allowed = match filter::allowed_devices(service.input, node) {
        // That none is of the model that is asked for was told: what is short beside that is told
        // of all.
        0 => mask,
        some => some,
    };
    let largest = node.memories.iter().max().copied().unwrap_or(0);
    let large = |need: &DeviceNeed| node.memories.iter().any(|&memory| memory >= need.memory);
    if service.input.device.as_ref().is_some_and(|need| !large(need)) {
        return;
    }
    let (untouched, roomiest) = left_over(partial, node_ix, allowed);
    let (need, free, text) = match service.input.gpu {
        GpuRequest::None => return,
        GpuRequest::Whole(count) => {
            let text = format!("needs {count} whole GPU(s), {untouched} free");
            (f64::from(count), untouched as f64, text)
        }
        GpuRequest::Share(milli) => {
            let free = roomiest.map_or(0, |(left, size)| {
                (u128::from(left) * 1000 / u128::from(size.max(1))) as u64
            });
            let text = format!(
                "needs {}% of a GPU, {}% free on the emptiest",
                tenths(milli.into()),
                tenths(free)
            );
            (f64::from(milli) / 1000.0, free as f64 / 1000.0, text)
        }
        GpuRequest::Memory(bytes) => {
            let free = roomiest.map_or(0, |(left, _)| left / 1000);
            let text = format!(
                "needs {} of GPU memory, {} free on the emptiest",
                size(bytes.0),
                size(free)
            );
            (bytes.0 as f64, free as f64, text)
        }
    };
    let mut lines = service.input.require.iter().chain(&service.input.forbid);
    if need <= free && lines.any(|line| line.key == Key::GpuModel) {
        return;
    }
    let at = service.input.at.as_ref();
    let whole = match service.input.gpu {
        GpuRequest::Memory(_) => largest as f64,
        GpuRequest::Share(_) => f64::from(u8::from(!node.memories.is_empty())),
        _ => f64::from((allowed & mask).count_ones()),
    };
    let give = need > whole || !reclaimable::has_devices_in_the_way(partial, (service_ix, node_ix));
    let (need, free, whole) = (Some(need), Some(free), Some(whole));
    found.push(Violation { need, free, whole, give, ..say(Constraint::Gpu, at, text) });
}

/// Untouched devices, and what is left of the roomiest with its size, as things are packed.
fn left_over(
    partial: &PartialPlacement<'_>,
    node: NodeIx,
    allowed: u128,
) -> (usize, Option<(u64, u64)>) {
    let memories = &partial.indexed.nodes[node].memories;
    let left = partial.device_room(node);
    let usable = || (0..memories.len()).filter(|d| allowed >> d & 1 == 1);
    let untouched = usable().filter(|&d| left[d] == gpu_request::size(memories[d])).count();
    (untouched, usable().map(|d| (left[d], gpu_request::size(memories[d]))).max())
}
