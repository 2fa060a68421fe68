//! What a page reads: lists with what changed since, details, steps, units, tokens and parts of
//! logs, over real HTTP.

mod harness;

use devnet_reconciler::api::LogEntry;
use harness::{Agent, Plane, lab::Lab, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const SHOP: &str = r#"
cluster "lab" { sync auto=#true prune=#true; }
node "n1" { tags "ssd"; zone "a"; reserve cpu=1 memory="1GiB"; }
service "db" {
    process "serve" "db"
    resources cpu=0.5 memory="64MiB"
    place { require tag="ssd"; }
}
service "web" {
    process "serve" "web"
    replicas 2
    priority 70
    depends-on "db"
    resources cpu=0.25 memory="32MiB"
}
"#;

async fn shop() -> Lab {
    let (lab, repository) = Lab::following().await;
    lab.plane.applied(&repository.commit(SHOP)).await;
    lab
}

fn names(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|it| it["name"].as_str().or(it["id"].as_str()).unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_tell_sizes_and_what_is_placed_and_what_a_service_is_made_of() {
    let lab = shop().await;
    let nodes: Value = lab.plane.get("/api/v1/nodes").await;
    let node = &nodes["items"][0];
    assert_eq!((&node["zone"], &node["tags"]), (&json!("a"), &json!(["ssd"])));
    let cpu = &node["room"]["cpu_milli"];
    assert_eq!((&cpu["reserved"], &cpu["placed"]), (&json!(1000), &json!(1000)), "{node}");
    assert!(cpu["whole"].as_u64().unwrap() > 1000);
    let memory = &node["room"]["memory_mb"];
    assert_eq!((&memory["reserved"], &memory["placed"]), (&json!(1024), &json!(128)));
    assert!(node["engines"].as_array().unwrap().iter().any(|it| it["name"] == "process"));
    let services: Value = lab.plane.get("/api/v1/services").await;
    assert_eq!(names(&services), ["db", "web"]);
    let (db, web) = (&services["items"][0], &services["items"][1]);
    assert_eq!((&web["form"], &web["priority"]), (&json!("process"), &json!(70)));
    assert_eq!(web["depends_on"], json!(["db"]));
    assert_eq!(db["place"], json!(["require tag=ssd"]));
    assert!(web["at"].as_str().unwrap().starts_with("cluster.kdl:9:"), "{web}");
    assert_eq!(web["resources"]["memory_mb"], 32);
    let one: Value = lab.plane.get("/api/v1/services/db").await;
    assert_eq!(one, *db);
    let status = until("nothing is left to do", async || {
        let status: Value = lab.plane.get("/api/v1/status").await;
        (status["loop"]["state"] == "idle").then_some(status)
    })
    .await;
    assert_eq!(status["counts"]["nodes"], json!({"online": 1, "offline": 0, "lost": 0}));
    assert_eq!(status["counts"]["services"]["healthy"], 2);
    assert_eq!(status["held"], Value::Null);
    assert_eq!(status["planned"], status["source"]["applied"]);
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_read_again_as_what_changed_since() {
    let lab = shop().await;
    let plane = &lab.plane;
    let first: Value = plane.get("/api/v1/nodes").await;
    let serial = first["serial"].as_u64().unwrap();
    let since = |serial: u64| format!("/api/v1/nodes?since={serial}");
    let again: Value = plane.get(&since(serial)).await;
    assert_eq!((&again["items"], &again["serial"]), (&json!([]), &json!(serial)), "{again}");
    let _second = Agent::join(plane, "n2").await;
    let changed = until("the new node is told", async || {
        let changed: Value = plane.get(&since(serial)).await;
        (!names(&changed).is_empty()).then_some(changed)
    })
    .await;
    assert_eq!(names(&changed), ["n2"], "and nothing else");
    let gone = plane.request(Method::DELETE, "/api/v1/nodes/n2?force=true").send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let serial = changed["serial"].as_u64().unwrap();
    let after: Value = plane.get(&since(serial)).await;
    assert_eq!((&after["gone"], &after["items"]), (&json!(["n2"]), &json!([])), "{after}");
    // Of another start, the whole list.
    let whole: Value = plane.get(&since(1)).await;
    assert_eq!((&whole["whole"], names(&whole)), (&json!(true), vec!["n1".to_owned()]));
    // What is the same is not sent again.
    let answer = plane.request(Method::GET, "/api/v1/services").send().await.unwrap();
    let tag = answer.headers()["etag"].clone();
    assert_eq!(answer.headers()["cache-control"], "private, no-cache");
    let again = plane.request(Method::GET, "/api/v1/services").header("if-none-match", tag);
    assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_filtered_and_sorted() {
    let lab = shop().await;
    let of = async |path: &str| -> Vec<String> { names(&lab.plane.get::<Value>(path).await) };
    assert_eq!(of("/api/v1/instances").await, ["db[0]", "web[0]", "web[1]"]);
    assert_eq!(of("/api/v1/instances?service=web").await, ["web[0]", "web[1]"]);
    assert_eq!(of("/api/v1/instances?q=DB").await, ["db[0]"]);
    assert_eq!(of("/api/v1/instances?node=n9").await, Vec::<String>::new());
    assert_eq!(of("/api/v1/instances?state=healthy&sort=-name&limit=1").await, ["web[1]"]);
    assert_eq!(of("/api/v1/services?state=degraded").await, Vec::<String>::new());
    assert_eq!(of("/api/v1/nodes?q=ssd").await, ["n1"]);
    let bad = lab.plane.request(Method::GET, "/api/v1/nodes?sort=colour").send().await.unwrap();
    assert_eq!(bad.status(), 400);
    let events: Value = lab.plane.get("/api/v1/events?kind=apply&limit=1").await;
    assert_eq!(events["items"][0]["kind"], "apply");
    let none: Value = lab.plane.get("/api/v1/events?kind=apply&q=nothing+like+it").await;
    assert_eq!(none["items"], json!([]));
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_tells_its_steps_and_units_and_a_plan_what_moved() {
    let (lab, repository) = Lab::following().await;
    let plane = &lab.plane;
    lab.agent.machine().hanging.insert("await-healthy".to_owned());
    repository.commit(SHOP);
    lab.is_sent("db[0]/await-healthy").await;
    let id = plane.deployments().await[0].id.clone();
    let steps: Value = plane.get(&format!("/api/v1/deployments/{id}/steps")).await;
    let step = |id: &str| {
        steps.as_array().unwrap().iter().find(|it| it["id"] == id).unwrap_or_else(|| panic!("{id}"))
    };
    assert_eq!(step("db[0]/start")["state"], "succeeded");
    assert!(step("db[0]/start")["ended"].is_string());
    let web = step("web[0]/start");
    assert_eq!(web["state"], "waiting");
    let blocked = web["blocked_by"].as_array().unwrap();
    assert!(blocked.contains(&json!("db[0]/await-healthy")), "{web}");
    let units: Value = plane.get(&format!("/api/v1/deployments/{id}/units")).await;
    assert_eq!(units[0]["instance"], "db[0]");
    assert!(units[0]["compose"].as_str().unwrap().contains("serve"), "{units}");
    let cancelled = plane.post(&format!("/api/v1/deployments/{id}/cancel"), &json!({})).await;
    assert_eq!(cancelled.0, StatusCode::ACCEPTED);
    plane.deployed().await;
    let steps: Value = plane.get(&format!("/api/v1/deployments/{id}/steps")).await;
    let last = steps.as_array().unwrap().iter().find(|it| it["id"] == "web[0]/start").unwrap();
    assert_eq!(last["state"], "not-run");
    let unit: Value = plane.get("/api/v1/instances/db-0/compose").await;
    assert_eq!(unit["node"], "n1");
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_plan_says_what_moved_since() {
    let lab = Lab::by_hand().await;
    let plane = &lab.plane;
    let body = json!({"files": {"cluster.kdl": SHOP}});
    let (status, plan) = plane.post("/api/v1/plans", &body).await;
    assert_eq!(status, StatusCode::CREATED, "{plan}");
    let id = plan["id"].as_str().unwrap();
    let rows: Value = plane.get("/api/v1/plans").await;
    let row = &rows["items"][0];
    assert_eq!((&row["applicable"], &row["errors"]), (&json!(true), &json!(0)), "{row}");
    assert_eq!((&row["moves"], &row["unplaced"]), (&json!(0), &json!(0)));
    let stale = async || plane.get::<Value>(&format!("/api/v1/plans/{id}/stale")).await;
    assert_eq!(stale().await["moved"], json!([]));
    let _second = Agent::join(plane, "n2").await;
    assert_eq!(stale().await["moved"], json!(["the nodes"]));
    let none = plane.request(Method::GET, "/api/v1/plans/nothing/stale").send().await.unwrap();
    assert_eq!(none.status(), 404);
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_token_comes_with_the_line_to_run_and_can_be_withdrawn() {
    let lab = Lab::by_hand().await;
    let plane = &lab.plane;
    let (status, made) = plane.post("/api/v1/nodes/tokens", &json!({"node": "n7"})).await;
    assert_eq!(status, StatusCode::CREATED);
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert!(token.contains(id));
    assert_eq!(made["server"], format!("https://{}", plane.running.addr()));
    let command = made["command"].as_str().unwrap();
    assert!(command.contains(token) && command.contains("--name n7 --token-file -"), "{command}");
    let rows: Value = plane.get("/api/v1/nodes/tokens").await;
    assert_eq!((&rows["items"][0]["id"], &rows["items"][0]["node"]), (&json!(id), &json!("n7")));
    assert!(!rows.to_string().contains(token.rsplit('.').next().unwrap()));
    let withdraw = async || {
        let path = format!("/api/v1/nodes/tokens/{id}");
        plane.request(Method::DELETE, &path).send().await.unwrap().status().as_u16()
    };
    assert_eq!((withdraw().await, withdraw().await), (204, 404));
    let body = json!({"token": token, "name": "n7", "csr": ""}).to_string();
    let join = plane.bare(Method::POST, "/api/v1/nodes/register").body(body);
    assert_eq!(join.send().await.unwrap().status(), 401);
    lab.plane.stop().await;
}

async fn log(plane: &Plane, query: &str) -> String {
    let path = format!("/api/v1/instances/db-0/logs?tail=all&{query}");
    plane.request(Method::GET, &path).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_a_log_is_found_by_its_text_and_kept_as_text() {
    let lab = shop().await;
    lab.agent.machine().log.lines = 100;
    let found = log(&lab.plane, &format!("q={}", harness::logs::text(42))).await;
    let lines: Vec<LogEntry> =
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &*lines[0].text), (2, &*harness::logs::text(42)), "and the end");
    let path = "/api/v1/instances/db-0/logs?tail=all&download=true";
    let answer = lab.plane.request(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(answer.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let text = answer.text().await.unwrap();
    assert_eq!(text.lines().count(), 100);
    assert!(text.lines().next().unwrap().ends_with(&harness::logs::text(1)), "{text}");
    let bad = "/api/v1/instances/db-0/logs?since=yesterday";
    assert_eq!(lab.plane.request(Method::GET, bad).send().await.unwrap().status(), 400);
    lab.plane.stop().await;
}
