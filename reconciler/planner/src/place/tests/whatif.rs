//! What has not happened yet: changes, losses, and moves towards balance.

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
fn changes_make_another_problem_and_leave_this_one() {
    let now = busy();
    let drained = whatif(&now, &[Change::Drain(node_name("atlas"))]).unwrap();
    let outcome = checked(&drained);
    assert_eq!((outcome.moves, outcome.missing()), (4, 0));
    assert!(outcome.assignments.values().all(|place| place.node.as_str() != "atlas"));

    let fewer = whatif(&now, &[Change::Without(node_name("vega"))]).unwrap();
    assert_eq!(fewer.nodes.len(), 2);
    let mut spare = node("spare", 8, 8);
    spare.tags.push("new".to_owned());
    let changes = [Change::With(spare), Change::Scale(service_name("web"), 20)];
    let outcome = checked(&whatif(&now, &changes).unwrap());
    // 4 + 4 + 4 + 8 cores less the one of db.
    assert_eq!(outcome.missing(), 1);
    assert_eq!(now, busy());
}

#[test]
fn a_change_of_what_is_not_there_says_so() {
    let now = busy();
    let error = |change| whatif(&now, &[change]).unwrap_err().to_string();
    let text = "there is no node mars: `devnet get nodes` lists them";
    assert_eq!(error(Change::Drain(node_name("mars"))), text);
    assert_eq!(error(Change::Without(node_name("mars"))), text);
    let text = "there is no service api: `devnet get services` lists them";
    assert_eq!(error(Change::Scale(service_name("api"), 1)), text);
    let text = "there is a node nas already: give the new one another name";
    assert_eq!(error(Change::With(node("nas", 1, 1))), text);
}

#[test]
fn every_loss_tells_what_would_stop() {
    let mut now = busy();
    now.services[0].replicas = 8;
    let losses = survive(&now);
    let names: Vec<&str> = losses.iter().map(|loss| loss.node.as_str()).collect();
    assert_eq!(names, ["atlas", "nas", "vega"]);
    let stopped = |at: usize| -> Vec<(&str, u32)> {
        losses[at].stopped.iter().map(|(name, count)| (name.as_str(), *count)).collect()
    };
    // Seven cores are left without atlas, and one more instance finds no room.
    assert_eq!(stopped(0), [("web", 1)]);
    // The data of db cannot follow.
    assert!(stopped(1).contains(&("db", 1)), "{:?}", losses[1]);
    assert!(losses.iter().all(|loss| loss.proven));
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
        let gained: u64 = some.gains.iter().map(|gain| gain.gain).sum();
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
