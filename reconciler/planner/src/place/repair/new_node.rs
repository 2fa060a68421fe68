//! Nodes, and devices, made for instances of a service: alike in everything that its conditions
//! look at.
//!
//! Knows what such a node must have, and the words for it. Refuses to say that it would help, and
//! how many it takes: [`super::suggest`] tries that.

use std::collections::BTreeSet;

use devnet_schema::{
    placement::Edit,
    quantity::{Bytes, Cpu, GpuRequest},
};

use super::{
    edit::{self, Change},
    wording::listed,
};
use crate::place::{
    explain::violation,
    model::{
        gpu_packing,
        index::{Amounts, IndexedProblem, per_node},
        partial::PartialPlacement,
    },
    problem::{GpuInput, Key, NodeInput, NodeState, Require, ServiceInput, Spread, SpreadBy},
};

/// Whom a node is made for, and how many of each.
pub type Crew = [(usize, u32)];

/// Zones that are tried for new nodes.
const ZONES: usize = 3;

const GIB: u64 = 1 << 30;

/// A core, in the units of cpu.
const CORE: u64 = 1000;

/// A device of a fleet that has none, where any size will do.
const USUAL: u64 = 24 * GIB;

/// The GPUs that so many instances need.
#[derive(Clone)]
struct Devices<'a> {
    count: usize,
    /// Bytes that each must have; nothing where any size will do.
    least: Option<u64>,
    /// The model, where the service names some.
    model: Option<&'a str>,
    /// The models that it forbids, where it names none that it wants.
    other_than: Vec<&'a str>,
}

/// New nodes for so many instances of each of the crew, one for each of `zones`: the zone of a node
/// that is there, where that matters. None where no node could be of use.
pub fn nodes(indexed: &IndexedProblem<'_>, crew: &Crew, zones: &[Option<usize>]) -> Vec<NodeInput> {
    let taken: BTreeSet<&str> = indexed.nodes.iter().map(|node| node.input.name.as_str()).collect();
    let names = (0..).map(|i| format!("new-node-{i}"));
    let names = names.filter(|name| !taken.contains(name.as_str()));
    let made = names.zip(zones).map(|(name, zone)| node(indexed, crew, (name, *zone)));
    made.collect::<Option<Vec<NodeInput>>>().unwrap_or_default()
}

fn node(
    indexed: &IndexedProblem<'_>,
    crew: &Crew,
    (name, zone): (String, Option<usize>),
) -> Option<NodeInput> {
    let asked = |key: Key| first_of(indexed, crew, key);
    let pattern = indexed.nodes.first();
    let of_pattern = |part: fn(&NodeInput) -> &String| pattern.map(|node| part(node.input));
    let word = |key: Key, usual: fn(&NodeInput) -> &String| {
        asked(key).or_else(|| of_pattern(usual)).cloned().unwrap_or_default()
    };
    let [cpu_milli, memory, disk] = amounts(indexed, crew)?;
    let devices = all_devices(indexed, crew)?;
    let sizes = devices.iter().flat_map(|it| vec![(it.model, size(indexed, it)); it.count]);
    let gpus = sizes.enumerate().map(|(i, (model, memory))| GpuInput {
        id: format!("new-gpu-{i}"),
        model: model.unwrap_or_default().to_owned(),
        memory,
    });
    Some(NodeInput {
        name: name.parse().ok()?,
        tags: tags(indexed, crew).into_iter().cloned().collect(),
        zone: zone_name(indexed, crew, zone).cloned(),
        os: word(Key::Os, |node| &node.os),
        arch: word(Key::Arch, |node| &node.arch),
        runtimes: match pattern {
            Some(node) if asked(Key::Runtime).is_none() => node.input.runtimes.clone(),
            _ => all_of(indexed, crew, Key::Runtime).cloned().collect(),
        },
        cpu_milli,
        memory,
        disk,
        gpus: gpus.collect(),
        state: NodeState::Ready,
        reserved_ports: Vec::new(),
    })
}

/// What such a node needs of cpu, memory and disk: whole cores, one at least, and some memory, as
/// every machine has.
pub fn amounts(indexed: &IndexedProblem<'_>, crew: &Crew) -> Option<Amounts> {
    let of = |r: usize| {
        crew.iter().try_fold(0u64, |sum, &(t, count)| {
            sum.checked_add(indexed.services[t].need[r].checked_mul(count.into())?)
        })
    };
    let memory = Some(of(1)?).filter(|memory| *memory > 0).unwrap_or(GIB);
    Some([of(0)?.div_ceil(CORE).max(1).checked_mul(CORE)?, memory, of(2)?])
}

/// The zone that the services ask for, else that of the node.
fn zone_name<'a>(
    indexed: &IndexedProblem<'a>,
    crew: &Crew,
    zone: Option<usize>,
) -> Option<&'a String> {
    let of_node = || zone.and_then(|n| indexed.nodes[n].input.zone.as_ref());
    first_of(indexed, crew, Key::Zone).or_else(of_node)
}

/// The GPUs of such a node, of one model where one is named; nothing where no node could have them.
fn all_devices<'a>(indexed: &IndexedProblem<'a>, crew: &Crew) -> Option<Vec<Devices<'a>>> {
    let of = |&(t, count): &(usize, u32)| {
        devices(indexed, indexed.services[t].input, devices_for(indexed, t, count)?)
    };
    let mut all = crew.iter().map(of).collect::<Option<Vec<_>>>()?;
    all.retain(|it| it.count > 0);
    let models: BTreeSet<&str> = all.iter().filter_map(|it| it.model).collect();
    let fits =
        all.iter().map(|it| it.count).sum::<usize>() <= gpu_packing::DEVICES && models.len() < 2;
    for device in &mut all {
        device.model = models.first().copied();
    }
    fits.then_some(all)
}

/// So many devices that the service accepts.
pub fn gpus(indexed: &IndexedProblem<'_>, s: usize, count: usize) -> Vec<GpuInput> {
    let input = indexed.services[s].input;
    let Some(devices) = devices(indexed, input, count) else {
        return Vec::new();
    };
    let model = devices.model.unwrap_or_default().to_owned();
    let memory = size(indexed, &devices);
    let ids = (0..count).map(|i| format!("new-gpu-{s}-{i}"));
    ids.map(|id| GpuInput { id, model: model.clone(), memory }).collect()
}

/// How many devices so many instances need; nothing where no node could have them.
pub fn devices_for(indexed: &IndexedProblem<'_>, s: usize, instances: u32) -> Option<usize> {
    let input = indexed.services[s].input;
    let count = match input.gpu {
        // The node must have such a device, whoever uses it.
        GpuRequest::None | GpuRequest::Whole(0) => u64::from(first(input, Key::GpuModel).is_some()),
        GpuRequest::Whole(count) => u64::from(count) * u64::from(instances),
        GpuRequest::Share(milli) => {
            u64::from(instances).div_ceil(1000u64.checked_div(milli.into())?.max(1))
        }
        GpuRequest::Memory(_) => u64::from(instances),
    };
    let count = usize::try_from(count).ok().filter(|count| *count <= gpu_packing::DEVICES)?;
    devices(indexed, input, count).map(|_| count)
}

/// How many instances one node may have, however large it is.
pub fn most_on_one(indexed: &IndexedProblem<'_>, s: usize) -> u32 {
    let input = indexed.services[s].input;
    let port = if input.host_ports.is_empty() { u32::MAX } else { 1 };
    per_node(input).unwrap_or(u32::MAX).min(port)
}

/// The same zones for all of so many new nodes, where a node in none of those that are there could
/// make what others are spread over uneven: each zone, of the first few.
pub fn other_zones(
    partial: &PartialPlacement<'_>,
    s: usize,
    count: u32,
) -> Vec<Vec<Option<usize>>> {
    let indexed = partial.indexed;
    let zones = |line: &Spread| line.by == SpreadBy::Zone;
    let own = indexed.services[s].input;
    let settled = own.spread.iter().any(zones) || first(own, Key::Zone).is_some();
    if settled || !indexed.services.iter().any(|it| it.input.spread.iter().any(zones)) {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let named = (0..indexed.nodes.len()).filter(|&n| indexed.nodes[n].input.zone.is_some());
    let each = named.filter(|&n| seen.insert(indexed.nodes[n].zone));
    each.take(ZONES).map(|n| vec![Some(n); count as usize]).collect()
}

/// In which zones so many new nodes for `each` instances had best stand: in the emptiest of those
/// that the service is spread over; anywhere where it is not spread over zones.
pub fn zones(
    partial: &PartialPlacement<'_>,
    s: usize,
    each: u32,
    count: u32,
) -> Vec<Option<usize>> {
    let service = &partial.indexed.services[s];
    let by_zone = service.input.spread.iter().position(|line| line.by == SpreadBy::Zone);
    let line = by_zone.filter(|_| first(service.input, Key::Zone).is_none());
    let Some(line) = line.map(|at| &service.spread[at]) else {
        return vec![None; count as usize];
    };
    let mut counts = partial.domains(s, line);
    (0..count)
        .map(|_| {
            let of = |domain: &usize| counts.get(domain).copied().unwrap_or(0);
            let emptiest = *line.open.iter().min_by_key(|domain| (of(domain), **domain))?;
            *counts.entry(emptiest).or_insert(0) += each;
            line.domain.iter().position(|domain| *domain == emptiest)
        })
        .collect()
}

/// How large new nodes are beside the largest that is there, in millionths of it.
pub fn size_of(indexed: &IndexedProblem<'_>, s: usize, changes: &[Change]) -> u64 {
    let of = |change: &Change| {
        let Change::AddNodes { each, with, zones } = change else {
            return 0;
        };
        let amounts = amounts(indexed, &edit::crew(s, *each, with)).unwrap_or_default();
        let part = |r: usize| {
            let largest = indexed.nodes.iter().map(|node| node.capacity[r]).max().unwrap_or(0);
            u128::from(amounts[r]) * 1_000_000 / u128::from(largest.max(1))
        };
        let all = (0..3).map(part).sum::<u128>() * zones.len() as u128;
        u64::try_from(all).unwrap_or(u64::MAX)
    };
    changes.iter().map(of).fold(0, u64::saturating_add)
}

/// What is said of the nodes, and the same for programs.
pub fn words(
    indexed: &IndexedProblem<'_>,
    crew: &Crew,
    zones: &[Option<usize>],
) -> (String, Vec<Edit>) {
    let needed = first_of(indexed, crew, Key::Runtime);
    let runtime = scarce_runtime(indexed, needed);
    let devices = all_devices(indexed, crew).unwrap_or_default();
    let amounts = amounts(indexed, crew).unwrap_or_default();
    let mut needs: Vec<String> = runtime.iter().map(|(word, _)| (*word).to_owned()).collect();
    // Any node has enough for what asks for nothing.
    if crew.iter().any(|&(t, _)| indexed.services[t].need != [0; 3]) {
        needs.extend(amount_words(amounts));
    }
    needs.extend(alike(&devices).iter().filter_map(device_words));
    let in_zones = zone_names(indexed, crew, zones);
    let marks = marks(indexed, crew, &in_zones);
    let text = joining(indexed.nodes.len(), zones.len(), runtime, (&needs, marks));
    let [cpu, memory, disk] = amounts;
    let edit = |zone: &Option<usize>| Edit::AddNode {
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
pub fn equipment_words(indexed: &IndexedProblem<'_>, all: &[(usize, u32)]) -> Vec<String> {
    let of =
        |&(s, count): &(usize, u32)| devices(indexed, indexed.services[s].input, count as usize);
    let devices: Vec<Devices<'_>> = all.iter().filter_map(of).collect();
    alike(&devices).iter().filter_map(device_words).collect()
}

/// The same for programs: the memory of each, and the model.
pub fn equipment(
    indexed: &IndexedProblem<'_>,
    s: usize,
    count: u32,
) -> (Vec<Bytes>, Option<String>) {
    let devices = devices(indexed, indexed.services[s].input, count as usize);
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
        words.push(format!("{} of memory", violation::size_up(memory)));
    }
    if disk > 0 {
        words.push(format!("{} of disk", violation::size_up(disk)));
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
    let scarce = offering < indexed.nodes.len() || indexed.nodes.is_empty();
    scarce.then_some((word, offering))
}

/// The first answer to every question about this.
fn all(input: &ServiceInput, key: Key) -> impl Iterator<Item = &String> {
    let lines = input.require.iter().filter(move |line| line.key == key);
    lines.filter_map(|line| line.any_of.first())
}

fn first(input: &ServiceInput, key: Key) -> Option<&String> {
    all(input, key).next()
}

fn all_of<'a>(
    indexed: &IndexedProblem<'a>,
    crew: &Crew,
    key: Key,
) -> impl Iterator<Item = &'a String> {
    let inputs = crew.iter().map(|&(t, _)| indexed.services[t].input);
    inputs.flat_map(move |input| all(input, key))
}

fn first_of<'a>(indexed: &IndexedProblem<'a>, crew: &Crew, key: Key) -> Option<&'a String> {
    all_of(indexed, crew, key).next()
}

fn tags<'a>(indexed: &IndexedProblem<'a>, crew: &Crew) -> BTreeSet<&'a String> {
    all_of(indexed, crew, Key::Tag).collect()
}

/// The zones of new nodes, each once.
fn zone_names(indexed: &IndexedProblem<'_>, crew: &Crew, zones: &[Option<usize>]) -> Vec<String> {
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

/// So many devices; nothing where no device would do.
fn devices<'a>(
    indexed: &IndexedProblem<'_>,
    input: &'a ServiceInput,
    count: usize,
) -> Option<Devices<'a>> {
    let slice = match input.gpu {
        GpuRequest::Memory(bytes) => Some(bytes.0),
        _ => None,
    };
    let whole_gib = |bytes: u64| bytes.div_ceil(GIB).saturating_mul(GIB);
    let least = input.device.as_ref().map(|need| whole_gib(need.memory)).max(slice);
    let model = model(indexed, input, least);
    let named = first(input, Key::GpuModel).is_some();
    let forbidden = about_model(&input.forbid).filter(|_| !named);
    let other_than = forbidden.flat_map(|line| line.any_of.iter().map(String::as_str)).collect();
    (model.is_some() || !named).then_some(Devices { count, least, model, other_than })
}

fn about_model(list: &[Require]) -> impl Iterator<Item = &Require> {
    list.iter().filter(|line| line.key == Key::GpuModel)
}

/// A model that every condition accepts, and of which no device here is known to be too small.
fn model<'a>(
    indexed: &IndexedProblem<'_>,
    input: &'a ServiceInput,
    least: Option<u64>,
) -> Option<&'a str> {
    let fits = |model: &&String| {
        about_model(&input.require).all(|line| line.any_of.contains(model))
            && !about_model(&input.forbid).any(|line| line.any_of.contains(model))
            && known(indexed, model).is_none_or(|memory| least.is_none_or(|least| memory >= least))
    };
    about_model(&input.require).next()?.any_of.iter().find(fits).map(String::as_str)
}

/// The memory of the largest device here of a model, or of one that is called so in part.
fn known(indexed: &IndexedProblem<'_>, model: &str) -> Option<u64> {
    let part = model.to_lowercase();
    let devices = indexed.nodes.iter().flat_map(|node| &node.input.gpus);
    let named = devices.filter(|device| device.model.to_lowercase().contains(&part));
    named.map(|device| device.memory).max()
}

/// The memory of such a device, in bytes: what is needed, else what such devices have here.
fn size(indexed: &IndexedProblem<'_>, devices: &Devices<'_>) -> u64 {
    let largest = || indexed.nodes.iter().flat_map(|node| node.memories.iter().copied()).max();
    let known = || devices.model.and_then(|model| known(indexed, model));
    devices.least.or_else(known).or_else(largest).unwrap_or(USUAL)
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
        text.push_str(&format!(" with {}{each}", violation::size_up(*least)));
    }
    Some(text)
}
