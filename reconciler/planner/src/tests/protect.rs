//! `protect` stands with what runs, whatever became of the line and of its service.

use expect_test::expect;

use super::{World, show};

const KEPT: &str = r#"
cluster "lab"
service "web" { image "web:1" }
service "db" { image "db:1"; volume "data" at="/d"; protect }
"#;

const BARE: &str = r#"
cluster "lab"
service "web" { image "web:1" }
"#;

#[test]
fn a_service_that_is_deleted_whole_runs_on_until_it_was_declared_without_the_line() {
    let mut world = World::of(&["alpha"]);
    world.reach(KEPT);
    let gone = world.plan(BARE);
    expect![[r#"
        warning[DN-W0621]: service `db` is not declared any more and was protected; 1 instance
                left running
          help: to destroy it, declare it once more without `protect`, apply that, and remove
                it then
        0 to add, 0 to change, 0 to destroy, 0 to move, 2 unchanged
    "#]]
    .assert_eq(&show(&gone));
    assert!(gone.is_applicable() && gone.changes.is_empty());
    world.reach(&KEPT.replace("; protect", ""));
    let plan = world.reach(BARE);
    assert_eq!(plan.summary.destroy, 1, "{}", show(&plan));
}

#[test]
fn the_line_comes_and_goes_without_a_restart() {
    let mut world = World::of(&["alpha"]);
    let bare = KEPT.replace("; protect", "");
    world.reach(&bare);
    let plan = world.reach(KEPT);
    expect![[r#"
        ~ db[0] on alpha: it is protected from now on, and runs on as it is
          db[0]/prepare on alpha g2
          db[0]/start on alpha g2 after db[0]/prepare
          db[0]/await-healthy on alpha g2 after db[0]/start
        0 to add, 1 to change, 0 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&show(&plan));
    let plan = world.reach(&bare);
    expect![[r#"
        ~ db[0] on alpha: it is protected no longer, and runs on as it is
          db[0]/prepare on alpha g3
          db[0]/start on alpha g3 after db[0]/prepare
          db[0]/await-healthy on alpha g3 after db[0]/start
        0 to add, 1 to change, 0 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&show(&plan));
}

#[test]
fn the_line_does_not_fall_together_with_what_it_protects() {
    let mut world = World::of(&["alpha"]);
    world.reach(KEPT);
    let none = KEPT.replace("; protect", "; replicas 0");
    let replaced = KEPT.replace("; protect", "").replace("\"/d\"", "\"/e\"");
    let mut told = String::new();
    for file in [&none, &replaced] {
        let plan = world.plan(file);
        assert!(!plan.is_applicable() && plan.steps.is_empty());
        told += &show(&plan);
    }
    world.options.destroy = true;
    let plan = world.plan(BARE);
    assert!(!plan.is_applicable());
    expect![[r#"
        - db[0] on alpha: replicas is 0 now
        cluster.kdl:4:9: error[DN-E0602]: db[0] would be destroyed (replicas is 0 now), and it
                is protected
          help: the `protect` line is gone and was not applied yet: undo the change, and
                commit without that line first
        0 to add, 0 to change, 1 to destroy, 0 to move, 1 unchanged
        -/+ db[0] on alpha: volume data changed (forced by volumes.data.path)
        cluster.kdl:4:9: error[DN-E0602]: db[0] would be replaced (volume data changed), and it
                is protected
          help: the `protect` line is gone and was not applied yet: undo the change, and
                commit without that line first
        1 to add, 0 to change, 1 to destroy, 0 to move, 1 unchanged
        - db[0] on alpha: its destruction was asked for
        - web[0] on alpha: its destruction was asked for
        error[DN-E0602]: db[0] would be destroyed (its destruction was asked for), and it is
                protected
          help: declare the service once more, without `protect`, and apply that first
        0 to add, 0 to change, 2 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&(told + &show(&plan)));
}

#[test]
fn an_instance_that_was_told_protects_its_siblings() {
    let mut world = World::of(&["alpha", "beta"]);
    let two = KEPT.replace("protect", "replicas 2; protect");
    world.reach(&two);
    world.fleet.protected.retain(|id| id.index == 1);
    let plan = world.plan(BARE);
    assert!(plan.is_applicable() && plan.changes.is_empty(), "{}", show(&plan));
    // A rename keeps it, too.
    let renamed = two.replace("service \"db\"", "service \"pg\"") + "moved from=\"db\" to=\"pg\"\n";
    world.reach(&renamed);
    assert_eq!(world.fleet.protected.len(), 2, "{:?}", world.fleet.protected);
    let plan = world.plan(BARE);
    assert!(plan.is_applicable() && plan.changes.is_empty(), "{}", show(&plan));
}

#[test]
fn a_copy_that_was_told_otherwise_changes_nothing_of_what_runs() {
    let mut world = World::of(&["alpha"]);
    let bare = KEPT.replace("; protect", "");
    world.reach(&bare);
    // A node that is lost was told to protect its copy.
    world.fleet.protected = vec!["db[0]".parse().unwrap()];
    let plan = world.plan(&bare);
    assert!(plan.is_applicable() && plan.changes.is_empty(), "{}", show(&plan));
}

#[test]
fn a_volume_that_goes_with_a_move_is_data_that_is_left() {
    let stays = KEPT.replace("protect", "place { pin \"alpha\" }; protect");
    let goes = "cluster \"lab\"\nservice \"web\" { image \"web:1\" }\n\
                service \"db\" { image \"db:1\"; place { pin \"beta\" }";
    let mut world = World::of(&["alpha", "beta"]);
    world.reach(&stays);
    let refused = world.plan(&format!("{goes}; protect }}\n"));
    assert!(!refused.is_applicable());
    // Nor where the line goes in the same commit.
    let both = world.plan(&format!("{goes} }}\n"));
    assert!(!both.is_applicable());
    world.reach(&stays.replace("; protect", ""));
    let left = world.reach(&format!("{goes} }}\n"));
    expect![[r#"
        > db[0] from alpha on beta: pinned to beta at cluster.kdl:3:42
        cluster.kdl:3:52: error[DN-E0602]: db[0] would leave its data behind (pinned to beta at
                cluster.kdl:3:42), and it is protected
          help: undo the change, or remove the `protect` line and commit that first
        0 to add, 0 to change, 0 to destroy, 1 to move, 1 unchanged
        > db[0] from alpha on beta: pinned to beta at cluster.kdl:3:42
          db[0]/prepare on beta g3
          db[0]/start on beta g3 after db[0]/prepare
          db[0]/await-healthy on beta g3 after db[0]/start
          db[0]/remove on alpha g3 after db[0]/await-healthy
        cluster.kdl:3:9: warning[DN-W0604]: db[0] leaves volume `data` on alpha for beta: it is
                declared without
          help: what it has written stays on alpha; declare the volume again to stay there
                with it
        0 to add, 0 to change, 0 to destroy, 1 to move, 1 unchanged
    "#]]
    .assert_eq(&(show(&refused) + &show(&left)));
}
