//! Which instance gets which GPU of one node: exact packing.
//!
//! Knows devices and what is asked of them. Refuses to know services, nodes, or which set of
//! instances ought to be packed.

use devnet_schema::{placement::GpuUse, quantity::GpuRequest};

/// What one instance asks of the devices of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// How much.
    pub need: GpuRequest,
    /// Bit `d` is set where device `d` may serve it.
    pub allowed: u128,
}

/// Instances that are alike, and where some of them are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
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
    pub fn restarts(&self, devices: impl Iterator<Item = u128>) -> u32 {
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
pub const DEVICES: usize = 128;

/// Steps of the search before it gives up and answers with what it has, or with "does not fit".
pub const THOROUGH: u32 = 20_000;

/// The same where it is asked very often.
pub const BRIEF: u32 = 1_000;

/// A device in units of a thousandth of a byte, so that shares and slices add up exactly.
pub fn size(memory: u64) -> u64 {
    memory.max(1).saturating_mul(1000)
}

/// Bytes that a device must have for all of these slices beside these shares of it; 0 where there
/// is no slice, or the shares leave nothing.
pub fn needed<'u>(uses: impl Iterator<Item = &'u GpuUse>) -> u64 {
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
pub fn load(need: GpuRequest, memory: u64) -> u64 {
    match need {
        GpuRequest::None => 0,
        GpuRequest::Whole(_) => size(memory),
        GpuRequest::Share(milli) => memory.max(1).saturating_mul(u64::from(milli)),
        GpuRequest::Memory(bytes) => bytes.0.saturating_mul(1000),
    }
}

/// Whole devices asked for.
fn wholes(need: GpuRequest) -> u64 {
    match need {
        GpuRequest::Whole(count) => u64::from(count),
        GpuRequest::None | GpuRequest::Share(_) | GpuRequest::Memory(_) => 0,
    }
}

/// How many instances that ask this fit on these devices when nothing else is there.
pub fn most(need: GpuRequest, memories: &[u64], allowed: u128) -> u64 {
    let usable = || memories.iter().enumerate().filter(|(d, _)| allowed >> d & 1 == 1);
    match need {
        GpuRequest::None | GpuRequest::Whole(0) => u64::MAX,
        GpuRequest::Whole(count) => usable().count() as u64 / u64::from(count),
        GpuRequest::Share(_) | GpuRequest::Memory(_) => {
            usable().map(|(_, &m)| size(m) / load(need, m).max(1)).sum()
        }
    }
}

/// Devices for every instance of every group, in this order, as bits, so that as few as possible
/// of those that are there restart; nothing where they do not all fit.
///
/// Exact up to so many steps; [`THOROUGH`] is far more than eight devices need.
pub fn pack(memories: &[u64], groups: &[Group], steps: u32) -> Option<Vec<Vec<u128>>> {
    let mut search = Search::new(memories, groups, steps);
    search.descend(0);
    search.best.map(|(_, chosen)| chosen)
}

/// Whether they fit; a long search is given up sooner than by [`pack`] and answers "no".
pub fn fits(memories: &[u64], groups: &[Group]) -> bool {
    if least(memories, groups) > memories.len() as u64 {
        return false;
    }
    let mut search = Search::new(memories, groups, BRIEF);
    search.any = true;
    search.descend(0);
    search.best.is_some()
}

/// Devices that the items need at the very least, from dual-feasible functions: sums of what each
/// share counts for, where no set of shares that fits on one device counts for more than one. Only
/// told of devices that are all alike, else 0.
fn least(memories: &[u64], groups: &[Group]) -> u64 {
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

struct Search<'a> {
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
    best: Option<(u32, Vec<Vec<u128>>)>,
    steps: u32,
    /// Whether any arrangement will do.
    any: bool,
    /// The same for devices that every group treats alike.
    kinds: Vec<u64>,
}

impl<'a> Search<'a> {
    fn new(memories: &'a [u64], groups: &'a [Group], steps: u32) -> Self {
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
    fn descend(&mut self, step: usize) {
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
    fn sit(&mut self, step: usize, group: usize, devices: u128) {
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

    fn whole(&mut self, step: usize, group: usize, count: usize) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use devnet_schema::quantity::Bytes;

    const GIB: u64 = 1 << 30;

    fn one(need: GpuRequest) -> Group {
        Group { item: Item { need, allowed: u128::MAX }, count: 1, homes: Vec::new(), stay: 0 }
    }

    fn at(need: GpuRequest, homes: &[u128]) -> Group {
        let count = homes.len() as u32;
        Group { count, homes: homes.to_vec(), stay: count, ..one(need) }
    }

    fn pack(memories: &[u64], groups: &[Group]) -> Option<Vec<Vec<u128>>> {
        super::pack(memories, groups, THOROUGH)
    }

    #[test]
    fn shares_and_slices_fill_a_device_to_the_brim_and_no_further() {
        let half = one(GpuRequest::Share(500));
        let slice = one(GpuRequest::Memory(Bytes(12 * GIB)));
        assert!(pack(&[24 * GIB], &[half.clone(), slice.clone()]).is_some());
        assert!(pack(&[24 * GIB], &[half, slice.clone(), one(GpuRequest::Share(1))]).is_none());
        assert!(pack(&[24 * GIB - 1], &[slice.clone(), slice]).is_none());
    }

    #[test]
    fn a_whole_device_is_never_shared() {
        let wanted = [one(GpuRequest::Whole(2)), one(GpuRequest::Share(1))];
        assert!(pack(&[GIB, GIB], &wanted).is_none());
        let devices = pack(&[GIB, GIB, GIB], &wanted).unwrap();
        assert_eq!(devices[0][0].count_ones(), 2);
        assert_eq!(devices[0][0] & devices[1][0], 0);
    }

    #[test]
    fn first_fit_decreasing_is_not_enough() {
        // 6+4 and 5+3+2 fill two devices of 10; largest-first onto the fullest fails.
        let groups: Vec<Group> =
            [500, 400, 300, 300, 300, 200].map(|m| one(GpuRequest::Share(m))).to_vec();
        assert!(pack(&[GIB, GIB], &groups).is_some());
        assert!(fits(&[GIB, GIB], &groups));
    }

    #[test]
    fn who_is_there_stays_on_its_devices_where_all_can() {
        let share = GpuRequest::Share(600);
        assert_eq!(pack(&[GIB, GIB], &[at(share, &[2]), one(share)]).unwrap(), [[2], [1]]);
        let both = [at(share, &[2]), at(share, &[2])];
        let devices = pack(&[GIB, GIB], &both).unwrap();
        assert_ne!(devices[0], devices[1]);
        let restarts = |g: usize| both[g].restarts(devices[g].iter().copied());
        assert_eq!(restarts(0) + restarts(1), 1);
    }

    #[test]
    fn as_few_as_possible_restart() {
        // The newcomer needs a whole device: the one with one tenant is emptied, not the one with
        // two, though the search comes upon that first.
        let groups = [at(GpuRequest::Share(200), &[1, 1]), at(GpuRequest::Share(600), &[2])];
        let new = one(GpuRequest::Whole(1));
        let devices = pack(&[GIB, GIB], &[groups[0].clone(), groups[1].clone(), new]).unwrap();
        assert_eq!(devices, [vec![1, 1], vec![1], vec![2]]);
        // Of two pairs of devices one is broken up, and one only.
        let pairs = at(GpuRequest::Whole(2), &[0b0011, 0b1100]);
        let mut picky = one(GpuRequest::Whole(1));
        picky.item.allowed = 0b0001;
        let devices = pack(&[GIB; 5], &[pairs.clone(), picky]).unwrap();
        assert_eq!(pairs.restarts(devices[0].iter().copied()), 1);
        assert_eq!(devices[1], [1]);
    }

    #[test]
    fn models_are_kept_apart() {
        let mut picky = one(GpuRequest::Whole(1));
        picky.item.allowed = 0b01;
        let any = one(GpuRequest::Whole(1));
        assert_eq!(pack(&[GIB, GIB], &[any, picky]).unwrap(), [[2], [1]]);
    }
}
