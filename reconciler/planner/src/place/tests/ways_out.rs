//! What does not fit: everything that speaks against each node, and ways out that work.

use devnet_schema::placement::PlacementStatus;

use super::*;

fn texts(outcome: &Outcome) -> Vec<String> {
    let suggestions = outcome.unplaced[0].suggestions.iter();
    suggestions.map(|suggestion| suggestion.text.clone()).collect()
}

#[test]
fn names_the_service_the_node_the_resource_and_the_shortfall() {
    let mut nodes = vec![node("nuc1", 4, 8), node("nuc2", 8, 16)];
    nodes[0].zone = Some("attic".to_owned());
    let mut db = service("db", 1);
    db.memory = 24 * GIB;
    db.cpu_milli = 6000;
    db.forbid.push(condition(Key::Zone, &["attic"]));
    let outcome = checked(&problem(nodes, vec![db]));
    assert_eq!(outcome.status, PlacementStatus::Infeasible);
    let unplaced = &outcome.unplaced[0];
    assert_eq!((unplaced.service.as_str(), unplaced.unplaced), ("db", 1));
    assert_eq!(unplaced.at.as_deref(), Some("cluster.kdl:2:1"));
    let told: Vec<(&str, Vec<&str>)> = unplaced
        .nodes
        .iter()
        .map(|v| (v.node.as_str(), v.violations.iter().map(|v| v.text.as_str()).collect()))
        .collect();
    let nuc1 = vec![
        "forbids zone `attic`",
        "needs 6 cpu, 4 free: 2 short",
        "needs 24GiB of memory, 8GiB free: 16GiB short",
    ];
    let nuc2 = vec!["needs 24GiB of memory, 16GiB free: 8GiB short"];
    assert_eq!(told, [("nuc1", nuc1), ("nuc2", nuc2)]);
    let memory = &unplaced.nodes[1].violations[0];
    let gib = GIB as f64;
    assert_eq!((memory.need, memory.free), (Some(24.0 * gib), Some(16.0 * gib)));
    assert_eq!(unplaced.nodes[0].violations[0].at.as_deref(), Some("cluster.kdl:7:5"));
    assert_eq!(
        texts(&outcome),
        ["free 8GiB of memory on nuc2", "add one node with 6 cpu and 24GiB of memory"]
    );
}

#[test]
fn a_pin_on_a_full_node() {
    let mut db = service("db", 1);
    db.cpu_milli = 3000;
    let mut web = service("web", 1);
    web.cpu_milli = 3000;
    for service in [&mut db, &mut web] {
        let at = Some("cluster.kdl:41:9".to_owned());
        service.pin = Some(Pin { node: node_name("atlas"), at });
    }
    let outcome = checked(&problem(vec![node("atlas", 4, 8), node("nas", 4, 8)], vec![db, web]));
    assert_eq!(outcome.missing(), 1);
    let name = outcome.unplaced[0].service.clone();
    // On nas only the pin speaks against it; on atlas 2 cpu are missing.
    assert_eq!(
        texts(&outcome),
        [
            format!("drop `pin` of service {name} at cluster.kdl:41:9"),
            "free 2 cpu on atlas".to_owned(),
        ]
    );
    assert!(outcome.unplaced[0].suggestions.iter().all(|s| s.verified && !s.edits.is_empty()));
}

#[test]
fn data_in_the_way_could_be_moved_by_hand() {
    let mut nodes = vec![node("hypervisor", 16, 64), node("vega", 4, 8)];
    nodes[1].tags.push("gpu".to_owned());
    let mut redis = service("redis", 1);
    redis.movable = false;
    redis.cpu_milli = 2000;
    runs_on(&mut redis, 0, "vega");
    let mut llm = service("llm", 1);
    llm.cpu_milli = 4000;
    llm.require.push(condition(Key::Tag, &["gpu"]));
    let outcome = checked(&problem(nodes, vec![redis, llm]));
    assert_eq!(outcome.unplaced[0].service.as_str(), "llm");
    let first = &outcome.unplaced[0].suggestions[0];
    let text = "move service.redis[0] from vega to hypervisor; its data must be moved with it";
    assert_eq!(first.text, text);
    let edit = Edit::Move {
        instance: id("redis", 0),
        from: node_name("vega"),
        to: node_name("hypervisor"),
    };
    assert_eq!(first.edits, [edit]);
}

#[test]
fn every_kind_of_single_way_out_is_found() {
    let roomy = || vec![node("atlas", 8, 8), node("nas", 8, 8)];
    let ways = |nodes: Vec<NodeInput>, web: ServiceInput| {
        let mut db = service("db", 1);
        db.pin = Some(Pin { node: node_name("atlas"), at: None });
        texts(&checked(&problem(nodes, vec![db, web])))[0].clone()
    };
    let mut web = service("web", 1);
    web.require.push(condition(Key::Tag, &["ssd"]));
    assert_eq!(ways(roomy(), web), "drop `require tag=ssd` of service web at cluster.kdl:7:5");

    let mut web = service("web", 1);
    web.forbid.push(condition(Key::Os, &["linux"]));
    assert_eq!(ways(roomy(), web), "drop `forbid os=linux` of service web at cluster.kdl:7:5");

    let mut web = service("web", 3);
    web.max_per_node = Some(1);
    assert_eq!(ways(roomy(), web), "drop `max-per-node` of service web at cluster.kdl:3:1");

    let mut web = service("web", 1);
    web.apart_from.push(service_name("db"));
    let one = vec![node("atlas", 8, 8)];
    assert_eq!(ways(one, web), "drop `apart-from` of service web at cluster.kdl:3:1");

    let mut web = service("web", 1);
    web.cpu_milli = 8000;
    web.near.push(service_name("db"));
    assert_eq!(ways(roomy(), web), "drop `near` of service web at cluster.kdl:3:1");

    let mut nodes = roomy();
    nodes[1].state = NodeState::Cordoned;
    let mut web = service("web", 1);
    web.cpu_milli = 8000;
    assert_eq!(ways(nodes, web), "uncordon node nas");

    let mut nodes = roomy();
    nodes[1].cpu_milli = 1000;
    let mut web = service("web", 5);
    web.spread.push(Spread { by: SpreadBy::Node, max_skew: 1, at: None });
    assert_eq!(ways(nodes, web), "drop `spread` of service web at cluster.kdl:3:1");
}

#[test]
fn a_gpu_that_nobody_has() {
    let mut llm = service("llm", 1);
    llm.gpu = GpuRequest::Memory(devnet_schema::quantity::Bytes::gib(24));
    llm.require.push(condition(Key::Tag, &["gpu"]));
    let outcome = checked(&problem(vec![node("atlas", 8, 8)], vec![llm]));
    assert_eq!(
        texts(&outcome),
        ["add one node with 1 cpu and 1GiB of memory and a GPU with 24GiB, tagged gpu"]
    );
}

#[test]
fn nothing_is_suggested_that_hurts_another() {
    // Without its pin `web` would fit on nas only by driving `low` out; that is worse for `low`.
    let mut low = service("low", 1);
    low.priority = 10;
    low.cpu_milli = 4000;
    let mut web = service("web", 1);
    web.cpu_milli = 4000;
    web.pin = Some(Pin { node: node_name("atlas"), at: None });
    let nodes = vec![node("atlas", 2, 8), node("nas", 4, 8)];
    let outcome = checked(&problem(nodes, vec![low, web]));
    assert_eq!(outcome.unplaced[0].service.as_str(), "web");
    assert!(!texts(&outcome).iter().any(|text| text.contains("pin")), "{:?}", texts(&outcome));
}
