//! `cargo bench --workspace --bench placement`: how well and how fast instances are placed, beside
//! kube-scheduler's scoring and best fit. Prints one JSON object a line; `tests/bench/placement`
//! makes a table of them, with OR-Tools' answers beside.
//!
//! Knows clocks and this process's memory. Refuses to judge by itself: it prints figures.
//!
//! Arguments: names of instances (none: all but the largest), `--dump DIR` to write the problems
//! as JSON for other solvers instead.

#![allow(unreachable_pub, reason = "modules of a test are seen by that test alone")]

mod baseline;
mod facts;
mod instance;
mod verifier;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use devnet_planner::place::{self, Outcome, Pace, PlacementProblem, place_paced};
use devnet_schema::{digest::Digest, quantity::GpuRequest};
use serde_json::{Value, json};

use baseline::{Scheduler, schedule};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    if let [flag, dir] = &arguments[..]
        && flag == "--dump"
    {
        return dump(Path::new(dir));
    }
    let all = instance::RECORDED[..3].iter().chain(&instance::DERIVED[..2]).copied();
    let all: Vec<&str> = all.collect();
    let names: Vec<&str> =
        if arguments.is_empty() { all } else { arguments.iter().map(String::as_str).collect() };
    for name in names {
        measure(name);
    }
}

/// One line for each method, and one for the loss of a node.
fn measure(name: &str) {
    let problem = instance::problem(name);
    for (method, scheduler) in
        [("kube-scheduler scoring", Scheduler::Kube), ("best fit", Scheduler::BestFit)]
    {
        let begin = Instant::now();
        let placed = schedule(&problem, scheduler);
        let seconds = begin.elapsed().as_secs_f64();
        let levels: Vec<Value> = placed
            .levels
            .iter()
            .map(|(priority, placed)| json!({"priority": priority, "placed": placed}))
            .collect();
        let percent = gpu_percent(&problem, placed.gpu_milli);
        let line = json!({"instance": name, "method": method, "seconds": seconds,
            "levels": levels, "gpu_percent": percent});
        println!("{line}");
    }
    let first = placed(name, "devnet", &problem, None);
    let (dead, ran) = instance::without_one(&problem, &first);
    placed(name, "devnet, a node dies", &dead, Some(ran));
    let same = instance::running(&problem, &first);
    placed(name, "devnet, nothing changed", &same, Some(0));
}

/// Places, prints, and hands the outcome back.
fn placed(name: &str, method: &str, problem: &PlacementProblem, ran: Option<u32>) -> Outcome {
    let (begin, begin_cpu) = (Instant::now(), cpu());
    let mut first: Option<Duration> = None;
    let mut told = Vec::new();
    let outcome = place_paced(problem, &mut |progress| {
        let now = begin.elapsed();
        first.get_or_insert(now);
        if told.last().is_none_or(|(_, _, last)| *last != progress.placed) {
            told.push((now.as_secs_f64(), cpu() - begin_cpu, progress.placed.to_vec()));
        }
        Pace::Free
    });
    let (seconds, cpu) = (begin.elapsed(), cpu() - begin_cpu);
    let faults = verifier::faults(problem, &outcome);
    for fault in faults.iter().take(10) {
        eprintln!("{name}: {fault}");
    }
    let levels = serde_json::to_value(&outcome.levels).unwrap_or_default();
    let line = json!({"instance": name, "method": method, "seconds": seconds.as_secs_f64(),
        "cpu": cpu, "first": first.unwrap_or(seconds).as_secs_f64(), "levels": levels, "told": told,
        "status": outcome.status, "cost": outcome.cost, "bound": outcome.bound,
        "gap": outcome.gap(), "moves": outcome.moves, "forced": outcome.moves_bound,
        "moves_proven": outcome.move_cost == outcome.move_cost_bound, "ran_there": ran,
        "ilps": outcome.ilps, "solver": outcome.solver, "faults": faults.len(),
        "gpu_percent": gpu_percent(problem, gpu_milli(problem, &outcome)),
        "peak_mib": peak_mib(), "digest": Digest::of(&facts::of(&outcome))});
    println!("{line}");
    outcome
}

fn gpu_milli(problem: &PlacementProblem, outcome: &Outcome) -> u64 {
    let services = problem.services.iter();
    services
        .map(|service| {
            let each = match service.gpu {
                GpuRequest::Whole(count) => 1000 * u64::from(count),
                GpuRequest::Share(milli) => u64::from(milli),
                GpuRequest::None | GpuRequest::Memory(_) => return 0,
            };
            let placed = outcome.assignments.keys().filter(|id| id.service == service.name);
            each * placed.count() as u64
        })
        .sum()
}

/// Of all GPUs, how much is given out. Slices of memory are not counted.
fn gpu_percent(problem: &PlacementProblem, milli: u64) -> f64 {
    let devices: usize = problem.nodes.iter().map(|node| node.gpus.len()).sum();
    milli as f64 / 10.0 / devices.max(1) as f64
}

/// The most memory that this process ever held, where the system tells.
fn peak_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

/// Seconds that this thread has really run, where the system tells: on a busy machine it counts
/// what the clock on the wall does not.
fn cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|it| it.parse::<f64>().ok());
    nanos.unwrap_or(0.0) / 1e9
}

/// Writes what another solver needs: sizes, and for each service the nodes that admit it.
fn dump(dir: &Path) {
    fs::create_dir_all(dir).expect("the directory can be made");
    for name in instance::RECORDED.iter().chain(&instance::DERIVED) {
        let problem = instance::problem(name);
        let text = dumped(&problem).to_string();
        fs::write(dir.join(format!("{name}.json")), text).expect("the file can be written");
    }
}

fn dumped(problem: &PlacementProblem) -> Value {
    let nodes: Vec<Value> = problem
        .nodes
        .iter()
        .map(|node| {
            let devices: Vec<u64> = node.gpus.iter().map(|gpu| gpu.memory).collect();
            json!({"name": node.name, "cpu": node.cpu_milli, "memory": node.memory,
                "disk": node.disk, "gpus": devices, "zone": node.zone})
        })
        .collect();
    let services: Vec<Value> = problem
        .services
        .iter()
        .map(|service| {
            let admits = |node: &&devnet_planner::place::NodeInput| baseline::admits(node, service);
            let open: Vec<_> = problem.nodes.iter().filter(admits).map(|it| &it.name).collect();
            let apart = service.apart_from.contains(service.name.declared());
            let (wholes, share, slice) = match service.gpu {
                GpuRequest::None => (0, 0, 0),
                GpuRequest::Whole(count) => (count, 0, 0),
                GpuRequest::Share(milli) => (0, milli, 0),
                GpuRequest::Memory(bytes) => (0, 0, bytes.0),
            };
            let spread: Vec<Value> = service
                .spread
                .iter()
                .map(|line| json!({"by": format!("{:?}", line.by), "skew": line.max_skew}))
                .collect();
            let ports: Vec<String> =
                service.host_ports.iter().map(|port| format!("{port:?}")).collect();
            json!({"name": service.name.declared(), "replicas": service.replicas,
                "priority": service.priority, "cpu": service.cpu_milli,
                "memory": service.memory, "disk": service.disk, "whole": wholes, "share": share,
                "slice": slice, "nodes": open, "ports": ports, "spread": spread,
                "most": if apart { Some(1) } else { service.max_per_node },
                "apart": service.apart_from, "near": service.near})
        })
        .collect();
    json!({"nodes": nodes, "services": services})
}
