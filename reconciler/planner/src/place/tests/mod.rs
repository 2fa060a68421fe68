//! Tests of placement: each constraint by itself, random problems against brute force, and fleets
//! too large for it.

mod brute;
mod cases;
mod columns;
mod digest;
mod fleets;
mod large;
mod pitfalls;
pub(super) mod random;
mod rebalance;
mod remedies;
mod remedies_gpu;
mod remedies_honest;
mod remedies_large;
mod remedies_many;
mod remedies_together;
pub(super) mod standing;
mod standing_brute;
mod why;

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    name::{InstanceId, NodeName, ServiceName},
    quantity::GpuRequest,
};

use super::*;

const GIB: u64 = 1 << 30;

fn node_name(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn service_name(name: &str) -> ServiceName {
    name.parse().unwrap()
}

fn id(service: &str, index: u32) -> InstanceId {
    InstanceId { service: service_name(service), index }
}

/// A node of so many cores and GiB, with a large disk.
fn node(name: &str, cores: u64, gib: u64) -> NodeInput {
    NodeInput {
        name: node_name(name),
        tags: Vec::new(),
        zone: None,
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        runtimes: vec!["docker".to_owned()],
        cpu_milli: cores * 1000,
        memory: gib * GIB,
        disk: 1000 * GIB,
        gpus: Vec::new(),
        state: NodeState::Ready,
        reserved_ports: Vec::new(),
    }
}

fn gpu(id: &str, model: &str, gib: u64) -> GpuInput {
    GpuInput { id: id.to_owned(), model: model.to_owned(), memory: gib * GIB }
}

/// So many instances of one core and one GiB.
fn service(name: &str, replicas: u32) -> ServiceInput {
    ServiceInput {
        name: service_name(name).into(),
        at: Some(format!("cluster.kdl:{}:1", name.len())),
        replicas,
        numbers: None,
        priority: 50,
        cpu_milli: 1000,
        memory: GIB,
        disk: 0,
        gpu: GpuRequest::None,
        device: None,
        host_ports: Vec::new(),
        port_lines: BTreeMap::new(),
        require: Vec::new(),
        forbid: Vec::new(),
        prefer: Vec::new(),
        pin: None,
        spread: Vec::new(),
        max_per_node: None,
        apart_from: Vec::new(),
        near: Vec::new(),
        places: Places::default(),
        movable: true,
        closed: BTreeMap::new(),
        move_cost: 1,
        current: BTreeMap::new(),
        holdings: BTreeMap::new(),
    }
}

fn condition(key: Key, values: &[&str]) -> Require {
    let any_of = values.iter().map(|value| (*value).to_owned()).collect();
    let at = Some("cluster.kdl:7:5".to_owned());
    Require { key, any_of, written: values.join(" "), at }
}

fn runs_on(service: &mut ServiceInput, index: u32, node: &str) {
    let current = Current { node: node_name(node), gpus: Vec::new(), held: false };
    service.current.insert(index, current);
}

fn problem(nodes: Vec<NodeInput>, services: Vec<ServiceInput>) -> PlacementProblem {
    PlacementProblem {
        nodes,
        services,
        leaving: BTreeSet::new(),
        objective: Objective::Balance,
        limits: Limits::default(),
    }
}

/// Places, and holds the outcome against the verifier.
fn checked(problem: &PlacementProblem) -> Outcome {
    let outcome = place(problem);
    assert_eq!(verify(problem, &outcome), [], "{problem:#?}\n{outcome:#?}");
    outcome
}

/// Where an instance is.
fn at<'a>(outcome: &'a Outcome, service: &str, index: u32) -> Option<&'a str> {
    outcome.assignments.get(&id(service, index)).map(|place| place.node.as_str())
}

/// The same problem with the outcome running.
fn running(problem: &PlacementProblem, outcome: &Outcome) -> PlacementProblem {
    let mut next = problem.clone();
    for service in &mut next.services {
        service.current.clear();
        for (instance, place) in &outcome.assignments {
            if instance.service == service.name {
                let gpus = place.gpus.clone();
                let current = Current { node: place.node.clone(), gpus, held: false };
                service.current.insert(instance.index, current);
            }
        }
    }
    next
}

/// What of a placement keeps no constraint, whatever is said of it.
fn breaches_of(
    problem: &PlacementProblem,
    placed: &BTreeMap<InstanceId, Assignment>,
) -> Vec<Breach> {
    let placed = placed.iter().map(|(id, place)| (InstanceKey::declared(id.clone()), place));
    verify::breaches(problem, placed)
}

fn places(outcome: &Outcome) -> BTreeMap<InstanceId, (NodeName, Vec<String>)> {
    let place = |(instance, place): (&InstanceId, &Assignment)| {
        let gpus = place.gpus.iter().map(|gpu| gpu.id.clone()).collect();
        (instance.clone(), (place.node.clone(), gpus))
    };
    outcome.assignments.iter().map(place).collect()
}
