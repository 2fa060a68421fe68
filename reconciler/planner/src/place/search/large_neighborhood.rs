//! Large neighborhoods: a few nodes are emptied and filled again by a small integer program.
//!
//! Knows which nodes to try. Refuses to accept anything worse than what it started from.
//!
//! A fleet of fifty nodes is too much for one program, and four nodes with room are not. The nodes
//! are drawn with a fixed seed, the roomiest likelier.

use std::collections::BTreeSet;

use super::{
    construct,
    style::{self, REPAIRS},
};
use crate::place::{
    effort::spent::Spent,
    ix::{NodeIx, ServiceIx},
    model::partial::PartialPlacement,
    program::{
        formulation::{Goal, Subproblem},
        refine,
    },
};

/// Nodes emptied at a time; four beat six on fleets of 50 and 200 nodes.
const NODES: usize = 4;

/// Branch-and-bound nodes of one small formulation.
const EFFORT: u32 = 100;

/// Tries without any gain after which a level is left as it is.
const PATIENCE: u32 = 24;

/// The same for moves.
const MOVES_PATIENCE: u32 = 8;

/// A small generator with a fixed seed (splitmix64): the same input, the same tries.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides.max(1) as u64) as usize
    }
}

/// Places more at one level until the bound is met, tries run out, or patience does.
pub(crate) fn place_more(
    best: &mut PartialPlacement<'_>,
    level: usize,
    bound: u32,
    spent: &mut Spent<'_>,
) {
    let mut dice = Dice(level as u64);
    let mut idle = 0;
    let mut turn = 0;
    while best.placed()[level] < bound && idle < PATIENCE {
        let missing: Vec<ServiceIx> = best
            .indexed
            .services
            .positions()
            .filter(|&service| {
                best.indexed.services[service].level == level && best.missing(service) > 0
            })
            .filter(|&service| !best.indexed.services[service].candidates.is_empty())
            .collect();
        if missing.is_empty() || spent.ilps >= best.indexed.problem.limits.ilps {
            return;
        }
        let target = missing[turn % missing.len()];
        turn += 1;
        let before = best.placed();
        try_once(best, target, level, &mut dice, spent);
        idle = if best.placed() > before { 0 } else { idle + 1 };
    }
}

/// Brings instances that moved back home, others making room, until the bound is met, tries run
/// out, or patience does.
pub(crate) fn move_less(best: &mut PartialPlacement<'_>, bound: u64, spent: &mut Spent<'_>) {
    let mut dice = Dice(0x6d6f_7665);
    let mut idle = 0;
    let mut turn = 0;
    while best.moves().1 > bound && idle < MOVES_PATIENCE {
        let strays = strays(best);
        if strays.is_empty() || spent.ilps >= best.indexed.problem.limits.ilps {
            return;
        }
        let (service, home) = strays[turn % strays.len()];
        turn += 1;
        let mut nodes = choose(best, service, &mut dice);
        nodes.truncate(NODES - 1);
        nodes.push(home);
        nodes.sort_unstable();
        nodes.dedup();
        let subproblem = Subproblem {
            partial: best,
            nodes,
            floors: best.placed().into_iter().enumerate().collect(),
            migration_cap: None,
            score_cap: None,
            detailed: BTreeSet::new(),
            goal: Goal::Moves,
        };
        let step = refine::run(subproblem, EFFORT, spent);
        idle += 1;
        if let Some(step) = step.filter(|step| step.partial.rank().beats(&best.rank())) {
            idle = 0;
            *best = step.partial;
        }
    }
}

/// Services with fewer instances on a node than could have stayed there, and those with newcomers
/// where others restart.
fn strays(partial: &PartialPlacement<'_>) -> Vec<(ServiceIx, NodeIx)> {
    let services = partial.indexed.services.enumerate();
    services
        .flat_map(|(service_ix, service)| {
            let left = service.candidates.iter().filter(move |c| {
                let (kept, count) =
                    (partial.staying(service_ix, c.node), partial.count(service_ix, c.node));
                let disturbs =
                    service.wants_gpu() && count > kept && partial.restarts_on(c.node) > 0;
                kept < c.current || disturbs
            });
            left.map(move |candidate| (service_ix, candidate.node))
        })
        .collect()
}

fn try_once(
    best: &mut PartialPlacement<'_>,
    service: ServiceIx,
    level: usize,
    dice: &mut Dice,
    spent: &mut Spent<'_>,
) {
    let indexed = best.indexed;
    let nodes = choose(best, service, dice);
    let placed = best.placed();
    let lower: u32 = indexed.wanted()[level + 1..].iter().sum();
    let weights = (0..indexed.levels.len())
        .map(|l| match l.cmp(&level) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => 1 + lower.min(1000),
            std::cmp::Ordering::Greater => 1,
        })
        .collect();
    let subproblem = Subproblem {
        partial: best,
        nodes,
        floors: placed.iter().copied().enumerate().take(level + 1).collect(),
        migration_cap: None,
        score_cap: None,
        detailed: BTreeSet::new(),
        goal: Goal::Place { weights, keep: true },
    };
    let Some(step) = refine::run(subproblem, EFFORT, spent) else {
        return;
    };
    let mut partial = step.partial;
    let order = style::order(indexed, style::Order::FewestCandidates);
    construct::fill(&mut partial, &order, REPAIRS[0]);
    let (new, old) = (partial.rank(), best.rank());
    let level_pegging = new.placed == old.placed && new.migration_cost <= old.migration_cost;
    if partial.sound() && (new.beats(&old) || level_pegging) {
        *best = partial;
    }
}

/// Nodes for a service, the roomiest ones likelier.
fn choose(partial: &PartialPlacement<'_>, service_ix: ServiceIx, dice: &mut Dice) -> Vec<NodeIx> {
    let service = &partial.indexed.services[service_ix];
    let room = |node_ix: NodeIx| -> u64 {
        let node = &partial.indexed.nodes[node_ix];
        let part = |resource: usize| match service.need[resource] {
            0 => u64::MAX,
            need => {
                node.capacity[resource]
                    .saturating_sub(partial.used[node_ix][resource])
                    .saturating_mul(100)
                    / need
            }
        };
        (0..3).map(part).min().unwrap_or(0)
    };
    let open = service
        .candidates
        .iter()
        .filter(|candidate| partial.count(service_ix, candidate.node) < candidate.most);
    let mut pool: Vec<NodeIx> = open.map(|candidate| candidate.node).collect();
    pool.sort_by_key(|&node_ix| (std::cmp::Reverse(room(node_ix)), node_ix));
    let mut chosen = Vec::new();
    while chosen.len() < NODES && !pool.is_empty() {
        // The smaller of two rolls favours the front.
        let at = dice.roll(pool.len()).min(dice.roll(pool.len()));
        chosen.push(pool.remove(at));
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::{
        search::{construct::run, locks::settled},
        tests::random::small,
    };

    /// Nodes taken at random are nearly always of no use in a large fleet.
    #[test]
    fn only_nodes_that_could_take_one_more_are_emptied() {
        let mut chosen = 0;
        for seed in 0..100 {
            let problem = small(seed);
            let indexed = settled(&problem);
            let partial = run(&indexed, REPAIRS[0]);
            for service in
                indexed.services.positions().filter(|&service| partial.missing(service) > 0)
            {
                for node in choose(&partial, service, &mut Dice(seed)) {
                    let candidate =
                        indexed.services[service].candidate(node).expect("it may be there");
                    assert!(partial.count(service, node) < candidate.most, "seed {seed}");
                    chosen += 1;
                }
            }
        }
        assert!(chosen > 50, "{chosen}");
    }
}
