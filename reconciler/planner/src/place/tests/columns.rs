//! Column generation: no placement exceeds its ceilings, and it finds what rules of thumb miss.

use super::{
    random::{Dice, small},
    *,
};
#[cfg(feature = "highs")]
use crate::place::search::{construct, strategy, style};
use crate::place::{
    effort::spent::Spent, model::index::IndexedProblem, program::column_generation::Columns,
};

/// A small problem where nothing runs, in three of four cases with a second node like the first
/// one, in some of those with its devices the other way round; and in a third with sizes that have
/// no common unit.
#[cfg_attr(not(feature = "highs"), expect(dead_code, reason = "such a test needs HiGHS"))]
fn odd_and_alike(seed: u64) -> PlacementProblem {
    let mut problem = small(seed);
    for (at, service) in problem.services.iter_mut().enumerate() {
        service.current.clear();
        if seed.is_multiple_of(3) {
            service.memory += [0, 1, 7, 3][at % 4];
        }
    }
    if !seed.is_multiple_of(4) {
        let mut twin = problem.nodes[0].clone();
        twin.name = node_name("twin");
        twin.gpus.iter_mut().enumerate().for_each(|(at, gpu)| gpu.id = format!("twin-{at}"));
        if seed % 4 > 1 {
            let ids: Vec<String> = twin.gpus.iter().map(|gpu| gpu.id.clone()).collect();
            twin.gpus.reverse();
            twin.gpus.iter_mut().zip(ids).for_each(|(gpu, id)| gpu.id = id);
        }
        problem.nodes.truncate(2);
        problem.nodes.push(twin);
    }
    problem
}

#[cfg(feature = "highs")]
#[test]
fn no_placement_exceeds_a_ceiling() {
    let mut tight = 0;
    for seed in 5000..5400 {
        let problem = odd_and_alike(seed);
        let placed = brute::best(&problem).placed;
        let indexed = IndexedProblem::new(&problem);
        // The floors are what the best placement has, so that a mix that keeps them exists only if
        // the patterns known hold it.
        let mut go_on = |_: &Progress<'_>| Pace::Free;
        let mut spent = Spent::new(&mut go_on);
        let mut columns = Columns::of(&indexed);
        columns.learn(&strategy::placed(&indexed, &mut spent));
        for level in 0..placed.len() {
            // Nothing is known where sizes had to be rounded.
            let most = columns.generate(level, &placed, &mut spent).unwrap_or(u32::MAX);
            assert!(most >= placed[level], "seed {seed}, level {level}: {most} {placed:?}");
            tight += u32::from(most == placed[level]);
        }
    }
    assert!(tight > 500, "only {tight} ceilings are tight");
}

/// Ten nodes that 40 instances fill to the last hundredth of a core: each node by four, of
/// one of five foursomes.
fn exact() -> PlacementProblem {
    let mut dice = Dice(24);
    let nodes = (0..10).map(|n| node(&format!("n{n:02}"), 10, 64)).collect();
    let mut services = Vec::new();
    for foursome in 0..5 {
        let three = [(); 3].map(|()| 1500 + 10 * dice.roll(150));
        let last = 10_000 - three.iter().sum::<u64>();
        for (at, size) in three.into_iter().chain([last]).enumerate() {
            let mut service = service(&format!("s{foursome}-{at}"), 2);
            service.cpu_milli = size;
            services.push(service);
        }
    }
    problem(nodes, services)
}

#[cfg(feature = "highs")]
#[test]
fn fillings_are_found_that_rules_of_thumb_miss() {
    let problem = exact();
    let indexed = IndexedProblem::new(&problem);
    let mut go_on = |_: &Progress<'_>| Pace::Free;
    let mut spent = Spent::new(&mut go_on);
    let first = style::STYLES.map(|style| construct::run(&indexed, style));
    assert!(first.iter().all(|partial| partial.placed()[0] < 40));
    let mut columns = Columns::of(&indexed);
    columns.learn(&first[0]);
    assert_eq!(columns.generate(0, &[], &mut spent), Some(40));
    let partial = columns.partial(0, &first[0], &mut spent).expect("a mix of whole patterns");
    assert!(
        partial.sound() && partial.placed()[0] > first[0].placed()[0],
        "{:?}",
        partial.placed()
    );
}

#[test]
fn without_prices_nothing_is_generated() {
    let mut problem = exact();
    problem.limits.solver = SolverChoice::Microlp;
    let indexed = IndexedProblem::new(&problem);
    let mut go_on = |_: &Progress<'_>| Pace::Free;
    let mut columns = Columns::of(&indexed);
    assert_eq!(columns.generate(0, &[], &mut Spent::new(&mut go_on)), None);
    assert!(Columns::new(&indexed).is_none(), "ten nodes are no large fleet");
}

/// Odd sizes fill a node exactly, and rounded up they would not.
#[cfg(feature = "highs")]
#[test]
fn what_had_to_be_rounded_proves_nothing() {
    let nodes = (0..3).map(|n| node(&format!("n{n}"), 10, 8)).collect();
    let sizes = [5 * GIB + 1, 3 * GIB - 1, 6 * GIB + 7];
    let services = sizes.into_iter().enumerate().map(|(s, memory)| {
        let mut service = service(&format!("s{s}"), [3, 3, 1][s]);
        service.memory = memory;
        service
    });
    let problem = problem(nodes, services.collect());
    let indexed = IndexedProblem::new(&problem);
    let mut go_on = |_: &Progress<'_>| Pace::Free;
    let mut columns = Columns::of(&indexed);
    let most = columns.generate(0, &[], &mut Spent::new(&mut go_on));
    assert!(most.is_none_or(|most| most >= 6), "{most:?}, and three times the first two fit");
}

/// A large fleet that only whole patterns fill, stopped at many moments.
#[cfg(feature = "highs")]
#[test]
fn a_search_for_fillings_can_be_stopped() {
    let mut problem = exact();
    problem.services.iter_mut().for_each(|service| service.replicas *= 40);
    problem.nodes = (0..400).map(|n| node(&format!("n{n:03}"), 10, 640)).collect();
    assert!(Columns::new(&IndexedProblem::new(&problem)).is_some());
    let mut least = 0;
    for stop in [1, 6, 20, 60] {
        let mut calls = 0;
        let outcome = place_paced(&problem, &mut |_| {
            calls += 1;
            if calls > stop { Pace::Stop } else { Pace::Free }
        });
        assert!(outcome.cut_short && verify(&problem, &outcome).is_empty(), "after {stop}");
        assert!(outcome.levels[0].placed >= least, "after {stop}: {:?}", outcome.levels);
        least = outcome.levels[0].placed;
    }
}
