//! Moves that nothing forces, and limits of time: what a plan says of both.

use std::{cell::Cell, time::Duration};

use devnet_schema::plan::Plan;
use expect_test::expect;

use super::{World, load, node, show};
use crate::{PlanInput, place::Pace, plan_paced};

/// Six instances without data and one with; the file that a world of one node was given first.
const CROWD: &str = r#"
cluster "lab"
service "web" { image "web:1"; replicas 6; resources cpu="0.5" memory="1GiB" }
service "db" { image "db:1"; resources cpu="0.5" memory="1GiB"; volume "data" at="/d" }
"#;

/// Everything on one node, and two idle ones that joined later.
fn crowded() -> World {
    let mut world = World::of(&["alpha"]);
    world.reach(CROWD);
    world.fleet.nodes.extend([node("beta", 2), node("gamma", 3)]);
    world
}

fn paced(world: &World, kdl: &str, pace: &mut dyn FnMut() -> Pace) -> Plan {
    let loaded = load(kdl);
    let input = PlanInput {
        desired: loaded.desired.as_ref().unwrap(),
        catalog: &loaded.catalog,
        fleet: &world.fleet,
        revision: "r1",
        generations: &world.generations,
        options: world.options.clone(),
        policy: world.policy.clone(),
        limits: world.limits.clone(),
        created_at: "2026-11-22T12:00:00Z",
    };
    plan_paced(&input, &mut |_| pace())
}

#[test]
fn a_rebalanced_cluster_stays_as_it_is() {
    let mut world = crowded();
    assert!(world.plan(CROWD).changes.is_empty(), "nothing moves unasked");
    world.options.max_moves = 3;
    let plan = world.plan(CROWD);
    expect![[r#"
        > web[3] from alpha on beta: it lowers the score from 1.5200 to 1.1400
        > web[4] from alpha on beta: it lowers the score from 0.8200 to 0.6200
        > web[5] from alpha on gamma: it lowers the score from 1.1400 to 0.8200
          web[3]/prepare on beta g2
          web[3]/start on beta g2 after web[3]/prepare
          web[3]/await-healthy on beta g2 after web[3]/start
          web[3]/remove on alpha g2 after web[3]/await-healthy
          web[4]/prepare on beta g2
          web[4]/start on beta g2 after web[3]/await-healthy, web[4]/prepare
          web[4]/await-healthy on beta g2 after web[4]/start
          web[4]/remove on alpha g2 after web[4]/await-healthy
          web[5]/prepare on gamma g2
          web[5]/start on gamma g2 after web[4]/await-healthy, web[5]/prepare
          web[5]/await-healthy on gamma g2 after web[5]/start
          web[5]/remove on alpha g2 after web[5]/await-healthy
        0 to add, 0 to change, 0 to destroy, 3 to move, 4 unchanged
    "#]]
    .assert_eq(&show(&plan));
    let gains = &plan.placement.gains;
    assert_eq!(gains.len(), 3);
    for (one, next) in gains.iter().zip(&gains[1..]) {
        assert!(one.gain >= next.gain && one.after == next.before, "{gains:?}");
    }
    assert_eq!(plan.placement.cost, gains[2].after);
    world.apply(&plan);
    world.options.max_moves = 0;
    let after = world.plan(CROWD);
    assert!(after.changes.is_empty(), "{}", show(&after));
    assert!(after.placement.gains.is_empty());

    // Asked for again and again it comes to an end, and what has data was never moved.
    world.options.max_moves = 3;
    let mut left = Vec::new();
    for _ in 0..5 {
        let again = world.plan(CROWD);
        left.push(again.placement.gains.len());
        world.apply(&again);
    }
    assert!(left.is_sorted_by(|a, b| a >= b) && left.ends_with(&[0]), "{left:?}");
    assert_eq!(world.seen("db[0]").node.as_str(), "alpha");
}

#[test]
fn what_does_not_fit_is_refused_whatever_could_be_gained() {
    let mut world = crowded();
    world.options.max_moves = 3;
    let plan = world.plan(&format!(
        "{CROWD}service \"big\" {{ image \"big:1\"; resources memory=\"64GiB\" }}\n"
    ));
    assert!(!plan.is_applicable() && plan.steps.is_empty());
    assert_eq!(plan.placement.unplaced, 1);
    assert_eq!(plan.diagnostics[0].code, "DN-E0601");
}

#[test]
fn a_limit_that_is_not_reached_changes_nothing() {
    let mut world = crowded();
    for moves in [0, 2] {
        world.options.max_moves = moves;
        let free = world.plan(CROWD);
        let within = paced(&world, CROWD, &mut || Pace::Within(Duration::from_secs(3600)));
        assert_eq!((&free.id, &free), (&within.id, &within));
        assert!(!within.placement.cut_short);
    }
    // Nor where the search ends by its own limits of work without a proof.
    world.limits.search_nodes = 1;
    let wide = CROWD.replace("volume", "place { spread by=\"node\" }; volume");
    let within = paced(&world, &wide, &mut || Pace::Within(Duration::from_secs(3600)));
    assert_eq!(world.plan(&wide).id, within.id);
}

#[test]
fn a_limit_that_is_reached_ends_everything_and_is_told() {
    let mut world = crowded();
    world.options.max_moves = 3;
    let stopped = paced(&world, CROWD, &mut || Pace::Stop);
    assert!(stopped.placement.cut_short && stopped.placement.gains.is_empty());
    expect![[r#"
        warning[DN-W0609]: placement was ended by a limit of time: it is the best found until
                then
          help: planned again it may differ; allow more with --solve-limit, or leave that out:
                without it the plan is the same on every machine
        0 to add, 0 to change, 0 to destroy, 0 to move, 7 unchanged
    "#]]
    .assert_eq(&show(&stopped));

    // Remedies are looked for under the same watch, and it is never asked again once it said stop.
    let full = "cluster \"lab\"\nservice \"big\" { image \"big:1\"; resources memory=\"64GiB\" }\n";
    let world = World::of(&["alpha", "beta"]);
    let asked = Cell::new(0);
    let all = paced(&world, full, &mut || {
        asked.set(asked.get() + 1);
        Pace::Free
    });
    assert!(!all.placement.infeasible[0].suggestions.is_empty());
    for stop in 1..=asked.get() {
        let left = Cell::new(stop);
        let plan = paced(&world, full, &mut || {
            left.set(left.get() - 1);
            if left.get() == 0 { Pace::Stop } else { Pace::Free }
        });
        assert_eq!(left.get(), 0);
        assert!(plan.placement.cut_short && !plan.is_applicable());
    }
}

/// What the search did is told on request, the same every time, and makes no other plan.
#[test]
fn the_search_is_explained_and_the_plan_stays_the_same() {
    let mut world = World::of(&["alpha", "beta"]);
    let plain = world.plan(CROWD);
    assert!(plain.placement.search.is_empty());
    world.options.explain_search = true;
    let told = world.plan(CROWD);
    assert_eq!(told.id, plain.id);
    assert_eq!(told.placement.search, world.plan(CROWD).placement.search);
    let stages: Vec<&str> = told.placement.search.iter().map(|it| it.stage.as_str()).collect();
    assert!(stages.contains(&"devices from before"), "{stages:?}");
    assert!(stages.contains(&"shifts and swaps"), "{stages:?}");
    for pair in told.placement.search.windows(2) {
        assert_eq!(pair[0].after, pair[1].before, "no stage undoes another: {pair:#?}");
    }
    let last = told.placement.search.last().expect("a stage").after;
    assert_eq!((last.placed, last.score), (7, told.placement.cost));
}
