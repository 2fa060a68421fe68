//! Where an instance ends up, on which devices, and why: what the stages after placement tell one
//! another.
//!
//! Knows the words of that. Refuses to decide any of it: [`crate::assignments`] does.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    instance::Runtime,
    name::{InstanceId, NodeName, ServiceName},
    placement::GpuUse,
};

use crate::{
    blocked::Blocked,
    hold::{Held, Holds},
    observations::Observations,
    observed::Observed,
    place::{Displaced, Reason},
};

/// Where an instance ends up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// On which node.
    pub node: NodeName,
    /// On which devices.
    pub gpus: Vec<GpuUse>,
    /// Why.
    pub why: Why,
}

/// Why an instance is where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// Placement says so.
    Placed(Reason),
    /// Its state is not known, so nothing is decided about it.
    Unknown,
    /// The plan may not touch it.
    OutOfScope,
    /// It fits nowhere and disturbs nobody where it runs.
    Kept(Displaced),
    /// The same, but as it is: what is declared now would have no room there either.
    KeptAsIs(Displaced),
    /// It does not run, and may start nowhere but where its data is.
    WaitsForData(Wait),
}

/// Why an instance does not start where its data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The node does not answer, or is not in the fleet.
    Away,
    /// There is no room for it, or something else is against it.
    Place,
    /// The data is with another driver than the one that runs it by now.
    Runtime(Runtime),
    /// There is data of it here and there, by node and name, and nobody knows which is the newest.
    Doubt(Vec<(NodeName, InstanceId)>),
    /// It may leave its data, and would go to a node that has older data of it.
    Older(NodeName),
    /// Its node says that it has these of its volumes no more.
    Missing(Vec<String>),
    /// Only that node says that it has its data, and the service is not to run there, for these
    /// reasons; without one, the node has no receipt of an order.
    Told(Vec<String>),
}

/// Where everything ends up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Assignments {
    /// Every instance that has a place, by identity.
    pub by_instance: BTreeMap<InstanceId, Assignment>,
    /// What runs, is known to, and stops because no node has room for it.
    pub evicted: BTreeMap<InstanceId, Displaced>,
    /// Of what keeps running as it is, those that placement counted as placed.
    pub held: BTreeSet<InstanceId>,
    /// What goes on as it is because of its data, and why.
    pub holds: Holds,
    /// What has no place because its data is on a node that is not in the fleet.
    pub stranded: BTreeMap<InstanceId, NodeName>,
    /// Services that wait because one they depend on has no place at all, with its name.
    pub blocked: Blocked,
}

impl Assignments {
    /// The unit that an instance goes on with where it ends up.
    pub(crate) fn unit<'c, 'a>(
        &self,
        observations: &'c Observations<'a>,
        id: &InstanceId,
    ) -> Option<&'c Observed<'a>> {
        let (assignment, hold) = (self.by_instance.get(id)?, self.holds.get(id));
        let mut group = observations.observed.get(id)?.iter();
        group.find(|unit| match hold {
            Some(hold) => hold.is(unit),
            None => *unit.node() == assignment.node,
        })
    }

    /// Services of which something is where it is by nothing but the word of its node, with a line
    /// or want of room against it: nobody else is told to go there.
    pub(crate) fn by_word(&self, observations: &Observations<'_>) -> BTreeSet<&ServiceName> {
        let told = |(id, assignment): &(&InstanceId, &Assignment)| {
            let hold = self.holds.get(*id).is_some_and(|hold| matches!(hold.why, Held::Told(_)));
            let kept = matches!(assignment.why, Why::Kept(_) | Why::KeptAsIs(_));
            hold || (kept && self.unit(observations, id).is_some_and(|unit| unit.claimed))
        };
        self.by_instance.iter().filter(told).map(|(id, _)| &id.service).collect()
    }

    /// Whether the instance ends up on that node.
    pub(crate) fn puts(&self, instance: &InstanceId, node: &NodeName) -> bool {
        self.by_instance.get(instance).is_some_and(|assignment| assignment.node == *node)
    }
}

/// Who comes to a node.
pub(crate) fn newcomers<'s>(
    assignments: &'s BTreeMap<InstanceId, Assignment>,
    node: &NodeName,
) -> impl Iterator<Item = &'s InstanceId> {
    let here = assignments.iter().filter(move |(_, assignment)| assignment.node == *node);
    here.filter(|(_, assignment)| {
        matches!(assignment.why, Why::Placed(Reason::New { .. } | Reason::Moves { .. }))
    })
    .map(|(id, _)| id)
}
