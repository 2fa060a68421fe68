//! A node of which less is left for services than what runs there has.
//!
//! Knows two databases on it. Refuses to know how room is made for them.

use devnet_schema::{
    fleet::Gpu,
    plan::{Action, Plan},
};

use super::{World, show};

const DATA: &str = "volume \"data\" at=\"/data\"";

fn service(name: &str, gib: u32, line: &str) -> String {
    format!("service \"{name}\" {{ image \"{name}:1\"; resources memory=\"{gib}GiB\"; {line} }}\n")
}

/// The node alpha keeps so many of its 8 GiB to itself.
fn cluster(reserve: u32, services: &[String]) -> String {
    let reserve = format!("node \"alpha\" {{ reserve memory=\"{reserve}GiB\" }}\n");
    format!("cluster \"lab\"\n{reserve}{}", services.concat())
}

fn changes(plan: &Plan) -> Vec<String> {
    let all = plan.changes.iter();
    all.map(|it| format!("{:?} {} {}", it.action, it.instance, it.node)).collect()
}

fn told<'p>(plan: &'p Plan, code: &str) -> Vec<&'p str> {
    let found = plan.diagnostics.iter().filter(|it| it.code == code);
    found.map(|it| it.message.as_str()).collect()
}

/// Two databases of 3 GiB on alpha, and something that can move.
fn both(line: &str) -> Vec<String> {
    vec![service("db", 3, DATA), service("store", 3, DATA), service("web", 1, line)]
}

fn running() -> World {
    let mut world = World::of(&["alpha", "beta"]);
    world.reach(
        &cluster(0, &both("place { pin \"alpha\" }"))
            .replace(DATA, &format!("{DATA}; place {{ pin \"alpha\" }}")),
    );
    world
}

#[test]
fn what_has_data_stays_and_the_rest_moves() {
    let plan = running().plan(&cluster(4, &both("")));
    assert_eq!(changes(&plan), ["Move web[0] beta"], "{}", show(&plan));
    let overfull =
        "what runs on alpha holds 6GiB of memory, and 4GiB of memory is left for services";
    assert_eq!(told(&plan, "DN-W0610"), [overfull]);
    // As long as there is room, nobody is told of anything.
    let plan = running().plan(&cluster(1, &both("")));
    assert_eq!((changes(&plan), told(&plan, "DN-W0610")), (vec![], vec![]), "{}", show(&plan));
}

#[test]
fn nothing_else_comes_there_however_important() {
    let mut world = running();
    world.options.allow_unplaced = true;
    let new = service("new", 1, "priority 90; place { pin \"alpha\" }");
    let plan = world.plan(&cluster(4, &[both(""), vec![new]].concat()));
    assert_eq!(changes(&plan), ["Move web[0] beta"], "{}", show(&plan));
    let missing = &plan.placement.infeasible[0];
    let against = missing.nodes.iter().map(|it| it.violations[0].text.as_str());
    assert_eq!(
        against.collect::<Vec<_>>(),
        [
            "needs 1GiB of memory, 0B free and 2GiB too much in use: 3GiB short",
            "is pinned to alpha"
        ]
    );
}

#[test]
fn what_grew_keeps_what_it_has_beside_the_others() {
    let mut world = running();
    world.options.allow_unplaced = true;
    let mut services = both("");
    services[1] = service("store", 4, DATA);
    let plan = world.plan(&cluster(4, &services));
    assert_eq!(changes(&plan), ["Move web[0] beta"], "{}", show(&plan));
    let kept = "store[0] keeps running on alpha as it is, not as it is declared: needs 4GiB of \
                memory, 1GiB free: 3GiB short";
    assert_eq!(told(&plan, "DN-W0608"), [kept]);
}

#[test]
fn what_can_go_nowhere_else_runs_on_and_what_a_line_is_against_goes() {
    let mut world = running();
    world.options.allow_unplaced = true;
    let mut services = both("place { pin \"alpha\" }");
    services[1] = service("store", 3, &format!("{DATA}; place {{ pin \"beta\" }}"));
    let held = world.plan(&cluster(6, &services));
    assert_eq!(changes(&held), [""; 0], "{}", show(&held));
    let left = format!("{DATA}; leave-data \"alpha\"; place {{ pin \"beta\" }}");
    services[1] = service("store", 3, &left);
    let plan = world.plan(&cluster(6, &services));
    assert_eq!(changes(&plan), ["Move store[0] beta"], "{}", show(&plan));
    let overfull =
        "what runs on alpha holds 4GiB of memory, and 2GiB of memory is left for services";
    assert_eq!(told(&plan, "DN-W0610"), [overfull]);
}

/// However much is left: with less reserve no less runs on.
#[test]
fn a_smaller_reserve_stops_nothing() {
    for reserve in 0..=8 {
        let mut world = World::of(&["alpha"]);
        let before = [service("db", 2, DATA), service("web", 2, ""), service("api", 3, "")];
        world.reach(&cluster(0, &before));
        world.options.allow_unplaced = true;
        let grown = [service("db", 2, DATA), service("web", 9, ""), service("api", 3, "")];
        let plan = world.plan(&cluster(reserve, &grown));
        assert_eq!(changes(&plan), [""; 0], "{reserve}: {}", show(&plan));
        let told = told(&plan, "DN-W0610").len();
        assert_eq!(told, usize::from(reserve > 1), "{reserve}: {}", show(&plan));
    }
}

/// Of two that run there one goes away: what the other has is more than what is left.
#[test]
fn nobody_comes_for_the_room_of_what_went_away_as_long_as_the_rest_is_too_much() {
    let mut world = World::of(&["alpha", "beta"]);
    world.node("beta").facts.total_memory_mb = 4096;
    let web = |line: &str| service("web", 3, &format!("replicas 2; {line}"));
    world.reach(&cluster(0, &[web("place { pin \"alpha\" }")]));
    world.options.allow_unplaced = true;
    let new = service("new", 2, "priority 10; place { pin \"alpha\" }");
    let plan = world.plan(&cluster(6, &[web("place { max-per-node 1 }"), new.clone()]));
    let [moved] = &changes(&plan)[..] else { panic!("{}", show(&plan)) };
    assert!(moved.starts_with("Move web"), "{}", show(&plan));
    let overfull =
        "what runs on alpha holds 3GiB of memory, and 2GiB of memory is left for services";
    assert_eq!(told(&plan, "DN-W0610"), [overfull]);
    world.apply(&plan);
    let again = world.plan(&cluster(6, &[web("place { max-per-node 1 }"), new]));
    assert_eq!(changes(&again), [""; 0], "{}", show(&again));
}

/// A driver that reports a little less than the one before.
#[test]
fn a_device_that_lost_a_little_keeps_whom_it_has() {
    let mut world = World::of(&["alpha", "beta"]);
    for name in ["alpha", "beta"] {
        let gpu = Gpu { id: format!("GPU-{name}"), model: "RTX 4090".into(), mem_mb: 24 << 10 };
        world.node(name).facts.gpus = vec![gpu];
    }
    let llm = |line: &str| {
        format!(
            "cluster \"lab\"\nservice \"llm\" {{ image \"llm:1\"; replicas 2; {line} \
             resources gpu-memory=\"12GiB\" }}\n"
        )
    };
    world.reach(&llm("place { pin \"alpha\" };"));
    world.node("alpha").facts.gpus[0].mem_mb -= 12;
    for line in [String::new(), format!("{DATA};")] {
        let plan = world.plan(&llm(&line));
        let moved = plan.changes.iter().any(|it| it.action == Action::Move);
        assert!(!moved && plan.is_applicable(), "{}", show(&plan));
        let overfull = "what runs on alpha holds 24GiB of GPU-alpha, and 23.98GiB of GPU-alpha is \
                        left for services";
        assert_eq!(told(&plan, "DN-W0610"), [overfull]);
    }
}
