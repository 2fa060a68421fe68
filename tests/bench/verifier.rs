//! A third look at a placement, written apart from the planner's own check: every rule of the
//! cluster file, instance by instance, from the problem and the answer alone.
//!
//! Knows the rules as a person would state them. Refuses to know how an answer was found.

use std::collections::{BTreeMap, BTreeSet};

use devnet_planner::place::{
    Assignment, GpuInput, Key, NodeInput, NodeState, Outcome, PlacementProblem, Reason, Require,
    ServiceInput, SpreadBy,
};
use devnet_schema::{
    name::{InstanceId, NodeName},
    quantity::{Bytes, GpuRequest},
};

/// One placed instance with all that belongs to it.
struct Row<'a> {
    id: &'a InstanceId,
    place: &'a Assignment,
    service: &'a ServiceInput,
    node: &'a NodeInput,
    /// It runs as it is, and not as it is declared.
    kept: bool,
}

/// Everything that is wrong; nothing for a good answer.
pub fn faults(problem: &PlacementProblem, outcome: &Outcome) -> Vec<String> {
    let mut faults = Vec::new();
    let kept = kept(problem, outcome, &mut faults);
    let mut rows = Vec::new();
    for (id, place) in &outcome.assignments {
        let declared = || problem.services.iter().find(|it| it.name == id.service);
        let service = kept.get(id).or_else(declared);
        let node = problem.nodes.iter().find(|it| it.name == place.node);
        match (service, node) {
            (Some(service), Some(node)) if id.index < service.replicas => {
                rows.push(Row { id, place, service, node, kept: kept.contains_key(id) });
            }
            _ => faults.push(format!("{id} on {}: no such thing", place.node)),
        }
    }
    let mut nodes: BTreeMap<&NodeName, Vec<&Row<'_>>> = BTreeMap::new();
    for row in &rows {
        own_rules(row, &mut faults);
        nodes.entry(&row.node.name).or_default().push(row);
    }
    for rows in nodes.values() {
        // What ran on a node that does not answer is there as it was.
        if !matches!(rows[0].node.state, NodeState::Offline | NodeState::Lost) {
            sums(rows, &mut faults);
            devices(rows, &mut faults);
            company(rows, &mut faults);
        }
    }
    spread(problem, &rows, &mut faults);
    counts(problem, outcome, &rows, &mut faults);
    faults
}

/// What is kept as it is, with what it has in place of what is declared: it must be where it is,
/// on the devices that it has, and known to run.
fn kept(
    problem: &PlacementProblem,
    outcome: &Outcome,
    faults: &mut Vec<String>,
) -> BTreeMap<InstanceId, ServiceInput> {
    let mut kept = BTreeMap::new();
    for (id, place) in &outcome.assignments {
        let Some(service) = problem.services.iter().find(|it| it.name == id.service) else {
            continue;
        };
        if place.reason != Reason::Retained {
            continue;
        }
        let now = service.current.get(&id.index);
        let (Some(now), Some(has)) = (now, service.holdings.get(&id.index)) else {
            faults.push(format!("{id} is kept, and not known to run"));
            continue;
        };
        if now.node != place.node || now.gpus != place.gpus {
            faults.push(format!("{id} is kept, and not where it was"));
        }
        let mut own = service.clone();
        (own.cpu_milli, own.memory, own.disk) = (has.cpu_milli, has.memory, has.disk);
        own.host_ports = has.ports.clone();
        let node = problem.nodes.iter().find(|node| node.name == now.node);
        let size = |id: &str| node?.gpus.iter().find(|gpu| gpu.id == id).map(|gpu| gpu.memory);
        let known: Vec<_> = now.gpus.iter().filter_map(|gpu| Some((gpu, size(&gpu.id)?))).collect();
        own.gpu = match known.first() {
            None => GpuRequest::None,
            Some((gpu, size)) if gpu.memory.0 > 0 => {
                GpuRequest::Memory(Bytes(gpu.memory.0.min(*size)))
            }
            Some((gpu, _)) if gpu.share_milli < 1000 => GpuRequest::Share(gpu.share_milli),
            Some(_) => GpuRequest::Whole(known.len() as u32),
        };
        (own.pin, own.device, own.max_per_node) = (None, None, None);
        own.apart_from.retain(|name| *name != service.name);
        [&mut own.require, &mut own.forbid].into_iter().for_each(Vec::clear);
        own.near.clear();
        kept.insert(id.clone(), own);
    }
    kept
}

fn meets(line: &Require, node: &NodeInput) -> bool {
    let values: Vec<String> = match line.key {
        Key::Tag => node.tags.clone(),
        Key::Zone => node.zone.iter().cloned().collect(),
        Key::Os => vec![node.os.clone()],
        Key::Arch => vec![node.arch.clone()],
        Key::GpuModel => node.gpus.iter().map(|gpu| gpu.model.clone()).collect(),
        Key::Node => vec![node.name.to_string()],
        Key::Runtime => node.runtimes.clone(),
    };
    values.iter().any(|value| line.any_of.contains(value))
}

/// What one instance may ask of its node, whoever else is there.
fn own_rules(row: &Row<'_>, faults: &mut Vec<String>) {
    let (service, node) = (row.service, row.node);
    let ran = service.current.range(..service.replicas);
    let ran = ran.filter(|(_, current)| current.node == node.name).count();
    if node.state == NodeState::Offline && ran > 0 {
        return;
    }
    let gpu = wants_gpu(service);
    for line in service.require.iter().filter(|line| !meets(line, node)) {
        faults.push(format!("{} on {}: lacks {line:?}", row.id, node.name));
    }
    let forbids = |line: &&Require| meets(line, node) && !(gpu && line.key == Key::GpuModel);
    for line in service.forbid.iter().filter(forbids) {
        faults.push(format!("{} on {}: has {line:?}", row.id, node.name));
    }
    if service.pin.as_ref().is_some_and(|pin| pin.node != node.name) {
        faults.push(format!("{} on {}: pinned elsewhere", row.id, node.name));
    }
    let may = match node.state {
        NodeState::Ready => true,
        NodeState::Cordoned | NodeState::Offline => ran > 0,
        NodeState::Draining | NodeState::Lost => ran > 0 && (row.kept || !service.movable),
    };
    if !may {
        faults.push(format!("{} on {}: {:?}", row.id, node.name, node.state));
    }
}

fn wants_gpu(service: &ServiceInput) -> bool {
    !matches!(service.gpu, GpuRequest::None | GpuRequest::Whole(0))
}

fn sums(rows: &[&Row<'_>], faults: &mut Vec<String>) {
    let node = rows[0].node;
    let sum = |of: fn(&ServiceInput) -> u64| -> u128 {
        rows.iter().map(|row| u128::from(of(row.service))).sum()
    };
    let all = [
        ("cpu", sum(|it| it.cpu_milli), node.cpu_milli),
        ("memory", sum(|it| it.memory), node.memory),
        ("disk", sum(|it| it.disk), node.disk),
    ];
    for (word, used, capacity) in all {
        if used > u128::from(capacity) {
            faults.push(format!("{}: {used} of {capacity} {word}", node.name));
        }
    }
    let mut ports: BTreeSet<_> = node.reserved_ports.iter().collect();
    for row in rows {
        for port in row.service.host_ports.iter().filter(|port| !ports.insert(port)) {
            faults.push(format!("{}: {port:?} twice", node.name));
        }
    }
}

/// Every device named, of an allowed model, and filled no further than it goes.
fn devices(rows: &[&Row<'_>], faults: &mut Vec<String>) {
    let node = rows[0].node;
    let mut taken: BTreeMap<&str, u128> = BTreeMap::new();
    for row in rows {
        let asked = match row.service.gpu {
            GpuRequest::None => 0,
            GpuRequest::Whole(count) => count as usize,
            GpuRequest::Share(_) | GpuRequest::Memory(_) => 1,
        };
        // What its node reports no more, what is kept has all the same.
        let there = |id: &str| !row.kept || node.gpus.iter().any(|gpu| gpu.id == id);
        let ids = row.place.gpus.iter().map(|gpu| gpu.id.as_str());
        let list: Vec<&str> = ids.filter(|id| there(id)).collect();
        let unique: BTreeSet<&str> = list.iter().copied().collect();
        if unique.len() != asked || list.len() != asked {
            faults.push(format!("{} on {}: {:?}", row.id, node.name, row.place.gpus));
        }
        for id in unique {
            let Some(device) = node.gpus.iter().find(|gpu| gpu.id == id) else {
                faults.push(format!("{} on {}: no device {id}", row.id, node.name));
                continue;
            };
            if !accepts(row.service, device) {
                faults.push(format!("{} on {}: not on a {}", row.id, node.name, device.model));
            }
            *taken.entry(&device.id).or_insert(0) += amount(row.service.gpu, device);
        }
    }
    for device in &node.gpus {
        let used = taken.get(device.id.as_str()).copied().unwrap_or(0);
        if used > u128::from(device.memory.max(1)) * 1000 {
            faults.push(format!("{}: {} holds {used}", node.name, device.id));
        }
    }
}

/// In thousandths of a byte. A whole device is taken whole, so nobody else has room on it.
fn amount(request: GpuRequest, device: &GpuInput) -> u128 {
    let memory = u128::from(device.memory.max(1));
    match request {
        GpuRequest::None => 0,
        GpuRequest::Whole(_) => memory * 1000,
        GpuRequest::Share(milli) => memory * u128::from(milli),
        GpuRequest::Memory(bytes) => u128::from(bytes.0) * 1000,
    }
}

fn accepts(service: &ServiceInput, device: &GpuInput) -> bool {
    let names = |line: &&Require| line.key == Key::GpuModel;
    service.device.as_ref().is_none_or(|need| need.memory <= device.memory)
        && service.require.iter().filter(names).all(|line| line.any_of.contains(&device.model))
        && !service.forbid.iter().filter(names).any(|line| line.any_of.contains(&device.model))
}

fn company(rows: &[&Row<'_>], faults: &mut Vec<String>) {
    let node = &rows[0].node.name;
    for row in rows {
        let own = |it: &&&Row<'_>| it.service.name == row.service.name && !it.kept;
        let own = rows.iter().filter(own).count();
        let alone = row.service.apart_from.contains(row.service.name.declared());
        let most = if alone { Some(1) } else { row.service.max_per_node };
        if most.is_some_and(|most| own > most as usize) {
            faults.push(format!("{} on {node}: {own} of {most:?}", row.id));
        }
        for other in rows.iter().filter(|it| it.service.name != row.service.name) {
            if row.service.apart_from.contains(other.service.name.declared())
                && !(row.kept && other.kept)
            {
                faults.push(format!("{} on {node}: beside {}", row.id, other.id));
            }
        }
        for name in row.service.near.iter().filter(|name| **name != row.service.name) {
            if !rows.iter().any(|it| it.service.name == *name) {
                faults.push(format!("{} on {node}: without {name}", row.id));
            }
        }
    }
}

/// Over the domains that hold a ready node where one instance fits when it is empty, and any other
/// that has some.
fn spread(problem: &PlacementProblem, rows: &[Row<'_>], faults: &mut Vec<String>) {
    let domain = |node: &NodeInput, by: SpreadBy| match by {
        SpreadBy::Node => node.name.to_string(),
        SpreadBy::Zone => node.zone.clone().unwrap_or_default(),
    };
    for service in problem.services.iter().filter(|it| !it.spread.is_empty()) {
        for line in &service.spread {
            let mut counts: BTreeMap<String, u32> = BTreeMap::new();
            let own = |row: &&Row<'_>| row.service.name == service.name && !row.kept;
            for row in rows.iter().filter(own) {
                *counts.entry(domain(row.node, line.by)).or_insert(0) += 1;
            }
            let top = counts.values().copied().max().unwrap_or(0);
            let open = problem.nodes.iter().filter(|node| could_run(service, node));
            let low = open.map(|node| counts.get(&domain(node, line.by)).copied().unwrap_or(0));
            if let Some(low) = low.min().filter(|low| top > low + line.max_skew) {
                faults.push(format!("{}: {top} and {low} by {:?}", service.name, line.by));
            }
        }
    }
}

fn could_run(service: &ServiceInput, node: &NodeInput) -> bool {
    let device = wants_gpu(service);
    let fitting = |gpu: &&GpuInput| {
        accepts(service, gpu) && amount(service.gpu, gpu) <= u128::from(gpu.memory.max(1)) * 1000
    };
    let devices = node.gpus.iter().filter(fitting).count();
    let asked = match service.gpu {
        GpuRequest::None => 0,
        GpuRequest::Whole(count) => count as usize,
        GpuRequest::Share(_) | GpuRequest::Memory(_) => 1,
    };
    node.state == NodeState::Ready
        && service.require.iter().all(|line| meets(line, node))
        && !service
            .forbid
            .iter()
            .any(|line| meets(line, node) && !(device && line.key == Key::GpuModel))
        && service.pin.as_ref().is_none_or(|pin| pin.node == node.name)
        && !service.host_ports.iter().any(|port| node.reserved_ports.contains(port))
        && service.cpu_milli <= node.cpu_milli
        && service.memory <= node.memory
        && service.disk <= node.disk
        && devices >= asked
        && service.max_per_node != Some(0)
}

/// The numbers of the answer are those of its placement, and no bound is beaten.
fn counts(
    problem: &PlacementProblem,
    outcome: &Outcome,
    rows: &[Row<'_>],
    faults: &mut Vec<String>,
) {
    for level in &outcome.levels {
        let own = |row: &&Row<'_>| row.service.priority == level.priority && !row.kept;
        let placed = rows.iter().filter(own).count();
        if placed as u32 != level.placed || level.placed > level.bound {
            faults.push(format!("{level:?}, and {placed} are placed"));
        }
        if level.proven != (level.placed == level.bound) {
            faults.push(format!("{level:?} is no proof"));
        }
    }
    let moved = |service: &ServiceInput| {
        let ran = service.current.range(..service.replicas);
        ran.filter(|(index, current)| {
            let id = InstanceId { service: service.name.declared().clone(), index: **index };
            outcome.assignments.get(&id).is_none_or(|place| place.node != current.node)
        })
        .count() as u32
    };
    let moves: u32 = problem.services.iter().map(moved).sum();
    if moves != outcome.moves || outcome.moves < outcome.moves_bound {
        faults.push(format!("{moves} moves, {} said", outcome.moves));
    }
    if outcome.bound > outcome.cost || outcome.move_cost_bound > outcome.move_cost {
        faults.push("a bound is above what was reached".to_owned());
    }
}
