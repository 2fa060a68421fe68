//! Remedies that take several changes at once, and the least of each.

use devnet_schema::quantity::GpuRequest;

use super::*;

fn ways(problem: &PlacementProblem, name: &str) -> Vec<String> {
    let outcome = checked(problem);
    let of = outcome.unplaced.iter().find(|it| it.service.as_str() == name);
    let of = of.unwrap_or_else(|| panic!("{outcome:#?}"));
    of.suggestions.iter().map(|it| it.text.clone()).collect()
}

fn pinned(name: &str, at: &str) -> ServiceInput {
    let pin = Some(Pin { node: node_name(at), at: Some("cluster.kdl:8:9".to_owned()) });
    ServiceInput { pin, ..service(name, 1) }
}

fn in_zone(mut node: NodeInput, zone: &str) -> NodeInput {
    node.zone = Some(zone.to_owned());
    node
}

/// `web` must be near `cache`, which waits for want of a GPU: what would do for both is told.
#[test]
fn who_must_be_near_one_that_waits_is_thought_of_with_it() {
    let mut web = ServiceInput { cpu_milli: 3000, ..service("web", 1) };
    web.near.push(service_name("cache"));
    web.priority = 90;
    web.gpu = GpuRequest::Whole(1);
    let cache = ServiceInput { gpu: GpuRequest::Share(500), ..service("cache", 1) };
    let one = problem(vec![node("n0", 4, 4), node("n1", 2, 8)], vec![web, cache]);
    assert_eq!(
        ways(&one, "web"),
        [
            "give n0 2 GPUs",
            "add one node with 4 cpu, 2GiB of memory and 2 GPUs",
            "give n1 2 cpu more and 2 GPUs",
        ]
    );
}

#[test]
fn the_node_of_a_pin_is_given_all_that_is_short() {
    let mut web = ServiceInput { cpu_milli: 3000, ..pinned("web", "n1") };
    web.require.push(condition(Key::Tag, &["ssd"]));
    web.forbid.push(condition(Key::Zone, &["attic"]));
    let nodes = vec![in_zone(node("n1", 2, 8), "attic"), node("n2", 2, 8)];
    let (require, forbid) = ("drop `require tag=ssd` of", "drop `forbid zone=attic` of");
    let (pin, line) =
        ("drop `pin` of service web at cluster.kdl:8:9", "service web at cluster.kdl:7:5");
    assert_eq!(
        ways(&problem(nodes, vec![web]), "web"),
        [
            format!("{pin} and {require} {line} and give n2 1 cpu more"),
            format!("{require} {line} and {forbid} {line} and give n1 1 cpu more"),
            format!("{pin} and add one node with 3 cpu and 1GiB of memory, tagged ssd"),
        ]
    );
}

/// One more node in no zone would be one more domain for `db` to be spread over, whose data stays.
#[test]
fn a_new_node_stands_where_it_makes_nothing_uneven() {
    let mut db = ServiceInput { movable: false, ..service("db", 2) };
    db.spread.push(Spread { by: SpreadBy::Zone, max_skew: 1, at: None });
    runs_on(&mut db, 0, "n1");
    runs_on(&mut db, 1, "n1");
    let nodes = vec![in_zone(node("n1", 2, 8), "attic")];
    let web = ServiceInput { cpu_milli: 3000, ..service("web", 1) };
    assert_eq!(
        ways(&problem(nodes, vec![db, web]), "web"),
        ["give n1 3 cpu more", "add one node with 3 cpu and 1GiB of memory, in zone attic"]
    );
}

/// Of the two that wait only one has to go to `c`: the other one may go to where the first is.
#[test]
fn no_more_is_asked_for_than_does() {
    let mut web = service("web", 3);
    web.spread.push(Spread { by: SpreadBy::Zone, max_skew: 1, at: None });
    let zones = [("a", "z1"), ("b", "z1"), ("c", "z2")];
    let nodes = zones.map(|(name, zone)| in_zone(node(name, 4, 8), zone)).to_vec();
    let full = ServiceInput { cpu_milli: 4000, priority: 90, ..pinned("full", "c") };
    assert_eq!(
        ways(&problem(nodes, vec![web, full]), "web"),
        [
            "drop `spread` of service web at cluster.kdl:3:1",
            "free 1 cpu on c",
            "add one node with 1 cpu and 1GiB of memory, in zone z2",
        ]
    );
}

/// One node for a service and all that wait of the one that it must be near: for fewer of these the
/// plan would give them the room.
#[test]
fn a_new_node_holds_all_that_come_first() {
    let mut web = ServiceInput { memory: 6 * GIB, ..service("web", 1) };
    web.near.push(service_name("cache"));
    let cache = ServiceInput { memory: 6 * GIB, ..service("cache", 2) };
    let one = problem(vec![node("n1", 4, 4), node("n2", 4, 4)], vec![web, cache]);
    let told = ways(&one, "web");
    assert!(
        told.iter().any(|way| way == "add one node with 3 cpu and 18GiB of memory"),
        "{told:?}"
    );
}

/// What it must be near is more than a remedy may change; without that line, a drained node would
/// do.
#[test]
fn a_service_goes_without_what_it_must_be_near() {
    let sized =
        |name: &str, replicas: u32| ServiceInput { memory: 6 * GIB, ..service(name, replicas) };
    let (mut web, mut api, mut db) = (sized("web", 1), sized("api", 2), sized("db", 2));
    web.near.push(api.name.declared().clone());
    web.require.push(condition(Key::Tag, &["ssd"]));
    (api.priority, db.priority, db.movable) = (80, 10, false);
    api.near.push(db.name.declared().clone());
    runs_on(&mut db, 0, "n2");
    runs_on(&mut db, 1, "n3");
    let mut drained = node("n1", 4, 8);
    (drained.state, drained.tags) = (NodeState::Draining, vec!["ssd".to_owned()]);
    let nodes = vec![drained, node("n2", 4, 8), node("n3", 4, 8)];
    let told = ways(&problem(nodes, vec![web, api, db]), "web");
    let way = "drop `near \"api\"` of service web at cluster.kdl:3:1 and uncordon node n1, \
               which is being drained";
    assert!(told.iter().any(|it| it.starts_with(way)), "{told:?}");
}
