//! A bad version over several replicas, on both drivers: it takes one of them; the fix goes out.
//!
//! Knows only what the API tells of each instance. Each fault is tried once; in `make soak` over 2
//! to 5 replicas, and until nothing more is tried.

use devnet_tests::{
    bed::{self, Bed},
    oracles::{
        hold,
        records::{self, Monotone},
        scene::Scene,
        units,
    },
    plane::{PATIENCE, Plane},
    repo::Repo,
    soak,
    wait::until,
};
use serde_json::Value;

/// How a bad version fails.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Its health check never succeeds.
    Unhealthy,
    /// It ends by itself.
    Exits,
    /// There is no such program or image.
    Missing,
}

/// What the status says once nothing more is tried.
const EVERY_TRY: &str = "5 times";
const SERVICES: [&str; 2] = ["proc", "cont"];

/// Both services at a version; a fault makes it a bad one.
fn cluster(version: u32, replicas: u32, fault: Option<Fault>) -> String {
    let command = match fault {
        Some(Fault::Exits) => "\"sh\" \"-c\" \"exit 3\"",
        Some(Fault::Missing) => "\"/no/such/program\"",
        Some(Fault::Unhealthy) | None => "\"sleep\" \"99999\"",
    };
    let image = if matches!(fault, Some(Fault::Missing)) { "nosuch:1" } else { "nginx:1.22" };
    let probe = if matches!(fault, Some(Fault::Unhealthy)) { "false" } else { "true" };
    let common = format!(
        "replicas {replicas}\n    stop grace=\"1s\"\n    env V=\"{version}\"\n    \
         health exec=\"{probe}\" interval=\"1s\" retries=2\n    update timeout=\"60s\"\n    \
         resources cpu=0.05 memory=\"16MiB\""
    );
    format!(
        "cluster \"bed\" {{ sync auto=#true prune=#true interval=\"5s\"; }}\n\
         service \"proc\" {{\n    process {command}\n    {common}\n}}\n\
         service \"cont\" {{\n    image \"{image}\"\n    command {command}\n    {common}\n}}\n"
    )
}

/// Generation, digest and health of an instance.
fn seen(plane: &Plane<'_>, id: &str) -> (u64, String, String) {
    // One that is being made again is nowhere until its node has said that it is there.
    let body = until("the instance is there", PATIENCE, || {
        match plane.api("GET", &format!("/api/v1/instances/{id}"), "") {
            (200, body) => Ok(body),
            (status, body) => Err(format!("{id}: {status} {body}")),
        }
    });
    let seen: Value = serde_json::from_str(&body).unwrap();
    let text = |field: &str| seen[field].as_str().unwrap_or_default().to_owned();
    (seen["generation"].as_u64().unwrap(), text("digest"), text("health"))
}

fn all(plane: &Plane<'_>, replicas: u32) -> Vec<(String, (u64, String, String))> {
    let ids = SERVICES.iter().flat_map(|name| (0..replicas).map(move |at| format!("{name}-{at}")));
    ids.map(|id| (id.clone(), seen(plane, &id))).collect()
}

/// What is really there.
fn scene(bed: &Bed) -> Scene {
    Scene::of_engine("n1", |program, args| bed.ask(1, program, args))
        .and(Scene::of_processes("bed"))
}

/// A good version runs on every replica, once, and nothing else does.
fn serves(bed: &Bed, plane: &Plane<'_>, replicas: u32, numbers: &mut Monotone) {
    let names = SERVICES.iter().flat_map(|name| (0..replicas).map(move |at| (name, at)));
    let names: Vec<String> = names.map(|(name, at)| format!("bed/{name}-{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let now = scene(bed);
    hold([
        units::exactly(&now, &names),
        units::at_most_one(&now),
        numbers.units(&now),
        records::nothing_to_do(&plane.ok(&["plan", "--no-color"])),
    ]);
}

/// One bad version after a good one, and the fix. Gives how many that were well were lost beyond
/// the first of each service.
fn roll(
    (plane, repo): (&Plane<'_>, &Repo),
    version: u32,
    replicas: u32,
    fault: Fault,
    tries: &str,
) -> usize {
    let good = repo.commit("cluster.kdl", &cluster(version, replicas, None), "good");
    plane.await_applied(&good);
    let before = all(plane, replicas);
    assert!(before.iter().all(|(_, (_, _, health))| health == "healthy"), "{before:?}");
    repo.commit("cluster.kdl", &cluster(version + 1, replicas, Some(fault)), "bad");
    until("both services failed", PATIENCE, || {
        let status = plane.status()?;
        let problem = status["source"]["problem"].as_str().unwrap_or_default().to_owned();
        // What ends by itself is started again by its agent, and so not tried by the loop.
        let once = matches!(fault, Fault::Exits) || tries != EVERY_TRY;
        let held =
            |name: &str| once && problem.contains(&format!("until {name}[0] serves as declared"));
        let told = |name: &&str| problem.contains(&format!("{name} failed {tries}")) || held(name);
        if SERVICES.iter().all(told) { Ok(()) } else { Err(problem) }
    });
    let after = all(plane, replicas);
    let lost =
        before.iter().zip(&after).filter(|((id, old), (_, new))| old != new && !id.ends_with("-0"));
    let lost = lost.map(|((id, old), (_, new))| format!("{id}: {old:?} became {new:?}"));
    let lost: Vec<String> = lost.collect();
    assert!(lost.is_empty(), "{fault:?}, {replicas} replicas: {lost:#?}");
    let status = plane.status().expect("the status");
    assert_eq!(status["source"]["applied"], *good, "a bad version is not applied");
    let fix = repo.commit("cluster.kdl", &cluster(version + 2, replicas, None), "fix");
    plane.await_applied(&fix);
    lost.len()
}

#[test]
fn soak_a_bad_version_stops_at_its_first_replica_on_both_drivers() {
    if !bed::is_ready("a bad version over several replicas") {
        return;
    }
    let bed = Bed::up(1, "10.79.0");
    let repo = Repo::new();
    repo.commit("README.md", "a cluster\n", "begin");
    let mut plane = Plane::start(&bed, &repo);
    plane.join(1);
    // Each of the faults over 2, 3 and 5 replicas, or over 2 to 5 of all faults and every try.
    let versions = soak::times(3, 12);
    let tries = if versions > 3 { EVERY_TRY } else { "2 of 5 times" };
    let (mut rolled, mut lost, mut numbers) = (0, 0, Monotone::default());
    let quick = [(2, Fault::Exits), (3, Fault::Unhealthy), (5, Fault::Missing)];
    let faults = [Fault::Unhealthy, Fault::Exits, Fault::Missing];
    let all = (2..=5).flat_map(|replicas| faults.map(|fault| (replicas, fault)));
    let rounds: Vec<(u32, Fault)> = if versions > 3 { all.collect() } else { quick.to_vec() };
    for (at, &(replicas, fault)) in (0..versions).zip(rounds.iter().cycle()) {
        lost += roll((&plane, &repo), 3 * at, replicas, fault, tries);
        serves(&bed, &plane, replicas, &mut numbers);
        rolled += SERVICES.len();
    }
    hold([records::no_gaps(&plane.events())]);
    println!("bad versions rolled on both drivers: {rolled}; healthy instances lost: {lost}");
}
