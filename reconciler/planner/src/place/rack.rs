//! Which GPU of its node each instance would have, kept up to date while a board changes.
//!
//! Knows one arrangement of the instances that are there, and finds another where it is in the way.
//! Refuses to know services beyond their number and what they ask.

use super::gpu::{self, Item};
use devnet_schema::quantity::GpuRequest;

/// The devices of one node.
#[derive(Debug, Clone, Default)]
pub struct Rack {
    /// What is left of each device, in the units of [`gpu::size`].
    left: Vec<u64>,
    /// Instances on each device.
    users: Vec<u32>,
    /// Service and devices of every instance, as bits.
    seats: Vec<(usize, u128)>,
    /// Instances that could not be arranged with the others.
    stranded: Vec<usize>,
}

impl Rack {
    pub fn empty(memories: &[u64]) -> Self {
        let left = memories.iter().map(|&m| gpu::size(m)).collect();
        Self { left, users: vec![0; memories.len()], seats: Vec::new(), stranded: Vec::new() }
    }

    /// Whether every instance has its devices.
    pub fn arranged(&self) -> bool {
        self.stranded.is_empty()
    }

    /// The devices of every instance of a service, as bits.
    pub fn of(&self, service: usize) -> impl Iterator<Item = u128> {
        self.seats.iter().filter(move |seat| seat.0 == service).map(|seat| seat.1)
    }

    /// Whether one more fits without touching the others.
    pub fn takes(&self, memories: &[u64], item: &Item) -> bool {
        self.arranged() && self.seat(memories, item).is_some()
    }

    /// Whether it is plain that one more does not fit, however the others are arranged.
    pub fn refuses(&self, memories: &[u64], item: &Item) -> bool {
        let allowed = |d: &usize| item.allowed >> d & 1 == 1;
        let left: u64 = (0..memories.len()).filter(allowed).map(|d| self.left[d]).sum();
        match item.need {
            GpuRequest::None | GpuRequest::Whole(0) => false,
            GpuRequest::Whole(count) => {
                let smallest = (0..memories.len()).filter(allowed).map(|d| gpu::size(memories[d]));
                left < smallest.min().unwrap_or(0).saturating_mul(u64::from(count))
            }
            need => {
                let least =
                    (0..memories.len()).filter(allowed).map(|d| gpu::load(need, memories[d]));
                least.min().is_none_or(|least| left < least)
            }
        }
    }

    /// Devices for one more: untouched ones, or the fullest that has room.
    fn seat(&self, memories: &[u64], item: &Item) -> Option<u128> {
        let allowed = |d: &usize| item.allowed >> d & 1 == 1;
        match item.need {
            GpuRequest::None | GpuRequest::Whole(0) => Some(0),
            GpuRequest::Whole(count) => {
                let free = (0..memories.len()).filter(allowed).filter(|&d| self.users[d] == 0);
                let list: Vec<usize> = free.take(count as usize).collect();
                let all = list.len() == count as usize;
                all.then(|| list.into_iter().fold(0, |set, d| set | 1 << d))
            }
            need => {
                let fits = |d: &usize| gpu::load(need, memories[*d]) <= self.left[*d];
                let open = (0..memories.len()).filter(allowed).filter(fits);
                open.min_by_key(|&d| (self.left[d], d)).map(|d| 1 << d)
            }
        }
    }

    /// What one more would leave unused beside itself, in thousandths of a device. A single whole
    /// device is as good as any other.
    pub fn waste(&self, memories: &[u64], item: &Item) -> u64 {
        let Some(devices) = self.seat(memories, item) else {
            return 1000 * memories.len() as u64;
        };
        if item.need == GpuRequest::Whole(1) {
            return 0;
        }
        if matches!(item.need, GpuRequest::Whole(_)) {
            let taken = u64::from(devices.count_ones());
            let free = self.users.iter().filter(|&&users| users == 0).count() as u64;
            return 1000 * (free - taken);
        }
        let d = devices.trailing_zeros() as usize;
        let left = self.left[d] - gpu::load(item.need, memories[d]);
        (u128::from(left) * 1000 / u128::from(gpu::size(memories[d]))) as u64
    }

    fn sit(&mut self, memories: &[u64], service: usize, item: &Item, devices: u128) {
        for d in (0..memories.len()).filter(|d| devices >> d & 1 == 1) {
            self.left[d] = self.left[d].saturating_sub(gpu::load(item.need, memories[d]));
            self.users[d] += 1;
        }
        self.seats.push((service, devices));
    }

    /// Takes one more in, arranging all of them anew where need be. `item` tells what each service
    /// asks here.
    pub fn add(&mut self, memories: &[u64], service: usize, item: &dyn Fn(usize) -> Item) {
        let own = item(service);
        match self.seat(memories, &own).filter(|_| self.arranged()) {
            Some(devices) => self.sit(memories, service, &own, devices),
            None => {
                self.stranded.push(service);
                self.rearrange(memories, item);
            }
        }
    }

    /// Lets one instance of a service go; there must be one.
    pub fn remove(&mut self, memories: &[u64], service: usize, item: &dyn Fn(usize) -> Item) {
        if let Some(at) = self.stranded.iter().position(|&s| s == service) {
            self.stranded.remove(at);
        } else if let Some(at) = self.seats.iter().rposition(|seat| seat.0 == service) {
            let (_, devices) = self.seats.remove(at);
            let need = item(service).need;
            for d in (0..memories.len()).filter(|d| devices >> d & 1 == 1) {
                self.left[d] += gpu::load(need, memories[d]);
                self.users[d] -= 1;
            }
        }
        if !self.arranged() {
            self.rearrange(memories, item);
        }
    }

    /// The services of all instances, ascending.
    fn services(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.seats.iter().map(|seat| seat.0).collect();
        all.extend(&self.stranded);
        all.sort_unstable();
        all
    }

    fn rearrange(&mut self, memories: &[u64], item: &dyn Fn(usize) -> Item) {
        let services = self.services();
        let items: Vec<Item> = services.iter().map(|&s| item(s)).collect();
        let Some(chosen) = gpu::pack(memories, &items) else {
            return;
        };
        *self = Self::empty(memories);
        for ((service, item), devices) in services.into_iter().zip(&items).zip(chosen) {
            let devices = devices.into_iter().fold(0, |set, d| set | 1 << d);
            self.sit(memories, service, item, devices);
        }
    }

    /// Whether one more fits, the others being arranged anew where need be.
    pub fn admits(&self, memories: &[u64], extra: usize, item: &dyn Fn(usize) -> Item) -> bool {
        let own = item(extra);
        if self.takes(memories, &own) {
            return true;
        }
        if self.arranged() && self.refuses(memories, &own) {
            return false;
        }
        let mut items: Vec<Item> = self.services().into_iter().map(item).collect();
        items.push(own);
        gpu::fits(memories, &items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn share(milli: u32) -> Item {
        Item { need: GpuRequest::Share(milli), allowed: u128::MAX, wish: Vec::new() }
    }

    #[test]
    fn what_stands_in_the_way_is_arranged_anew() {
        let sizes = [400, 300, 300, 600, 400];
        let item = |s: usize| share(sizes[s]);
        let memories = [GIB, GIB];
        let mut rack = Rack::empty(&memories);
        for s in 0..3 {
            rack.add(&memories, s, &item);
        }
        // 400 + 300 + 300 fill one device; then 600 + 400 the other.
        assert!(rack.admits(&memories, 3, &item));
        rack.add(&memories, 3, &item);
        assert!(rack.admits(&memories, 4, &item) && rack.arranged());
        rack.add(&memories, 4, &item);
        assert!(rack.arranged() && !rack.admits(&memories, 1, &item));
        rack.add(&memories, 1, &item);
        assert!(!rack.arranged(), "too much is kept and told");
        rack.remove(&memories, 1, &item);
        assert!(rack.arranged());
        assert_eq!(rack.services(), [0, 1, 2, 3, 4]);
    }
}
