//! Room for what is missing by moving others along: one instance goes in, those in its way go
//! elsewhere, and those in their way too.
//!
//! Knows chains of a few moves that keep every constraint. Refuses to give up anything placed,
//! except what has a lower priority than what it makes room for.
//!
//! In large fleets this finds in microseconds most of what an integer program would. `db` goes to
//! `n1`, `web` from there to `n2`, and `job` from there to `n3`.

use crate::place::model::{
    partial::{PartialPlacement, rank::FULL},
    service::Candidate,
};

/// How far a chain may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reach {
    /// Links of a chain after the first.
    depth: u32,
    /// Whether instances that run where they ran before may be moved.
    unsettle: bool,
    /// Whether instances of lower priority may be left without a node.
    displace: bool,
}

/// From the gentlest to the roughest.
const REACHES: [Reach; 6] = [
    Reach { depth: 1, unsettle: false, displace: false },
    Reach { depth: 2, unsettle: false, displace: false },
    Reach { depth: 1, unsettle: true, displace: false },
    Reach { depth: 2, unsettle: true, displace: false },
    Reach { depth: 0, unsettle: true, displace: true },
    Reach { depth: 1, unsettle: true, displace: true },
];

/// Nodes looked at and instances taken out for a try, for each chain.
const STEPS: u32 = 10_000;

/// The same for all chains of a level, where it matters how many are placed.
pub const THOROUGH: u32 = 300_000;

/// The same where all that runs can stay: then little is new, and what is hopeless is tried again
/// in every plan.
pub const REPAIR: u32 = 30_000;

/// The same for a quick look.
pub const BRIEF: u32 = 2_000;

/// Instances that make room for one at most.
const CROWD: usize = 24;

/// Places missing instances of a level in so many steps, and calls `go_on` between two of them.
pub fn place_more(
    partial: &mut PartialPlacement<'_>,
    level: usize,
    steps: u32,
    go_on: &mut dyn FnMut(&PartialPlacement<'_>) -> bool,
) {
    let services: Vec<usize> = (0..partial.indexed.services.len())
        .filter(|&s| partial.indexed.services[s].level == level && partial.missing(s) > 0)
        .filter(|&s| !partial.indexed.services[s].candidates.is_empty())
        .collect();
    let mut closed = vec![false; partial.indexed.services.len()];
    let mut left = steps;
    for (at, &s) in services.iter().enumerate() {
        // What one service leaves of its part is the others'.
        let rest = left - left / (services.len() - at) as u32;
        for reach in REACHES {
            while partial.missing(s) > 0 && left > rest && go_on(partial) {
                let mut chain = Chain::new(partial, &mut closed, level, reach);
                let steps = STEPS.min(left - rest);
                chain.steps = steps;
                let done = chain.insert(s, reach.depth + 1) && chain.in_order();
                if !done {
                    chain.undo(0);
                }
                left -= steps - chain.steps;
                if !done {
                    break;
                }
                closed.fill(false);
            }
        }
    }
}

/// Empties nodes one after the other where everything on them fits elsewhere, the emptiest first.
/// With `hold`, whatever runs where it ran before stays.
pub fn vacate(partial: &mut PartialPlacement<'_>, hold: bool) {
    let mut nodes: Vec<usize> = (0..partial.on_node.len()).collect();
    nodes.retain(|&n| !partial.on_node[n].is_empty());
    nodes.sort_by_key(|&n| (partial.on_node[n].values().sum::<u32>(), n));
    for n in nodes {
        let before = partial.score();
        let reach = Reach { depth: 0, unsettle: !hold, displace: false };
        let mut closed = vec![false; partial.indexed.services.len()];
        let mut chain = Chain::new(partial, &mut closed, 0, reach);
        chain.banned.push(n);
        let gone = chain.empty(n) && chain.in_order();
        if !gone || chain.partial.score() >= before {
            chain.undo(0);
        }
    }
}

/// A chain being tried.
struct Chain<'b, 'f> {
    partial: &'b mut PartialPlacement<'f>,
    /// Service, node, and whether it was put there or taken away.
    trail: Vec<(usize, usize, bool)>,
    /// Nodes of earlier links.
    banned: Vec<usize>,
    steps: u32,
    reach: Reach,
    /// The level of what the chain is for.
    level: usize,
    /// Services that were seen to fit nowhere as things were before the chain. Within one only
    /// nodes that are banned get emptier, so they are not looked at again.
    closed: &'b mut [bool],
}

impl<'b, 'f> Chain<'b, 'f> {
    pub(super) fn new(
        partial: &'b mut PartialPlacement<'f>,
        closed: &'b mut [bool],
        level: usize,
        reach: Reach,
    ) -> Self {
        Self { partial, trail: Vec::new(), banned: Vec::new(), steps: STEPS, reach, level, closed }
    }

    fn put(&mut self, s: usize, n: usize) {
        self.partial.add(s, n);
        self.trail.push((s, n, true));
    }

    pub(super) fn take(&mut self, s: usize, n: usize) {
        self.partial.remove(s, n);
        self.trail.push((s, n, false));
    }

    fn undo(&mut self, mark: usize) {
        while self.trail.len() > mark {
            match self.trail.pop() {
                Some((s, n, true)) => self.partial.remove(s, n),
                Some((s, n, false)) => self.partial.add(s, n),
                None => return,
            }
        }
    }

    /// Whether every service that was touched keeps `near` and `spread`.
    pub(super) fn in_order(&self) -> bool {
        let mut touched: Vec<usize> = self.trail.iter().map(|link| link.0).collect();
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().all(|s| self.partial.in_order(s))
    }

    /// Puts one instance somewhere, others making room over so many links.
    pub(super) fn insert(&mut self, s: usize, links: u32) -> bool {
        if !self.closed[s] {
            if let Some(n) = self.open(s) {
                self.put(s, n);
                return true;
            }
            let service = &self.partial.indexed.services[s];
            // What is spread or near others may fit elsewhere once one of its kind has left.
            self.closed[s] = service.spread.is_empty() && service.near.is_empty();
        }
        if links == 0 {
            return false;
        }
        let nodes = self.tightest(s);
        nodes.iter().any(|&n| self.swap_in(s, n, links))
            || nodes.iter().any(|&n| self.push_in(s, n, links))
    }

    /// The best node that has room as things are.
    fn open(&self, s: usize) -> Option<usize> {
        let candidates =
            self.partial.indexed.services[s].candidates.iter().map(|candidate| candidate.node);
        let fitting = candidates.filter(|n| !self.banned.contains(n) && self.partial.fits(s, *n));
        fitting.min_by_key(|&n| (self.partial.growth(s, n), n))
    }

    /// Nodes where it does not fit for lack of room, the one that lacks least first.
    fn tightest(&self, s: usize) -> Vec<usize> {
        let indexed = self.partial.indexed;
        let service = &indexed.services[s];
        let open = service
            .candidates
            .iter()
            .filter(|candidate| !self.banned.contains(&candidate.node))
            .filter(|candidate| self.partial.count(s, candidate.node) < candidate.most);
        let lack = |n: usize| -> u64 {
            let (used, capacity) = (self.partial.used[n], indexed.nodes[n].capacity);
            (0..3)
                .map(|r| {
                    let over = (used[r] + service.need[r]).saturating_sub(capacity[r]);
                    over.saturating_mul(FULL) / capacity[r].max(1)
                })
                .sum()
        };
        // Who may not be left without a node is better not in the way at all.
        let dear = |n: usize| -> u32 {
            let here = self.partial.on_node[n].iter();
            let dear = here.filter(|(t, _)| indexed.services[**t].level <= self.level);
            if self.reach.displace { dear.map(|(_, count)| count).sum() } else { 0 }
        };
        let key =
            |candidate: &Candidate| (dear(candidate.node), lack(candidate.node), candidate.node);
        let mut nodes: Vec<(u32, u64, usize)> = open.map(key).collect();
        nodes.sort_unstable();
        nodes.into_iter().map(|(_, _, n)| n).collect()
    }

    /// Who may be moved off a node, the easiest to place elsewhere first.
    fn victims(&self, s: usize, n: usize) -> Vec<usize> {
        let indexed = self.partial.indexed;
        let may = |&t: &usize| {
            let settled = self.partial.count(t, n) <= self.partial.staying(t, n);
            t != s && self.partial.may_leave(t, n) && (self.reach.unsettle || !settled)
        };
        let mut list: Vec<usize> = self.partial.on_node[n].keys().copied().filter(may).collect();
        list.sort_by_key(|&t| {
            let it = &indexed.services[t];
            let settled = self.partial.count(t, n) <= self.partial.staying(t, n);
            let dear = if self.reach.displace { it.level } else { 0 };
            let migration_cost = if settled { it.migration_cost } else { 0 };
            let (dear, choices) = (std::cmp::Reverse(dear), std::cmp::Reverse(it.candidates.len()));
            (dear, settled, migration_cost, choices, t)
        });
        list
    }

    /// One instance goes, and this one comes in its place.
    fn swap_in(&mut self, s: usize, n: usize, links: u32) -> bool {
        if self.steps == 0 {
            return false;
        }
        self.steps -= 1;
        let need = self.partial.indexed.services[s].need;
        let capacity = self.partial.indexed.nodes[n].capacity;
        for t in self.victims(s, n) {
            let theirs = self.partial.indexed.services[t].need;
            let used = self.partial.used[n];
            if self.steps == 0 {
                return false;
            }
            if (0..3).any(|r| used[r] - theirs[r] + need[r] > capacity[r]) {
                continue;
            }
            self.steps -= 1;
            let mark = self.trail.len();
            self.take(t, n);
            if self.partial.fits(s, n) {
                self.put(s, n);
                if self.settle(&[t], n, links - 1) {
                    return true;
                }
            }
            self.undo(mark);
        }
        false
    }

    /// Several instances go, and this one comes in their place.
    fn push_in(&mut self, s: usize, n: usize, links: u32) -> bool {
        if self.steps == 0 {
            return false;
        }
        self.steps -= 1;
        let mark = self.trail.len();
        let mut gone = Vec::new();
        for t in self.victims(s, n) {
            while self.partial.may_leave(t, n) && !self.partial.fits(s, n) && gone.len() < CROWD {
                let settled = self.partial.count(t, n) <= self.partial.staying(t, n);
                if settled && !self.reach.unsettle {
                    break;
                }
                self.take(t, n);
                gone.push(t);
            }
        }
        if gone.is_empty() || !self.partial.fits(s, n) {
            self.undo(mark);
            return false;
        }
        self.put(s, n);
        // The last ones taken may have made the earlier ones needless.
        gone.retain(|&t| {
            let stays = self.partial.fits(t, n);
            if stays {
                self.put(t, n);
            }
            !stays
        });
        let done = self.settle(&gone, n, links - 1);
        if !done {
            self.undo(mark);
        }
        done
    }

    /// Finds a node for those who had to leave one, or lets those of lower priority wait.
    pub(super) fn settle(&mut self, gone: &[usize], n: usize, links: u32) -> bool {
        self.banned.push(n);
        let indexed = self.partial.indexed;
        let done = gone.iter().all(|&t| {
            let waits = self.reach.displace && indexed.services[t].level > self.level;
            self.insert(t, links) || waits
        });
        self.banned.pop();
        done
    }

    /// Moves everything off a node.
    pub(super) fn empty(&mut self, n: usize) -> bool {
        let here: Vec<usize> = self.partial.on_node[n].keys().copied().collect();
        here.into_iter().all(|t| {
            while self.partial.count(t, n) > 0 {
                let settled = self.partial.count(t, n) <= self.partial.staying(t, n);
                if !self.partial.may_leave(t, n) || (settled && !self.reach.unsettle) {
                    return false;
                }
                self.take(t, n);
                let Some(to) = self.used_and_open(t) else {
                    return false;
                };
                self.put(t, to);
            }
            true
        })
    }

    /// A node in use that has room.
    fn used_and_open(&self, s: usize) -> Option<usize> {
        let candidates =
            self.partial.indexed.services[s].candidates.iter().map(|candidate| candidate.node);
        let used = candidates
            .filter(|&n| !self.banned.contains(&n) && !self.partial.on_node[n].is_empty());
        used.filter(|&n| self.partial.fits(s, n)).min_by_key(|&n| (self.partial.growth(s, n), n))
    }
}
