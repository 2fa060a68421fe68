//! What strangers and slow clients can take from a control plane: real sockets, real TLS.
//!
//! Knows how to be rude. Refuses to be so to anything but a control plane in this process.
//! `DEVNET_STRANGERS` is how many idle connections are held, `DEVNET_SLOW_BODIES` how many bodies
//! that do not end: the figures are those of large numbers, the tests need few.

mod harness;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use devnet_reconciler::{
    app::ServeConfig,
    auth::{Access, ROUTES},
};
use devnet_schema::wire::AgentMessage;
use harness::{Agent, DEADLINE, Plane, config, until};
use reqwest::{Client, Method};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

fn count(name: &str, few: usize) -> usize {
    std::env::var(name).ok().map_or(few, |text| text.parse().unwrap())
}

/// Memory of this process, in MiB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    (statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096) >> 20
}

fn connector(plane: &Plane) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    let ca = plane.running.context().ca.clone();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder();
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

async fn tls(plane: &Plane, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(plane.running.addr()).await.unwrap();
    connector.connect("127.0.0.1".try_into().unwrap(), tcp).await.unwrap()
}

/// Everything until the other side ends the connection.
async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut bytes = Vec::new();
    // An end without a close_notify is an end.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("it is ended");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A control plane with a name, which cuts off slow clients after `millis`.
fn quick(dir: &std::path::Path, millis: u64) -> ServeConfig {
    let mut config = config(dir, None);
    config.cluster = Some("lab".parse().unwrap());
    let limit = Duration::from_millis(millis);
    let patience = &mut config.patience;
    (patience.handshake, patience.head, patience.body) = (limit * 3, limit, limit);
    config
}

async fn key(plane: &Plane, role: &str) -> (String, String) {
    let body = json!({"name": format!("a {role}"), "role": role});
    let (status, answer) = plane.post("/api/v1/apikeys", &body).await;
    assert_eq!(status.as_u16(), 201, "{answer}");
    (answer["id"].as_str().unwrap().to_owned(), answer["key"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_and_agents_work_while_idle_strangers_hold_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), None);
    config.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(config).await;
    let before = Agent::join(&plane, "n1").await;
    let connector = connector(&plane);
    let (strangers, begun) = (count("DEVNET_STRANGERS", 200), Instant::now());
    let mut held = Vec::new();
    for number in 0..strangers {
        let mut stranger = tls(&plane, &connector).await;
        if number % 2 == 0 {
            stranger.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").await.unwrap();
        }
        held.push(stranger);
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        // A connection of its own each time, as another client would make.
        let ca = reqwest::Certificate::from_pem(plane.running.context().ca.as_bytes()).unwrap();
        let http = Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
        let url = format!("https://{}/api/v1/status", plane.running.addr());
        let asked = Instant::now();
        let token = plane.running.context().token.expose();
        let answer = http.get(url).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        slowest = slowest.max(asked.elapsed());
    }
    let _after = Agent::join(&plane, "n2").await;
    before.online(&plane).await;
    eprintln!(
        "{strangers} idle connections in {:?}; 50 clients after them, the slowest in {slowest:?}; \
         {} MiB",
        begun.elapsed(),
        resident()
    );
    let dropped = plane.events().await.iter().any(|e| e.message.starts_with("n1 is not connected"));
    assert!(!dropped, "its session outlasts any number of strangers");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_too_long_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(quick(dir.path(), 1000)).await;
    let connector = connector(&plane);
    // No handshake, nothing after it, and half a head.
    let mut silent = TcpStream::connect(plane.running.addr()).await.unwrap();
    let ended = timeout(DEADLINE, silent.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)));
    let mut quiet = tls(&plane, &connector).await;
    assert_eq!(rest(&mut quiet).await, "");
    let mut half = tls(&plane, &connector).await;
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").await.unwrap();
    assert_eq!(rest(&mut half).await, "");
    // A head that dribbles in gains nothing by it.
    let (mut reading, mut writing) = tokio::io::split(tls(&plane, &connector).await);
    let dribbling = tokio::spawn(async move {
        writing.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
        while writing.write_all(b"a: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = timeout(DEADLINE, reading.read_to_end(&mut answer)).await.expect("it is ended");
    assert_eq!(answer, b"");
    dribbling.abort();
    // A body that does not come is told so.
    let mut slow = tls(&plane, &connector).await;
    let head = "POST /api/v1/nodes/register HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("too-slow"), "{answer}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_http_1_1_and_heads_of_32_kib_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(quick(dir.path(), 5000)).await;
    let connector = connector(&plane);
    let head = |bytes: usize| {
        format!(
            "GET /healthz HTTP/1.1\r\nHost: x\r\na: {}\r\nConnection: close\r\n\r\n",
            "b".repeat(bytes)
        )
    };
    for (bytes, status) in [(20 << 10, "200"), (33 << 10, "431"), (500 << 10, "431")] {
        let (mut reading, mut writing) = tokio::io::split(tls(&plane, &connector).await);
        let request = head(bytes);
        let sending = tokio::spawn(async move {
            // The rest of what is too long is not read.
            let _ = writing.write_all(request.as_bytes()).await;
            writing
        });
        let mut answer = [0; 12];
        let read = timeout(DEADLINE, reading.read_exact(&mut answer)).await.unwrap();
        // What was sent in vain may take the answer with it.
        if read.is_ok() || status == "200" {
            assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"));
        }
        drop(sending.await);
    }
    let mut prior = tls(&plane, &connector).await;
    prior.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let answer = rest(&mut prior).await;
    assert!(!answer.starts_with('\0') && !answer.contains(" 200 "), "{answer:?}");
    plane.stop().await;
}

/// Sends a head, all but the last bytes of a body, and waits for the end.
async fn all_but_the_last(mut stream: TlsStream<TcpStream>, head: String, bytes: usize) -> String {
    let _ = stream.write_all(head.as_bytes()).await;
    let piece = [b' '; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let next = left.min(piece.len());
        if stream.write_all(&piece[..next]).await.is_err() {
            break;
        }
        left -= next;
    }
    let mut status = [0; 12];
    let _ = timeout(DEADLINE, stream.read_exact(&mut status)).await.expect("it is ended");
    String::from_utf8_lossy(&status[9..]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_take_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(quick(dir.path(), 1500)).await;
    let (many, connector) = (count("DEVNET_SLOW_BODIES", 60), connector(&plane));
    let token = key(&plane, "planner").await.1;
    let size = 8 << 20;
    let head = |path: &str, more: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n{more}\r\n")
    };
    for (who, head) in [
        ("strangers", head("/api/v1/nodes/register", "")),
        ("planners", head("/api/v1/plans", &format!("Authorization: Bearer {token}\r\n"))),
    ] {
        let before = resident();
        let mut sending = Vec::new();
        for _ in 0..many {
            let stream = tls(&plane, &connector).await;
            sending.push(tokio::spawn(all_but_the_last(stream, head.clone(), size - 100)));
        }
        let mut most = resident();
        while !sending.iter().all(|one| one.is_finished()) {
            most = most.max(resident());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut answers = std::collections::BTreeMap::<String, usize>::new();
        for one in sending {
            *answers.entry(one.await.unwrap()).or_default() += 1;
        }
        eprintln!(
            "{many} slow bodies of {who}: {before} MiB, then at most {most} MiB: {answers:?}"
        );
        assert!(most < before + 200, "{who}: {before} MiB, then {most} MiB");
    }
    // Whoever is in time is answered at once.
    let (status, answer) = plane.post("/api/v1/plans", &json!({"nonsense": 1})).await;
    assert_eq!(status.as_u16(), 400, "{answer}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_bodies_are_small_and_large_ones_only_where_files_are_sent() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), None);
    config.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(config).await;
    let document: serde_json::Value = plane.get("/api/v1/openapi.json").await;
    for route in ROUTES {
        let described = &document["paths"][route.pattern][route.method.to_ascii_lowercase()];
        if described["requestBody"].is_null() {
            continue;
        }
        // An agent's own routes want its certificate, and are refused before any body.
        if route.access == Access::NodeSelf {
            continue;
        }
        let path = route.pattern.replace("{id}", "x-0").replace("{name}", "x");
        let method = Method::from_bytes(route.method.as_bytes()).unwrap();
        // Sent in pieces, so that nothing says how long it is.
        let pieces = (0..65).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 10]));
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let answer = plane.request(method, &path).body(body).send().await.unwrap();
        let files = ["/api/v1/plans", "/api/v1/whatif", "/api/v1/nodes/{id}/deploy"];
        let large = files.contains(&route.pattern);
        assert_eq!(answer.status().as_u16() == 413, !large, "{} {}", route.method, route.pattern);
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), None);
    let database = config.data_dir.join("state.db");
    let plane = Plane::start(config).await;
    let follow = async |token: &str| {
        let request = plane.bare(Method::GET, "/api/v1/events?follow=true").bearer_auth(token);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        answer
    };
    let (id, token) = key(&plane, "viewer").await;
    let (other_id, other) = key(&plane, "viewer").await;
    let mut stays = follow(&other).await;
    let mut ends = follow(&token).await;
    let gone = plane.request(Method::DELETE, &format!("/api/v1/apikeys/{id}"));
    let asked = Instant::now();
    assert_eq!(gone.send().await.unwrap().status().as_u16(), 204);
    let end = async |answer: &mut reqwest::Response| loop {
        match answer.chunk().await {
            Ok(Some(_)) => {}
            end => return end,
        }
    };
    let ended = timeout(DEADLINE, end(&mut ends)).await.unwrap();
    assert!(ended.is_err(), "what is cut short does not look like all there is");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}: it was told", asked.elapsed());
    let said = timeout(DEADLINE, stays.chunk()).await.unwrap().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&said).contains("revoked"), "another's goes on");
    // Nobody tells: the records are asked again.
    let records = rusqlite::Connection::open(database).unwrap();
    let changed = records
        .execute(
            "UPDATE api_keys SET revoked_at = '2026-01-01T00:00:00Z' WHERE id = ?1",
            [other_id],
        )
        .unwrap();
    assert_eq!(changed, 1);
    assert!(timeout(DEADLINE, end(&mut stays)).await.unwrap().is_err());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_asks_too_much_is_slowed_and_told_of_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), None);
    config.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(config).await;
    plane.set_secret("pw", "s3cret").await;
    let agent = Agent::join(&plane, "n1").await;
    let asked = 1_500;
    for number in 0..asked {
        // Every other one about something that it made up.
        let instance = if number % 2 == 0 { "db[0]".to_owned() } else { format!("x{number}[0]") };
        agent
            .say(AgentMessage::NeedSecrets {
                request: number,
                instance: instance.parse().unwrap(),
                secrets: vec![devnet_schema::secret::SecretRef {
                    name: "pw".parse().unwrap(),
                    version: 1,
                }],
            })
            .await;
    }
    until("all are answered", || async {
        (agent.machine().secrets.len() as u64 == asked).then_some(())
    })
    .await;
    assert!(agent.machine().secrets.iter().all(Result::is_err));
    let events = plane.events().await;
    let refused = events.iter().filter(|event| event.message.contains("were not given")).count();
    assert!((1..=20).contains(&refused), "{refused}");
    assert!(events.iter().any(|event| event.message.starts_with("set to version 1")));
    agent.online(&plane).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_of_requests_are_few_and_the_loop_plans_beside_them() {
    let dir = tempfile::tempdir().unwrap();
    let repository = harness::Repository::new(dir.path().join("repository"));
    let text = |replicas: u32| {
        format!(
            "cluster \"lab\" {{ sync auto=#true }}\nservice \"web\" {{\n  process \"serve\"\n  \
             replicas {replicas}\n  resources cpu=0.5 memory=\"64MiB\"\n}}\n"
        )
    };
    let mut config = config(dir.path(), Some(&repository));
    config.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(config).await;
    let _agent = Agent::join(&plane, "n1").await;
    let commit = repository.commit(&text(1));
    plane.applied(&commit).await;
    let permits: Vec<_> = std::iter::from_fn(|| plane.running.plane().plan_permit()).collect();
    assert_eq!(permits.len(), 2);
    let request = plane.request(Method::POST, "/api/v1/plans").body("{}");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(answer.text().await.unwrap().contains("too-many-plans"));
    let commit = repository.commit(&text(2));
    plane.applied(&commit).await;
    drop(permits);
    let (status, answer) = plane.post("/api/v1/plans", &json!({})).await;
    assert_eq!(status.as_u16(), 201, "{answer}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_with_its_key_and_after_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), None);
    config.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(config).await;
    let connector = connector(&plane);
    let (id, token) = key(&plane, "admin").await;
    let other = key(&plane, "viewer").await.1;
    let ask = async |stream: &mut TlsStream<TcpStream>, token: &str| {
        let head = format!(
            "GET /api/v1/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The answer is one JSON object without another in it.
        let mut answer = Vec::new();
        while answer.last() != Some(&b'}') {
            let mut piece = [0; 4096];
            let read = timeout(DEADLINE, stream.read(&mut piece)).await.unwrap().unwrap();
            assert!(read > 0, "it was ended");
            answer.extend_from_slice(&piece[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    };
    let (mut idle, mut stays) = (tls(&plane, &connector).await, tls(&plane, &connector).await);
    ask(&mut idle, &token).await;
    ask(&mut stays, &other).await;
    // It revokes itself, and is told so.
    let mut own = tls(&plane, &connector).await;
    let head = format!(
        "DELETE /api/v1/apikeys/{id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    own.write_all(head.as_bytes()).await.unwrap();
    let asked = Instant::now();
    let answer = rest(&mut own).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    rest(&mut idle).await;
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    ask(&mut stays, &other).await;
    plane.stop().await;
}
