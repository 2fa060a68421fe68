//! The search for an arrangement of instances on devices.
//!
//! Knows one node, and counts its steps. Refuses to take longer than it was given.
//!
//! First fit is not enough: 50 + 40 and 30 + 30 + 30 fill two devices only in the right order. It
//! tries devices where an instance was before first, so that as few as possible restart.

use devnet_schema::quantity::GpuRequest;

use super::gpu_request::{Group, load, size};

/// Shares before whole devices, the largest first: the hard ones while there is choice.
fn order(groups: &[Group]) -> Vec<usize> {
    let mut order: Vec<usize> =
        (0..groups.len()).flat_map(|g| (0..groups[g].count).map(move |_| g)).collect();
    order.sort_by_key(|&g| {
        let Group { item, homes, .. } = &groups[g];
        let whole = matches!(item.need, GpuRequest::Whole(_));
        let size = std::cmp::Reverse(load(item.need, 1 << 30));
        (whole, homes.is_empty(), item.allowed.count_ones(), size, g)
    });
    order
}

pub(crate) struct Search<'a> {
    memories: &'a [u64],
    groups: &'a [Group],
    /// The group of every instance, as they are given devices.
    order: Vec<usize>,
    left: Vec<u64>,
    sharers: Vec<u32>,
    taken: u128,
    /// Of each group: the devices of its instances so far.
    chosen: Vec<Vec<u128>>,
    /// Of each group: homes that none of these has.
    empty: Vec<Vec<u128>>,
    /// Of each group: instances that may still be put elsewhere without a restart.
    spare: Vec<u32>,
    restarts: u32,
    pub(super) best: Option<(u32, Vec<Vec<u128>>)>,
    steps: u32,
    /// Whether any arrangement will do.
    pub(super) any: bool,
    /// The same for devices that every group treats alike.
    kinds: Vec<u64>,
}

impl<'a> Search<'a> {
    pub(super) fn new(memories: &'a [u64], groups: &'a [Group], steps: u32) -> Self {
        Search {
            memories,
            groups,
            order: order(groups),
            left: memories.iter().map(|&m| size(m)).collect(),
            sharers: vec![0; memories.len()],
            taken: 0,
            chosen: vec![Vec::new(); groups.len()],
            empty: groups.iter().map(|group| group.homes.clone()).collect(),
            spare: groups.iter().map(|g| g.count.saturating_sub(g.stay)).collect(),
            restarts: 0,
            best: None,
            steps,
            any: false,
            kinds: (0..memories.len()).map(|d| kind_of(groups, d)).collect(),
        }
    }

    /// Whether nothing better can be found, or not in the steps that were given.
    fn over(&self) -> bool {
        let good = |(restarts, _): &(u32, _)| *restarts == 0 || self.any;
        self.steps == 0 || self.best.as_ref().is_some_and(good)
    }

    /// Gives the instances from this one on their devices, in every way that may be the best.
    pub(super) fn descend(&mut self, step: usize) {
        let Some(&group) = self.order.get(step) else {
            self.best = Some((self.restarts, self.chosen.clone()));
            return;
        };
        if self.over() || !self.room_for_wholes(step) {
            return;
        }
        self.steps -= 1;
        match self.groups[group].item.need {
            GpuRequest::None | GpuRequest::Whole(0) => self.sit(step, group, 0),
            GpuRequest::Whole(count) => self.whole(step, group, count as usize),
            need => self.shared(step, group, need),
        }
    }

    /// Gives an instance these devices, goes on with the next, and takes them away again.
    pub(super) fn sit(&mut self, step: usize, group: usize, devices: u128) {
        let home = self.empty[group].iter().position(|home| *home == devices);
        let restarts = home.is_none() && self.spare[group] == 0;
        let worse = |(best, _): &(u32, _)| self.restarts + u32::from(restarts) >= *best;
        if self.best.as_ref().is_some_and(worse) {
            return;
        }
        match home {
            Some(at) => drop(self.empty[group].swap_remove(at)),
            None if restarts => self.restarts += 1,
            None => self.spare[group] -= 1,
        }
        self.chosen[group].push(devices);
        self.descend(step + 1);
        self.chosen[group].pop();
        match home {
            Some(_) => self.empty[group].push(devices),
            None if restarts => self.restarts -= 1,
            None => self.spare[group] += 1,
        }
    }

    /// Whether enough untouched devices are left for the whole ones still to come.
    fn room_for_wholes(&self, step: usize) -> bool {
        let (mut wanted, mut usable) = (0, 0u128);
        for &group in &self.order[step..] {
            let item = &self.groups[group].item;
            if let GpuRequest::Whole(count) = item.need {
                wanted += count;
                usable |= item.allowed;
            }
        }
        wanted == 0 || (usable & self.untouched()).count_ones() >= wanted
    }

    fn untouched(&self) -> u128 {
        let mut free = 0;
        for (d, sharers) in self.sharers.iter().enumerate() {
            if *sharers == 0 && self.taken >> d & 1 == 0 {
                free |= 1 << d;
            }
        }
        free
    }

    fn shared(&mut self, step: usize, group: usize, need: GpuRequest) {
        for d in self.candidates(group, need) {
            let amount = load(need, self.memories[d]);
            self.left[d] -= amount;
            self.sharers[d] += 1;
            self.sit(step, group, 1 << d);
            self.left[d] += amount;
            self.sharers[d] -= 1;
            if self.over() {
                return;
            }
        }
    }

    /// Devices for a share: its home, then the fullest that still fits, then untouched ones. Of
    /// those of one kind with as much left, one is enough.
    fn candidates(&self, group: usize, need: GpuRequest) -> Vec<usize> {
        let fits = |d: usize| {
            self.groups[group].item.allowed >> d & 1 == 1
                && self.taken >> d & 1 == 0
                && load(need, self.memories[d]) <= self.left[d]
        };
        let home = |d: usize| self.empty[group].contains(&(1 << d));
        let mut list: Vec<usize> = (0..self.memories.len()).filter(|&d| fits(d)).collect();
        list.sort_by_key(|&d| (!home(d), self.sharers[d] == 0, self.left[d], d));
        let mut seen: Vec<(u64, u64, u64, bool)> = Vec::new();
        list.retain(|&d| {
            let look = (self.memories[d], self.kinds[d], self.left[d], self.sharers[d] > 0);
            let fresh = !seen.contains(&look);
            seen.push(look);
            fresh
        });
        list
    }

    pub(super) fn whole(&mut self, step: usize, group: usize, count: usize) {
        let open = self.untouched() & self.groups[group].item.allowed;
        let homes = self.empty[group].clone();
        for home in homes.iter().filter(|&home| home & !open == 0) {
            self.taken |= home;
            self.sit(step, group, *home);
            self.taken &= !home;
            if self.over() {
                return;
            }
        }
        let later = &self.order[step + 1..];
        let rivals =
            |d: usize| later.iter().filter(|&&g| self.groups[g].item.allowed >> d & 1 == 1).count();
        let has_previous_devices = |d: usize| homes.iter().any(|home| home >> d & 1 == 1);
        let mut free: Vec<usize> =
            (0..self.memories.len()).filter(|d| open >> d & 1 == 1).collect();
        free.sort_by_key(|&d| (!has_previous_devices(d), rivals(d), d));
        self.combinations((step, group, count), &free, 0, 0);
    }

    /// Every choice of `count` of the free devices, the first ones first; of devices that are
    /// alike, the first ones only.
    fn combinations(
        &mut self,
        (step, group, count): (usize, usize, usize),
        free: &[usize],
        from: usize,
        set: u128,
    ) {
        let chosen = set.count_ones() as usize;
        if chosen == count {
            return self.sit(step, group, set);
        }
        for (at, &d) in free.iter().enumerate().skip(from) {
            if self.over() || free.len() - at < count - chosen {
                return;
            }
            let alike =
                |&e: &usize| (self.memories[e], self.kinds[e]) == (self.memories[d], self.kinds[d]);
            if free[from..at].iter().any(alike) {
                continue;
            }
            self.taken |= 1 << d;
            self.combinations((step, group, count), free, at + 1, set | 1 << d);
            self.taken &= !(1 << d);
        }
    }
}

/// Devices that every group treats alike have the same kind: it may use them or not, and has as
/// many instances there, with the same devices beside.
fn kind_of(groups: &[Group], device: usize) -> u64 {
    let mix = |kind: u64, part: u64| (kind ^ part).wrapping_mul(0x0100_0000_01b3);
    groups.iter().fold(0xcbf2_9ce4_8422_2325, |kind, group| {
        let here = group.homes.iter().filter(|&home| home >> device & 1 == 1);
        let homes = here.fold(0u64, |sum, &home| {
            let beside = if home.count_ones() == 1 { 1 } else { home };
            sum.wrapping_add(mix(beside as u64, (beside >> 64) as u64))
        });
        mix(mix(kind, (group.item.allowed >> device & 1) as u64), homes)
    })
}
