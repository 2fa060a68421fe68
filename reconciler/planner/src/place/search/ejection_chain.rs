//! Room for what is missing by moving others along: one instance goes in, those in its way go
//! elsewhere, and those in their way too.
//!
//! Knows chains of a few moves that keep every constraint. Refuses to give up anything placed,
//! except what has a lower priority than what it makes room for.
//!
//! In large fleets this finds in microseconds most of what an integer program would. `db` goes to
//! `n1`, `web` from there to `n2`, and `job` from there to `n3`.

use crate::place::{
    ix::{NodeIx, PerService, ServiceIx},
    model::{
        partial::{PartialPlacement, rank::FULL},
        service::Candidate,
    },
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
pub(crate) const THOROUGH: u32 = 300_000;

/// The same where all that runs can stay: then little is new, and what is hopeless is tried again
/// in every plan.
pub(crate) const REPAIR: u32 = 30_000;

/// The same for a quick look.
pub(crate) const BRIEF: u32 = 2_000;

/// Instances that make room for one at most.
const CROWD: usize = 24;

/// Places missing instances of a level in so many steps, and calls `go_on` between two of them.
pub(crate) fn place_more(
    partial: &mut PartialPlacement<'_>,
    level: usize,
    steps: u32,
    go_on: &mut dyn FnMut(&PartialPlacement<'_>) -> bool,
) {
    let services: Vec<ServiceIx> = partial
        .indexed
        .services
        .positions()
        .filter(|&service| {
            partial.indexed.services[service].level == level && partial.missing(service) > 0
        })
        .filter(|&service| !partial.indexed.services[service].candidates.is_empty())
        .collect();
    let mut closed = PerService::filled(false, partial.indexed.services.len());
    let mut left = steps;
    for (at, &service) in services.iter().enumerate() {
        // What one service leaves of its part is the others'.
        let rest = left - left / (services.len() - at) as u32;
        for reach in REACHES {
            while partial.missing(service) > 0 && left > rest && go_on(partial) {
                let mut chain = Chain::new(partial, &mut closed, level, reach);
                let steps = STEPS.min(left - rest);
                chain.steps = steps;
                let done = chain.insert(service, reach.depth + 1) && chain.in_order();
                if !done {
                    chain.undo(0);
                }
                left -= steps - chain.steps;
                if !done {
                    break;
                }
                closed.enumerate_mut().for_each(|(_, closed)| *closed = false);
            }
        }
    }
}

/// Empties nodes one after the other where everything on them fits elsewhere, the emptiest first.
/// With `hold`, whatever runs where it ran before stays.
pub(crate) fn vacate(partial: &mut PartialPlacement<'_>, hold: bool) {
    let mut nodes: Vec<NodeIx> = partial.on_node.positions().collect();
    nodes.retain(|&node| !partial.on_node[node].is_empty());
    nodes.sort_by_key(|&node| (partial.on_node[node].values().sum::<u32>(), node));
    for node in nodes {
        let before = partial.score();
        let reach = Reach { depth: 0, unsettle: !hold, displace: false };
        let mut closed = PerService::filled(false, partial.indexed.services.len());
        let mut chain = Chain::new(partial, &mut closed, 0, reach);
        chain.banned.push(node);
        let gone = chain.empty(node) && chain.in_order();
        if !gone || chain.partial.score() >= before {
            chain.undo(0);
        }
    }
}

/// A chain being tried.
struct Chain<'b, 'f> {
    partial: &'b mut PartialPlacement<'f>,
    /// Service, node, and whether it was put there or taken away.
    trail: Vec<(ServiceIx, NodeIx, bool)>,
    /// Nodes of earlier links.
    banned: Vec<NodeIx>,
    steps: u32,
    reach: Reach,
    /// The level of what the chain is for.
    level: usize,
    /// Services that were seen to fit nowhere as things were before the chain. Within one only
    /// nodes that are banned get emptier, so they are not looked at again.
    closed: &'b mut PerService<bool>,
}

impl<'b, 'f> Chain<'b, 'f> {
    pub(super) fn new(
        partial: &'b mut PartialPlacement<'f>,
        closed: &'b mut PerService<bool>,
        level: usize,
        reach: Reach,
    ) -> Self {
        Self { partial, trail: Vec::new(), banned: Vec::new(), steps: STEPS, reach, level, closed }
    }

    fn put(&mut self, service: ServiceIx, node: NodeIx) {
        self.partial.add(service, node);
        self.trail.push((service, node, true));
    }

    pub(super) fn take(&mut self, service: ServiceIx, node: NodeIx) {
        self.partial.remove(service, node);
        self.trail.push((service, node, false));
    }

    fn undo(&mut self, mark: usize) {
        while self.trail.len() > mark {
            match self.trail.pop() {
                Some((service, node, true)) => self.partial.remove(service, node),
                Some((service, node, false)) => self.partial.add(service, node),
                None => return,
            }
        }
    }

    /// Whether every service that was touched keeps `near` and `spread`.
    pub(super) fn in_order(&self) -> bool {
        let mut touched: Vec<ServiceIx> = self.trail.iter().map(|link| link.0).collect();
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().all(|service| self.partial.in_order(service))
    }

    /// Puts one instance somewhere, others making room over so many links.
    pub(super) fn insert(&mut self, service_ix: ServiceIx, links: u32) -> bool {
        if !self.closed[service_ix] {
            if let Some(node) = self.open(service_ix) {
                self.put(service_ix, node);
                return true;
            }
            let service = &self.partial.indexed.services[service_ix];
            // What is spread or near others may fit elsewhere once one of its kind has left.
            self.closed[service_ix] = service.spread.is_empty() && service.near.is_empty();
        }
        if links == 0 {
            return false;
        }
        let nodes = self.tightest(service_ix);
        nodes.iter().any(|&node| self.swap_in(service_ix, node, links))
            || nodes.iter().any(|&node| self.push_in(service_ix, node, links))
    }

    /// The best node that has room as things are.
    fn open(&self, service: ServiceIx) -> Option<NodeIx> {
        let candidates = self.partial.indexed.services[service]
            .candidates
            .iter()
            .map(|candidate| candidate.node);
        let fitting = candidates
            .filter(|node| !self.banned.contains(node) && self.partial.fits(service, *node));
        fitting.min_by_key(|&node| (self.partial.growth(service, node), node))
    }

    /// Nodes where it does not fit for lack of room, the one that lacks least first.
    fn tightest(&self, service_ix: ServiceIx) -> Vec<NodeIx> {
        let indexed = self.partial.indexed;
        let service = &indexed.services[service_ix];
        let open = service
            .candidates
            .iter()
            .filter(|candidate| !self.banned.contains(&candidate.node))
            .filter(|candidate| self.partial.count(service_ix, candidate.node) < candidate.most);
        let lack = |node: NodeIx| -> u64 {
            let (used, capacity) = (self.partial.used[node], indexed.nodes[node].capacity);
            (0..3)
                .map(|resource| {
                    let over = (used[resource] + service.need[resource])
                        .saturating_sub(capacity[resource]);
                    over.saturating_mul(FULL) / capacity[resource].max(1)
                })
                .sum()
        };
        // Who may not be left without a node is better not in the way at all.
        let dear = |node: NodeIx| -> u32 {
            let here = self.partial.on_node[node].iter();
            let dear = here.filter(|(other, _)| indexed.services[**other].level <= self.level);
            if self.reach.displace { dear.map(|(_, count)| count).sum() } else { 0 }
        };
        let key =
            |candidate: &Candidate| (dear(candidate.node), lack(candidate.node), candidate.node);
        let mut nodes: Vec<(u32, u64, NodeIx)> = open.map(key).collect();
        nodes.sort_unstable();
        nodes.into_iter().map(|(_, _, node)| node).collect()
    }

    /// Who may be moved off a node, the easiest to place elsewhere first.
    fn victims(&self, service: ServiceIx, node: NodeIx) -> Vec<ServiceIx> {
        let indexed = self.partial.indexed;
        let may = |&other: &ServiceIx| {
            let settled = self.partial.count(other, node) <= self.partial.staying(other, node);
            other != service
                && self.partial.may_leave(other, node)
                && (self.reach.unsettle || !settled)
        };
        let mut list: Vec<ServiceIx> =
            self.partial.on_node[node].keys().copied().filter(may).collect();
        list.sort_by_key(|&other| {
            let it = &indexed.services[other];
            let settled = self.partial.count(other, node) <= self.partial.staying(other, node);
            let dear = if self.reach.displace { it.level } else { 0 };
            let migration_cost = if settled { it.migration_cost } else { 0 };
            let (dear, choices) = (std::cmp::Reverse(dear), std::cmp::Reverse(it.candidates.len()));
            (dear, settled, migration_cost, choices, other)
        });
        list
    }

    /// One instance goes, and this one comes in its place.
    fn swap_in(&mut self, service: ServiceIx, node: NodeIx, links: u32) -> bool {
        if self.steps == 0 {
            return false;
        }
        self.steps -= 1;
        let need = self.partial.indexed.services[service].need;
        let capacity = self.partial.indexed.nodes[node].capacity;
        for other in self.victims(service, node) {
            let theirs = self.partial.indexed.services[other].need;
            let used = self.partial.used[node];
            if self.steps == 0 {
                return false;
            }
            if (0..3).any(|resource| {
                used[resource] - theirs[resource] + need[resource] > capacity[resource]
            }) {
                continue;
            }
            self.steps -= 1;
            let mark = self.trail.len();
            self.take(other, node);
            if self.partial.fits(service, node) {
                self.put(service, node);
                if self.settle(&[other], node, links - 1) {
                    return true;
                }
            }
            self.undo(mark);
        }
        false
    }

    /// Several instances go, and this one comes in their place.
    fn push_in(&mut self, service: ServiceIx, node: NodeIx, links: u32) -> bool {
        if self.steps == 0 {
            return false;
        }
        self.steps -= 1;
        let mark = self.trail.len();
        let mut gone = Vec::new();
        for other in self.victims(service, node) {
            while self.partial.may_leave(other, node)
                && !self.partial.fits(service, node)
                && gone.len() < CROWD
            {
                let settled = self.partial.count(other, node) <= self.partial.staying(other, node);
                if settled && !self.reach.unsettle {
                    break;
                }
                self.take(other, node);
                gone.push(other);
            }
        }
        if gone.is_empty() || !self.partial.fits(service, node) {
            self.undo(mark);
            return false;
        }
        self.put(service, node);
        // The last ones taken may have made the earlier ones needless.
        gone.retain(|&other| {
            let stays = self.partial.fits(other, node);
            if stays {
                self.put(other, node);
            }
            !stays
        });
        let done = self.settle(&gone, node, links - 1);
        if !done {
            self.undo(mark);
        }
        done
    }

    /// Finds a node for those who had to leave one, or lets those of lower priority wait.
    pub(super) fn settle(&mut self, gone: &[ServiceIx], node: NodeIx, links: u32) -> bool {
        self.banned.push(node);
        let indexed = self.partial.indexed;
        let done = gone.iter().all(|&other| {
            let waits = self.reach.displace && indexed.services[other].level > self.level;
            self.insert(other, links) || waits
        });
        self.banned.pop();
        done
    }

    /// Moves everything off a node.
    pub(super) fn empty(&mut self, node: NodeIx) -> bool {
        let here: Vec<ServiceIx> = self.partial.on_node[node].keys().copied().collect();
        here.into_iter().all(|other| {
            while self.partial.count(other, node) > 0 {
                let settled = self.partial.count(other, node) <= self.partial.staying(other, node);
                if !self.partial.may_leave(other, node) || (settled && !self.reach.unsettle) {
                    return false;
                }
                self.take(other, node);
                let Some(to) = self.used_and_open(other) else {
                    return false;
                };
                self.put(other, to);
            }
            true
        })
    }

    /// A node in use that has room.
    fn used_and_open(&self, service: ServiceIx) -> Option<NodeIx> {
        let candidates = self.partial.indexed.services[service]
            .candidates
            .iter()
            .map(|candidate| candidate.node);
        let used = candidates
            .filter(|&node| !self.banned.contains(&node) && !self.partial.on_node[node].is_empty());
        used.filter(|&node| self.partial.fits(service, node))
            .min_by_key(|&node| (self.partial.growth(service, node), node))
    }
}
