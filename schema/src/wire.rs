//! What the control plane and an agent say to each other: JSON text frames over one WebSocket that
//! the agent opened. See docs/protocol.md.
//!
//! Knows messages. Refuses to know connections, and never carries a secret's value but in
//! [`ControlMessage::Secrets`].

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    digest::Digest,
    fleet::NodeFacts,
    instance::{Generation, InstanceSpec},
    name::{ClusterName, InstanceId, NodeName},
    observed::ObservedNode,
    secret::{InTransit, SecretRef},
    step::{Step, StepReport},
};

/// Raised whenever an older peer would misunderstand.
pub const PROTOCOL: u32 = 2;

/// Path of the WebSocket on the control plane.
pub const AGENT_PATH: &str = "/api/v1/agent";

/// The largest frame either side accepts, in bytes.
pub const MAX_FRAME: usize = 8 << 20;

/// The largest spec that is sent, in bytes of its JSON: a frame, less what stands around it.
pub const MAX_SPEC: usize = MAX_FRAME - (64 << 10);

/// The most instances of one node: a report of so many fits into a frame, whatever is said of each.
pub const MAX_INSTANCES: usize = 4096;

/// The longest sentence about an instance or a step, in bytes; the rest is cut off.
pub const MAX_MESSAGE: usize = 1024;

/// What the control plane sends along with an order, to be shown to it once its records are lost:
/// that it told this node to run this generation of the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Of which generation.
    pub generation: Generation,
    /// Only the control plane can make it; at most [`MAX_PROOF`] bytes.
    pub proof: String,
}

/// The longest proof of a receipt, in bytes.
pub const MAX_PROOF: usize = 64;

/// The most receipts of one instance that a node shows.
pub const MAX_RECEIPTS: usize = 2;

/// How many bytes the JSON of a value has.
pub fn size<T: Serialize + ?Sized>(value: &T) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What cannot be written as JSON is too large for any frame.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}

/// Which machine speaks, and which of its sessions it is: two machines that use one identity differ
/// in one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The machine's own id; empty where it has none.
    pub machine: String,
    /// The id of its boot; empty where it has none.
    pub boot: String,
    /// Up by one with each session that the identity opens, and kept beside it; 0 where it is not
    /// counted.
    pub session: u64,
    /// The mark of the newest order that came to this identity, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<OrderMark>,
}

/// What the control plane sends along with orders and reads again when their node comes back. One
/// above what its records know shows that those are older than the node. Only the control plane can
/// make one, so that no node can pretend that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderMark {
    /// Up by one whenever a deployment has orders for the node.
    pub number: u64,
    /// That the number was given out, and to whom.
    pub proof: String,
}

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum AgentMessage {
    /// The first frame.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// For people.
        version: String,
        /// What the machine has.
        facts: NodeFacts,
        /// Which machine it is, and how often it has come.
        #[serde(default)]
        origin: Origin,
    },
    /// What the machine has, when it changed.
    Facts {
        /// All of it.
        facts: NodeFacts,
    },
    /// I am here.
    Heartbeat {
        /// What the machine's clock says, in milliseconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock_millis: Option<i64>,
    },
    /// What runs, whenever it changed and when asked. Specs are left out: digests say what runs.
    Observed {
        /// All of it.
        observed: ObservedNode,
    },
    /// Answers [`ControlMessage::Describe`], in as many frames as it takes.
    Specs {
        /// In the order they were asked for.
        specs: Vec<Described>,
    },
    /// How far a step is.
    Step {
        /// The report.
        report: StepReport,
    },
    /// Values are needed for an instance that is assigned to this node.
    NeedSecrets {
        /// Repeated in the answer.
        request: u64,
        /// For which instance.
        instance: InstanceId,
        /// Which.
        secrets: Vec<SecretRef>,
    },
    /// Lines of a log.
    Logs {
        /// Which [`ControlMessage::ReadLogs`] this answers.
        request: u64,
        /// What.
        batch: LogBatch,
    },
    /// A new certificate is wanted before the present one ends.
    Renew {
        /// PKCS#10 request, PEM.
        csr: String,
    },
}

/// How every frame with log lines begins.
const LOGS: &str = r#"{"type":"logs","#;

/// [`AgentMessage::Logs`] without its tag.
#[derive(Deserialize)]
struct LogsFrame {
    request: u64,
    batch: LogBatch,
}

impl AgentMessage {
    /// Reads a frame. Log lines are read straight into their place: a tag that may stand anywhere
    /// would have every line read twice.
    ///
    /// # Errors
    /// When it is no message.
    pub fn read(frame: &str) -> serde_json::Result<Self> {
        if !frame.starts_with(LOGS) {
            return serde_json::from_str(frame);
        }
        let LogsFrame { request, batch } = serde_json::from_str(frame)?;
        Ok(Self::Logs { request, batch })
    }
}

/// What runs as an instance, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// Which.
    pub instance: InstanceId,
    /// As reported; it tells whether another unit has taken the place of the one asked about.
    pub digest: Digest,
    /// The spec, secrets as references; absent when the agent has none, or one from another version
    /// of devnet that cannot be read here.
    #[serde(default, deserialize_with = "readable")]
    pub spec: Option<Box<InstanceSpec>>,
}

/// One spec that cannot be read must not hide those beside it.
fn readable<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<InstanceSpec>>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// The stream of lines that devnet itself puts into a log: what was lost, and why there is a pause.
pub const REMARK: &str = "devnet";

/// One line of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// RFC 3339; empty when not known.
    pub at: String,
    /// `stdout`, `stderr`, or [`REMARK`].
    pub stream: String,
    /// Without the line end.
    pub text: String,
    /// The line was too long for one: it goes on in the next of its stream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continued: bool,
}

impl LogLine {
    /// A line of devnet's own.
    pub fn remark(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(MAX_LOG_TEXT));
        Self { stream: REMARK.to_owned(), text, ..Self::default() }
    }

    /// What it costs of a reader's credit, in bytes: about as much as it takes in memory.
    pub fn weight(&self) -> usize {
        128 + self.text.len()
    }
}

/// Lines of a log on their way to a reader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBatch {
    /// Oldest first.
    pub lines: Vec<LogLine>,
    /// For [`ControlMessage::ReadLogs`]: how to go on behind these lines. Only the agent that wrote
    /// it can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// Nothing more will come, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<LogEnd>,
}

impl LogBatch {
    /// One that ends a log.
    pub fn end(reason: LogEndReason, message: impl Into<String>) -> Self {
        let end = LogEnd { reason, message: message.into() };
        Self { end: Some(end), ..Self::default() }
    }

    /// What it costs of a reader's credit, in bytes.
    pub fn weight(&self) -> usize {
        256 + self.lines.iter().map(LogLine::weight).sum::<usize>()
    }

    /// Whether it takes about as much memory as it weighs, its end apart: nothing in it is longer
    /// than an agent makes it.
    pub fn is_fair(&self) -> bool {
        let Self { lines, position, end: _ } = self;
        let fair = |line: &LogLine| {
            let LogLine { at, stream, text, continued: _ } = line;
            at.len().max(stream.len()) <= MAX_LOG_LABEL && text.len() <= MAX_LOG_TEXT
        };
        position.as_ref().is_none_or(|position| position.len() <= MAX_LOG_WORDS)
            && lines.iter().all(fair)
    }
}

/// The heaviest batch that may be sent, in bytes of [`LogBatch::weight`].
pub const MAX_LOG_BATCH: usize = 128 << 10;

/// The longest text of a line, in bytes; longer ones are split.
pub const MAX_LOG_TEXT: usize = 16 << 10;

/// The longest position, in bytes; the message of an end is cut at this.
pub const MAX_LOG_WORDS: usize = 4 << 10;

/// The longest time and the longest name of a stream, in bytes.
pub const MAX_LOG_LABEL: usize = 64;

/// Why nothing more of a log will come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    /// For programs.
    pub reason: LogEndReason,
    /// For people; empty when the reason says it all.
    pub message: String,
}

/// Why nothing more of a log will come, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogEndReason {
    /// That was all of it, and nobody wanted to follow it.
    Complete,
    /// The instance is not on its node any more: removed, or moved elsewhere.
    Gone,
    /// The node was away for too long.
    Disconnected,
    /// The node was removed from the cluster.
    NodeRemoved,
    /// The log cannot be read.
    Failed,
    /// Too many logs are being read.
    Busy,
    /// The control plane is stopping.
    Stopping,
    /// A reason that a newer peer has.
    #[serde(other)]
    Unknown,
}

/// What the control plane says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ControlMessage {
    /// The answer to hello.
    Welcome {
        /// Which cluster this is; units of other clusters are not ours to touch.
        cluster: ClusterName,
        /// What this node is called.
        node: NodeName,
        /// Send a heartbeat this often, in milliseconds.
        heartbeat_millis: u64,
    },
    /// Go away, and why; nothing follows.
    Refused {
        /// For the agent's log.
        reason: String,
    },
    /// Do this.
    Run {
        /// Repeated in reports.
        deployment: String,
        /// What to do.
        step: Box<Step>,
        /// Kept before it is done, and told in the next hello ([`Origin::mark`]).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<OrderMark>,
        /// That the step was ordered from this node: kept before it is done, and shown in reports
        /// ([`ObservedNode::receipts`]).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<Receipt>,
    },
    /// Say what runs, now.
    Observe,
    /// Say in full what runs as these: their digests are none of what was ordered.
    Describe {
        /// Which.
        instances: Vec<InstanceId>,
    },
    /// The answer to a need for secrets.
    Secrets {
        /// Which need.
        request: u64,
        /// Values by secret name; the versions are those asked for.
        values: BTreeMap<String, InTransit>,
        /// Why there are none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Send log lines.
    ReadLogs {
        /// Repeated in the answer.
        request: u64,
        /// Whose.
        instance: InstanceId,
        /// At most so many old lines; `u32::MAX` means all there are.
        tail: u32,
        /// Go on as new lines come.
        follow: bool,
        /// Go on behind this position, which a batch had; `tail` does not count then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// So much may be sent, in bytes of [`LogBatch::weight`]; more with
        /// [`ControlMessage::GrantLogs`].
        credit: u64,
    },
    /// More log lines may be sent: so much was read.
    GrantLogs {
        /// Which.
        request: u64,
        /// In bytes of [`LogBatch::weight`].
        credit: u64,
    },
    /// Send no more of them.
    StopLogs {
        /// Which.
        request: u64,
    },
    /// The new certificate.
    Certificate {
        /// Certificate chain, PEM.
        pem: String,
    },
}

/// Body of `POST /api/v1/nodes/register`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// The secret part of the join token.
    pub token: InTransit,
    /// What the node wants to be called.
    pub name: NodeName,
    /// PKCS#10 request, PEM.
    pub csr: String,
    /// Take over the name of a node that is already known; the token must allow it.
    #[serde(default)]
    pub replace: bool,
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterResponse {
    /// The node's id.
    pub id: String,
    /// Which cluster it joined.
    pub cluster: ClusterName,
    /// The node's certificate chain, PEM.
    pub certificate: String,
    /// The CA's certificate, PEM.
    pub ca: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written_and_others_are_refused() {
        let lines = vec![LogLine { text: "a\"\u{1b}".to_owned(), ..LogLine::remark("") }];
        let batch = LogBatch { lines, ..LogBatch::end(LogEndReason::Gone, "x") };
        let logs = AgentMessage::Logs { request: 7, batch };
        let frame = serde_json::to_string(&logs).unwrap();
        assert!(frame.starts_with(LOGS), "the short way is the one that is taken: {frame}");
        for message in [logs, AgentMessage::Heartbeat { clock_millis: Some(1) }] {
            let frame = serde_json::to_string(&message).unwrap();
            assert_eq!(AgentMessage::read(&frame).unwrap(), message);
        }
        for frame in [r#"{"type":"logs","request":1}"#, r#"{"type":"logs",}"#, "", "{}"] {
            assert!(AgentMessage::read(frame).is_err(), "{frame}");
        }
    }

    #[test]
    fn what_is_longer_than_it_weighs_is_not_fair() {
        let fair = |change: &dyn Fn(&mut LogBatch)| {
            let mut batch = LogBatch { lines: vec![LogLine::default()], ..LogBatch::default() };
            change(&mut batch);
            batch.is_fair()
        };
        let long = |bytes: usize| "x".repeat(bytes);
        assert!(fair(&|batch| batch.lines[0].text = long(MAX_LOG_TEXT)));
        assert!(!fair(&|batch| batch.lines[0].text = long(MAX_LOG_TEXT + 1)));
        assert!(!fair(&|batch| batch.lines[0].at = long(MAX_LOG_LABEL + 1)));
        assert!(!fair(&|batch| batch.lines[0].stream = long(MAX_LOG_LABEL + 1)));
        assert!(fair(&|batch| batch.position = Some(long(MAX_LOG_WORDS))));
        assert!(!fair(&|batch| batch.position = Some(long(MAX_LOG_WORDS + 1))));
        assert!(LogLine::remark(long(MAX_LOG_TEXT + 9)).text.len() == MAX_LOG_TEXT);
    }
}
