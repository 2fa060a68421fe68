//! Every remedy that is printed does what it says: made as a person would make it, from what it
//! says to programs, the next plan leaves fewer waiting. Held against brute force, too.

use devnet_schema::quantity::{Bytes, GpuRequest};

use super::{random::Dice, *};

/// A small random problem in which much does not fit, every line of it with a place of its own.
pub(super) fn tight(seed: u64) -> PlacementProblem {
    let mut problem = random::small(seed);
    let mut dice = Dice(seed ^ 0x71);
    problem.limits.suggestions = 12;
    problem.limits.rebalance = false;
    for node in &mut problem.nodes {
        node.cpu_milli = node.cpu_milli / 1000 * (400 + 100 * dice.roll(5));
        if dice.chance(60) {
            node.gpus.clear();
        }
    }
    let mut line = 0;
    for service in &mut problem.services {
        for condition in service.require.iter_mut().chain(&mut service.forbid) {
            line += 1;
            condition.at = Some(format!("cluster.kdl:{line}:1"));
        }
        for &port in &service.host_ports {
            line += 1;
            let at = Some(format!("cluster.kdl:{line}:1"));
            let written = format!("host={}", port.1);
            service.port_lines.insert(port, PortLine { written, of_process: false, at });
        }
    }
    problem
}

/// Makes what a remedy says to programs. Parts of devices that are freed for one instance are one
/// device more, and as many instances more as that is room for are asked for.
fn make(problem: &PlacementProblem, of: &Unplaceable, way: &Suggestion) -> PlacementProblem {
    let mut changed = problem.clone();
    let asking = problem.services.iter().find(|it| it.name == of.service).unwrap();
    for (i, edit) in way.edits.iter().enumerate() {
        match edit {
            Edit::Move { instance, to, .. } => {
                let service = by_name(&mut changed, &instance.service);
                let current = Current { node: to.clone(), gpus: Vec::new(), held: false };
                service.current.insert(instance.index, current);
            }
            Edit::Drop { constraint, service, at } => {
                let input = by_name(&mut changed, service);
                // Its whole line, unless only the service in question is named.
                let only = way.text.contains(&format!("`apart-from \"{}\"`", of.service));
                if constraint == "apart-from" && !only {
                    input.apart_from.clear();
                }
                drop_line(input, of, constraint, at.as_ref());
            }
            Edit::Uncordon { node } => on_node(&mut changed, node).state = NodeState::Ready,
            Edit::Free { node, resource, amount } => {
                let like = asking.clone();
                give(on_node(&mut changed, node), &like, (resource, *amount), (&[], None));
                if resource == "gpu-memory" || resource == "gpu-share" {
                    by_name(&mut changed, &of.service).replicas -= of.unplaced - 1;
                }
            }
            Edit::Raise { node, resource, amount, gpus, gpu_model } => {
                let new = (gpus.as_slice(), gpu_model.as_ref());
                give(on_node(&mut changed, node), asking, (resource, *amount), new);
            }
            Edit::AddNode { .. } => {
                let node = joined(&changed, asking, edit, i);
                changed.nodes.push(node);
            }
        }
    }
    changed
}

fn by_name<'p>(problem: &'p mut PlacementProblem, name: &ServiceName) -> &'p mut ServiceInput {
    problem.services.iter_mut().find(|it| it.name == *name).unwrap()
}

fn on_node<'p>(problem: &'p mut PlacementProblem, name: &NodeName) -> &'p mut NodeInput {
    problem.nodes.iter_mut().find(|it| it.name == *name).unwrap()
}

fn drop_line(service: &mut ServiceInput, of: &Unplaceable, constraint: &str, at: Option<&String>) {
    let elsewhere = |line: &Require| line.at.as_ref() != at;
    match constraint {
        "pin" => service.pin = None,
        "spread" => service.spread.clear(),
        "near" => service.near.clear(),
        "require" => service.require.retain(elsewhere),
        "forbid" => service.forbid.retain(elsewhere),
        "max-per-node" => {
            service.max_per_node = None;
            let own = service.name.clone();
            service.apart_from.retain(|name| *name != own);
        }
        "apart-from" if service.name == of.service => service.apart_from.clear(),
        "apart-from" => service.apart_from.retain(|name| *name != of.service),
        "port" => {
            let lines = service.port_lines.clone();
            service.host_ports.retain(|port| lines[port].at.as_ref() != at);
        }
        other => panic!("unknown constraint {other}"),
    }
}

fn give(
    node: &mut NodeInput,
    asking: &ServiceInput,
    (resource, amount): (&str, u64),
    (gpus, model): (&[Bytes], Option<&String>),
) {
    let named = model.cloned().unwrap_or_default();
    let has = node.gpus.len();
    let new = |i: usize, memory: u64, model: &str| GpuInput {
        id: format!("given-{}", has + i),
        model: model.to_owned(),
        memory,
    };
    match resource {
        "cpu" => node.cpu_milli += amount,
        "memory" => node.memory += amount << 20,
        "disk" => node.disk += amount << 20,
        _ if !gpus.is_empty() => {
            node.gpus.extend(gpus.iter().enumerate().map(|(i, it)| new(i, it.0, &named)));
        }
        _ => {
            let fits = |gpu: &&GpuInput| crate::place::model::filter::accepts(asking, gpu);
            let like = node.gpus.iter().filter(fits).max_by_key(|gpu| gpu.memory).cloned();
            let like = like.expect("what is freed is there");
            let count = if resource == "gpu" { amount } else { 1 };
            node.gpus.extend((0..count).map(|i| new(i as usize, like.memory, &like.model)));
        }
    }
}

/// The node as the edit has it, and otherwise as the service's lines want it; of the name that it
/// was tried with, since names decide between equals.
fn joined(problem: &PlacementProblem, asking: &ServiceInput, edit: &Edit, i: usize) -> NodeInput {
    let Edit::AddNode { cpu, memory, disk, gpus, gpu_model, tags, zone, .. } = edit else {
        panic!("{edit:?}")
    };
    let mut new = node(&format!("new-node-{i}"), 0, 0);
    (new.cpu_milli, new.memory, new.disk) = ((cpu * 1000.0).round() as u64, memory.0, disk.0);
    (new.tags, new.zone) = (tags.clone(), zone.clone());
    new.runtimes.clone_from(&problem.nodes[0].runtimes);
    let devices = gpus.iter().enumerate().map(|(g, memory)| GpuInput {
        id: format!("joined-{g}"),
        model: gpu_model.clone().unwrap_or_default(),
        memory: memory.0,
    });
    new.gpus = devices.collect();
    assert!(asking.gpu == GpuRequest::None || !new.gpus.is_empty(), "{edit:?}");
    new
}

fn waiting(outcome: &Outcome) -> BTreeMap<ServiceName, u32> {
    outcome.unplaced.iter().map(|it| (it.service.clone(), it.unplaced)).collect()
}

fn placed(outcome: &Outcome) -> Vec<u32> {
    outcome.levels.iter().map(|level| level.placed).collect()
}

/// Holds one remedy against the plan with it: as many are placed as it says, and of others only
/// those lose their node, or move, of which it says so. Where only a part was planned, the whole
/// plan may give more of the service a node than the part did, and that one of those that come no
/// sooner.
fn hold(problem: &PlacementProblem, outcome: &Outcome, of: &Unplaceable, way: &Suggestion) {
    let mut changed = make(problem, of, way);
    changed.limits.suggestions = 0;
    changed.limits.whole_pairs = Limits::default().whole_pairs;
    let after = checked(&changed);
    let shown = || format!("{way:#?}\n{problem:#?}\n{outcome:#?}\n{after:#?}");
    assert!(way.verified && !way.edits.is_empty(), "{}", shown());
    let (before, now) = (waiting(outcome), waiting(&after));
    let one = changed.services.iter().find(|it| it.name == of.service).unwrap();
    let asked = problem.services.iter().find(|it| it.name == of.service).unwrap();
    let left_out = asked.replicas - one.replicas;
    let left = now.get(&of.service).copied().unwrap_or(0) + left_out;
    assert!(placed(&after) > placed(outcome), "{}", shown());
    if way.text.contains("others that wait may take it first") {
        return;
    }
    let part = problem.limits.whole_pairs == 0;
    if !part {
        hold_freed(&changed, asked, &after, way);
    }
    let told = told(of, way);
    let gained = of.unplaced - left;
    assert!(if part { gained >= told } else { gained == told }, "{told}, {gained}: {}", shown());
    let priority =
        |name: &ServiceName| problem.services.iter().find(|it| it.name == *name).unwrap().priority;
    let spared = |name: &ServiceName| part && priority(name) <= asked.priority;
    let others = now.iter().filter(|(name, _)| **name != of.service && !spared(name));
    for (name, count) in others {
        let said =
            clause(way, "would then wait").is_some_and(|it| it.contains(&format!("{name}[")));
        assert!(said || before.get(name).is_some_and(|were| count <= were), "{name}: {}", shown());
    }
    for id in moved(problem, outcome, &after).filter(|_| !part) {
        let name = id.to_string();
        let said = |it: &str| it.contains(&name) || it.contains(" more");
        let by_hand =
            way.edits.iter().any(|it| matches!(it, Edit::Move { instance, .. } if *instance == id));
        let all = ["moves ", "leaves its data"].into_iter().filter_map(|word| clause(way, word));
        assert!(by_hand || all.into_iter().any(said), "{name}: {}", shown());
    }
}

/// What is to be freed on a node is used there, in the plan that follows, by others.
fn hold_freed(problem: &PlacementProblem, asked: &ServiceInput, after: &Outcome, way: &Suggestion) {
    for edit in &way.edits {
        let Edit::Free { node, resource, amount } = edit else { continue };
        let need = |it: &ServiceInput| match resource.as_str() {
            "cpu" => it.cpu_milli,
            "memory" => it.memory >> 20,
            "disk" => it.disk >> 20,
            _ => 0,
        };
        let other = |id: &InstanceId| {
            let it = problem.services.iter().find(|it| it.name == id.service).unwrap();
            let company = it.name == asked.name || asked.near.contains(it.name.declared());
            if company { 0 } else { need(it) }
        };
        let here = after.assignments.iter().filter(|(_, place)| place.node == *node);
        let used: u64 = here.map(|(id, _)| other(id)).sum();
        let counted = ["cpu", "memory", "disk"].contains(&resource.as_str());
        assert!(!counted || used >= *amount, "{used}: {way:#?}\n{problem:#?}\n{after:#?}");
    }
}

/// How many a remedy says that it places.
fn told(of: &Unplaceable, way: &Suggestion) -> u32 {
    match clause(way, "places ") {
        Some(rest) => rest.split(' ').nth(1).unwrap().parse().unwrap(),
        None if clause(way, "the plan gives it to").is_some() => 0,
        None => of.unplaced,
    }
}

fn clause<'w>(way: &'w Suggestion, word: &str) -> Option<&'w str> {
    way.text.split("; ").skip(1).find(|part| part.contains(word))
}

/// Running instances that stay as things are, and are elsewhere after.
fn moved<'p>(
    problem: &'p PlacementProblem,
    before: &'p Outcome,
    after: &'p Outcome,
) -> impl Iterator<Item = InstanceId> + 'p {
    let running = problem.services.iter().flat_map(|service| {
        let of = |(&index, current): (&u32, &'p Current)| {
            (InstanceId { service: service.name.declared().clone(), index }, &current.node)
        };
        service.current.iter().map(of)
    });
    let is_at = |outcome: &Outcome, id: &InstanceId, node: &NodeName| {
        outcome.assignments.get(id).map(|place| place.node == *node)
    };
    running
        .filter(move |(id, node)| {
            is_at(before, id, node) == Some(true) && is_at(after, id, node) == Some(false)
        })
        .map(|(id, _)| id)
}

pub(super) fn hold_all(seeds: std::ops::Range<u64>) -> [usize; 3] {
    let mut counts = [0; 3];
    for seed in seeds {
        let problem = tight(seed);
        let outcome = checked(&problem);
        for of in &outcome.unplaced {
            counts[0] += 1;
            counts[1] += of.suggestions.len();
            counts[2] += usize::from(of.suggestions.is_empty());
            for way in &of.suggestions {
                hold(&problem, &outcome, of, way);
            }
        }
    }
    counts
}

#[test]
fn every_remedy_of_a_small_problem_is_one() {
    let counts = hold_all(0..150);
    assert!(counts[0] > 100 && counts[1] > 300, "{counts:?}");
    assert!(counts[2] * 100 <= counts[0], "too many have none: {counts:?}");
}

/// The same where only the nodes concerned are planned again.
#[test]
fn every_remedy_found_in_a_part_is_one() {
    let (mut found, mut none) = (0, 0);
    for seed in 150..300 {
        let mut problem = tight(seed);
        problem.limits.whole_pairs = 0;
        let outcome = checked(&problem);
        // Where no node takes anything there are no parts.
        if outcome.assignments.is_empty() {
            continue;
        }
        for of in &outcome.unplaced {
            none += usize::from(of.suggestions.is_empty());
            for way in &of.suggestions {
                found += 1;
                hold(&problem, &outcome, of, way);
            }
        }
    }
    assert!(found > 200 && none < 4, "{found}, {none} without any");
}

/// Brute force, which knows nothing of the planner's, finds a better placement with each, too.
#[test]
fn brute_force_says_the_same_of_remedies() {
    let mut held = 0;
    for seed in 300..340 {
        let problem = tight(seed);
        let outcome = checked(&problem);
        let before = brute::best(&problem).placed;
        for of in &outcome.unplaced {
            for way in of.suggestions.iter().filter(|way| !grows(way)) {
                let after = brute::best(&make(&problem, of, way)).placed;
                assert!(after > before, "seed {seed}: {way:#?}\n{problem:#?}");
                held += 1;
            }
        }
    }
    assert!(held > 40, "{held}");
}

/// Whether it makes the problem too large to try everything.
fn grows(way: &Suggestion) -> bool {
    way.edits.iter().filter(|edit| matches!(edit, Edit::AddNode { .. })).count() > 1
}
