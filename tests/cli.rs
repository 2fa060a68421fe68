//! What scripts rely on: exit codes and the lines that they look for, without a control plane.
//!
//! Knows the real program and a recorded fleet. Refuses to look at colours and wording that no
//! document promises.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use devnet_tests::{
    fleet,
    process::{binary, both, run},
    tree,
};
use serde_json::Value;
use tempfile::TempDir;

const CLUSTER: &str = r#"
cluster "lab" { }
service "web" {
    image "nginx:1.22"
    replicas 2
    port 80 host=8080
    resources cpu=1 memory="64MiB"
}
"#;

const FLEET: &str = r#"{
  "cluster": "lab",
  "nodes": [
    {"name": "n1", "ip": "192.0.2.1", "os": "linux", "arch": "x86_64", "cpu_count": 4,
     "total_memory_mb": 4096, "disks": [{"mount": "/", "total_mb": 64000, "free_mb": 32000}],
     "docker": {"version": "28.2.2", "available": true}},
    {"name": "n2", "ip": "192.0.2.2", "os": "linux", "arch": "x86_64", "cpu_count": 4,
     "total_memory_mb": 4096, "disks": [{"mount": "/", "total_mb": 64000, "free_mb": 32000}],
     "docker": {"version": "28.2.2", "available": true}}
  ]
}"#;

const NO_CHANGES: &str = "No changes. Your infrastructure matches the configuration.";

/// A directory with a cluster file and a recorded fleet.
fn checkout(cluster: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("cluster.kdl"), cluster).expect("a file");
    fs::write(dir.path().join("fleet.json"), FLEET).expect("a file");
    dir
}

fn devnet(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(binary("devnet"));
    command.args(args).current_dir(dir).env_clear().env("HOME", dir);
    run(&mut command)
}

/// Runs it and compares the exit code; gives both streams.
fn exits(code: i32, dir: &Path, args: &[&str]) -> String {
    let output = devnet(dir, args);
    assert_eq!(output.status.code(), Some(code), "devnet {args:?}\n{}", both(&output));
    both(&output)
}

#[test]
fn a_plan_with_changes_tells_so_only_when_asked() {
    let dir = checkout(CLUSTER);
    let text = exits(0, dir.path(), &["plan", "--fleet", "fleet.json"]);
    assert!(text.contains("Plan: 2 to add, 0 to change, 0 to destroy."), "{text}");
    assert!(!text.contains(NO_CHANGES), "{text}");
    exits(2, dir.path(), &["plan", "-fleet=fleet.json", "-detailed-exitcode"]);
    exits(1, dir.path(), &["diff", "--fleet", "fleet.json"]);
}

#[test]
fn a_plan_that_changes_nothing_says_so() {
    let dir = checkout(CLUSTER);
    exits(0, dir.path(), &["plan", "--fleet", "fleet.json", "-out=first.plan"]);
    let fleet = fleet::after(&dir.path().join("first.plan"), FLEET);
    fs::write(dir.path().join("fleet.json"), fleet).expect("a file");
    let all = ["plan", "--fleet", "fleet.json", "-detailed-exitcode"];
    let text = exits(0, dir.path(), &all);
    assert!(text.contains(NO_CHANGES), "{text}");
    exits(0, dir.path(), &["diff", "--fleet", "fleet.json"]);
}

#[test]
fn what_does_not_fit_is_an_error_and_never_no_changes() {
    let dir = checkout(&CLUSTER.replace("replicas 2", "replicas 3"));
    let text = exits(1, dir.path(), &["plan", "--fleet", "fleet.json", "-detailed-exitcode"]);
    assert!(!text.contains(NO_CHANGES), "{text}");
    assert!(text.contains("web"), "{text}");
    let large = CLUSTER.replace("memory=\"64MiB\"", "memory=\"64GiB\"");
    fs::write(dir.path().join("cluster.kdl"), large).expect("a file");
    let text = exits(1, dir.path(), &["plan", "--fleet", "fleet.json"]);
    assert!(!text.contains(NO_CHANGES) && text.contains("memory"), "{text}");
    exits(2, dir.path(), &["diff", "--fleet", "fleet.json"]);
}

#[test]
fn bad_arguments_and_bad_files_have_the_codes_of_their_command() {
    let dir = checkout(CLUSTER);
    for (code, args) in [
        (1, ["plan", "--fleet", "no.json"].as_slice()),
        (1, &["plan", "--nonsense"]),
        (1, &["plan", "--fleet", "fleet.json", "--rev", "HEAD"]),
        (2, &["diff", "--fleet", "no.json"]),
        (2, &["diff", "--nonsense"]),
        (1, &["logs", "diff", "--nonsense"]),
        (1, &["status"]),
        (0, &["validate"]),
        (0, &["--help"]),
    ] {
        exits(code, dir.path(), args);
    }
    fs::write(dir.path().join("cluster.kdl"), "cluster \"lab\" {").expect("a file");
    for (code, args) in [
        (1, ["validate"].as_slice()),
        (1, &["plan", "--fleet", "fleet.json"]),
        (2, &["diff", "--fleet", "fleet.json"]),
    ] {
        let text = exits(code, dir.path(), args);
        assert!(text.contains("cluster.kdl:1:"), "{args:?}: {text}");
    }
}

/// The example of four machines.
fn homelab() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let example = tree::root().join("examples").join("homelab");
    for name in ["cluster.kdl", "fleet.json"] {
        fs::copy(example.join(name), dir.path().join(name)).expect("the example has it");
    }
    dir
}

#[test]
fn a_script_that_asked_for_json_gets_it_though_there_is_nothing_to_check() {
    let dir = checkout(CLUSTER);
    for args in [&["-f", "nope.kdl"][..], &["-var", "x"], &["-var-file", "nope.yaml"]] {
        let args: Vec<&str> = ["validate", "-json"].iter().chain(args).copied().collect();
        let output = devnet(dir.path(), &args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&said["valid"], &said["error_count"]), (&false.into(), &1.into()), "{said}");
    }
}

#[test]
fn a_placement_is_explained_for_every_node() {
    let dir = homelab();
    let text = exits(0, dir.path(), &["explain", "db", "--fleet", "fleet.json"]);
    let drop = "drop `require tag=ssd` at cluster.kdl:19:13";
    for word in ["db[0] on atlas", "nuc1", "nuc2", "forge", drop] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let args = ["explain", "web", "--node", "forge", "--fleet", "fleet.json", "--json"];
    let output = devnet(dir.path(), &args);
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let nodes = document["nodes"].as_array().expect("nodes");
    assert_eq!((nodes.len(), &nodes[0]["node"]), (1, &Value::from("forge")));
    assert_eq!(nodes[0]["violations"][0]["constraint"], "tag", "{document:#}");
    let text = exits(1, dir.path(), &["explain", "dbb", "--fleet", "fleet.json"]);
    assert!(text.contains("did you mean `db`?"), "{text}");
}

/// All of `web` runs on n1; n2 joined later.
fn uneven() -> TempDir {
    let dir = checkout(&CLUSTER.replace("host=8080", "").replace("replicas 2", "replicas 4"));
    let both: Value = serde_json::from_str(FLEET).expect("JSON");
    let mut first = both.clone();
    first["nodes"].as_array_mut().expect("nodes").truncate(1);
    fs::write(dir.path().join("fleet.json"), first.to_string()).expect("a file");
    exits(0, dir.path(), &["plan", "--fleet", "fleet.json", "-out=first.plan"]);
    let fleet = fleet::after(&dir.path().join("first.plan"), FLEET);
    fs::write(dir.path().join("fleet.json"), fleet).expect("a file");
    dir
}

#[test]
fn moves_towards_balance_are_shown_with_their_gain_and_end() {
    let dir = uneven();
    let plain = exits(0, dir.path(), &["plan", "--fleet", "fleet.json"]);
    assert!(plain.contains(NO_CHANGES), "{plain}");
    let rebalance = ["rebalance", "--fleet", "fleet.json", "-out=moves.plan"];
    let text = exits(0, dir.path(), &rebalance);
    for said in ["> service.web[3]  n1 -> n2  gain 0.", "Total: 2 moves, gain", "devnet apply"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(text.contains("Placement: 2 to move, 0 unplaced"), "{text}");
    let one = ["rebalance", "--fleet", "fleet.json", "--max-moves", "1", "-json"];
    let output = devnet(dir.path(), &one);
    let lines = String::from_utf8(output.stdout).expect("text");
    let lines = lines.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let placement = lines.into_iter().find(|line: &Value| line["type"] == "placement");
    let gains = placement.expect("a line of it")["placement"]["gains"].clone();
    assert_eq!(gains.as_array().map(Vec::len), Some(1), "{gains}");
    assert_eq!((&gains[0]["from"], &gains[0]["to"]), (&"n1".into(), &"n2".into()), "{gains}");
    let shown = exits(0, dir.path(), &["show", "moves.plan"]);
    assert!(shown.contains("Total: 2 moves, gain"), "{shown}");

    let recorded = fs::read_to_string(dir.path().join("fleet.json")).expect("a file");
    let fleet = fleet::after(&dir.path().join("moves.plan"), &recorded);
    fs::write(dir.path().join("fleet.json"), fleet).expect("a file");
    let after = exits(0, dir.path(), &["plan", "--fleet", "fleet.json", "-detailed-exitcode"]);
    assert!(after.contains(NO_CHANGES), "{after}");
    let again = exits(0, dir.path(), &rebalance);
    assert!(again.contains("Nothing is gained") && again.contains(NO_CHANGES), "{again}");
    for (args, said) in [
        (["--max-moves", "0"].as_slice(), "--max-moves"),
        (&["--max-moves", "1001"], "--max-moves"),
        (&["-destroy"], "nothing to balance"),
        (&["--refresh-only"], "nothing to balance"),
    ] {
        let args: Vec<&str> = rebalance.iter().chain(args).copied().collect();
        let text = exits(1, dir.path(), &args);
        assert!(text.contains(said), "{args:?}: {text}");
    }
}

#[test]
fn a_limit_of_time_is_said_and_a_bad_one_refused() {
    let dir = homelab();
    let (free, limited) = (["-out=free.plan"], ["-out=limited.plan", "--solve-limit=600"]);
    let plan = |more: &[&'static str]| {
        let args = ["plan", "--fleet", "fleet.json"].iter().chain(more).copied();
        exits(0, dir.path(), &args.collect::<Vec<_>>())
    };
    assert!(!plan(&free).contains("Solve limit"));
    let text = plan(&limited);
    assert!(text.contains("Solve limit: 600s, not reached."), "{text}");
    let id = |name: &str| {
        let output = devnet(dir.path(), &["show", "-json", name]);
        let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
        document["id"].clone()
    };
    assert_eq!(id("free.plan"), id("limited.plan"));
    for command in [
        ["explain", "db", "--fleet=fleet.json"].as_slice(),
        &["whatif", "--drain=nuc1", "--fleet=fleet.json"],
        &["whatif", "--survive=1", "--fleet=fleet.json"],
        &["rebalance", "--fleet=fleet.json"],
    ] {
        let args: Vec<&str> = command.iter().chain(&["--solve-limit=0.001"]).copied().collect();
        let output = devnet(dir.path(), &args);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{args:?}: {}", both(&output));
    }
    let told = ["explain", "db", "--fleet=fleet.json", "--solve-limit=600"];
    let text = exits(0, dir.path(), &told);
    assert!(text.contains("\nSolve limit: 600s, not reached.\n"), "{text}");
    for bad in ["0", "-1", "0.000001", "3601", "soon"] {
        let limit = format!("--solve-limit={bad}");
        let text = exits(1, dir.path(), &["plan", "--fleet", "fleet.json", &limit]);
        assert!(text.contains("a number of seconds"), "{text}");
    }
    let args = ["apply", "free.plan", "--solve-limit=2", "--addr=https://192.0.2.1:1"];
    assert!(exits(1, dir.path(), &args).contains("applied as it is"));
}

/// The line of a JSON stream that tells of placement.
fn placement(dir: &Path, args: &[&str]) -> Value {
    let output = devnet(dir, args);
    let lines = String::from_utf8(output.stdout).expect("text");
    let mut lines = lines.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let found = lines.find(|line: &Value| line["type"] == "placement").expect("a line of it");
    found["placement"].clone()
}

/// A checkout whose first plan was made so.
fn settled(cluster: &str) -> TempDir {
    let dir = checkout(cluster);
    exits(0, dir.path(), &["plan", "--fleet", "fleet.json", "-out=first.plan"]);
    let fleet = fleet::after(&dir.path().join("first.plan"), FLEET);
    fs::write(dir.path().join("fleet.json"), fleet).expect("a file");
    dir
}

#[test]
fn every_level_of_a_placement_is_told_with_its_proof() {
    let big = "service \"big\" {\n    image \"big:1\"\n    priority 90\n    \
               resources cpu=4 memory=\"1GiB\"\n    place { pin \"n1\" }\n}\n";
    let web = CLUSTER.replace("host=8080", "");
    let dir = settled(&web);
    fs::write(dir.path().join("cluster.kdl"), format!("{web}{big}")).expect("a file");
    let plan = ["plan", "--fleet", "fleet.json"];
    let text = exits(0, dir.path(), &plan);
    for said in [
        "(because it makes room for service.big[0])\n",
        "(because it is new; pinned to n1)\n",
        "Placement: 1 to move, 0 unplaced, cost ",
        "\n  priority 90  1 of 1 placed (proven)\n  priority 50  2 of 2 placed (proven)\n",
        "\n  moves        1 (proven least)\n  score        ",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let markdown = exits(0, dir.path(), &[&plan[..], &["-format=markdown"]].concat());
    assert!(markdown.contains("\n- priority 90: 1 of 1 placed (proven)\n"), "{markdown}");
    let told = placement(dir.path(), &[&plan[..], &["-json"]].concat());
    assert_eq!(
        (&told["moves"], &told["evicted"], &told["moves_proven"]),
        (&1.into(), &0.into(), &true.into())
    );
    assert_eq!(told["levels"][1]["wanted"], 2, "{told:#}");
}

/// All of `web` goes to the other node: lost then, it would take `web` with it.
#[test]
fn what_is_lost_is_lost_once_the_plan_is_done() {
    let web = CLUSTER.replace("host=8080", "");
    let dir = settled(&web);
    let args = ["whatif", "--drain=n1", "--survive=1", "--fleet=fleet.json"];
    let text = exits(1, dir.path(), &args);
    assert!(text.contains("  n1 lost: nothing runs there\n"), "{text}");
    assert!(text.contains("  n2 lost: web[0], web[1] would not run\n"), "{text}");
}

#[test]
fn a_lost_node_tells_of_its_data_and_moves_are_the_same_everywhere() {
    let db = "service \"db\" {\n    image \"db:1\"\n    volume \"data\" at=\"/d\"\n    \
              resources cpu=3 memory=\"1GiB\"\n    place { pin \"n1\" }\n}\n";
    let web = CLUSTER.replace("host=8080", "").replace("replicas 2", "replicas 5");
    let dir = settled(&format!("{web}{db}"));
    let lost = ["whatif", "--without", "n1", "--fleet", "fleet.json", "-allow-unplaced"];
    let text = exits(0, dir.path(), &lost);
    assert!(text.contains("DN-W0603") && text.contains("db[0] waits for n1"), "{text}");
    let lost_each = exits(1, dir.path(), &["whatif", "--survive=1", "--fleet", "fleet.json"]);
    assert!(lost_each.contains("  n1 lost: db[0]"), "{lost_each}");
    assert_eq!(lost_each.matches("; data of db[0] is there").count(), 1, "{lost_each}");
    let without = exits(1, dir.path(), &lost[..lost.len() - 1]);
    assert!(without.contains("Warning DN-W0601"), "the plan of the rest is shown: {without}");
    let told = placement(dir.path(), &[&lost[..], &["-json"]].concat());
    let (moves, evicted) = (&told["moves"], &told["evicted"]);
    // What ran on the lost node stopped with it: no plan evicts it.
    assert_eq!((moves, evicted, &told["unplaced"]), (&0.into(), &0.into(), &1.into()), "{told:#}");
    assert_eq!(told["levels"][0]["waiting_for_data"], 1, "{told:#}");
    assert!(text.contains("Placement: 0 to move, 1 unplaced"), "{text}");
    assert!(text.contains(", 1 waits for its data\n"), "{text}");
    assert!(text.contains("  moves        0 (proven least)\n"), "{text}");
}

#[test]
fn under_pack_a_rebalance_speaks_of_nodes_in_use() {
    let web = CLUSTER
        .replace("host=8080", "")
        .replace("replicas 2", "replicas 2\n    place { max-per-node 1 }");
    let dir = settled(&web);
    let packed = web
        .replace("    place { max-per-node 1 }\n", "")
        .replace("cluster \"lab\" { }", "cluster \"lab\" { placement \"pack\"; }");
    fs::write(dir.path().join("cluster.kdl"), packed).expect("a file");
    let rebalance = ["rebalance", "--fleet", "fleet.json", "-out=moves.plan"];
    let text = exits(0, dir.path(), &rebalance);
    assert!(
        text.contains("Moves that leave fewer nodes in use") && !text.contains("even"),
        "{text}"
    );
    assert!(text.contains("  moves        1, asked for (none is needed)\n"), "{text}");
    let recorded = fs::read_to_string(dir.path().join("fleet.json")).expect("a file");
    let fleet = fleet::after(&dir.path().join("moves.plan"), &recorded);
    fs::write(dir.path().join("fleet.json"), fleet).expect("a file");
    let text = exits(0, dir.path(), &rebalance);
    assert!(text.contains("leave no node unused") && !text.contains("even"), "{text}");
}

#[test]
fn what_has_not_happened_is_planned_and_never_saved() {
    let dir = homelab();
    let with = |args: &[&'static str]| {
        ["whatif", "--fleet", "fleet.json"]
            .into_iter()
            .chain(args.iter().copied())
            .collect::<Vec<_>>()
    };
    let text = exits(0, dir.path(), &with(&["--scale", "cache=2"]));
    assert!(text.contains("What if cache has 2 replicas?") && text.contains("cache[1]"), "{text}");
    let text = exits(1, dir.path(), &with(&["--scale", "llm=2"]));
    assert!(text.contains("llm") && text.contains("add one node"), "{text}");
    let node = "cpu=24 memory=128GiB gpu=1x24GiB model=RTX_4090 name=forge2";
    let text = exits(0, dir.path(), &with(&["--scale", "llm=2", "--with-node", node]));
    assert!(text.contains("on forge2"), "{text}");
    let text = exits(1, dir.path(), &with(&["--without", "forge"]));
    assert!(text.contains("llm"), "{text}");
    let text = exits(1, dir.path(), &with(&["--survive", "1"]));
    assert!(text.contains("forge lost: llm[0] would not run"), "{text}");
    for (args, said) in [
        (vec![], "nothing is supposed"),
        (vec!["--drain", "atlass"], "did you mean `atlas`?"),
        (vec!["--scale", "web"], "SERVICE=REPLICAS"),
        (vec!["--scale", "web=2", "--scale", "web=3"], "`web` is scaled twice"),
        (vec!["--with-node", "cpu=1"], "needs cpu= and memory="),
        (vec!["--scale", "web=4", "--out", "x"], "--out"),
    ] {
        let text = exits(1, dir.path(), &with(&args));
        assert!(text.contains(said), "{args:?}: {text}");
    }
}

/// Contexts are files of one's own, and what set each value is told without the key.
#[test]
fn which_control_plane_is_spoken_to_is_chosen_by_name_and_told() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("client.yaml");
    fs::write(&file, "addr: https://lab:7443\ntoken: dnk_ab12_verysecret\nca: PEM\n")
        .expect("a file");
    let refused = exits(1, home.path(), &["context", "add", "lab", "client.yaml"]);
    assert!(refused.contains("chmod 600"), "others may read it: {refused}");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&file, private).expect("permissions");
    exits(0, home.path(), &["context", "add", "lab", "client.yaml"]);
    exits(1, home.path(), &["context", "add", "lab", "client.yaml"]);
    let unknown = exits(1, home.path(), &["context", "use", "work"]);
    assert!(unknown.contains("Contexts: lab"), "{unknown}");
    exits(0, home.path(), &["context", "use", "lab"]);
    let listed = exits(0, home.path(), &["context", "list"]);
    assert!(listed.contains("*  lab") && listed.contains("https://lab:7443"), "{listed}");
    let shown = exits(0, home.path(), &["config", "show", "--addr", "https://other:1"]);
    for part in ["https://other:1", "--addr", "dnk_ab12_…", "devnet context use"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("verysecret"), "{shown}");
}

#[test]
fn what_other_programs_call_otherwise_is_answered_with_what_to_use() {
    let dir = checkout(CLUSTER);
    for (args, part) in [
        (&["state", "list"][..], "devnet get instances"),
        (&["ps"], "devnet get instances"),
        (&["plan", "-refresh=false", "--fleet", "fleet.json"], "leave -refresh out"),
        (&["apply", "-auto-aprove"], "--auto-approve"),
    ] {
        let text = exits(1, dir.path(), args);
        assert!(text.contains(part), "{args:?}: {text}");
    }
    assert!(exits(0, dir.path(), &["help", "plan"]).contains("-out"));
}
