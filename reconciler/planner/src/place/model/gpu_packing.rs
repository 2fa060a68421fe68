//! Which instance gets which device of one node: exact packing.
//!
//! Knows when a search is needed and how long it may take. Refuses to know services, nodes, or
//! which instances ought to be packed.
//!
//! Placement asks `fits` very often and briefly, and `pack` once an arrangement is wanted. Twenty
//! thousand steps are far more than eight devices need.

use super::{gpu_bound::least, gpu_request::Group, gpu_search::Search};

/// Steps of the search before it gives up and answers with what it has, or with "does not fit".
pub(crate) const THOROUGH: u32 = 20_000;

/// The same where it is asked very often.
pub(crate) const BRIEF: u32 = 1_000;

/// Devices for every instance of every group, in this order, as bits, so that as few as possible
/// of those that are there restart; nothing where they do not all fit.
///
/// Exact up to so many steps; [`THOROUGH`] is far more than eight devices need.
pub(crate) fn pack(memories: &[u64], groups: &[Group], steps: u32) -> Option<Vec<Vec<u128>>> {
    let mut search = Search::new(memories, groups, steps);
    search.descend(0);
    search.best.map(|(_, chosen)| chosen)
}

/// Whether they fit; a long search is given up sooner than by [`pack`] and answers "no".
pub(crate) fn fits(memories: &[u64], groups: &[Group]) -> bool {
    if least(memories, groups) > memories.len() as u64 {
        return false;
    }
    let mut search = Search::new(memories, groups, BRIEF);
    search.any = true;
    search.descend(0);
    search.best.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use devnet_schema::quantity::{Bytes, GpuRequest};

    use crate::place::model::gpu_request::Item;

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
