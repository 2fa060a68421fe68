//! What goes wrong with machines rather than with services, on real hosts: a data directory that
//! was copied to a second one, a clock that is wrong, and units that are large.
//!
//! Knows only what a person sees. Nothing that runs is disturbed by any of it.

use std::{fs, path::PathBuf};

use devnet_tests::{
    bed::{self, Bed},
    oracles::{hold, records, scene::Scene, units},
    plane::{Ending, PATIENCE, Plane, all_healthy},
    process::succeed,
    repo::Repo,
    wait::until,
};
use serde_json::Value;

/// How many units there are, and how large the file of each is, in bytes.
const REPLICAS: usize = 40;
const FILE: usize = 249 << 10;

const CLUSTER: &str = r#"
cluster "bed" { sync auto=#true prune=#true self-heal=#true; }

service "many" {
    process "sleep" "99999"
    replicas REPLICAS
    file "large.txt" source="large.txt"
    resources cpu=0.001 memory="1MiB"
}
"#;

#[test]
fn a_copied_identity_and_a_wrong_clock_are_named_and_many_large_units_run_on() {
    if !bed::is_ready("copied, late and loaded machines") {
        return;
    }
    let bed = Bed::up(2, "10.78.0");
    let repo = Repo::new();
    let line = "a line of a file that is nearly as large as one may be\n";
    repo.write("large.txt", &line.repeat(FILE / line.len()));
    let text = CLUSTER.replace("REPLICAS", &REPLICAS.to_string());
    let commit = repo.commit("cluster.kdl", &text, "many that are large");
    let mut plane = Plane::start(&bed, &repo);
    plane.join(1);
    plane.await_applied(&commit);
    every_file_is_there(&plane, &line.repeat(FILE / line.len()));
    let before = Scene::of_processes("bed");

    a_copy_is_refused_while_the_first_answers(&bed, &mut plane);
    a_wrong_clock_is_named(&mut plane);

    plane.restart_agent(1, Ending::Asked);
    plane.await_status("the node as it was", |status| {
        all_healthy(status)?;
        let problem = problem(status);
        let told = problem.contains("clock");
        if online(status) && !told { Ok(()) } else { Err(status["nodes"].to_string()) }
    });
    let now = Scene::of_processes("bed");
    hold([
        units::undisturbed(&before, &now),
        units::at_most_one(&now),
        records::nothing_to_do(&plane.ok(&["plan", "--no-color"])),
    ]);
    assert!(!plane.logs().contains("larger than a frame"), "every message fits");
}

fn every_file_is_there(plane: &Plane<'_>, text: &str) {
    let files = (0..REPLICAS).map(|index| {
        let instance = format!("instances/many-{index}/work/large.txt");
        fs::read_to_string(plane.agent_dir(1).join(instance)).unwrap_or_default()
    });
    assert_eq!(files.filter(|file| file == text).count(), REPLICAS);
    let names: Vec<String> = (0..REPLICAS).map(|index| format!("bed/many-{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let scene = Scene::of_processes("bed");
    hold([units::exactly(&scene, &names), units::at_most_one(&scene)]);
}

fn problem(status: &Value) -> String {
    status["nodes"][0]["problem"].as_str().unwrap_or_default().to_owned()
}

fn online(status: &Value) -> bool {
    status["nodes"][0]["status"] == "online"
}

/// The beginning of a host's machine id, as messages show it.
fn machine(bed: &Bed, host: u32) -> String {
    succeed(bed.on(host, "cat").arg("/etc/machine-id"))[..12].to_owned()
}

fn a_copy_is_refused_while_the_first_answers(bed: &Bed, plane: &mut Plane<'_>) {
    succeed(
        std::process::Command::new("cp").arg("-a").arg(plane.agent_dir(1)).arg(plane.agent_dir(2)),
    );
    plane.run_agent(2);
    let (first, second) = (machine(bed, 1), machine(bed, 2));
    assert_ne!(first, second);
    let named = format!("machine {first} is connected, and machine {second} is refused");
    plane.await_status("both machines named", |status| {
        let problem = problem(status);
        let named = problem.contains("use the identity of n1") && problem.contains(&named);
        if named && online(status) { Ok(()) } else { Err(status["nodes"].to_string()) }
    });
    until("the second is told", PATIENCE, || {
        let said = plane.agent_log(2);
        if said.contains(&named) { Ok(()) } else { Err(said) }
    });
    plane.end_agent(2);
}

/// The library that gives one process another clock.
fn other_clock() -> PathBuf {
    let found = fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let paths = found.map(|dir| dir.path().join("faketime/libfaketimeMT.so.1"));
    paths
        .chain([PathBuf::from("/usr/lib/faketime/libfaketimeMT.so.1")])
        .find(|path| path.exists())
        .expect("libfaketime is installed: scripts/setup.sh test does it")
}

fn a_wrong_clock_is_named(plane: &mut Plane<'_>) {
    let preload = format!("LD_PRELOAD={}", other_clock().display());
    let with = |plane: &mut Plane<'_>, offset: &str| {
        let offset = format!("FAKETIME={offset}");
        plane.end_agent(1);
        // Timers go by the true clock.
        plane.run_agent_with(1, &[&preload, &offset, "FAKETIME_DONT_FAKE_MONOTONIC=1"]);
    };
    with(plane, "+630");
    plane.await_status("the clock that is ahead", |status| {
        let problem = problem(status);
        let named = problem.contains("its clock is 10 min") && problem.contains("ahead of");
        if named && online(status) { Ok(()) } else { Err(status["nodes"].to_string()) }
    });
    with(plane, "-3d");
    until("the agent's word of its clock", PATIENCE, || {
        let said = plane.agent_log(1);
        let named = said.contains("this machine's clock says") && said.contains("is behind");
        if named { Ok(()) } else { Err(said) }
    });
    plane.await_status("the node away", |status| {
        if online(status) { Err(status["nodes"].to_string()) } else { Ok(()) }
    });
}
