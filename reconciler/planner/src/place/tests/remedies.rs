//! What does not fit: everything that speaks against each node, and remedies that work.

use devnet_schema::{placement::PlacementStatus, quantity::Bytes};

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
        ["give nuc2 8GiB of memory more", "add one node with 6 cpu and 24GiB of memory"]
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
fn every_kind_of_single_remedy_is_found() {
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
    assert_eq!(ways(roomy(), web), "drop `max-per-node 1` of service web at cluster.kdl:3:1");

    let mut web = service("web", 1);
    web.apart_from.push(service_name("db"));
    let one = vec![node("atlas", 8, 8)];
    assert_eq!(ways(one, web), r#"drop `apart-from "db"` of service web at cluster.kdl:3:1"#);

    let mut web = service("web", 1);
    web.cpu_milli = 8000;
    web.near.push(service_name("db"));
    assert_eq!(ways(roomy(), web), r#"drop `near "db"` of service web at cluster.kdl:3:1"#);

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
fn an_explanation_names_the_line_that_a_remedy_would_drop() {
    let mut db = service("db", 1);
    db.require.push(condition(Key::Tag, &["ssd"]));
    db.require.push(condition(Key::Runtime, &["podman"]));
    db.forbid.push(condition(Key::Os, &["linux"]));
    db.pin = Some(Pin { node: node_name("nas"), at: None });
    db.cpu_milli = 9000;
    let problem = problem(vec![node("atlas", 8, 8)], vec![db]);
    let outcome = checked(&problem);
    let explained = explain(&problem, &outcome, &service_name("db")).unwrap();
    let lines: Vec<(&str, Option<&str>)> = explained.nodes[0]
        .violations
        .iter()
        .map(|it| (it.constraint.as_str(), it.line.as_deref()))
        .collect();
    let expected = [
        ("tag", Some("require tag=ssd")),
        ("runtime", None),
        ("os", Some("forbid os=linux")),
        ("pin", Some("pin")),
        ("cpu", None),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_gpu_that_nobody_has() {
    let mut llm = service("llm", 1);
    llm.gpu = GpuRequest::Memory(devnet_schema::quantity::Bytes::gib(24));
    llm.require.push(condition(Key::Tag, &["gpu"]));
    let outcome = checked(&problem(vec![node("atlas", 8, 8)], vec![llm]));
    assert_eq!(
        texts(&outcome),
        ["add one node with 1 cpu, 1GiB of memory and a GPU with 24GiB, tagged gpu"]
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
    // Beside what `low` gives up it helps.
    let freed = "drop `pin` of service web at cluster.kdl:3:1 and free 4 cpu on nas";
    assert_eq!(texts(&outcome), [freed, "give atlas 2 cpu more"]);
}

/// A service that needs nothing but a runtime, as a form gives it.
fn form(runtime: &str) -> ServiceInput {
    let mut web = service("web", 1);
    (web.cpu_milli, web.memory) = (0, 0);
    web.require.push(condition(Key::Runtime, &[runtime]));
    web
}

#[test]
fn the_runtime_of_a_form_is_never_to_be_dropped() {
    let three = || ["a", "b", "c"].map(|name| node(name, 8, 8)).to_vec();
    let ways =
        |nodes: Vec<NodeInput>, web: ServiceInput| texts(&checked(&problem(nodes, vec![web])));
    assert_eq!(
        ways(three(), form("kubernetes")),
        ["let a node with Kubernetes join: none of 3 has it"]
    );
    let one = vec![node("a", 8, 8)];
    assert_eq!(
        ways(one, form("kubernetes")),
        ["let a node with Kubernetes join: the only one does not have it"]
    );
    assert_eq!(
        ways(vec![], form("kubernetes")),
        ["let a node with Kubernetes join: there is none"]
    );
    let mut web = form("process");
    (web.cpu_milli, web.memory, web.disk) = (2500, 3 * GIB / 2, GIB);
    web.require.push(condition(Key::Zone, &["attic"]));
    web.require.push(condition(Key::Arch, &["aarch64"]));
    assert_eq!(
        ways(three(), web),
        ["let a node with the process runtime, 3 cpu, 1.5GiB of memory and 1GiB of disk, in \
             zone attic, of arch aarch64 join: none of 3 has the process runtime"]
    );
    // One node has it, and is too small.
    let mut nodes = three();
    nodes[0].runtimes.push("kubernetes".to_owned());
    let mut web = form("kubernetes");
    web.memory = 9 * GIB;
    let outcome = checked(&problem(nodes, vec![web]));
    assert_eq!(
        texts(&outcome),
        ["give a 1GiB of memory more", "add one node with Kubernetes, 1 cpu and 9GiB of memory"]
    );
    let edits = &outcome.unplaced[0].suggestions[1].edits;
    let [Edit::AddNode { runtime, .. }] = edits.as_slice() else { panic!("{edits:?}") };
    assert_eq!(runtime.as_deref(), Some("kubernetes"));
}

#[test]
fn a_new_device_is_as_large_as_what_it_must_hold() {
    let need = |gib: u64| DeviceNeed {
        memory: gib * GIB - 1,
        what: "llama".to_owned(),
        at: Some("cluster.kdl:7:5".to_owned()),
    };
    let mut small = node("atlas", 8, 8);
    small.gpus = vec![gpu("g0", "RTX 4090", 24), gpu("g1", "RTX 4090", 24)];
    let ways = |llm: &ServiceInput| {
        let outcome = checked(&problem(vec![small.clone()], vec![llm.clone()]));
        let against = &outcome.unplaced[0].nodes[0].violations;
        assert_eq!(against.len(), 1, "{against:?}");
        (against[0].text.clone(), texts(&outcome))
    };
    let mut llm = service("llm", 1);
    llm.gpu = GpuRequest::Whole(1);
    llm.device = Some(need(47));
    assert_eq!(
        ways(&llm),
        (
            "needs a GPU of 47GiB for `llama`, the largest has 24GiB".to_owned(),
            [
                "give atlas a GPU with 47GiB",
                "add one node with 1 cpu, 1GiB of memory and a GPU with 47GiB"
            ]
            .map(str::to_owned)
            .to_vec()
        )
    );
    llm.gpu = GpuRequest::Whole(2);
    let two = "add one node with 1 cpu, 1GiB of memory and 2 GPUs with 47GiB each";
    assert_eq!(ways(&llm).1, ["give atlas 2 GPUs with 47GiB each", two]);
    llm.gpu = GpuRequest::Share(500);
    llm.require.push(condition(Key::GpuModel, &["A100", "H100"]));
    llm.forbid.push(condition(Key::GpuModel, &["A100"]));
    let outcome = checked(&problem(vec![small.clone()], vec![llm.clone()]));
    let model = "add one node with 1 cpu, 1GiB of memory and a GPU of model H100 with 47GiB";
    assert_eq!(texts(&outcome), ["give atlas a GPU of model H100 with 47GiB", model]);
    // A model whose devices are known to be too small is no remedy.
    llm.require[0] = condition(Key::GpuModel, &["4090"]);
    assert_eq!(texts(&checked(&problem(vec![small.clone()], vec![llm]))), Vec::<String>::new());
    // What fits is placed, on the device that is large enough.
    let mut large = small.clone();
    large.gpus.push(gpu("g2", "L40S", 48));
    let mut llm = service("llm", 1);
    (llm.gpu, llm.device) = (GpuRequest::Whole(1), Some(need(47)));
    let outcome = checked(&problem(vec![large], vec![llm]));
    assert_eq!(outcome.assignments[&id("llm", 0)].gpus[0].id, "g2");
    // More devices than any node is read with: no advice, and no node of four thousand million.
    let mut llm = service("llm", 1);
    llm.gpu = GpuRequest::Whole(u32::MAX);
    assert_eq!(texts(&checked(&problem(vec![small], vec![llm]))), Vec::<String>::new());
}

/// Of several that wait, each is told what would do, and whom the plan gives it to.
#[test]
fn room_that_another_one_would_take_is_told_as_such() {
    let services = ["a", "b"].map(|name| {
        let mut service = service(name, 1);
        service.cpu_milli = 3000;
        service
    });
    let outcome = checked(&problem(vec![node("n1", 1, 8)], services.to_vec()));
    let told: Vec<(&str, &str)> = outcome
        .unplaced
        .iter()
        .map(|it| (it.service.as_str(), it.suggestions[0].text.as_str()))
        .collect();
    let first = "give n1 2 cpu more";
    let second = "give n1 2 cpu more; the plan gives it to 1 of a, which waits, too";
    assert_eq!(told, [("a", first), ("b", second)]);
}

#[test]
fn the_line_of_another_service_that_keeps_it_away_is_its_line() {
    let mut keeper = service("keeper", 1);
    keeper.apart_from.push(service_name("b"));
    keeper.priority = 90;
    let outcome = checked(&problem(vec![node("n1", 4, 8)], vec![keeper, service("b", 1)]));
    assert_eq!(outcome.unplaced[0].service.as_str(), "b");
    let violation = &outcome.unplaced[0].nodes[0].violations[0];
    assert_eq!(violation.text, "keeper must stay apart from it");
    assert_eq!(violation.at.as_deref(), Some("cluster.kdl:6:1"));
    assert_eq!(texts(&outcome)[0], r#"drop `apart-from "b"` of service keeper at cluster.kdl:6:1"#);
}

/// What nobody there could give up is to be given, however large the node is: here only what runs
/// of the service itself is there, and what it must be near.
#[test]
fn an_explanation_asks_for_what_could_be_had() {
    let company = ServiceInput { cpu_milli: 2000, ..service("company", 1) };
    let mut web = ServiceInput { cpu_milli: 2000, ..service("web", 2) };
    web.near.push(company.name.declared().clone());
    let other = ServiceInput { cpu_milli: 2000, ..service("z", 1) };
    let gives = |services: Vec<ServiceInput>| {
        let outcome = checked(&problem(vec![node("n1", 4, 8)], services));
        let of = outcome.unplaced.iter().find(|it| it.service.as_str() == "web").unwrap();
        let told = &of.nodes[0].violations[0];
        assert_eq!(told.constraint, "cpu");
        told.give
    };
    assert!(gives(vec![company, web.clone()]));
    web.near.clear();
    web.priority = 10;
    assert!(!gives(vec![web, other]));
}

/// Where only the model is wrong, nothing is said to be short.
#[test]
fn a_device_of_another_model_that_is_free_is_no_shortage() {
    let mut n1 = node("n1", 4, 8);
    n1.gpus.push(gpu("g0", "A100", 80));
    let mut llm = service("llm", 1);
    llm.gpu = GpuRequest::Memory(Bytes::gib(30));
    llm.require.push(condition(Key::GpuModel, &["RTX 4090"]));
    let outcome = checked(&problem(vec![n1.clone()], vec![llm.clone()]));
    let said = |outcome: &Outcome| -> Vec<String> {
        let violations = outcome.unplaced[0].nodes[0].violations.iter();
        violations.map(|violation| violation.constraint.clone()).collect()
    };
    assert_eq!(said(&outcome), ["gpu-model"]);
    llm.gpu = GpuRequest::Memory(Bytes::gib(90));
    assert_eq!(said(&checked(&problem(vec![n1], vec![llm]))), ["gpu-model", "gpu"]);
}
