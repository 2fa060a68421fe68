//! What agents see: the state of each instance on their node.
//!
//! Knows states and says `unknown` where nothing was seen. Refuses to conclude anything from
//! absence: `ObservedNode::complete` tells an empty node from one that could not be read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    instance::{Generation, InstanceSpec, Runtime},
    name::{InstanceId, NodeName, ServiceName},
};

/// Whether a unit runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// It runs.
    Running,
    /// It is being started, or restarts after a crash.
    Starting,
    /// It ended or was stopped.
    Exited,
    /// It was to run once, and ended with 0: it is done.
    Completed,
    /// It runs at certain times, and waits for the next of them. It is unhealthy where its last run
    /// failed.
    Scheduled,
    /// Its node cannot be asked.
    #[default]
    Unknown,
}

/// Whether a unit serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Its probe answers, or it runs and has none.
    Healthy,
    /// Its probe failed too often.
    Unhealthy,
    /// Not yet known: it just started.
    Starting,
    /// Its node cannot be asked.
    #[default]
    Unknown,
}

/// One instance as seen on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedInstance {
    /// `db-0`.
    pub id: String,
    /// Its service.
    pub service: ServiceName,
    /// Its number; read from `id` when absent.
    #[serde(default)]
    pub index: u32,
    /// Where it was seen.
    pub node: NodeName,
    /// Which generation runs.
    #[serde(default)]
    pub generation: Generation,
    /// Digest of the spec that runs.
    #[serde(default = "no_digest")]
    pub digest: Digest,
    /// Whether it runs.
    #[serde(default)]
    pub state: InstanceState,
    /// Whether it serves.
    #[serde(default)]
    pub health: HealthState,
    /// How often it was restarted after it ended by itself.
    #[serde(default)]
    pub restarts: u32,
    /// The last thing worth saying, e.g. `exited with code 1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Which driver runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// The spec that runs, where it is known. Secrets are references in it. Reports of agents leave
    /// it out ([`crate::wire::ControlMessage::Describe`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Box<InstanceSpec>>,
}

fn no_digest() -> Digest {
    Digest::from(String::new())
}

impl ObservedInstance {
    /// What is seen of an instance that was made from this, runs and is healthy.
    pub fn running(spec: Box<InstanceSpec>, generation: Generation) -> Self {
        Self {
            id: spec.id.slug(),
            service: spec.id.service.clone(),
            index: spec.id.index,
            node: spec.node.clone(),
            generation,
            digest: spec.digest(),
            state: InstanceState::Running,
            health: HealthState::Healthy,
            restarts: 0,
            message: None,
            runtime: Some(spec.workload.runtime()),
            spec: Some(spec),
        }
    }

    /// Its identity. The index in `id` wins over the field, which older snapshots leave out.
    pub fn instance(&self) -> crate::name::InstanceId {
        let index = self
            .id
            .parse::<crate::name::InstanceId>()
            .ok()
            .filter(|id| id.service == self.service)
            .map_or(self.index, |id| id.index);
        crate::name::InstanceId { service: self.service.clone(), index }
    }
}

/// Everything one agent sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedNode {
    /// False when a driver could not be asked: then absence means nothing.
    pub complete: bool,
    /// Why it is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Sorted by id.
    pub instances: Vec<ObservedInstance>,
    /// The newest generation that the node has accepted of each instance, also of those that do not
    /// run: it refuses every older one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accepted: BTreeMap<InstanceId, Generation>,
    /// The receipts that came with orders ([`crate::wire::ControlMessage::Run`]), also of what was
    /// removed since; at most [`crate::wire::MAX_RECEIPTS`] of an instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub receipts: BTreeMap<InstanceId, Vec<crate::wire::Receipt>>,
    /// The volumes that are kept on the node, whether anything uses them or not; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<HeldVolume>,
    /// The volumes of Compose projects that are kept on the node; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<SharedVolume>,
    /// The drivers of which all volumes are in these two: what is not there of them does not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes_of: Vec<Runtime>,
}

/// The most volumes of one node that a report holds.
pub const MAX_VOLUMES: usize = 8192;

/// The longest name of a volume that is told, in bytes.
pub const MAX_VOLUME_NAME: usize = 255;

/// The longest path at which a volume is seen that is told, in bytes.
pub const MAX_VOLUME_PATH: usize = 4096;

/// A volume that a node keeps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldVolume {
    /// The instance that it was made for.
    pub instance: InstanceId,
    /// Its name within that.
    pub name: String,
    /// Which driver keeps it.
    pub runtime: Runtime,
    /// Which instance used it last, where that is another one: its service was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<InstanceId>,
}

/// A volume that a node keeps and that the instances of a Compose project share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SharedVolume {
    /// The project that it was made for.
    pub project: ServiceName,
    /// Its name within that.
    pub name: String,
    /// Which driver keeps it.
    pub runtime: Runtime,
    /// Which instances have used it, and where each saw it last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<InstanceId, String>,
}
