//! Who may call what: every route of the table, by everyone there is, with real requests.

mod harness;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use devnet_reconciler::{
    api::{Problem, Role},
    app::{self, SourceSpec},
    auth::{Access, ROUTES, Route},
};
use harness::{Agent, Plane, config};
use reqwest::{Client, Identity, Method, RequestBuilder};
use serde_json::{Value, json};

/// Everyone who may ask.
struct Asker {
    name: &'static str,
    http: Client,
    token: Option<String>,
    role: Option<Role>,
    node: bool,
}

async fn key(plane: &Plane, role: &str) -> (String, String) {
    let body = json!({"name": format!("a {role}"), "role": role});
    let (status, answer) = plane.post("/api/v1/apikeys", &body).await;
    assert_eq!(status.as_u16(), 201, "{answer}");
    (answer["id"].as_str().unwrap().to_owned(), answer["key"].as_str().unwrap().to_owned())
}

async fn askers(plane: &Plane, agent: &Agent) -> Vec<Asker> {
    let plain = plane.http.clone();
    let mut all =
        vec![Asker { name: "nobody", http: plain.clone(), token: None, role: None, node: false }];
    for (name, role) in [
        ("viewer", Role::Viewer),
        ("planner", Role::Planner),
        ("editor", Role::Editor),
        ("admin", Role::Admin),
    ] {
        let token = Some(key(plane, name).await.1);
        all.push(Asker { name, http: plain.clone(), token, role: Some(role), node: false });
    }
    let ca = reqwest::Certificate::from_pem(plane.running.context().ca.as_bytes()).unwrap();
    let identity = Identity::from_pem(agent.identity().as_bytes()).unwrap();
    let builder = Client::builder().tls_certs_only([ca]).identity(identity).no_proxy();
    let http = builder.http1_only().build();
    all.push(Asker { name: "node", http: http.unwrap(), token: None, role: None, node: true });
    all
}

fn path(route: &Route) -> String {
    let path = route.pattern.replace("{id}", "nothing-0").replace("{name}", "nothing");
    if route.pattern == "/ws/logs" { format!("{path}?deployment=nothing") } else { path }
}

fn request(plane: &Plane, asker: &Asker, route: &Route) -> RequestBuilder {
    let url = format!("https://{}{}", plane.running.addr(), path(route));
    let method = Method::from_bytes(route.method.as_bytes()).unwrap();
    let mut request = asker.http.request(method, url);
    if let Some(token) = &asker.token {
        request = request.bearer_auth(token);
    }
    // A body that no handler takes: what passes the guard is refused by the handler.
    if route.method == "GET" { request } else { request.body("[0]") }
}

/// The status of HEAD, which is to be that of GET.
async fn head(plane: &Plane, asker: &Asker, route: &Route) -> u16 {
    let url = format!("https://{}{}", plane.running.addr(), path(route));
    let mut request = asker.http.head(url);
    if let Some(token) = &asker.token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap().status().as_u16()
}

fn may(asker: &Asker, access: Access) -> bool {
    match access {
        Access::Open | Access::JoinToken | Access::Login => true,
        Access::NodeSelf => asker.node,
        Access::Role(least) => asker.role.is_some_and(|role| role >= least),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_lets_in_exactly_whom_the_table_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), None);
    config.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(config).await;
    let agent = Agent::register(&plane, "n1").await;
    for asker in askers(&plane, &agent).await {
        for route in ROUTES {
            let response = request(&plane, &asker, route).send().await.unwrap();
            let status = response.status().as_u16();
            let kind = response.headers().get("content-type").cloned();
            let what = format!("{} {} by {}: {status}", route.method, route.pattern, asker.name);
            let upgrade = matches!(route.pattern, "/ws/logs" | "/api/v1/agent");
            if route.method == "GET" {
                let head = head(&plane, &asker, route).await;
                // A WebSocket begins with GET only; who may not begin one is told the same.
                let same = head == status || (upgrade && head == 405 && status < 500);
                assert!(same, "HEAD {head}, {what}");
            }
            let guarded = match (may(&asker, route.access), asker.role, asker.node) {
                (true, ..) => None,
                (false, None, false) => Some(401),
                (false, ..) => Some(403),
            };
            match guarded {
                Some(expected) => assert_eq!(status, expected, "{what}"),
                // The join token in the body is refused, by 400 or 401: that is the handler.
                None if route.access == Access::JoinToken => assert!(status < 500, "{what}"),
                None => assert!(!matches!(status, 401 | 403 | 405 | 500), "{what}"),
            }
            if status >= 400 {
                let kind = kind.unwrap();
                // The WebSocket handshake refuses what is none before any handler.
                assert!(kind == "application/problem+json" || upgrade, "{what} {kind:?}");
            }
        }
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_route_is_nothing_to_anyone() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(config(dir.path(), None)).await;
    for (method, path) in [
        (Method::GET, "/nodes"),
        (Method::POST, "/"),
        (Method::GET, "/api/v1"),
        (Method::GET, "/api/v1/nothing"),
        (Method::POST, "/healthz"),
        (Method::DELETE, "/api/v1/plans"),
        (Method::GET, "/api/v1/nodes/"),
        (Method::GET, "/api/v1/nodes/a/b/c"),
        (Method::GET, "/healthz/../api/v1/status"),
        (Method::GET, "//api/v1/status"),
        (Method::GET, "/api/v1/%6eodes"),
        (Method::OPTIONS, "/api/v1/nodes"),
    ] {
        let response = plane.bare(method.clone(), path).send().await.unwrap();
        let status = response.status().as_u16();
        assert!(matches!(status, 401 | 404), "{method} {path}: {status}");
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_speaks_for_itself_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), None);
    config.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(config).await;
    let (a, b) = (Agent::register(&plane, "n1").await, Agent::register(&plane, "n2").await);
    let asker = askers(&plane, &a).await.pop().unwrap();
    for (id, expected) in [(&*a.id, 204), ("n1", 204), (&*b.id, 404), ("n2", 404), ("n9", 404)] {
        let url = format!("https://{}/api/v1/nodes/{id}/heartbeat", plane.running.addr());
        let status = asker.http.post(url).send().await.unwrap().status();
        assert_eq!(status.as_u16(), expected, "{id}");
    }
    // Nor does it take the room of those who send files.
    let url = format!("https://{}/api/v1/nodes/n1/heartbeat", plane.running.addr());
    let large = asker.http.post(&url).body(" ".repeat(65 << 10)).send().await.unwrap();
    assert_eq!(large.status().as_u16(), 413);
    // What it says of its size is seen, whichever way it says it.
    for cores in [8, 100_000] {
        let mut facts = harness::agent::facts();
        facts.cpu_count = cores;
        let body = json!({ "facts": facts }).to_string();
        assert_eq!(asker.http.post(&url).body(body).send().await.unwrap().status().as_u16(), 204);
    }
    let grew = |text: &str| text.contains("cores from 8 to 100000");
    assert!(plane.events().await.iter().any(|event| grew(&event.message)));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_or_wrong_key_is_refused_and_locks_out_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), None);
    config.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(config).await;
    let (id, token) = key(&plane, "viewer").await;
    let status = |token: String| {
        let request = plane.bare(Method::GET, "/api/v1/status").bearer_auth(token);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(status(token.clone()).await, 200);
    let gone = plane.request(Method::DELETE, &format!("/api/v1/apikeys/{id}"));
    assert_eq!(gone.send().await.unwrap().status().as_u16(), 204);
    assert_eq!(status(token).await, 401);
    let mut last = 0;
    for _ in 0..40 {
        last = status("dnk_x_y".to_owned()).await;
    }
    assert_eq!(last, 429);
    // Those without a credential are not locked out by those with a wrong one, nor are those with
    // a right one: not the admin, nor a node that joins.
    let health = plane.bare(Method::GET, "/healthz").send().await.unwrap();
    assert_eq!(health.status().as_u16(), 200);
    assert_eq!(plane.request(Method::GET, "/api/v1/status").send().await.unwrap().status(), 200);
    let wrong = json!({"token": "no.token", "name": "n1", "csr": ""}).to_string();
    let register = plane.bare(Method::POST, "/api/v1/nodes/register").body(wrong);
    assert_eq!(register.send().await.unwrap().status().as_u16(), 429);
    Agent::register(&plane, "n1").await;
    let events = plane.events().await;
    let told: Vec<_> = events.iter().filter(|e| e.message.contains("was refused")).collect();
    assert_eq!(told.len(), 2, "one of the keys, one of the tokens: {told:?}");
    assert!(told.iter().all(|event| event.kind == "auth" && event.subject == "127.0.0.1"));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_token_is_good_once_and_only_once_the_cluster_has_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), None);
    let plane = Plane::start(config.clone()).await;
    let token = plane.running.join_token(None).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let csr = request.serialize_request(&key).unwrap().pem().unwrap();
    let body = |name: &str, token: &str| json!({"token": token, "name": name, "csr": csr});
    async fn join(plane: &Plane, body: Value) -> u16 {
        let request = plane.bare(Method::POST, "/api/v1/nodes/register").body(body.to_string());
        request.send().await.unwrap().status().as_u16()
    }
    assert_eq!(join(&plane, body("n1", token.expose())).await, 503);
    plane.stop().await;
    config.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(config).await;
    assert_eq!(join(&plane, body("n1", token.expose())).await, 201, "it was not used up");
    assert_eq!(join(&plane, body("n2", token.expose())).await, 401);
    let other = plane.running.join_token(Some("n3".parse().unwrap())).unwrap();
    assert_eq!(join(&plane, body("n4", other.expose())).await, 403);
    let again = plane.running.join_token(None).unwrap();
    assert_eq!(join(&plane, body("n1", again.expose())).await, 409, "the name is taken");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_are_documents_that_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(config(dir.path(), None)).await;
    let files = json!({"files": {"cluster.kdl": "cluster \"lab\" {\n  nonsense\n}\n"}});
    let (status, answer) = plane.post("/api/v1/plans", &files).await;
    assert_eq!(status.as_u16(), 422, "{answer}");
    let problem: Problem = serde_json::from_value(answer).unwrap();
    assert_eq!(problem.kind, "invalid-configuration");
    assert_eq!(problem.diagnostics[0].at.as_ref().unwrap().line, 2);
    let (status, answer) = plane.post("/api/v1/plans", &json!({"nonsense": 1})).await;
    assert_eq!((status.as_u16(), &answer["type"]), (400, &json!("bad-request")), "{answer}");
    let (status, _) = plane.post("/api/v1/plans/nothing/apply", &json!({})).await;
    assert_eq!(status.as_u16(), 404);
    let document: Value = plane.get("/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let text = plane.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(text.contains("devnet_cycle_duration_seconds"), "{text}");
    // Its answer may be lost, because the rest of the body is not read; the value must not get in.
    let large = plane.request(Method::PUT, "/api/v1/secrets/pw").body("x".repeat(9 << 20));
    if let Ok(response) = large.send().await {
        assert_eq!(response.status().as_u16(), 413);
    }
    let rows = plane.running.plane().secret_rows().unwrap();
    assert!(rows.is_empty(), "{rows:?}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_closed_to_other_users() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), None);
    let data = config.data_dir.clone();
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let plane = Plane::start(config).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_for_an_https_source_are_checked_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let login = dir.path().join("login");
    fs::write(&login, "c4n4ry\nand more\n").unwrap();
    fs::set_permissions(&login, fs::Permissions::from_mode(0o600)).unwrap();
    let refused = async |location: &str, login_file: Option<&Path>, ca_file: Option<&Path>| {
        let mut config = config(dir.path(), None);
        config.source = Some(SourceSpec {
            location: location.to_owned(),
            login_file: login_file.map(Path::to_owned),
            ca_file: ca_file.map(Path::to_owned),
            ..SourceSpec::default()
        });
        let error = app::start(config).await.err().expect("it does not start");
        format!("{error:#}")
    };
    let said = refused("https://git.example/x.git", Some(&login), None).await;
    assert!(said.contains("--source-login") && said.contains("holds no login"), "{said}");
    assert!(!said.contains("c4n4ry"), "{said}");
    let said = refused("https://git.example/x.git", None, Some(&dir.path().join("no.pem"))).await;
    assert!(said.contains("--source-ca") && said.contains("no.pem"), "{said}");
    let said = refused("git@git.example:x.git", Some(&login), None).await;
    assert!(said.contains("https:// source only"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_many_who_set_a_secret_at_once_is_told_the_version_of_their_own_value() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(config(dir.path(), None)).await;
    let mut all = tokio::task::JoinSet::new();
    for value in 0..24 {
        let request = plane.request(Method::PUT, "/api/v1/secrets/pw").body(format!("v{value}"));
        all.spawn(async move {
            let row: Value = request.send().await.unwrap().json().await.unwrap();
            row["version"].as_u64().unwrap()
        });
    }
    let mut versions: Vec<u64> = all.join_all().await;
    versions.sort_unstable();
    assert_eq!(versions, (1..=24).collect::<Vec<_>>());
    plane.stop().await;
}
