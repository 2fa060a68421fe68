//! Logs on their way from drivers to the control plane: who reads, and how much may be sent.
//!
//! Knows batches and credit. Refuses to send what was not granted: a reader that does not read
//! stops its own source, and nothing else.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use devnet_schema::{
    instance::Runtime,
    name::InstanceId,
    wire::{AgentMessage, LogBatch, LogEndReason, LogLine, MAX_LOG_BATCH},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use crate::{
    driver::logs::{Chunk, Query, Sink},
    ledger::Content,
    node::Node,
};

/// At most so many logs are read at the same time. The control plane asks for fewer.
const MAX_READERS: usize = 64;

/// Lines that come within this time go together.
const GATHER: Duration = Duration::from_millis(50);

/// The most credit that a reader can have, in bytes.
const MAX_CREDIT: usize = 16 << 20;

/// What the control plane wants to read.
pub struct Wanted {
    /// Whose log.
    pub instance: InstanceId,
    /// As [`Query::tail`].
    pub tail: u32,
    /// As [`Query::follow`].
    pub follow: bool,
    /// As [`Query::after`].
    pub after: Option<String>,
}

/// Where messages to the control plane go.
type Messages = mpsc::Sender<AgentMessage>;

/// Those who read logs over one connection. They end with it.
pub struct Readers {
    node: Arc<Node>,
    messages: Messages,
    running: BTreeMap<u64, Reader>,
}

struct Reader {
    task: JoinHandle<()>,
    credit: Arc<Semaphore>,
}

impl Reader {
    fn grant(&self, credit: u64) {
        let room = MAX_CREDIT.saturating_sub(self.credit.available_permits());
        let more = usize::try_from(credit).map_or(room, |credit| credit.min(room));
        self.credit.add_permits(more);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Readers {
    /// None yet.
    pub fn new(node: Arc<Node>, messages: Messages) -> Self {
        Self { node, messages, running: BTreeMap::new() }
    }

    /// Begins to read. One with the same number ends.
    pub fn begin(&mut self, request: u64, wanted: Wanted, credit: u64) {
        self.running.retain(|_, reader| !reader.task.is_finished());
        let (node, messages) = (self.node.clone(), self.messages.clone());
        if self.running.len() >= MAX_READERS {
            let words = format!("{MAX_READERS} logs of {} are being read", node.owner.node);
            let batch = LogBatch::end(LogEndReason::Busy, words);
            tokio::spawn(send(messages, request, batch));
            return;
        }
        let Wanted { instance: id, tail, follow, after } = wanted;
        let (asked, of) = (self.node.clone(), id.clone());
        let here = Arc::new(move || runtime(&asked, &of).is_some());
        let query = Query { id, tail, follow, after, here };
        let permits = Arc::new(Semaphore::new(0));
        let task = tokio::spawn(read(node, request, query, messages, permits.clone()));
        self.running.insert(request, Reader { task, credit: permits });
        self.grant(request, credit);
    }

    /// Lets a reader have more.
    pub fn grant(&mut self, request: u64, credit: u64) {
        if let Some(reader) = self.running.get(&request) {
            reader.grant(credit);
        }
    }

    /// Ends a reader.
    pub fn stop(&mut self, request: u64) {
        self.running.remove(&request);
    }
}

async fn send(messages: Messages, request: u64, batch: LogBatch) {
    // The connection may have ended first.
    let _ = messages.send(AgentMessage::Logs { request, batch }).await;
}

/// Reads and sends until the end, or until nobody takes it.
async fn read(
    node: Arc<Node>,
    request: u64,
    query: Query,
    messages: Messages,
    credit: Arc<Semaphore>,
) {
    let (sink, chunks) = Sink::new();
    let source = async {
        let Some(runtime) = runtime(&node, &query.id) else {
            return Err(format!("{} does not run on node {}", query.id, node.owner.node));
        };
        match node.drivers.get(&runtime) {
            Some(driver) => driver.logs(query, sink).await.map_err(|error| error.to_string()),
            None => Err(format!("the {} driver is switched off", runtime.as_str())),
        }
    };
    let (result, ()) =
        tokio::join!(source, forward(chunks, request, messages.clone(), &credit, GATHER));
    let end = match result {
        Ok(reason) => LogBatch::end(reason, ""),
        Err(words) => LogBatch::end(LogEndReason::Failed, words),
    };
    if take(&credit, end.weight()).await {
        send(messages, request, end).await;
    }
}

/// Which driver has the log of an instance: the one that runs it, or is to run it.
fn runtime(node: &Node, id: &InstanceId) -> Option<Runtime> {
    let seen =
        node.sight.borrow().units.iter().find(|unit| unit.id == *id).map(|unit| unit.runtime);
    seen.or_else(|| match &node.ledger().get(id)?.content {
        Content::Present { spec, .. } => Some(spec.as_ref()?.workload.runtime()),
        Content::Removed { .. } => None,
    })
}

/// Makes batches of chunks and sends them as credit allows. A batch goes when nothing more fits
/// into it, or when its first line is `gather` old.
async fn forward(
    mut chunks: mpsc::Receiver<Chunk>,
    request: u64,
    messages: Messages,
    credit: &Semaphore,
    gather: Duration,
) {
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(chunk) => Some(chunk),
            None => chunks.recv().await,
        };
        let Some(Chunk { lines, position, .. }) = first else { return };
        let mut batch = LogBatch { lines, position: Some(position), end: None };
        let mut weight = batch.weight();
        let due = Instant::now() + gather;
        while let Ok(Some(chunk)) = timeout_at(due, chunks.recv()).await {
            if weight + chunk.weight > MAX_LOG_BATCH {
                next = Some(chunk);
                break;
            }
            weight += chunk.weight;
            batch.lines.extend(chunk.lines);
            batch.position = Some(chunk.position);
        }
        if !take(credit, weight).await {
            return;
        }
        if messages.send(AgentMessage::Logs { request, batch }).await.is_err() {
            return;
        }
    }
}

/// Waits for so much credit and uses it up; false when there never will be.
async fn take(credit: &Semaphore, weight: usize) -> bool {
    let weight = u32::try_from(weight).unwrap_or(u32::MAX);
    credit.acquire_many(weight).await.map(|permits| permits.forget()).is_ok()
}

/// A remark in the place of lines that cannot be had any more.
pub fn lost(lines: Option<u64>) -> LogLine {
    LogLine::remark(match lines {
        Some(1) => "1 line was rotated away before it could be read".to_owned(),
        Some(count) => format!("{count} lines were rotated away before they could be read"),
        None => "lines were rotated away before they could be read; how many is not known".into(),
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn chunk(text: &str, size: usize) -> Chunk {
        let mut chunk = Chunk { position: text.to_owned(), ..Chunk::default() };
        let text = format!("{text}{}", "x".repeat(size));
        chunk.push(LogLine { stream: "stdout".to_owned(), text, ..LogLine::default() });
        chunk
    }

    fn batch(message: Option<AgentMessage>) -> LogBatch {
        match message {
            Some(AgentMessage::Logs { request: 7, batch }) => batch,
            other => panic!("{other:?}"),
        }
    }

    /// Runs `forward` beside `with`.
    async fn forwarding<F: Future>(
        credit: &Semaphore,
        gather: Duration,
        with: impl FnOnce(Sink, mpsc::Receiver<AgentMessage>) -> F,
    ) -> F::Output {
        let (sink, chunks) = Sink::new();
        let (messages, received) = mpsc::channel(100);
        let forward = forward(chunks, 7, messages, credit, gather);
        tokio::join!(forward, with(sink, received)).1
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn lines_that_come_together_go_together_and_carry_the_last_position() {
        let credit = Semaphore::new(MAX_CREDIT);
        forwarding(&credit, LONG, async |sink, mut received| {
            for text in ["a", "b", "c"] {
                sink.put(chunk(text, 0)).await.unwrap();
            }
            sink.put(chunk("d", MAX_LOG_BATCH - 400)).await.unwrap();
            let first = batch(received.recv().await);
            let texts: Vec<_> = first.lines.iter().map(|line| line.text.as_str()).collect();
            assert_eq!((texts, first.position), (vec!["a", "b", "c"], Some("c".to_owned())));
            drop(sink);
            assert_eq!(batch(received.recv().await).position, Some("d".to_owned()));
            assert_eq!(received.recv().await, None);
        })
        .await;
    }

    #[tokio::test]
    async fn one_line_does_not_wait_for_others() {
        let credit = Semaphore::new(MAX_CREDIT);
        forwarding(&credit, Duration::ZERO, async |sink, mut received| {
            sink.put(chunk("a", 0)).await.unwrap();
            assert_eq!(batch(received.recv().await).lines.len(), 1);
            drop(sink);
        })
        .await;
    }

    #[tokio::test]
    async fn without_credit_the_source_stops_and_with_it_goes_on() {
        let heavy = || chunk("x", MAX_LOG_BATCH / 2);
        let one = LogBatch { lines: heavy().lines, ..LogBatch::default() };
        let credit = Semaphore::new(one.weight());
        forwarding(&credit, LONG, async |sink, mut received| {
            // One is sent, two are held, and the channel has room for two.
            for _ in 0..5 {
                sink.put(heavy()).await.unwrap();
            }
            batch(received.recv().await);
            for _ in 0..100 {
                tokio::task::yield_now().await;
                assert!(received.try_recv().is_err(), "nothing goes without credit");
            }
            assert_eq!(sink.put(heavy()).now_or_never(), None, "nothing is read ahead");
            credit.add_permits(MAX_CREDIT);
            drop(sink);
            for _ in 0..4 {
                batch(received.recv().await);
            }
            assert_eq!(received.recv().await, None);
        })
        .await;
    }

    #[test]
    fn no_grant_is_too_large() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let credit = Arc::new(Semaphore::new(0));
        let task = runtime.spawn(std::future::pending());
        let reader = Reader { task, credit: credit.clone() };
        for _ in 0..2 {
            reader.grant(u64::MAX);
            assert_eq!(credit.available_permits(), MAX_CREDIT);
        }
    }
}
