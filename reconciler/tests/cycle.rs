//! The loop from a commit to what runs, over real sockets, with agents that act in memory.

mod harness;

use std::collections::BTreeMap;

use devnet_reconciler::api::{DeploymentLine, DeploymentState, SecretRow};
use devnet_schema::{fleet::NodeStatus, observed::InstanceState};
use harness::{Agent, Plane, Repository, config, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const ONE: &str = r#"
cluster "lab" {
    sync auto=#true prune=#true self-heal=#true interval="60s"
}
service "web" {
    process "serve" "--quietly"
    replicas 2
    resources cpu=0.5 memory="64MiB"
}
"#;

const WITH_SECRET: &str = r#"
cluster "lab" {
    sync auto=#true prune=#true
}
service "db" {
    process "db"
    env PASSWORD="{{ secret.pw }}"
    resources cpu=0.5 memory="64MiB"
    place { pin "n1" }
}
"#;

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

fn lose_records(dir: &tempfile::TempDir) {
    for entry in std::fs::read_dir(dir.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("state.db") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

fn units(agents: &[&Agent]) -> usize {
    agents.iter().map(|agent| agent.machine().units.len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_planned_and_applied_and_then_nothing_changes() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let (a, b) = (Agent::join(&plane, "n1").await, Agent::join(&plane, "n2").await);
    let revision = repository.commit(ONE);
    plane.applied(&revision).await;
    assert_eq!(units(&[&a, &b]), 2);
    assert_eq!(a.machine().cluster.as_ref().map(|c| c.as_str()), Some("lab"));
    let deployment = plane.deployed().await;
    assert_eq!(deployment.state, DeploymentState::Succeeded, "{:?}", deployment.errors);
    assert_eq!((deployment.by.as_str(), deployment.summary.add), ("watch", 2));

    let path = format!("/api/v1/deployments/{}/logs?follow=true", deployment.id);
    let text = plane.request(Method::GET, &path).send().await.unwrap().text().await.unwrap();
    let lines: Vec<DeploymentLine> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(matches!(lines.last(), Some(DeploymentLine::End { .. })), "{text}");
    assert!(lines.len() > 2);

    let before = plane.deployments().await.len();
    let (status, plan) = plane.post("/api/v1/plans", &json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{plan}");
    assert_eq!(plan["changes"], json!([]), "{plan:#}");
    assert_eq!(plane.deployments().await.len(), before);

    let logs = "/api/v1/services/web/logs?tail=5";
    let text = plane.request(Method::GET, logs).send().await.unwrap().text().await.unwrap();
    assert_eq!(text.lines().count(), 4, "a line and an end of each: {text}");
    assert!(text.contains("hello from web[0]"), "{text}");

    let planned = plane
        .events()
        .await
        .into_iter()
        .find(|event| event.kind == "plan" && event.message.contains("after it was noticed"));
    assert!(planned.is_some(), "the plan says how soon after the commit it began");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_commit_changes_nothing_and_what_runs_is_still_looked_after() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let agent = Agent::join(&plane, "n1").await;
    let good = repository.commit(ONE);
    plane.applied(&good).await;
    for bad in ["", "service \"web\" {", "cluster \"lab\" {}\nservice \"x\" { process }"] {
        let revision = repository.commit(bad);
        let source = until("the bad commit is reported", || async {
            let source = plane.status().await.source?;
            (source.seen.as_deref() == Some(&*revision) && source.problem.is_some())
                .then_some(source)
        })
        .await;
        assert_eq!(source.applied.as_deref(), Some(&*good), "{bad:?}");
        assert!(!source.diagnostics.is_empty(), "{bad:?}");
        assert_eq!(units(&[&agent]), 2, "{bad:?}");
    }
    // Something ends by itself: the last good revision puts it right.
    agent.machine().units.pop_first();
    agent.report().await;
    until("it is healed", || async { (units(&[&agent]) == 2).then_some(()) }).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_given_only_to_the_node_that_its_instance_is_assigned_to() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let (a, b) = (Agent::join(&plane, "n1").await, Agent::join(&plane, "n2").await);
    assert!(a.need("db[0]", "pw", 1).await.is_err(), "nothing is assigned yet");
    plane.set_secret("pw", "hunter2").await;
    plane.set_secret("other", "hunter3").await;
    let revision = repository.commit(WITH_SECRET);
    plane.applied(&revision).await;
    assert_eq!(
        a.need("db[0]", "pw", 1).await,
        Ok(BTreeMap::from([("pw".to_owned(), "hunter2".to_owned())]))
    );
    for (agent, instance, secret, version) in [
        (&b, "db[0]", "pw", 1),
        (&a, "db[0]", "other", 1),
        (&a, "db[0]", "pw", 2),
        (&a, "db[1]", "pw", 1),
    ] {
        let refused = agent.need(instance, secret, version).await.unwrap_err();
        assert!(!refused.contains("hunter"), "{refused}");
    }
    let rows: Value = plane.get("/api/v1/secrets").await;
    let rows: Vec<SecretRow> = serde_json::from_value(rows["items"].clone()).unwrap();
    assert_eq!(
        rows.iter().map(|r| (r.name.as_str(), r.version)).collect::<Vec<_>>(),
        [("other", 1), ("pw", 1)]
    );
    for path in ["/api/v1/events", "/api/v1/fleet", "/api/v1/plans", "/api/v1/status"] {
        let text = plane.request(Method::GET, path).send().await.unwrap().text().await.unwrap();
        assert!(!text.contains("hunter"), "{path} shows a value");
    }

    // A new version changes the instance, and only the new version is given from then on.
    plane.set_secret("pw", "hunter4").await;
    until("the new version is in use", || async {
        let values = a.need("db[0]", "pw", 2).await.ok()?;
        (values["pw"] == "hunter4").then_some(())
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_secret_is_an_error_and_the_old_version_stays() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let agent = Agent::join(&plane, "n1").await;
    let good = repository.commit(ONE);
    plane.applied(&good).await;
    repository.commit(&format!(
        "{ONE}\nservice \"db\" {{\n process \"db\"\n \
        env P=\"{{{{ secret.pw }}}}\"\n}}\n"
    ));
    let source = until("it is reported", || async {
        plane.status().await.source.filter(|source| source.problem.is_some())
    })
    .await;
    assert!(source.problem.as_ref().unwrap().contains("pw"), "{source:?}");
    assert_eq!(units(&[&agent]), 2);
    plane.set_secret("pw", "x").await;
    until("it runs once the secret is there", || async { (units(&[&agent]) == 3).then_some(()) })
        .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_plan_is_refused_by_naming_what_moved() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let agent = Agent::join(&plane, "n1").await;
    let manual = ONE.replace("auto=#true", "auto=#false");
    repository.commit(&manual);
    let plan = until("the revision is known", || async {
        let (status, plan) = plane.post("/api/v1/plans", &json!({})).await;
        let two = plan["changes"].as_array().is_some_and(|changes| changes.len() == 2);
        (status == StatusCode::CREATED && two).then_some(plan)
    })
    .await;
    let id = plan["id"].as_str().unwrap().to_owned();
    let apply = format!("/api/v1/plans/{id}/apply");

    let edited = repository.commit(&manual.replace("--quietly", "--loudly"));
    let (status, problem) = plane.post(&apply, &json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let title = problem["title"].as_str().unwrap();
    assert_eq!(title, "Saved plan is stale: the configuration changed after the plan was created");
    assert_eq!(problem["type"], "stale-plan");
    assert_eq!(units(&[&agent]), 0);

    let (_, plan) = plane.post("/api/v1/plans", &json!({ "rev": edited })).await;
    let apply = format!("/api/v1/plans/{}/apply", plan["id"].as_str().unwrap());
    let (status, deployment) = plane.post(&apply, &json!({ "parallelism": 1 })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{deployment}");
    assert_eq!(plane.deployed().await.state, DeploymentState::Succeeded);
    assert_eq!(units(&[&agent]), 2);
    let (status, problem) = plane.post(&apply, &json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "what runs moved: {problem}");
    assert!(problem["title"].as_str().unwrap().contains("what runs"), "{problem}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_towards_balance_are_planned_on_request_and_stay() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let a = Agent::join(&plane, "n1").await;
    let revision = repository.commit(ONE);
    plane.applied(&revision).await;
    let b = Agent::join(&plane, "n2").await;
    let (_, unasked) = plane.post("/api/v1/plans", &json!({})).await;
    assert_eq!(unasked["changes"], json!([]), "{unasked:#}");

    let asked = |options: Value| json!({ "options": options });
    let (_, free) = plane.post("/api/v1/plans", &asked(json!({ "max_moves": 5 }))).await;
    assert!(free["placement"].get("solve_limit").is_none());
    let limited = json!({ "max_moves": 5, "solve_limit_ms": 600_000 });
    let (status, plan) = plane.post("/api/v1/plans", &asked(limited)).await;
    assert_eq!(status, StatusCode::CREATED, "{plan}");
    assert_eq!((&plan["id"], &plan["placement"]["solve_limit"]), (&free["id"], &json!(600.0)));
    let gains = plan["placement"]["gains"].as_array().expect("gains");
    assert_eq!(gains.len(), 1, "{gains:?}");
    assert_eq!((&gains[0]["from"], &gains[0]["to"]), (&json!("n1"), &json!("n2")));
    let apply = format!("/api/v1/plans/{}/apply", plan["id"].as_str().unwrap());
    let (status, deployment) = plane.post(&apply, &json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{deployment}");
    assert_eq!(plane.deployed().await.state, DeploymentState::Succeeded);
    assert_eq!((units(&[&a]), units(&[&b])), (1, 1));
    let (_, after) = plane.post("/api/v1/plans", &asked(json!({ "max_moves": 5 }))).await;
    assert_eq!(after["changes"], json!([]), "{after:#}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_the_records_adopts_everything_and_changes_nothing() {
    let Bed { dir, repository, plane } = bed().await;
    let mut a = Agent::join(&plane, "n1").await;
    plane.set_secret("pw", "hunter2").await;
    let revision = repository.commit(WITH_SECRET);
    plane.applied(&revision).await;
    let steps = a.machine().steps.len();
    assert!(a.machine().described.is_empty(), "what was ordered need not be described");
    plane.stop().await;
    lose_records(&dir);
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    a.connect(&plane.running).await;
    plane.applied(&revision).await;
    assert!(plane.deployments().await.is_empty(), "nothing was applied");
    assert_eq!(a.machine().steps.len(), steps);
    assert_eq!(a.machine().described, ["db[0]".parse().unwrap()]);
    // The agent must be able to start the unit again, so its secrets are still given.
    assert!(a.need("db[0]", "pw", 1).await.is_ok());
    assert!(a.need("db[0]", "other", 1).await.is_err());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_the_middle_marks_the_deployment_and_converges() {
    let Bed { dir, repository, plane } = bed().await;
    let mut a = Agent::join(&plane, "n1").await;
    a.machine().hanging.insert("web[1]".to_owned());
    let revision = repository.commit(ONE);
    until("one half is done", || async { (units(&[&a]) == 1).then_some(()) }).await;
    plane.stop().await;
    a.machine().hanging.clear();
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    let interrupted = plane.deployments().await.pop().unwrap();
    assert_eq!(interrupted.state, DeploymentState::Interrupted);
    a.connect(&plane.running).await;
    plane.applied(&revision).await;
    assert_eq!(units(&[&a]), 2);
    assert!(a.machine().described.is_empty(), "the records tell what was ordered");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_goes_away_leaves_unknown_instances_and_nothing_is_decided() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let (mut a, b) = (Agent::join(&plane, "n1").await, Agent::join(&plane, "n2").await);
    let revision =
        repository.commit(&ONE.replace("replicas 2", "replicas 2\n place { max-per-node 1 }"));
    plane.applied(&revision).await;
    assert_eq!((units(&[&a]), units(&[&b])), (1, 1));
    let before = plane.deployments().await.len();
    a.cut();
    a.status(&plane, "offline").await;
    let status = plane.status().await;
    let states: Vec<_> =
        status.services[0].instances.iter().map(|i| (i.node.to_string(), i.state)).collect();
    assert!(states.contains(&("n1".to_owned(), InstanceState::Unknown)), "{states:?}");
    assert!(states.contains(&("n2".to_owned(), InstanceState::Running)), "{states:?}");
    let (_, plan) = plane.post("/api/v1/plans", &json!({})).await;
    assert_eq!(plan["changes"], json!([]), "{plan:#}");
    assert_eq!(plan["drift"].as_array().unwrap().len(), 1, "{plan:#}");
    a.connect(&plane.running).await;
    a.online(&plane).await;
    assert_eq!(plane.deployments().await.len(), before, "nothing was applied");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_step_blocks_what_follows_and_is_not_retried_in_a_tight_loop() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let a = Agent::join(&plane, "n1").await;
    a.machine().failing.insert("web[1]/start".to_owned());
    repository.commit(ONE);
    let deployment = plane.deployed().await;
    assert_eq!(deployment.state, DeploymentState::Failed);
    assert!(deployment.errors[0].contains("told to fail"), "{:?}", deployment.errors);
    assert_eq!(deployment.summary.add, 1, "the other one is there");
    for _ in 0..5 {
        plane.post("/api/v1/sync", &json!({})).await;
        a.report().await;
    }
    let problem =
        until("it says that it waits", || async { plane.status().await.source?.problem }).await;
    assert!(problem.contains("web failed 1 of 5 times (told to fail)"), "{problem}");
    assert_eq!(plane.deployments().await.len(), 1);
    a.machine().failing.clear();
    until("it is tried again", || async { (units(&[&a]) == 2).then_some(()) }).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_comes_back_is_told_its_step_again() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let mut a = Agent::join(&plane, "n1").await;
    a.machine().hanging.insert("web[".to_owned());
    let revision = repository.commit(ONE);
    until("it was told", || async { (a.machine().steps.len() >= 2).then_some(()) }).await;
    a.cut();
    a.status(&plane, "offline").await;
    a.machine().hanging.clear();
    a.connect(&plane.running).await;
    plane.applied(&revision).await;
    let deployments = plane.deployments().await;
    assert_eq!(deployments.len(), 1, "the same deployment went on");
    assert_eq!(deployments[0].state, DeploymentState::Succeeded);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_machine_with_one_identity_is_refused_while_the_first_answers() {
    let Bed { dir: _dir, repository: _repository, plane } = bed().await;
    let mut a = Agent::join(&plane, "n1").await;
    let mut copy = a.copy();
    copy.connect(&plane.running).await;
    copy.ended().await;
    let refused = copy.machine().refused.clone().unwrap();
    assert!(refused.contains("two machines use the identity of n1"), "{refused}");
    // The first is not disturbed, and status says what is wrong.
    let problem = until("status says so", || async {
        let row = plane.status().await.nodes.into_iter().next()?;
        (row.status == NodeStatus::Online).then_some(())?;
        row.problem
    })
    .await;
    assert_eq!(problem, refused);
    let said = plane.events().await.into_iter().filter(|event| event.message == refused);
    assert_eq!(said.count(), 1);
    // Once it is gone, who comes next is let in; one whose disk takes no count is no copy, and a
    // count that went back is named.
    a.cut();
    a.status(&plane, "offline").await;
    copy.counts = false;
    copy.connect(&plane.running).await;
    copy.online(&plane).await;
    copy.cut();
    copy.status(&plane, "offline").await;
    copy.counts = true;
    copy.sessions = 0;
    copy.connect(&plane.running).await;
    copy.online(&plane).await;
    until("the older copy is named", || async {
        let problem = plane.status().await.nodes.into_iter().next()?.problem?;
        problem.contains("older copy of its identity (session 1 after 1)").then_some(())
    })
    .await;
    let older = plane.events().await.into_iter().filter(|one| one.message.contains("older copy"));
    assert_eq!(older.count(), 1);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_is_refused_also_after_the_records_were_lost() {
    let Bed { dir, repository, plane } = bed().await;
    let _a = Agent::join(&plane, "n1").await;
    let mut twin = Agent::register(&plane, "n2").await;
    twin.connect(&plane.running).await;
    twin.online(&plane).await;
    // One that is let in to the connection, and says hello when it was removed.
    let mut late = twin.copy();
    late.hold_hello(&plane.running).await;
    let response =
        plane.request(Method::DELETE, "/api/v1/nodes/n2?force=true").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    twin.ended().await;
    assert!(twin.machine().refused.as_ref().unwrap().contains("removed"));
    let error = twin.try_connect(&plane.running).await.unwrap_err();
    assert!(error.to_string().contains("403"), "{error}");
    late.say_hello().await;
    late.ended().await;
    assert!(late.machine().refused.as_ref().unwrap().contains("removed"));
    assert_eq!(plane.status().await.nodes.len(), 1);
    plane.stop().await;
    lose_records(&dir);
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    let error = twin.try_connect(&plane.running).await.unwrap_err();
    assert!(error.to_string().contains("403"), "{error}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partial_report_prunes_nothing() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let a = Agent::join(&plane, "n1").await;
    let revision = repository.commit(ONE);
    plane.applied(&revision).await;
    let before = plane.deployments().await.len();
    a.machine().partial = true;
    a.report().await;
    until("its instances are unknown", || async {
        let services = plane.status().await.services;
        services[0].instances.iter().all(|i| i.state == InstanceState::Unknown).then_some(())
    })
    .await;
    let (_, plan) = plane.post("/api/v1/plans", &json!({})).await;
    assert_eq!(plan["changes"], json!([]), "{plan:#}");
    a.machine().partial = false;
    a.report().await;
    until("they run", || async {
        let services = plane.status().await.services;
        services[0].instances.iter().all(|i| i.state == InstanceState::Running).then_some(())
    })
    .await;
    assert_eq!(plane.deployments().await.len(), before);
    plane.stop().await;
}

/// A database with data, and what else is said of it.
fn with_data(more: &str) -> String {
    format!(
        "cluster \"lab\" {{\n    sync auto=#true prune=#true\n}}\n\
         service \"web\" {{ process \"web\"; resources memory=\"1MiB\" }}\n\
         service \"db\" {{ process \"db\"; volume \"data\" at=\"data\"; \
         resources memory=\"1MiB\"; {more} }}\n"
    )
}

fn runs(agent: &Agent, id: &str) -> bool {
    agent.machine().units.contains_key(&id.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_is_held_and_found_again_until_a_commit_says_that_it_may_be_left() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let (a, b) = (Agent::join(&plane, "n1").await, Agent::join(&plane, "n2").await);
    plane.applied(&repository.commit(&with_data("place { pin \"n1\" }"))).await;
    assert!(runs(&a, "db[0]"));
    let elsewhere = with_data("place { pin \"n2\" }");
    plane.applied(&repository.commit(&elsewhere)).await;
    assert!(runs(&a, "db[0]") && !runs(&b, "db[0]"), "a line alone moves no data");
    // It is deleted, with its unit; the records know where its data is.
    let without = "cluster \"lab\" {\n    sync auto=#true prune=#true\n}\n\
                   service \"web\" { process \"web\"; resources memory=\"1MiB\" }\n";
    plane.applied(&repository.commit(without)).await;
    assert!(!runs(&a, "db[0]"));
    plane.applied(&repository.commit(&elsewhere)).await;
    assert!(runs(&a, "db[0]") && !runs(&b, "db[0]"), "it comes back to its data");
    let left = with_data("place { pin \"n2\" }; leave-data \"n1\"");
    plane.applied(&repository.commit(&left)).await;
    assert!(!runs(&a, "db[0]") && runs(&b, "db[0]"), "a word moves it");
    plane.applied(&repository.commit(&with_data("place { pin \"n1\" }"))).await;
    assert!(!runs(&a, "db[0]") && runs(&b, "db[0]"), "it was good for one move");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_protected_outlives_the_commit_that_deletes_it() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let a = Agent::join(&plane, "n1").await;
    // The line comes after the unit, which is told and runs on.
    plane.applied(&repository.commit(&with_data(""))).await;
    plane.applied(&repository.commit(&with_data("protect"))).await;
    assert!(a.machine().units[&"db[0]".parse().unwrap()].0.protect);
    let without = "cluster \"lab\" {\n    sync auto=#true prune=#true\n}\n\
                   service \"web\" { process \"web\"; resources memory=\"1MiB\" }\n";
    plane.applied(&repository.commit(without)).await;
    assert!(runs(&a, "db[0]"));
    let (_, plan) = plane.post("/api/v1/plans", &json!({})).await;
    assert_eq!(plan["changes"], json!([]), "{plan:#}");
    assert!(plan.to_string().contains("DN-W0621"), "{plan:#}");
    plane.applied(&repository.commit(&with_data(""))).await;
    plane.applied(&repository.commit(without)).await;
    assert!(!runs(&a, "db[0]"));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_node_lost_the_data_of_waits_until_a_commit_says_that_it_starts_without() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let a = Agent::join(&plane, "n1").await;
    plane.applied(&repository.commit(&with_data(""))).await;
    let id = "db[0]".parse().unwrap();
    plane.applied(&repository.commit(&with_data("replicas 0"))).await;
    assert!(!runs(&a, "db[0]"));
    // The disk is another one.
    let volumes = std::mem::take(&mut a.machine().volumes);
    a.report().await;
    let revision = repository.commit(&with_data(""));
    let waits = until("the plan says what is missing", || async {
        let (_, plan) = plane.post("/api/v1/plans", &json!({})).await;
        let told = plan.to_string().contains("n1 says that it has no volume `data` of it any more");
        told.then_some(plan)
    })
    .await;
    assert_eq!(waits["changes"], json!([]), "{waits:#}");
    assert!(!runs(&a, "db[0]"));
    // It is put back.
    a.machine().volumes = volumes.clone();
    a.report().await;
    plane.applied(&revision).await;
    assert!(runs(&a, "db[0]"));
    // It is gone for good.
    plane.applied(&repository.commit(&with_data("replicas 0"))).await;
    a.machine().volumes.clear();
    a.report().await;
    plane.applied(&repository.commit(&with_data("leave-data \"n1\""))).await;
    assert!(runs(&a, "db[0]"));
    assert!(a.machine().units.contains_key(&id) && a.machine().volumes == volumes);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_that_was_ordered_and_never_made_is_not_waited_for() {
    let Bed { dir: _dir, repository, plane } = bed().await;
    let mut a = Agent::join(&plane, "n1").await;
    plane.applied(&repository.commit(&with_data("replicas 0"))).await;
    // It is told to start, and is gone before it did anything.
    a.machine().hanging.insert("db[0]/start".to_owned());
    let revision = repository.commit(&with_data(""));
    until("it was told", || async {
        a.machine().steps.iter().any(|step| step.contains("db[0]/start")).then_some(())
    })
    .await;
    a.cut();
    a.status(&plane, "offline").await;
    a.machine().hanging.clear();
    a.connect(&plane.running).await;
    plane.applied(&revision).await;
    assert!(runs(&a, "db[0]"));
    plane.stop().await;
}
