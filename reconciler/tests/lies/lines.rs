//! The same node lies in the lines of logs: whoever reads them is told nothing of another node, and
//! nothing that drives a terminal.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use devnet_reconciler::api::LogEntry;
use devnet_schema::wire::{AgentMessage, LogBatch, LogEnd, LogEndReason, LogLine};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::{
    CLUSTER,
    harness::{Agent, DEADLINE, Plane, Repository, config, logs::text, until},
    reports,
};

/// Lines of the honest node's log.
const LINES: u64 = 500;

/// Only lies have it.
const CANARY: &str = "l1e-c4nary";

/// What a terminal must not be given.
const ESCAPES: [&str; 3] = ["\u{1b}[2J\u{1b}]0;owned\u{7}", "\r\u{8}\u{9b}31m", "\u{202e}live"];

/// Memory of this process, in MiB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    (statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096) >> 20
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ -~]{0,40}".prop_map(|text| format!("{CANARY} {text}")),
        2 => (0..ESCAPES.len()).prop_map(|at| format!("{CANARY}{}", ESCAPES[at])),
        1 => Just(format!("{CANARY} password=hunter3 AKIA0000000000000000")),
        1 => Just("l1e-c4nary ".repeat(10_000)),
        1 => Just(String::new()),
    ]
}

fn line() -> impl Strategy<Value = LogLine> {
    let stream = prop_oneof![
        4 => Just("stdout".to_owned()),
        1 => Just("stderr".to_owned()),
        1 => Just("devnet".to_owned()),
        1 => words(),
    ];
    let at = prop_oneof![2 => Just("2026-11-30T10:00:00Z".to_owned()), 1 => words()];
    (at, stream, words(), any::<bool>()).prop_map(|(at, stream, text, continued)| LogLine {
        at,
        stream,
        text,
        continued,
    })
}

/// A batch, and for which request: its own newest (0), one before it, one of the honest node, or
/// any.
fn batch() -> impl Strategy<Value = (usize, u64, LogBatch)> {
    let position = proptest::option::of(prop_oneof![words(), Just("0".to_owned())]);
    let reason = prop_oneof![
        Just(LogEndReason::Complete),
        Just(LogEndReason::NodeRemoved),
        Just(LogEndReason::Stopping),
        Just(LogEndReason::Unknown)
    ];
    let end = (reason, words()).prop_map(|(reason, message)| LogEnd { reason, message });
    let end = prop_oneof![6 => Just(None), 1 => end.prop_map(Some)];
    let lines = proptest::collection::vec(line(), 0..5);
    (0usize..4, any::<u64>(), lines, position, end)
        .prop_map(|(to, any, lines, position, end)| (to, any, LogBatch { lines, position, end }))
}

/// Reads the log of an instance again and again until it is told to end: every line that came.
async fn reader(plane: Arc<Plane>, path: String, over: Arc<AtomicBool>) -> Vec<LogEntry> {
    let mut entries = Vec::new();
    while !over.load(Ordering::Acquire) {
        let mut answer = plane.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let mut bytes = Vec::new();
        loop {
            let next = tokio::time::timeout(std::time::Duration::from_millis(200), answer.chunk());
            match next.await {
                Ok(chunk) => match chunk.unwrap() {
                    Some(chunk) => bytes.extend(chunk),
                    None => break,
                },
                Err(_) if over.load(Ordering::Acquire) => break,
                Err(_) => {}
            }
        }
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            assert!(line.iter().all(|byte| *byte >= b' '), "JSON escapes what drives a terminal");
            entries.push(serde_json::from_slice(line).unwrap());
        }
    }
    entries
}

/// The requests that a node was sent for a log, oldest first.
fn requests(agent: &Agent) -> Vec<u64> {
    agent.machine().log_requests.iter().map(|(request, _)| *request).collect()
}

async fn lab(dir: &tempfile::TempDir) -> (Arc<Plane>, Agent, Agent) {
    let repository = Repository::new(dir.path().join("repository"));
    let plane = Arc::new(Plane::start(config(dir.path(), Some(&repository))).await);
    plane.set_secret("pw", "hunter2").await;
    repository.commit("cluster \"lab\"\nservice \"x\" { process \"x\"; replicas 0 }\n");
    until("the cluster has a name", || async { plane.status().await.cluster }).await;
    let (honest, evil) = (Agent::join(&plane, "n1").await, Agent::join(&plane, "evil").await);
    let pinned = CLUSTER.replacen("    port 5432", "    place { pin \"n1\" }\n    port 5432", 1);
    plane.applied(&repository.commit(&pinned)).await;
    (plane, honest, evil)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_lie_are_read_as_those_of_their_own_node_only_soak() {
    let dir = tempfile::tempdir().unwrap();
    let (plane, honest, evil) = lab(&dir).await;
    let steps = honest.machine().steps.len();
    honest.machine().log.lines = LINES;
    evil.machine().log.lines = 1;
    let over = Arc::new(AtomicBool::new(false));
    let read = |path: &str| {
        let path = format!("/api/v1/{path}/logs?tail=all&follow=true");
        tokio::spawn(reader(Arc::clone(&plane), path, Arc::clone(&over)))
    };
    let (api, own) = (read("instances/api-0"), read("instances/own-0"));
    until("both are read", || async {
        (!requests(&honest).is_empty() && !requests(&evil).is_empty()).then_some(())
    })
    .await;
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let before = resident();
    for _ in 0..5 * reports() {
        let (to, any, batch) = batch().new_tree(&mut runner).unwrap().current();
        let (ours, theirs) = (requests(&evil), requests(&honest));
        let request = match to {
            0 => ours[ours.len() - 1],
            1 => ours[ours.len() / 2],
            2 => theirs[theirs.len() - 1],
            _ => any,
        };
        evil.say(AgentMessage::Logs { request, batch }).await;
    }
    // What it asks next is answered after all of them.
    assert!(evil.need("db[0]", "pw", 1).await.is_err());
    over.store(true, Ordering::Release);
    let (api, own) = (api.await.unwrap(), own.await.unwrap());
    for entry in &api {
        assert_eq!(entry.instance.to_string(), "api[0]");
        assert!(entry.end.is_none() && !entry.text.contains(CANARY), "{entry:?}");
    }
    let texts: Vec<String> = api.into_iter().map(|entry| entry.text).collect();
    assert_eq!(texts, (1..=LINES).map(text).collect::<Vec<_>>(), "every line, once, in order");
    assert!(own.iter().all(|entry| entry.instance.to_string() == "own[0]"));
    assert!(own.iter().any(|entry| entry.text.contains(CANARY)), "lies were read as its own");
    assert_eq!(honest.machine().steps.len(), steps, "the honest node was told nothing");
    let more = resident().saturating_sub(before);
    assert!(more < 128, "{more} MiB more");
    let events: Value = plane.get("/api/v1/events").await;
    assert!(!events.to_string().contains(CANARY), "what a unit writes is no event");
    the_terminal_is_told_nothing(&plane, &evil, dir.path()).await;
    Arc::into_inner(plane).unwrap().stop().await;
}

/// The command line prints what it says so that it cannot drive a terminal.
async fn the_terminal_is_told_nothing(plane: &Plane, evil: &Agent, dir: &std::path::Path) {
    let says = ESCAPES.map(|escape| LogLine {
        at: escape.to_owned(),
        stream: escape.to_owned(),
        text: format!("{CANARY}{escape}"),
        continued: false,
    });
    {
        let mut machine = evil.machine();
        machine.log.lines = 0;
        machine.says = says.to_vec();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_devnet"));
    command
        .args(["logs", "-t", "own"])
        .current_dir(dir)
        .env("DEVNET_CONFIG", plane.running.client_file())
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = tokio::time::timeout(DEADLINE, output).await.unwrap().unwrap();
    for text in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(text).unwrap();
        let drives = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(drives), "{text:?}");
    }
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.matches(CANARY).count(), ESCAPES.len(), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_weighs_more_than_it_says_takes_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (plane, _honest, evil) = lab(&dir).await;
    evil.machine().log.lines = 1;
    let path = "/api/v1/instances/own-0/logs?tail=all&follow=true";
    let heavy = "x".repeat(1 << 20);
    let line = |at: &str, stream: &str| LogLine {
        at: at.to_owned(),
        stream: stream.to_owned(),
        ..LogLine::default()
    };
    for batch in [
        LogBatch { position: Some(heavy.clone()), ..LogBatch::default() },
        LogBatch { lines: vec![line(&heavy, "stdout")], ..LogBatch::default() },
        LogBatch { lines: vec![line("", &heavy)], ..LogBatch::default() },
    ] {
        let known = requests(&evil).len();
        // A reader that reads nothing.
        let answer = plane.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let request = until("it is asked", || async { requests(&evil).get(known).copied() }).await;
        let before = resident();
        for _ in 0..32 {
            evil.say(AgentMessage::Logs { request, batch: batch.clone() }).await;
        }
        assert!(evil.need("db[0]", "pw", 1).await.is_err());
        let more = resident().saturating_sub(before);
        assert!(more < 24, "{more} MiB more");
        let said = tokio::time::timeout(DEADLINE, answer.text()).await.unwrap().unwrap();
        let last: LogEntry = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        let end = last.end.expect("an end");
        assert_eq!(end.reason, LogEndReason::Failed);
        assert!(end.message.contains("longer than lines may be"), "{}", end.message);
    }
    Arc::into_inner(plane).unwrap().stop().await;
}
