//! What has not happened: what-if questions, explanations, drafts and their commits, and what is
//! left on record of who asked.

mod harness;

use std::{fs, path::Path, process::Command};

use devnet_reconciler::app::SourceSpec;
use harness::{Agent, Plane, Repository, config, lab::Lab};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const LAB: &str = r#"// The lab.
cluster "lab" {
    sync auto=#true
}

service "web" {
    process "serve" // by itself
    replicas 1
    resources cpu=0.5 memory="64MiB"
}
"#;

async fn lab() -> (Lab, Repository) {
    let (lab, repository) = Lab::following().await;
    lab.plane.applied(&repository.commit(LAB)).await;
    (lab, repository)
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_of_what_has_not_happened_is_saved_nowhere() {
    let (lab, _repository) = lab().await;
    let plane = &lab.plane;
    let body = json!({"suppose": [{"scale": {"service": "web", "replicas": 3}}]});
    let (status, answer) = plane.post("/api/v1/whatif", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["plan"]["summary"]["add"], 2);
    assert!(answer["losses"].is_null());
    let plans = plane.get::<Value>("/api/v1/plans").await;
    let id = answer["plan"]["id"].as_str().unwrap();
    assert!(!plans.to_string().contains(id), "nobody can apply it");
    // A node that does not exist, one that is lost, and an edit.
    let body = json!({"suppose": [
        {"with_node": {"cpu": 16, "memory": "64GiB", "name": "forge"}},
        {"without": "n1"},
        {"edit": {"scale": {"service": "web", "replicas": 2}}},
    ]});
    let (status, answer) = plane.post("/api/v1/whatif", &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let placed = answer["plan"]["placement"]["assignments"].as_array().unwrap();
    assert_eq!(placed.len(), 2);
    assert!(placed.iter().all(|it| it["node"] == "forge"), "{placed:?}");
    let (_, answer) = plane.post("/api/v1/whatif", &json!({"survive": true})).await;
    let losses = json!([{"node": "n1", "down": ["web[0]"], "data": [], "elsewhere": []}]);
    assert_eq!(answer["losses"], losses, "{answer}");
    let body = json!({"suppose": [{"drain": "n9"}]});
    let (status, answer) = plane.post("/api/v1/whatif", &body).await;
    assert_eq!((status.as_u16(), &answer["type"]), (422, &json!("not-there")), "{answer}");
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_explanation_is_that_of_the_command_line() {
    let (lab, _repository) = lab().await;
    lab.write(LAB);
    let over_http: Value = lab.plane.get("/api/v1/services/web/explain").await;
    let (status, printed) = lab.devnet(&["explain", "web", "--json"]).ended().await;
    assert!(status.success());
    let mut printed: Value = serde_json::from_str(&printed).unwrap();
    // In a commit and in a directory a file has the same name.
    printed["at"] = over_http["at"].clone();
    assert_eq!(over_http, printed);
    let one: Value = lab.plane.get("/api/v1/services/web/explain?node=n1").await;
    assert_eq!(one["nodes"].as_array().unwrap().len(), 1);
    for none in ["/api/v1/services/api/explain", "/api/v1/services/web/explain?node=n9"] {
        let answer = lab.plane.request(Method::GET, none).send().await.unwrap();
        assert!(matches!(answer.status().as_u16(), 404 | 422), "{none}");
    }
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draft_is_a_patch_that_git_takes_and_keeps_comments() {
    let (lab, repository) = lab().await;
    let plane = &lab.plane;
    let edits = json!([
        {"scale": {"service": "web", "replicas": 2}},
        {"service": {"name": "api", "image": "acme/api:1", "resources": {"cpu": "1"}}},
        {"node": {"name": "n1", "tags": ["ssd"]}},
    ]);
    let (status, draft) = plane.post("/api/v1/drafts", &json!({ "edits": edits })).await;
    assert_eq!(status, StatusCode::CREATED, "{draft}");
    let wrong = |draft: &Value| {
        let all = draft["diagnostics"].as_array().unwrap();
        all.iter().any(|found| found["severity"] == "error")
    };
    assert!(!wrong(&draft), "{draft}");
    let kdl = draft["kdl"].as_str().unwrap();
    assert!(kdl.contains("service \"api\" {\n    image \"acme/api:1\"\n"), "{kdl}");
    let patch = lab.dir.path().join("draft.patch");
    fs::write(&patch, draft["patch"].as_str().unwrap()).unwrap();
    git(&repository.dir, &["apply", "--check", patch.to_str().unwrap()]);
    git(&repository.dir, &["apply", patch.to_str().unwrap()]);
    let text = fs::read_to_string(repository.dir.join("cluster.kdl")).unwrap();
    assert_eq!(draft["files"]["cluster.kdl"], text);
    assert!(text.starts_with("// The lab.\n") && text.contains("process \"serve\" // by itself\n"));
    // It is planned as it stands, and changed as a whole.
    let path = format!("/api/v1/drafts/{}", draft["id"].as_str().unwrap());
    let asked = json!({"draft": draft["id"]});
    let (status, answer) = plane.post("/api/v1/whatif", &asked).await;
    assert_eq!((status, &answer["plan"]["summary"]["add"]), (StatusCode::OK, &json!(2)));
    let bad = json!({"edits": [{"service": {"name": "db", "component": "postgress"}}]});
    let changed = plane.request(Method::PATCH, &path).body(bad.to_string()).send().await.unwrap();
    let changed: Value = changed.json().await.unwrap();
    assert!(wrong(&changed), "{changed}");
    assert_eq!(changed["base"], draft["base"]);
    // It is nobody else's.
    let (_, key) = plane.post("/api/v1/apikeys", &json!({"name": "x", "role": "admin"})).await;
    let other = plane.bare(Method::GET, &path).bearer_auth(key["key"].as_str().unwrap());
    assert_eq!(other.send().await.unwrap().status(), 404);
    let commit = json!({"message": "Scale web", "branch": "devnet/web"});
    let (status, answer) = plane.post(&format!("{path}/commit"), &commit).await;
    assert_eq!((status.as_u16(), &answer["type"]), (409, &json!("source-read-only")));
    let gone = plane.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    assert_eq!(plane.request(Method::GET, &path).send().await.unwrap().status(), 404);
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draft_is_committed_where_that_is_allowed_and_the_commit_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let work = Repository::new(dir.path().join("work"));
    let base = work.commit(LAB);
    let bare = dir.path().join("bare.git");
    git(dir.path(), &["clone", "--quiet", "--bare", "work", "bare.git"]);
    let mut settings = config(dir.path(), None);
    settings.source = Some(SourceSpec {
        location: bare.display().to_string(),
        branch: Some("main".to_owned()),
        ..SourceSpec::default()
    });
    settings.source_write = true;
    let plane = Plane::start(settings).await;
    let agent = Agent::join(&plane, "n1").await;
    plane.applied(&base).await;
    let draft = async |replicas: u32| -> Value {
        let edits = json!([{"scale": {"service": "web", "replicas": replicas}}]);
        plane.post("/api/v1/drafts", &json!({ "edits": edits })).await.1
    };
    let commit = async |draft: &Value, branch: &str| -> (u16, Value) {
        let path = format!("/api/v1/drafts/{}/commit", draft["id"].as_str().unwrap());
        let body = json!({"message": "Scale web\n\nIt is busy.", "branch": branch});
        let (status, answer) = plane.post(&path, &body).await;
        (status.as_u16(), answer)
    };
    // On a branch of its own, which nothing follows.
    let (status, answer) = commit(&draft(2).await, "devnet/web").await;
    assert_eq!(status, 201, "{answer}");
    let made = answer["commit"].as_str().unwrap();
    let shown = git(&bare, &["log", "-1", "--format=%H %P %an %s", "devnet/web"]);
    assert_eq!(shown.trim(), format!("{made} {base} admin Scale web"));
    git(&bare, &["fsck", "--strict"]);
    // An editor leaves the branch that is followed alone.
    let (_, key) = plane.post("/api/v1/apikeys", &json!({"name": "ed", "role": "editor"})).await;
    let key = key["key"].as_str().unwrap();
    let edits = json!({"edits": [{"scale": {"service": "web", "replicas": 9}}]}).to_string();
    let theirs = plane.bare(Method::POST, "/api/v1/drafts").bearer_auth(key).body(edits);
    let theirs: Value = theirs.send().await.unwrap().json().await.unwrap();
    let path = format!("/api/v1/drafts/{}/commit", theirs["id"].as_str().unwrap());
    let body = json!({"message": "x", "branch": "main"}).to_string();
    let refused = plane.bare(Method::POST, &path).bearer_auth(key).body(body).send().await;
    assert_eq!(refused.unwrap().status(), 409);
    // On the branch that is followed; then what was edited before is no longer the newest.
    let (early, late) = (draft(3).await, draft(4).await);
    let (status, answer) = commit(&early, "main").await;
    assert_eq!(status, 201, "{answer}");
    plane.applied(answer["commit"].as_str().unwrap()).await;
    assert_eq!(agent.machine().units.len(), 3);
    let (status, answer) = commit(&late, "main").await;
    assert_eq!((status, &answer["type"]), (409, &json!("base-moved")), "{answer}");
    let (status, answer) = commit(&draft(1).await, "../x").await;
    assert_eq!(status, 422, "{answer}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_somebody_works_on_is_not_moved() {
    let dir = tempfile::tempdir().unwrap();
    let work = Repository::new(dir.path().join("work"));
    let base = work.commit(LAB);
    let mut settings = config(dir.path(), Some(&work));
    settings.source_write = true;
    let plane = Plane::start(settings).await;
    let edits = json!([{"scale": {"service": "web", "replicas": 2}}]);
    let (_, draft) = plane.post("/api/v1/drafts", &json!({ "edits": edits })).await;
    let path = format!("/api/v1/drafts/{}/commit", draft["id"].as_str().unwrap());
    let (status, answer) = plane.post(&path, &json!({"message": "x", "branch": "main"})).await;
    assert_eq!((status.as_u16(), &answer["type"]), (409, &json!("source-read-only")), "{answer}");
    assert_eq!(git(&work.dir, &["rev-parse", "main"]).trim(), base);
    assert_eq!(git(&work.dir, &["status", "--porcelain"]), "");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asked_for_what_is_on_record_and_so_are_refusals() {
    let lab = Lab::by_hand().await;
    let plane = &lab.plane;
    plane.set_secret("pw", "c4n4ry").await;
    let (_, key) = plane.post("/api/v1/apikeys", &json!({"name": "eve", "role": "viewer"})).await;
    let token = key["key"].as_str().unwrap();
    let refused = plane.bare(Method::DELETE, "/api/v1/nodes/n1").bearer_auth(token);
    assert_eq!(refused.send().await.unwrap().status(), 403);
    let audit: Value = plane.get("/api/v1/audit").await;
    let rows: Vec<(&str, &str, u64)> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap();
            (text("actor"), text("action"), row["outcome"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(rows[0], ("eve", "DELETE /api/v1/nodes/{id}", 403));
    assert_eq!(rows[1], ("admin", "POST /api/v1/apikeys", 201));
    assert_eq!(rows[2], ("admin", "PUT /api/v1/secrets/{name}", 200));
    assert_eq!(audit["items"][0]["subject"], "/api/v1/nodes/n1");
    assert_eq!(audit["items"][0]["role"], "viewer");
    assert!(!audit.to_string().contains("c4n4ry"));
    let found: Value = plane.get("/api/v1/audit?q=EVE").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let keys: Value = plane.get("/api/v1/apikeys").await;
    assert_eq!(keys["items"][0]["name"], "admin", "the key of the file stands first");
    assert!(keys["items"][1]["last_used_at"].is_string(), "{keys}");
    let path = format!("/api/v1/apikeys/{}", keys["items"][0]["id"].as_str().unwrap());
    let answer = plane.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    assert!(answer.text().await.unwrap().contains("move admin.key and client.yaml"));
    // What is not there yet says so, and is never an empty list.
    for path in ["/api/v1/models", "/api/v1/nodes/n1/usage", "/api/v1/users"] {
        let answer = plane.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED, "{path}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], "not-implemented");
        assert!(problem["detail"].is_string());
    }
    lab.plane.stop().await;
}
