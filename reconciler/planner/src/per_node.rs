//! Which instances a service has of which one is on each eligible node, and their numbers.
//!
//! Knows which nodes are eligible: what `place` and the devices say, and the state of the node.
//! Refuses to weigh room: an eligible node without room is told of as what does not fit is.
//!
//! A number stays with its node: what is there, or has its data there, keeps it, and who is new
//! gets the lowest that nothing has. So a node that goes leaves a gap, and nothing else starts
//! anew.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    desired::{DesiredState, Service},
    name::{InstanceId, NodeName},
    replicas::{PerNode, Replicas},
};

use crate::{
    input::PlanInput,
    observations::Observations,
    place::{self, NodeInput, NodeState, ServiceInput},
    problem,
    scope::Scope,
};

/// The desired state with the numbers of each such service; nothing where there is none.
pub(crate) fn resolved(input: &PlanInput<'_>) -> Option<DesiredState> {
    let each = |service: &&Service| service.replicas.is_per_node();
    let services: Vec<&Service> = input.desired.services.values().filter(each).collect();
    if services.is_empty() {
        return None;
    }
    let observations = Observations::of(input);
    let nodes = observations.nodes.values();
    let nodes = nodes.map(|node| problem::node_input(input, &observations, node, &BTreeMap::new()));
    let nodes: Vec<NodeInput> = nodes.collect();
    let models = problem::models(&nodes);
    let mut desired = input.desired.clone();
    for service in services {
        let asked = problem::service_input(service, &observations, &Scope::whole(), &models);
        let found = instances(service, &asked, &nodes, &observations);
        if let Some(own) = desired.services.get_mut(&service.name) {
            own.replicas = Replicas::PerNode(found);
        }
    }
    Some(desired)
}

/// What is known of the service on one node.
#[derive(Default)]
struct Here {
    /// The numbers of what was seen there.
    seen: BTreeSet<u32>,
    /// Those whose data is there and may not be left.
    held: BTreeSet<u32>,
    /// Those whose data is there.
    data: BTreeSet<u32>,
}

impl Here {
    /// The number that the node keeps, if there is one.
    fn number(&self) -> Option<u32> {
        [&self.held, &self.data, &self.seen].into_iter().find_map(|all| all.first().copied())
    }
}

fn instances(
    service: &Service,
    asked: &ServiceInput,
    nodes: &[NodeInput],
    observations: &Observations<'_>,
) -> PerNode {
    let (here, mut used) = known(service, observations);
    let mut found = PerNode::default();
    let mut fresh = 0;
    for node in nodes {
        let nothing = Here::default();
        let known = here.get(&node.name).unwrap_or(&nothing);
        match (against(asked, node, known), known.number()) {
            (None, Some(number)) => drop(found.numbers.insert(number)),
            (None, None) => fresh += 1,
            (Some(why), Some(_)) => drop(found.left.insert(node.name.clone(), why)),
            (Some(_), None) => {}
        }
    }
    for _ in 0..fresh {
        let free = (0..).find(|number| !used.contains(number));
        found.numbers.extend(free);
        used.extend(free);
    }
    found
}

/// What is known of the service, by node, and every number that something has or had.
fn known<'a>(
    service: &Service,
    observations: &Observations<'a>,
) -> (BTreeMap<&'a NodeName, Here>, BTreeSet<u32>) {
    let mut here: BTreeMap<&NodeName, Here> = BTreeMap::new();
    let own = |id: &InstanceId| id.service == service.name;
    let observed = observations.observed.iter().filter(|(id, _)| own(id));
    for (id, unit) in observed.filter_map(|(id, group)| Some((id, group.first()?))) {
        here.entry(unit.node()).or_default().seen.insert(id.index);
    }
    for id in observations.homes.keys().filter(|id| own(id)) {
        let Some(home) = observations.home(service, id) else { continue };
        let known = here.entry(home.node).or_default();
        known.data.insert(id.index);
        if !home.may_be_left(service) {
            known.held.insert(id.index);
        }
    }
    let observed = observations.observed.keys().chain(observations.homes.keys());
    let used = observed.chain(observations.disputed.keys()).filter(|id| own(id));
    let strangers = observations.strangers.iter().map(|unit| unit.runs_as());
    let strangers: Vec<InstanceId> = strangers.filter(own).collect();
    let used = used.chain(&strangers).map(|id| id.index).collect();
    (here, used)
}

/// Why the node has none of it; nothing where it has one.
fn against(asked: &ServiceInput, node: &NodeInput, here: &Here) -> Option<String> {
    let name = &node.name;
    let held = !here.held.is_empty();
    let nature = || place::nature(asked, node).filter(|_| !held);
    match node.state {
        NodeState::Lost => Some(format!("{name} has been offline for too long")),
        NodeState::Offline if here.seen.is_empty() => Some(format!("{name} is offline")),
        NodeState::Offline => None,
        NodeState::Draining if held => None,
        NodeState::Draining => Some(format!("{name} is being drained")),
        NodeState::Cordoned if here.number().is_none() => Some(format!("{name} is cordoned")),
        NodeState::Cordoned => nature(),
        // What has left its data there does not come back while that line stands.
        NodeState::Ready if here.number().is_none() => {
            asked.closed.get(name).cloned().or_else(nature)
        }
        NodeState::Ready => nature(),
    }
}
