//! Logs on their way from an agent to whoever reads them: as fast as they are read, across broken
//! connections, and with a word at the end.

mod harness;

use std::sync::Arc;

use devnet_reconciler::api::{DeploymentState, LogEntry};
use devnet_schema::wire::{LogEnd, LogEndReason, REMARK};
use futures_util::{Stream, StreamExt};
use harness::{Plane, lab::Lab, logs::text, until};
use reqwest::{Method, Response, StatusCode};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;
use tokio_tungstenite::{
    Connector, connect_async_tls_with_config,
    tungstenite::{Message, client::IntoClientRequest},
};

const WEB: &str = r#"
cluster "lab" { sync auto=#true; }
service "web" {
    process "serve"
    resources cpu=0.5 memory="64MiB"
}
"#;

/// More than all buffers of a connection hold.
const LINES: u64 = 150_000;

/// One instance with a log of so many lines.
async fn web(lines: u64) -> Lab {
    let (lab, repository) = Lab::following().await;
    lab.plane.applied(&repository.commit(WEB)).await;
    until("web runs", || async { (lab.agent.machine().units.len() == 1).then_some(()) }).await;
    lab.agent.machine().log.lines = lines;
    lab
}

async fn ask(plane: &Plane, query: &str) -> Response {
    let path = format!("/api/v1/instances/web-0/logs?{query}");
    plane.request(Method::GET, &path).send().await.unwrap()
}

/// A log as it comes.
struct Reader {
    response: Response,
    buffer: Vec<u8>,
}

impl Reader {
    async fn follow(plane: &Plane) -> Self {
        let response = ask(plane, "tail=all&follow=true").await;
        assert_eq!(response.status(), StatusCode::OK);
        Self { response, buffer: Vec::new() }
    }

    async fn next(&mut self) -> Option<LogEntry> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = tokio::time::timeout(harness::DEADLINE, self.response.chunk());
            self.buffer.extend(chunk.await.expect("it goes on").unwrap()?);
        }
    }

    /// The lines from this number on until a remark; the number behind the last one, and what the
    /// remark says.
    async fn until_remark(&mut self, from: u64) -> (u64, String) {
        let mut wanted = from;
        loop {
            let entry = self.next().await.expect("a line");
            if entry.stream == REMARK {
                return (wanted, entry.text);
            }
            assert_eq!((entry.text, entry.end), (text(wanted), None));
            wanted += 1;
        }
    }

    /// The lines with these numbers, and remarks.
    async fn lines(&mut self, from: u64, to: u64) -> Vec<String> {
        let (mut wanted, mut remarks) = (from, Vec::new());
        while wanted <= to {
            let entry = self.next().await.expect("a line");
            if entry.stream == REMARK {
                remarks.push(entry.text);
                continue;
            }
            assert_eq!((entry.text, entry.end), (text(wanted), None));
            wanted += 1;
        }
        remarks
    }

    async fn end(&mut self) -> LogEnd {
        let end = self.next().await.unwrap().end.expect("an end");
        assert_eq!(self.next().await, None);
        end
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_stops_nobody_else_and_misses_nothing() {
    let Lab { dir: _dir, plane, agent } = web(LINES).await;
    let mut slow = Reader::follow(&plane).await;
    let mut quick = Reader::follow(&plane).await;
    assert_eq!(quick.lines(1, LINES).await, Vec::<String>::new());
    let sent: Vec<u64> = agent.machine().log.readers.values().map(|one| one.at).collect();
    assert!(sent[0] < LINES && sent[1] == LINES, "the slow one holds its agent back: {sent:?}");
    agent.online(&plane).await;
    assert_eq!(slow.lines(1, LINES).await, Vec::<String>::new());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_goes_on_where_it_was_when_the_agent_comes_back() {
    let Lab { dir: _dir, plane, mut agent } = web(20_000).await;
    let mut reader = Reader::follow(&plane).await;
    reader.lines(1, 10).await;
    agent.cut();
    agent.status(&plane, "offline").await;
    // Whoever has not come to the end of what was sent before is told nothing.
    let (next, remark) = reader.until_remark(11).await;
    assert_eq!(remark, "node n1 is not connected; waiting for it");
    agent.machine().log.lines = 30_000;
    agent.connect(&plane.running).await;
    assert_eq!(reader.lines(next, 30_000).await, Vec::<String>::new());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_says_why() {
    let Lab { dir: _dir, plane, agent: _agent } = web(10).await;
    let text = ask(&plane, "tail=5").await.text().await.unwrap();
    let last: LogEntry = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last.end.unwrap().reason, LogEndReason::Complete);
    assert_eq!(text.lines().count(), 11);
    assert_eq!(ask(&plane, "tail=some").await.status(), StatusCode::BAD_REQUEST);

    let mut reader = Reader::follow(&plane).await;
    reader.lines(1, 10).await;
    let removal =
        plane.request(Method::DELETE, "/api/v1/nodes/n1?force=true").send().await.unwrap();
    assert_eq!(removal.status(), StatusCode::NO_CONTENT);
    let end = reader.end().await;
    assert_eq!(end.reason, LogEndReason::NodeRemoved, "{}", end.message);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_that_stops_says_so() {
    let Lab { dir: _dir, plane, agent: _agent } = web(10).await;
    let mut reader = Reader::follow(&plane).await;
    reader.lines(1, 10).await;
    let (end, ()) = tokio::join!(reader.end(), plane.stop());
    assert_eq!(end.reason, LogEndReason::Stopping, "{}", end.message);
}

/// Opens a stream of a deployment over a WebSocket.
async fn socket(
    plane: &Plane,
    deployment: &str,
    token: &str,
) -> impl Stream<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin + use<> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = plane.running.context().ca.clone();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let url = format!("wss://{}/ws/logs?deployment={deployment}", plane.running.addr());
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let connector = Connector::Rustls(Arc::new(tls));
    let opened = connect_async_tls_with_config(request, None, true, Some(connector)).await;
    opened.unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_of_lines_ends_with_the_key_that_asked_for_it() {
    let (Lab { dir: _dir, plane, agent }, repository) = Lab::following().await;
    plane.applied(&repository.commit(WEB)).await;
    agent.machine().log.lines = 10;
    // A deployment that does not end.
    agent.machine().hanging.insert("more[0]/start".to_owned());
    let more = WEB.replace("service \"web\"", "service \"more\"");
    repository.commit(&format!("{WEB}{}", more.split_once('}').unwrap().1));
    let deployment = until("a deployment goes on", || async {
        let newest = plane.deployments().await.into_iter().next()?;
        (newest.state == DeploymentState::Running).then_some(newest.id)
    })
    .await;
    let key = async || {
        let body = json!({"name": "reads", "role": "planner"});
        let (status, answer) = plane.post("/api/v1/apikeys", &body).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let part = |name: &str| answer[name].as_str().unwrap().to_owned();
        (part("id"), part("key"))
    };
    let revoke = async |id: &str| {
        let gone = plane.request(Method::DELETE, &format!("/api/v1/apikeys/{id}"));
        assert_eq!(gone.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    };
    for path in [
        "/api/v1/instances/web-0/logs?follow=true",
        "/api/v1/services/web/logs?follow=true",
        &format!("/api/v1/deployments/{deployment}/logs?follow=true"),
    ] {
        let (id, token) = key().await;
        let mut answer = plane.bare(Method::GET, path).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let first = tokio::time::timeout(harness::DEADLINE, answer.chunk()).await.unwrap();
        assert!(first.unwrap().is_some(), "{path} has lines");
        revoke(&id).await;
        let mut end = async || loop {
            match answer.chunk().await {
                Ok(Some(_)) => {}
                end => return end,
            }
        };
        let ended = tokio::time::timeout(harness::DEADLINE, end()).await.unwrap();
        assert!(ended.is_err(), "{path}: what is cut short does not look like all there is");
    }
    let (id, token) = key().await;
    let mut socket = socket(&plane, &deployment, &token).await;
    let mut next = async || tokio::time::timeout(harness::DEADLINE, socket.next()).await.unwrap();
    assert!(matches!(next().await, Some(Ok(Message::Text(_)))));
    revoke(&id).await;
    let said = loop {
        match next().await {
            Some(Ok(Message::Close(said))) => break said.expect("a reason"),
            Some(Ok(_)) => {}
            other => panic!("it ended without a word: {other:?}"),
        }
    };
    assert!(said.reason.contains("revoked"), "{said}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_are_bounded_and_one_more_is_told_so() {
    let Lab { dir: _dir, plane, agent: _agent } = web(1).await;
    let mut readers = Vec::new();
    for _ in 0..32 {
        readers.push(Reader::follow(&plane).await);
    }
    let refused = ask(&plane, "follow=true").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let words = refused.text().await.unwrap();
    assert!(words.contains("too many logs of node n1"), "{words}");
    readers.pop();
    until("there is room again", || async {
        (ask(&plane, "tail=1").await.status() == StatusCode::OK).then_some(())
    })
    .await;
    plane.stop().await;
}
