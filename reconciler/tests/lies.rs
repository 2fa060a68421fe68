//! A node with a good certificate that says whatever it likes, against the loop.
//!
//! `DEVNET_SOAK` says how many reports it makes, as in `make soak`. Knows what must hold in spite
//! of them: nothing of another node comes to it, nothing is done to what others run, and nobody is
//! told another address.

mod harness;
#[path = "lies/lines.rs"]
mod lines;

use devnet_reconciler::api::InstanceRow;
use devnet_schema::{
    digest::Digest,
    fleet::NodeFacts,
    instance::{InstanceSpec, Runtime},
    name::InstanceId,
    observed::{HealthState, HeldVolume, InstanceState, ObservedInstance, ObservedNode},
    step::{StepReport, StepState},
    wire::{AgentMessage, OrderMark},
};
use harness::{Agent, Plane, Repository, config, until};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::Value;

const CLUSTER: &str = r#"
cluster "lab" {
    sync auto=#true prune=#true self-heal=#true
}
service "db" {
    process "db"
    volume "data" at="data"
    port 5432
    env PASSWORD="{{ secret.pw }}"
    resources cpu=0.5 memory="64MiB"
}
service "api" {
    process "api"
    depends-on "db"
    env DB="{{ service.db.address }}" OWN="{{ service.own.address }}"
    resources cpu=0.5 memory="64MiB"
    place { pin "n1" }
}
service "own" {
    process "own"
    port 7000
    resources cpu=0.5 memory="64MiB"
    place { pin "evil" }
}
"#;

/// What it may say of one instance.
#[derive(Debug, Clone)]
struct Said {
    of: usize,
    generation: u64,
    state: InstanceState,
    health: HealthState,
    digest: Option<u8>,
    port: u16,
    bind: &'static str,
    spec: bool,
    message: Option<String>,
}

const IDS: [&str; 6] = ["db[0]", "db[1]", "api[0]", "own[0]", "own[1]", "nobody[0]"];

fn said() -> impl Strategy<Value = Said> {
    let generation = prop_oneof![0u64..9, any::<u64>(), Just(u64::MAX), Just(i64::MAX as u64)];
    let state = prop_oneof![
        Just(InstanceState::Running),
        Just(InstanceState::Starting),
        Just(InstanceState::Exited),
        Just(InstanceState::Unknown)
    ];
    let health = prop_oneof![
        Just(HealthState::Healthy),
        Just(HealthState::Unhealthy),
        Just(HealthState::Starting),
        Just(HealthState::Unknown)
    ];
    let bind = prop_oneof![Just("0.0.0.0"), Just("203.0.113.9"), Just("evil.example.com")];
    let message = proptest::option::of("[ -~]{0,40}");
    let rest = (any::<bool>(), message, proptest::option::of(0u8..4), any::<u16>(), bind);
    (0..IDS.len(), generation, state, health, rest).prop_map(
        |(of, generation, state, health, (spec, message, digest, port, bind))| Said {
            of,
            generation,
            state,
            health,
            digest,
            port,
            bind,
            spec,
            message,
        },
    )
}

/// A report, complete or not, with the numbers that it pretends to have accepted and the volumes
/// that it pretends to keep, each of one of the instances.
type Report = (bool, Vec<Said>, Vec<(usize, u64)>, Vec<usize>);

fn report() -> impl Strategy<Value = Report> {
    let said = proptest::collection::vec(said(), 0..6);
    let number = prop_oneof![1u64..99, any::<u64>()];
    let accepted = proptest::collection::vec((0..IDS.len(), number), 0..6);
    let volumes = proptest::collection::vec(0..IDS.len(), 0..6);
    (prop_oneof![4 => Just(true), 1 => Just(false)], said, accepted, volumes)
}

fn observed(agent: &Agent, like: &[InstanceSpec], said: Report) -> ObservedNode {
    let (complete, said, accepted, volumes) = said;
    let instance = |it: Said| {
        let id: InstanceId = IDS[it.of].parse().unwrap();
        let mut spec = like[it.of % like.len()].clone();
        (spec.id, spec.node) = (id.clone(), agent.name.clone());
        // Nor is anything protected, or has data there, by its word.
        spec.protect = true;
        spec.volumes = serde_json::from_str(r#"[{"name": "data", "path": "/d"}]"#).unwrap();
        for port in &mut spec.ports {
            (port.host, port.bind) = (it.port, it.bind.to_owned());
        }
        let digest = it.digest.map_or(spec.digest(), |byte| Digest::of_bytes(&[byte]));
        agent.machine().told.insert(id, (digest.clone(), it.spec.then(|| spec.clone())));
        let seen = ObservedInstance::running(Box::new(spec), it.generation);
        ObservedInstance { digest, state: it.state, health: it.health, message: it.message, ..seen }
    };
    let id = |of: usize| IDS[of].parse::<InstanceId>().unwrap();
    let accepted = accepted.into_iter().map(|(of, number)| (id(of), number)).collect();
    let volume = |of: usize| HeldVolume {
        instance: id(of),
        name: "data".to_owned(),
        runtime: Runtime::Process,
        user: None,
    };
    let volumes = volumes.into_iter().map(volume).collect();
    ObservedNode {
        complete,
        problem: (!complete).then(|| "so it says".to_owned()),
        instances: said.into_iter().map(instance).collect(),
        accepted,
        receipts: agent.machine().receipts.clone(),
        volumes,
        shared: Vec::new(),
        volumes_of: Vec::new(),
    }
}

fn reports() -> u32 {
    match std::env::var("DEVNET_SOAK") {
        Err(_) => 40,
        Ok(word) if word == "full" => 3000,
        Ok(word) => word.parse().expect("DEVNET_SOAK is `full` or a number above zero"),
    }
}

/// Whatever holds in spite of the lies.
async fn check(plane: &Plane, honest: &Agent, (steps, lost): (usize, bool), after: &str) {
    let machine = honest.machine().units.clone();
    assert!(machine.contains_key(&"db[0]".parse().unwrap()), "db[0] is gone after {after}");
    let (api, _) = &machine[&"api[0]".parse().unwrap()];
    let env = serde_json::to_string(&api.env).unwrap();
    assert!(env.contains("127.0.0.1:5432") && env.contains("127.0.0.1:7000"), "{after}: {env}");
    assert_eq!(honest.machine().steps.len(), steps, "the honest node was told more after {after}");
    let fleet: Value = plane.get("/api/v1/fleet").await;
    let all = |part: &Value| part.as_array().cloned().unwrap_or_default();
    assert!(all(&fleet["protected"]).is_empty(), "{after}: {fleet}");
    // Without records, the first word of a node is a claim, which is worth nothing beside an order.
    let claim = |it: &Value| lost && it["generation"] == 0;
    let data = all(&fleet["data"]);
    assert!(data.iter().all(|it| it["node"] == "n1" || claim(it)), "{after}: {fleet}");
    let page: Value = plane.get("/api/v1/instances").await;
    let rows: Vec<InstanceRow> = serde_json::from_value(page["items"].clone()).unwrap();
    for row in rows {
        let address = row.address.unwrap_or_default();
        assert!(address.is_empty() || address.starts_with("127.0.0.1:"), "{after}: {address}");
    }
}

/// It asks for many certificates, and is given a few.
async fn renewals(evil: &Agent, after: &str) {
    let asked = 200;
    for _ in 0..asked {
        evil.say(AgentMessage::Renew { csr: evil.csr() }).await;
    }
    // What it asks next is answered after them.
    assert!(evil.need("db[0]", "pw", 1).await.is_err());
    until("certificates come", || async { (evil.machine().certificates == 4).then_some(()) }).await;
    println!(
        "after {after}: {asked} certificates asked for, {} given",
        evil.machine().certificates
    );
}

/// Waits until everything that is seen was ordered.
async fn no_stranger(plane: &Plane) {
    until("it is seen as it is", || async {
        let page: Value = plane.get("/api/v1/instances").await;
        (!page.to_string().contains("stranger")).then_some(())
    })
    .await;
}

/// The records were lost, and the evil node is the first to say what runs. Gives the honest one.
async fn without_records(
    plane: &Plane,
    (mut honest, mut evil): (Agent, Agent),
    like: &[InstanceSpec],
    runner: &mut TestRunner,
) -> Agent {
    let steps = honest.machine().steps.len();
    evil.connect(&plane.running).await;
    evil.online(plane).await;
    for number in 0..reports() / 4 {
        let lie = report().new_tree(runner).unwrap().current();
        let after = format!("report {number} without records: {lie:?}");
        evil.say(AgentMessage::Observed { observed: observed(&evil, like, lie) }).await;
        assert!(evil.need("db[0]", "pw", 1).await.is_err(), "a secret after {after}");
        if number == 2 {
            honest.connect(&plane.running).await;
            honest.online(plane).await;
        }
        check(plane, &honest, (steps, true), &after).await;
    }
    // What it left out of its first word is nobody's, until an operator says that it is its own.
    evil.machine().told.clear();
    evil.report().await;
    let (status, answer) = plane.post("/api/v1/nodes/evil/adopt", &Value::Null).await;
    assert_eq!(status.as_u16(), 204, "{answer}");
    no_stranger(plane).await;
    honest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lies_gets_nothing_and_moves_nothing_of_others_soak() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    plane.set_secret("pw", "hunter2").await;
    // The evil node comes only when everything but its own has a place.
    let pinned = CLUSTER.replacen("    port 5432", "    place { pin \"n1\" }\n    port 5432", 1);
    repository.commit("cluster \"lab\"\nservice \"x\" { process \"x\"; replicas 0 }\n");
    until("the cluster has a name", || async { plane.status().await.cluster }).await;
    let honest = Agent::join(&plane, "n1").await;
    let mut evil = Agent::join(&plane, "evil").await;
    let revision = repository.commit(&pinned);
    plane.applied(&revision).await;
    // From here on nothing but the records speaks for n1.
    let revision = repository.commit(CLUSTER);
    plane.applied(&revision).await;
    let steps = honest.machine().steps.len();
    let like: Vec<InstanceSpec> = {
        let (ours, own) = (honest.machine().units.clone(), evil.machine().units.clone());
        ours.into_values().chain(own.into_values()).map(|(spec, _)| spec).collect()
    };
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    for number in 0..reports() {
        let lie = report().new_tree(&mut runner).unwrap().current();
        let after = format!("report {number}: {lie:?}");
        let step = StepReport {
            deployment: "none".to_owned(),
            step: "db[0]/start".to_owned(),
            state: StepState::Succeeded { message: String::new() },
        };
        if number % 10 == 9 {
            // It comes anew, with a mark that it made up.
            let forged = OrderMark { number: u64::from(number) << 20, proof: "0".repeat(64) };
            evil.machine().mark = Some(forged);
            evil.cut();
            evil.connect(&plane.running).await;
        }
        evil.say(AgentMessage::Observed { observed: observed(&evil, &like, lie) }).await;
        evil.say(AgentMessage::Step { report: step }).await;
        let facts = NodeFacts { ip: "203.0.113.9".to_owned(), ..harness::agent::facts() };
        evil.say(AgentMessage::Facts { facts }).await;
        let secret = evil.need("db[0]", "pw", 1).await;
        assert!(secret.is_err(), "it was given a secret after {after}");
        // A plan was made of it.
        let plan = plane.request(reqwest::Method::POST, "/api/v1/plans").body("{}").send().await;
        assert_eq!(plan.unwrap().status().as_u16(), 201, "no plan after {after}");
        check(&plane, &honest, (steps, false), &after).await;
    }
    renewals(&evil, "the reports").await;
    evil.machine().told.clear();
    // And when it stops lying, its own is put right and the rest is as it was.
    evil.report().await;
    no_stranger(&plane).await;
    check(&plane, &honest, (steps, false), "the end").await;

    // The records are lost.
    plane.stop().await;
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join("data").join(file));
    }
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    let honest = without_records(&plane, (honest, evil), &like, &mut runner).await;
    check(&plane, &honest, (steps, true), "the adoption").await;
    let events = plane.request(reqwest::Method::GET, "/api/v1/events").send().await.unwrap();
    assert!(!events.text().await.unwrap().contains("hunter2"));
    plane.stop().await;
}
