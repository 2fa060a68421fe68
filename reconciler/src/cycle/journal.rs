//! The journal: events as they happen, on disk and to whoever follows along.
//!
//! Knows how an event reaches its readers. Refuses to let a full disk stop the loop: an event that
//! cannot be written goes to the log.

use std::sync::Arc;

use devnet_schema::name::{InstanceId, NodeName};
use tokio::sync::watch;
use tracing::{error, info};

use crate::{fleet::wall, store::Store};

/// Where events go.
pub struct Journal {
    store: Arc<Store>,
    written: watch::Sender<u64>,
}

impl Journal {
    /// A journal in `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, written: watch::Sender::new(0) }
    }

    /// Writes an event. `kind` is one of those of [`crate::api::Event`].
    pub fn write(&self, kind: &str, subject: &str, message: &str) {
        info!(kind, subject, "{message}");
        match self.store.append_event(&wall(), kind, subject, message) {
            Ok(event) => {
                self.written.send_replace(event.seq);
            }
            Err(error) => error!(error = &error as &dyn std::error::Error, "writing an event"),
        }
    }

    /// Writes an event about a node.
    pub fn node(&self, node: &NodeName, message: &str) {
        self.write("node", &format!("node.{node}"), message);
    }

    /// Writes an event about an instance.
    pub fn instance(&self, instance: &InstanceId, message: &str) {
        self.write("instance", &instance.address(), message);
    }

    /// The number of the newest event, as it goes up.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }
}
