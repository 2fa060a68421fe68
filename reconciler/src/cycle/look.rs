//! What people and programs are shown: nodes, services, instances, and how far the loop got.
//!
//! Knows how to put what is known into the documents of the API. Refuses to change anything.

use std::collections::BTreeMap;

use devnet_schema::{
    fleet::{FleetSnapshot, Node},
    name::ServiceName,
    observed::{HealthState, InstanceState, ObservedInstance},
};

use super::ControlPlane;
use crate::{
    api::{InstanceRow, NodeRow, ServiceRow, SourceStatus, Status},
    fleet::Purpose,
};

impl ControlPlane {
    /// Everything `devnet status` prints.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn status(&self) -> anyhow::Result<Status> {
        let fleet = self.shown()?;
        Ok(Status {
            cluster: self.fleet.cluster().map(|name| name.to_string()),
            source: self.source_status(),
            nodes: node_rows(&fleet),
            services: self.service_rows(&fleet),
            deployment: self.store.newest_deployment()?,
        })
    }

    /// The fleet as people see it.
    ///
    /// # Errors
    /// When the secrets' names cannot be read.
    pub fn shown(&self) -> anyhow::Result<FleetSnapshot> {
        self.snapshot(Purpose::Show, self.lost_after())
    }

    /// Why nothing is applied although something should be.
    pub fn held(&self) -> Option<String> {
        self.state().held.clone()
    }

    /// How far the loop got with its source.
    pub fn source_status(&self) -> Option<SourceStatus> {
        self.state().source.clone()
    }

    /// Every service, declared or running, by name.
    pub fn service_rows(&self, fleet: &FleetSnapshot) -> Vec<ServiceRow> {
        let current = self.state().current.clone();
        let mut rows: BTreeMap<ServiceName, ServiceRow> = BTreeMap::new();
        let empty = |name: &ServiceName, desired| ServiceRow {
            name: name.clone(),
            desired,
            healthy: 0,
            instances: Vec::new(),
        };
        for service in current.iter().flat_map(|c| c.desired.services.values()) {
            rows.insert(service.name.clone(), empty(&service.name, service.replicas));
        }
        for seen in &fleet.instances {
            let row = rows.entry(seen.service.clone()).or_insert_with(|| empty(&seen.service, 0));
            if serves(seen) {
                row.healthy += 1;
            }
            row.instances.push(instance_row(seen, &fleet.nodes));
        }
        rows.into_values().collect()
    }

    /// Counts nodes and instances for the metrics.
    pub(super) fn count(&self) {
        let (nodes, instances) = self.fleet.view(Purpose::Show, self.lost_after());
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let json = |value: Result<serde_json::Value, _>| word(value.unwrap_or_default());
        let nodes: Vec<String> =
            nodes.iter().map(|node| json(serde_json::to_value(node.status))).collect();
        let instances: Vec<(String, String)> = instances
            .iter()
            .map(|i| (json(serde_json::to_value(i.state)), json(serde_json::to_value(i.health))))
            .collect();
        self.metrics.census(
            nodes.iter().map(String::as_str),
            instances.iter().map(|(state, health)| (state.as_str(), health.as_str())),
        );
    }
}

fn serves(seen: &ObservedInstance) -> bool {
    seen.state == InstanceState::Running && seen.health == HealthState::Healthy
}

/// The nodes as rows.
pub fn node_rows(fleet: &FleetSnapshot) -> Vec<NodeRow> {
    fleet
        .nodes
        .iter()
        .map(|node| NodeRow {
            name: node.name.clone(),
            status: node.status,
            ip: node.facts.ip.clone(),
            instances: fleet.instances.iter().filter(|seen| seen.node == node.name).count() as u32,
            last_seen: node.last_seen.clone(),
        })
        .collect()
}

/// One instance as a row. Its address is where others reach its first port.
pub fn instance_row(seen: &ObservedInstance, nodes: &[Node]) -> InstanceRow {
    let ip = nodes.iter().find(|node| node.name == seen.node).map(|node| node.facts.ip.as_str());
    let port = seen.spec.as_ref().and_then(|spec| spec.ports.first());
    let address = port.zip(ip).map(|(port, ip)| match port.bind.as_str() {
        "0.0.0.0" | "::" => format!("{ip}:{}", port.host),
        bound => format!("{bound}:{}", port.host),
    });
    InstanceRow {
        id: seen.instance(),
        node: seen.node.clone(),
        state: seen.state,
        health: seen.health,
        address,
        message: seen.message.clone(),
    }
}
