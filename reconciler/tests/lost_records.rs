//! A control plane that lost its records while a node is away: nothing that may run there, or whose
//! data may be there, is started a second time.

mod harness;

use std::fs;

use devnet_reconciler::api::Status;
use devnet_schema::wire::Receipt;
use harness::{Agent, Plane, Repository, config, until};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;

const STORE: &str = r#"
cluster "lab" {
    sync auto=#true prune=#true
}
service "web" {
    process "web"
    resources memory="1MiB"
}
service "store" {
    process "store"
    volume "data" at="data"
    resources memory="1MiB"
}
"#;

struct Bed {
    dir: TempDir,
    repository: Repository,
    plane: Plane,
}

/// Two nodes that run everything; which of them has the data comes second.
async fn bed() -> (Bed, String, Agent, Agent) {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    let revision = repository.commit(STORE);
    until("the cluster has a name", || async { plane.status().await.cluster }).await;
    let (a, b) = (Agent::join(&plane, "n1").await, Agent::join(&plane, "n2").await);
    plane.applied(&revision).await;
    let (other, holder) = if runs(&a, "store[0]") { (b, a) } else { (a, b) };
    assert!(runs(&holder, "store[0]") && !runs(&other, "store[0]"));
    (Bed { dir, repository, plane }, revision, other, holder)
}

fn runs(agent: &Agent, id: &str) -> bool {
    agent.machine().units.contains_key(&id.parse().unwrap())
}

/// Stops the control plane, takes its records away, and starts it again.
async fn lose_records(bed: Bed) -> Bed {
    lose_with(bed, || {}).await
}

/// The same, and something else that happens in between.
async fn lose_with(bed: Bed, between: impl FnOnce()) -> Bed {
    let Bed { dir, repository, plane } = bed;
    plane.stop().await;
    between();
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(dir.path().join("data").join(file));
    }
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    Bed { dir, repository, plane }
}

/// Waits until the loop has said whom it waits for.
async fn waits_for(plane: &Plane, node: &str) -> Status {
    let wanted = format!("waiting for node {node} ");
    until("the loop waits for the node", || async {
        let events = plane.events().await;
        let said =
            events.iter().any(|event| event.kind == "sync" && event.message.contains(&wanted));
        said.then_some(())
    })
    .await;
    plane.status().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_records_start_nothing_that_a_node_which_is_away_may_hold() {
    let (bed, revision, mut other, mut holder) = bed().await;
    let name = holder.name.clone();
    holder.cut();
    other.cut();
    let bed = lose_records(bed).await;
    let plane = &bed.plane;
    other.connect(&plane.running).await;
    let status = waits_for(plane, name.as_str()).await;
    let told = status.problems.iter().find(|it| it.contains("were lost")).unwrap();
    assert!(told.contains(&format!("devnet node rm {name}")), "{told}");
    assert!(status.nodes.iter().any(|row| row.name == name), "{:?}", status.nodes);
    let problem = status.source.and_then(|source| source.problem).unwrap();
    assert_eq!(&problem, told);
    let (code, refused) = plane.post("/api/v1/plans", &json!({})).await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE, "{refused}");
    assert_eq!(refused["title"], json!(told));
    assert!(!runs(&other, "store[0]"), "its data is on {name}");

    // Also the next start waits, which finds the node on record again.
    other.cut();
    let Bed { dir, repository, plane } = bed;
    plane.stop().await;
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    other.connect(&plane.running).await;
    waits_for(&plane, name.as_str()).await;

    holder.connect(&plane.running).await;
    plane.applied(&revision).await;
    assert!(plane.deployments().await.is_empty(), "everything is adopted, and nothing changed");
    assert!(!runs(&other, "store[0]") && runs(&holder, "store[0]"));
    assert_eq!(plane.status().await.problems, Vec::<String>::new());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_taken_out_is_waited_for_no_longer() {
    let (bed, _, mut other, mut holder) = bed().await;
    let name = holder.name.clone();
    holder.cut();
    other.cut();
    let Bed { dir: _dir, plane, .. } = lose_records(bed).await;
    other.connect(&plane.running).await;
    waits_for(&plane, name.as_str()).await;
    let path = format!("/api/v1/nodes/{name}");
    let gone = plane.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    until("it is started elsewhere", || async { runs(&other, "store[0]").then_some(()) }).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_joined_before_there_was_a_list_are_put_on_it() {
    let (bed, _, other, holder) = bed().await;
    let Bed { dir, repository, plane } = bed;
    plane.stop().await;
    let list = dir.path().join("data/pki/joined");
    let before = fs::read_to_string(&list).unwrap();
    fs::remove_file(&list).unwrap();
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    assert_eq!(fs::read_to_string(&list).unwrap(), before);
    assert_eq!(before.lines().count(), 2);
    for agent in [&other, &holder] {
        assert!(before.contains(&format!("{} {}\n", agent.id, agent.name)), "{before}");
    }
    let path = format!("/api/v1/nodes/{}?force=true", other.name);
    let gone = plane.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let after = fs::read_to_string(&list).unwrap();
    assert_eq!(after, format!("{} {}\n", holder.id, holder.name));
    plane.stop().await;
}

/// A service with a secret that is pinned to a node.
fn pinned(node: &str, volume: &str) -> String {
    format!(
        "cluster \"lab\" {{\n sync auto=#true prune=#true\n}}\nservice \"store\" {{\n process \
         \"store\"\n {volume}\n env PW=\"{{{{ secret.pw }}}}\"\n resources memory=\"1MiB\"\n \
         place {{\n  pin \"{node}\"\n }}\n}}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_word_of_a_node_alone_gets_it_no_secret_of_what_is_not_to_run_there() {
    for volume in ["volume \"data\" at=\"data\"", ""] {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::new(dir.path().join("repository"));
        let plane = Plane::start(config(dir.path(), Some(&repository))).await;
        plane.set_secret("pw", "hunter2").await;
        let revision = repository.commit(&pinned("n1", volume));
        until("the cluster has a name", || async { plane.status().await.cluster }).await;
        let (mut a, mut b) = (Agent::join(&plane, "n1").await, Agent::join(&plane, "n2").await);
        plane.applied(&revision).await;
        a.cut();
        b.cut();
        repository.commit(&pinned("n2", volume));
        let bed = lose_records(Bed { dir, repository, plane }).await;
        let plane = &bed.plane;
        // Where it is to run is not there, so it is not moved.
        b.connect(&plane.running).await;
        until("n2 has said what it was told", || async {
            let events = plane.events().await;
            events.iter().any(|it| it.message.starts_with("n2 says that it was told")).then_some(())
        })
        .await;
        b.cut();
        b.status(plane, "offline").await;
        a.connect(&plane.running).await;
        let problem = until("the loop has decided", || async {
            let problem = plane.status().await.source?.problem?;
            let left = ["service.store[0] on n1", "that wait for a node with room for them: 1"];
            left.iter().any(|it| problem.contains(it)).then_some(problem)
        })
        .await;
        assert!(a.need("store[0]", "pw", 1).await.is_err(), "{volume}: {problem}");
        let events = plane.events().await;
        let adopted = events.iter().find(|it| it.message.starts_with("adopted"));
        assert!(adopted.is_none() && runs(&a, "store[0]"), "{volume}: {adopted:?}");
        if !volume.is_empty() {
            let (code, answer) = plane.post("/api/v1/nodes/n1/adopt", &json!(null)).await;
            assert_eq!(code, StatusCode::NO_CONTENT, "{answer}");
            until("an operator's word counts", || async { a.need("store[0]", "pw", 1).await.ok() })
                .await;
        }
        bed.plane.stop().await;
    }
}

/// The same where no line of the service is against the node: it has no receipt of the order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_receipt_gets_no_secret_and_no_order_before_an_operator_believes_it() {
    let file = |word: &str| {
        format!(
            "cluster \"lab\" {{\n sync auto=#true prune=#true\n}}\nservice \"store\" {{\n process \
             \"{word}\"\n env PW=\"{{{{ secret.pw }}}}\"\n resources memory=\"1MiB\"\n}}\n"
        )
    };
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    plane.set_secret("pw", "hunter2").await;
    let revision = repository.commit(&file("store"));
    until("the cluster has a name", || async { plane.status().await.cluster }).await;
    let mut a = Agent::join(&plane, "n1").await;
    plane.applied(&revision).await;
    a.cut();
    let shown = std::mem::take(&mut a.machine().receipts);
    assert_eq!(shown.len(), 1, "it came with the order");
    let forged = Receipt { generation: 1, proof: "0".repeat(64) };
    a.machine().receipts.insert("store[0]".parse().unwrap(), vec![forged]);
    repository.commit(&file("other"));
    let steps = a.machine().steps.len();
    let bed = lose_records(Bed { dir, repository, plane }).await;
    let plane = &bed.plane;
    a.connect(&plane.running).await;
    let problem = until("the loop holds", || async {
        let problem = plane.status().await.source?.problem?;
        problem.contains("has not shown the receipt").then_some(problem)
    })
    .await;
    assert!(problem.contains("n1 says that it was told to run store[0]"), "{problem}");
    assert!(a.need("store[0]", "pw", 1).await.is_err(), "{problem}");
    assert_eq!(a.machine().steps.len(), steps, "{problem}");
    let (code, answer) = plane.post("/api/v1/nodes/n1/adopt", &json!(null)).await;
    assert_eq!(code, StatusCode::NO_CONTENT, "{answer}");
    until("it is given the new version", || async {
        (a.machine().steps.len() > steps).then_some(())
    })
    .await;
    assert!(a.need("store[0]", "pw", 1).await.is_ok());
    bed.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_copy_is_named_and_the_one_with_the_data_can_be_kept() {
    let (bed, _, mut other, mut holder) = bed().await;
    // As it was before there was a list: the node is away, and nobody knows of it.
    holder.cut();
    other.cut();
    let (name, second) = (holder.name.clone(), other.name.clone());
    let list = bed.dir.path().join("data/pki/joined");
    let told = holder.machine().steps.len();
    let bed = lose_with(bed, || {
        let kept = fs::read_to_string(&list).unwrap();
        let kept = kept.lines().filter(|line| !line.ends_with(name.as_str()));
        let kept: String = kept.map(|line| format!("{line}\n")).collect();
        fs::write(&list, kept).unwrap();
    })
    .await;
    let plane = &bed.plane;
    other.connect(&plane.running).await;
    until("it is started anew", || async { runs(&other, "store[0]").then_some(()) }).await;
    plane.deployed().await;
    holder.connect(&plane.running).await;
    holder.online(plane).await;
    let is_stranger = || async {
        let rows = plane.status().await.services.into_iter().flat_map(|it| it.instances);
        let row = rows.into_iter().find(|it| it.node == name && it.id.to_string() == "store[0]")?;
        row.stranger.then_some(())
    };
    until("the status names the second copy", is_stranger).await;

    let path = format!("/api/v1/nodes/{name}/adopt");
    let (code, refused) = plane.post(&path, &json!(null)).await;
    assert_eq!(code, StatusCode::CONFLICT, "{refused}");
    let title = refused["title"].as_str().unwrap();
    assert!(title.contains(&format!("store[0] is ordered on {second}")), "{title}");
    assert!(refused["detail"].as_str().unwrap().contains("--instead"), "{refused}");
    let (_, plan) = plane.post("/api/v1/plans", &json!({})).await;
    let advice = format!("devnet node adopt {name} --instead");
    assert!(plan.to_string().contains(&advice), "{plan:#}");
    assert!(runs(&holder, "store[0]") && runs(&other, "store[0]"));

    let (code, answer) = plane.post(&format!("{path}?instead=true"), &json!(null)).await;
    assert_eq!(code, StatusCode::NO_CONTENT, "{answer}");
    until("the copy without the data is gone", || async {
        (!runs(&other, "store[0]")).then_some(())
    })
    .await;
    assert!(runs(&holder, "store[0]"), "what has the data runs on");
    let steps = holder.machine().steps.clone();
    let touched = steps[told..].iter().filter(|step| step.contains("store[0]")).count();
    assert_eq!(touched, 0, "and was not touched: {steps:?}");
    bed.plane.stop().await;
}
