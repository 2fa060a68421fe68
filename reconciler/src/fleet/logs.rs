//! Logs of instances, read over the sessions of their agents.
//!
//! Knows how far each reader is, so that it goes on where it was when an agent comes back. Refuses
//! to let a reader end without a word, and to have more of them than memory allows.

use std::{sync::Arc, time::Duration};

use devnet_schema::{
    name::NodeName,
    wire::{LogBatch, LogEndReason, LogLine},
};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Fleet, FleetError,
    link::{Answers, LogQuery},
};

/// At most so many logs are read at the same time, of all nodes together.
pub(super) const MOST_READERS: usize = 128;

/// So long a reader waits for an agent that went away.
const AWAY: Duration = Duration::from_secs(60);

/// Lines of one log. Dropping it tells the agent to stop.
#[derive(Debug)]
pub struct LogStream {
    fleet: Arc<Fleet>,
    node: NodeName,
    query: LogQuery,
    answers: Option<Answers>,
    /// Behind what was read, in the agent's words.
    position: Option<String>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Fleet {
    /// Asks an agent for lines of a log.
    ///
    /// # Errors
    /// When the agent is not connected or does not read, or too many logs are being read.
    pub async fn read_logs(
        self: &Arc<Self>,
        node: &NodeName,
        query: LogQuery,
    ) -> Result<LogStream, FleetError> {
        let permits = Arc::clone(&self.readers);
        let permit =
            permits.try_acquire_owned().map_err(|_| FleetError::ManyReaders(MOST_READERS))?;
        let mut stream = LogStream {
            fleet: Arc::clone(self),
            node: node.clone(),
            query,
            answers: None,
            position: None,
            ended: false,
            _permit: permit,
        };
        stream.answers = Some(stream.ask().await?);
        Ok(stream)
    }
}

impl LogStream {
    /// The next lines; the last batch says why nothing follows, and `None` follows that.
    pub async fn next(&mut self) -> Option<LogBatch> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(answers) = &mut self.answers {
                if let Some(batch) = answers.next().await {
                    self.ended = batch.end.is_some();
                    if batch.position.is_some() {
                        self.position.clone_from(&batch.position);
                    }
                    return Some(batch);
                }
                self.answers = None;
                if self.is_away() {
                    let words = format!("node {} is not connected; waiting for it", self.node);
                    let lines = vec![LogLine::remark(words)];
                    return Some(LogBatch { lines, ..LogBatch::default() });
                }
            }
            match tokio::time::timeout(AWAY, self.ask_again()).await {
                Ok(Ok(answers)) => self.answers = Some(answers),
                Ok(Err(end)) => return Some(self.end(end)),
                Err(_) => {
                    let (node, away) = (&self.node, AWAY.as_secs());
                    let words = format!("node {node} was away for more than {away} s");
                    return Some(self.end(LogBatch::end(LogEndReason::Disconnected, words)));
                }
            }
        }
    }

    /// Whether the node may come back.
    fn is_away(&self) -> bool {
        let (fleet, node) = (&self.fleet, &self.node);
        fleet.session(node).is_none() && fleet.knows(node) && !fleet.is_closing()
    }

    fn end(&mut self, batch: LogBatch) -> LogBatch {
        self.ended = true;
        batch
    }

    async fn ask(&self) -> Result<Answers, FleetError> {
        let (answers, ask) = {
            let mut state = self.fleet.state();
            state.last_number += 1;
            let request = state.last_number;
            let link = state.links.get(&self.node);
            let link = link.ok_or_else(|| FleetError::NotConnected(self.node.clone()))?;
            link.open_logs(request, &self.query, self.position.clone())
                .ok_or_else(|| FleetError::ManyReadersOf(self.node.clone()))?
        };
        self.fleet.send(&self.node, ask).await?;
        Ok(answers)
    }

    /// Asks as soon as the agent is back, or says why that will not be.
    async fn ask_again(&self) -> Result<Answers, LogBatch> {
        let mut sessions = self.fleet.sessions();
        loop {
            // Before asking: a session that opens meanwhile counts on.
            sessions.mark_unchanged();
            if self.fleet.is_closing() {
                return Err(LogBatch::end(LogEndReason::Stopping, "the control plane is stopping"));
            }
            if !self.fleet.knows(&self.node) {
                let words = format!("node {} was removed from the cluster", self.node);
                return Err(LogBatch::end(LogEndReason::NodeRemoved, words));
            }
            match self.ask().await {
                Ok(answers) => return Ok(answers),
                Err(FleetError::NotConnected(_) | FleetError::Stuck(_)) => {}
                Err(many @ (FleetError::ManyReaders(_) | FleetError::ManyReadersOf(_))) => {
                    return Err(LogBatch::end(LogEndReason::Busy, many.to_string()));
                }
                Err(large @ FleetError::TooLarge { .. }) => {
                    return Err(LogBatch::end(LogEndReason::Failed, large.to_string()));
                }
            }
            if sessions.changed().await.is_err() {
                return Err(LogBatch::end(LogEndReason::Stopping, "the control plane is stopping"));
            }
        }
    }
}
