//! An agent that is stopped and killed again and again beside a real container engine: whatever it
//! ran before runs on, the same processes and the same containers, each of them once.
//!
//! Knows processes by their command lines, as the machine lists them, and containers by what the
//! engine lists. Refuses to ask devnet whether something runs twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use devnet_tests::{
    bed::{self, Bed},
    oracles::{
        hold,
        records::{self, Monotone},
        scene::Scene,
        units,
    },
    plane::{Ending, PATIENCE, Plane, all_healthy},
    repo::Repo,
    soak,
    wait::until,
};

/// Command lines that nothing else on this machine has: of three processes, and of the daemon that
/// each of them starts in a session of its own.
const MARKS: [&str; 2] = ["7770001", "7770002"];

/// Every instance; those of the worker first.
const ALL: [&str; 5] = ["bed/worker-0", "bed/worker-1", "bed/worker-2", "bed/web-0", "bed/cache-0"];

const CLUSTER: &str = r#"
cluster "bed" {
    sync auto=#true prune=#true self-heal=#true
}

service "worker" {
    process "/bin/sh" "-c" "setsid sleep 7770002 & exec sleep 7770001"
    replicas 3
    volume "data" at="data"
    resources cpu=0.01 memory="8MiB"
}

service "web" {
    image "nginx:1.22"
    port 80 host=8080
    resources cpu=0.01 memory="32MiB"
    health http="/" port=80 interval="1s" retries=10
}

service "cache" {
    image "redis:7"
    volume "data" at="/data"
    resources cpu=0.01 memory="32MiB"
}
"#;

#[test]
fn soak_an_agent_that_is_restarted_again_and_again_runs_nothing_twice() {
    if !bed::is_ready("the restarts of an agent") {
        return;
    }
    let rounds = soak::times(20, 200);
    let bed = Bed::up(1, "10.78.0");
    let repo = Repo::new();
    let commit = repo.commit("cluster.kdl", CLUSTER, "processes and containers");
    let mut plane = Plane::start(&bed, &repo);
    plane.join(1);
    plane.await_applied(&commit);
    until("everything runs", PATIENCE, || {
        match processes().values().map(BTreeSet::len).eq([3, 3]) {
            true => Ok(()),
            false => Err(format!("{:?}", processes())),
        }
    });
    let scene = || {
        Scene::of_engine("n1", |program, args| bed.ask(1, program, args))
            .and(Scene::of_processes("bed"))
    };
    let mut numbers = Monotone::default();
    let (before, containers, whole) = (processes(), containers_of(&bed), scene());
    assert_eq!(containers.len(), 2, "{containers:?}");
    for round in 1..=rounds {
        let ending = if round % 2 == 0 { Ending::Killed } else { Ending::Asked };
        plane.restart_agent(1, ending);
        let seen = format!("everything seen again after restart {round} ({ending:?})");
        plane.await_status(&seen, |status| {
            // Whenever it is looked at, nothing is there twice and nothing is gone.
            assert_eq!(processes(), before, "restart {round} ({ending:?})");
            let online = status["nodes"][0]["status"] == "online";
            all_healthy(status)?;
            if online { Ok(()) } else { Err(status["nodes"].to_string()) }
        });
        assert_eq!(containers_of(&bed), containers, "restart {round} ({ending:?})");
        let now = scene();
        hold([
            units::exactly(&now, &ALL),
            units::at_most_one(&now),
            units::undisturbed(&whole, &now),
            units::volumes_kept(&whole, &now),
            numbers.units(&now),
        ]);
    }
    hold([
        records::converged(&plane.status().expect("the status"), &commit),
        records::nothing_to_do(&plane.ok(&["plan", "--no-color"])),
        records::no_gaps(&plane.events()),
    ]);
    println!("{rounds} restarts of the agent, half of them kill -9; no second copy, none lost");
    let less = CLUSTER.find("service \"worker\"").zip(CLUSTER.find("service \"web\""));
    let (from, to) = less.expect("the worker stands before the web");
    let rest = format!("{}{}", &CLUSTER[..from], &CLUSTER[to..]);
    plane.await_applied(&repo.commit("cluster.kdl", &rest, "without the worker"));
    until("the end of every process of it", PATIENCE, || {
        match processes().values().all(BTreeSet::is_empty) {
            true => Ok(()),
            false => Err(format!("{:?}", processes())),
        }
    });
    assert_eq!(containers_of(&bed), containers, "nothing else was touched");
    let now = scene();
    hold([units::exactly(&now, &ALL[3..]), units::volumes_kept(&whole, &now), numbers.units(&now)]);
}

/// The process ids with each mark.
fn processes() -> BTreeMap<&'static str, BTreeSet<u32>> {
    let mut found: BTreeMap<&'static str, BTreeSet<u32>> =
        MARKS.iter().map(|mark| (*mark, BTreeSet::new())).collect();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        for mark in MARKS {
            if line == format!("sleep\0{mark}\0").as_bytes() {
                found.entry(mark).or_default().insert(pid);
            }
        }
    }
    found
}

/// Name and id of every container, also of those that do not run.
fn containers_of(bed: &Bed) -> BTreeSet<String> {
    let list = bed.docker(1, &["ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.ID}}"]);
    list.lines().map(str::to_owned).collect()
}
