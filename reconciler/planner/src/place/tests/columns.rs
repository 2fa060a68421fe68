//! Column generation: no placement exceeds its ceilings, and it finds what rules of thumb miss.

use super::{
    random::{Dice, small},
    *,
};
use crate::place::{columns::Columns, field::Field, greedy, pace::Pace, work::Work};

#[cfg(feature = "highs")]
#[test]
fn no_placement_exceeds_a_ceiling() {
    let mut tight = 0;
    for seed in 5000..5400 {
        let mut problem = small(seed);
        problem.services.iter_mut().for_each(|service| service.current.clear());
        let placed = brute::best(&problem).placed;
        let field = Field::new(&problem);
        // The floors are what the best placement has, so that a mix that keeps them exists only if
        // the fillings known hold it.
        let mut go_on = |_: &Progress<'_>| Pace::Free;
        let mut work = Work::new(&mut go_on);
        let mut columns = Columns::of(&field);
        columns.learn(&pipeline::placed(&field, &mut work));
        for level in 0..placed.len() {
            let most = columns.generate(level, &placed, &mut work);
            let most = most.unwrap_or_else(|| panic!("seed {seed}: no optimum"));
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
    let field = Field::new(&problem);
    let mut go_on = |_: &Progress<'_>| Pace::Free;
    let mut work = Work::new(&mut go_on);
    let first = greedy::STYLES.map(|style| greedy::run(&field, style));
    assert!(first.iter().all(|board| board.placed()[0] < 40));
    let mut columns = Columns::of(&field);
    columns.learn(&first[0]);
    assert_eq!(columns.generate(0, &[], &mut work), Some(40));
    let board = columns.board(0, &first[0], &mut work).expect("a mix of whole fillings");
    assert!(board.sound() && board.placed()[0] > first[0].placed()[0], "{:?}", board.placed());
}

#[test]
fn without_prices_nothing_is_generated() {
    let mut problem = exact();
    problem.limits.solver = SolverChoice::Microlp;
    let field = Field::new(&problem);
    let mut go_on = |_: &Progress<'_>| Pace::Free;
    let mut columns = Columns::of(&field);
    assert_eq!(columns.generate(0, &[], &mut Work::new(&mut go_on)), None);
    assert!(Columns::new(&field).is_none(), "ten nodes are no large fleet");
}
