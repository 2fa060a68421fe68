//! What a browser meets: pages and files, sessions, the stream of changes, HTTP/2.
//!
//! Real requests over real TLS, with the headers that browsers send. A test of pages needs no built
//! UI: where it was not built, the page says how to get it.

mod harness;

use std::{path::PathBuf, sync::Arc};

use axum::body::Bytes;
use devnet_reconciler::api::{Page, session::SessionRow};
use futures_util::StreamExt;
use harness::{Agent, DEADLINE, Plane, config, lab::Lab, until};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header::HeaderMap};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A browser in a session.
struct Browser<'p> {
    plane: &'p Plane,
    cookie: String,
    csrf: String,
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(|it| it.to_str().unwrap().to_owned()).unwrap_or_default()
}

async fn login(plane: &Plane, body: &Value) -> Response {
    let request = plane.bare(Method::POST, "/api/v1/session").body(body.to_string());
    request.header("sec-fetch-site", "same-origin").send().await.unwrap()
}

async fn key(plane: &Plane, role: &str) -> (String, String) {
    let body = json!({"name": format!("a {role}"), "role": role});
    let (_, answer) = plane.post("/api/v1/apikeys", &body).await;
    (answer["id"].as_str().unwrap().to_owned(), answer["key"].as_str().unwrap().to_owned())
}

impl<'p> Browser<'p> {
    async fn of(plane: &'p Plane, key: &str) -> Self {
        Self::begin(plane, &json!({ "key": key })).await
    }

    async fn begin(plane: &'p Plane, body: &Value) -> Self {
        let response = login(plane, body).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        let set = header(response.headers(), "set-cookie");
        for part in ["__Host-devnet=", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
            assert!(set.contains(part), "{set}");
        }
        let cookie = set.split(';').next().unwrap().to_owned();
        let session: Value = response.json().await.unwrap();
        let csrf = session["csrf"].as_str().unwrap().to_owned();
        assert!(!cookie.contains(&csrf));
        Self { plane, cookie, csrf }
    }

    /// A request of its own page.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.plane.bare(method.clone(), path).header("cookie", &self.cookie);
        let request = request.header("sec-fetch-site", "same-origin");
        if method == Method::GET { request } else { request.header("x-devnet-csrf", &self.csrf) }
    }

    async fn status(&self, method: Method, path: &str) -> u16 {
        self.request(method, path).send().await.unwrap().status().as_u16()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_carry_a_policy_that_lets_nothing_foreign_run() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(config(dir.path(), None)).await;
    let mut nonces = Vec::new();
    for path in ["/", "/nodes", "/services/web", "/login"] {
        let request = plane.bare(Method::GET, path).header("accept", "text/html,*/*;q=0.8");
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(header(&headers, "content-type"), "text/html; charset=utf-8");
        assert_eq!(header(&headers, "cache-control"), "no-store");
        assert_eq!(header(&headers, "cross-origin-opener-policy"), "same-origin");
        assert_eq!(header(&headers, "x-content-type-options"), "nosniff");
        assert_eq!(header(&headers, "referrer-policy"), "no-referrer");
        let policy = header(&headers, "content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self';",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        let text = response.text().await.unwrap();
        assert!(!text.contains("__CSP_NONCE__") && text.contains("devnet"), "{text}");
        nonces.push(nonce.to_owned());
    }
    nonces.dedup();
    assert_eq!(nonces.len(), 4, "no nonce twice");
    // Other answers are no pages.
    let answer = plane.request(Method::GET, "/api/v1/whoami").send().await.unwrap();
    assert_eq!(header(answer.headers(), "cache-control"), "no-store");
    let policy = header(answer.headers(), "content-security-policy");
    assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
    for path in ["/api/v1/nothing", "/ws/nothing", "/api/"] {
        let request = plane.bare(Method::GET, path).header("accept", "text/html");
        let response = request.send().await.unwrap();
        assert_eq!(header(response.headers(), "content-type"), "application/problem+json");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(plane.bare(Method::GET, "/nodes").send().await.unwrap().status(), 404);
    plane.stop().await;
}

/// The files that the program was built with, from where it was built.
fn dist() -> Option<PathBuf> {
    let dist = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("ui/dist");
    dist.join("index.html").is_file().then_some(dist)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ui_is_in_the_program_as_it_was_built() {
    let Some(dist) = dist() else {
        // `make test` builds it, unless DEVNET_UI=0 says not to.
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(config(dir.path(), None)).await;
    let request = plane.bare(Method::GET, "/").header("accept", "text/html");
    let page = request.send().await.unwrap().text().await.unwrap();
    let script = page.split("src=\"/").nth(1).unwrap().split('"').next().unwrap();
    assert!(script.starts_with("assets/"), "{script}");
    let path = format!("/{script}");
    for (accepts, end) in [("br, gzip", ".br"), ("gzip", ".gz"), ("identity", "")] {
        let request = plane.bare(Method::GET, &path).header("accept-encoding", accepts);
        let response = request.send().await.unwrap();
        let headers = response.headers().clone();
        assert_eq!(header(&headers, "cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(header(&headers, "content-type"), "text/javascript; charset=utf-8");
        assert_eq!(header(&headers, "vary"), "Accept-Encoding");
        let built = std::fs::read(dist.join(format!("{script}{end}"))).unwrap();
        assert_eq!(response.bytes().await.unwrap(), built, "{accepts}");
    }
    assert_eq!(
        plane.bare(Method::GET, "/assets/../index.html").send().await.unwrap().status(),
        404
    );
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_may_do_what_its_key_may_and_ends_with_its_logout() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(config(dir.path(), None)).await;
    let (_, viewer) = key(&plane, "viewer").await;
    let browser = Browser::of(&plane, &viewer).await;
    let session: Value =
        browser.request(Method::GET, "/api/v1/session").send().await.unwrap().json().await.unwrap();
    assert_eq!((&session["name"], &session["role"]), (&json!("a viewer"), &json!("viewer")));
    assert_eq!(session["csrf"], browser.csrf.as_str());
    assert_eq!(browser.status(Method::GET, "/api/v1/status").await, 200);
    assert_eq!(browser.status(Method::POST, "/api/v1/sync").await, 403, "it is a viewer's");
    let rows: Page<SessionRow> = plane.get("/api/v1/sessions").await;
    assert_eq!((&*rows.items[0].name, &*rows.items[0].from), ("a viewer", "127.0.0.1"));
    // Whoever is in it sees that a stream ends, and why.
    let stream = browser.request(Method::GET, "/api/v1/watch").send().await.unwrap();
    assert_eq!(browser.status(Method::DELETE, "/api/v1/session").await, 204);
    let said = tokio::time::timeout(DEADLINE, stream.text()).await.unwrap().unwrap();
    assert_eq!(said.lines().last(), Some("{\"error\":\"session-ended\"}"), "{said}");
    assert_eq!(browser.status(Method::GET, "/api/v1/status").await, 401);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_its_key_is_revoked_or_an_admin_ends_it_and_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let settings = config(dir.path(), None);
    let plane = Plane::start(settings.clone()).await;
    let (id, editor) = key(&plane, "editor").await;
    let first = Browser::of(&plane, &editor).await;
    let second = Browser::of(&plane, &editor).await;
    let rows: Page<SessionRow> = plane.get("/api/v1/sessions").await;
    let path = format!("/api/v1/sessions/{}", rows.items[1].id);
    let ended = plane.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(ended.status(), 204);
    assert_eq!(first.status(Method::GET, "/api/v1/status").await, 401);
    assert_eq!(second.status(Method::GET, "/api/v1/status").await, 200);
    let cookie = second.cookie.clone();
    plane.stop().await;
    let plane = Plane::start(settings).await;
    let again = Browser { plane: &plane, cookie, csrf: String::new() };
    assert_eq!(again.status(Method::GET, "/api/v1/status").await, 200, "after a restart");
    let stream = again.request(Method::GET, "/api/v1/watch").send().await.unwrap();
    let gone = plane.request(Method::DELETE, &format!("/api/v1/apikeys/{id}")).send().await;
    assert_eq!(gone.unwrap().status(), 204);
    let said = tokio::time::timeout(DEADLINE, stream.text()).await.unwrap().unwrap();
    assert!(said.ends_with("{\"error\":\"session-ended\"}\n"), "{said}");
    assert_eq!(again.status(Method::GET, "/api/v1/status").await, 401);
    let rows: Page<SessionRow> = plane.get("/api/v1/sessions").await;
    assert!(rows.items.is_empty());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_our_own_page_changes_something_by_a_session() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(config(dir.path(), None)).await;
    let admin = plane.running.context().token.expose().to_owned();
    let browser = Browser::of(&plane, &admin).await;
    assert_eq!(browser.status(Method::POST, "/api/v1/sync").await, 202);
    let origin = format!("https://{}", plane.running.addr());
    let sync = |headers: &[(&str, &str)]| {
        let mut request = plane.bare(Method::POST, "/api/v1/sync");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("cookie", &browser.cookie);
        async move {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let problem: Value = answer.json().await.unwrap_or_default();
            (status, problem["type"].as_str().unwrap_or_default().to_owned())
        }
    };
    let csrf = ("x-devnet-csrf", &*browser.csrf);
    assert_eq!(sync(&[csrf, ("origin", &origin)]).await.0, 202, "an older browser");
    let cross = (403, "cross-site".to_owned());
    assert_eq!(sync(&[csrf]).await, cross, "no sign of our page");
    assert_eq!(sync(&[csrf, ("sec-fetch-site", "cross-site")]).await, cross);
    assert_eq!(sync(&[csrf, ("sec-fetch-site", "same-site")]).await, cross);
    assert_eq!(sync(&[csrf, ("origin", "https://evil.example")]).await, cross);
    assert_eq!(sync(&[("sec-fetch-site", "same-origin")]).await, cross, "no token");
    let wrong = "0".repeat(64);
    let bad = [("sec-fetch-site", "same-origin"), ("x-devnet-csrf", &wrong)];
    assert_eq!(sync(&bad).await, cross);
    let host = [csrf, ("sec-fetch-site", "same-origin"), ("host", "evil.example")];
    assert_eq!(sync(&host).await, (421, "wrong-host".to_owned()));
    // A page of a name that somebody led here is none of ours.
    let page = plane.bare(Method::GET, "/").header("accept", "text/html");
    assert_eq!(page.header("host", "evil.example").send().await.unwrap().status(), 421);
    // Nor does another page open a WebSocket, or log somebody in.
    let socket = plane.bare(Method::GET, "/ws/logs?deployment=x").header("cookie", &browser.cookie);
    let socket = socket.header("upgrade", "websocket").header("connection", "upgrade");
    let socket = socket.header("origin", "https://evil.example");
    assert_eq!(socket.send().await.unwrap().status(), 403);
    let body = json!({ "key": admin }).to_string();
    let post = plane.bare(Method::POST, "/api/v1/session").body(body);
    assert_eq!(post.header("sec-fetch-site", "cross-site").send().await.unwrap().status(), 403);
    // Whose a request is that has both, nobody can say.
    let both = browser.request(Method::GET, "/api/v1/status").bearer_auth(&admin);
    assert_eq!(both.send().await.unwrap().status(), 400);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_logs_in_once_and_wrong_credentials_are_slowed_down() {
    let lab = Lab::by_hand().await;
    let plane = &lab.plane;
    let about: Value =
        plane.bare(Method::GET, "/api/v1/about").send().await.unwrap().json().await.unwrap();
    assert_eq!((&about["cluster"], &about["login"]), (&json!("lab"), &json!(["key", "code"])));
    let (status, printed) = lab.devnet(&["ui", "--json"]).ended().await;
    assert!(status.success());
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let code = printed["code"].as_str().unwrap();
    assert_eq!(printed["link"], format!("https://{}/login#code={code}", plane.running.addr()));
    let browser = Browser::begin(plane, &json!({"code": code.to_uppercase()})).await;
    assert_eq!(browser.status(Method::GET, "/api/v1/secrets").await, 200);
    assert_eq!(login(plane, &json!({ "code": code })).await.status(), 401, "once");
    assert_eq!(login(plane, &json!({})).await.status(), 400);
    let provider = plane.bare(Method::GET, "/api/v1/auth/oidc/login").send().await.unwrap();
    assert_eq!(provider.status(), StatusCode::NOT_IMPLEMENTED);
    let mut last = login(plane, &json!({"key": "dnk_x_y"})).await;
    for _ in 0..20 {
        last = login(plane, &json!({"key": "dnk_x_y"})).await;
    }
    assert_eq!(last.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(last.headers().contains_key("retry-after"));
    // Whoever has a right one gets in all the same.
    let admin = plane.running.context().token.expose().to_owned();
    Browser::of(plane, &admin).await;
    // Who logged in is on record, and no secret is.
    let events = plane.events().await;
    assert!(
        events.iter().any(|it| it.message == "admin logged in from 127.0.0.1 with a login code")
    );
    let all = format!("{events:?}");
    assert!(!all.contains(code) && !all.contains(browser.cookie.split('.').nth(1).unwrap()));
    lab.plane.stop().await;
}

/// The lines of a stream, as they come.
async fn next(lines: &mut (impl StreamExt<Item = Value> + Unpin)) -> Value {
    tokio::time::timeout(DEADLINE, lines.next()).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watch_says_what_changed_and_goes_on_where_it_was() {
    let lab = Lab::by_hand().await;
    let plane = &lab.plane;
    let open = async |since: Option<u64>| {
        let since = since.map_or_else(String::new, |since| format!("?since={since}"));
        let path = format!("/api/v1/watch{since}");
        let response = plane.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(header(response.headers(), "content-type"), "application/x-ndjson");
        Box::pin(
            response
                .bytes_stream()
                .map(|line| serde_json::from_slice::<Value>(&line.unwrap()).unwrap()),
        )
    };
    let names = |line: &Value| {
        let all = line["changed"].as_array().unwrap().iter();
        all.map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut lines = open(None).await;
    let first = next(&mut lines).await;
    assert!(names(&first).is_empty(), "{first}");
    let _second = Agent::join(plane, "n2").await;
    let mut told = Vec::new();
    let mut last = first["seq"].as_u64().unwrap();
    while !(told.contains(&"nodes".to_owned()) && told.contains(&"events".to_owned())) {
        let line = next(&mut lines).await;
        let seq = line["seq"].as_u64().unwrap();
        assert!(seq > last, "{line}");
        last = seq;
        told.extend(names(&line));
    }
    drop(lines);
    plane.set_secret("pw", "x").await;
    let mut lines = open(Some(last)).await;
    until("the secret is told", async || {
        let more = open(Some(last)).await;
        let line = Box::pin(more).next().await.unwrap();
        names(&line).contains(&"secrets".to_owned()).then_some(())
    })
    .await;
    next(&mut lines).await;
    // Of another start, everything has to be read.
    let line = next(&mut open(Some(7)).await).await;
    for topic in ["nodes", "services", "instances", "status", "events", "secrets"] {
        assert!(names(&line).contains(&topic.to_owned()), "{line}");
    }
    lab.plane.stop().await;
}

/// One connection, as a browser has one for all of its tabs.
async fn connection(plane: &Plane) -> h2::client::SendRequest<Bytes> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = plane.running.context().ca.clone();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tcp = TcpStream::connect(plane.running.addr()).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let tls = connector.connect("127.0.0.1".try_into().unwrap(), tcp).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (send, connection) = h2::client::handshake(tls).await.unwrap();
    tokio::spawn(connection);
    send.ready().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tabs_of_a_browser_share_one_connection_and_agents_keep_theirs() {
    let lab = Lab::by_hand().await;
    let plane = &lab.plane;
    let admin = plane.running.context().token.expose().to_owned();
    let browser = Browser::of(plane, &admin).await;
    let mut connection = connection(plane).await;
    let mut get = |path: &str| {
        let request = axum::http::Request::builder()
            .uri(format!("https://{}{path}", plane.running.addr()))
            .header("cookie", "theme=dark")
            .header("cookie", &browser.cookie);
        connection.send_request(request.body(()).unwrap(), true).unwrap().0
    };
    let mut tabs = Vec::new();
    for _ in 0..8 {
        let response = get("/api/v1/watch").await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let first = tokio::time::timeout(DEADLINE, body.data()).await.unwrap().unwrap().unwrap();
        assert!(first.starts_with(b"{\"seq\":"), "{first:?}");
        tabs.push(body);
    }
    let answer = get("/api/v1/status").await.unwrap();
    assert_eq!(answer.status(), 200, "the ninth is answered, too");
    lab.agent.online(plane).await;
    // All of them hear that it is over.
    assert_eq!(browser.status(Method::DELETE, "/api/v1/session").await, 204);
    for mut body in tabs {
        let mut said = Vec::new();
        while let Some(piece) = tokio::time::timeout(DEADLINE, body.data()).await.unwrap() {
            let piece = piece.unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            said.extend_from_slice(&piece);
        }
        assert!(said.ends_with(b"{\"error\":\"session-ended\"}\n"));
    }
    lab.plane.stop().await;
}
