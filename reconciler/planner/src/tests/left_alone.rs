//! What runs is left alone where nothing can be decided about its data, and says why.

use devnet_schema::{
    fleet::NodeStatus,
    observed::{HealthState, InstanceState},
    plan::{Action, Plan},
};
use expect_test::expect;

use super::{World, show};

/// Services as given, beside nothing else.
fn file(services: &str) -> String {
    format!("cluster \"lab\"\n{services}\n")
}

fn db(name: &str, more: &str) -> String {
    format!("service \"{name}\" {{ image \"db:1\"; volume \"data\" at=\"/d\"; {more} }}\n")
}

fn warned<'p>(plan: &'p Plan, code: &str) -> Vec<&'p str> {
    let found = plan.diagnostics.iter().filter(|it| it.code == code);
    found.map(|it| it.message.as_str()).collect()
}

fn is_quiet(plan: &Plan) -> bool {
    plan.is_applicable() && plan.changes.is_empty() && plan.steps.is_empty()
}

fn at<'w>(world: &'w World, id: &str) -> Vec<&'w str> {
    let id = id.parse().unwrap();
    let own = world.fleet.instances.iter().filter(|it| it.instance() == id);
    own.map(|it| it.node.as_str()).collect()
}

/// Started on n1, left there when that was lost, and started on n2 without its data; n1 is back.
fn came_back() -> World {
    let mut world = World::of(&["n1", "n2"]);
    world.reach(&file(&db("db", "place { pin \"n1\" }")));
    world.lose("n1", NodeStatus::Lost);
    world.reach(&file(&db("db", "leave-data \"n1\"")));
    assert_eq!(at(&world, "db[0]"), ["n1", "n2"]);
    world.node("n1").status = NodeStatus::Online;
    for seen in &mut world.fleet.instances {
        (seen.state, seen.health) = (InstanceState::Running, HealthState::Healthy);
    }
    world
}

#[test]
fn the_only_copy_runs_on_though_the_newest_data_is_on_a_node_that_was_removed() {
    for leave in ["priority 50", "leave-data \"n1\""] {
        let mut world = came_back();
        world.fleet.nodes.retain(|node| node.name.as_str() != "n2");
        world.fleet.instances.retain(|seen| seen.node.as_str() != "n2");
        let plan = world.plan(&file(&db("db", leave)));
        assert!(is_quiet(&plan), "{}", show(&plan));
        assert_eq!(
            warned(&plan, "DN-W0603"),
            ["db[0] runs on as it is on n1, and nothing is decided about it: its newest data is \
                 on n2, which is not in the fleet"]
        );
        assert_eq!(plan.missing().len(), 1, "{:?}", plan.missing());
        // Its room is its own, too.
        let more = "service \"x\" { image \"x:1\"; resources memory=\"8GiB\" }\n";
        let resources = "resources memory=\"1GiB\"";
        world.seen("db[0]").spec.as_mut().unwrap().limits.memory.0 = 1 << 30;
        let plan = world.plan(&file(&(db("db", &format!("{leave}; {resources}")) + more)));
        assert!(plan.diagnostics.iter().any(|it| it.code == "DN-E0601"), "{}", show(&plan));
        // The word and a pin together: it goes on with what it has.
        let plan = world.plan(&file(&db("db", "leave-data \"n2\"; place { pin \"n1\" }")));
        assert!(is_quiet(&plan) && warned(&plan, "DN-W0603").is_empty(), "{}", show(&plan));
    }
}

#[test]
fn the_only_copy_runs_on_though_the_node_of_the_newest_data_has_no_room() {
    let mut world = came_back();
    world.fleet.instances.retain(|seen| seen.node.as_str() != "n2");
    world.node("n2").facts.total_memory_mb = 512;
    let wanted = file(&db("db", "resources memory=\"1GiB\""));
    for lenient in [true, false] {
        world.options.allow_unplaced = lenient;
        let plan = world.plan(&wanted);
        assert!(is_quiet(&plan), "{}", show(&plan));
        let told = warned(&plan, "DN-W0603");
        assert!(told.iter().any(|it| it.ends_with("on n2, where it has no place")), "{told:?}");
    }
    // There is room again: it goes on with the newest.
    world.node("n2").facts.total_memory_mb = 8192;
    let plan = world.reach(&wanted);
    assert_eq!((plan.summary.moved, at(&world, "db[0]")), (1, vec!["n2"]), "{}", show(&plan));
}

/// A database of that name on n1, deleted again, and one called db-new on the other node or the
/// same.
fn two_names(of_new: &str) -> World {
    let mut world = World::of(&["n1", "n2"]);
    world.reach(&file(&db("db", "place { pin \"n1\" }")));
    let new = db("db-new", &format!("place {{ pin \"{of_new}\" }}"));
    world.reach(&file(&new));
    assert_eq!((at(&world, "db[0]").len(), at(&world, "db-new[0]")), (0, vec![of_new]));
    world
}

const MOVED: &str = "moved from=\"db-new\" to=\"db\"\n";

#[test]
fn a_rename_onto_a_name_that_had_data_takes_neither_unasked() {
    for (node, runs) in [("n2", true), ("n1", true), ("n2", false), ("n1", false)] {
        let mut world = two_names(node);
        if !runs {
            world.reach(&file(&db("db-new", "replicas 0")));
        }
        let plan = world.plan(&file(&(db("db", "") + MOVED)));
        assert!(is_quiet(&plan), "{node} {runs}\n{}", show(&plan));
        let told = warned(&plan, "DN-W0603");
        assert!(
            told.len() == 1 && told[0].contains(&format!("that of db-new[0] on {node}")),
            "{told:?}"
        );
    }
    // A line says which, where they are apart.
    let mut world = two_names("n2");
    let plan = world.reach(&file(&(db("db", "leave-data \"n1\"") + MOVED)));
    assert!(warned(&plan, "DN-W0620").is_empty(), "{}", show(&plan));
    let volume = world.seen("db[0]").spec.as_ref().unwrap().volumes[0].clone();
    assert_eq!(volume.data_of.unwrap().to_string(), "db-new[0]");
    assert_eq!(at(&world, "db[0]"), ["n2"]);
    world.reach(&file(&db("db", "")));
}

#[test]
fn a_rename_with_other_volumes_is_settled_whether_it_runs_or_not() {
    let mut world = World::of(&["n1", "n2"]);
    world.reach(&file(&db("db-new", "place { pin \"n1\" }")));
    let renamed = file(&(db("db", "").replace("\"data\" at=\"/d\"", "\"logs\" at=\"/l\"") + MOVED));
    world.disk.rename(&"db-new".parse().unwrap(), &"db".parse().unwrap());
    world.reach(&renamed);
    world.fleet.instances.clear();
    let plan = world.reach(&renamed);
    assert_eq!(at(&world, "db[0]"), ["n1"], "{}", show(&plan));
}

#[test]
fn a_rename_onto_a_name_that_runs_leaves_both_alone() {
    for node in ["n1", "n2"] {
        let mut world = World::of(&["n1", "n2"]);
        let new = db("db-new", &format!("place {{ pin \"{node}\" }}; protect"));
        world.reach(&file(&(db("db", "place { pin \"n1\" }") + &new)));
        let plan = world.plan(&file(&(db("db", "") + MOVED)));
        assert!(is_quiet(&plan), "{}", show(&plan));
        assert_eq!(warned(&plan, "DN-W0603").len(), 1, "{}", show(&plan));
    }
    // Without data the second goes, and what is said of it is true; a protected one stays.
    for protect in ["", "; protect"] {
        let mut world = World::of(&["n1", "n2"]);
        let web =
            |name: &str, more: &str| format!("service \"{name}\" {{ image \"w:1\"{more} }}\n");
        let pins = ["; place { pin \"n1\" }", "; place { pin \"n2\" }"];
        let second = web("web-new", &format!("{}{protect}", pins[1]));
        world.reach(&file(&(web("web", pins[0]) + &second)));
        let moved = "moved from=\"web-new\" to=\"web\"\n";
        let plan = world.plan(&file(&(web("web", "") + moved)));
        let reasons: Vec<_> = plan.changes.iter().map(|it| it.reason.as_str()).collect();
        match protect.is_empty() {
            true => assert_eq!(
                reasons,
                ["it ran as web-new[0] here, and runs on n1 by its new name"],
                "{}",
                show(&plan)
            ),
            false => {
                assert!(is_quiet(&plan), "{}", show(&plan));
                assert_eq!(warned(&plan, "DN-W0621").len(), 1, "{}", show(&plan));
            }
        }
    }
}

#[test]
fn what_was_renamed_and_left_is_still_removed_when_its_node_returns() {
    let mut world = World::of(&["n1", "n2"]);
    world.reach(&file(&db("db-new", "place { pin \"n1\" }")));
    world.lose("n1", NodeStatus::Lost);
    world.reach(&file(&db("db-new", "leave-data \"n1\"")));
    world.reach(&file(&(db("db", "leave-data \"n1\"") + MOVED)));
    assert_eq!(at(&world, "db[0]"), ["n2"]);
    world.node("n1").status = NodeStatus::Online;
    for seen in &mut world.fleet.instances {
        (seen.state, seen.health) = (InstanceState::Running, HealthState::Healthy);
    }
    let plan = world.reach(&file(&(db("db", "") + MOVED)));
    let deleted: Vec<_> = plan
        .changes
        .iter()
        .filter(|it| it.action == Action::Delete)
        .map(|it| it.node.as_str())
        .collect();
    assert_eq!(deleted, ["n1"], "{}", show(&plan));
}

/// In docker on n1 with a port of its node; declared as a process with another.
fn other_driver() -> (World, String) {
    let mut world = World::of(&["n1"]);
    world.reach(&file(&db("db", "port 5432 host=5432; resources memory=\"6GiB\"")));
    let process = "service \"db\" { process \"db\"; volume \"data\" at=\"d\"; port 6432; \
                   resources memory=\"1GiB\" }\n";
    (world, process.to_owned())
}

#[test]
fn what_is_held_as_it_is_counts_as_it_is() {
    let (mut world, process) = other_driver();
    world.options.allow_unplaced = true;
    let proxy =
        "service \"proxy\" { image \"p:1\"; port 80 host=5432; resources memory=\"1GiB\" }\n";
    let large = "service \"large\" { image \"l:1\"; resources memory=\"4GiB\" }\n";
    let small =
        "service \"small\" { image \"s:1\"; port 80 host=6432; resources memory=\"1GiB\" }\n";
    for (other, fits) in [(proxy, false), (large, false), (small, true)] {
        let plan = world.plan(&file(&(process.clone() + other)));
        assert!(plan.is_applicable(), "{}", show(&plan));
        assert_eq!(plan.summary.add, u32::from(fits), "{}", show(&plan));
        assert_eq!(warned(&plan, "DN-W0601").len(), usize::from(!fits), "{}", show(&plan));
    }
}

#[test]
fn what_is_held_as_it_is_is_started_again_and_protected_as_it_is() {
    let (mut world, process) = other_driver();
    let seen = world.seen("db[0]");
    (seen.state, seen.health) = (InstanceState::Exited, HealthState::Unknown);
    world.policy.self_heal = false;
    let plan = world.plan(&file(&process));
    let told = warned(&plan, "DN-W0608");
    assert!(told.len() == 1 && told[0].contains("has ended and stays on n1"), "{told:?}");
    world.policy.self_heal = true;
    let plan = world.reach(&file(&process));
    expect![[r#"
        ~ db[0] on n1: it does not run
          db[0]/prepare on n1 g2
          db[0]/start on n1 g2 after db[0]/prepare
          db[0]/await-healthy on n1 g2 after db[0]/start
        drift db[0] on n1: does not run
        cluster.kdl:2:9: warning[DN-W0608]: db[0] has ended and stays on n1 as it is, not as it
                is declared: its data is kept by docker, and it is declared to run with
                process
          help: it is updated once what is declared fits there, where its data is
        0 to add, 1 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
    // The line comes and goes with it.
    let protected = process.replace("}\n", "; protect }\n");
    let plan = world.reach(&file(&protected));
    assert_eq!(plan.changes[0].reason, "it is protected from now on, and runs on as it is");
    assert_eq!(world.fleet.protected.len(), 1);
    let plan = world.reach(&file(&process));
    assert_eq!(plan.changes[0].reason, "it is protected no longer, and runs on as it is");
    assert!(world.fleet.protected.is_empty());
}

#[test]
fn what_is_kept_as_it_is_and_not_known_gets_no_port_of_those_declared_by_now() {
    let mut world = World::of(&["n1"]);
    world.reach(&file("service \"old\" { process \"old\"; port 7000 }\n"));
    world.seen("old[0]").spec = None;
    world.options.allow_unplaced = true;
    let both = "service \"old\" { image \"old:1\"; port 80 host=8002 }\n\
                service \"new\" { image \"new:1\"; port 80 host=8002; priority 90 }\n";
    let plan = world.plan(&file(both));
    assert!(plan.is_applicable(), "{}", show(&plan));
    assert_eq!((plan.summary.add, warned(&plan, "DN-W0608").len()), (1, 1), "{}", show(&plan));
}
