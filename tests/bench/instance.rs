//! The instances: fleets and what is to run on them, in this project's own form.
//!
//! Knows how to read them, and how one is made heavier, flat, or a node poorer. Refuses to place
//! anything.

use std::{collections::BTreeMap, fs, path::PathBuf};

use devnet_planner::{
    PlanInput, Policy,
    place::{Current, Holding, Limits, Outcome, PlacementProblem},
    placement_problem,
};
use devnet_schema::{
    file::MemoryFiles,
    fleet::FleetSnapshot,
    name::{NodeName, ServiceName},
    plan_options::PlanOptions,
};

/// The instances as recorded.
pub const RECORDED: [&str; 4] = ["homelab", "fleet50", "fleet200", "openb"];

/// The instances made from those.
pub const DERIVED: [&str; 3] = ["fleet50-95", "fleet200-88", "openb-flat"];

/// The placement problem of an instance.
///
/// # Panics
/// When there is no such instance, or its files are not valid: they are part of this repository.
pub fn problem(name: &str) -> PlacementProblem {
    match name {
        "fleet50-95" => heavier(recorded("fleet50"), 95),
        "fleet200-88" => heavier(recorded("fleet200"), 88),
        "openb-flat" => flat(recorded("openb")),
        _ => recorded(name),
    }
}

fn recorded(name: &str) -> PlacementProblem {
    let read = |suffix: &str| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/bench/instances")
            .join(format!("{name}.{suffix}"));
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let files = MemoryFiles::from([("cluster.yaml".to_owned(), read("cluster.yaml"))]);
    let loaded = devnet_catalog::load("cluster.yaml", &files, &BTreeMap::new());
    let desired = loaded.desired.unwrap_or_else(|| panic!("{name}: {:#?}", loaded.diagnostics));
    let fleet: FleetSnapshot = serde_json::from_str(&read("fleet.json")).expect("a snapshot");
    let input = PlanInput {
        desired: &desired,
        catalog: &loaded.catalog,
        fleet: &fleet,
        revision: "bench",
        generations: &BTreeMap::new(),
        options: PlanOptions::default(),
        policy: Policy::default(),
        limits: Limits::default(),
        created_at: "2026-11-22T12:00:00Z",
    };
    placement_problem(&input).expect("the whole file is planned")
}

/// Adds copies of services, without ties to one node or another service, until so many per cent of
/// the fleet's cpu are asked for.
fn heavier(mut problem: PlacementProblem, percent: u64) -> PlacementProblem {
    let capacity: u64 = problem.nodes.iter().map(|node| node.cpu_milli).sum();
    let asked = |problem: &PlacementProblem| -> u64 {
        let each = problem.services.iter().map(|it| it.cpu_milli * u64::from(it.replicas));
        each.sum()
    };
    let mut copies = problem.services.clone();
    copies.retain(|it| it.pin.is_none() && it.near.is_empty() && it.host_ports.is_empty());
    for (at, mut copy) in copies.into_iter().enumerate() {
        if asked(&problem) * 100 >= capacity * percent {
            break;
        }
        let name: ServiceName = format!("copy-{at}").parse().expect("a name");
        copy.name = name.into();
        copy.apart_from.clear();
        problem.services.push(copy);
    }
    problem
}

/// One priority for all: then the number of placed instances alone is what counts.
fn flat(mut problem: PlacementProblem) -> PlacementProblem {
    problem.services.iter_mut().for_each(|service| service.priority = 50);
    problem
}

/// The same fleet with the outcome running.
pub fn running(problem: &PlacementProblem, outcome: &Outcome) -> PlacementProblem {
    let mut next = problem.clone();
    for service in &mut next.services {
        let own = outcome.assignments.iter().filter(|(id, _)| id.service == service.name);
        service.current = own
            .map(|(id, place)| {
                let gpus = place.gpus.clone();
                let current = Current { node: place.node.clone(), gpus, held: false };
                (id.index, current)
            })
            .collect();
        let holding = Holding {
            cpu_milli: service.cpu_milli,
            memory: service.memory,
            disk: service.disk,
            ports: service.host_ports.clone(),
        };
        let running = service.current.keys();
        service.holdings = running.map(|&index| (index, holding.clone())).collect();
    }
    next
}

/// The same fleet without the node that has most instances (of several, the last by name), and how
/// many ran there.
pub fn without_one(problem: &PlacementProblem, outcome: &Outcome) -> (PlacementProblem, u32) {
    let mut counts: BTreeMap<&NodeName, u32> =
        problem.nodes.iter().map(|node| (&node.name, 0)).collect();
    for place in outcome.assignments.values() {
        *counts.entry(&place.node).or_insert(0) += 1;
    }
    let mut list: Vec<(u32, &NodeName)> = counts.into_iter().map(|(node, n)| (n, node)).collect();
    list.sort();
    let (count, gone) = list.last().copied().expect("a fleet has nodes");
    let gone = gone.clone();
    let mut next = running(problem, outcome);
    next.nodes.retain(|node| node.name != gone);
    (next, count)
}
