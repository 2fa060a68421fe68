//! The figures that the main job is held to: how soon a commit is planned, how long an empty plan
//! takes, and how much memory a control plane and idle agents need.
//!
//! `cargo build --release --bins && cargo bench --workspace --bench figures`
//!
//! Knows the programs from outside. Refuses to judge: it prints what it measured, beside what the
//! same machine needs to start a process that does nothing.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use devnet_tests::{
    fleet,
    process::{Background, binary, run, succeed},
    repo::Repo,
    wait::until,
};
use jiff::Timestamp;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const PLANS: usize = 30;
const COMMITS: usize = 20;
/// How long agents are left alone before their memory is read, and how often it is read.
const IDLE: Duration = Duration::from_secs(10);
const SAMPLES: usize = 5;

fn main() {
    // `cargo test --benches` passes other flags, and must not wait for this.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    empty_plan();
    control_plane();
}

/// Minimum, median and maximum of some figures, with a unit.
fn line(what: &str, unit: &str, mut figures: Vec<f64>) {
    figures.sort_by(f64::total_cmp);
    let (min, max) = (figures[0], figures[figures.len() - 1]);
    let median = figures[figures.len() / 2];
    let runs = figures.len();
    println!("{what:<44} {median:8.1} {unit} (min {min:.1}, max {max:.1}, {runs} runs)");
}

fn timed(command: &mut Command) -> f64 {
    let begun = Instant::now();
    let output = run(command);
    let taken = begun.elapsed().as_secs_f64() * 1e3;
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    taken
}

/// `devnet plan --fleet` of twenty services on five nodes, with nothing to do.
fn empty_plan() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut text = "cluster \"lab\" { }\n".to_owned();
    for number in 0..20 {
        let port = 8000 + number;
        text.push_str(&format!(
            "service \"s{number}\" {{\n    image \"nginx:1.22\"\n    replicas {}\n    \
             port 80 host={port}\n    env NUMBER=\"{number}\"\n    \
             resources cpu=0.2 memory=\"128MiB\"\n    health http=\"/\" port=80\n}}\n",
            number % 3 + 1
        ));
    }
    fs::write(dir.path().join("cluster.kdl"), text).expect("a file");
    let nodes: Vec<Value> = (1..=5)
        .map(|number| {
            serde_json::json!({
                "name": format!("n{number}"), "ip": format!("192.0.2.{number}"), "os": "linux",
                "arch": "x86_64", "cpu_count": 16, "total_memory_mb": 65536,
                "disks": [{"mount": "/", "total_mb": 512_000, "free_mb": 300_000}],
                "docker": {"version": "28.2.2", "available": true},
            })
        })
        .collect();
    let bare = serde_json::json!({"cluster": "lab", "nodes": nodes}).to_string();
    fs::write(dir.path().join("fleet.json"), &bare).expect("a file");
    let devnet = |args: &[&str]| {
        let mut command = Command::new(binary("devnet"));
        command.args(args).current_dir(dir.path());
        command
    };
    succeed(&mut devnet(&["plan", "--fleet", "fleet.json", "--out=first.plan"]));
    let after = fleet::after(&dir.path().join("first.plan"), &bare);
    fs::write(dir.path().join("fleet.json"), after).expect("a file");
    let all = ["plan", "--fleet", "fleet.json"];
    let said = succeed(&mut devnet(&all));
    assert!(said.contains("No changes."), "{said}");
    let (mut plans, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..PLANS {
        plans.push(timed(&mut devnet(&all)));
        floor.push(timed(&mut devnet(&["version"])));
    }
    line("devnet plan --fleet, 20 services, no change", "ms", plans);
    line("devnet version (the start of the process)", "ms", floor);
}

fn cluster(edit: usize) -> String {
    format!(
        "cluster \"lab\" {{ sync auto=#true prune=#true }}\nservice \"web\" {{\n    \
         process \"sleep\" \"100000\"\n    replicas 3\n    env EDIT=\"{edit}\"\n    \
         place {{ max-per-node 1 }}\n    resources cpu=0.1 memory=\"16MiB\"\n}}\n"
    )
}

fn control_plane() {
    let repo = Repo::new();
    let mut commit = repo.commit("cluster.kdl", &cluster(0), "begin");
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut serve = Command::new(binary("devnet"));
    serve.arg("dev").arg(repo.path()).args(["--nodes", "3", "--data-dir"]).arg(&data);
    let mut dev = Background::start(&mut serve, &dir.path().join("dev.log"));
    let ask = |args: &[&str]| -> Result<Value, String> {
        let mut command = Command::new(binary("devnet"));
        command.args(args).env("DEVNET_CONFIG", data.join("client.yaml"));
        let output = run(&mut command);
        serde_json::from_slice(&output.stdout)
            .map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let applied = |commit: &str| {
        until("the apply", PATIENCE, || {
            let status = ask(&["status", "--json"])?;
            let done = status["source"]["applied"] == commit;
            if done { Ok(()) } else { Err(status["source"].to_string()) }
        });
    };
    applied(&commit);

    thread::sleep(IDLE);
    let own = dev.id();
    let agents = children(own);
    assert_eq!(agents.len(), 3, "three agents: {agents:?}");
    let (mut plane, mut agent) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        plane.push(resident(own));
        agent.extend(agents.iter().map(|pid| resident(*pid)));
        thread::sleep(Duration::from_secs(1));
    }
    line("resident memory, control plane, 3 agents", "MiB", plane);
    line("resident memory, idle agent", "MiB", agent);

    let (mut noticed, mut planned) = (Vec::new(), Vec::new());
    for edit in 1..=COMMITS {
        commit = repo.commit("cluster.kdl", &cluster(edit), "edit");
        let committed = Timestamp::now();
        applied(&commit);
        let events = ask(&["get", "events", "--json"]).expect("events");
        let events = events["items"].as_array().or(events.as_array()).expect("a list").clone();
        let since = |kind: &str, word: &str| {
            let told = |event: &&Value| {
                event["kind"] == kind
                    && event["message"].as_str().is_some_and(|text| text.contains(word))
                    && format!("{}{}", event["subject"], event["message"]).contains(&commit[..12])
            };
            let event = events.iter().find(told).expect("an event of the commit");
            let at: Timestamp = event["at"].as_str().expect("a time").parse().expect("RFC 3339");
            (at.as_millisecond() - committed.as_millisecond()) as f64
        };
        noticed.push(since("commit", ""));
        planned.push(since("apply", "applying"));
    }
    line("git commit returned -> noticed, plan begins", "ms", noticed);
    line("git commit returned -> planned, apply begins", "ms", planned);
    dev.stop();
}

/// The processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let lists =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<u32> = lists
        .flat_map(|list| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
        .collect();
    pids
}

/// `VmRSS` in MiB.
fn resident(pid: u32) -> f64 {
    let path = Path::new("/proc").join(pid.to_string()).join("status");
    let text = fs::read_to_string(path).expect("the process runs");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024.0
}
