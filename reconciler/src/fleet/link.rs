//! One agent's connection as the rest of the control plane holds it: a queue of messages, a way to
//! end it, and the logs that are being read over it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use devnet_schema::wire::{ControlMessage, LogLine, Origin};
use tokio::sync::{Notify, mpsc};

use super::Pulse;

/// Batches of log lines that may wait for a slow reader before its stream is ended.
const LOG_QUEUE: usize = 64;

/// Lines of a log as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBatch {
    /// Oldest first.
    pub lines: Vec<LogLine>,
    /// Nothing more will come.
    pub end: bool,
    /// Why it ended early.
    pub error: Option<String>,
}

type Readers = Arc<Mutex<BTreeMap<u64, mpsc::Sender<LogBatch>>>>;

/// A queue to one agent.
#[derive(Debug)]
pub struct Link {
    /// Which session it belongs to.
    pub session: u64,
    /// What the agent is to be told.
    pub queue: mpsc::Sender<ControlMessage>,
    /// Which machine opened it.
    pub origin: Origin,
    /// Whether it still answers.
    pub pulse: Pulse,
    over: Arc<Notify>,
    readers: Readers,
}

impl Link {
    /// The two ends: this one, of a session that has no number yet, and what tells the session that
    /// it is over.
    pub fn new(queue: mpsc::Sender<ControlMessage>, origin: Origin) -> (Self, Arc<Notify>) {
        let over = Arc::new(Notify::new());
        let (readers, pulse) = (Readers::default(), Pulse::default());
        (Self { session: 0, queue, origin, pulse, over: Arc::clone(&over), readers }, over)
    }

    /// Ends the session.
    pub fn end(&self) {
        self.over.notify_one();
    }

    /// Says why, then ends the session. The session ends itself after a refusal was sent.
    pub fn refuse(&self, reason: &str) {
        let refusal = ControlMessage::Refused { reason: reason.to_owned() };
        if self.queue.try_send(refusal).is_err() {
            self.end();
        }
    }

    /// A stream for the answers to log request `request`.
    pub fn open_logs(&mut self, request: u64) -> LogStream {
        let (to, batches) = mpsc::channel(LOG_QUEUE);
        lock(&self.readers).insert(request, to);
        LogStream {
            batches,
            request,
            queue: self.queue.clone(),
            readers: Arc::clone(&self.readers),
        }
    }

    /// Hands lines to whoever asked for them. A reader that does not keep up loses its stream: the
    /// session must not wait for it.
    pub fn deliver(&self, request: u64, batch: LogBatch) {
        let mut readers = lock(&self.readers);
        let end = batch.end;
        let refused = readers.get(&request).is_some_and(|to| to.try_send(batch).is_err());
        if end || refused {
            readers.remove(&request);
        }
        if refused {
            // The agent is told once more when the stream is dropped; it does not mind.
            let _ = self.queue.try_send(ControlMessage::StopLogs { request });
        }
    }

    /// Ends every log stream: the session is gone.
    pub fn drop_readers(&self) {
        lock(&self.readers).clear();
    }
}

fn lock(
    readers: &Mutex<BTreeMap<u64, mpsc::Sender<LogBatch>>>,
) -> std::sync::MutexGuard<'_, BTreeMap<u64, mpsc::Sender<LogBatch>>> {
    readers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answers to one log request. Dropping it tells the agent to stop.
#[derive(Debug)]
pub struct LogStream {
    batches: mpsc::Receiver<LogBatch>,
    request: u64,
    queue: mpsc::Sender<ControlMessage>,
    readers: Readers,
}

impl LogStream {
    /// The next lines; `None` when the connection ended or the reader did not keep up.
    pub async fn next(&mut self) -> Option<LogBatch> {
        self.batches.recv().await
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        if lock(&self.readers).remove(&self.request).is_some() {
            let _ = self.queue.try_send(ControlMessage::StopLogs { request: self.request });
        }
    }
}
