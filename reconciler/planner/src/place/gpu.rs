//! Which instance gets which GPU of one node: exact packing.
//!
//! Knows devices and what is asked of them. Refuses to know services, nodes, or which set of
//! instances ought to be packed.

use devnet_schema::quantity::GpuRequest;

/// What one instance asks of the devices of its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// How much.
    pub need: GpuRequest,
    /// Bit `d` is set where device `d` may serve it.
    pub allowed: u128,
    /// Devices that it should get if that is possible at all, by position.
    pub wish: Vec<usize>,
}

/// The most devices of one node that are told apart; a set of them is a `u128`.
pub const DEVICES: usize = 128;

/// Steps of the search before it gives up and answers "does not fit".
const BUDGET: u32 = 20_000;

/// The same where the devices themselves are not asked for: large fleets ask very often.
const BRIEF: u32 = 1_000;

/// A device in units of a thousandth of a byte, so that shares and slices add up exactly.
pub fn size(memory: u64) -> u64 {
    memory.max(1).saturating_mul(1000)
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

/// Devices for every item, in the order of `items`, or nothing where they do not all fit.
///
/// Wishes are met where all of them can be, else as far as the search comes upon them. The search
/// is exact up to a fixed number of steps, far more than eight devices need.
pub fn pack(memories: &[u64], items: &[Item]) -> Option<Vec<Vec<usize>>> {
    let mut search = Search::new(memories, items, BUDGET);
    if items.iter().any(|item| !item.wish.is_empty()) {
        if search.descend(0) {
            return Some(search.chosen);
        }
        search.budget = BUDGET;
    }
    search.hold = false;
    search.descend(0).then_some(search.chosen)
}

/// Whether they fit; a long search is given up sooner than by [`pack`] and answers "no".
pub fn fits(memories: &[u64], items: &[Item]) -> bool {
    if least(memories, items) > memories.len() as u64 {
        return false;
    }
    let mut search = Search::new(memories, items, BRIEF);
    search.hold = false;
    search.descend(0)
}

/// Devices that the items need at the very least, from dual-feasible functions: sums of what each
/// share counts for, where no set of shares that fits on one device counts for more than one. Only
/// told of devices that are all alike, else 0.
fn least(memories: &[u64], items: &[Item]) -> u64 {
    let alike = |item: &Item| item.allowed.trailing_ones() as usize >= memories.len();
    let Some(&memory) = memories.first() else {
        return 0;
    };
    if memories.iter().any(|&m| m != memory) || !items.iter().all(alike) {
        return 0;
    }
    let whole: u64 = items.iter().map(|item| wholes(item.need)).sum();
    let mut loads: Vec<u64> = items
        .iter()
        .filter(|item| wholes(item.need) == 0)
        .map(|item| load(item.need, memory))
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
fn order(items: &[Item]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&i| {
        let whole = matches!(items[i].need, GpuRequest::Whole(_));
        let size = std::cmp::Reverse(load(items[i].need, 1 << 30));
        (whole, items[i].wish.is_empty(), items[i].allowed.count_ones(), size, i)
    });
    order
}

struct Search<'a> {
    memories: &'a [u64],
    items: &'a [Item],
    order: Vec<usize>,
    left: Vec<u64>,
    sharers: Vec<u32>,
    taken: u128,
    chosen: Vec<Vec<usize>>,
    budget: u32,
    /// Whether a wish is a condition.
    hold: bool,
    /// The same for devices that every item treats alike.
    kinds: Vec<u64>,
}

impl<'a> Search<'a> {
    fn new(memories: &'a [u64], items: &'a [Item], budget: u32) -> Self {
        Search {
            memories,
            items,
            order: order(items),
            left: memories.iter().map(|&m| size(m)).collect(),
            sharers: vec![0; memories.len()],
            taken: 0,
            chosen: vec![Vec::new(); items.len()],
            budget,
            hold: true,
            kinds: (0..memories.len()).map(|d| kind_of(items, d)).collect(),
        }
    }
    fn descend(&mut self, step: usize) -> bool {
        let Some(&item) = self.order.get(step) else {
            return true;
        };
        if self.budget == 0 || !self.room_for_wholes(step) {
            return false;
        }
        self.budget -= 1;
        match self.items[item].need {
            GpuRequest::None | GpuRequest::Whole(0) => self.descend(step + 1),
            GpuRequest::Whole(count) => self.whole(step, item, count as usize),
            need => self.shared(step, item, need),
        }
    }

    /// Whether enough untouched devices are left for the whole ones still to come.
    fn room_for_wholes(&self, step: usize) -> bool {
        let (mut wanted, mut usable) = (0, 0u128);
        for &i in &self.order[step..] {
            if let GpuRequest::Whole(count) = self.items[i].need {
                wanted += count;
                usable |= self.items[i].allowed;
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

    fn shared(&mut self, step: usize, item: usize, need: GpuRequest) -> bool {
        for d in self.candidates(item, need) {
            let amount = load(need, self.memories[d]);
            self.left[d] -= amount;
            self.sharers[d] += 1;
            self.chosen[item] = vec![d];
            if self.descend(step + 1) {
                return true;
            }
            self.left[d] += amount;
            self.sharers[d] -= 1;
        }
        self.chosen[item].clear();
        false
    }

    /// Devices for a share: the wished one, then the fullest that still fits, then untouched
    /// ones. Of those of one kind with as much left, one is enough.
    fn candidates(&self, item: usize, need: GpuRequest) -> Vec<usize> {
        let it = &self.items[item];
        let fits = |d: usize| {
            it.allowed >> d & 1 == 1
                && self.taken >> d & 1 == 0
                && load(need, self.memories[d]) <= self.left[d]
        };
        if self.hold && !it.wish.is_empty() {
            return it.wish.iter().copied().take(1).filter(|&d| fits(d)).collect();
        }
        let mut list: Vec<usize> = (0..self.memories.len()).filter(|&d| fits(d)).collect();
        list.sort_by_key(|&d| (!it.wish.contains(&d), self.sharers[d] == 0, self.left[d], d));
        let mut seen: Vec<(u64, u64, u64, bool)> = Vec::new();
        list.retain(|&d| {
            let look = (self.memories[d], self.kinds[d], self.left[d], self.sharers[d] > 0);
            let fresh = !seen.contains(&look);
            seen.push(look);
            fresh
        });
        list
    }

    fn whole(&mut self, step: usize, item: usize, count: usize) -> bool {
        let it = &self.items[item];
        let mut free: Vec<usize> = (0..self.memories.len())
            .filter(|d| (self.untouched() & it.allowed) >> d & 1 == 1)
            .collect();
        if self.hold && it.wish.len() == count {
            free.retain(|d| it.wish.contains(d));
        }
        let later = &self.order[step + 1..];
        let rivals =
            |d: usize| later.iter().filter(|&&i| self.items[i].allowed >> d & 1 == 1).count();
        free.sort_by_key(|&d| (!it.wish.contains(&d), rivals(d), d));
        self.combinations(step, item, count, &free, 0)
    }

    /// Every choice of `count` of the free devices, the first ones first.
    fn combinations(
        &mut self,
        step: usize,
        item: usize,
        count: usize,
        free: &[usize],
        from: usize,
    ) -> bool {
        if self.chosen[item].len() == count {
            return self.descend(step + 1);
        }
        for (at, &d) in free.iter().enumerate().skip(from) {
            if self.budget == 0 || free.len() - at < count - self.chosen[item].len() {
                return false;
            }
            self.chosen[item].push(d);
            self.taken |= 1 << d;
            if self.combinations(step, item, count, free, at + 1) {
                return true;
            }
            self.taken &= !(1 << d);
            self.chosen[item].pop();
        }
        false
    }
}

/// Devices that every item treats alike have the same kind.
fn kind_of(items: &[Item], device: usize) -> u64 {
    items.iter().enumerate().fold(0xcbf2_9ce4_8422_2325, |kind, (i, item)| {
        let wished = item.wish.contains(&device);
        let bits = (item.allowed >> device & 1) as u64 | (u64::from(wished) << 1);
        (kind ^ (bits + 4 * i as u64)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use devnet_schema::quantity::Bytes;

    const GIB: u64 = 1 << 30;

    fn item(need: GpuRequest) -> Item {
        Item { need, allowed: u128::MAX, wish: Vec::new() }
    }

    #[test]
    fn shares_and_slices_fill_a_device_to_the_brim_and_no_further() {
        let half = item(GpuRequest::Share(500));
        let slice = item(GpuRequest::Memory(Bytes(12 * GIB)));
        assert!(pack(&[24 * GIB], &[half.clone(), slice.clone()]).is_some());
        assert!(pack(&[24 * GIB], &[half, slice.clone(), item(GpuRequest::Share(1))]).is_none());
        assert!(pack(&[24 * GIB - 1], &[slice.clone(), slice]).is_none());
    }

    #[test]
    fn a_whole_device_is_never_shared() {
        let wanted = [item(GpuRequest::Whole(2)), item(GpuRequest::Share(1))];
        assert!(pack(&[GIB, GIB], &wanted).is_none());
        let devices = pack(&[GIB, GIB, GIB], &wanted).unwrap();
        assert_eq!(devices[0].len(), 2);
        assert!(!devices[0].contains(&devices[1][0]));
    }

    #[test]
    fn first_fit_decreasing_is_not_enough() {
        // 6+4 and 5+3+2 fill two devices of 10; largest-first onto the fullest fails.
        let items: Vec<Item> =
            [500, 400, 300, 300, 300, 200].map(|m| item(GpuRequest::Share(m))).to_vec();
        assert!(pack(&[GIB, GIB], &items).is_some());
    }

    #[test]
    fn wishes_are_met_where_all_can_be_and_dropped_where_not() {
        let mut a = item(GpuRequest::Share(600));
        a.wish = vec![1];
        let b = item(GpuRequest::Share(600));
        assert_eq!(pack(&[GIB, GIB], &[a.clone(), b]).unwrap(), [vec![1], vec![0]]);
        let mut c = item(GpuRequest::Share(600));
        c.wish = vec![1];
        let both = pack(&[GIB, GIB], &[a, c]).unwrap();
        assert_ne!(both[0], both[1]);
    }

    #[test]
    fn models_are_kept_apart() {
        let mut picky = item(GpuRequest::Whole(1));
        picky.allowed = 0b01;
        let any = item(GpuRequest::Whole(1));
        assert_eq!(pack(&[GIB, GIB], &[any, picky]).unwrap(), [vec![1], vec![0]]);
    }
}
