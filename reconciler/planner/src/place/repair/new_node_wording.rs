//! New nodes and devices in words, and the same for programs.
//!
//! Knows how they are said. Refuses to choose them.
//!
//! `add 2 nodes, each with 4 cpu and 8GiB of memory, tagged ssd, in zone a`.

use std::collections::BTreeSet;

use devnet_schema::{
    placement::Edit,
    quantity::{Bytes, Cpu},
};

use super::{
    change::{self, Change},
    crew::{Crew, first_of, tags},
    new_gpus::{Devices, all_devices, devices, size},
    new_node::{amounts, zone_name},
};
use crate::place::{
    explain::amount::{self, listed},
    ix::{NodeIx, ServiceIx},
    model::index::IndexedProblem,
    problem::Key,
};

/// How large new nodes are beside the largest that is there, in millionths of it.
pub(crate) fn size_of(indexed: &IndexedProblem<'_>, service: ServiceIx, changes: &[Change]) -> u64 {
    let of = |change: &Change| {
        let Change::AddNodes { each, with, zones } = change else {
            return 0;
        };
        let amounts = amounts(indexed, &change::crew(service, *each, with)).unwrap_or_default();
        let part = |resource: usize| {
            let largest =
                indexed.nodes.iter().map(|node| node.capacity[resource]).max().unwrap_or(0);
            u128::from(amounts[resource]) * 1_000_000 / u128::from(largest.max(1))
        };
        let all = (0..3).map(part).sum::<u128>() * zones.len() as u128;
        u64::try_from(all).unwrap_or(u64::MAX)
    };
    changes.iter().map(of).fold(0, u64::saturating_add)
}

/// What is said of the nodes, and the same for programs.
pub(crate) fn words(
    indexed: &IndexedProblem<'_>,
    crew: &Crew,
    zones: &[Option<NodeIx>],
) -> (String, Vec<Edit>) {
    let needed = first_of(indexed, crew, Key::Runtime);
    let runtime = scarce_runtime(indexed, needed);
    let devices = all_devices(indexed, crew).unwrap_or_default();
    let amounts = amounts(indexed, crew).unwrap_or_default();
    let mut needs: Vec<String> = runtime.iter().map(|(word, _)| (*word).to_owned()).collect();
    // Any node has enough for what asks for nothing.
    if crew.iter().any(|&(other, _)| indexed.services[other].need != [0; 3]) {
        needs.extend(amount_words(amounts));
    }
    needs.extend(alike(&devices).iter().filter_map(device_words));
    let in_zones = zone_names(indexed, crew, zones);
    let marks = marks(indexed, crew, &in_zones);
    let text = joining(indexed.nodes.len(), zones.len(), runtime, (&needs, marks));
    let [cpu, memory, disk] = amounts;
    let edit = |zone: &Option<NodeIx>| Edit::AddNode {
        cpu: cpu as f64 / 1000.0,
        memory: Bytes(memory),
        disk: Bytes(disk),
        gpus: devices.iter().flat_map(|it| vec![Bytes(size(indexed, it)); it.count]).collect(),
        gpu_model: devices.first().and_then(|it| it.model).map(str::to_owned),
        runtime: runtime.and(needed).cloned(),
        tags: tags(indexed, crew).into_iter().cloned().collect(),
        zone: zone_name(indexed, crew, *zone).cloned(),
    };
    (text, zones.iter().map(edit).collect())
}

/// The devices that a node is to be given, for each service so many, in words.
pub(crate) fn equipment_words(
    indexed: &IndexedProblem<'_>,
    all: &[(ServiceIx, u32)],
) -> Vec<String> {
    let of = |&(service, count): &(ServiceIx, u32)| {
        devices(indexed, indexed.services[service].input, count as usize)
    };
    let devices: Vec<Devices<'_>> = all.iter().filter_map(of).collect();
    alike(&devices).iter().filter_map(device_words).collect()
}

/// The same for programs: the memory of each, and the model.
pub(crate) fn equipment(
    indexed: &IndexedProblem<'_>,
    service: ServiceIx,
    count: u32,
) -> (Vec<Bytes>, Option<String>) {
    let devices = devices(indexed, indexed.services[service].input, count as usize);
    let sizes = devices.iter().flat_map(|it| vec![Bytes(size(indexed, it)); it.count]).collect();
    (sizes, devices.and_then(|it| it.model).map(str::to_owned))
}

/// The same, those that are alike together.
fn alike<'a>(devices: &[Devices<'a>]) -> Vec<Devices<'a>> {
    let mut all: Vec<Devices<'a>> = Vec::new();
    for device in devices {
        let same = |it: &&mut Devices<'_>| {
            (it.least, it.model) == (device.least, device.model)
                && it.other_than == device.other_than
        };
        match all.iter_mut().find(same) {
            Some(same) => same.count += device.count,
            None => all.push(device.clone()),
        }
    }
    all
}

fn amount_words([cpu, memory, disk]: [u64; 3]) -> Vec<String> {
    let mut words = Vec::new();
    if cpu > 0 {
        words.push(format!("{} cpu", Cpu { milli: cpu }));
    }
    if memory > 0 {
        words.push(format!("{} of memory", amount::size_up(memory)));
    }
    if disk > 0 {
        words.push(format!("{} of disk", amount::size_up(disk)));
    }
    words
}

/// That so many nodes beside those that are `there` should join.
fn joining(
    there: usize,
    count: usize,
    runtime: Option<(&'static str, usize)>,
    (needs, marks): (&[String], String),
) -> String {
    let with = match (needs.is_empty(), count) {
        (true, _) => marks,
        (false, 1) => format!(" with {}{marks}", listed(needs)),
        (false, _) => format!(", each with {}{marks}", listed(needs)),
    };
    let Some((word, _)) = runtime.filter(|(_, offering)| *offering == 0) else {
        return match count {
            1 => format!("add one node{with}"),
            count => format!("add {count} nodes{with}"),
        };
    };
    let it = if needs.len() == 1 { "it" } else { word };
    let who = match count {
        1 => format!("a node{with}"),
        count => format!("{count} nodes{with},"),
    };
    match there {
        0 => format!("let {who} join: there is none"),
        1 => format!("let {who} join: the only one does not have {it}"),
        _ => format!("let {who} join: none of {there} has {it}"),
    }
}

/// The runtime that is needed and not every node offers, with how many do.
fn scarce_runtime(
    indexed: &IndexedProblem<'_>,
    needed: Option<&String>,
) -> Option<(&'static str, usize)> {
    let needed = needed?;
    let offering = indexed.nodes.iter().filter(|node| node.input.runtimes.contains(needed)).count();
    let word = match needed.as_str() {
        "docker" => "Docker",
        "kubernetes" => "Kubernetes",
        _ => "the process runtime",
    };
    let scarce = offering < indexed.nodes.len() || indexed.nodes.len() == 0;
    scarce.then_some((word, offering))
}

/// The zones of new nodes, each once.
fn zone_names(indexed: &IndexedProblem<'_>, crew: &Crew, zones: &[Option<NodeIx>]) -> Vec<String> {
    let names: BTreeSet<&String> =
        zones.iter().filter_map(|zone| zone_name(indexed, crew, *zone)).collect();
    names.into_iter().cloned().collect()
}

/// What a person gives a node, or chooses it by.
fn marks(indexed: &IndexedProblem<'_>, crew: &Crew, zones: &[String]) -> String {
    let tags: Vec<&str> = tags(indexed, crew).into_iter().map(String::as_str).collect();
    let mut text = String::new();
    if !tags.is_empty() {
        text.push_str(&format!(", tagged {}", tags.join(", ")));
    }
    match zones {
        [] => {}
        [zone] => text.push_str(&format!(", in zone {zone}")),
        zones => text.push_str(&format!(", in zones {}", listed(zones))),
    }
    for (key, word) in [(Key::Os, "running"), (Key::Arch, "of arch")] {
        if let Some(value) = first_of(indexed, crew, key) {
            text.push_str(&format!(", {word} {value}"));
        }
    }
    text
}

fn device_words(devices: &Devices<'_>) -> Option<String> {
    let Devices { count, least, model, other_than } = devices;
    let mut text = match count {
        0 => return None,
        1 => "a GPU".to_owned(),
        count => format!("{count} GPUs"),
    };
    if let Some(model) = model {
        text.push_str(&format!(" of model {model}"));
    }
    if !other_than.is_empty() {
        text.push_str(&format!(" of a model other than {}", other_than.join(" or ")));
    }
    if let Some(least) = least {
        let each = if *count > 1 { " each" } else { "" };
        text.push_str(&format!(" with {}{each}", amount::size_up(*least)));
    }
    Some(text)
}
