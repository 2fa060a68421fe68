//! What runs and has no place as it is declared: whom it makes room for, and whom not.
//!
//! Knows one database that grew beyond its node. Refuses to know how it is kept.

use devnet_schema::{
    fleet::{Gpu, NodeStatus},
    plan::{Action, Plan},
};

use super::{World, show};

/// A service of one core and so many GiB, with a line more.
fn service(name: &str, priority: u32, gib: u32, line: &str) -> String {
    format!(
        "service \"{name}\" {{ image \"{name}:1\"; priority {priority}; \
         resources cpu=1 memory=\"{gib}GiB\"; {line} }}\n"
    )
}

fn cluster(services: &[String]) -> String {
    format!("cluster \"lab\"\n{}", services.concat())
}

/// A node of 4 GiB on which these run.
fn world(services: &[String]) -> World {
    let mut world = World::of(&["alpha"]);
    world.node("alpha").facts.total_memory_mb = 4096;
    world.reach(&cluster(services));
    world.options.allow_unplaced = true;
    world
}

fn deleted(plan: &Plan) -> Vec<String> {
    let gone = plan.changes.iter().filter(|change| change.action == Action::Delete);
    gone.map(|change| format!("{}: {}", change.instance, change.reason)).collect()
}

fn added(plan: &Plan) -> Vec<String> {
    let new = plan.changes.iter().filter(|change| change.action == Action::Create);
    new.map(|change| change.instance.to_string()).collect()
}

fn kept(plan: &Plan) -> Vec<&str> {
    let told = plan.diagnostics.iter().filter(|found| found.code == "DN-W0608");
    told.filter_map(|found| found.message.split(" on alpha").next()).collect()
}

#[test]
fn its_room_is_for_what_is_more_important_or_as_important_and_fits() {
    let world = world(&[service("db", 50, 2, "")]);
    for (priority, starts) in [(40, false), (50, true), (60, true)] {
        let plan =
            world.plan(&cluster(&[service("db", 50, 6, ""), service("web", priority, 3, "")]));
        let expected: &[&str] = if starts { &["web[0]"] } else { &[] };
        assert_eq!(added(&plan), expected, "{priority}: {}", show(&plan));
        let stops = format!("db[0]: it makes room for service.web[0] (priority {priority})");
        let stops = if starts { vec![stops] } else { Vec::new() };
        assert_eq!(deleted(&plan), stops);
        assert_eq!(kept(&plan).len(), usize::from(!starts));
    }
}

#[test]
fn a_neighbour_that_grows_takes_its_room_only_if_it_is_as_important() {
    for (priority, grows) in [(40, false), (60, true)] {
        let both = |db, web| [service("db", 50, db, ""), service("web", priority, web, "")];
        let world = world(&both(2, 1));
        let plan = world.plan(&cluster(&both(6, 3)));
        let stopped = deleted(&plan).len();
        assert_eq!(stopped, usize::from(grows), "{}", show(&plan));
        // Else neither has a place as it is declared, and both run on.
        let all = ["db[0] keeps running", "web[0] keeps running"];
        assert_eq!(kept(&plan), if grows { &[][..] } else { &all }, "{}", show(&plan));
    }
}

#[test]
fn it_keeps_its_port_and_whom_it_stays_apart_from() {
    let port = "port 80 host=80";
    let world = world(&[service("db", 50, 2, port)]);
    for line in [port, "place { apart-from \"db\" }"] {
        let plan = world.plan(&cluster(&[service("db", 50, 6, port), service("web", 40, 1, line)]));
        assert!(plan.changes.is_empty(), "{line}: {}", show(&plan));
        assert_eq!(kept(&plan), ["db[0] keeps running"]);
    }
    // Beside it there is room for others.
    let plan = world.plan(&cluster(&[service("db", 50, 6, port), service("web", 40, 1, "")]));
    assert_eq!((added(&plan).len(), kept(&plan).len()), (1, 1), "{}", show(&plan));
}

#[test]
fn what_is_drained_and_has_nowhere_to_go_is_not_stopped_for_less() {
    let world = world(&[service("db", 50, 2, "")]);
    let drained = "node \"alpha\" { drain }\n".to_owned();
    let plan = world.plan(&cluster(&[drained, service("db", 50, 2, "")]));
    assert!(plan.changes.is_empty(), "{}", show(&plan));
    assert_eq!(kept(&plan), ["db[0] keeps running"]);
}

#[test]
fn it_keeps_its_gpu() {
    let gpu = |count: u32| format!("resources gpu={count}");
    let llm =
        |count| format!("service \"llm\" {{ image \"llm:1\"; priority 50; {} }}\n", gpu(count));
    let job = |priority: u32| {
        format!("service \"job\" {{ image \"job:1\"; priority {priority}; {} }}\n", gpu(1))
    };
    let mut world = World::of(&["alpha"]);
    world.node("alpha").facts.gpus =
        vec![Gpu { id: "GPU-0".into(), model: "RTX 4090".into(), mem_mb: 24 << 10 }];
    world.reach(&cluster(&[llm(1)]));
    world.options.allow_unplaced = true;
    let below = world.plan(&cluster(&[llm(2), job(40)]));
    assert!(below.changes.is_empty(), "{}", show(&below));
    assert_eq!(kept(&below), ["llm[0] keeps running"]);
    let above = world.plan(&cluster(&[llm(2), job(60)]));
    assert_eq!(added(&above), ["job[0]"], "{}", show(&above));
}

#[test]
fn who_took_its_gpu_is_told_also_where_that_one_did_not_come_but_grew() {
    let service = |name: &str, priority: u32, gpu: &str| {
        format!("service \"{name}\" {{ image \"x:1\"; priority {priority}; resources {gpu} }}\n")
    };
    let cases =
        [("gpu=1", "gpu=2", "gpu=1"), ("gpu-memory=\"8GiB\"", "gpu=2", "gpu-memory=\"8GiB\"")];
    for (before, after, other) in cases {
        let mut world = World::of(&["alpha"]);
        let gpu = |id: &str| Gpu { id: id.into(), model: "RTX 4090".into(), mem_mb: 24 << 10 };
        world.node("alpha").facts.gpus = vec![gpu("GPU-0"), gpu("GPU-1")];
        let job = service("job", 50, other);
        world.reach(&cluster(&[service("llm", 60, before), job.clone()]));
        world.options.allow_unplaced = true;
        let plan = world.plan(&cluster(&[service("llm", 60, after), job]));
        let stops = "job[0]: it makes room for service.llm[0] (priority 60)";
        assert_eq!(deleted(&plan), [stops], "{}", show(&plan));
        let by = plan.placement.evictions[0].by.as_ref().map(|id| id.to_string());
        assert_eq!(by.as_deref(), Some("llm[0]"));
    }
}

/// One of `web` ran on a node that is lost, one runs, and there is room for one.
#[test]
fn what_runs_moves_before_what_ran_on_a_lost_node() {
    for lost in ["alpha", "beta"] {
        let mut world = World::of(&["alpha", "beta", "gamma"]);
        world.node("gamma").facts.total_memory_mb = 1024;
        let web = |line: &str| service("web", 50, 1, &format!("replicas 2; {line}"));
        world.reach(&cluster(&[web("place { max-per-node 1; forbid node=\"gamma\" }")]));
        world.node(lost).status = NodeStatus::Lost;
        world.options.allow_unplaced = true;
        let here = if lost == "alpha" { "beta" } else { "alpha" };
        let big = service("big", 90, 8, &format!("place {{ pin \"{here}\" }}"));
        let plan = world.plan(&cluster(&[web(""), big]));
        let moved = plan.changes.iter().filter(|it| it.action == Action::Move);
        let moved: Vec<&str> = moved.filter_map(|it| Some(it.from.as_ref()?.as_str())).collect();
        assert_eq!((moved, deleted(&plan)), (vec![here], vec![]), "{}", show(&plan));
        assert_eq!(plan.placement.evicted, 0);
    }
}

#[test]
fn who_took_its_port_is_told_also_where_that_one_was_there() {
    let port = "port 80 host=80";
    let low = service("web", 20, 1, port);
    let world = world(&[low.clone(), service("proxy", 80, 1, "")]);
    let plan = world.plan(&cluster(&[low, service("proxy", 80, 1, port)]));
    let stops = "web[0]: it makes room for service.proxy[0] (priority 80)";
    assert_eq!(deleted(&plan), [stops], "{}", show(&plan));
}

/// The plan that a remedy leads to knows of it, and so does what is told of that plan.
#[test]
fn a_remedy_says_that_it_would_then_stop() {
    let mut world = world(&[service("db", 50, 2, "")]);
    world.options.allow_unplaced = false;
    let file = cluster(&[
        service("db", 50, 6, ""),
        service("web", 60, 2, "replicas 2; place { pin \"beta\" }"),
    ]);
    let plan = world.plan(&file);
    let missing = plan.placement.infeasible.iter().find(|it| it.service.as_str() == "web").unwrap();
    let ways: Vec<&str> = missing.suggestions.iter().map(|it| it.text.as_str()).collect();
    let dropped = "drop `pin` of service web at cluster.kdl:3:100";
    let stops = format!("{dropped}; db[0] would then stop");
    assert!(ways.contains(&stops.as_str()), "{ways:#?}");
    let freed = format!("{dropped} and free 2GiB of memory on alpha");
    assert!(ways.contains(&freed.as_str()), "{ways:#?}");
}

/// Neither has a place beside the other, and stopping one of them would help neither.
#[test]
fn two_that_run_side_by_side_stay_so_whatever_keeps_them_apart_by_now() {
    let world = world(&[service("db", 50, 1, ""), service("web", 50, 1, "")]);
    let apart = service("web", 50, 6, "place { apart-from \"db\" }");
    let plan = world.plan(&cluster(&[service("db", 50, 6, ""), apart]));
    assert!(plan.is_applicable() && plan.changes.is_empty(), "{}", show(&plan));
    assert_eq!(kept(&plan), ["db[0] keeps running", "web[0] keeps running"]);
}

#[test]
fn who_is_kept_is_not_given_what_is_new() {
    let world = world(&[service("web", 50, 1, "replicas 2")]);
    let plan = world.plan(&cluster(&[service("web", 50, 1, "replicas 2; port 80 host=8080")]));
    assert!(plan.is_applicable(), "{}", show(&plan));
    let changed = plan.changes.iter().map(|it| format!("{} keeps running", it.instance));
    let mut all: Vec<String> = changed.chain(kept(&plan).into_iter().map(str::to_owned)).collect();
    all.sort();
    assert_eq!(all, ["web[0] keeps running", "web[1] keeps running"], "{}", show(&plan));
}

/// The one that grew could have the whole node, or do with what it has.
#[test]
fn nothing_stops_for_one_that_can_do_with_what_it_has() {
    let world = world(&[service("db", 50, 3, ""), service("web", 50, 1, "")]);
    let plan =
        world.plan(&cluster(&[service("db", 50, 3, ""), service("web", 50, 3, "replicas 2")]));
    assert_eq!(deleted(&plan), [""; 0], "{}", show(&plan));
    assert_eq!(kept(&plan), ["web[0] keeps running"]);
}

#[test]
fn what_the_plan_does_not_touch_keeps_its_room_from_the_more_important() {
    let mut world = world(&[service("db", 50, 2, "")]);
    let file = cluster(&[service("db", 50, 6, ""), service("web", 90, 3, "")]);
    world.options.target = vec!["service.web".to_owned()];
    assert!(world.plan(&file).changes.is_empty(), "{}", show(&world.plan(&file)));
    // And what is not made by this plan takes no room from what it touches.
    world.options.target = vec!["service.db".to_owned()];
    assert!(world.plan(&file).changes.is_empty(), "{}", show(&world.plan(&file)));
}

#[test]
fn a_device_that_is_not_reported_any_more_stops_nobody() {
    let mut world = World::of(&["alpha"]);
    world.node("alpha").facts.gpus =
        vec![Gpu { id: "GPU-0".into(), model: "RTX 4090".into(), mem_mb: 24 << 10 }];
    let file = "cluster \"lab\"\nservice \"llm\" { image \"llm:1\"; resources gpu=1 }\n";
    world.reach(file);
    world.options.allow_unplaced = true;
    world.node("alpha").facts.gpus.clear();
    let plan = world.plan(file);
    assert!(plan.is_applicable() && plan.changes.is_empty(), "{}", show(&plan));
    assert_eq!(kept(&plan), ["llm[0] keeps running"]);
}

#[test]
fn what_has_more_than_there_is_by_now_has_all_of_it() {
    let world = world(&[service("db", 50, 4, "")]);
    let reserve = "node \"alpha\" { reserve memory=\"1GiB\" }\n".to_owned();
    let file = cluster(&[reserve, service("db", 50, 4, ""), service("web", 40, 2, "")]);
    let plan = world.plan(&file);
    assert!(plan.is_applicable() && plan.changes.is_empty(), "{}", show(&plan));
    assert_eq!((plan.placement.unplaced, kept(&plan)), (2, vec!["db[0] keeps running"]));
}

/// It is kept as it is declared, and needs no more than that.
#[test]
fn what_has_more_than_is_declared_gives_it_back() {
    let world = world(&[service("db", 50, 3, "")]);
    let drained = "node \"alpha\" { drain }\n".to_owned();
    let plan = world.plan(&cluster(&[drained, service("db", 50, 1, "")]));
    assert_eq!(plan.changes.len(), 1, "{}", show(&plan));
    assert_eq!(
        (plan.changes[0].action, kept(&plan)),
        (Action::Update, vec!["db[0] keeps running"])
    );
}

#[test]
fn a_second_copy_of_what_is_kept_goes() {
    let mut world = world(&[service("db", 50, 2, "")]);
    world.fleet.nodes.push(super::node("beta", 2));
    world.node("beta").facts.total_memory_mb = 4096;
    let mut copy = world.fleet.instances[0].clone();
    copy.node = "beta".parse().unwrap();
    world.fleet.instances.push(copy);
    let plan = world.plan(&cluster(&[service("db", 50, 6, "")]));
    let reason = "db[0]: it runs on alpha too, where it belongs";
    assert_eq!((deleted(&plan), kept(&plan).len()), (vec![reason.to_owned()], 1));
}

/// `b` grew and holds its node; of `web` one runs beside it that has to go, and one is wanted more.
#[test]
fn what_runs_moves_before_a_sibling_is_new() {
    let mut world = World::of(&["alpha", "beta"]);
    for name in ["alpha", "beta"] {
        world.node(name).facts.total_memory_mb = 4096;
    }
    let pinned = |gib: u32| service("db", 90, gib, "place { pin \"beta\" }");
    let web = |line: &str| service("web", 50, 2, line);
    let file = cluster(&[pinned(2), web("replicas 2; place { max-per-node 1 }")]);
    world.reach(&file);
    // Of two only the second is left.
    world.fleet.instances.retain(|it| it.id != "web-0" || it.node.as_str() == "beta");
    world.options.allow_unplaced = true;
    let left = world.fleet.instances.iter().find(|it| it.service.as_str() == "web").unwrap();
    assert_eq!((left.index, left.node.as_str()), (1, "beta"));
    let plan = world.plan(&cluster(&[pinned(4), web("replicas 2; place { max-per-node 1 }")]));
    let moved = plan.changes.iter().filter(|it| it.action == Action::Move);
    let moved: Vec<String> = moved.map(|it| it.instance.to_string()).collect();
    assert_eq!((moved, deleted(&plan)), (vec!["web[1]".to_owned()], Vec::new()), "{}", show(&plan));
}

/// It was there before `db` had to keep away from it, and neither has another place.
#[test]
fn what_is_kept_stops_nobody_beside_it() {
    let world = world(&[service("db", 90, 1, ""), service("web", 50, 1, "")]);
    let apart = service("web", 50, 1, "place { apart-from \"db\" }");
    let plan = world.plan(&cluster(&[service("db", 90, 6, ""), apart]));
    assert_eq!((deleted(&plan).len(), kept(&plan)), (0, vec!["db[0] keeps running"]));
}

/// As it is one may be beside the other, which has its place; whoever is new may not.
#[test]
fn two_that_run_side_by_side_do_so_whatever_keeps_them_apart_by_now() {
    for priority in [10, 50, 90] {
        let world = world(&[service("db", 50, 1, ""), service("web", 50, 1, "")]);
        let apart = service("web", priority, 1, "place { apart-from \"db\" }");
        let plan = world.plan(&cluster(&[service("db", 50, 1, ""), apart.clone()]));
        assert_eq!((deleted(&plan).len(), kept(&plan).len()), (0, 1), "{}", show(&plan));
        let new = service("job", 90, 1, "place { apart-from \"web\" }");
        let plan = world.plan(&cluster(&[service("db", 50, 1, ""), apart, new]));
        let stops = "web[0]: it makes room for service.job[0] (priority 90)";
        assert_eq!(deleted(&plan), [stops], "{}", show(&plan));
    }
}

/// What is less important only fills what is left.
#[test]
fn an_eviction_is_not_blamed_on_what_is_less_important() {
    let web = service("web", 50, 2, "");
    let world = world(&[service("db", 90, 1, ""), web.clone()]);
    let plan = world.plan(&cluster(&[service("db", 90, 3, ""), web, service("job", 10, 1, "")]));
    assert_eq!(
        (deleted(&plan), added(&plan)),
        (
            vec!["web[0]: it makes room for service.db[0] (priority 90)".to_owned()],
            vec!["job[0]".to_owned()],
        ),
        "{}",
        show(&plan)
    );
}

/// A node of 8 GiB where a database with data has 1 GiB.
fn with_data(others: &[String]) -> World {
    let mut world = World::of(&["alpha", "beta"]);
    world.node("alpha").facts.total_memory_mb = 8192;
    world.node("beta").facts.total_memory_mb = 2048;
    let all: Vec<String> = [data(1)].iter().chain(others).cloned().collect();
    world.reach(&cluster(&all));
    world.options.allow_unplaced = true;
    world
}

fn data(gib: u32) -> String {
    service("db", 50, gib, "volume \"d\" at=\"/d\"; place { prefer node=\"alpha\" weight=100 }")
}

#[test]
fn data_that_grew_stops_nothing_more_important_beside_which_it_can_stay_as_it_is() {
    let api = |priority| service("api", priority, 6, "");
    let world = with_data(&[api(90)]);
    for (priority, stays) in [(90, true), (50, true), (40, false)] {
        let plan = world.plan(&cluster(&[data(3), api(priority)]));
        let stopped = if stays { vec![] } else { vec!["api[0]"] };
        let stopped: Vec<String> = stopped
            .into_iter()
            .map(|id| format!("{id}: it makes room for service.db[0] (priority 50)"))
            .collect();
        assert_eq!(deleted(&plan), stopped, "{priority}: {}", show(&plan));
        let told = if stays { vec!["db[0] keeps running"] } else { vec![] };
        assert_eq!(kept(&plan), told, "{priority}: {}", show(&plan));
    }
}

#[test]
fn data_that_grew_lets_in_what_is_more_important() {
    let world = with_data(&[]);
    for (priority, starts) in [(90, true), (50, true), (40, false)] {
        let plan = world.plan(&cluster(&[data(3), service("api", priority, 6, "")]));
        let new = if starts { vec!["api[0]".to_owned()] } else { vec![] };
        assert_eq!((added(&plan), deleted(&plan).len()), (new, 0), "{priority}: {}", show(&plan));
        let told = if starts { vec!["db[0] keeps running"] } else { vec![] };
        assert_eq!(kept(&plan), told, "{priority}: {}", show(&plan));
    }
}

/// Before anything else: as it is it would still be in the way.
#[test]
fn data_stays_as_it_is_before_any_priority() {
    let world = with_data(&[]);
    for gib in [3, 8] {
        let plan = world.plan(&cluster(&[data(gib), service("api", 90, 8, "")]));
        assert_eq!((added(&plan).len(), deleted(&plan).len()), (0, 0), "{gib}: {}", show(&plan));
    }
}

/// Its data would not follow it to the node where it has room as it is declared.
#[test]
fn data_that_grew_does_not_go_elsewhere_for_that() {
    let mut world = with_data(&[]);
    world.node("beta").facts.total_memory_mb = 4096;
    let plan = world.plan(&cluster(&[data(3), service("api", 90, 6, "")]));
    assert_eq!((added(&plan), kept(&plan)), (vec!["api[0]".into()], vec!["db[0] keeps running"]));
    // Nor where other data takes what it would need.
    let both = |pg, db| {
        let pinned = "volume \"p\" at=\"/p\"; place { pin \"alpha\" }";
        cluster(&[service("pg", 90, pg, pinned), data(db)])
    };
    let mut world = World::of(&["alpha", "beta"]);
    world.node("alpha").facts.total_memory_mb = 8192;
    world.reach(&both(1, 1));
    world.node("beta").facts.total_memory_mb = 8192;
    world.options.allow_unplaced = true;
    let plan = world.plan(&both(6, 3));
    assert_eq!((deleted(&plan).len(), kept(&plan)), (0, vec!["db[0] keeps running"]));
    assert!(plan.is_applicable(), "{}", show(&plan));
}

#[test]
fn what_is_proven_holds_of_data_that_grew_too() {
    let world = with_data(&[service("api", 90, 6, "")]);
    let plan = world.plan(&cluster(&[data(3), service("api", 90, 6, "")]));
    let levels: Vec<_> =
        plan.placement.levels.iter().map(|it| (it.priority, it.placed, it.bound)).collect();
    assert_eq!(levels, [(90, 1, 1), (50, 0, 0)], "{:#?}", plan.placement.levels);
}

#[test]
fn what_is_kept_is_company_for_what_must_run_near_it() {
    let near = |priority| service("web", priority, 1, "place { near \"db\" }");
    let db = |gib| service("db", 50, gib, "");
    let world_with = world(&[db(1), near(40)]);
    let plan = world_with.plan(&cluster(&[db(6), near(40)]));
    assert!(plan.changes.is_empty(), "{}", show(&plan));
    assert_eq!((kept(&plan), plan.placement.unplaced), (vec!["db[0] keeps running"], 1));
    // And for what comes, whatever its priority.
    let world = world(&[db(1)]);
    for priority in [40, 90] {
        let plan = world.plan(&cluster(&[db(6), near(priority)]));
        assert_eq!((added(&plan).len(), kept(&plan).len()), (1, 1), "{}", show(&plan));
    }
}

/// What is declared by now has nothing to do with where the data is.
#[test]
fn data_on_a_node_that_does_not_answer_waits_for_it_whoever_grew() {
    let gpu = |share: &str| format!("resources gpu={share}");
    let all = |db: u32, share: &str| {
        let line = "volume \"d\" at=\"/d\"; place { forbid node=\"beta\"; near \"c\" }";
        let c = "volume \"c\" at=\"/c\"; port 80 host=80";
        let llm = format!(
            "service \"llm\" {{ image \"llm:1\"; volume \"l\" at=\"/l\"; {} }}\n",
            gpu(share)
        );
        cluster(&[
            service("db", 50, db, line),
            service("c", 50, 3, c),
            llm.clone(),
            llm.replace("llm", "lln"),
        ])
    };
    let mut world = World::of(&["alpha"]);
    let card = |id: &str| Gpu { id: id.into(), model: "RTX 4090".into(), mem_mb: 24 << 10 };
    world.node("alpha").facts.total_memory_mb = 8192;
    world.node("alpha").facts.gpus = vec![card("GPU-0")];
    world.reach(&all(3, "0.5"));
    world.fleet.nodes.push(super::node("beta", 2));
    world.node("beta").facts.gpus = vec![card("GPU-1")];
    for status in [NodeStatus::Lost, NodeStatus::Offline] {
        world.node("alpha").status = status;
        let plan = world.plan(&all(6, "0.75"));
        assert!(plan.changes.is_empty(), "{status:?}: {}", show(&plan));
        let waits = plan.placement.levels.iter().map(|it| it.waiting_for_data).sum::<u32>();
        assert_eq!(waits, if status == NodeStatus::Lost { 4 } else { 0 }, "{}", show(&plan));
    }
}

/// The line is that of the service, whoever is kept.
#[test]
fn what_stays_apart_from_one_that_is_kept_says_whose_line_it_is() {
    let apart = service("web", 50, 1, "place { apart-from \"db\" }");
    let world = world(&[service("db", 80, 1, "")]);
    for both in [
        cluster(&[service("db", 80, 6, ""), apart.clone()]),
        cluster(&[service("db", 80, 6, "place { apart-from \"web\" }"), service("web", 50, 1, "")]),
    ] {
        let plan = world.plan(&both);
        let web = plan.placement.infeasible.iter().find(|it| it.service.as_str() == "web").unwrap();
        let line = 2 + u32::from(both.contains("apart-from \"db\""));
        let said = &web.nodes[0].violations[0];
        let whose = format!("cluster.kdl:{line}:");
        assert!(said.at.as_ref().is_some_and(|at| at.starts_with(&whose)), "{said:?}");
        let drop = web.suggestions.iter().find(|it| it.text.starts_with("drop `apart-from"));
        let drop = drop.unwrap_or_else(|| panic!("{:#?}", web.suggestions));
        assert!(drop.text.contains(&whose) && !drop.text.contains("[0] at"), "{}", drop.text);
    }
}

/// Nobody has to stop so that all can be where they are to be.
#[test]
fn one_that_could_move_stays_where_it_is_if_another_would_stop_for_it() {
    let pin = |node: &str| format!("place {{ pin \"{node}\" }}");
    let mut world = World::of(&["alpha", "beta"]);
    world.node("alpha").facts.total_memory_mb = 8192;
    world.node("beta").facts.total_memory_mb = 6144;
    world
        .reach(&cluster(&[service("a", 50, 2, &pin("alpha")), service("b", 50, 6, &pin("alpha"))]));
    world.options.allow_unplaced = true;
    let [a, b] =
        ["a", "b"].map(|name| service(name, 50, if name == "a" { 2 } else { 6 }, &pin("beta")));
    let plan = world.plan(&cluster(&[a, b, service("c", 50, 6, &pin("alpha"))]));
    assert_eq!((deleted(&plan).len(), added(&plan)), (0, vec!["c[0]".into()]), "{}", show(&plan));
    assert_eq!(kept(&plan), ["a[0] keeps running"]);
}

/// Each is held to its node, so neither need go for the other's line.
#[test]
fn data_side_by_side_stays_so_whatever_line_is_written_by_now() {
    let data = |name: &str, line: &str| {
        service(name, 50, 1, &format!("volume \"{name}\" at=\"/{name}\"; {line}"))
    };
    let mut world = world(&[data("a", ""), data("b", "replicas 2")]);
    world.fleet.nodes.push(super::node("beta", 2));
    world.node("beta").facts.total_memory_mb = 4096;
    for line in ["apart-from \"b\"", "near \"c\""] {
        let c = service("c", 90, 1, "place { pin \"beta\" }");
        let all = [data("a", &format!("place {{ {line} }}")), data("b", "replicas 2"), c];
        let plan = world.plan(&cluster(&all));
        assert_eq!(
            (added(&plan), deleted(&plan).len()),
            (vec!["c[0]".into()], 0),
            "{}",
            show(&plan)
        );
        assert!(!plan.changes.iter().any(|it| it.action == Action::Move), "{}", show(&plan));
        assert!(kept(&plan).contains(&"a[0] keeps running"), "{line}: {}", show(&plan));
    }
    for line in ["max-per-node 1", "spread by=\"node\" max-skew=1"] {
        let plan = world.plan(&cluster(&[
            data("a", ""),
            data("b", &format!("replicas 2; place {{ {line} }}")),
        ]));
        assert_eq!(kept(&plan).len(), 1, "{line}: {}", show(&plan));
        assert!(!plan.changes.iter().any(|it| it.action != Action::Update), "{}", show(&plan));
    }
}

/// It stays there, and is in nobody's way where it is pinned to by now.
#[test]
fn what_runs_on_an_offline_node_takes_no_room_elsewhere() {
    let mut world = World::of(&["alpha", "beta"]);
    for name in ["alpha", "beta"] {
        world.node(name).facts.total_memory_mb = 4096;
    }
    let pin = |node: &str| format!("place {{ pin \"{node}\" }}");
    let both = |node: &str, web: u32| {
        cluster(&[service("db", 90, 3, &pin(node)), service("web", 20, web, &pin("beta"))])
    };
    world.reach(&both("alpha", 2));
    world.node("alpha").status = NodeStatus::Offline;
    world.options.allow_unplaced = true;
    let plan = world.plan(&both("beta", 2));
    assert!(plan.changes.is_empty() && plan.placement.unplaced == 0, "{}", show(&plan));
    let plan = world.plan(&both("beta", 6));
    assert_eq!((deleted(&plan).len(), kept_on(&plan, "beta")), (0, 1), "{}", show(&plan));
}

fn kept_on(plan: &Plan, node: &str) -> usize {
    let told = plan.diagnostics.iter().filter(|found| found.code == "DN-W0608");
    told.filter(|found| found.message.contains(&format!(" on {node}"))).count()
}
