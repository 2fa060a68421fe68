//! Versions that fail, runs that are cut short, and what may be called applied, over real sockets
//! with agents that act in memory.

mod harness;

use devnet_reconciler::api::{Deployment, DeploymentState};
use harness::{Agent, Plane, Repository, config, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn web(version: &str, replicas: u32, sync: &str) -> String {
    format!(
        r#"
cluster "lab" {{
    sync auto=#true prune=#true interval="60s" {sync}
}}
service "web" {{
    process "serve" "{version}"
    replicas {replicas}
    resources cpu=0.5 memory="64MiB"
}}
"#
    )
}

struct Bed {
    dir: tempfile::TempDir,
    repository: Repository,
    plane: Plane,
}

async fn bed() -> Bed {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let mut config = config(dir.path(), Some(&repository));
    config.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(config).await;
    Bed { dir, repository, plane }
}

/// What each instance runs, by the last word of its command.
fn versions(agent: &Agent) -> Vec<String> {
    let machine = agent.machine();
    let last = |spec: &devnet_schema::instance::InstanceSpec| {
        let text = serde_json::to_value(&spec.workload).unwrap().to_string();
        ["v1", "v2", "v3", "bad"].into_iter().find(|v| text.contains(v)).unwrap_or("?").to_owned()
    };
    machine.units.values().map(|(spec, _)| last(spec)).collect()
}

async fn told(agent: &Agent, step: &str) {
    until(&format!("{step} is sent"), || async {
        agent.machine().steps.iter().any(|sent| sent == step).then_some(())
    })
    .await;
}

async fn problem(plane: &Plane, part: &str) -> String {
    until(&format!("the status says {part:?}"), || async {
        let problem = plane.status().await.source?.problem?;
        problem.contains(part).then_some(problem)
    })
    .await
}

async fn cancel(plane: &Plane, id: &str) -> (StatusCode, Value) {
    plane.post(&format!("/api/v1/deployments/{id}/cancel"), &json!({})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_version_stops_at_its_first_replica_across_restarts_and_the_fix_goes_out() {
    let Bed { dir, repository, plane } = bed().await;
    let mut agent = Agent::join(&plane, "n1").await;
    agent.machine().sick.insert("bad".to_owned());
    let good = repository.commit(&web("v1", 3, ""));
    plane.applied(&good).await;
    repository.commit(&web("bad", 3, ""));
    problem(&plane, "web failed 1 of 5 times (web[0] is unhealthy)").await;
    for _ in 0..5 {
        plane.post("/api/v1/sync", &json!({})).await;
        agent.report().await;
    }
    assert_eq!(versions(&agent), ["bad", "v1", "v1"]);
    plane.stop().await;
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    agent.connect(&plane.running).await;
    // The count goes on where it was.
    problem(&plane, "web failed").await;
    problem(&plane, "of 5 times").await;
    assert_eq!(versions(&agent), ["bad", "v1", "v1"]);
    let ended: Vec<String> = agent.machine().ended_well.iter().map(ToString::to_string).collect();
    assert_eq!(ended, ["web[0]"], "one that served was given up for the bad version");
    assert_eq!(plane.status().await.source.unwrap().applied.as_deref(), Some(&*good));
    let fix = repository.commit(&web("v2", 3, ""));
    plane.applied(&fix).await;
    assert_eq!(versions(&agent), ["v2", "v2", "v2"]);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_commit_ends_a_wait_and_one_that_changes_nothing_does_not() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let mut agent = Agent::join(&plane, "n1").await;
    let good = repository.commit(&web("v1", 2, ""));
    plane.applied(&good).await;
    agent.machine().hanging.insert("await-healthy".to_owned());
    agent.machine().steps.clear();
    repository.commit(&web("v2", 2, ""));
    told(&agent, "web[0]/await-healthy").await;
    let waiting = plane.deployments().await[0].id.clone();

    // A commit that wants the same leaves the wait alone.
    let same = repository.commit(&web("v2", 2, ""));
    until("the commit is seen", || async {
        (plane.status().await.source?.seen.as_deref() == Some(&*same)).then_some(())
    })
    .await;
    plane.post("/api/v1/sync", &json!({})).await;
    let newest = plane.deployments().await.remove(0);
    assert_eq!((newest.id.as_str(), newest.state), (&*waiting, DeploymentState::Running));

    // The fix does not wait for what it mends.
    agent.machine().hanging.clear();
    let fix = repository.commit(&web("v3", 2, ""));
    plane.applied(&fix).await;
    assert_eq!(versions(&agent), ["v3", "v3"]);
    let cut: Deployment = plane.get(&format!("/api/v1/deployments/{waiting}")).await;
    assert_eq!(cut.state, DeploymentState::Cancelled);
    assert!(cut.errors[0].contains("is newer; not done: web[0]/await-healthy"), "{cut:?}");
    let second = agent.machine().steps.iter().filter(|it| *it == "web[1]/start").count();
    assert_eq!(second, 1, "the version that was cut short went no further");
    agent.cut();
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_deployment_finishes_what_runs_and_begins_nothing() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let mut agent = Agent::join(&plane, "n1").await;
    let by_hand = |version: &str| web(version, 2, "").replace("auto=#true", "auto=#false");
    repository.commit(&by_hand("v1"));
    agent.machine().hanging.insert("web[0]/start".to_owned());
    let plan = until("the revision is known", || async {
        let (status, plan) = plane.post("/api/v1/plans", &json!({})).await;
        let two = plan["changes"].as_array().is_some_and(|changes| changes.len() == 2);
        (status == StatusCode::CREATED && two).then_some(plan)
    })
    .await;
    let apply = format!("/api/v1/plans/{}/apply", plan["id"].as_str().unwrap());
    let (status, begun) = plane.post(&apply, &json!({ "parallelism": 1 })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    told(&agent, "web[0]/start").await;
    let id = begun["id"].as_str().unwrap();
    assert_eq!(cancel(&plane, "none").await.0, StatusCode::NOT_FOUND);
    for _ in 0..2 {
        let (status, answer) = cancel(&plane, id).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    }
    // The start was sent, so its end is waited for.
    let path = format!("/api/v1/deployments/{id}");
    let running: Deployment = plane.get(&path).await;
    assert_eq!(running.state, DeploymentState::Running);
    agent.machine().hanging.clear();
    agent.cut();
    agent.connect(&plane.running).await;
    let ended = plane.deployed().await;
    assert_eq!(ended.state, DeploymentState::Cancelled, "{ended:?}");
    assert!(ended.errors[0].starts_with("cancelled by "), "{ended:?}");
    for step in ["web[0]/await-healthy", "web[1]/start"] {
        assert!(ended.errors[0].contains(step), "{ended:?}");
    }
    assert_eq!(versions(&agent), ["v1"]);
    let (status, answer) = cancel(&plane, id).await;
    assert_eq!((status, &answer["type"]), (StatusCode::CONFLICT, &json!("deployment-ended")));
    let lines = plane.request(Method::GET, &format!("{path}/logs")).send().await.unwrap();
    let lines = lines.text().await.unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["deployment"]["state"], "cancelled", "{lines}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_out_of_reach_is_not_called_applied() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let (mut a, b) = (Agent::join(&plane, "n1").await, Agent::join(&plane, "n2").await);
    let apart = |version: &str| {
        web(version, 2, "").replace("replicas 2", "replicas 2\n    place { max-per-node 1 }")
    };
    let first = repository.commit(&apart("v1"));
    plane.applied(&first).await;
    a.cut();
    a.status(&plane, "offline").await;
    problem(&plane, "n1 is offline; it ran as declared").await;
    let second = repository.commit(&apart("v2"));
    let incomplete = until("the rest is done", || async {
        let newest = plane.deployments().await.remove(0);
        (newest.revision == second && newest.state == DeploymentState::Incomplete).then_some(newest)
    })
    .await;
    assert_eq!(incomplete.errors.len(), 1, "{incomplete:?}");
    assert!(incomplete.errors[0].contains("on n1: n1 is offline; it stays as it is"));
    assert_eq!(versions(&b), ["v2"]);
    problem(&plane, "n1 is offline; it stays as it is").await;
    let source = plane.status().await.source.unwrap();
    assert_eq!(source.seen.as_deref(), Some(&*second));
    assert_eq!(source.applied.as_deref(), Some(&*first), "not all of it is there");
    let events = plane.events().await;
    let told = |event: &devnet_reconciler::api::Event| event.message.contains("not all of it");
    assert!(events.iter().any(told), "{events:?}");
    a.connect(&plane.running).await;
    plane.applied(&second).await;
    assert_eq!(versions(&a), ["v2"]);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_loop_would_undo_is_refused_unless_it_is_forced() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let agent = Agent::join(&plane, "n1").await;
    let first = repository.commit(&web("v1", 1, ""));
    plane.applied(&first).await;
    let apply = |plan: &Value| format!("/api/v1/plans/{}/apply", plan["id"].as_str().unwrap());
    let files = json!({ "files": { "cluster.kdl": web("v2", 1, "") }, "root": "cluster.kdl" });
    let (_, plan) = plane.post("/api/v1/plans", &files).await;
    for body in [json!({}), json!({ "check": true })] {
        let (status, problem) = plane.post(&apply(&plan), &body).await;
        assert_eq!(status, StatusCode::CONFLICT, "{problem}");
        assert_eq!(problem["type"], "follows-source");
        assert!(problem["detail"].as_str().unwrap().contains("auto=#false"), "{problem}");
    }
    assert_eq!(versions(&agent), ["v1"]);
    // Taking everything away would be undone as well; the newest revision itself would not.
    let (_, destroy) = plane.post("/api/v1/plans", &json!({ "options": {"destroy": true} })).await;
    let (status, _) = plane.post(&apply(&destroy), &json!({ "check": true })).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let again = json!({ "options": { "replace": ["service.web"] } });
    let (_, again) = plane.post("/api/v1/plans", &again).await;
    let (status, _) = plane.post(&apply(&again), &json!({ "check": true })).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(versions(&agent), ["v1"], "nothing was begun");

    let (status, begun) = plane.post(&apply(&plan), &json!({ "force": true })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    until("it is undone", || async {
        let steps = agent.machine().steps.clone();
        let starts = steps.iter().filter(|step| *step == "web[0]/start").count();
        (starts == 3 && versions(&agent) == ["v1"]).then_some(())
    })
    .await;
    // Where the loop does not apply by itself, nothing is undone.
    repository.commit(&web("v1", 1, "").replace("auto=#true", "auto=#false"));
    until("it is in force", || async {
        let (_, plan) = plane.post("/api/v1/plans", &files).await;
        let (status, _) = plane.post(&apply(&plan), &json!({ "check": true })).await;
        (status == StatusCode::NO_CONTENT).then_some(())
    })
    .await;
    plane.stop().await;
}
