//! Scripts of a cluster's life: every one plans, applies, and plans again to find nothing to do.

use devnet_schema::{
    fleet::NodeStatus,
    observed::{HealthState, InstanceState},
};
use expect_test::expect;

use super::{World, show};

const WEB: &str = r#"
cluster "lab"
service "web" {
    image "nginx:1.22"
    replicas 2
    port 80
    place { max-per-node 1 }
}
"#;

const STACK: &str = r#"
cluster "lab"
service "db" {
    image "postgres:16"
    port 5432
    volume "data" at="/var/lib/postgresql/data"
    env POSTGRES_PASSWORD="{{ secret.pw }}"
}
service "api" {
    image "api:1"
    replicas 2
    port 8080 host=18080
    env DATABASE_URL="postgres://app:{{ secret.pw }}@{{ service.db.address }}/app"
    depends-on "db"
}
"#;

#[test]
fn a_first_commit_creates_everything_in_the_order_of_dependencies() {
    let mut world = World::of(&["alpha", "beta"]);
    world.secret("pw", 1);
    let plan = world.reach(STACK);
    expect![[r#"
        + api[0] on alpha: it is new; the other nodes have its port taken
        + api[1] on beta: it is new; the other nodes have its port taken
        + db[0] on alpha: it is new; as good as any: it reserves no cpu or memory
          api[0]/prepare on alpha g1
          api[1]/prepare on beta g1
          db[0]/prepare on alpha g1
          db[0]/start on alpha g1 after db[0]/prepare
          db[0]/await-healthy on alpha g1 after db[0]/start
          api[0]/start on alpha g1 after api[0]/prepare, db[0]/await-healthy
          api[0]/await-healthy on alpha g1 after api[0]/start
          api[1]/start on beta g1 after api[1]/prepare, db[0]/await-healthy
          api[1]/await-healthy on beta g1 after api[1]/start
        3 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
}

#[test]
fn an_edit_updates_in_place_one_at_a_time() {
    let mut world = World::of(&["alpha", "beta"]);
    world.reach(WEB);
    let plan = world.reach(&WEB.replace("nginx:1.22", "nginx:1.23"));
    expect![[r#"
        ~ web[0] on alpha: the image changed from nginx:1.22 to nginx:1.23
        ~ web[1] on beta: the image changed from nginx:1.22 to nginx:1.23
          web[0]/prepare on alpha g2
          web[0]/start on alpha g2 after web[0]/prepare
          web[0]/await-healthy on alpha g2 after web[0]/start
          web[1]/prepare on beta g2
          web[1]/start on beta g2 after web[0]/await-healthy, web[1]/prepare
          web[1]/await-healthy on beta g2 after web[1]/start
        0 to add, 2 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
    expect![[r#"
        @@ -1,6 +1,6 @@
         node: alpha
         runtime: docker
        -image: nginx:1.22
        +image: nginx:1.23
         ports:
           main:
             container: 80
    "#]]
    .assert_eq(&plan.changes[0].diff);
}

#[test]
fn scaling_adds_and_removes_the_highest_numbers() {
    let mut world = World::of(&["alpha", "beta", "gamma"]);
    world.reach(WEB);
    let up = world.reach(&WEB.replace("replicas 2", "replicas 3"));
    let down = world.reach(&WEB.replace("replicas 2", "replicas 1"));
    expect![[r#"
        + web[2] on gamma: it is new; the other nodes have as many of it as they may
          web[2]/prepare on gamma g1
          web[2]/start on gamma g1 after web[2]/prepare
          web[2]/await-healthy on gamma g1 after web[2]/start
        1 to add, 0 to change, 0 to destroy, 0 to move, 2 unchanged
        - web[1] on beta: replicas is 1 now
        - web[2] on gamma: replicas is 1 now
          web[1]/remove on beta g2
          web[2]/remove on gamma g2
        0 to add, 0 to change, 2 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&(show(&up) + &show(&down)));
}

#[test]
fn a_pin_moves_one_service_and_only_it() {
    let mut world = World::of(&["alpha", "beta"]);
    world.secret("pw", 1);
    world.reach(STACK);
    let other = format!("{STACK}service \"cache\" {{\n    image \"redis:7\"\n    port 6379\n}}\n");
    let plan = world.reach(&other);
    let node = plan.changes[0].node.as_str();
    let away = if node == "alpha" { "beta" } else { "alpha" };
    let pin = format!("port 6379\n    place {{ pin \"{away}\" }}");
    let plan = world.reach(&other.replace("port 6379", &pin));
    expect![[r#"
        > cache[0] from alpha on beta: pinned to beta at cluster.kdl:19:17
          cache[0]/prepare on beta g2
          cache[0]/start on beta g2 after cache[0]/prepare
          cache[0]/await-healthy on beta g2 after cache[0]/start
          cache[0]/remove on alpha g2 after cache[0]/await-healthy
        0 to add, 0 to change, 0 to destroy, 1 to move, 3 unchanged
    "#]]
    .assert_eq(&show(&plan));
}

#[test]
fn a_drained_node_gives_up_what_can_move_and_keeps_data() {
    let mut world = World::of(&["alpha", "beta"]);
    world.secret("pw", 1);
    let pinned = STACK.replace("port 5432", "port 5432\n    place { pin \"alpha\" }");
    let wide = pinned.replace("port 8080 host=18080", "port 8080");
    world.reach(&wide);
    let drained = format!("{wide}node \"alpha\" {{ drain }}\n");
    let plan = world.reach(&drained);
    expect![[r#"
        > api[0] from alpha on beta: alpha is being drained
        > api[1] from alpha on beta: alpha is being drained
          api[0]/prepare on beta g2
          api[0]/start on beta g2 after api[0]/prepare
          api[0]/await-healthy on beta g2 after api[0]/start
          api[0]/remove on alpha g2 after api[0]/await-healthy
          api[1]/prepare on beta g2
          api[1]/start on beta g2 after api[0]/await-healthy, api[1]/prepare
          api[1]/await-healthy on beta g2 after api[1]/start
          api[1]/remove on alpha g2 after api[1]/await-healthy
        cluster.kdl:17:6: warning[DN-W0603]: db[0] stays on alpha, which is drained: its data
                cannot follow it
          help: to move it without its data, say `leave-data "alpha"` in service `db`
        0 to add, 0 to change, 0 to destroy, 2 to move, 1 unchanged
    "#]]
    .assert_eq(&show(&plan));
}

#[test]
fn an_offline_node_is_left_alone() {
    let mut world = World::of(&["alpha", "beta"]);
    world.reach(WEB);
    world.lose("beta", NodeStatus::Offline);
    let plan = world.plan(&WEB.replace("nginx:1.22", "nginx:1.23"));
    expect![[r#"
        ~ web[0] on alpha: the image changed from nginx:1.22 to nginx:1.23
          web[0]/prepare on alpha g2
          web[0]/start on alpha g2 after web[0]/prepare
          web[0]/await-healthy on alpha g2 after web[0]/start
        drift web[1] on beta: state unknown: beta is offline
        0 to add, 1 to change, 0 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&show(&plan));
    let quiet = world.plan(WEB);
    assert!(quiet.changes.is_empty(), "{}", show(&quiet));
}

#[test]
fn a_lost_node_gives_its_instances_to_others_and_leaves_when_it_returns() {
    let mut world = World::of(&["alpha", "beta", "gamma"]);
    world.reach(WEB);
    let lost = world.seen("web[1]").node.to_string();
    world.lose(&lost, NodeStatus::Lost);
    let plan = world.reach(WEB);
    world.node(&lost).status = NodeStatus::Online;
    for seen in world.fleet.instances.iter_mut().filter(|it| it.node.as_str() == lost) {
        (seen.state, seen.health) = (InstanceState::Running, HealthState::Healthy);
    }
    let back = world.reach(WEB);
    expect![[r#"
        > web[1] from beta on gamma: beta has been offline for too long
          web[1]/prepare on gamma g2
          web[1]/start on gamma g2 after web[1]/prepare
          web[1]/await-healthy on gamma g2 after web[1]/start
        drift web[1] on beta: state unknown: beta is lost
        0 to add, 0 to change, 0 to destroy, 1 to move, 1 unchanged
        - web[1] on beta: it runs on gamma too, where it belongs
          web[1]/remove on beta g3
        0 to add, 0 to change, 1 to destroy, 0 to move, 2 unchanged
    "#]]
    .assert_eq(&(show(&plan) + &show(&back)));
}

#[test]
fn a_rename_keeps_the_data_and_goes_on_keeping_it() {
    let mut world = World::of(&["alpha", "beta"]);
    world.secret("pw", 1);
    world.reach(STACK);
    let renamed = STACK
        .replace("service \"db\"", "service \"store\"")
        .replace("service.db.", "service.store.")
        .replace("depends-on \"db\"", "depends-on \"store\"");
    let plan = world.reach(&format!("{renamed}moved from=\"db\" to=\"store\"\n"));
    expect![[r#"
        ~ store[0] on alpha: renamed from db[0]
          store[0]/prepare on alpha g1
          db[0]/remove on alpha g2 after store[0]/prepare
          store[0]/start on alpha g1 after db[0]/remove
          store[0]/await-healthy on alpha g1 after store[0]/start
        0 to add, 1 to change, 0 to destroy, 0 to move, 2 unchanged
    "#]]
    .assert_eq(&show(&plan));
    world.reach(&renamed);
    let volume = &world.seen("store[0]").spec.as_ref().unwrap().volumes[0];
    assert_eq!(volume.data_of, Some("db[0]".parse().unwrap()));
}

#[test]
fn a_rotated_secret_updates_who_uses_it_and_names_it() {
    let mut world = World::of(&["alpha", "beta"]);
    world.secret("pw", 1);
    world.reach(STACK);
    world.secret("pw", 2);
    let plan = world.reach(STACK);
    expect![[r#"
        ~ api[0] on alpha: secret pw changed from version 1 to version 2
        ~ api[1] on beta: secret pw changed from version 1 to version 2
        ~ db[0] on alpha: secret pw changed from version 1 to version 2
          api[0]/prepare on alpha g2
          api[1]/prepare on beta g2
          db[0]/prepare on alpha g2
          db[0]/start on alpha g2 after db[0]/prepare
          db[0]/await-healthy on alpha g2 after db[0]/start
          api[0]/start on alpha g2 after api[0]/prepare, db[0]/await-healthy
          api[0]/await-healthy on alpha g2 after api[0]/start
          api[1]/start on beta g2 after api[0]/await-healthy, api[1]/prepare,
                db[0]/await-healthy
          api[1]/await-healthy on beta g2 after api[1]/start
        0 to add, 3 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
    expect![[r#"
        @@ -2,7 +2,7 @@
         runtime: docker
         image: api:1
         env:
        -  DATABASE_URL: postgres://app:(sensitive value pw v1)@10.0.0.1:20000/app
        +  DATABASE_URL: postgres://app:(sensitive value pw v2)@10.0.0.1:20000/app
         ports:
           main:
             container: 8080
    "#]]
    .assert_eq(&plan.changes[0].diff);
}

#[test]
fn what_broke_by_itself_is_put_right() {
    let mut world = World::of(&["alpha", "beta", "gamma"]);
    let three = WEB.replace("replicas 2", "replicas 3");
    world.reach(&three);
    let seen = world.seen("web[0]");
    seen.health = HealthState::Unhealthy;
    let seen = world.seen("web[2]");
    (seen.state, seen.health) = (InstanceState::Exited, HealthState::Unknown);
    seen.message = Some("exited with code 1".to_owned());
    world.policy.self_heal = false;
    let left = world.plan(&three);
    world.policy.self_heal = true;
    let plan = world.reach(&three);
    expect![[r#"
        drift web[0] on alpha: is unhealthy
        drift web[2] on gamma: exited with code 1
        0 to add, 0 to change, 0 to destroy, 0 to move, 3 unchanged
        ~ web[0] on alpha: it is unhealthy
        ~ web[2] on gamma: it exited with code 1
          web[0]/prepare on alpha g2
          web[0]/remove on alpha g2 after web[0]/prepare
          web[0]/start on alpha g3 after web[0]/remove
          web[0]/await-healthy on alpha g3 after web[0]/start
          web[2]/prepare on gamma g2
          web[2]/start on gamma g2 after web[0]/await-healthy, web[2]/prepare
          web[2]/await-healthy on gamma g2 after web[2]/start
        drift web[0] on alpha: is unhealthy
        drift web[2] on gamma: exited with code 1
        0 to add, 2 to change, 0 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&(show(&left) + &show(&plan)));
}

#[test]
fn an_unknown_past_is_adopted_without_a_record() {
    let mut world = World::of(&["alpha", "beta"]);
    world.secret("pw", 1);
    world.reach(STACK);
    world.generations.clear();
    let plan = world.plan(STACK);
    assert!(plan.changes.is_empty(), "{}", show(&plan));
}

#[test]
fn undeclared_services_stay_without_prune_and_go_with_it() {
    let mut world = World::of(&["alpha", "beta"]);
    world.secret("pw", 1);
    world.reach(&format!("{STACK}service \"old\" {{ image \"old:1\"; port 9000 host=9000 }}"));
    world.policy.prune = false;
    let kept = world.plan(STACK);
    world.policy.prune = true;
    let plan = world.reach(STACK);
    expect![[r#"
        warning[DN-W0602]: service `old` is not declared; 1 instance left running
          help: declare it again, set `sync prune=#true`, or destroy it with `devnet apply`
        0 to add, 0 to change, 0 to destroy, 0 to move, 4 unchanged
        - old[0] on alpha: it is not declared any more
          old[0]/remove on alpha g2
        0 to add, 0 to change, 1 to destroy, 0 to move, 3 unchanged
    "#]]
    .assert_eq(&(show(&kept) + &show(&plan)));
}

#[test]
fn destroying_goes_against_the_order_of_dependencies() {
    let mut world = World::of(&["alpha", "beta"]);
    world.secret("pw", 1);
    world.reach(STACK);
    world.options.destroy = true;
    let plan = world.reach(STACK);
    expect![[r#"
        - api[0] on alpha: its destruction was asked for
        - api[1] on beta: its destruction was asked for
        - db[0] on alpha: its destruction was asked for
          api[0]/remove on alpha g2
          api[1]/remove on beta g2
          db[0]/remove on alpha g2 after api[0]/remove, api[1]/remove
        0 to add, 0 to change, 3 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
    assert!(world.fleet.instances.is_empty());
}

#[test]
fn the_fleet_once_a_plan_was_applied_needs_no_other() {
    let mut world = World::of(&["alpha", "beta"]);
    let web = |image: &str, more: &str| {
        format!(
            "cluster \"lab\"\n{more}\
             service \"web\" {{ image \"{image}\"; replicas 3; port 80 }}\n\
             service \"db\" {{ image \"db:1\"; place {{ pin \"beta\" }} }}\n"
        )
    };
    world.reach(&web("web:1", ""));
    let next = web("web:2", "node \"alpha\" { drain }\nservice \"new\" { image \"new:1\" }\n");
    let next = next.replace("db:1", "db:2");
    let plan = world.plan(&next);
    let done = (plan.summary.moved, plan.summary.add, plan.summary.change);
    assert!(done.0 > 0 && done.1 > 0 && done.2 > 0, "{}", show(&plan));
    world.fleet = crate::suppose::applied(&world.fleet, &plan);
    assert!(world.plan(&next).changes.is_empty(), "{}", show(&world.plan(&next)));
}

const ONCE: &str = r#"
cluster "lab"
service "migrate" {
    image "api:1"
    command "migrate"
    run-once
}
service "api" {
    image "api:1"
    port 8080
    depends-on "migrate"
}
"#;

#[test]
fn what_runs_once_is_waited_for_and_is_left_alone_when_it_is_done() {
    let mut world = World::of(&["alpha"]);
    let plan = world.reach(ONCE);
    expect![[r#"
        + api[0] on alpha: it is new; the only node that can run it
        + migrate[0] on alpha: it is new; the only node that can run it
          api[0]/prepare on alpha g1
          migrate[0]/prepare on alpha g1
          migrate[0]/start on alpha g1 after migrate[0]/prepare
          migrate[0]/await-healthy on alpha g1 after migrate[0]/start
          api[0]/start on alpha g1 after api[0]/prepare, migrate[0]/await-healthy
          api[0]/await-healthy on alpha g1 after api[0]/start
        2 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
    world.seen("migrate[0]").state = InstanceState::Completed;
    assert!(world.plan(ONCE).changes.is_empty(), "it is done");
    let changed = world.reach(&ONCE.replacen("api:1", "api:2", 1));
    assert_eq!(changed.changes.len(), 1);
    assert_eq!(changed.changes[0].reason, "the image changed from api:1 to api:2");
    let failed = world.seen("migrate[0]");
    failed.state = InstanceState::Exited;
    failed.health = HealthState::Unhealthy;
    failed.message = Some("exited with code 3".to_owned());
    let again = world.plan(&ONCE.replacen("api:1", "api:2", 1));
    assert_eq!(again.changes[0].reason, "it exited with code 3");
}

#[test]
fn what_runs_at_certain_times_is_left_alone_between_its_runs_however_they_ended() {
    let file = "cluster \"lab\"\nservice \"job\" { image \"job:1\"; schedule \"0 3 * * *\"; }\n";
    let mut world = World::of(&["alpha"]);
    let plan = world.reach(file);
    let spec = plan.changes[0].after.as_ref().unwrap();
    assert_eq!(spec.schedule.as_ref().unwrap().timezone, "UTC");
    assert!(spec.run_once);
    for health in [HealthState::Healthy, HealthState::Unhealthy] {
        let seen = world.seen("job[0]");
        (seen.state, seen.health) = (InstanceState::Scheduled, health);
        let plan = world.plan(file);
        assert!(plan.changes.is_empty() && plan.drift.is_empty(), "{}", show(&plan));
    }
    let plan = world.plan(&file.replace("0 3", "30 4"));
    assert_eq!(plan.changes[0].reason, "the schedule changed from 0 3 * * * UTC to 30 4 * * * UTC");
}
