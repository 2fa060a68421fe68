//! What people and programs are shown: nodes, services, instances, and how far the loop got.
//!
//! Knows how to put what is known into the documents of the API. Refuses to change anything.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    diagnostic::Diagnostic,
    fleet::{FleetSnapshot, Node, NodeStatus},
    name::{NodeName, ServiceName},
    observed::ObservedInstance,
    order::{OrderBook, Standing},
};
use tracing::warn;

use super::{ControlPlane, waiting::serves as is_well};
use crate::{
    api::{InstanceRow, NodeRow, ServiceRow, SourceStatus, Status},
    fleet::Purpose,
    store::NodeRecord,
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
            nodes: self.node_rows(&fleet),
            services: self.service_rows(&fleet),
            deployment: self.store.newest_deployment()?,
            problems: self.problems(),
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

    /// What the newest plan of the loop warns of.
    pub fn warnings(&self) -> Vec<Diagnostic> {
        self.state().warnings.clone()
    }

    /// How far the loop got with its source.
    pub fn source_status(&self) -> Option<SourceStatus> {
        self.state().source.clone()
    }

    /// Every node, by name.
    pub fn node_rows(&self, fleet: &FleetSnapshot) -> Vec<NodeRow> {
        let mut problems = self.fleet.problems();
        for (node, clock) in self.clocks() {
            let said = problems.remove(&node).into_iter().chain([clock]);
            problems.insert(node, said.collect::<Vec<_>>().join("; "));
        }
        let mut rows = node_rows(fleet, &problems);
        rows.extend(self.never_connected(fleet));
        let current = self.state().current.clone();
        for row in &mut rows {
            let policy = current.as_ref().and_then(|it| it.desired.nodes.get(&row.name));
            row.drained |= policy.is_some_and(|policy| policy.drain);
            row.shut = policy.is_some_and(|policy| policy.cordon || policy.drain);
        }
        rows.sort_by(|one, other| one.name.cmp(&other.name));
        rows
    }

    /// Nodes that joined and whose agent has never connected.
    fn never_connected(&self, fleet: &FleetSnapshot) -> Vec<NodeRow> {
        let records = match self.store.nodes() {
            Ok(records) => records,
            Err(error) => {
                // What is wrong with the records is told by the status itself.
                warn!(error = &error as &dyn std::error::Error, "listing nodes on record");
                return Vec::new();
            }
        };
        let known = |name: &NodeName| fleet.nodes.iter().any(|node| node.name == *name);
        let absent = records.into_iter().filter(|it| it.last_seen.is_none() && !known(&it.name));
        let row = |record: NodeRecord| NodeRow {
            problem: Some(format!(
                "it joined at {} and has never connected: run `devnet-agent run` there, or take \
                 it out with `devnet node rm {}`",
                record.joined_at, record.name
            )),
            name: record.name,
            status: NodeStatus::Offline,
            ip: record.facts.ip,
            instances: 0,
            last_seen: None,
            cordoned: record.cordoned,
            drained: record.drained,
            shut: false,
            joined_at: Some(record.joined_at),
            never_connected: true,
        };
        absent.filter(|record| !self.revoked.holds(&record.id)).map(row).collect()
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
            waiting: Vec::new(),
            undeclared: false,
        };
        let mut per_node: BTreeSet<&ServiceName> = BTreeSet::new();
        for service in current.iter().flat_map(|c| c.desired.services.values()) {
            // How many one on each node are, shows in what the nodes were told to run.
            rows.insert(service.name.clone(), empty(&service.name, service.replicas.count()));
            per_node.extend(service.replicas.is_per_node().then_some(&service.name));
        }
        for row in instance_rows(fleet) {
            let service = &row.id.service;
            let of_service = rows.entry(service.clone()).or_insert_with(|| empty(service, 0));
            if serves(&row) {
                of_service.healthy += 1;
            }
            of_service.desired += u32::from(per_node.contains(service) && !row.stranger);
            of_service.instances.push(row);
        }
        self.add_waiting(&mut rows);
        rows.into_values().collect()
    }

    /// Counts nodes and instances for the metrics.
    pub(super) fn count(&self) {
        let (nodes, mut instances) = self.fleet.view(Purpose::Show, self.lost_after());
        {
            let orders = self.orders();
            instances.retain(|seen| orders.knows(&seen.instance(), &seen.node));
        }
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let json = |value: Result<serde_json::Value, _>| word(value.unwrap_or_default());
        let nodes: Vec<String> =
            nodes.iter().map(|node| json(serde_json::to_value(node.status))).collect();
        let instances: Vec<(String, String)> = instances
            .iter()
            .map(|i| (json(serde_json::to_value(i.state)), json(serde_json::to_value(i.health))))
            .collect();
        self.metrics.observe(
            nodes.iter().map(String::as_str),
            instances.iter().map(|(state, health)| (state.as_str(), health.as_str())),
        );
    }
}

pub(super) fn serves(row: &InstanceRow) -> bool {
    is_well(row.state, row.health) && !row.stranger
}

/// The nodes as rows, with what is wrong with them.
fn node_rows(fleet: &FleetSnapshot, problems: &BTreeMap<NodeName, String>) -> Vec<NodeRow> {
    let ordered = ordered(fleet);
    let of = |node: &Node| ordered.iter().filter(|seen| seen.node == node.name).count();
    fleet
        .nodes
        .iter()
        .map(|node| NodeRow {
            name: node.name.clone(),
            status: node.status,
            ip: node.facts.ip.clone(),
            instances: of(node) as u32,
            last_seen: node.last_seen.parse().ok(),
            problem: problems.get(&node.name).cloned(),
            cordoned: node.cordoned,
            drained: node.drained,
            shut: false,
            joined_at: None,
            never_connected: false,
        })
        .collect()
}

/// Every instance as a row.
pub fn instance_rows(fleet: &FleetSnapshot) -> Vec<InstanceRow> {
    let book = OrderBook::of(fleet);
    fleet.instances.iter().map(|seen| instance_row(seen, &fleet.nodes, &book)).collect()
}

/// What was ordered where it is seen, or is claimed.
pub fn ordered(fleet: &FleetSnapshot) -> Vec<&ObservedInstance> {
    let book = OrderBook::of(fleet);
    let stranger = |it: &ObservedInstance| book.standing(&it.instance(), &it.node, it.generation);
    fleet.instances.iter().filter(|it| stranger(it) != Standing::Stranger).collect()
}

/// One instance as a row. Its address is where others reach its first port: on the address of its
/// node, whatever the node says of it. What nobody ordered has none.
fn instance_row(seen: &ObservedInstance, nodes: &[Node], book: &OrderBook<'_>) -> InstanceRow {
    let standing = book.standing(&seen.instance(), &seen.node, seen.generation);
    let ordered = matches!(standing, Standing::Ordered(_));
    // A claim of what another node was told to run counts for nothing.
    let elsewhere = standing == Standing::Claimed && book.ordered(&seen.instance()).is_some();
    let ip = nodes.iter().find(|node| node.name == seen.node).map(|node| node.facts.ip.as_str());
    let port = seen.spec.as_ref().filter(|_| ordered).and_then(|spec| spec.ports.first());
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
        stranger: standing == Standing::Stranger || elsewhere,
        outdated: None,
        waiting: None,
    }
}
