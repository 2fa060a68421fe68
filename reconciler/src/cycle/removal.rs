//! What taking a node out of the cluster leaves behind.
//!
//! Knows what is seen and ordered there, what of it is protected, and whose data is there. Refuses
//! to take any of it away: a node that is out goes on running what it runs, unseen.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    fleet::{FleetSnapshot, NodeStatus},
    name::{InstanceId, NodeName},
};

use super::ControlPlane;
use crate::api::AGENT_CONNECTED;

/// What would be left on a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Its agent is connected.
    pub online: bool,
    /// What runs there, was ordered there, or was when it was last seen; whether it is protected.
    pub instances: BTreeMap<InstanceId, bool>,
    /// Volumes there, by whose data they hold.
    pub data: BTreeMap<InstanceId, Vec<String>>,
}

impl Left {
    /// Of a node, in what is known of the fleet.
    fn of(name: &NodeName, fleet: &FleetSnapshot) -> Self {
        let node = fleet.nodes.iter().find(|node| node.name == *name);
        let seen = fleet.instances.iter().filter(|seen| seen.node == *name);
        let orders = fleet.orders.iter().flatten().filter(|order| order.node == *name);
        let ordered = orders.map(|order| order.instance.clone());
        let all: BTreeSet<InstanceId> = seen.map(|seen| seen.instance()).chain(ordered).collect();
        let protected = |id: InstanceId| {
            let is = fleet.protected.contains(&id);
            (id, is)
        };
        let data = fleet.data.iter().filter(|place| place.node == *name).map(|place| {
            let names = place.volumes.iter().map(|volume| volume.name.clone());
            (place.instance.clone(), names.collect())
        });
        Self {
            online: node.is_some_and(|node| node.status == NodeStatus::Online),
            instances: all.into_iter().map(protected).collect(),
            data: data.collect(),
        }
    }

    /// Whether nobody would miss the node.
    pub fn is_nothing(&self) -> bool {
        let Self { online, instances, data } = self;
        !online && instances.is_empty() && data.is_empty()
    }

    /// What a person should know before, a line each.
    pub fn told(&self) -> Vec<String> {
        let Self { online, instances, data } = self;
        let mut lines = Vec::new();
        if *online {
            lines.push(format!("{AGENT_CONNECTED}, and would be refused from then on"));
        }
        for (id, protected) in instances {
            let protected = if *protected { ", is protected" } else { "" };
            lines.push(format!("{id} is there{protected}, and would run on unseen"));
        }
        for (id, volumes) in data {
            let names = match volumes.is_empty() {
                true => String::new(),
                false => format!(" ({})", volumes.join(", ")),
            };
            lines.push(format!("the data of {id}{names} is there, and would stay there"));
        }
        lines
    }
}

impl ControlPlane {
    /// What would be left on a node that is taken out now.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn left_on(&self, name: &NodeName) -> anyhow::Result<Left> {
        Ok(Left::of(name, &self.shown()?))
    }
}
