//! Versions that fail, runs that are cut short, and what may be called applied, over real sockets
//! with agents that act in memory.

mod harness;

use std::time::Duration;

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
    hasty(60, 600).await
}

/// One whose loop waits so many seconds for an agent that is away, and for a step that was sent
/// when its deployment is to end.
async fn hasty(unreachable: u64, farewell: u64) -> Bed {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let mut config = config(dir.path(), Some(&repository));
    config.cluster = Some("lab".parse().unwrap());
    config.apply.unreachable = Duration::from_secs(unreachable);
    config.apply.farewell = Duration::from_secs(farewell);
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

/// A second `apply` of what stopped at its first replica waits for that one as it is, by the
/// generation that it has, before it touches another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_apply_waits_for_what_the_first_left_starting() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let agent = Agent::join(&plane, "n1").await;
    let by_hand = |version: &str| web(version, 3, "").replace("auto=#true", "auto=#false");
    let apply = async |changes: usize| {
        let plan = until("the revision is planned", || async {
            let (status, plan) = plane.post("/api/v1/plans", &json!({})).await;
            let all = plan["changes"].as_array().is_some_and(|all| all.len() == changes);
            (status == StatusCode::CREATED && all).then_some(plan)
        })
        .await;
        let path = format!("/api/v1/plans/{}/apply", plan["id"].as_str().unwrap());
        let (status, begun) = plane.post(&path, &json!({})).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
        (plan, plane.deployed().await)
    };
    repository.commit(&by_hand("v1"));
    assert_eq!(apply(3).await.1.state, DeploymentState::Succeeded);
    agent.machine().sick.insert("bad".to_owned());
    repository.commit(&by_hand("bad"));
    let (_, first) = apply(3).await;
    assert_ne!(first.state, DeploymentState::Succeeded);
    assert_eq!(versions(&agent), ["bad", "v1", "v1"]);
    // It may become healthy after all.
    agent.machine().sick.clear();
    agent.machine().warming_up = true;
    agent.report().await;
    agent.machine().steps.clear();
    let (plan, second) = apply(2).await;
    let steps = plan["steps"].as_array().unwrap().iter();
    let waits = steps.filter(|step| step["id"] == "web[0]/await-healthy").count();
    assert_eq!((waits, second.state), (1, DeploymentState::Succeeded), "{second:?}");
    assert_eq!(versions(&agent), ["bad", "bad", "bad"]);
    let sent = agent.machine().steps.clone();
    let at = |id: &str| sent.iter().position(|step| step == id);
    assert_eq!(at("web[0]/start"), None);
    assert!(at("web[0]/await-healthy") < at("web[1]/start"), "{sent:?}");
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
    problem(&plane, "n1 is offline; what it was told last is what is declared").await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_was_good_is_not_rolled_back_by_a_second_start() {
    let Bed { dir, repository, plane } = bed().await;
    let mut agent = Agent::join(&plane, "n1").await;
    plane.applied(&repository.commit(&web("v1", 1, ""))).await;
    plane.set_secret("pw", "hunter2").await;
    let secret = "    env PW=\"{{ secret.pw }}\"\n    replicas";
    let second = repository.commit(&web("v2", 1, "").replace("    replicas", secret));
    plane.applied(&second).await;
    let gone = plane.request(Method::DELETE, "/api/v1/secrets/pw").send().await.unwrap();
    assert!(gone.status().is_success());
    plane.stop().await;
    let steps = agent.machine().steps.len();
    for start in 1..=3 {
        let plane = Plane::start(config(dir.path(), Some(&repository))).await;
        agent.connect(&plane.running).await;
        problem(&plane, "cannot be planned").await;
        agent.online(&plane).await;
        let held = problem(&plane, "pw").await;
        assert_eq!(versions(&agent), ["v2"], "start {start}: {held}");
        assert_eq!(agent.machine().steps.len(), steps, "start {start}: nothing was told");
        plane.stop().await;
    }
}

/// A database with data, and what else is said of it.
fn with_data(replicas: u32, more: &str) -> String {
    format!(
        "cluster \"lab\" {{\n    sync auto=#true prune=#true\n}}\n\
         service \"db\" {{ process \"db\"; volume \"data\" at=\"data\"; replicas {replicas}; \
         resources memory=\"1MiB\"; {more} }}\n"
    )
}

/// Where the instance is started by a plan that somebody asks for now.
async fn starts(plane: &Plane, id: &str) -> Vec<String> {
    let (status, plan) = plane.post("/api/v1/plans", &json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{plan}");
    let steps = plan["steps"].as_array().unwrap().iter();
    let starts = steps.filter(|step| step["id"] == format!("{id}/start"));
    starts.map(|step| step["node"].as_str().unwrap().to_owned()).collect()
}

/// Where data of the cluster is, by the records.
async fn places(plane: &Plane) -> Vec<String> {
    let fleet: Value = plane.get("/api/v1/fleet").await;
    let places = fleet["data"].as_array().cloned().unwrap_or_default();
    places.iter().map(|place| place["node"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the deployment that nobody answered has failed.
async fn unanswered(plane: &Plane) {
    until("the step is given up", || async {
        let newest = plane.deployments().await.into_iter().next()?;
        let ended = newest.state == DeploymentState::Failed;
        (ended && newest.errors[0].contains("unreachable")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_lost_in_the_middle_of_a_start_makes_no_second_copy() {
    let Bed { dir: _dir, repository, plane } = hasty(1, 600).await;
    let mut a = Agent::join(&plane, "n1").await;
    a.machine().mute.insert("db[0]/start".to_owned());
    let first = repository.commit(&with_data(1, ""));
    told(&a, "db[0]/start").await;
    let b = Agent::join(&plane, "n2").await;
    a.cut();
    unanswered(&plane).await;
    // It runs on n1, which nobody has said.
    assert_eq!(starts(&plane, "db[0]").await, [""; 0]);
    assert_eq!(places(&plane).await, ["n1"]);
    a.machine().mute.clear();
    a.connect(&plane.running).await;
    plane.applied(&first).await;
    assert!(b.machine().units.is_empty() && a.machine().units.len() == 1);

    // Scaled to nothing and back, while the link is lost again.
    plane.applied(&repository.commit(&with_data(0, ""))).await;
    a.machine().mute.insert("db[0]/start".to_owned());
    a.machine().steps.clear();
    let back = repository.commit(&with_data(1, ""));
    told(&a, "db[0]/start").await;
    a.cut();
    unanswered(&plane).await;
    assert_eq!(starts(&plane, "db[0]").await, [""; 0]);
    assert_eq!(places(&plane).await, ["n1"]);
    a.machine().mute.clear();
    a.connect(&plane.running).await;
    plane.applied(&back).await;
    assert!(b.machine().units.is_empty());

    // And on the way to another node, which is where its newest data is from then on.
    b.machine().mute.insert("db[0]/start".to_owned());
    let moved = repository.commit(&with_data(1, "place { pin \"n2\" }; leave-data \"n1\""));
    told(&b, "db[0]/start").await;
    let mut b = b;
    b.cut();
    unanswered(&plane).await;
    assert_eq!(starts(&plane, "db[0]").await, [""; 0], "nor again with the older data");
    assert_eq!(places(&plane).await, ["n1", "n2"]);
    b.machine().mute.clear();
    b.connect(&plane.running).await;
    plane.applied(&moved).await;
    assert!(a.machine().units.is_empty() && b.machine().units.len() == 1);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_removed_in_the_middle_of_a_start_leaves_no_order_behind() {
    let Bed { dir, repository, plane } = hasty(1, 600).await;
    let agent = Agent::join(&plane, "n1").await;
    let _other = Agent::join(&plane, "n2").await;
    let pinned = |version: &str| {
        web(version, 1, "").replace("replicas 1", "replicas 1\n    place { pin \"n1\" }")
    };
    plane.applied(&repository.commit(&pinned("v1"))).await;
    agent.machine().hanging.insert("web[0]/start".to_owned());
    agent.machine().steps.clear();
    repository.commit(&pinned("v2"));
    told(&agent, "web[0]/start").await;
    let path = "/api/v1/nodes/n1?force=true";
    let gone = plane.request(Method::DELETE, path).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    unanswered(&plane).await;
    plane.stop().await;
    let raw = rusqlite::Connection::open(dir.path().join("data/state.db")).unwrap();
    let count = |table: &str| -> i64 {
        let query = format!("SELECT count(*) FROM {table} WHERE node = 'n1'");
        raw.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("assignments"), 0);
    // One that an earlier version left behind can be removed.
    let spec = agent.machine().units.values().next().unwrap().0.clone();
    let spec = serde_json::to_string(&spec).unwrap();
    let insert = "INSERT INTO assignments VALUES ('web[0]', 'n1', 1, ?1)";
    raw.execute(insert, [spec]).unwrap();
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    let nodes = |status: devnet_reconciler::api::Status| -> Vec<String> {
        status.nodes.iter().map(|row| row.name.to_string()).collect()
    };
    assert_eq!(nodes(plane.status().await), ["n1", "n2"]);
    let gone = plane.request(Method::DELETE, path).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(nodes(plane.status().await), ["n2"]);
    assert_eq!(count("assignments"), 0);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_deployment_ends_although_its_agent_never_does_and_stays_cancelled() {
    let Bed { dir, repository, plane } = hasty(60, 1).await;
    let mut agent = Agent::join(&plane, "n1").await;
    plane.applied(&repository.commit(&web("v1", 1, ""))).await;
    agent.machine().hanging.insert("web[0]/start".to_owned());
    agent.machine().steps.clear();
    repository.commit(&web("v2", 1, ""));
    told(&agent, "web[0]/start").await;
    let id = plane.deployments().await[0].id.clone();
    assert_eq!(cancel(&plane, &id).await.0, StatusCode::ACCEPTED);
    // Whatever it says meanwhile.
    let ended = until("it has ended", || async {
        agent
            .say(devnet_schema::wire::AgentMessage::Step {
                report: devnet_schema::step::StepReport {
                    deployment: id.clone(),
                    step: "web[0]/start".to_owned(),
                    state: devnet_schema::step::StepState::Running { message: "x".repeat(1 << 16) },
                },
            })
            .await;
        let newest = plane.deployments().await.into_iter().next()?;
        (newest.state != DeploymentState::Running).then_some(newest)
    })
    .await;
    assert_eq!(ended.state, DeploymentState::Cancelled, "{ended:?}");
    let path = format!("/api/v1/deployments/{id}/logs");
    let lines = plane.request(Method::GET, &path).send().await.unwrap().text().await.unwrap();
    let running = lines.lines().filter(|line| line.contains("xxx"));
    assert!((1..=5).contains(&running.clone().count()), "{}", running.count());
    assert!(lines.len() < 1 << 18, "{} bytes", lines.len());
    agent.machine().hanging.clear();
    problem(&plane, "cancelled by").await;
    plane.stop().await;
    // Deployments come and go; what was cancelled stays so.
    let raw = rusqlite::Connection::open(dir.path().join("data/state.db")).unwrap();
    raw.execute("DELETE FROM deployments", []).unwrap();
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    agent.connect(&plane.running).await;
    problem(&plane, "cancelled by").await;
    assert_eq!(versions(&agent), ["v1"]);
    let third = repository.commit(&web("v3", 1, ""));
    plane.applied(&third).await;
    assert_eq!(versions(&agent), ["v3"]);
    plane.stop().await;
}
