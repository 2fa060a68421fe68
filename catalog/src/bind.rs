//! What rendering is given beside the desired state: where each instance was placed, and which
//! secrets there are.
//!
//! Knows the result of placement. Refuses to know how it was found.

use std::collections::BTreeMap;

use devnet_schema::{
    name::{InstanceId, NodeName},
    placement::GpuUse,
};

/// Where instances were placed and what secrets exist.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    /// Every instance that is to run. A service or an index that is not here is not rendered.
    pub instances: BTreeMap<InstanceId, Placed>,
    /// The version of every secret there is; `None` when no control plane was asked, and then every
    /// secret counts as there, in version 0.
    pub secrets: Option<BTreeMap<String, u64>>,
}

/// Where one instance was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// On which node.
    pub node: NodeName,
    /// The node's address as others reach it.
    pub node_ip: String,
    /// The GPU devices it is given.
    pub gpus: Vec<GpuUse>,
    /// Host port by port name.
    pub ports: BTreeMap<String, u16>,
}
