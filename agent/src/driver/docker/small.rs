//! A container engine of a few lines, for faults that a real one does not show when asked.
//!
//! Knows requests by method and path. Refuses to keep anything but what it was asked.
#![cfg(test)]

use std::sync::{Arc, Mutex, PoisonError};

use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use super::engine::Engine;

/// The engine, until the value is dropped.
pub(super) struct SmallEngine {
    /// A connection to it.
    pub engine: Engine,
    /// Where it listens.
    pub socket: std::path::PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    _dir: tempfile::TempDir,
}

impl SmallEngine {
    /// One that answers `METHOD /path`, without version and query, with a status and a body.
    pub(super) fn new(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let log = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (log.clone(), answer.clone());
                tokio::spawn(async move { serve(stream, &log, &*answer).await });
            }
        });
        let path = socket.to_string_lossy();
        let client = Docker::connect_with_unix(&path, 10, API_DEFAULT_VERSION).unwrap();
        let version = "20.10.24".to_owned();
        let engine = Engine { client, podman: false, version, json_logs: false, nvidia: false };
        Self { engine, socket, asked, _dir: dir }
    }

    /// What it was asked so far, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(
    mut stream: UnixStream,
    log: &Mutex<Vec<String>>,
    answer: &(impl Fn(&str) -> (u16, String) + Send + Sync),
) {
    let mut bytes = Vec::new();
    loop {
        let Some(request) = next(&mut stream, &mut bytes).await else { return };
        log.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let (status, body) = answer(&request);
        let answer = format!(
            "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\
             \r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The next request; its body is read and left out.
async fn next(stream: &mut UnixStream, bytes: &mut Vec<u8>) -> Option<String> {
    loop {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            let end = head.len() + 4 + length;
            if bytes.len() >= end {
                bytes.drain(..end);
                return Some(named(head));
            }
        }
        if !matches!(stream.read_buf(bytes).await, Ok(1..)) {
            return None;
        }
    }
}

fn named(head: &str) -> String {
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let version = path.get(1..).and_then(|path| path.split_once('/'));
    let path = match version {
        Some((version, rest)) if version.starts_with('v') && version.contains('.') => rest,
        _ => path.trim_start_matches('/'),
    };
    format!("{method} /{path}")
}
