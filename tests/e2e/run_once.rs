//! What runs once, on both drivers: waited for, done with 0, run again only when it changes.
//!
//! Knows the API and what each run wrote into a volume's directory or its log. Refuses to look into
//! records.

use devnet_tests::{
    bed::{self, Bed},
    oracles::{hold, records},
    plane::{PATIENCE, Plane},
    repo::Repo,
    wait::until,
};
use serde_json::Value;

/// Two jobs, one of each driver, and a service that waits for both.
fn cluster(version: u32, code: u32) -> String {
    let script = format!("echo ran version {version}; exit {code}");
    let common = "run-once\n    stop grace=\"1s\"\n    resources cpu=0.05 memory=\"16MiB\"";
    format!(
        "cluster \"bed\" {{ sync auto=#true prune=#true interval=\"5s\"; }}\n\
         service \"proc\" {{\n    process \"sh\" \"-c\" \"{script}\"\n    {common}\n}}\n\
         service \"cont\" {{\n    image \"nginx:1.22\"\n    command \"sh\" \"-c\" \"{script}\"\n\
         {common}\n}}\n\
         service \"user\" {{\n    process \"sleep\" \"99999\"\n    depends-on \"proc\" \"cont\"\n\
         stop grace=\"1s\"\n    resources cpu=0.05 memory=\"16MiB\"\n}}\n"
    )
}

fn seen(plane: &Plane<'_>, id: &str) -> Option<(String, String, String)> {
    let (status, body) = plane.api("GET", &format!("/api/v1/instances/{id}"), "");
    let seen: Value = serde_json::from_str(&body).ok().filter(|_| status == 200)?;
    let text = |field: &str| seen[field].as_str().unwrap_or_default().to_owned();
    Some((text("state"), text("health"), text("message")))
}

/// How often a job of a version wrote its line.
fn runs(plane: &Plane<'_>, name: &str, version: u32) -> usize {
    let log = plane.ok(&["logs", "-n", "1000", &format!("{name}[0]")]);
    log.lines().filter(|line| line.contains(&format!("ran version {version}"))).count()
}

#[test]
fn what_runs_once_is_waited_for_and_not_run_again() {
    if !bed::is_ready("what runs once") {
        return;
    }
    let bed = Bed::up(1, "10.79.0");
    let repo = Repo::new();
    let first = repo.commit("cluster.kdl", &cluster(1, 0), "begin");
    let mut plane = Plane::start(&bed, &repo);
    plane.join(1);
    plane.await_applied(&first);
    for name in ["proc", "cont"] {
        let (state, health, message) = seen(&plane, &format!("{name}-0")).expect("it is listed");
        assert_eq!((&*state, &*health), ("completed", "healthy"), "{name}: {message}");
        assert_eq!(runs(&plane, name, 1), 1, "{name}");
    }
    assert_eq!(seen(&plane, "user-0").expect("it runs").0, "running");
    hold([records::nothing_to_do(&plane.ok(&["plan", "--no-color"]))]);
    assert!(plane.ok(&["status", "--no-color"]).contains("completed"));
    // A version that fails is named with its code, and is not taken for applied.
    repo.commit("cluster.kdl", &cluster(2, 3), "bad");
    until("the failure is told", PATIENCE, || {
        let status = plane.status()?;
        let problem = status["source"]["problem"].as_str().unwrap_or_default().to_owned();
        let told = ["proc", "cont"].iter().all(|name| problem.contains(&format!("{name} failed")));
        if told { Ok(()) } else { Err(problem) }
    });
    for name in ["proc-0", "cont-0"] {
        until("its end is told", PATIENCE, || match seen(&plane, name) {
            Some((state, _, message)) if state == "exited" && message.contains("code 3") => Ok(()),
            other => Err(format!("{name}: {other:?}")),
        });
    }
    assert_eq!(plane.status().expect("the status")["source"]["applied"], *first);
    let fix = repo.commit("cluster.kdl", &cluster(3, 0), "fix");
    plane.await_applied(&fix);
    for name in ["proc", "cont"] {
        assert_eq!(seen(&plane, &format!("{name}-0")).expect("it is listed").0, "completed");
        assert_eq!(runs(&plane, name, 3), 1, "{name}");
    }
    hold([
        records::nothing_to_do(&plane.ok(&["plan", "--no-color"])),
        records::no_gaps(&plane.events()),
    ]);
}
