//! One instance on each eligible node: who joins and who leaves, and whose number is whose.

use expect_test::expect;

use super::*;

const AGENT: &str = r#"
cluster "lab"
service "agent" {
    image "agent:1"
    replicas "per-node"
    port 9100 host=9100
    resources cpu=0.5 memory="1GiB"
}
"#;

/// Where each instance is.
fn places(world: &World) -> Vec<String> {
    let all = world.fleet.instances.iter();
    let mut all: Vec<String> = all.map(|it| format!("{} {}", it.instance(), it.node)).collect();
    all.sort();
    all
}

#[test]
fn every_node_has_one_and_a_new_node_gets_one() {
    let mut world = World::of(&["alpha", "beta"]);
    world.reach(AGENT);
    assert_eq!(places(&world), ["agent[0] alpha", "agent[1] beta"]);
    world.fleet.nodes.push(node("gamma", 3));
    let plan = world.reach(AGENT);
    expect![[r#"
        + agent[2] on gamma: it is new; there is one on each of its nodes
          agent[2]/prepare on gamma g1
          agent[2]/start on gamma g1 after agent[2]/prepare
          agent[2]/await-healthy on gamma g1 after agent[2]/start
        1 to add, 0 to change, 0 to destroy, 0 to move, 2 unchanged
    "#]]
    .assert_eq(&show(&plan));
}

#[test]
fn a_number_stays_with_its_node_when_others_go() {
    let mut world = World::of(&["alpha", "beta", "gamma"]);
    world.reach(AGENT);
    let drained = format!("{AGENT}node \"alpha\" {{ drain }}\n");
    let plan = world.reach(&drained);
    expect![[r#"
        - agent[0] on alpha: alpha is being drained
          agent[0]/remove on alpha g2
        0 to add, 0 to change, 1 to destroy, 0 to move, 2 unchanged
    "#]]
    .assert_eq(&show(&plan));
    assert_eq!(places(&world), ["agent[1] beta", "agent[2] gamma"]);
    world.fleet.nodes.push(node("delta", 4));
    world.reach(&drained);
    assert_eq!(places(&world), ["agent[0] delta", "agent[1] beta", "agent[2] gamma"]);
    world.reach(AGENT);
    let all = ["agent[0] delta", "agent[1] beta", "agent[2] gamma", "agent[3] alpha"];
    assert_eq!(places(&world), all);
}

#[test]
fn a_cordoned_node_keeps_its_own_and_a_new_one_that_is_cordoned_gets_none() {
    let mut world = World::of(&["alpha", "beta"]);
    world.reach(AGENT);
    let more = "node \"alpha\" { cordon }\nnode \"gamma\" { cordon }\n";
    world.fleet.nodes.push(node("gamma", 3));
    let plan = world.plan(&format!("{AGENT}{more}"));
    assert!(plan.is_applicable() && plan.changes.is_empty(), "{}", show(&plan));
}

#[test]
fn a_lost_node_is_no_longer_counted_and_has_its_own_again_when_it_returns() {
    let mut world = World::of(&["alpha", "beta"]);
    world.reach(AGENT);
    world.lose("alpha", NodeStatus::Offline);
    let plan = world.plan(AGENT);
    assert!(plan.is_applicable() && plan.changes.is_empty(), "{}", show(&plan));
    world.lose("alpha", NodeStatus::Lost);
    let plan = world.plan(AGENT);
    assert!(plan.is_applicable() && plan.changes.is_empty(), "{}", show(&plan));
    assert_eq!(plan.placement.unplaced, 0);
    world.node("alpha").status = NodeStatus::Online;
    for seen in world.fleet.instances.iter_mut().filter(|it| it.node.as_str() == "alpha") {
        (seen.state, seen.health) = (InstanceState::Running, HealthState::Healthy);
    }
    let plan = world.plan(AGENT);
    assert!(plan.is_applicable() && plan.changes.is_empty(), "{}", show(&plan));
}

#[test]
fn lines_choose_the_nodes_and_a_node_that_stops_meeting_them_gives_it_up() {
    let mut world = World::of(&["alpha", "beta", "gamma"]);
    let some = AGENT.replace("port", "place { require tag=\"edge\"; }\n    port");
    let tags = |list: &[&str]| -> String {
        list.iter().map(|name| format!("node \"{name}\" {{ tags \"edge\" }}\n")).collect()
    };
    world.reach(&format!("{some}{}", tags(&["alpha", "gamma"])));
    assert_eq!(places(&world), ["agent[0] alpha", "agent[1] gamma"]);
    let plan = world.reach(&format!("{some}{}", tags(&["gamma"])));
    expect![[r#"
        - agent[0] on alpha: it requires tag `edge` at cluster.kdl:6:13
          agent[0]/remove on alpha g2
        0 to add, 0 to change, 1 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&show(&plan));
    let none = world.reach(&some);
    assert_eq!(none.summary.destroy, 1, "{}", show(&none));
}

#[test]
fn a_node_without_room_is_named_with_what_would_help_there() {
    let mut world = World::of(&["alpha", "beta"]);
    let big = "service \"big\" { image \"b:1\"; priority 90; resources memory=\"7.5GiB\"; \
               place { pin \"alpha\" }; }\n";
    let plan = world.plan(&format!("{AGENT}{big}"));
    expect![[r#"
        cluster.kdl:3:9: error[DN-E0601]: service `agent` does not fit: 1 of its 2 nodes cannot
                run it (alpha: needs 1GiB of memory, 512MiB free: 512MiB short)
          help: free 512MiB of memory on alpha
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
    world.options.allow_unplaced = true;
    let rest = world.plan(&format!("{AGENT}{big}"));
    assert!(rest.is_applicable());
    assert_eq!(rest.changes.len(), 2, "{}", show(&rest));
}

#[test]
fn data_holds_its_instance_to_a_drained_node_and_a_line_lets_it_go() {
    let mut world = World::of(&["alpha", "beta"]);
    let kept = AGENT.replace("port", "volume \"data\" at=\"/data\"\n    port");
    world.reach(&kept);
    let drained = format!("{kept}node \"alpha\" {{ drain }}\n");
    let plan = world.plan(&drained);
    expect![[r#"
        cluster.kdl:10:6: warning[DN-W0603]: agent[0] stays on alpha, which is drained: its
                data cannot follow it
          help: to move it without its data, say `leave-data "alpha"` in service `agent`
        0 to add, 0 to change, 0 to destroy, 0 to move, 2 unchanged
    "#]]
    .assert_eq(&show(&plan));
    let left = drained.replace("port", "leave-data \"alpha\"\n    port");
    let plan = world.reach(&left);
    assert_eq!(plan.summary.destroy, 1, "{}", show(&plan));
    world.fleet.nodes.push(node("gamma", 3));
    world.reach(&left);
    assert_eq!(places(&world), ["agent[1] beta", "agent[2] gamma"]);
    // Back to where its data is, under the number that it had.
    world.reach(&kept);
    assert_eq!(places(&world), ["agent[0] alpha", "agent[1] beta", "agent[2] gamma"]);
}

#[test]
fn a_service_becomes_one_on_each_node_and_back() {
    let mut world = World::of(&["alpha", "beta", "gamma"]);
    let counted = AGENT.replace("\"per-node\"", "2");
    world.reach(&counted);
    let plan = world.reach(AGENT);
    assert_eq!((plan.summary.add, plan.summary.destroy), (1, 0), "{}", show(&plan));
    let back = world.reach(&counted);
    assert_eq!((back.summary.add, back.summary.destroy), (0, 1), "{}", show(&back));
}

#[test]
fn an_update_goes_from_node_to_node() {
    let mut world = World::of(&["alpha", "beta", "gamma"]);
    world.reach(AGENT);
    let plan = world.reach(&AGENT.replace("agent:1", "agent:2"));
    assert_eq!(plan.summary.change, 3);
    let after = |id: &str, start: &str| {
        let step = plan.steps.iter().find(|it| it.id == format!("{id}/start"));
        step.unwrap().after.iter().any(|it| *it == format!("{start}/await-healthy"))
    };
    assert!(after("agent[1]", "agent[0]") && after("agent[2]", "agent[1]"), "{}", show(&plan));
}
