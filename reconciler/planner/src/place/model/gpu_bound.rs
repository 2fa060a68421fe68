//! How many devices a set of requests needs at the very least.
//!
//! Knows dual-feasible functions (Fekete and Schepers). Refuses to know an arrangement.
//!
//! It answers "does not fit" at once where a search would try every arrangement first. Three shares
//! of 60 % need three devices, though they sum to 1.8.

use super::gpu_request::{Group, load, size, wholes};

/// Devices that the items need at the very least, from dual-feasible functions: sums of what each
/// share counts for, where no set of shares that fits on one device counts for more than one. Only
/// told of devices that are all alike, else 0.
pub(crate) fn least(memories: &[u64], groups: &[Group]) -> u64 {
    let alike = |group: &Group| group.item.allowed.trailing_ones() as usize >= memories.len();
    let Some(&memory) = memories.first() else {
        return 0;
    };
    if memories.iter().any(|&m| m != memory) || !groups.iter().all(alike) {
        return 0;
    }
    let whole: u64 = groups.iter().map(|g| wholes(g.item.need) * u64::from(g.count)).sum();
    let shared = groups.iter().filter(|group| wholes(group.item.need) == 0);
    let mut loads: Vec<u64> = shared
        .flat_map(|g| (0..g.count).map(|_| load(g.item.need, memory)))
        .filter(|&load| load > 0)
        .collect();
    loads.sort_unstable();
    whole + least_shared(size(memory), &loads)
}

/// The bound of Fekete and Schepers: for a threshold, what leaves less than it beside itself counts
/// for a device, what is smaller than it for nothing, the rest for its size; and what is larger
/// than half counts for a device, half of them for one where they are just above a third.
fn least_shared(size: u64, loads: &[u64]) -> u64 {
    let sum = |list: &[u64]| list.iter().map(|&load| u128::from(load)).sum::<u128>();
    let mut best = sum(loads).div_ceil(u128::from(size)) as u64;
    for (at, &threshold) in loads.iter().enumerate() {
        if threshold > size / 2 {
            break;
        }
        if at > 0 && loads[at - 1] == threshold {
            continue;
        }
        let large = loads.partition_point(|&load| load <= size - threshold);
        let middle = sum(&loads[at..large]).div_ceil(u128::from(size)) as u64;
        let mut least = (loads.len() - large) as u64 + middle;
        if threshold > size / 3 {
            let halves = loads.partition_point(|&load| load <= size / 2).min(large) - at;
            let pairs = (halves as u64).saturating_sub((large - at - halves) as u64).div_ceil(2);
            let own = (large - at - halves) as u64;
            least = least.max((loads.len() - large) as u64 + own + pairs);
        }
        best = best.max(least);
    }
    let over_half = loads.len() - loads.partition_point(|&load| load <= size / 2);
    best.max(over_half as u64)
}
