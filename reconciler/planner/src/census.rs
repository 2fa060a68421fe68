//! What runs where, by the name it has from now on: renames are applied, and everyone who was seen
//! twice is seen twice here.
//!
//! Knows observations. Refuses to know what is wanted, renames apart.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use devnet_schema::{
    desired::DesiredState,
    fleet::{FleetSnapshot, Node, NodeStatus},
    instance::{Generation, InstanceSpec, Protocol},
    name::{InstanceId, NodeName, ServiceName},
    observed::{InstanceState, ObservedInstance},
};

/// The fleet, sorted, with renames applied.
#[derive(Debug)]
pub struct Census<'a> {
    /// The nodes.
    pub nodes: BTreeMap<&'a NodeName, &'a Node>,
    /// Who was seen, by the name it has from now on; the most trustworthy sighting first.
    pub sightings: BTreeMap<InstanceId, Vec<Sighting<'a>>>,
    /// The highest generation that anyone reports, by the name it runs under.
    pub generations: BTreeMap<InstanceId, Generation>,
}

/// One unit on one node.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// What was seen.
    pub seen: &'a ObservedInstance,
    /// Whether its node can be reached. A node that is not in the fleet counts as lost.
    pub status: NodeStatus,
    /// Whether it still runs under the name of before a rename.
    pub renamed: bool,
}

impl<'a> Sighting<'a> {
    /// Whether its state is known: its node was asked and answered.
    pub fn is_known(&self) -> bool {
        self.status == NodeStatus::Online && self.seen.state != InstanceState::Unknown
    }

    /// Where.
    pub fn node(&self) -> &'a NodeName {
        &self.seen.node
    }

    /// What it runs, where that is known.
    pub fn spec(&self) -> Option<&'a InstanceSpec> {
        self.seen.spec.as_deref()
    }

    /// The name it runs under.
    pub fn runs_as(&self) -> InstanceId {
        self.seen.instance()
    }

    /// Why its state is not known, as `gamma is offline`.
    pub fn why_unknown(&self) -> String {
        let node = self.node();
        match self.status {
            NodeStatus::Online => format!("{node} could not read it"),
            NodeStatus::Offline => format!("{node} is offline"),
            NodeStatus::Lost => format!("{node} is lost"),
        }
    }
}

impl<'a> Census<'a> {
    /// Counts the fleet.
    pub fn of(desired: &DesiredState, fleet: &'a FleetSnapshot) -> Self {
        let nodes: BTreeMap<_, _> = fleet.nodes.iter().map(|node| (&node.name, node)).collect();
        let mut sightings: BTreeMap<InstanceId, Vec<Sighting<'a>>> = BTreeMap::new();
        let mut generations: BTreeMap<InstanceId, Generation> = BTreeMap::new();
        for seen in &fleet.instances {
            let status = nodes.get(&seen.node).map_or(NodeStatus::Lost, |node| node.status);
            let id = seen.instance();
            let highest = generations.entry(id.clone()).or_insert(0);
            *highest = seen.generation.max(*highest);
            let service = renamed(desired, &id.service);
            let renamed = *service != id.service;
            let id = InstanceId { service: service.clone(), index: id.index };
            sightings.entry(id).or_default().push(Sighting { seen, status, renamed });
        }
        for group in sightings.values_mut() {
            group.sort_by_key(|it| {
                let running = it.seen.state == InstanceState::Running;
                let known = (it.is_known(), !it.renamed, it.seen.generation, running);
                (Reverse(known), it.node(), it.seen.digest.as_str())
            });
            group.dedup_by_key(|it| (it.node(), it.renamed));
        }
        Self { nodes, sightings, generations }
    }

    /// The most trustworthy sighting.
    pub fn best(&self, id: &InstanceId) -> Option<&Sighting<'a>> {
        self.sightings.get(id).and_then(|group| group.first())
    }

    /// Ports of a node that something outside the cluster holds. An agent that has just started
    /// after a power cut reports ports before it knows which of them its own units hold, so those
    /// of everything seen on the node are left out.
    pub fn ports_outside(&self, node: &Node) -> impl Iterator<Item = (Protocol, u16)> {
        let here = self.all().filter(|(_, it)| *it.node() == node.name);
        let specs = here.filter_map(|(_, it)| it.spec());
        let ours: BTreeSet<u16> =
            specs.flat_map(|spec| spec.ports.iter().map(|port| port.host)).collect();
        let held: BTreeSet<u16> = node.facts.ports_in_use.iter().copied().collect();
        held.into_iter().filter(move |port| !ours.contains(port)).map(|port| (Protocol::Tcp, port))
    }

    /// Everything that was seen.
    pub fn all(&self) -> impl Iterator<Item = (&InstanceId, &Sighting<'a>)> {
        self.sightings.iter().flat_map(|(id, group)| group.iter().map(move |it| (id, it)))
    }
}

/// What a service is called from now on. A name that is declared again is no old name, and one that
/// leads to nothing declared stays.
fn renamed<'d>(desired: &'d DesiredState, service: &'d ServiceName) -> &'d ServiceName {
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
