//! What is said of every place: why there, why not elsewhere, what drove a moved one away.

use super::*;

fn says(outcome: &Outcome, service: &str, index: u32) -> String {
    outcome.assignments[&id(service, index)].reason.text()
}

/// Two nodes, the second with a tag.
fn pair() -> Vec<NodeInput> {
    let mut fast = node("nas", 8, 16);
    fast.tags.push("ssd".to_owned());
    vec![node("atlas", 8, 16), fast]
}

/// Where the only instance of `web` goes, beside `db`, which runs on nas and stays.
fn new_web(change: impl FnOnce(&mut ServiceInput, &mut ServiceInput)) -> String {
    let (mut web, mut db) = (service("web", 1), service("db", 1));
    db.movable = false;
    runs_on(&mut db, 0, "nas");
    change(&mut web, &mut db);
    let outcome = checked(&problem(pair(), vec![web, db]));
    let place = &outcome.assignments[&id("web", 0)];
    format!("{}: {}", place.node, place.reason.text())
}

#[test]
fn a_new_instance_says_what_decided_its_node() {
    let room = new_web(|_, _| {});
    assert_eq!(room, "atlas: new; most room left: 87% of cpu");
    let pinned = new_web(|web, _| web.pin = Some(Pin { node: node_name("nas"), at: None }));
    assert_eq!(pinned, "nas: new; pinned to nas");
    let only = new_web(|web, _| web.require.push(condition(Key::Tag, &["ssd"])));
    assert_eq!(only, "nas: new; the only node that can run it");
    let full = new_web(|_, db| (db.cpu_milli, db.memory) = (8000, GIB));
    assert_eq!(full, "atlas: new; the only node with room for it");
    let near = new_web(|web, _| web.near.push(service_name("db")));
    assert_eq!(near, "nas: new; near db");
    let apart = new_web(|_, db| db.apart_from.push(service_name("web")));
    assert_eq!(apart, "atlas: new; the other nodes run what it stays apart from");
    let port = new_web(|web, db| {
        web.host_ports.push((devnet_schema::instance::Protocol::Tcp, 80));
        db.host_ports.push((devnet_schema::instance::Protocol::Tcp, 80));
    });
    assert_eq!(port, "atlas: new; the other nodes have its port taken");
    let nothing = new_web(|web, _| (web.cpu_milli, web.memory) = (0, 0));
    assert_eq!(nothing, "atlas: new; as good as any: it reserves no cpu or memory");
    let wish = |web: &mut ServiceInput, _: &mut ServiceInput| {
        let condition = condition(Key::Tag, &["ssd"]);
        web.prefer.push(Prefer { condition, weight: 10 });
    };
    assert_eq!(new_web(wish), "nas: new; preferred for tag=ssd");
}

#[test]
fn a_replica_beside_others_says_what_keeps_it_from_them() {
    let mut web = service("web", 2);
    runs_on(&mut web, 0, "atlas");
    web.spread.push(Spread { by: SpreadBy::Node, max_skew: 1, at: None });
    let outcome = checked(&problem(pair(), vec![web.clone()]));
    assert_eq!(says(&outcome, "web", 0), "stays where it runs");
    assert_eq!(says(&outcome, "web", 1), "new; the other nodes would spread it unevenly");
    (web.spread, web.max_per_node) = (Vec::new(), Some(1));
    let outcome = checked(&problem(pair(), vec![web]));
    assert_eq!(says(&outcome, "web", 1), "new; the other nodes have as many of it as they may");
}

#[test]
fn under_pack_a_node_is_chosen_for_what_runs_there() {
    let mut db = service("db", 1);
    db.movable = false;
    runs_on(&mut db, 0, "nas");
    let mut packed = problem(pair(), vec![db, service("web", 1)]);
    packed.objective = Objective::Pack;
    assert_eq!(says(&checked(&packed), "web", 0), "new; fills a node that is in use");
    packed.services.remove(0);
    packed.services[0].replicas = 9;
    let outcome = checked(&packed);
    assert_eq!(says(&outcome, "web", 8), "new; the only node with room for it");
}

#[test]
fn a_move_names_who_came() {
    let (mut web, mut big) = (service("web", 1), service("big", 1));
    runs_on(&mut web, 0, "nas");
    big.cpu_milli = 8000;
    big.require.push(condition(Key::Tag, &["ssd"]));
    let mut problem = problem(pair(), vec![web, big]);
    let outcome = checked(&problem);
    assert_eq!(at(&outcome, "web", 0), Some("atlas"));
    assert_eq!(says(&outcome, "web", 0), "moves from nas: makes room for service.big[0]");

    // What grew by itself is driven away by nobody.
    problem.services.remove(1);
    problem.nodes[1].cpu_milli = 2000;
    problem.services[0].cpu_milli = 3000;
    let outcome = checked(&problem);
    assert_eq!(says(&outcome, "web", 0), "moves from nas: needs 3 cpu, 2 free: 1 short");
}

#[test]
fn a_move_for_the_spread_says_so() {
    let mut web = service("web", 2);
    (0..2).for_each(|index| runs_on(&mut web, index, "atlas"));
    web.spread.push(Spread { by: SpreadBy::Node, max_skew: 1, at: None });
    let outcome = checked(&problem(pair(), vec![web]));
    let unevenly = "moves from atlas: would be spread unevenly: 2 apart, 1 allowed";
    assert_eq!(says(&outcome, "web", 1), unevenly);
}

#[test]
fn a_move_towards_who_needs_it_says_so() {
    let (mut cache, mut api) = (service("cache", 1), service("api", 1));
    runs_on(&mut cache, 0, "atlas");
    api.near.push(service_name("cache"));
    api.require.push(condition(Key::Tag, &["ssd"]));
    let outcome = checked(&problem(pair(), vec![cache, api]));
    assert_eq!(says(&outcome, "cache", 0), "moves from atlas: service.api must run near it");
    assert_eq!(says(&outcome, "api", 0), "new; the only node that can run it");
    let mut api = service("api", 1);
    api.near.push(service_name("cache"));
    let outcome = checked(&problem(pair(), vec![service("cache", 1), api]));
    assert_eq!(says(&outcome, "cache", 0), "new; with api, which must run near it");
}

#[test]
fn levels_count_what_is_wanted_and_moves_are_told_from_evictions() {
    let (mut web, mut big) = (service("web", 3), service("big", 1));
    (0..3).for_each(|index| runs_on(&mut web, index, "nas"));
    (big.cpu_milli, big.priority) = (8000, 90);
    big.require.push(condition(Key::Tag, &["ssd"]));
    let mut nodes = pair();
    nodes[0].cpu_milli = 2000;
    let report = checked(&problem(nodes, vec![web, big])).report();
    let levels: Vec<_> =
        report.levels.iter().map(|it| (it.priority, it.wanted, it.placed, it.proven)).collect();
    assert_eq!(levels, [(90, 1, 1, true), (50, 3, 2, true)]);
    assert_eq!((report.moves, report.evicted, report.unplaced), (2, 1, 1));
    assert_eq!((report.move_cost, report.move_cost_bound), (3, 3));
    assert!(report.moves_proven && report.score_proven == (report.cost == report.bound));
}

/// A full node, and one service on it that another may push away.
fn crowded(big: ServiceInput) -> PlacementProblem {
    let mut web = service("web", 3);
    (0..3).for_each(|index| runs_on(&mut web, index, "nas"));
    problem(vec![node("nas", 4, 16)], vec![web, big])
}

#[test]
fn who_has_no_place_is_told_who_took_it() {
    let mut big = service("big", 1);
    (big.cpu_milli, big.priority) = (3000, 90);
    let outcome = checked(&crowded(big));
    let gone: Vec<_> =
        outcome.displaced.iter().map(|(id, why)| (id.to_string(), why.text())).collect();
    let because = "makes room for service.big[0] (priority 90)".to_owned();
    let both = [("web[1]".to_owned(), because.clone()), ("web[2]".to_owned(), because)];
    assert_eq!(gone, both);
    // Whose neighbour it may not be is named, too, and what is no one's doing is said as it is.
    let mut big = service("big", 1);
    (big.priority, big.apart_from) = (90, vec![service_name("web")]);
    let apart = checked(&crowded(big));
    let because = "makes room for service.big[0] (priority 90)";
    assert_eq!(apart.displaced[&id("web", 0)].text(), because);
    let mut pinned = crowded(service("big", 1));
    pinned.services[0].pin = Some(Pin { node: node_name("atlas"), at: None });
    let pinned = checked(&pinned);
    assert_eq!(pinned.displaced[&id("web", 2)].text(), "gives way: is pinned to atlas");
    assert_eq!(pinned.displaced[&id("web", 2)].by, None);
}

#[test]
fn a_bound_says_that_it_takes_data_to_stay() {
    let (mut db, mut big) = (service("db", 1), service("big", 1));
    runs_on(&mut db, 0, "nas");
    db.movable = false;
    (big.cpu_milli, big.priority) = (4000, 90);
    let nodes = vec![node("nas", 4, 16), node("pi", 2, 2)];
    let mut problem = problem(nodes, vec![db, big]);
    let assumed = |problem: &PlacementProblem| {
        let level = checked(problem).levels.remove(0);
        assert_eq!((level.priority, level.placed, level.proven), (90, 0, true));
        level.assumes
    };
    assert_eq!(assumed(&problem).as_deref(), Some("data stays where it is"));
    // Wherever the data were: no node is so large.
    problem.services[1].cpu_milli = 8000;
    assert_eq!(assumed(&problem), None);
    // It could move by itself, were there room for it.
    problem.services[1].cpu_milli = 4000;
    problem.services[0].movable = true;
    problem.services[0].priority = 95;
    problem.nodes[1].cpu_milli = 0;
    let level = checked(&problem).levels.remove(1);
    assert_eq!((level.placed, level.assumes), (0, None));
    // Wherever the data were: so many may be near it.
    let (mut db, mut web) = (service("db", 1), service("web", 4));
    runs_on(&mut db, 0, "nas");
    (db.movable, web.max_per_node) = (false, Some(3));
    web.near.push(db.name.declared().clone());
    let nodes = vec![node("nas", 8, 16), node("pi", 8, 16)];
    let level = checked(&super::problem(nodes, vec![db, web])).levels.remove(0);
    assert_eq!((level.placed, level.proven, level.assumes), (4, true, None));
}

fn verdict(problem: &PlacementProblem, service: &str, node: &str) -> Verdict {
    let told = explain(problem, &checked(problem), &service_name(service)).unwrap();
    told.nodes.into_iter().find(|it| it.node.as_str() == node).unwrap()
}

fn texts(verdict: &Verdict) -> Vec<&str> {
    verdict.violations.iter().map(|it| it.text.as_str()).collect()
}

#[test]
fn what_others_need_near_them_cannot_go() {
    let (mut cache, mut api) = (service("cache", 1), service("api", 1));
    runs_on(&mut cache, 0, "atlas");
    runs_on(&mut api, 0, "atlas");
    api.near.push(service_name("cache"));
    let mut problem = problem(pair(), vec![cache, api]);
    let there = verdict(&problem, "cache", "nas");
    assert_eq!(texts(&there), ["api on atlas must run near it"]);
    assert_eq!((there.difference, there.eligible), (None, true));
    assert_eq!(there.violations[0].at.as_deref(), Some("cluster.kdl:3:1"));
    // One of two may go.
    problem.services[0].replicas = 2;
    runs_on(&mut problem.services[0], 1, "atlas");
    assert_eq!(texts(&verdict(&problem, "cache", "nas")), [""; 0]);
}

#[test]
fn the_instance_that_gains_most_is_compared() {
    let mut nodes = pair();
    nodes.push(node("vega", 8, 16));
    let (mut web, mut db) = (service("web", 2), service("db", 1));
    (db.movable, db.cpu_milli) = (false, 6000);
    runs_on(&mut db, 0, "atlas");
    runs_on(&mut web, 0, "atlas");
    runs_on(&mut web, 1, "nas");
    let mut problem = problem(nodes, vec![web, db]);
    let there = verdict(&problem, "web", "vega");
    assert_eq!(there.from.as_ref().map(NodeName::as_str), Some("atlas"));
    assert!(there.difference.unwrap() < 0, "{there:?}");
    assert_eq!(there.held, Some(Hold::Runs));
    let first = verdict(&problem, "web", "atlas");
    assert_eq!(first.from.as_ref().map(NodeName::as_str), Some("nas"));
    assert!(first.difference.unwrap() > 0, "{first:?}");
    // Unless the spread lets only another one go.
    problem.services[0].spread.push(Spread { by: SpreadBy::Zone, max_skew: 1, at: None });
    for (node, zone) in problem.nodes.iter_mut().zip(["a", "b", "b"]) {
        node.zone = Some(zone.to_owned());
    }
    let there = verdict(&problem, "web", "vega");
    assert_eq!(there.from.as_ref().map(NodeName::as_str), Some("nas"));
    assert_eq!(texts(&there), [""; 0]);
}

#[test]
fn leaving_may_be_what_makes_the_others_uneven() {
    let mut web = service("web", 4);
    for (index, node) in ["atlas", "nas", "nas", "vega"].into_iter().enumerate() {
        runs_on(&mut web, index as u32, node);
    }
    web.spread.push(Spread { by: SpreadBy::Node, max_skew: 1, at: None });
    web.max_per_node = Some(2);
    let mut nodes = pair();
    nodes.push(node("vega", 8, 16));
    let problem = problem(nodes, vec![web]);
    // Only the second one on nas may go.
    let there = verdict(&problem, "web", "vega");
    assert_eq!(there.from.as_ref().map(NodeName::as_str), Some("nas"));
    let there = verdict(&problem, "web", "nas");
    assert!(texts(&there).iter().any(|text| text.contains("at most 2")), "{there:?}");
    assert!(texts(&there).iter().any(|text| text.contains("spread unevenly")), "{there:?}");
}

#[test]
fn data_holds_where_the_score_does_not() {
    let mut db = service("db", 1);
    db.movable = false;
    runs_on(&mut db, 0, "atlas");
    let mut busy = service("busy", 1);
    (busy.movable, busy.cpu_milli) = (false, 6000);
    runs_on(&mut busy, 0, "atlas");
    let mut problem = problem(pair(), vec![db, busy]);
    let there = verdict(&problem, "db", "nas");
    assert!(there.difference.unwrap() < 0, "{there:?}");
    assert_eq!(there.held, Some(Hold::Data));
    problem.nodes[0].state = NodeState::Offline;
    assert_eq!(verdict(&problem, "db", "nas").held, Some(Hold::Offline));
    problem.nodes[0].state = NodeState::Ready;
    problem.services[0].current.clear();
    assert_eq!(verdict(&problem, "db", "atlas").held, None);
}

/// Whether some instance of the service may be on the node instead of where it is, by the verifier.
fn may_move(problem: &PlacementProblem, outcome: &Outcome, service: &str, node: &NodeName) -> bool {
    let own = |(id, place): &(&InstanceId, &Assignment)| {
        id.service.as_str() == service && place.node != *node
    };
    outcome.assignments.iter().filter(own).any(|(id, _)| {
        let mut moved = outcome.assignments.clone();
        moved.get_mut(id).unwrap().node = node.clone();
        breaches_of(problem, &moved).is_empty()
    })
}

#[test]
fn what_is_possible_by_an_explanation_is_so_by_the_verifier() {
    let mut seen = [0; 2];
    for seed in 0..150 {
        let mut problem = random::small(seed);
        for service in &mut problem.services {
            service.gpu = GpuRequest::None;
        }
        let outcome = checked(&problem);
        let placed = problem.services.iter().filter(|service| {
            service.replicas > 0 && !outcome.unplaced.iter().any(|it| it.service == service.name)
        });
        for service in placed {
            let told = explain(&problem, &outcome, service.name.declared()).unwrap();
            for verdict in told.nodes.iter().filter(|it| it.from.is_some()) {
                let node = problem.nodes.iter().find(|it| it.name == verdict.node).unwrap();
                if node.state != NodeState::Ready {
                    continue;
                }
                let possible =
                    may_move(&problem, &outcome, service.name.declared().as_str(), &node.name);
                let shown =
                    || format!("seed {seed}: {} to {}\n{verdict:#?}", service.name, node.name);
                assert_eq!(verdict.violations.is_empty(), possible, "{}", shown());
                seen[usize::from(possible)] += 1;
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
}
