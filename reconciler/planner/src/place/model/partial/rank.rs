//! How good a placement is: placed by level, migration cost, score.
//!
//! Knows the objective and compares one level at a time. Refuses to weigh one level against
//! another.
//!
//! Nothing placed is ever given up for a better score. The score of balance is the square of use as
//! five tangents, so that integer programs can hold exactly the same number.

use super::PartialPlacement;
use crate::place::{
    ix::{NodeIx, ServiceIx},
    problem::Objective,
};

/// How good a placement is; compare with [`Rank::beats`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rank {
    /// Placed at each level, highest first.
    pub placed: Vec<u32>,
    /// Price of the moves.
    pub migration_cost: u64,
    /// Score in millionths.
    pub score: u64,
    rebalance: bool,
}

impl Rank {
    /// Whether this is better than the other, one level at a time.
    pub(crate) fn beats(&self, other: &Self) -> bool {
        let rest = |rank: &Self| {
            if rank.rebalance {
                (rank.score, rank.migration_cost)
            } else {
                (rank.migration_cost, rank.score)
            }
        };
        other.placed.cmp(&self.placed).then(rest(self).cmp(&rest(other))).is_lt()
    }
}

impl<'f> PartialPlacement<'f> {
    /// Placed at each level, highest first.
    pub(crate) fn placed(&self) -> Vec<u32> {
        let mut placed = vec![0; self.indexed.levels.len()];
        for (service, &total) in self.indexed.services.iter().zip(&self.total) {
            placed[service.level] += total;
        }
        placed
    }

    /// Instances that do not stay, and the price of that: theirs, and a restart for each that stays
    /// on other devices.
    pub(crate) fn moves(&self) -> (u32, u64) {
        let mut sum = (0, u64::from(self.restarts()));
        for (service_ix, service) in self.indexed.services.enumerate() {
            let kept: u32 = self.of_service[service_ix]
                .keys()
                .map(|&node| self.staying(service_ix, node))
                .sum();
            let moved = service.running() - kept;
            sum = (sum.0 + moved, sum.1 + u64::from(moved) * service.migration_cost);
        }
        sum
    }

    /// The whole score in millionths.
    pub(crate) fn score(&self) -> u64 {
        let nodes: u64 = self.on_node.positions().map(|node| self.node_score(node)).sum();
        let wishes: u64 = self
            .of_service
            .enumerate()
            .map(|(service, nodes)| {
                let migration_cost = |(&node, &count): (&NodeIx, &u32)| {
                    let candidate = self.indexed.services[service].candidate(node);
                    u64::from(count) * candidate.map_or(0, |candidate| candidate.soft_cost)
                };
                nodes.iter().map(migration_cost).sum::<u64>()
            })
            .sum();
        nodes + wishes
    }

    /// What one node adds to the score.
    pub(crate) fn node_score(&self, node: NodeIx) -> u64 {
        match self.indexed.problem.objective {
            Objective::Pack => u64::from(!self.on_node[node].is_empty()) * FULL,
            Objective::Balance => self.crowded([0; 2], node),
        }
    }

    /// What one more instance of a service on a node would add to the score.
    pub(crate) fn growth(&self, service: ServiceIx, node: NodeIx) -> u64 {
        let it = &self.indexed.services[service];
        let more = match self.indexed.problem.objective {
            Objective::Pack => u64::from(self.on_node[node].is_empty()) * FULL,
            Objective::Balance => {
                let after = self.crowded([it.need[0], it.need[1]], node);
                after.saturating_sub(self.crowded([0; 2], node))
            }
        };
        more + it.candidate(node).map_or(0, |candidate| candidate.soft_cost)
    }

    fn crowded(&self, more: [u64; 2], node: NodeIx) -> u64 {
        let capacity = self.indexed.nodes[node].capacity;
        (0..2)
            .map(|resource| {
                crowding(
                    self.used[node][resource].saturating_add(more[resource]),
                    capacity[resource],
                )
            })
            .sum()
    }

    pub(crate) fn rank(&self) -> Rank {
        Rank {
            placed: self.placed(),
            migration_cost: self.moves().1,
            score: self.score(),
            rebalance: self.indexed.problem.limits.rebalance,
        }
    }
}

/// The score of one resource in full use, and of one node in use under `pack`.
pub(crate) const FULL: u64 = 1_000_000;

/// Where the tangents of the square touch, in tenths of use.
pub(crate) const TANGENTS: [u64; 5] = [2, 4, 6, 8, 10];

/// The square of the use of one resource, as the highest of five tangents, in millionths: convex,
/// so that even use is cheapest, and piecewise linear, so that integer programs can hold it.
pub(crate) fn crowding(used: u64, capacity: u64) -> u64 {
    if capacity == 0 {
        return 0;
    }
    let used = match used.checked_mul(FULL) {
        Some(product) => product / capacity,
        None => (u128::from(used) * u128::from(FULL) / u128::from(capacity)) as u64,
    };
    let tangent = |t: &u64| (2 * t * used / 10).saturating_sub(t * t * FULL / 100);
    TANGENTS.iter().map(tangent).max().unwrap_or(0)
}

/// By how much the score of a resource exceeds its tangent at so many tenths where one instance
/// alone takes `need` of it; 0 where it does not reach that far.
///
/// The score less a tangent is convex and 0 where it touches, so for several instances on one node
/// it is at least the sum of what each exceeds it by. That makes rows of whole instances tighter
/// than those of their mere sum: fractions of a large one would be free of it.
pub(crate) fn excess(need: u64, capacity: u64, tenths: u64) -> f64 {
    let (used, t) = (need as f64 / capacity.max(1) as f64, tenths as f64 / 10.0);
    if used <= t {
        return 0.0;
    }
    let tangent = |t: f64| 2.0 * t * used - t * t;
    let score = TANGENTS.iter().map(|&t| tangent(t as f64 / 10.0)).fold(0.0, f64::max);
    (score - tangent(t)).max(0.0)
}
