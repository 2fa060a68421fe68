//! What holds of small problems holds of large fleets: the order of the input changes nothing, a
//! search stopped anywhere keeps what it had, and more room never places less.

use super::{large::fleet, random::Dice, *};

fn placed(outcome: &Outcome) -> Vec<u32> {
    outcome.levels.iter().map(|level| level.placed).collect()
}

/// The same in another order: of nodes, of services, and of everything listed in them.
fn shuffled(problem: &PlacementProblem, seed: u64) -> PlacementProblem {
    let mut dice = Dice(seed);
    let mut other = problem.clone();
    dice.shuffle(&mut other.nodes);
    dice.shuffle(&mut other.services);
    for node in &mut other.nodes {
        dice.shuffle(&mut node.gpus);
        dice.shuffle(&mut node.tags);
    }
    for service in &mut other.services {
        dice.shuffle(&mut service.apart_from);
        dice.shuffle(&mut service.host_ports);
    }
    other
}

/// Placed from nothing, and after the loss of a node.
#[test]
fn the_order_of_a_large_fleet_changes_nothing() {
    let mut problem = fleet(200, 60);
    problem.limits.ilps = 2;
    let first = place(&problem);
    assert_eq!(first, place(&shuffled(&problem, 1)));
    let mut dead = running(&problem, &first);
    dead.nodes.remove(23);
    let after = checked(&dead);
    assert!(after.moves > 0, "what ran on the node went elsewhere");
    assert_eq!(after, place(&shuffled(&dead, 2)));
}

/// Stopped at its first, second, fourth … question, both from nothing and while it repairs.
#[test]
fn a_large_fleet_stopped_anywhere_keeps_its_best_placement() {
    let stopped = |problem: &PlacementProblem, calls: u32| {
        let (mut left, mut told) = (calls, Vec::new());
        let outcome = place_paced(problem, &mut |progress| {
            told = progress.placed.to_vec();
            left = left.saturating_sub(1);
            if left == 0 { Pace::Stop } else { Pace::Free }
        });
        assert_eq!(verify(problem, &outcome), [], "after {calls} questions");
        assert!(outcome.cut_short, "after {calls} questions");
        assert!(placed(&outcome) >= told, "what was told is not lost: {told:?}");
        for level in &outcome.levels {
            assert!(level.placed <= level.bound, "after {calls} questions: {level:?}");
        }
        outcome
    };
    let mut problem = fleet(200, 92);
    problem.limits.ilps = 4;
    let mut last = Vec::new();
    for calls in [1, 2, 4, 8] {
        let outcome = stopped(&problem, calls);
        assert!(placed(&outcome) >= last, "more time never places less");
        last = placed(&outcome);
    }
    let start = stopped(&problem, 4);
    let mut dead = running(&problem, &start);
    dead.nodes.remove(23);
    let mut last = Vec::new();
    for calls in [1, 3] {
        let outcome = stopped(&dead, calls);
        assert!(placed(&outcome) >= last, "more time never places less");
        last = placed(&outcome);
    }
}

/// Larger nodes, and one node more; placed from nothing, and beside what runs.
#[test]
fn more_room_in_a_fleet_never_places_less() {
    for seed in 0..3 {
        let mut problem = fleet(5 + seed, 115 + 5 * seed);
        problem.limits.suggestions = 0;
        problem.limits.ilps = 1;
        // A node more may be one more domain to spread over.
        problem.services.iter_mut().for_each(|service| service.spread.clear());
        let before = checked(&problem);
        assert!(placed(&before).iter().sum::<u32>() < wanted(&problem), "seed {seed}: full");
        for fill in [problem.clone(), running(&problem, &before)] {
            for kind in 0..2 {
                let mut roomier = fill.clone();
                if kind == 0 {
                    for node in &mut roomier.nodes {
                        node.cpu_milli += 1000;
                        node.memory += 2 * GIB;
                    }
                } else {
                    let mut more = roomier.nodes[0].clone();
                    more.name = node_name("one-more");
                    more.gpus.clear();
                    roomier.nodes.push(more);
                }
                let (was, is) = (placed(&before), placed(&checked(&roomier)));
                assert!(is >= was, "seed {seed}, kind {kind}: {was:?} {is:?}");
                assert!(is > was, "seed {seed}, kind {kind}: so much room is used");
            }
        }
    }
}

fn wanted(problem: &PlacementProblem) -> u32 {
    problem.services.iter().map(|service| service.replicas).sum()
}
