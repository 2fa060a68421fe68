//! What instances ask of the devices of one node, in numbers.
//!
//! Knows whole devices, shares and slices. Refuses to know services, and which device serves whom.
//!
//! Shares count thousandths and slices count bytes, so both are held in thousandths of a byte and
//! add up exactly. Half of a device of 24 GiB and a slice of 12 GiB fill it to the brim.

use devnet_schema::{placement::GpuUse, quantity::GpuRequest};

/// What one instance asks of the devices of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    /// How much.
    pub need: GpuRequest,
    /// Bit `d` is set where device `d` may serve it.
    pub allowed: u128,
}

/// Instances that are alike, and where some of them are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// What each of them asks.
    pub item: Item,
    /// How many there are to be.
    pub count: u32,
    /// The devices of each that is there now, as bits.
    pub homes: Vec<u128>,
    /// So many of them restart unless they are on these devices.
    pub stay: u32,
}

impl Group {
    /// Of instances on these devices, those that restart because they are not where they were.
    pub(crate) fn restarts(&self, devices: impl Iterator<Item = u128>) -> u32 {
        let mut left = self.homes.clone();
        let mut at_home = 0;
        for set in devices {
            if let Some(at) = left.iter().position(|home| *home == set) {
                left.swap_remove(at);
                at_home += 1;
            }
        }
        self.stay.saturating_sub(at_home)
    }
}

/// The most devices of one node that are told apart; a set of them is a `u128`.
pub(crate) const DEVICES: usize = 128;

/// A device in units of a thousandth of a byte, so that shares and slices add up exactly.
pub(crate) fn size(memory: u64) -> u64 {
    memory.max(1).saturating_mul(1000)
}

/// Bytes that a device must have for all of these slices beside these shares of it; 0 where there
/// is no slice, or the shares leave nothing.
pub(crate) fn needed<'u>(uses: impl Iterator<Item = &'u GpuUse>) -> u64 {
    let (mut slices, mut left) = (0, 1000u32);
    for it in uses {
        slices += u128::from(it.memory.0);
        left = left.saturating_sub(if it.memory.0 > 0 { 0 } else { it.share_milli });
    }
    match left {
        0 => 0,
        left => u64::try_from((slices * 1000).div_ceil(left.into())).unwrap_or(u64::MAX),
    }
}

/// What a share or a slice takes of a device with that memory, in the units of [`size`]; a whole
/// device takes all of it.
pub(crate) fn load(need: GpuRequest, memory: u64) -> u64 {
    match need {
        GpuRequest::None => 0,
        GpuRequest::Whole(_) => size(memory),
        GpuRequest::Share(milli) => memory.max(1).saturating_mul(u64::from(milli)),
        GpuRequest::Memory(bytes) => bytes.0.saturating_mul(1000),
    }
}

/// Whole devices asked for.
pub(crate) fn wholes(need: GpuRequest) -> u64 {
    match need {
        GpuRequest::Whole(count) => u64::from(count),
        GpuRequest::None | GpuRequest::Share(_) | GpuRequest::Memory(_) => 0,
    }
}

/// How many instances that ask this fit on these devices when nothing else is there.
pub(crate) fn most(need: GpuRequest, memories: &[u64], allowed: u128) -> u64 {
    let usable = || memories.iter().enumerate().filter(|(d, _)| allowed >> d & 1 == 1);
    match need {
        GpuRequest::None | GpuRequest::Whole(0) => u64::MAX,
        GpuRequest::Whole(count) => usable().count() as u64 / u64::from(count),
        GpuRequest::Share(_) | GpuRequest::Memory(_) => {
            usable().map(|(_, &m)| size(m) / load(need, m).max(1)).sum()
        }
    }
}
