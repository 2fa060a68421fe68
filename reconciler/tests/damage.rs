//! A control plane whose records, secrets or clocks are damaged: what it says, what it goes on to
//! serve, and that it touches nothing.

mod harness;

use std::path::Path;

use devnet_reconciler::app::{ServeConfig, start};
use harness::{Agent, Plane, Repository, config, until};
use reqwest::{Method, StatusCode};

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

const SECRET_LINES: [&str; 2] =
    ["    env PASSWORD=\"{{ secret.pw }}\"\n", "    place { pin \"n1\" }\n"];

fn named(dir: &Path, repository: &Repository) -> ServeConfig {
    let mut config = config(dir, Some(repository));
    config.cluster = Some("lab".parse().unwrap());
    config
}

fn sql(dir: &Path, statement: &str) {
    let raw = rusqlite::Connection::open(dir.join("data/state.db")).unwrap();
    assert!(raw.execute(statement, []).unwrap() > 0, "{statement}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_cannot_be_read_are_named_and_hide_no_list_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let plane = Plane::start(named(dir.path(), &repository)).await;
    plane.set_secret("pw", "hunter2").await;
    let mut a = Agent::join(&plane, "n1").await;
    let revision = repository.commit(WITH_SECRET);
    plane.applied(&revision).await;
    let steps = a.machine().steps.len();
    plane.stop().await;
    for statement in [
        "UPDATE nodes SET facts = '{'",
        "UPDATE plans SET plan = '{' WHERE seq = (SELECT max(seq) FROM plans)",
        "UPDATE deployments SET errors = '3' WHERE seq = (SELECT max(seq) FROM deployments)",
        "UPDATE revisions SET files = '' WHERE seq = (SELECT max(seq) FROM revisions)",
        "UPDATE events SET message = CAST(x'ff' AS TEXT) WHERE seq = 2",
        "INSERT INTO api_keys (id, hash, name, role, created_at) VALUES ('x', '', '', '', '')",
        "INSERT INTO generations (instance, generation) VALUES ('a b', 1)",
    ] {
        sql(dir.path(), statement);
    }
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    a.connect(&plane.running).await;
    plane.applied(&revision).await;
    for path in ["nodes", "services", "instances", "plans", "deployments", "revisions", "events"] {
        let response = plane.request(Method::GET, &format!("/api/v1/{path}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    let keys = plane.request(Method::GET, "/api/v1/apikeys").send().await.unwrap();
    assert_eq!(keys.status(), StatusCode::OK);
    let problems = plane.status().await.problems.join("\n");
    for kind in ["node", "plan", "deployment", "revision", "event 2", "API key", "generation"] {
        assert!(problems.contains(&format!("the record of {kind}")), "{kind}: {problems}");
    }
    assert_eq!(a.machine().steps.len(), steps, "nothing was told to change");
    let fleet: serde_json::Value = plane.get("/api/v1/fleet").await;
    assert_eq!(fleet["nodes"][0]["cordoned"], false, "its own report mended the record");
    assert!(a.need("db[0]", "pw", 1).await.is_ok());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_cannot_be_read_is_unknown_and_nothing_is_planned_before_its_node_told() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let plane = Plane::start(named(dir.path(), &repository)).await;
    let mut a = Agent::join(&plane, "n1").await;
    let mut b = Agent::join(&plane, "n2").await;
    let anywhere =
        SECRET_LINES.iter().fold(WITH_SECRET.to_owned(), |text, line| text.replace(line, ""));
    let revision = repository.commit(&anywhere);
    plane.applied(&revision).await;
    let (one, other) = (a.machine().units.len(), b.machine().units.len());
    assert_eq!(one + other, 1);
    let (there, empty) = if one == 1 { (&mut a, &mut b) } else { (&mut b, &mut a) };
    let steps = there.machine().steps.len();
    plane.stop().await;
    for damage in ["spec = 'x'", "instance = 'd b'"] {
        sql(dir.path(), &format!("UPDATE assignments SET {damage}"));
        let plane = Plane::start(config(dir.path(), Some(&repository))).await;
        empty.connect(&plane.running).await;
        // Longer than the grace after a start: the node may never come.
        let said = until("it is told why nothing is planned", || async {
            let problem = plane.status().await.source?.problem?;
            problem.contains("cannot be read").then_some(problem)
        })
        .await;
        assert!(said.contains("nothing is planned before"), "{said}");
        let (status, answer) = plane.post("/api/v1/plans", &serde_json::json!({})).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "nor by hand: {answer}");
        there.connect(&plane.running).await;
        until("it is planned", || async {
            plane.status().await.source?.problem.is_none().then_some(())
        })
        .await;
        assert_eq!(empty.machine().units.len(), 0, "no second copy");
        assert_eq!(there.machine().steps.len(), steps, "and the first was left alone");
        plane.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_planned_by_hand_before_agents_had_time_to_come_back_to_lost_records() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let by_hand = WITH_SECRET.replace("auto=#true", "auto=#false").replace(SECRET_LINES[0], "");
    let plane = Plane::start(named(dir.path(), &repository)).await;
    let mut a = Agent::join(&plane, "n1").await;
    repository.commit(&by_hand);
    let starts = async |plane: &Plane| {
        let (status, plan) = plane.post("/api/v1/plans", &serde_json::json!({})).await;
        (status, plan["type"].clone(), plan["changes"].as_array().map(Vec::len))
    };
    until("it is planned", || async { (starts(&plane).await.2 == Some(1)).then_some(()) }).await;
    let (_, plan) = plane.post("/api/v1/plans", &serde_json::json!({})).await;
    let apply = format!("/api/v1/plans/{}/apply", plan["id"].as_str().unwrap());
    assert_eq!(plane.post(&apply, &serde_json::json!({})).await.0, StatusCode::ACCEPTED);
    plane.deployed().await;
    plane.stop().await;
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join("data").join(file));
    }
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    let (status, kind, _) = starts(&plane).await;
    assert_eq!((status, kind.as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("not-ready")));
    a.connect(&plane.running).await;
    until("it is planned again", || async {
        let (status, _, changes) = starts(&plane).await;
        (status == StatusCode::CREATED).then(|| assert_eq!(changes, Some(0), "it runs already"))
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_record_is_damaged_can_be_removed_and_is_mended_when_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let plane = Plane::start(named(dir.path(), &repository)).await;
    let mut a = Agent::join(&plane, "n1").await;
    let b = Agent::join(&plane, "n2").await;
    plane.set_secret("pw", "hunter2").await;
    plane.applied(&repository.commit(WITH_SECRET)).await;
    plane.stop().await;
    sql(dir.path(), "UPDATE nodes SET tags = '['");
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    let remove = format!("/api/v1/nodes/{}?force=true", b.name);
    let gone = plane.request(Method::DELETE, &remove).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    a.connect(&plane.running).await;
    a.online(&plane).await;
    assert!(a.need("db[0]", "pw", 1).await.is_ok(), "it is served");
    let fleet: serde_json::Value = plane.get("/api/v1/fleet").await;
    let node = &fleet["nodes"][0];
    assert_eq!((&node["name"], &node["cordoned"]), (&"n1".into(), &true.into()), "and shut");
    let open = plane.post("/api/v1/nodes/n1/uncordon", &serde_json::json!({})).await.0;
    assert_eq!(open, StatusCode::NO_CONTENT);
    plane.stop().await;
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    let fleet: serde_json::Value = plane.get("/api/v1/fleet").await;
    assert_eq!(fleet["nodes"][0]["cordoned"], false);
    assert!(!plane.status().await.problems.iter().any(|it| it.contains("node")));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_or_lost_database_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    Plane::start(config(dir.path(), None)).await.stop().await;
    let refused = async || {
        let error = start(config(dir.path(), None)).await.err().expect("it does not start");
        format!("{error:#}")
    };
    for (file, said) in [
        ("state.db", "state.db is damaged: put back a backup"),
        ("secrets/secrets.db", "secrets.db is damaged: put back a backup"),
        ("admin.key", "admin.key holds no key"),
        ("cluster", "does not hold the cluster's name"),
    ] {
        let path = dir.path().join("data").join(file);
        let kept = std::fs::read(&path).unwrap_or_default();
        std::fs::write(&path, [0xff; 5000]).unwrap();
        let error = refused().await;
        assert!(error.contains(said), "{file}: {error}");
        for word in ["UTF-8", "malformed", "not a database", "invalid"] {
            assert!(!error.contains(word), "{file}: a library's word: {error}");
        }
        match kept.is_empty() {
            true => std::fs::remove_file(&path).unwrap(),
            false => std::fs::write(&path, kept).unwrap(),
        }
    }
    std::fs::remove_file(dir.path().join("data/secrets/secrets.db")).unwrap();
    let error = refused().await;
    assert!(error.contains("secrets.db is gone or empty"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_the_secrets_gives_no_value_another_number() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let plane = Plane::start(named(dir.path(), &repository)).await;
    plane.set_secret("pw", "first").await;
    let mut a = Agent::join(&plane, "n1").await;
    let revision = repository.commit(WITH_SECRET);
    plane.applied(&revision).await;
    plane.stop().await;
    let secrets = dir.path().join("data/secrets/secrets.db");
    let older = std::fs::read(&secrets).unwrap();
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    a.connect(&plane.running).await;
    plane.set_secret("pw", "second").await;
    until("version 2 runs", || async {
        a.machine().units.values().any(|(spec, _)| spec.secrets()[0].version == 2).then_some(())
    })
    .await;
    until("it is applied", || async {
        let newest = plane.deployments().await.into_iter().next()?;
        (newest.ended_at.is_some()).then_some(())
    })
    .await;
    plane.stop().await;
    std::fs::write(&secrets, older).unwrap();
    let plane = Plane::start(config(dir.path(), Some(&repository))).await;
    a.connect(&plane.running).await;
    a.online(&plane).await;
    let told = plane.events().await.into_iter().find(|event| event.message.contains("is in use"));
    assert!(told.unwrap().message.starts_with("version 2 of this secret"));
    assert!(a.need("db[0]", "pw", 2).await.is_err(), "no other value in its place");
    plane.set_secret("pw", "third").await;
    until("version 3 runs", || async {
        a.machine().units.values().any(|(spec, _)| spec.secrets()[0].version == 3).then_some(())
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_wrong_is_shown_with_how_far() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), None);
    config.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(config).await;
    let a = Agent::join(&plane, "n1").await;
    assert_eq!(plane.status().await.nodes[0].problem, None, "it says no time");
    a.machine().clock_millis = Some(0);
    let said = until("the clock is told", || async {
        plane.status().await.nodes.into_iter().next()?.problem
    })
    .await;
    assert!(said.starts_with("its clock is ") && said.contains("behind that of"), "{said}");
    plane.stop().await;
}
