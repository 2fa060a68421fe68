//! Nodes that joined and that the records do not know any more: what runs there is known to nobody.
//!
//! Knows the list of nodes beside the CA, and who of it has not said since what it was told.
//! Refuses to plan anything before: what such a node runs, and its data, would be started a second
//! time elsewhere, without the data.

use devnet_schema::name::NodeName;
use tracing::warn;

use super::ControlPlane;
use crate::{
    auth::ListError,
    clock,
    store::{Admission, StoreError},
};

/// So many nodes are named one by one.
const NAMED: usize = 5;

impl ControlPlane {
    /// Takes back the nodes that joined and are not on record, as ones that have not said yet what
    /// they run; and keeps the list of those that are.
    ///
    /// # Errors
    /// When the records cannot be read or written.
    pub(super) fn take_back_nodes(&self) -> Result<(), StoreError> {
        for (name, id) in self.joined.list() {
            if self.revoked.holds(&id) {
                kept(self.joined.remove(&name, &id));
                continue;
            }
            match self.store.admit_node(&id, &name, clock::wall()) {
                // One whose name is another's by the records is put right below.
                Ok(Admission::Known | Admission::Superseded) => {}
                Ok(Admission::Removed) => kept(self.joined.remove(&name, &id)),
                Ok(Admission::Adopted) => {
                    self.orders().lost(&name);
                    let text = format!(
                        "{name} joined and is not on record: what it runs is not known until its \
                         agent connects"
                    );
                    self.journal.node(&name, &text);
                }
                // A record of this name that cannot be read is told elsewhere.
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, node = %name, "a node");
                }
            }
        }
        let recorded = self.store.nodes()?.into_iter();
        for record in recorded.filter(|record| !self.revoked.holds(&record.id)) {
            kept(self.joined.add(&record.name, &record.id));
        }
        Ok(())
    }

    /// Nodes that the records lost, and that have not said what they were told to run.
    pub(super) fn unheard(&self) -> Vec<NodeName> {
        let unread = self.orders().unread();
        // A record that cannot be read has a sentence of its own.
        let damaged = self.store.unread_assignments().unwrap_or_default();
        let damaged =
            |node: &NodeName| damaged.contains(&None) || damaged.contains(&Some(node.clone()));
        let silent = unread.into_iter().filter(|node| !self.fleet.has_told(node));
        // One of which the records know too little, and not nothing, has one as well.
        let seen = |node: &NodeName| {
            let record = self.store.node(node).ok().flatten();
            record.is_some_and(|record| record.last_seen.is_some())
        };
        let known = |node: &NodeName| self.orders().is_doubted(node) && seen(node);
        silent.filter(|node| !damaged(node) && !known(node)).collect()
    }

    /// Why nothing can be planned yet: the records of some nodes are lost, and these have not said
    /// what they were told to run.
    pub(super) fn awaits_unheard(&self) -> Option<String> {
        let silent = self.unheard();
        let first = silent.first()?;
        let names: Vec<&str> = silent.iter().take(NAMED).map(NodeName::as_str).collect();
        let more = match silent.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let nodes = if silent.len() == 1 { "node" } else { "nodes" };
        Some(format!(
            "the records of what was ordered were lost: waiting for {nodes} {}{more} to say what \
             runs there; nothing is planned before, since it would be started a second time, \
             without its data; take a node that is gone for good out with `devnet node rm {first}`",
            names.join(", ")
        ))
    }
}

/// A list that cannot be written is written at the next start.
pub(super) fn kept(written: Result<(), ListError>) {
    if let Err(error) = written {
        warn!(error = &error as &dyn std::error::Error, "keeping the list of nodes that joined");
    }
}
