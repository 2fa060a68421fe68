//! One unit as it was seen on one node, and what its service is called from now on.
//!
//! Knows what a report says of it, and what can be known at all. Refuses to weigh two reports
//! against each other: [`crate::observations`] does.

use devnet_schema::{
    desired::DesiredState,
    fleet::NodeStatus,
    instance::{Generation, InstanceSpec},
    name::{InstanceId, NodeName, ServiceName},
    observed::{InstanceState, ObservedInstance},
};

/// One unit on one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observed<'a> {
    /// What was seen.
    pub seen: &'a ObservedInstance,
    /// Whether its node can be reached. A node that is not in the fleet counts as lost.
    pub status: NodeStatus,
    /// Whether it still runs under the name of before a rename.
    pub renamed: bool,
    /// As of which generation it was ordered there; 0 where the records do not say.
    pub ordered: Generation,
    /// Whether nothing but the word of its node tells that it was ordered there.
    pub claimed: bool,
    /// Whether its node has what came with the order, where that is claimed.
    pub shown: bool,
}

impl<'a> Observed<'a> {
    /// Whether its state is known: its node was asked and answered.
    pub(crate) fn is_known(&self) -> bool {
        self.status == NodeStatus::Online && self.seen.state != InstanceState::Unknown
    }

    /// Whether it is known not to run.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_known() && self.seen.state == InstanceState::Exited
    }

    /// Where.
    pub(crate) fn node(&self) -> &'a NodeName {
        &self.seen.node
    }

    /// What it runs, where that is known.
    pub(crate) fn spec(&self) -> Option<&'a InstanceSpec> {
        self.seen.spec.as_deref()
    }

    /// The name it runs under.
    pub(crate) fn runs_as(&self) -> InstanceId {
        self.seen.instance()
    }

    /// Why its state is not known, as `gamma is offline`.
    pub(crate) fn why_unknown(&self) -> String {
        let node = self.node();
        match self.status {
            NodeStatus::Online => format!("{node} could not read it"),
            NodeStatus::Offline => format!("{node} is offline"),
            NodeStatus::Lost => format!("{node} is lost"),
        }
    }
}

/// What a service is called from now on. A name that is declared again is no old name, and one that
/// leads to nothing declared stays.
pub(crate) fn renamed<'d>(desired: &'d DesiredState, service: &'d ServiceName) -> &'d ServiceName {
    let mut name = service;
    // A chain of renames is followed once through the list at most, so a circle ends too.
    for _ in 0..=desired.moved.len() {
        if desired.services.contains_key(name) {
            return name;
        }
        match desired.moved.iter().find(|(from, _)| from == name) {
            Some((_, to)) => name = to,
            None => break,
        }
    }
    service
}
