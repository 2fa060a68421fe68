//! A log that an agent pours out as far as it is let, kept by its machine.
//!
//! Knows credit and positions as docs/protocol.md has them. Refuses to send what was not granted.

use std::collections::BTreeMap;

use devnet_schema::wire::{AgentMessage, LogBatch, LogEndReason, LogLine, MAX_LOG_BATCH};

/// What a line is filled up with, so that a log is heavy.
const FILL: &str =
    "a line of a log that is long enough to fill the buffers of a connection quickly";

/// The log of every instance of a machine: numbered lines.
#[derive(Debug, Default)]
pub struct Log {
    /// How many lines there are.
    pub lines: u64,
    /// How far each request is.
    pub readers: BTreeMap<u64, Reading>,
}

/// One request.
#[derive(Debug)]
pub struct Reading {
    /// The number of the line that was sent last.
    pub at: u64,
    credit: u64,
    follow: bool,
}

/// The text of a line.
pub fn text(number: u64) -> String {
    format!("{number} {FILL}")
}

impl Log {
    pub fn begin(
        &mut self,
        request: u64,
        after: Option<String>,
        credit: u64,
        follow: bool,
    ) -> Vec<AgentMessage> {
        let at = after.map_or(0, |after| after.parse().unwrap());
        self.readers.insert(request, Reading { at, credit, follow });
        self.pour(request)
    }

    pub fn grant(&mut self, request: u64, credit: u64) -> Vec<AgentMessage> {
        if let Some(reading) = self.readers.get_mut(&request) {
            reading.credit += credit;
        }
        self.pour(request)
    }

    fn pour(&mut self, request: u64) -> Vec<AgentMessage> {
        let Some(reading) = self.readers.get_mut(&request) else { return Vec::new() };
        let mut messages = Vec::new();
        while reading.at < self.lines {
            let mut batch = LogBatch::default();
            let mut number = reading.at;
            while number < self.lines && batch.weight() + 512 < MAX_LOG_BATCH {
                number += 1;
                let (stream, text) = ("stdout".to_owned(), text(number));
                batch.lines.push(LogLine { stream, text, ..LogLine::default() });
            }
            let Some(left) = reading.credit.checked_sub(batch.weight() as u64) else { break };
            (reading.credit, reading.at) = (left, number);
            batch.position = Some(number.to_string());
            messages.push(AgentMessage::Logs { request, batch });
        }
        if reading.at == self.lines && !reading.follow {
            let batch = LogBatch::end(LogEndReason::Complete, "");
            messages.push(AgentMessage::Logs { request, batch });
        }
        messages
    }
}
