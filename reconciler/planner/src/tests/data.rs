//! Data stays where it is, or is waited for, until a line says that it may be left.

use devnet_schema::{
    fleet::{DataPlace, NodeStatus},
    observed::{HealthState, InstanceState},
    plan::{Action, Plan},
};
use expect_test::expect;

use super::{World, show};

/// A database where `tags` says, with more in its service.
fn db(place: &str, more: &str) -> String {
    format!(
        "cluster \"lab\"\nnode \"n1\" {{ tags \"a\"; zone \"x\"; }}\n\
         node \"n2\" {{ tags \"b\"; zone \"y\"; }}\n\
         service \"db\" {{\n    image \"db:1\"\n    volume \"data\" at=\"/d\"\n    {place}\n    \
         {more}\n}}\n"
    )
}

fn node_of(world: &World, id: &str) -> Option<String> {
    let id = id.parse().unwrap();
    let seen = world.fleet.instances.iter().find(|it| it.instance() == id);
    seen.map(|it| it.node.to_string())
}

fn codes(plan: &Plan) -> Vec<&str> {
    plan.diagnostics.iter().map(|it| it.code.as_str()).collect()
}

/// On n1, with data.
fn at_n1() -> World {
    let mut world = World::of(&["n1", "n2"]);
    world.reach(&db("place { pin \"n1\" }", ""));
    world
}

#[test]
fn a_line_against_its_node_moves_no_data_and_says_what_would() {
    let mut told = String::new();
    for place in [
        "place { require tag=\"b\" }",
        "place { forbid node=\"n1\" }",
        "place { require zone=\"y\" }",
        "place { pin \"n2\" }",
    ] {
        let mut world = at_n1();
        let plan = world.reach(&db(place, ""));
        assert!(plan.changes.is_empty(), "{}", show(&plan));
        told += &show(&plan);
        // A change of the rest goes on where it is.
        let plan = world.reach(&db(place, "env A=\"1\""));
        assert_eq!(plan.summary.change, 1, "{}", show(&plan));
        assert_eq!(node_of(&world, "db[0]").as_deref(), Some("n1"));
        assert!(world.disk.separations.is_empty());
    }
    expect![[r#"
        cluster.kdl:7:13: warning[DN-W0603]: db[0] stays on n1, though it requires tag `b` at
                cluster.kdl:7:13: its data is there and cannot follow it
          help: undo that, or start it elsewhere without its data: `leave-data "n1"` in
                service `db`
        0 to add, 0 to change, 0 to destroy, 0 to move, 1 unchanged
        cluster.kdl:7:13: warning[DN-W0603]: db[0] stays on n1, though it forbids node `n1` at
                cluster.kdl:7:13: its data is there and cannot follow it
          help: undo that, or start it elsewhere without its data: `leave-data "n1"` in
                service `db`
        0 to add, 0 to change, 0 to destroy, 0 to move, 1 unchanged
        cluster.kdl:7:13: warning[DN-W0603]: db[0] stays on n1, though it requires zone `y` at
                cluster.kdl:7:13: its data is there and cannot follow it
          help: undo that, or start it elsewhere without its data: `leave-data "n1"` in
                service `db`
        0 to add, 0 to change, 0 to destroy, 0 to move, 1 unchanged
        cluster.kdl:7:17: warning[DN-W0603]: db[0] stays on n1, though it is pinned to n2 at
                cluster.kdl:7:17: its data is there and cannot follow it
          help: undo that, or start it elsewhere without its data: `leave-data "n1"` in
                service `db`
        0 to add, 0 to change, 0 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&told);
}

#[test]
fn a_word_is_good_for_one_move_and_says_so() {
    let mut world = at_n1();
    let file = db("place { require tag=\"b\" }", "leave-data \"n1\"");
    let plan = world.reach(&file);
    let again = world.plan(&file);
    expect![[r#"
        > db[0] from n1 on n2: it requires tag `b` at cluster.kdl:7:13; it leaves its data on n1
          db[0]/prepare on n2 g2
          db[0]/remove on n1 g2 after db[0]/prepare
          db[0]/start on n2 g2 after db[0]/remove
          db[0]/await-healthy on n2 g2 after db[0]/start
        cluster.kdl:8:16: warning[DN-W0604]: db[0] leaves volume `data` on n1 for n2, where it
                starts without its data
          help: what it has written stays on n1; copy it, or remove the `leave-data` line to
                stay
        0 to add, 0 to change, 0 to destroy, 1 to move, 0 unchanged
        cluster.kdl:8:16: warning[DN-W0620]: `leave-data "n1"` has no effect: no data of `db`
                is in use on n1
          help: remove the line: it has done its work, or never had any
        0 to add, 0 to change, 0 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&(show(&plan) + &show(&again)));
    assert_eq!(node_of(&world, "db[0]").as_deref(), Some("n2"));
    // Back and forth by the tag alone: it stays where its newest data is.
    let back = world.reach(&db("place { require tag=\"a\" }", "leave-data \"n1\""));
    assert!(back.changes.is_empty(), "{}", show(&back));
    // And with a word for that, not onto what it left there, unless it is pinned to it.
    let older = world.plan(&db("place { require tag=\"a\" }", "leave-data \"n2\""));
    let pinned = world.plan(&db("place { pin \"n1\" }", "leave-data \"n2\""));
    expect![[r#"
        cluster.kdl:4:9: error[DN-E0601]: service `db` does not fit: no node can run it (n1: n1
                has older data of db[0]; n2: requires tag `a`)
          help: drop `require tag=a` of service db at cluster.kdl:7:13
        cluster.kdl:4:9: warning[DN-W0608]: db[0] keeps running on n2, where it has no place:
                requires tag `a`
          help: stopping it would make room for nothing; once its service fits, it gets a place
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
        > db[0] from n2 on n1: pinned to n1 at cluster.kdl:7:17; it leaves its data on n2
          db[0]/prepare on n1 g3
          db[0]/remove on n2 g3 after db[0]/prepare
          db[0]/start on n1 g3 after db[0]/remove
          db[0]/await-healthy on n1 g3 after db[0]/start
        cluster.kdl:8:16: warning[DN-W0604]: db[0] leaves volume `data` on n2 for n1, where it
                goes on with the older data that is there
          help: what it has written stays on n2; copy it, or remove the `leave-data` line to
                stay
        0 to add, 0 to change, 0 to destroy, 1 to move, 0 unchanged
    "#]]
    .assert_eq(&(show(&older) + &show(&pinned)));
}

#[test]
fn what_does_not_run_comes_back_to_its_data() {
    let none = db("place { pin \"n1\" }", "replicas 0");
    let elsewhere = db("place { require tag=\"b\" }", "");
    // Scaled to nothing, deleted, its container removed by hand.
    for how in 0..3 {
        let mut world = at_n1();
        match how {
            0 => drop(world.reach(&none)),
            1 => drop(world.reach("cluster \"lab\"\nservice \"x\" { image \"x:1\" }\n")),
            _ => world.fleet.instances.clear(),
        }
        assert_eq!(node_of(&world, "db[0]"), None);
        let plan = world.reach(&elsewhere);
        assert_eq!(node_of(&world, "db[0]").as_deref(), Some("n1"), "{}", show(&plan));
        assert!(world.disk.separations.is_empty());
    }
}

#[test]
fn what_does_not_run_waits_for_a_node_that_is_not_there() {
    let mut told = String::new();
    for how in 0..3 {
        let mut world = at_n1();
        world.fleet.instances.clear();
        match how {
            0 => world.lose("n1", NodeStatus::Offline),
            1 => world.lose("n1", NodeStatus::Lost),
            _ => world.fleet.nodes.retain(|node| node.name.as_str() != "n1"),
        }
        let plan = world.reach(&db("place { require tag=\"b\" }", ""));
        told += &show(&plan);
        assert_eq!(node_of(&world, "db[0]"), None);
        assert_eq!(plan.missing().len(), 1, "{:?}", plan.missing());
        let left = world.reach(&db("place { require tag=\"b\" }", "leave-data \"n1\""));
        let moves = if how == 0 { None } else { Some("n2") };
        assert_eq!(node_of(&world, "db[0]").as_deref(), moves, "{}", show(&left));
    }
    expect![[r#"
        cluster.kdl:4:9: warning[DN-W0603]: db[0] waits for n1, which does not answer: its data
                is there
          help: bring the node back, or start it elsewhere without its data: `leave-data "n1"`
                in service `db`
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
        cluster.kdl:4:9: warning[DN-W0603]: db[0] waits for n1, which does not answer: its data
                is there
          help: bring the node back, or start it elsewhere without its data: `leave-data "n1"`
                in service `db`
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
        cluster.kdl:2:6: warning[DN-W0605]: node `n1` is declared and has not joined
          help: what is said of it has no effect until an agent of that name joins
        cluster.kdl:4:9: warning[DN-W0603]: db[0] waits for n1, which is not in the fleet: its
                data is there
          help: let a node of that name join again with its data, or start it elsewhere
                without: `leave-data "n1"` in service `db`
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&told);
}

#[test]
fn a_lost_or_drained_node_is_left_by_a_word_only() {
    for drained in [true, false] {
        let mut world = at_n1();
        let drain = |file: String| match drained {
            true => file.replace("zone \"x\";", "zone \"x\"; drain;"),
            false => file,
        };
        if !drained {
            world.lose("n1", NodeStatus::Lost);
        }
        let plan = world.plan(&drain(db("", "")));
        assert!(plan.changes.is_empty() && codes(&plan) == ["DN-W0603"], "{}", show(&plan));
        let plan = world.plan(&drain(db("", "leave-data \"n1\"")));
        assert_eq!(plan.changes[0].action, Action::Move, "{}", show(&plan));
        assert_eq!(codes(&plan), ["DN-W0604"], "{}", show(&plan));
        world.apply(&plan);
        // The node comes back with what it was left with: it is in nobody's way there.
        world.node("n1").status = NodeStatus::Online;
        for seen in &mut world.fleet.instances {
            (seen.state, seen.health) = (InstanceState::Running, HealthState::Healthy);
        }
        world.reach(&db("", ""));
        assert_eq!(node_of(&world, "db[0]").as_deref(), Some("n2"));
    }
}

#[test]
fn another_driver_has_none_of_its_data() {
    let mut world = at_n1();
    let process =
        |text: String| text.replace("image \"db:1\"", "process \"db\"").replace("/d", "d");
    let plan = world.reach(&process(db("", "")));
    expect![[r#"
        cluster.kdl:4:9: warning[DN-W0608]: db[0] keeps running on n1 as it is, not as it is
                declared: its data is kept by docker, and it is declared to run with process
          help: it is updated once what is declared fits there, where its data is
        0 to add, 0 to change, 0 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&show(&plan));
    world.fleet.instances.clear();
    let plan = world.reach(&process(db("", "")));
    assert_eq!(node_of(&world, "db[0]"), None, "{}", show(&plan));
}

#[test]
fn a_rename_keeps_the_data_though_nothing_runs_when_it_is_made_again() {
    let mut world = at_n1();
    let renamed = db("place { require tag=\"b\" }", "").replace("\"db\" {", "\"pg\" {");
    let moved = format!("{renamed}moved from=\"db\" to=\"pg\"\n");
    world.disk.rename(&"db".parse().unwrap(), &"pg".parse().unwrap());
    world.reach(&moved);
    assert_eq!(node_of(&world, "pg[0]").as_deref(), Some("n1"));
    for file in [&moved, &renamed] {
        world.fleet.instances.clear();
        let plan = world.reach(file);
        assert_eq!(node_of(&world, "pg[0]").as_deref(), Some("n1"), "{}", show(&plan));
        assert!(world.disk.separations.is_empty());
    }
}

/// That a node is not in the cluster any more does not tell that nothing runs there.
#[test]
fn a_rename_stays_in_doubt_though_the_node_of_one_of_both_was_removed() {
    let mut world = World::of(&["n1", "n2"]);
    let both = |pin: &str| db(&format!("place {{ pin \"{pin}\" }}"), "");
    let pg = both("n2").replace("\"db\" {", "\"pg\" {");
    world.reach(&format!("{}{}", both("n1"), &pg[pg.find("service").unwrap()..]));
    let moved = format!("{}moved from=\"db\" to=\"pg\"\n", pg.replace("db:1", "db:2"));
    for removed in [false, true] {
        if removed {
            world.fleet.nodes.retain(|node| node.name.as_str() != "n1");
            world.fleet.instances.retain(|it| it.node.as_str() != "n1");
        }
        let plan = world.plan(&moved);
        assert!(show(&plan).contains("data of two names"), "{}", show(&plan));
        assert!(plan.steps.is_empty(), "{}", show(&plan));
    }
    let left = moved.replacen("pin \"n2\" }", "pin \"n2\" }\n    leave-data \"n1\"", 1);
    let plan = world.plan(&left);
    assert!(plan.changes.iter().any(|it| it.action == Action::Update), "{}", show(&plan));
}

#[test]
fn a_volume_that_is_declared_again_after_a_rename_is_the_one_that_was_left() {
    let mut world = at_n1();
    let pg = |volume: &str, more: &str| {
        let text = db("", "").replace("\"db\" {", "\"pg\" {");
        text.replace("volume \"data\" at=\"/d\"", volume) + more
    };
    let moved = "moved from=\"db\" to=\"pg\"\n";
    world.disk.rename(&"db".parse().unwrap(), &"pg".parse().unwrap());
    world.reach(&pg("volume \"data\" at=\"/d\"", moved));
    world.reach(&pg("volume \"logs\" at=\"/l\"", ""));
    world.reach(&pg("volume \"data\" at=\"/d\"", ""));
    assert!(world.disk.separations.is_empty(), "{:?}", world.disk.separations);
}

#[test]
fn after_a_loss_of_records_nodes_tell_whose_data_they_have() {
    let place = |node: &str| DataPlace {
        instance: "db[0]".parse().unwrap(),
        node: node.parse().unwrap(),
        generation: 0,
        shown: true,
        runtime: None,
        volumes: Vec::new(),
        missing: Vec::new(),
    };
    let file = db("", "");
    for node in ["n1", "n2"] {
        let mut world = World::of(&["n1", "n2"]);
        world.fleet.data = vec![place(node)];
        world.reach(&file);
        assert_eq!(node_of(&world, "db[0]").as_deref(), Some(node));
    }
    // No node draws by its word what is not to run there.
    let mut world = World::of(&["n1", "n2"]);
    world.fleet.data = vec![place("n1")];
    let plan = world.reach(&db("place { require tag=\"b\" }", ""));
    expect![[r#"
        cluster.kdl:4:9: warning[DN-W0603]: db[0] waits: only n1 itself says that it has its
                data, and it requires tag `b`
          help: if that is so, `devnet node adopt n1` confirms it; else start it elsewhere:
                `leave-data "n1"` in service `db`
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
    world.reach(&db("place { require tag=\"b\" }", "leave-data \"n1\""));
    assert_eq!(node_of(&world, "db[0]").as_deref(), Some("n2"));
    // Nor without a receipt of an order, whatever is declared.
    let mut world = World::of(&["n1", "n2"]);
    world.fleet.data = vec![DataPlace { shown: false, ..place("n1") }];
    let plan = world.reach(&file);
    expect![[r#"
        cluster.kdl:4:9: warning[DN-W0603]: db[0] waits: only n1 itself says that it has its
                data, and it shows no receipt of an order
          help: if that is so, `devnet node adopt n1` confirms it; else start it elsewhere:
                `leave-data "n1"` in service `db`
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
    world.reach(&db("place { forbid node=\"n1\" }", "leave-data \"n1\""));
    assert_eq!(node_of(&world, "db[0]").as_deref(), Some("n2"));
    let mut world = World::of(&["n1", "n2"]);
    world.fleet.data = vec![DataPlace { shown: false, ..place("n1") }];
    world.reach(&db("", "leave-data \"n1\""));
    assert!(node_of(&world, "db[0]").is_some());
    // An operator confirms it: then it is held there, whatever is against that.
    let mut world = World::of(&["n1", "n2"]);
    world.fleet.data = vec![place("n1")];
    world.fleet.data[0].generation = 1;
    world.reach(&db("place { require tag=\"b\" }", ""));
    assert_eq!(node_of(&world, "db[0]").as_deref(), Some("n1"));
    let mut world = World::of(&["n1", "n2"]);
    world.fleet.data = vec![place("n1"), place("n2")];
    let plan = world.reach(&file);
    expect![[r#"
        cluster.kdl:4:9: warning[DN-W0603]: db[0] waits: n1 and n2 have data of it, and nobody
                knows which is newest
          help: name those whose data it does not need, as `leave-data "n1"` in service `db`
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
    world.reach(&db("", "leave-data \"n1\""));
    assert_eq!(node_of(&world, "db[0]").as_deref(), Some("n2"));
}

#[test]
fn what_its_node_has_no_more_waits_and_starts_nowhere_on_an_empty_volume() {
    let stopped = || {
        let mut world = at_n1();
        world.reach(&db("replicas 0", ""));
        world
    };
    let mut world = stopped();
    // A volume that it had once, and is not declared any more, is not missed.
    world.fleet.data[0].missing = vec!["logs".to_owned()];
    assert_eq!(world.plan(&db("", "")).summary.add, 1);
    world.fleet.data[0].missing = vec!["data".to_owned()];
    let waits = world.plan(&db("", ""));
    let pinned = world.plan(&db("place { pin \"n2\" }", ""));
    let anew = world.reach(&db("", "leave-data \"n1\""));
    let there = world.plan(&db("", "leave-data \"n1\""));
    let mut world = stopped();
    world.fleet.data[0].missing = vec!["data".to_owned()];
    let elsewhere = world.reach(&db("place { pin \"n2\" }", "leave-data \"n1\""));
    expect![[r#"
        cluster.kdl:4:9: warning[DN-W0603]: db[0] waits: n1 says that it has no volume `data`
                of it any more
          help: put the data back there, or start it without: `leave-data "n1"` in service `db`
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
        cluster.kdl:4:9: warning[DN-W0603]: db[0] waits: n1 says that it has no volume `data`
                of it any more
          help: put the data back there, or start it without: `leave-data "n1"` in service `db`
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
        + db[0] on n1: it does not run
          db[0]/prepare on n1 g3
          db[0]/start on n1 g3 after db[0]/prepare
          db[0]/await-healthy on n1 g3 after db[0]/start
        cluster.kdl:8:16: warning[DN-W0604]: db[0] starts on n1 without its data: n1 says that
                it has no volume `data` of it any more
          help: to wait for the data instead, put it back on n1 first
        1 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
        0 to add, 0 to change, 0 to destroy, 0 to move, 1 unchanged
        + db[0] on n2: it does not run; it leaves its data on n1
          db[0]/prepare on n2 g3
          db[0]/start on n2 g3 after db[0]/prepare
          db[0]/await-healthy on n2 g3 after db[0]/start
        cluster.kdl:8:16: warning[DN-W0604]: db[0] starts on n2 without its data: n1 says that
                it has no volume `data` of it any more
          help: to wait for the data instead, put it back on n1 first
        1 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&[&waits, &pinned, &anew, &there, &elsewhere].map(show).concat());
    // What is seen there has its data.
    let mut world = at_n1();
    world.fleet.data[0].missing = vec!["data".to_owned()];
    let plan = world.plan(&db("", ""));
    assert!(plan.changes.is_empty() && codes(&plan).is_empty(), "{}", show(&plan));
}

#[test]
fn what_was_renamed_before_the_records_were_lost_is_found_by_who_used_it_last() {
    let mut world = World::of(&["n1", "n2"]);
    let place = serde_json::json!({
        "instance": "nb[0]", "node": "n2", "generation": 0, "shown": true, "runtime": "docker",
        "volumes": [{"name": "data", "path": "", "data_of": "na[0]"}],
    });
    world.fleet.data = vec![serde_json::from_value(place).unwrap()];
    let plan = world.reach(&db("", "").replace("\"db\" {", "\"nb\" {"));
    assert_eq!(node_of(&world, "nb[0]").as_deref(), Some("n2"), "{}", show(&plan));
    let after = plan.changes[0].after.as_ref().unwrap();
    assert_eq!(after.volumes[0].data_of.as_ref().unwrap().to_string(), "na[0]");
}

#[test]
fn data_that_may_be_newer_than_the_records_is_left_out_by_nobody() {
    // What runs is where its data is, whatever another node says.
    for (home, says) in [("n1", "n2"), ("n2", "n1")] {
        let mut world = World::of(&["n1", "n2"]);
        world.reach(&db(&format!("place {{ pin \"{home}\" }}"), ""));
        let mut other = world.fleet.data[0].clone();
        other.node = says.parse().unwrap();
        world.fleet.data.push(other);
        let plan = world.reach(&db("", "").replace("db:1", "db:2"));
        assert_eq!(plan.summary.change, 1, "{}", show(&plan));
        assert_eq!(node_of(&world, "db[0]").as_deref(), Some(home));
    }
    // What does not run may be on either.
    let mut world = at_n1();
    let mut other = world.fleet.data[0].clone();
    other.node = "n2".parse().unwrap();
    world.fleet.data.push(other);
    world.fleet.instances.clear();
    let plan = world.reach(&db("", ""));
    assert!(show(&plan).contains("nobody"), "{}", show(&plan));
    assert_eq!(node_of(&world, "db[0]"), None);
    world.reach(&db("", "leave-data \"n1\""));
    assert_eq!(node_of(&world, "db[0]").as_deref(), Some("n2"));
}

#[test]
fn replicas_keep_one_home_each_and_new_ones_go_where_they_may() {
    let mut world = World::of(&["n1", "n2", "n3"]);
    let apart = |lines: &str| format!("place {{ apart-from \"web\"; max-per-node 1; {lines} }}");
    let file = |lines: &str, count: u32| {
        let text = db(&apart(lines), &format!("replicas {count}"));
        text + "service \"web\" { image \"web:1\"; replicas 0 }\n"
    };
    world.reach(&file("require node=\"n1\" \"n2\"", 2));
    let plan = world.reach(&file("forbid node=\"n1\" \"n2\"", 3));
    assert_eq!(plan.summary.add, 1, "{}", show(&plan));
    assert_eq!(node_of(&world, "db[2]").as_deref(), Some("n3"));
    assert!(world.disk.separations.is_empty());
}

#[test]
fn a_line_that_is_needed_is_not_called_useless() {
    // One of a Compose file counts for each of its services, and is told of once.
    let shop = |leave: &str| {
        format!(
            "cluster \"lab\"\nservice \"shop\" {{ compose \"c.yml\"; leave-data \"{leave}\" }}\n\
             ==== c.yml\nservices:\n  db: {{image: 'db:1', volumes: ['data:/d']}}\n  \
             web: {{image: 'w:1'}}\n  more: {{image: 'm:1'}}\nvolumes: {{data: }}\n"
        )
    };
    let mut world = World::of(&["n1"]);
    world.reach(&shop("n2"));
    assert_eq!(codes(&world.plan(&shop("n1"))), [""; 0], "{}", show(&world.plan(&shop("n1"))));
    let plan = world.plan(&shop("n2"));
    assert_eq!(codes(&plan), ["DN-W0620"], "{}", show(&plan));
    let told = &plan.diagnostics[0].message;
    assert!(told.ends_with("no data of `shop` is in use on n2"), "{told}");
    // What is scaled to nothing has its data where it had it.
    let mut world = at_n1();
    let plan = world.reach(&db("", "replicas 0; leave-data \"n1\""));
    assert_eq!(codes(&plan), [""; 0], "{}", show(&plan));
    let plan = world.plan(&db("", "replicas 0; leave-data \"n2\""));
    assert_eq!(codes(&plan), ["DN-W0620"], "{}", show(&plan));
}
