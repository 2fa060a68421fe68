//! One agent's connection as the rest of the control plane holds it: a queue of messages, a way to
//! end it, and the logs that are being read over it.
//!
//! Knows how much each reader let its agent send. Refuses to hold more than that: an agent that
//! sends more loses that reader, and a reader that does not read stops its agent's source.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use devnet_schema::{
    name::InstanceId,
    wire::{ControlMessage, LogBatch, LogEndReason, MAX_LOG_BATCH, MAX_LOG_WORDS, Origin},
};
use tokio::sync::{Notify, mpsc};

use super::Pulse;

/// What an agent may have sent and a reader not read yet, in bytes of [`LogBatch::weight`].
const WINDOW: u64 = 4 * MAX_LOG_BATCH as u64;

/// At most so many logs of one node are read at the same time.
const MOST_READERS: usize = 32;

/// What is wanted of a log.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// Whose.
    pub instance: InstanceId,
    /// At most so many old lines; `u32::MAX` means all.
    pub tail: u32,
    /// Whether to go on as new ones come.
    pub follow: bool,
}

#[derive(Debug)]
struct Reader {
    /// Bounded by the credit.
    to: mpsc::UnboundedSender<LogBatch>,
    credit: u64,
}

type Readers = Arc<Mutex<BTreeMap<u64, Reader>>>;

/// A queue to one agent.
#[derive(Debug)]
pub(super) struct Link {
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
    pub(super) fn new(queue: mpsc::Sender<ControlMessage>, origin: Origin) -> (Self, Arc<Notify>) {
        let over = Arc::new(Notify::new());
        let (readers, pulse) = (Readers::default(), Pulse::default());
        (Self { session: 0, queue, origin, pulse, over: Arc::clone(&over), readers }, over)
    }

    /// Ends the session.
    pub(super) fn end(&self) {
        self.over.notify_one();
    }

    /// Says why, then ends the session. The session ends itself after a refusal was sent.
    pub(super) fn refuse(&self, reason: &str) {
        let refusal = ControlMessage::Refused { reason: reason.to_owned() };
        if self.queue.try_send(refusal).is_err() {
            self.end();
        }
    }

    /// Makes room for the answers to log request `request`, and says what to ask the agent. `after`
    /// is where an earlier answer stopped. `None` when too many are read already.
    pub(super) fn open_logs(
        &self,
        request: u64,
        query: &LogQuery,
        after: Option<String>,
    ) -> Option<(Answers, ControlMessage)> {
        let mut readers = lock(&self.readers);
        if readers.len() >= MOST_READERS {
            return None;
        }
        let (to, batches) = mpsc::unbounded_channel();
        readers.insert(request, Reader { to, credit: WINDOW });
        drop(readers);
        let LogQuery { instance, tail, follow } = query.clone();
        let credit = WINDOW;
        let ask = ControlMessage::ReadLogs { request, instance, tail, follow, after, credit };
        let (queue, readers) = (self.queue.clone(), Arc::clone(&self.readers));
        Some((Answers { batches, request, read: 0, queue, readers }, ask))
    }

    /// Whether somebody reads the answers to this request.
    pub(super) fn is_read(&self, request: u64) -> bool {
        lock(&self.readers).contains_key(&request)
    }

    /// Hands a batch to whoever asked for it. One that was not granted, or that takes more memory
    /// than it weighs, ends the reader.
    pub(super) fn deliver(&self, request: u64, mut batch: LogBatch) {
        if let Some(end) = &mut batch.end {
            end.message.truncate(end.message.floor_char_boundary(MAX_LOG_WORDS));
        }
        let fair = batch.is_fair();
        let mut readers = lock(&self.readers);
        let weight = batch.weight() as u64;
        let (mut ended, mut overrun) = (batch.end.is_some(), false);
        if let Some(reader) = readers.get_mut(&request) {
            let refused = |words: &str| LogBatch::end(LogEndReason::Failed, words);
            let batch = match reader.credit.checked_sub(weight) {
                Some(left) if fair => {
                    reader.credit = left;
                    batch
                }
                Some(_) => {
                    (ended, overrun) = (true, true);
                    refused("its agent sent lines that are longer than lines may be")
                }
                None => {
                    (ended, overrun) = (true, true);
                    refused("its agent sent more lines than were asked for")
                }
            };
            // Who went away takes itself out of the table.
            let _ = reader.to.send(batch);
        }
        if ended {
            readers.remove(&request);
        }
        if overrun {
            let _ = self.queue.try_send(ControlMessage::StopLogs { request });
        }
    }
}

/// The session is gone, and with it all that was read over it.
impl Drop for Link {
    fn drop(&mut self) {
        lock(&self.readers).clear();
    }
}

fn lock(readers: &Mutex<BTreeMap<u64, Reader>>) -> MutexGuard<'_, BTreeMap<u64, Reader>> {
    readers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answers to one log request over one session. Dropping it tells the agent to stop.
#[derive(Debug)]
pub(super) struct Answers {
    batches: mpsc::UnboundedReceiver<LogBatch>,
    request: u64,
    /// Read, and not granted again yet.
    read: u64,
    queue: mpsc::Sender<ControlMessage>,
    readers: Readers,
}

impl Answers {
    /// The next batch; `None` when the session is gone. Asking for it says that the one before was
    /// read: the agent may then send as much again.
    pub(super) async fn next(&mut self) -> Option<LogBatch> {
        // The session may be gone; what came over it is still to be read.
        if self.read >= WINDOW / 2
            && let Ok(room) = self.queue.reserve().await
        {
            let credit = std::mem::take(&mut self.read);
            if let Some(reader) = lock(&self.readers).get_mut(&self.request) {
                reader.credit += credit;
            }
            room.send(ControlMessage::GrantLogs { request: self.request, credit });
        }
        let batch = self.batches.recv().await?;
        self.read += batch.weight() as u64;
        Some(batch)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if lock(&self.readers).remove(&self.request).is_none() {
            return;
        }
        let stop = ControlMessage::StopLogs { request: self.request };
        if let Err(mpsc::error::TrySendError::Full(stop)) = self.queue.try_send(stop)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let queue = self.queue.clone();
            runtime.spawn(async move { queue.send(stop).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use devnet_schema::wire::LogLine;

    use super::*;

    fn query() -> LogQuery {
        LogQuery { instance: "web[0]".parse().unwrap(), tail: 5, follow: true }
    }

    fn full() -> LogBatch {
        let mut batch = LogBatch::default();
        while batch.weight() + 1128 < MAX_LOG_BATCH {
            batch.lines.push(LogLine { text: "x".repeat(1000), ..LogLine::default() });
        }
        batch
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_holds_a_window_and_nobody_else() {
        let (queue, mut told) = mpsc::channel(8);
        let (link, _over) = Link::new(queue, Origin::default());
        let (slow, ask) = link.open_logs(1, &query(), None).unwrap();
        assert!(matches!(ask, ControlMessage::ReadLogs { credit: WINDOW, .. }), "{ask:?}");
        let (mut quick, _) = link.open_logs(2, &query(), None).unwrap();
        let mut granted = WINDOW;
        for _ in 0..100 {
            let batch = full();
            assert!(granted >= batch.weight() as u64, "an agent would have to wait");
            granted -= batch.weight() as u64;
            link.deliver(2, batch.clone());
            assert_eq!(quick.next().await, Some(batch));
            while let Ok(ControlMessage::GrantLogs { request: 2, credit }) = told.try_recv() {
                granted += credit;
            }
        }
        for _ in 0..4 {
            link.deliver(1, full());
        }
        assert!(told.try_recv().is_err(), "nothing is granted to who does not read");
        drop(slow);
        assert_eq!(told.try_recv().unwrap(), ControlMessage::StopLogs { request: 1 });
    }

    #[tokio::test]
    async fn an_agent_that_sends_what_was_not_granted_loses_that_reader() {
        let (queue, mut told) = mpsc::channel(8);
        let (link, _over) = Link::new(queue, Origin::default());
        let (mut answers, _) = link.open_logs(1, &query(), None).unwrap();
        for _ in 0..6 {
            link.deliver(1, full());
        }
        for _ in 0..4 {
            assert_eq!(answers.next().await.unwrap().end, None);
        }
        let end = answers.next().await.unwrap().end.unwrap();
        assert_eq!(end.reason, LogEndReason::Failed);
        assert_eq!(answers.next().await, None, "the sixth is not kept");
        let stops = std::iter::from_fn(|| told.try_recv().ok())
            .filter(|one| matches!(one, ControlMessage::StopLogs { request: 1 }));
        assert_eq!(stops.count(), 1);
    }

    #[tokio::test]
    async fn readers_of_a_node_are_bounded_and_make_room_when_they_end() {
        let (queue, _told) = mpsc::channel(100);
        let (link, _over) = Link::new(queue, Origin::default());
        let open = |request| link.open_logs(request, &query(), None);
        let mut readers: Vec<_> = (0..MOST_READERS as u64).map(|one| open(one).unwrap()).collect();
        assert!(open(100).is_none());
        readers.pop();
        assert!(open(101).is_some());
        link.deliver(0, LogBatch::end(LogEndReason::Complete, ""));
        assert!(open(102).is_some());
    }

    #[tokio::test]
    async fn a_stop_is_said_even_when_the_queue_is_full() {
        let (queue, mut told) = mpsc::channel(1);
        let (link, _over) = Link::new(queue.clone(), Origin::default());
        let (answers, _) = link.open_logs(7, &query(), None).unwrap();
        queue.try_send(ControlMessage::Observe).unwrap();
        drop(answers);
        assert_eq!(told.recv().await, Some(ControlMessage::Observe));
        assert_eq!(told.recv().await, Some(ControlMessage::StopLogs { request: 7 }));
    }
}
