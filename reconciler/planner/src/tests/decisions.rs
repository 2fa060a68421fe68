//! One decision each: what an edit leads to, and in which words.

use expect_test::expect;

use super::{World, load, show};
use crate::problem::move_cost;

const ONE: &str = r#"
cluster "lab"
service "app" {
    image "app:1"
    port 8080
    env LOG="info"
    env MODE="a"
}
"#;

fn edited(from: &str, to: &str) -> String {
    let mut world = World::of(&["alpha"]);
    world.reach(ONE);
    show(&world.reach(&ONE.replace(from, to)))
}

#[test]
fn env_ports_and_commands_change_in_place() {
    let env = edited("info", "debug");
    let two = edited("LOG=\"info\"\n    env MODE=\"a\"", "LOG=\"debug\"\n    env MODE=\"b\"");
    let port = edited("port 8080", "port 8080 host=8081");
    let command = edited("port 8080", "port 8080\n    command \"serve\" \"--fast\"");
    expect![[r#"
        ~ app[0] on alpha: environment variable LOG changed
          app[0]/prepare on alpha g2
          app[0]/start on alpha g2 after app[0]/prepare
          app[0]/await-healthy on alpha g2 after app[0]/start
        0 to add, 1 to change, 0 to destroy, 0 to move, 0 unchanged
        ~ app[0] on alpha: environment variables LOG and MODE changed
          app[0]/prepare on alpha g2
          app[0]/start on alpha g2 after app[0]/prepare
          app[0]/await-healthy on alpha g2 after app[0]/start
        0 to add, 1 to change, 0 to destroy, 0 to move, 0 unchanged
        ~ app[0] on alpha: the host port of main changed from 20000 to 8081
          app[0]/prepare on alpha g2
          app[0]/start on alpha g2 after app[0]/prepare
          app[0]/await-healthy on alpha g2 after app[0]/start
        0 to add, 1 to change, 0 to destroy, 0 to move, 0 unchanged
        ~ app[0] on alpha: the command changed
          app[0]/prepare on alpha g2
          app[0]/start on alpha g2 after app[0]/prepare
          app[0]/await-healthy on alpha g2 after app[0]/start
        0 to add, 1 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&[env, two, port, command].join(""));
}

#[test]
fn volumes_and_runtimes_force_a_replacement() {
    let volume = edited("port 8080", "port 8080\n    volume \"data\" at=\"/data\"");
    let runtime = edited("image \"app:1\"", "process \"app\" \"serve\"");
    expect![[r#"
        -/+ app[0] on alpha: volume data changed (forced by volumes.data.path)
          app[0]/prepare on alpha g2
          app[0]/remove on alpha g2 after app[0]/prepare
          app[0]/start on alpha g3 after app[0]/remove
          app[0]/await-healthy on alpha g3 after app[0]/start
        1 to add, 0 to change, 1 to destroy, 0 to move, 0 unchanged
        -/+ app[0] on alpha: the runtime changed from docker to process, the command changed,
                the image changed and 1 more (forced by runtime)
          app[0]/prepare on alpha g2
          app[0]/remove on alpha g2 after app[0]/prepare
          app[0]/start on alpha g3 after app[0]/remove
          app[0]/await-healthy on alpha g3 after app[0]/start
        1 to add, 0 to change, 1 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&[volume, runtime].join(""));
}

#[test]
fn a_data_bearing_instance_stops_before_it_starts_elsewhere_and_a_warning_says_what_is_lost() {
    let mut world = World::of(&["alpha", "beta"]);
    let data = ONE.replace("port 8080", "port 8080\n    volume \"data\" at=\"/data\"");
    let at = |node: &str| {
        format!("{data}\n").replace("env LOG", &format!("place {{ pin \"{node}\" }}\n    env LOG"))
    };
    world.reach(&at("alpha"));
    let plan = world.reach(&at("beta"));
    expect![[r#"
        cluster.kdl:7:17: warning[DN-W0603]: app[0] stays on alpha, though it is pinned to beta
                at cluster.kdl:7:17: its data is there and cannot follow it
          help: undo that, or start it elsewhere without its data: `leave-data "alpha"` in
                service `app`
        0 to add, 0 to change, 0 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&show(&plan));
}

#[test]
fn a_port_is_handed_over_before_the_next_one_starts() {
    let mut world = World::of(&["alpha"]);
    let pair = |a: u16, b: u16| {
        format!(
            "cluster \"lab\"\n\
             service \"a\" {{ image \"a:1\"; port 80 host={a} }}\n\
             service \"b\" {{ image \"b:1\"; port 80 host={b} }}\n"
        )
    };
    world.reach(&pair(8001, 8002));
    let swap = world.reach(&pair(8002, 8001));
    let chain = world.reach(&pair(8003, 8002));
    expect![[r#"
        ~ a[0] on alpha: the host port of main changed from 8001 to 8002
        ~ b[0] on alpha: the host port of main changed from 8002 to 8001
          a[0]/prepare on alpha g2
          a[0]/remove on alpha g2 after a[0]/prepare
          b[0]/prepare on alpha g2
          b[0]/remove on alpha g2 after b[0]/prepare
          a[0]/start on alpha g3 after a[0]/remove, b[0]/remove
          a[0]/await-healthy on alpha g3 after a[0]/start
          b[0]/start on alpha g3 after a[0]/remove, b[0]/remove
          b[0]/await-healthy on alpha g3 after b[0]/start
        0 to add, 2 to change, 0 to destroy, 0 to move, 0 unchanged
        ~ a[0] on alpha: the host port of main changed from 8002 to 8003
        ~ b[0] on alpha: the host port of main changed from 8001 to 8002
          a[0]/prepare on alpha g4
          a[0]/start on alpha g4 after a[0]/prepare
          a[0]/await-healthy on alpha g4 after a[0]/start
          b[0]/prepare on alpha g4
          b[0]/start on alpha g4 after a[0]/start, b[0]/prepare
          b[0]/await-healthy on alpha g4 after b[0]/start
        0 to add, 2 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&(show(&swap) + &show(&chain)));
}

#[test]
fn ports_without_host_are_the_lowest_free_and_stay() {
    let mut world = World::of(&["alpha"]);
    world.node("alpha").facts.ports_in_use = vec![20000];
    world.reach(ONE);
    let before = world.seen("app[0]").spec.as_ref().unwrap().ports[0].host;
    assert_eq!(before, 20001);
    world.node("alpha").facts.ports_in_use = vec![];
    let more = format!("{ONE}service \"aaa\" {{ image \"a:1\"; port 80 }}\n");
    world.reach(&more);
    assert_eq!(world.seen("app[0]").spec.as_ref().unwrap().ports[0].host, before);
    assert_eq!(world.seen("aaa[0]").spec.as_ref().unwrap().ports[0].host, 20000);
}

#[test]
fn a_process_listens_where_it_listens() {
    let mut world = World::of(&["alpha", "beta"]);
    let two = "cluster \"lab\"\nservice \"p\" { process \"serve\"; port 8080; replicas 2 }\n";
    world.reach(two);
    let nodes: Vec<String> = world.fleet.instances.iter().map(|it| it.node.to_string()).collect();
    assert_eq!(nodes, ["alpha", "beta"], "both take port 8080 of their node");
    for seen in &world.fleet.instances {
        assert_eq!(seen.spec.as_ref().unwrap().ports[0].host, 8080);
    }
}

#[test]
fn targets_leave_the_rest_alone_and_bring_what_they_need() {
    let stack = "cluster \"lab\"\n\
        service \"db\" { image \"db:1\" }\n\
        service \"api\" { image \"api:1\"; depends-on \"db\" }\n\
        service \"web\" { image \"web:1\" }\n";
    let mut world = World::of(&["alpha"]);
    world.options.target = vec!["service.api".to_owned()];
    let plan = world.reach(stack);
    world.options.target = vec![];
    world.options.exclude = vec!["service.db".to_owned()];
    let rest = world.reach(&stack.replace(":1", ":2"));
    world.options.exclude = vec![];
    world.reach(&stack.replace(":1", ":2"));
    world.options.replace = vec!["service.web[0]".to_owned()];
    let replaced = world.plan(&stack.replace(":1", ":2"));
    expect![[r#"
        + api[0] on alpha: it is new; the only node that can run it
        + db[0] on alpha: it is new; the only node that can run it
          api[0]/prepare on alpha g1
          db[0]/prepare on alpha g1
          db[0]/start on alpha g1 after db[0]/prepare
          db[0]/await-healthy on alpha g1 after db[0]/start
          api[0]/start on alpha g1 after api[0]/prepare, db[0]/await-healthy
          api[0]/await-healthy on alpha g1 after api[0]/start
        warning[DN-W0607]: this plan covers a part of the cluster only
          help: plan again without -target and -exclude afterwards
        2 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
        + web[0] on alpha: it is new; the only node that can run it
          web[0]/prepare on alpha g1
          web[0]/start on alpha g1 after web[0]/prepare
          web[0]/await-healthy on alpha g1 after web[0]/start
        warning[DN-W0607]: this plan covers a part of the cluster only
          help: plan again without -target and -exclude afterwards
        1 to add, 0 to change, 0 to destroy, 0 to move, 2 unchanged
        -/+ web[0] on alpha: its replacement was asked for with -replace
          web[0]/prepare on alpha g2
          web[0]/remove on alpha g2 after web[0]/prepare
          web[0]/start on alpha g3 after web[0]/remove
          web[0]/await-healthy on alpha g3 after web[0]/start
        1 to add, 0 to change, 1 to destroy, 0 to move, 2 unchanged
    "#]]
    .assert_eq(&(show(&plan) + &show(&rest) + &show(&replaced)));
}

#[test]
fn a_restart_is_a_change_in_place_also_of_what_is_protected() {
    let mut world = World::of(&["alpha"]);
    let two = ONE.replace("port 8080", "replicas 2\n    protect\n    update max-unavailable=1");
    world.reach(&two);
    world.options.restart = vec!["service.app".to_owned()];
    let plan = world.plan(&two);
    expect![[r#"
        ~ app[0] on alpha: its restart was asked for
        ~ app[1] on alpha: its restart was asked for
          app[0]/prepare on alpha g2
          app[0]/remove on alpha g2 after app[0]/prepare
          app[0]/start on alpha g3 after app[0]/remove
          app[0]/await-healthy on alpha g3 after app[0]/start
          app[1]/prepare on alpha g2
          app[1]/remove on alpha g2 after app[0]/await-healthy, app[1]/prepare
          app[1]/start on alpha g3 after app[1]/remove
          app[1]/await-healthy on alpha g3 after app[1]/start
        0 to add, 2 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
    world.options.restart = vec!["service.nothing".to_owned()];
    assert!(!world.plan(&two).is_applicable());
}

#[test]
fn max_unavailable_bounds_how_many_change_at_once() {
    let mut world = World::of(&["alpha"]);
    let four = ONE.replace("port 8080", "replicas 4\n    update max-unavailable=2");
    world.reach(&four);
    let plan = world.reach(&four.replace("app:1", "app:2"));
    expect![[r#"
        ~ app[0] on alpha: the image changed from app:1 to app:2
        ~ app[1] on alpha: the image changed from app:1 to app:2
        ~ app[2] on alpha: the image changed from app:1 to app:2
        ~ app[3] on alpha: the image changed from app:1 to app:2
          app[0]/prepare on alpha g2
          app[0]/start on alpha g2 after app[0]/prepare
          app[0]/await-healthy on alpha g2 after app[0]/start
          app[1]/prepare on alpha g2
          app[1]/start on alpha g2 after app[1]/prepare
          app[1]/await-healthy on alpha g2 after app[1]/start
          app[2]/prepare on alpha g2
          app[2]/start on alpha g2 after app[0]/await-healthy, app[2]/prepare
          app[2]/await-healthy on alpha g2 after app[2]/start
          app[3]/prepare on alpha g2
          app[3]/start on alpha g2 after app[1]/await-healthy, app[3]/prepare
          app[3]/await-healthy on alpha g2 after app[3]/start
        0 to add, 4 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
}

#[test]
fn refreshing_reports_and_changes_nothing() {
    let mut world = World::of(&["alpha"]);
    world.reach(ONE);
    let seen = world.seen("app[0]");
    seen.state = devnet_schema::observed::InstanceState::Exited;
    seen.message = Some("exited with code 137".to_owned());
    world.options.refresh_only = true;
    expect![[r#"
        drift app[0] on alpha: exited with code 137
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&world.plan(&ONE.replace("app:1", "app:2"))));
}

/// What has to be downloaded again is a price, and so is the size of data.
#[test]
fn a_move_costs_what_has_to_follow_it() {
    let loaded = load(
        r#"
cluster "lab"
service "web" { image "web:1" }
service "llm" { component "ollama"; model "llama3.1:8b" context=8192; resources memory="16GiB" }
service "db" { image "db:1"; volume "data" at="/data"; resources disk="40GiB" }
service "huge" { image "db:1"; volume "data" at="/data"; resources disk="90TiB" }
"#,
    );
    let desired = loaded.desired.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    let price = |name: &str| {
        let found = desired.services.iter().find(|(service, _)| service.as_str() == name);
        move_cost(found.unwrap().1)
    };
    assert_eq!((price("web"), price("db"), price("huge")), (1, 140, 10_000));
    let llm = desired.services.values().find(|it| !it.models.is_empty()).unwrap();
    let download = llm.models[0].needs.weights.0.div_ceil(1 << 30);
    assert!((4..=6).contains(&download), "8 billion parameters of 4 to 5 bits: {download} GiB");
    // Ollama has a volume, and its component reserves disk for it.
    assert_eq!(price("llm"), 100 + llm.resources.disk.0.div_ceil(1 << 30) + download);
}

#[test]
fn many_nodes_are_told_by_what_speaks_against_them_and_a_misspelt_tag_by_its_neighbour() {
    let names: Vec<String> = (1..=9).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::of(&names);
    for (at, name) in names.iter().enumerate() {
        world.node(name).tags = vec![if at == 0 { "ssd" } else { "gpu" }.to_owned()];
    }
    let plan = world.plan(&ONE.replace("port 8080", "place { require tag=\"sdd\"; }"));
    let error = &plan.diagnostics[0];
    assert_eq!(
        error.message,
        "service `app` does not fit: no node can run it (9 nodes (n1, n2, n3, …): requires tag \
         `sdd`)"
    );
    let help = error.help.as_deref().unwrap();
    assert!(help.starts_with("no node has tag `sdd` (") && help.ends_with("did you mean `ssd`?"));
}
