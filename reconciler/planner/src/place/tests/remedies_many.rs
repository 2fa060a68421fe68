//! Remedies where several instances wait at once, of one service and of several.

use devnet_schema::quantity::GpuRequest;

use super::*;

fn ways(problem: &PlacementProblem, name: &str) -> Vec<String> {
    let outcome = checked(problem);
    let of = outcome.unplaced.iter().find(|it| it.service.as_str() == name);
    let of = of.unwrap_or_else(|| panic!("{outcome:#?}"));
    let costs: Vec<f64> = of.suggestions.iter().map(|it| it.cost).collect();
    assert!(costs.is_sorted(), "{costs:?}");
    of.suggestions.iter().map(|it| it.text.clone()).collect()
}

fn heavy(name: &str, replicas: u32, cores: u64) -> ServiceInput {
    ServiceInput { cpu_milli: cores * 1000, ..service(name, replicas) }
}

#[test]
fn all_instances_of_several_services_are_thought_of() {
    let nodes = vec![node("n1", 2, 16), node("n2", 2, 16)];
    let problem = problem(nodes, vec![heavy("a", 3, 3), heavy("w", 2, 3)]);
    let of_a = [
        "give n1 7 cpu more",
        "give n2 7 cpu more",
        "give n1 4 cpu more and n2 1 cpu more",
        "add one node with 9 cpu and 3GiB of memory",
        "add 3 nodes, each with 3 cpu and 1GiB of memory",
    ];
    assert_eq!(ways(&problem, "a"), of_a);
    let to_a = "; the plan gives it to 2 of a, which wait, too";
    let of_w = [
        "give n1 4 cpu more",
        "give n2 4 cpu more",
        "give each of n1 and n2 1 cpu more",
        "add one node with 6 cpu and 2GiB of memory",
        "add 2 nodes, each with 3 cpu and 1GiB of memory",
    ];
    assert_eq!(ways(&problem, "w"), of_w.map(|way| format!("{way}{to_a}")));
}

#[test]
fn room_is_freed_on_several_nodes_at_once() {
    let nodes = vec![node("n1", 4, 16), node("n2", 4, 16)];
    let holder = |name: &str, at: &str| ServiceInput {
        pin: Some(Pin { node: node_name(at), at: None }),
        priority: 90,
        ..heavy(name, 1, 3)
    };
    let services = vec![holder("h1", "n1"), holder("h2", "n2"), heavy("web", 2, 3)];
    let problem = problem(nodes, services);
    assert_eq!(
        ways(&problem, "web"),
        [
            "free 2 cpu on each of n1 and n2",
            "give n1 5 cpu more",
            "give n2 5 cpu more",
            "add one node with 6 cpu and 2GiB of memory",
            "add 2 nodes, each with 3 cpu and 1GiB of memory",
        ]
    );
}

#[test]
fn as_many_nodes_are_added_as_it_takes() {
    let mut web = heavy("web", 3, 1);
    web.max_per_node = Some(1);
    let one = |web: &ServiceInput| ways(&problem(vec![node("n1", 8, 8)], vec![web.clone()]), "web");
    assert_eq!(
        one(&web),
        [
            "drop `max-per-node 1` of service web at cluster.kdl:3:1",
            "add 2 nodes, each with 1 cpu and 1GiB of memory",
        ]
    );
    (web.max_per_node, web.apart_from) = (None, vec![service_name("web")]);
    assert_eq!(
        one(&web),
        [
            r#"drop `apart-from "web"` of service web at cluster.kdl:3:1"#,
            "add 2 nodes, each with 1 cpu and 1GiB of memory",
        ]
    );
}

#[test]
fn a_node_is_added_in_the_zone_that_lacks_one() {
    let mut nodes = vec![node("n1", 8, 8), node("n2", 2, 8)];
    nodes[0].zone = Some("cellar".to_owned());
    nodes[1].zone = Some("attic".to_owned());
    let mut web = heavy("web", 4, 2);
    web.spread.push(Spread { by: SpreadBy::Zone, max_skew: 1, at: None });
    assert_eq!(
        ways(&problem(nodes, vec![web]), "web"),
        [
            "drop `spread` of service web at cluster.kdl:3:1",
            "give n2 2 cpu more",
            "add one node with 2 cpu and 1GiB of memory, in zone attic",
        ]
    );
}

#[test]
fn what_helps_some_of_them_says_how_many() {
    let nodes = vec![node("n1", 2, 8), node("n2", 2, 8)];
    let mut web = heavy("web", 3, 2);
    web.pin = Some(Pin { node: node_name("n1"), at: None });
    assert_eq!(
        ways(&problem(nodes, vec![web]), "web"),
        [
            "give n1 4 cpu more",
            "drop `pin` of service web at cluster.kdl:3:1; places 1 of the 2 of web that wait",
        ]
    );
}

#[test]
fn a_port_that_is_taken_is_named_with_its_line_and_its_holder() {
    use devnet_schema::instance::Protocol;
    let port = (Protocol::Tcp, 80);
    let claims = |name: &str, line: u32, priority: u8| {
        let mut it = ServiceInput { priority, ..service(name, 1) };
        it.host_ports.push(port);
        let at = Some(format!("cluster.kdl:{line}:5"));
        it.port_lines
            .insert(port, PortLine { written: "host=80".to_owned(), of_process: false, at });
        it
    };
    let mut outside = node("n2", 4, 8);
    outside.reserved_ports.push(port);
    let nodes = vec![node("n1", 4, 8), outside];
    let problem = problem(nodes, vec![claims("proxy", 3, 90), claims("web", 9, 50)]);
    let outcome = checked(&problem);
    let told = &outcome.unplaced[0].nodes[0].violations[0];
    assert_eq!(
        (told.line.as_deref(), told.at.as_deref()),
        (Some("host=80"), Some("cluster.kdl:9:5"))
    );
    assert_eq!(told.text, "port 80/tcp is taken by proxy");
    assert_eq!(
        ways(&problem, "web"),
        [
            "change `host=80` of service web at cluster.kdl:9:5 (port 80/tcp is held by proxy on \
         n1, something outside the cluster on n2)",
            "add one node with 1 cpu and 1GiB of memory",
        ]
    );
}

/// `near` keeps `web` off; without it the plan gives all of `web` a node, and the last one that of
/// another service.
#[test]
fn who_would_wait_instead_is_told() {
    let mut web = ServiceInput { memory: 2 * GIB, ..service("web", 3) };
    web.near.push(service_name("cache"));
    web.places.near.insert(service_name("cache"), "cluster.kdl:9:5".to_owned());
    let cache = ServiceInput { gpu: GpuRequest::Share(500), ..service("cache", 1) };
    let mut job = ServiceInput { memory: 3 * GIB, ..heavy("job", 1, 2) };
    job.pin = Some(Pin { node: node_name("n1"), at: None });
    let problem = problem(vec![node("n0", 4, 4), node("n1", 2, 8)], vec![web, cache, job]);
    let near = r#"drop `near "cache"` of service web at cluster.kdl:9:5"#;
    let instead = format!("{near}; job[0] would then wait");
    assert_eq!(ways(&problem, "web"), [format!("{near} and free 1 cpu on n1"), instead]);
}

/// All instances of a process listen on the same port of their nodes: it can be another one, never
/// none, and two of them never share a node.
#[test]
fn a_process_is_told_to_listen_elsewhere_where_that_helps() {
    use devnet_schema::instance::Protocol;
    let port = (Protocol::Tcp, 8080);
    let process = |name: &str, replicas: u32, line: u32| {
        let mut it = service(name, replicas);
        it.host_ports.push(port);
        let at = Some(format!("cluster.kdl:{line}:5"));
        let written = "port 8080".to_owned();
        it.port_lines.insert(port, PortLine { written, of_process: true, at });
        it
    };
    let alone = problem(vec![node("n1", 4, 8)], vec![process("web", 2, 3)]);
    assert_eq!(ways(&alone, "web"), ["add one node with 1 cpu and 1GiB of memory"]);
    let services =
        vec![ServiceInput { priority: 90, ..process("proxy", 1, 3) }, process("web", 2, 9)];
    let beside = problem(vec![node("n1", 4, 8), node("n2", 4, 8)], services);
    assert_eq!(
        ways(&beside, "web"),
        [
            "change `port 8080` of service web at cluster.kdl:9:5, and what it listens on (port \
             8080/tcp is held by proxy on n1, web itself on n2)",
            "add one node with 1 cpu and 1GiB of memory",
        ]
    );
}
