//! The fleet: what nodes have, what runs on them, and the recorded form that plans work from.
//!
//! Knows facts and their JSON form (docs/cluster-file.md, "The fleet snapshot"). Unknown fields of
//! a snapshot are ignored and missing optional ones defaulted. Refuses to know how facts are found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    instance::{Generation, Runtime, VolumeSpec},
    name::{ClusterName, InstanceId, NodeName},
    observed::ObservedInstance,
    order::{Accepted, Order},
};

/// A disk of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    /// Size in MiB.
    pub total_mb: u64,
    /// Free space in MiB.
    #[serde(default)]
    pub free_mb: u64,
}

/// A GPU of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// UUID: indices move on reboot, UUIDs do not.
    pub id: String,
    /// The maker's name for it.
    #[serde(default)]
    pub model: String,
    /// Memory in MiB.
    #[serde(default)]
    pub mem_mb: u64,
}

/// Whether something can be used on a node, and which version of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Availability {
    /// The engine's own version.
    pub version: Option<String>,
    /// Whether it answers.
    pub available: bool,
    /// `docker` or `podman`, where it is a container engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

impl Availability {
    /// What a snapshot means that leaves the field out: there, of no known version.
    fn assumed() -> Self {
        Self { available: true, ..Self::default() }
    }
}

/// What an agent says of its machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeFacts {
    /// The address other nodes reach it by.
    pub ip: String,
    /// `linux`, `macos`, …
    pub os: String,
    /// `x86_64`, `aarch64`, …
    pub arch: String,
    /// Logical cores.
    pub cpu_count: u32,
    /// Memory in MiB.
    pub total_memory_mb: u64,
    /// Disks, by mount point.
    pub disks: Vec<Disk>,
    /// GPUs, by UUID.
    pub gpus: Vec<Gpu>,
    /// Container engine. A hand-written snapshot that says nothing of it is taken to have one.
    #[serde(default = "Availability::assumed")]
    pub docker: Availability,
    /// Kubernetes.
    pub k8s: Availability,
    /// Native processes; every agent can run them unless told not to.
    #[serde(default = "Availability::assumed")]
    pub process: Availability,
    /// TCP ports in use by something that devnet did not start.
    pub ports_in_use: Vec<u16>,
}

/// Whether a node can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeStatus {
    /// Its agent is connected and reports.
    #[default]
    Online,
    /// Not seen lately: what runs there is unknown, and nothing is decided about it.
    Offline,
    /// Not seen for longer than `lost-after`: movable instances are placed elsewhere.
    Lost,
}

/// A node as the control plane knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Given when it joined.
    #[serde(default)]
    pub id: String,
    /// Its name.
    pub name: NodeName,
    /// What its agent reported.
    #[serde(flatten)]
    pub facts: NodeFacts,
    /// RFC 3339; when it was last heard of.
    #[serde(default)]
    pub last_seen: String,
    /// Tags that an admin gave it; never the agent.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Zone that an admin gave it.
    #[serde(default)]
    pub zone: Option<String>,
    /// Whether an admin forbade new instances.
    #[serde(default)]
    pub cordoned: bool,
    /// Whether an admin has it give up what can move; it is cordoned, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
    /// Whether it can be reached.
    #[serde(default)]
    pub status: NodeStatus,
}

/// That a node has data of an instance: volumes that outlive the unit, whether it runs or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPlace {
    /// Whose data it is.
    pub instance: InstanceId,
    /// Where it is.
    pub node: NodeName,
    /// As of which generation it was last used there; 0 where only the node tells of it. Of
    /// several places that with the highest has the newest data; of two with the same, one only
    /// says that it has some, and it may be newer.
    #[serde(default)]
    pub generation: Generation,
    /// Which driver keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// The volumes, where more is known than that there are some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeSpec>,
    /// The names of those that the node had by its own word, and has no more by its own word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Only the node tells of it, and it has the receipt of an order of the instance, or an
    /// operator believes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shown: bool,
}

/// A recorded fleet: enough to plan without any control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetSnapshot {
    /// `1.0`.
    #[serde(default = "format_version")]
    pub format_version: String,
    /// Which cluster it was taken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
    /// Up by one whenever anything in it changed.
    #[serde(default)]
    pub serial: u64,
    /// RFC 3339.
    #[serde(default)]
    pub taken_at: String,
    /// Sorted by name.
    pub nodes: Vec<Node>,
    /// What runs, sorted by instance and node.
    #[serde(default)]
    pub instances: Vec<ObservedInstance>,
    /// What nodes were told to run, by instance and node. Absent in a snapshot that somebody wrote:
    /// then all that runs in it is taken to have been ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<Vec<Order>>,
    /// What nodes have written down of generations, beside what runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Accepted>,
    /// Where data is, sorted by instance and node: of what runs, and of what does not run any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataPlace>,
    /// What was protected when it was last told to run, whatever is declared by now; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<InstanceId>,
    /// Version of each secret that exists; absent means that secrets are not known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<BTreeMap<String, u64>>,
}

impl FleetSnapshot {
    /// Sizes that a node must have and that the snapshot does not say, or says to be 0, as the node
    /// and the field: a node of unknown size is not one without room.
    #[must_use]
    pub fn sizes_missing(&self) -> Vec<(&NodeName, &'static str)> {
        let missing = |node: &Node| {
            let NodeFacts { cpu_count, total_memory_mb, .. } = &node.facts;
            let cpu = (*cpu_count == 0).then_some("cpu_count");
            [cpu, (*total_memory_mb == 0).then_some("total_memory_mb")].into_iter().flatten()
        };
        let all = self.nodes.iter();
        all.flat_map(|node| missing(node).map(|field| (&node.name, field))).collect()
    }
}

fn format_version() -> String {
    "1.0".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_a_size_is_named_with_the_field() {
        let text = r#"{"nodes": [
            {"name": "a", "cpu_count": 4, "total_memory_mb": 8192},
            {"name": "b", "cpu_count": 4},
            {"name": "c", "facts": {"cpu_count": 4, "total_memory_mb": 8192}}]}"#;
        let fleet: FleetSnapshot = serde_json::from_str(text).unwrap();
        let missing = fleet.sizes_missing();
        let missing: Vec<_> = missing.iter().map(|(node, field)| (node.as_str(), *field)).collect();
        let expected = [("b", "total_memory_mb"), ("c", "cpu_count"), ("c", "total_memory_mb")];
        assert_eq!(missing, expected);
    }
}
