//! The journal: events as they happen, on disk and to whoever follows along.
//!
//! Knows how an event reaches its readers, and who caused it: an act of people or of the loop, or
//! something that an agent or a stranger did, of which there may be any number. Refuses to let a
//! full disk stop the loop: an event that cannot be written goes to the log.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use devnet_schema::name::{InstanceId, NodeName};
use tokio::sync::watch;
use tracing::{error, info};

use super::hush::{Flow, Hush};
use crate::{
    clock,
    store::{Cause, Retention, Store},
};

/// How often something that repeats is told again.
const MINUTE: Duration = Duration::from_secs(60);
/// Different things of one source that are told within that time.
const KINDS: usize = 20;
/// So many events are written between two looks at how many there are.
const BETWEEN_BOUNDS: u64 = 500;
/// Sources that are told apart at once.
const SOURCES: usize = 10_000;

/// Where events go.
pub struct Journal {
    store: Arc<Store>,
    written: watch::Sender<u64>,
    quiet: Mutex<Quiet>,
}

/// What an event says: kind, subject, message.
type Said = (String, String, String);

/// What is not told each time.
#[derive(Default)]
struct Quiet {
    /// By the node or the address that causes it.
    repeated: BTreeMap<String, Hush<Said>>,
    flows: BTreeMap<NodeName, Flow>,
}

impl Journal {
    /// A journal in `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, written: watch::Sender::new(0), quiet: Mutex::default() }
    }

    /// Writes an event about an act. `kind` is one of those of [`crate::api::Event`].
    pub fn write(&self, kind: &str, subject: &str, message: &str) {
        self.append(Cause::Act, kind, subject, message);
    }

    fn append(&self, cause: Cause, kind: &str, subject: &str, message: &str) {
        info!(kind, subject, "{message}");
        match self.store.append_event(clock::wall(), cause, kind, subject, message) {
            Ok(event) => {
                self.written.send_replace(event.seq);
                // Whoever causes them in any number fills no disk until the next sweep.
                if event.seq % BETWEEN_BOUNDS == 0
                    && let Err(error) = self.store.bound_events(&Retention::default())
                {
                    error!(error = &error as &dyn std::error::Error, "dropping old events");
                }
            }
            Err(error) => error!(error = &error as &dyn std::error::Error, "writing an event"),
        }
    }

    fn quiet(&self) -> MutexGuard<'_, Quiet> {
        // A panic elsewhere leaves counts of what was left out, which may be one too low.
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an event about an act on a node.
    pub fn node(&self, node: &NodeName, message: &str) {
        self.write("node", &format!("node.{node}"), message);
    }

    /// Writes an event about what someone asked for who may ask for any number of it.
    pub fn asked(&self, kind: &str, subject: &str, message: &str) {
        self.append(Cause::Report, kind, subject, message);
    }

    /// Writes an event about a node that its agent caused: some hundreds at once, then one a
    /// second; the rest is counted.
    pub fn node_reports(&self, node: &NodeName, now: Duration, message: &str) {
        if self.flows(node, now) {
            self.append(Cause::Report, "node", &format!("node.{node}"), message);
        }
    }

    /// Writes an event about an instance that a node's agent caused; as
    /// [`Journal::node_reports`].
    pub fn instance_reports(
        &self,
        node: &NodeName,
        now: Duration,
        instance: &InstanceId,
        message: &str,
    ) {
        if self.flows(node, now) {
            self.append(Cause::Report, "instance", &instance.address(), message);
        }
    }

    fn flows(&self, node: &NodeName, now: Duration) -> bool {
        let mut quiet = self.quiet();
        quiet.flows.entry(node.clone()).or_insert_with(|| Flow::new(now)).happened(now)
    }

    /// Writes an event about something that `source` should not have done, once a minute; the rest
    /// is counted. True when it was written.
    pub fn refused(
        &self,
        source: &str,
        now: Duration,
        kind: &str,
        subject: &str,
        message: &str,
    ) -> bool {
        let told = {
            let mut quiet = self.quiet();
            let known = quiet.repeated.contains_key(source);
            // Whoever can come from so many addresses is told as one.
            let source = if known || quiet.repeated.len() < SOURCES { source } else { "others" };
            let said = (kind.to_owned(), subject.to_owned(), message.to_owned());
            let hush = quiet.repeated.entry(source.to_owned());
            hush.or_insert_with(|| Hush::new(MINUTE, KINDS)).happened(said, now)
        };
        if told {
            self.append(Cause::Report, kind, subject, message);
        }
        told
    }

    /// Writes how much was left out. To be called about once a minute.
    pub fn tell(&self, now: Duration) {
        let mut due = Vec::new();
        {
            let mut quiet = self.quiet();
            quiet.repeated.retain(|source, hush| {
                due.extend(hush.due(now).into_iter().map(|(said, n)| (source.clone(), said, n)));
                !hush.is_empty()
            });
            quiet.flows.retain(|node, flow| {
                let left_out = flow.due();
                if left_out > 0 {
                    let said = ("node".to_owned(), format!("node.{node}"), String::new());
                    due.push((node.to_string(), Some(said), left_out));
                }
                !flow.is_full(now)
            });
        }
        for (source, said, count) in due {
            let (kind, subject, message) = match said {
                Some((kind, subject, message)) if message.is_empty() => {
                    (kind, subject, format!("{count} more changes on {source} were left out"))
                }
                Some((kind, subject, message)) => {
                    (kind, subject, format!("{message} ({count} times more within a minute)"))
                }
                None => {
                    let text = format!("{count} more refusals of {source} were left out");
                    ("auth".to_owned(), source, text)
                }
            };
            self.append(Cause::Report, &kind, &subject, &message);
        }
    }

    /// The number of the newest event, as it goes up.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }
}
