//! Moves towards balance.

use super::*;

/// Two nodes with one service on each, and a third that is idle.
fn busy() -> PlacementProblem {
    let mut web = service("web", 4);
    let mut db = service("db", 1);
    db.movable = false;
    for index in 0..4 {
        runs_on(&mut web, index, "atlas");
    }
    runs_on(&mut db, 0, "nas");
    problem(vec![node("atlas", 4, 8), node("nas", 4, 8), node("vega", 4, 8)], vec![web, db])
}

#[test]
fn a_few_moves_go_where_they_gain_most() {
    let now = busy();
    let none = rebalance(&now, 0);
    assert!(none.gains.is_empty());
    assert_eq!(none.outcome.moves, 0);
    let mut last = none.outcome.cost;
    for most in 1..4 {
        let some = rebalance(&now, most);
        assert_eq!(verify(&now, &some.outcome), []);
        assert!(some.outcome.moves <= most && some.gains.len() <= most as usize);
        let gained: u64 = some.gains.iter().map(|gain| gain.before - gain.after).sum();
        assert!(none.outcome.cost.abs_diff(some.outcome.cost + gained) <= 8);
        assert!(some.outcome.cost <= last && some.outcome.bound <= some.outcome.cost);
        last = some.outcome.cost;
        for gain in &some.gains {
            assert_eq!(gain.from.as_str(), "atlas");
            assert_eq!(some.outcome.assignments[&gain.instance].node, gain.to);
        }
    }
    assert!(last < none.outcome.cost);
}

#[test]
fn a_gain_says_what_of_it_a_wish_is_and_the_best_score_is_optimal() {
    let mut web = service("web", 1);
    (web.cpu_milli, web.memory) = (0, 0);
    runs_on(&mut web, 0, "atlas");
    let wish = condition(Key::Node, &["nas"]);
    web.prefer.push(Prefer { condition: wish, weight: 2 });
    let now = problem(vec![node("atlas", 4, 8), node("nas", 4, 8)], vec![web]);
    let some = rebalance(&now, 1);
    let gains: Vec<_> =
        some.gains.iter().map(|it| (it.before - it.after, it.from_prefer)).collect();
    assert_eq!(gains, [(200_000, 200_000)]);
    assert_eq!(some.gains[0].document().from_prefer, 0.2);
    assert_eq!((some.outcome.cost, some.outcome.status), (0, PlacementStatus::Optimal));
    // Without a wish all of a gain is evenness, and what one move reaches is not the best.
    let even = rebalance(&busy(), 1);
    assert_eq!(even.gains[0].from_prefer, 0);
    assert_eq!(even.outcome.status, PlacementStatus::Feasible);
    assert!(even.outcome.bound < even.outcome.cost);
}

/// No single move leaves a node unused, and two do: they share what that gains.
#[test]
fn moves_that_only_together_leave_a_node_unused_are_made() {
    let mut web = service("web", 4);
    (0..4).for_each(|index| runs_on(&mut web, index, if index < 2 { "atlas" } else { "nas" }));
    let mut now = problem(vec![node("atlas", 4, 8), node("nas", 4, 8)], vec![web]);
    now.objective = Objective::Pack;
    let some = rebalance(&now, 10);
    assert_eq!(verify(&now, &some.outcome), []);
    let gains: Vec<u64> = some.gains.iter().map(|it| it.before - it.after).collect();
    assert_eq!((gains, some.outcome.moves), (vec![500_000; 2], 2));
    assert_eq!(some.outcome.cost, 1_000_000);
    // One is not enough, which proves nothing; where none is asked for, none is the best.
    for (most, status) in [(1, PlacementStatus::Feasible), (0, PlacementStatus::Optimal)] {
        let none = rebalance(&now, most);
        assert_eq!((none.gains.len(), none.outcome.status), (0, status), "{most}");
    }
}
