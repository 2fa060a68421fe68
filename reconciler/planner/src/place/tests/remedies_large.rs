//! Remedies of fleets too large to be planned again for each try: the same kinds as of small ones,
//! and each does what it says when it is made.

use devnet_schema::quantity::Bytes;

use super::*;

/// Forty nodes of four cores with half a core free on each, tagged `old`, and beside them these.
fn full(nodes: Vec<NodeInput>, services: Vec<ServiceInput>) -> PlacementProblem {
    let mut all = problem(nodes, services);
    for n in 0..40 {
        let mut node = node(&format!("old{n:02}"), 4, 8);
        node.tags.push("old".to_owned());
        all.nodes.push(node);
        let mut filler = service(&format!("filler{n:02}"), 1);
        filler.cpu_milli = 3500;
        filler.require.push(condition(Key::Tag, &["old"]));
        all.services.push(filler);
    }
    assert!(crate::place::model::index::IndexedProblem::new(&all).pairs() > all.limits.whole_pairs);
    all
}

/// The remedies of the one service that does not fit, after the outcome has been verified.
fn ways(problem: &PlacementProblem, name: &str) -> Vec<Suggestion> {
    let outcome = checked(problem);
    let [unplaced] = &outcome.unplaced[..] else {
        panic!("{:?}", outcome.unplaced.iter().map(|it| &it.service).collect::<Vec<_>>());
    };
    assert_eq!(unplaced.service.as_str(), name);
    let costs: Vec<f64> = unplaced.suggestions.iter().map(|it| it.cost).collect();
    assert!(costs.is_sorted() && unplaced.suggestions.iter().all(|it| it.verified), "{costs:?}");
    unplaced.suggestions.clone()
}

fn texts(ways: &[Suggestion]) -> Vec<&str> {
    ways.iter().map(|way| way.text.as_str()).collect()
}

/// Makes a change as a person would, and holds that then all is placed.
fn all_fits(problem: &PlacementProblem, change: impl FnOnce(&mut PlacementProblem)) {
    let mut changed = problem.clone();
    change(&mut changed);
    assert_eq!(checked(&changed).missing(), 0);
}

fn by_name<'p>(problem: &'p mut PlacementProblem, name: &str) -> &'p mut ServiceInput {
    problem.services.iter_mut().find(|input| input.name.declared().as_str() == name).unwrap()
}

#[test]
fn room_is_freed_where_least_is_short_or_a_node_is_added() {
    let mut db = service("db", 1);
    db.cpu_milli = 2000;
    let mut problem = full(vec![node("near", 3, 8)], vec![db]);
    let mut other = service("other", 1);
    other.cpu_milli = 1900;
    other.pin = Some(Pin { node: node_name("near"), at: None });
    other.priority = 90;
    problem.services.push(other);
    let ways = ways(&problem, "db");
    let expected = [
        "free 0.9 cpu on near",
        "free 1.5 cpu on old00",
        "add one node with 2 cpu and 1GiB of memory",
    ];
    assert_eq!(texts(&ways), expected);
    let freed = Edit::Free { node: node_name("near"), resource: "cpu".to_owned(), amount: 900 };
    assert_eq!(ways[0].edits, [freed]);
    all_fits(&problem, |it| by_name(it, "other").cpu_milli -= 900);
    all_fits(&problem, |it| it.nodes.push(node("more", 2, 1)));
}

#[test]
fn data_in_the_way_could_be_moved_by_hand() {
    let mut vega = node("vega", 4, 8);
    vega.tags.push("gpu".to_owned());
    let mut redis = service("redis", 1);
    (redis.movable, redis.cpu_milli, redis.move_cost) = (false, 2000, 100);
    runs_on(&mut redis, 0, "vega");
    let mut llm = service("llm", 1);
    llm.cpu_milli = 4000;
    llm.require.push(condition(Key::Tag, &["gpu"]));
    let problem = full(vec![node("hypervisor", 16, 64), vega], vec![redis, llm]);
    let ways = ways(&problem, "llm");
    let text = "move service.redis[0] from vega to hypervisor; its data must be moved with it";
    assert_eq!(ways[0].text, text);
    // The price of data is dearer than that of none, and below that of a change to the file.
    assert!(ways[0].cost > 1.0 && ways[0].cost < 10.0);
    assert!(ways[1].text.starts_with("drop `require tag=gpu` of service llm"), "{:?}", ways[1]);
    all_fits(&problem, |it| {
        by_name(it, "redis").current.clear();
        runs_on(by_name(it, "redis"), 0, "hypervisor");
    });
}

#[test]
fn two_lines_together_are_dropped_where_neither_alone_helps() {
    let mut web = service("web", 1);
    web.cpu_milli = 4000;
    web.require.push(condition(Key::Tag, &["ssd"]));
    web.require.push(condition(Key::Zone, &["attic"]));
    let problem = full(vec![node("spare", 8, 8)], vec![web]);
    let both = "drop `require tag=ssd` of service web at cluster.kdl:7:5 and \
                drop `require zone=attic` of service web at cluster.kdl:7:5";
    let ways = ways(&problem, "web");
    assert_eq!((ways[0].text.as_str(), ways[0].edits.len()), (both, 2));
    all_fits(&problem, |it| by_name(it, "web").require.clear());
}

#[test]
fn a_line_is_dropped_where_others_can_make_room() {
    // Half of each is free, so one of the two must go to the other's node.
    let nodes = ["left", "right"].map(|name| {
        let mut node = node(name, 4, 8);
        node.tags.push("new".to_owned());
        node
    });
    let movers = ["a", "b"].into_iter().zip(["left", "right"]).map(|(name, at)| {
        let mut mover = service(name, 1);
        mover.cpu_milli = 2000;
        mover.require.push(condition(Key::Tag, &["new"]));
        runs_on(&mut mover, 0, at);
        mover
    });
    let mut web = service("web", 1);
    web.cpu_milli = 4000;
    web.require.push(condition(Key::Zone, &["attic"]));
    web.forbid.push(condition(Key::Tag, &["old"]));
    let mut services: Vec<ServiceInput> = movers.collect();
    services.push(web);
    let problem = full(nodes.to_vec(), services);
    let ways = ways(&problem, "web");
    assert_eq!(ways[0].text, "drop `require zone=attic` of service web at cluster.kdl:7:5");
    all_fits(&problem, |it| by_name(it, "web").require.clear());
}

#[test]
fn spread_over_the_whole_fleet_is_not_broken_by_a_part() {
    // On `spare` there is room, and a second one there would be uneven while two zones have none.
    let mut spare = node("spare", 16, 16);
    spare.zone = Some("attic".to_owned());
    let mut web = service("web", 2);
    (web.cpu_milli, web.priority) = (3000, 10);
    web.spread.push(Spread { by: SpreadBy::Zone, max_skew: 1, at: None });
    let problem = full(vec![spare], vec![web]);
    let ways = ways(&problem, "web");
    assert_eq!(ways[0].text, "drop `spread` of service web at cluster.kdl:3:1");
    for way in &ways {
        assert!(!way.text.contains("would still wait"), "{way:?}");
    }
    all_fits(&problem, |it| by_name(it, "web").spread.clear());
}

#[test]
fn devices_are_freed_whole_and_in_slices() {
    let mut tall = node("tall", 8, 32);
    tall.gpus = (0..4).map(|g| gpu(&format!("g{g}"), "A10", 24)).collect();
    let mut holder = service("holder", 4);
    holder.gpu = GpuRequest::Memory(Bytes::gib(20));
    holder.priority = 90;
    let way = |need: GpuRequest| {
        let mut llm = service("llm", 1);
        llm.gpu = need;
        let problem = full(vec![tall.clone()], vec![holder.clone(), llm]);
        let ways = ways(&problem, "llm");
        (ways[0].text.clone(), ways[0].edits.clone())
    };
    let free = |resource: &str, amount: u64| {
        vec![Edit::Free { node: node_name("tall"), resource: resource.to_owned(), amount }]
    };
    let slice = way(GpuRequest::Memory(Bytes::gib(6)));
    assert_eq!(slice, ("free 2GiB of GPU memory on tall".into(), free("gpu-memory", 2048)));
    let share = way(GpuRequest::Share(500));
    assert_eq!(share, ("free 33.4% of a GPU on tall".into(), free("gpu-share", 334)));
    let whole = way(GpuRequest::Whole(2));
    assert_eq!(whole, ("free 2 GPUs on tall".into(), free("gpu", 2)));
    let more = way(GpuRequest::Whole(5)).0;
    assert_eq!(more, "give tall 5 GPUs more");
}
