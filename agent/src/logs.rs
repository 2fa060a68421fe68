//! Log lines on their way from a driver to the control plane.
//!
//! Knows how lines become messages. Refuses to read faster than they are taken.

use std::sync::Arc;

use devnet_schema::{
    instance::Runtime,
    name::InstanceId,
    wire::{AgentMessage, LogLine},
};
use tokio::sync::mpsc;

use crate::node::Node;

/// At most so many lines in a message.
const BATCH_LINES: usize = 256;

/// A message with more text than this is sent, in bytes.
const BATCH_BYTES: usize = 256 << 10;

/// What is wanted.
pub struct Reading {
    /// Repeated in every message.
    pub request: u64,
    /// Whose log.
    pub instance: InstanceId,
    /// At most so many old lines.
    pub tail: u32,
    /// Whether to go on.
    pub follow: bool,
}

/// Reads and sends until the end, or until nobody takes it.
pub async fn read(node: Arc<Node>, reading: Reading, messages: mpsc::Sender<AgentMessage>) {
    let Reading { request, instance, tail, follow } = reading;
    let (sender, mut lines) = mpsc::channel(BATCH_LINES);
    let source = async {
        let runtime = runtime(&node, &instance)?;
        let driver = node.drivers.get(&runtime).ok_or("the driver is switched off")?;
        let result = driver.logs(instance, tail, follow, sender).await;
        result.map_err(|error| error.to_string())
    };
    let batches = async {
        let mut batch = Vec::new();
        while lines.recv_many(&mut batch, BATCH_LINES).await > 0 {
            for part in split(std::mem::take(&mut batch)) {
                let message = AgentMessage::Logs { request, lines: part, end: false, error: None };
                if messages.send(message).await.is_err() {
                    return;
                }
            }
        }
    };
    let (result, ()) = tokio::join!(source, batches);
    let last = AgentMessage::Logs { request, lines: Vec::new(), end: true, error: result.err() };
    // The connection may have ended first.
    let _ = messages.send(last).await;
}

/// Which driver has the log of an instance: the one that runs it, or ran it last.
fn runtime(node: &Node, instance: &InstanceId) -> Result<Runtime, String> {
    let sight = node.sight.borrow();
    let seen = sight.units.iter().find(|unit| unit.id == *instance).map(|unit| unit.runtime);
    seen.or_else(|| node.spec(instance).map(|spec| spec.workload.runtime()))
        .ok_or_else(|| format!("{instance} does not run on node {}", node.owner.node))
}

fn split(lines: Vec<LogLine>) -> Vec<Vec<LogLine>> {
    let mut parts: Vec<Vec<LogLine>> = Vec::new();
    let mut size = BATCH_BYTES;
    for line in lines {
        size += line.text.len();
        if size > BATCH_BYTES {
            size = line.text.len();
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(line);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_go_in_messages_of_their_own() {
        let line = |len: usize| LogLine {
            at: String::new(),
            stream: "stdout".into(),
            text: "x".repeat(len),
        };
        let sizes = |lines: Vec<usize>| {
            let parts = split(lines.into_iter().map(line).collect());
            parts.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(vec![]), [0usize; 0]);
        assert_eq!(sizes(vec![1, 2, 3]), [3]);
        assert_eq!(sizes(vec![1, BATCH_BYTES, 1, 1]), [1, 1, 2]);
    }
}
