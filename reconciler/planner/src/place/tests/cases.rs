//! Each constraint by itself, and each reason to move or to stay.

use devnet_schema::{instance::Protocol, placement::PlacementStatus, quantity::Bytes};

use super::*;

/// Three equal nodes.
fn three() -> Vec<NodeInput> {
    vec![node("atlas", 4, 8), node("nas", 4, 8), node("vega", 4, 8)]
}

fn single(nodes: Vec<NodeInput>, change: impl FnOnce(&mut ServiceInput)) -> Outcome {
    let mut only = service("web", 1);
    change(&mut only);
    checked(&problem(nodes, vec![only]))
}

/// What the only unplaced service is told about a node, as `constraint: text`.
fn against(outcome: &Outcome, node: &str) -> Vec<String> {
    let nodes = &outcome.unplaced[0].nodes;
    let verdict = nodes.iter().find(|v| v.node.as_str() == node).unwrap();
    verdict.violations.iter().map(|v| format!("{}: {}", v.constraint, v.text)).collect()
}

#[test]
fn nothing_to_do_is_optimal() {
    let outcome = checked(&problem(three(), Vec::new()));
    assert_eq!(outcome.status, PlacementStatus::Optimal);
    let outcome = checked(&problem(Vec::new(), vec![service("web", 1)]));
    assert_eq!(outcome.status, PlacementStatus::Infeasible);
    assert_eq!((outcome.missing(), outcome.levels[0].proven), (1, true));
}

#[test]
fn balance_evens_out_and_pack_fills_up() {
    let mut even = problem(three(), vec![service("web", 6)]);
    let outcome = checked(&even);
    let on = |outcome: &Outcome, node: &str| {
        (0..6).filter(|&i| at(outcome, "web", i) == Some(node)).count()
    };
    assert_eq!(["atlas", "nas", "vega"].map(|node| on(&outcome, node)), [2, 2, 2]);
    assert_eq!(outcome.status, PlacementStatus::Optimal);
    even.objective = Objective::Pack;
    even.services[0].replicas = 4;
    let outcome = checked(&even);
    let used = ["atlas", "nas", "vega"].iter().filter(|node| on(&outcome, node) > 0).count();
    assert_eq!((used, outcome.status), (1, PlacementStatus::Optimal));
}

#[test]
fn every_filter_filters() {
    let mut nodes = three();
    nodes[1].tags.push("storage".to_owned());
    nodes[1].zone = Some("rack-2".to_owned());
    nodes[1].os = "macos".to_owned();
    nodes[1].arch = "aarch64".to_owned();
    nodes[1].runtimes = vec!["process".to_owned()];
    nodes[1].gpus = vec![gpu("GPU-1", "A10", 24)];
    let conditions = [
        condition(Key::Tag, &["storage", "other"]),
        condition(Key::Zone, &["rack-2"]),
        condition(Key::Os, &["macos"]),
        condition(Key::Arch, &["aarch64"]),
        condition(Key::Runtime, &["process"]),
        condition(Key::GpuModel, &["A10"]),
        condition(Key::Node, &["nas"]),
    ];
    for line in conditions {
        let outcome = single(nodes.clone(), |s| s.require.push(line.clone()));
        assert_eq!(at(&outcome, "web", 0), Some("nas"), "{line:?}");
        let outcome = single(nodes.clone(), |s| s.forbid.push(line.clone()));
        assert_ne!(at(&outcome, "web", 0), Some("nas"), "{line:?}");
    }
    let pin = Some(Pin { node: node_name("vega"), at: None });
    assert_eq!(at(&single(nodes, |s| s.pin = pin), "web", 0), Some("vega"));
}

#[test]
fn wishes_outweigh_balance_and_never_block() {
    let mut nodes = three();
    nodes[2].tags.push("ssd".to_owned());
    nodes[2].cpu_milli = 1500;
    let wish = Prefer { condition: condition(Key::Tag, &["ssd"]), weight: 10 };
    let mut web = service("web", 2);
    web.prefer.push(wish);
    let outcome = checked(&problem(nodes, vec![web]));
    assert_eq!((at(&outcome, "web", 0), at(&outcome, "web", 1)), (Some("atlas"), Some("vega")));
}

#[test]
fn ports_max_per_node_and_apart_from_keep_instances_apart() {
    let mut web = service("web", 4);
    web.host_ports.push((Protocol::Tcp, 80));
    let outcome = checked(&problem(three(), vec![web]));
    assert_eq!(outcome.missing(), 1);
    assert_eq!(against(&outcome, "nas"), ["port: port 80/tcp is taken by web"]);
    let mut web = service("web", 4);
    web.max_per_node = Some(1);
    let outcome = checked(&problem(three(), vec![web]));
    assert_eq!(
        against(&outcome, "vega"),
        ["max-per-node: runs 1 of at most 1 instance(s) there already"]
    );
    let mut web = service("web", 4);
    web.apart_from.push(service_name("web"));
    assert_eq!(checked(&problem(three(), vec![web])).missing(), 1);

    let mut proxy = service("proxy", 1);
    proxy.host_ports.push((Protocol::Tcp, 80));
    let mut web = service("web", 1);
    web.host_ports.push((Protocol::Tcp, 80));
    let one = vec![node("atlas", 4, 8)];
    let outcome = checked(&problem(one.clone(), vec![proxy.clone(), web.clone()]));
    assert_eq!(against(&outcome, "atlas"), ["port: port 80/tcp is taken by proxy"]);
    web.host_ports[0].0 = Protocol::Udp;
    assert_eq!(checked(&problem(one, vec![proxy, web])).missing(), 0);
    let mut nodes = three();
    nodes.truncate(1);
    nodes[0].reserved_ports.push((Protocol::Tcp, 22));
    let outcome = single(nodes, |s| s.host_ports.push((Protocol::Tcp, 22)));
    assert_eq!(
        against(&outcome, "atlas"),
        ["port: port 22/tcp is held by something outside the cluster"]
    );
}

#[test]
fn apart_from_holds_both_ways_for_many_instances() {
    let mut worker = service("worker", 3);
    worker.apart_from.push(service_name("db"));
    let outcome = checked(&problem(three(), vec![service("db", 3), worker]));
    assert_eq!(outcome.missing(), 0);
}

#[test]
fn near_follows_and_circles_hold_together() {
    let mut db = service("db", 1);
    db.pin = Some(Pin { node: node_name("vega"), at: None });
    let mut api = service("api", 2);
    api.near.push(service_name("db"));
    let outcome = checked(&problem(three(), vec![api.clone(), db]));
    assert_eq!((at(&outcome, "api", 0), at(&outcome, "api", 1)), (Some("vega"), Some("vega")));
    let mut cache = service("cache", 1);
    cache.near.push(service_name("api"));
    api.replicas = 1;
    api.near = vec![service_name("cache")];
    let outcome = checked(&problem(three(), vec![api, cache.clone()]));
    assert_eq!(outcome.missing(), 0);
    assert_eq!(at(&outcome, "api", 0), at(&outcome, "cache", 0));
    let outcome = checked(&problem(three(), vec![cache]));
    assert_eq!(against(&outcome, "nas"), ["near: must run near api, which is not there"]);
}

#[test]
fn spread_is_over_the_domains_where_the_service_may_run() {
    let mut nodes = three();
    nodes.push(node("big", 16, 64));
    for (node, zone) in nodes.iter_mut().zip(["a", "b", "b", "a"]) {
        node.zone = Some(zone.to_owned());
    }
    let spread = |by| Spread { by, max_skew: 1, at: Some("cluster.kdl:9:9".to_owned()) };
    let mut web = service("web", 5);
    web.spread.push(spread(SpreadBy::Zone));
    let outcome = checked(&problem(nodes.clone(), vec![web.clone()]));
    let in_a = (0..5).filter(|&i| matches!(at(&outcome, "web", i), Some("atlas" | "big"))).count();
    assert!((2..=3).contains(&in_a), "{in_a}");
    // A node that is drained is no domain: the others take everything.
    web.spread = vec![spread(SpreadBy::Node)];
    web.replicas = 8;
    nodes[3].state = NodeState::Draining;
    let outcome = checked(&problem(nodes.clone(), vec![web.clone()]));
    assert_eq!(outcome.missing(), 0);
    // A full domain holds the others back, and says so.
    nodes[3].state = NodeState::Ready;
    nodes[0].cpu_milli = 1000;
    web.replicas = 9;
    let outcome = checked(&problem(nodes, vec![web]));
    assert_eq!(outcome.missing(), 2);
    assert_eq!(against(&outcome, "big"), ["spread: would be spread unevenly: 2 apart, 1 allowed"]);
}

#[test]
fn gpus_whole_shared_and_sliced() {
    let mut rig = node("rig", 16, 64);
    rig.gpus = vec![gpu("GPU-a", "A10", 24), gpu("GPU-b", "A10", 24), gpu("GPU-c", "T4", 16)];
    let mut train = service("train", 1);
    train.gpu = GpuRequest::Whole(1);
    train.priority = 90;
    train.require.push(condition(Key::GpuModel, &["T4"]));
    let mut infer = service("infer", 3);
    infer.gpu = GpuRequest::Share(600);
    let mut embed = service("embed", 2);
    embed.gpu = GpuRequest::Memory(Bytes::gib(9));
    let outcome = checked(&problem(vec![rig, node("plain", 4, 8)], vec![train, infer, embed]));
    assert_eq!(outcome.assignments[&id("train", 0)].gpus[0].id, "GPU-c");
    assert_eq!(outcome.missing(), 1, "two shares of 60% and two slices of 9GiB fill two A10");
    assert_eq!(outcome.unplaced[0].service.as_str(), "infer");
    assert_eq!(against(&outcome, "plain"), ["gpu: needs 60% of a GPU, 0% free on the emptiest"]);
    let gpu = &outcome.unplaced[0].nodes[1].violations[0];
    assert_eq!((gpu.constraint.as_str(), gpu.need), ("gpu", Some(0.6)));
    assert!(outcome.levels[0].proven);
}

#[test]
fn devices_are_told_apart_where_their_sum_misleads() {
    // 45+45+30+30+30+20 is exactly two devices, yet no two sets of 100 can be made of it.
    let mut rig = node("rig", 16, 64);
    rig.gpus = vec![gpu("GPU-a", "A10", 24), gpu("GPU-b", "A10", 24)];
    let shares = [450, 450, 300, 300, 300, 200].iter().enumerate();
    let services = shares.map(|(i, &milli)| {
        let mut service = service(&format!("s{i}"), 1);
        service.gpu = GpuRequest::Share(milli);
        service.require.push(condition(Key::GpuModel, &["A10"]));
        service
    });
    let mut all = problem(vec![rig], services.collect());
    let outcome = checked(&all);
    assert_eq!((outcome.missing(), outcome.levels[0].proven), (1, true));
    assert!(outcome.ilps <= 1, "the relaxation knows what fits on one device");
    // It does not know whose devices are whose.
    all.nodes[0].gpus.push(gpu("GPU-c", "T4", 24));
    let outcome = checked(&all);
    assert_eq!((outcome.missing(), outcome.levels[0].proven), (1, true));
    assert!(outcome.ilps >= 3, "the first program could not know");
}

#[test]
fn devices_stay_with_who_has_them() {
    let mut rig = node("rig", 16, 64);
    rig.gpus = vec![gpu("GPU-a", "A10", 24), gpu("GPU-b", "A10", 24)];
    let mut old = service("zz-old", 1);
    old.gpu = GpuRequest::Share(300);
    let mut first = checked(&problem(vec![rig.clone()], vec![old.clone()]));
    let place = first.assignments.remove(&id("zz-old", 0)).unwrap();
    let mut gpus = place.gpus.clone();
    gpus[0].id = "GPU-b".to_owned();
    old.current.insert(0, Current { node: place.node, gpus, held: false });
    let mut new = service("a-new", 1);
    new.gpu = GpuRequest::Whole(1);
    let outcome = checked(&problem(vec![rig.clone()], vec![old.clone(), new.clone()]));
    assert_eq!(outcome.assignments[&id("zz-old", 0)].gpus[0].id, "GPU-b");
    assert_eq!(outcome.assignments[&id("zz-old", 0)].reason, Reason::Stays);
    // Two whole devices are wanted and one is gone: the share must make room on the other.
    old.gpu = GpuRequest::Share(300);
    new.require.push(condition(Key::GpuModel, &["H100"]));
    rig.gpus[1].model = "H100".to_owned();
    let outcome = checked(&problem(vec![rig], vec![old, new]));
    assert_eq!(outcome.assignments[&id("a-new", 0)].gpus[0].id, "GPU-b");
    let reason = outcome.assignments[&id("zz-old", 0)].reason.text();
    assert_eq!(reason, "restarts on other GPUs of its node: GPU-b is for a-new[0]");
    let prices = (outcome.moves, outcome.restarts, outcome.move_cost, outcome.move_cost_bound);
    assert_eq!(prices, (0, 1, 1, 1));
    assert_eq!(outcome.status, PlacementStatus::Optimal);
}

/// A newcomer may have a device to itself on either node; on the preferred one, two that share the
/// two devices would have to share one.
#[test]
fn nobody_restarts_for_a_better_score() {
    let mut nodes = vec![node("a", 8, 32), node("b", 8, 32)];
    nodes[0].tags.push("x".to_owned());
    nodes[0].gpus = vec![gpu("GPU-a-0", "A10", 24), gpu("GPU-a-1", "A10", 24)];
    nodes[1].gpus = vec![gpu("GPU-b-0", "A10", 24)];
    let mut shares = service("shares", 2);
    shares.gpu = GpuRequest::Share(400);
    for index in 0..2 {
        runs_on(&mut shares, index, "a");
        let id = format!("GPU-a-{index}");
        let gpus = vec![GpuUse { id, share_milli: 400, memory: Bytes::ZERO }];
        shares.current.get_mut(&index).unwrap().gpus = gpus;
    }
    let mut whole = service("whole", 1);
    whole.gpu = GpuRequest::Whole(1);
    whole.prefer.push(Prefer { condition: condition(Key::Tag, &["x"]), weight: 5 });
    let outcome = checked(&problem(nodes.clone(), vec![shares.clone(), whole.clone()]));
    assert_eq!(at(&outcome, "whole", 0), Some("b"));
    assert_eq!((outcome.restarts, outcome.move_cost), (0, 0));
    assert_eq!(outcome.status, PlacementStatus::Optimal);
    let why = outcome.assignments[&id("whole", 0)].reason.text();
    assert_eq!(why, "new; the other nodes would have to restart others on other GPUs");
    let all = problem(nodes.clone(), vec![shares.clone(), whole.clone()]);
    let explained = explain(&all, &outcome, &service_name("whole")).unwrap();
    let there = |node: &str| explained.nodes.iter().find(|it| it.node.as_str() == node).unwrap();
    assert_eq!((there("a").restarts, there("b").restarts), (1, 0));
    // Where there is no other node, one of them makes room, and one only.
    nodes[1].gpus.clear();
    let outcome = checked(&problem(nodes, vec![shares, whole]));
    assert_eq!(at(&outcome, "whole", 0), Some("a"));
    assert_eq!((outcome.restarts, outcome.move_cost, outcome.move_cost_bound), (1, 1, 1));
}

#[test]
fn the_important_comes_first_whatever_it_costs_the_rest() {
    let mut small = service("small", 4);
    small.priority = 10;
    let mut large = service("large", 1);
    large.priority = 90;
    large.cpu_milli = 4000;
    for index in 0..4 {
        runs_on(&mut small, index, "atlas");
    }
    let outcome = checked(&problem(vec![node("atlas", 4, 8)], vec![small, large]));
    assert_eq!(at(&outcome, "large", 0), Some("atlas"));
    assert_eq!(outcome.missing(), 4);
    assert!(outcome.levels.iter().all(|level| level.proven));
}

#[test]
fn states_of_nodes() {
    let kept = |state, movable| {
        let mut nodes = three();
        nodes[0].state = state;
        let mut db = service("db", 1);
        db.movable = movable;
        runs_on(&mut db, 0, "atlas");
        let mut new = service("new", 3);
        new.cpu_milli = 3000;
        let outcome = checked(&problem(nodes, vec![db, new]));
        assert!((0..3).all(|i| at(&outcome, "new", i) != Some("atlas")), "{state:?}");
        let place = &outcome.assignments[&id("db", 0)];
        let held = matches!(&place.reason, Reason::Held { why } if why.contains("atlas"));
        let here = place.node.as_str() == "atlas";
        assert_eq!(held, here && state != NodeState::Cordoned, "{state:?}: {:?}", place.reason);
        here
    };
    for state in [NodeState::Cordoned, NodeState::Offline] {
        assert!(kept(state, true) && kept(state, false), "{state:?}");
    }
    for state in [NodeState::Draining, NodeState::Lost] {
        assert!(!kept(state, true) && kept(state, false), "data stays: {state:?}");
    }
}

#[test]
fn data_stays_even_if_others_cannot_be_placed() {
    let mut db = service("db", 1);
    db.movable = false;
    db.priority = 10;
    runs_on(&mut db, 0, "atlas");
    let mut large = service("large", 1);
    large.priority = 90;
    large.cpu_milli = 4000;
    large.pin = Some(Pin { node: node_name("atlas"), at: None });
    let base = problem(three(), vec![db, large]);
    let outcome = checked(&base);
    assert_eq!(at(&outcome, "db", 0), Some("atlas"));
    assert_eq!(outcome.missing(), 1);
    // A constraint of its own forbids the place: then it goes.
    let mut moved = base.clone();
    moved.services[0].forbid.push(condition(Key::Node, &["atlas"]));
    let outcome = checked(&moved);
    assert_ne!(at(&outcome, "db", 0), Some("atlas"));
    let reason = outcome.assignments[&id("db", 0)].reason.text();
    assert_eq!(reason, "moves from atlas: forbids node `atlas`");
    // A node that is gone too.
    let mut gone = base;
    gone.nodes.remove(0);
    let outcome = checked(&gone);
    let reason = outcome.assignments[&id("db", 0)].reason.text();
    assert_eq!(reason, "moves from atlas: atlas is not in the fleet any more");
}

#[test]
fn only_what_must_move_moves_and_the_cheap_first() {
    let mut heavy = service("heavy", 1);
    heavy.move_cost = 500;
    let mut light = service("light", 1);
    light.move_cost = 1;
    for service in [&mut heavy, &mut light] {
        service.cpu_milli = 2000;
        runs_on(service, 0, "atlas");
    }
    let mut wide = service("wide", 1);
    wide.cpu_milli = 2000;
    wide.pin = Some(Pin { node: node_name("atlas"), at: None });
    let outcome = checked(&problem(three(), vec![heavy, light, wide]));
    assert_eq!(outcome.status, PlacementStatus::Optimal);
    assert_eq!((outcome.moves, outcome.moves_bound, outcome.move_cost_bound), (1, 0, 1));
    assert_eq!(at(&outcome, "heavy", 0), Some("atlas"));
    let reason = outcome.assignments[&id("light", 0)].reason.text();
    assert_eq!(reason, "moves from atlas: makes room for service.wide[0]");
}

#[test]
fn nothing_moves_for_the_score_unless_asked() {
    let mut web = service("web", 4);
    (0..4).for_each(|index| runs_on(&mut web, index, "atlas"));
    let mut crowded = problem(three(), vec![web]);
    let outcome = checked(&crowded);
    assert_eq!((outcome.moves, outcome.status), (0, PlacementStatus::Optimal));
    crowded.limits.rebalance = true;
    let outcome = checked(&crowded);
    assert_eq!(outcome.moves, 2, "2+1+1 is as even as it gets");
}

#[test]
fn indices_stay_with_their_nodes() {
    let mut web = service("web", 3);
    web.max_per_node = Some(1);
    for (index, node) in [(0, "vega"), (1, "gone"), (2, "atlas"), (3, "nas")] {
        runs_on(&mut web, index, node);
    }
    let outcome = checked(&problem(three(), vec![web]));
    let nodes: Vec<_> = (0..3).map(|index| at(&outcome, "web", index).unwrap()).collect();
    assert_eq!(nodes, ["vega", "nas", "atlas"]);
    assert_eq!(outcome.moves, 1);
}

#[test]
fn odd_byte_counts_are_never_overcommitted() {
    let mut nodes = three();
    nodes.truncate(1);
    nodes[0].memory = 8 * GIB;
    nodes[0].cpu_milli = 64_000;
    let mut a = service("a", 3);
    a.memory = 2 * GIB + 1;
    let mut b = service("b", 1);
    b.memory = 2 * GIB - 2;
    let outcome = checked(&problem(nodes, vec![a, b]));
    assert_eq!(outcome.missing(), 1);
}

#[test]
fn sizes_beyond_all_bounds_are_refused_quietly() {
    let outcome = single(three(), |s| {
        s.memory = u64::MAX;
        s.cpu_milli = u64::MAX;
        s.disk = u64::MAX;
        s.replicas = 3;
    });
    assert_eq!(outcome.missing(), 3);
    let outcome = single(three(), |s| {
        (s.cpu_milli, s.memory, s.disk, s.replicas) = (0, 0, 0, 200);
    });
    assert_eq!(outcome.missing(), 0);
}

#[test]
fn explains_every_node_of_a_placed_service() {
    let mut nodes = three();
    nodes[1].state = NodeState::Cordoned;
    nodes[2].cpu_milli = 500;
    let mut web = service("web", 1);
    web.require.push(condition(Key::Arch, &["x86_64"]));
    let problem = problem(nodes, vec![web]);
    let outcome = checked(&problem);
    let told = explain(&problem, &outcome, &service_name("web")).unwrap();
    assert_eq!(told.placed[0].1.as_str(), "atlas");
    let texts = |n: usize| -> Vec<&str> {
        told.nodes[n].violations.iter().map(|v| v.text.as_str()).collect()
    };
    assert!(told.nodes[0].here == 1 && told.nodes[0].eligible);
    assert_eq!(texts(1), ["nas is cordoned: it takes no new instances"]);
    assert_eq!(texts(2), ["needs 1 cpu, 0.5 free: 0.5 short"]);
    assert!(!told.nodes[2].eligible);
    assert_eq!(explain(&problem, &outcome, &service_name("nobody")), None);
}
