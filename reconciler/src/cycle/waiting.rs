//! What is declared and does not serve as declared: which instance, why, and when it is tried next.
//!
//! Pure: the time is an argument. Knows a plan and what keeps its changes. Refuses to decide what
//! is applied, and to say of anything that it will come where that is not known.

mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use devnet_schema::{
    desired::Service,
    fleet::FleetSnapshot,
    name::{InstanceId, NodeName, ServiceName},
    observed::{HealthState, InstanceState, ObservedInstance},
    placement::{Assignment, Unplaceable},
    plan::{Change, Plan},
};

use super::gate::{Decision, Held, Scene};

/// An instance that is declared and does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Where it is to run, where that is known.
    pub node: Option<NodeName>,
    /// Why it does not, as a clause.
    pub reason: String,
    /// Whether something else is declared of it than what runs, if anything.
    pub changes: bool,
    /// How often its service failed in a row.
    pub failures: u32,
    /// When it is tried again by itself, since the start.
    pub next: Option<Duration>,
}

/// Whether an instance is as it should be, for all that its node says.
pub(super) fn serves(state: InstanceState, health: HealthState) -> bool {
    use InstanceState::{Completed, Running, Scheduled};
    matches!(state, Running | Completed | Scheduled) && health == HealthState::Healthy
}

/// Everything that `scene`'s configuration declares and that does not serve as declared.
pub(super) fn waiting(
    scene: Scene<'_>,
    decision: &Decision,
    held: &Held,
) -> BTreeMap<InstanceId, Waiting> {
    let Scene { plan, desired, .. } = scene;
    let placed: BTreeMap<&InstanceId, &Assignment> =
        plan.placement.assignments.iter().map(|it| (&it.instance, it)).collect();
    let changes: BTreeMap<&InstanceId, &Change> = plan
        .changes
        .iter()
        .filter(|change| change.after.is_some())
        .map(|change| (&change.instance, change))
        .collect();
    let seen: BTreeMap<(InstanceId, &NodeName), &ObservedInstance> =
        scene.fleet.instances.iter().map(|it| ((it.instance(), &it.node), it)).collect();
    let mut all: BTreeMap<&ServiceName, BTreeSet<InstanceId>> = BTreeMap::new();
    for id in placed.keys() {
        all.entry(&id.service).or_default().insert((*id).clone());
    }
    let mut found = BTreeMap::new();
    for service in desired.services.values() {
        let mut of_service = all.remove(&service.name).unwrap_or_default();
        of_service.extend(counted(service));
        for id in of_service {
            let node = placed.get(&id).map(|it| it.node.clone());
            let change = changes.get(&id).copied();
            let there = node.as_ref().and_then(|node| seen.get(&(id.clone(), node))).copied();
            let reason = match (change, there) {
                (None, Some(there)) if serves(there.state, there.health) => continue,
                _ => why(&id, scene, decision, held, Standing { node: &node, change, there }),
            };
            let failing = scene.tries.failing(plan, &id.service, scene.now);
            let failures = failing.filter(|it| it.who.contains(&id) || held.retries(&id).is_some());
            let waiting = Waiting {
                node,
                reason,
                changes: change.is_some(),
                failures: failures.map_or(0, |it| it.failures),
                next: held.retries(&id).map(|left| scene.now + left),
            };
            found.insert(id, waiting);
        }
    }
    found
}

/// The instances that a configuration declares by their number. Of one on each node, placement
/// knows which there are.
pub(super) fn counted(service: &Service) -> impl Iterator<Item = InstanceId> {
    let count = if service.replicas.is_per_node() { 0 } else { service.replicas.count() };
    (0..count).map(|index| InstanceId { service: service.name.clone(), index })
}

/// Where an instance stands.
struct Standing<'a> {
    node: &'a Option<NodeName>,
    change: Option<&'a Change>,
    there: Option<&'a ObservedInstance>,
}

fn why(
    id: &InstanceId,
    scene: Scene<'_>,
    decision: &Decision,
    held: &Held,
    standing: Standing<'_>,
) -> String {
    let plan = scene.plan;
    if let Some(reason) = held.reason(id) {
        return reason.to_owned();
    }
    if let Some(out) = plan.unreached.iter().find(|it| it.instance == *id) {
        return format!("{} does not answer", out.node);
    }
    let Some(node) = standing.node else { return without_a_place(id, scene.fleet, plan) };
    match (standing.change, decision) {
        (Some(_), Decision::Hold(reason) | Decision::Later(_, reason)) => reason.clone(),
        (Some(change), _) => format!("the next deployment: {}", change.reason),
        (None, _) => match standing.there {
            Some(there) => how(there),
            None => format!("it is not on {node}, and nothing is planned about that"),
        },
    }
}

/// What keeps an instance that is there from serving.
pub(super) fn how(there: &ObservedInstance) -> String {
    let word = match (there.state, there.health) {
        (InstanceState::Unknown, _) => format!("what {} runs is not known", there.node),
        (InstanceState::Exited, _) => "it has ended".to_owned(),
        (InstanceState::Starting, _) => "it is starting".to_owned(),
        (_, HealthState::Unhealthy) => "it is unhealthy".to_owned(),
        (_, HealthState::Starting) => "it is not healthy yet".to_owned(),
        (_, _) => "its health is not known".to_owned(),
    };
    let restarts = match there.restarts {
        0 => String::new(),
        1 => ", restarted once".to_owned(),
        times => format!(", restarted {times} times"),
    };
    let said = there.message.as_ref().map_or(String::new(), |said| format!(": {said}"));
    format!("{word}{restarts}{said}")
}

/// Why no node has it: what speaks against how many of them.
fn without_a_place(id: &InstanceId, fleet: &FleetSnapshot, plan: &Plan) -> String {
    if let Some(of) = plan.placement.infeasible.iter().find(|it| it.service == id.service) {
        return no_node(of);
    }
    // What waits for data or for another service has a finding that names it.
    let (address, service) = (id.address(), format!("service.{}", id.service));
    let names = |text: &str| text.contains(&address) || text.contains(&service);
    let finding = plan.diagnostics.iter().find(|it| names(&it.message));
    match finding {
        Some(finding) => finding.message.clone(),
        None if fleet.nodes.is_empty() => "no node has joined yet".to_owned(),
        None => format!("it has no place: `devnet explain {}` says why", id.service),
    }
}

fn no_node(of: &Unplaceable) -> String {
    let Unplaceable { service, nodes, .. } = of;
    if nodes.is_empty() {
        return "there is no node".to_owned();
    }
    let mut against: BTreeMap<&str, usize> = BTreeMap::new();
    for node in nodes {
        let constraints: BTreeSet<&str> =
            node.violations.iter().map(|it| it.constraint.as_str()).collect();
        for constraint in constraints {
            *against.entry(constraint).or_default() += 1;
        }
    }
    let mut against: Vec<(&str, usize)> = against.into_iter().collect();
    against.sort_by_key(|(constraint, count)| (std::cmp::Reverse(*count), *constraint));
    let all = nodes.len();
    let told: Vec<String> =
        against.iter().map(|(constraint, count)| format!("{constraint} on {count}")).collect();
    let noun = if all == 1 { "node" } else { "nodes" };
    format!(
        "no place on {all} {noun} (against it: {}); `devnet explain {service}` says what helps",
        told.join(", ")
    )
}
