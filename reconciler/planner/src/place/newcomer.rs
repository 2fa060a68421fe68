//! A node made for one instance of a service: alike in everything that its conditions look at.
//!
//! Knows what such a node must have, and the words for it. Refuses to say that it would help:
//! [`super::suggest`] tries that.

use devnet_schema::{
    placement::Edit,
    quantity::{Bytes, Cpu, GpuRequest},
};

use super::{
    field::Field,
    gpu,
    problem::{GpuInput, Key, NodeInput, NodeState, Require, ServiceInput},
    shortfall,
};

const GIB: u64 = 1 << 30;

/// A device of a fleet that has none, where any size will do.
const USUAL: u64 = 24 * GIB;

/// The GPUs that one instance needs.
struct Devices<'a> {
    count: usize,
    /// Bytes that each must have; nothing where any size will do.
    least: Option<u64>,
    /// The model, where the service names some.
    model: Option<&'a str>,
}

/// The node; nothing where no node could be of use.
pub fn node(field: &Field<'_>, s: usize) -> Option<NodeInput> {
    let input = field.services[s].input;
    let pattern = field.nodes.first();
    let taken = |name: &str| field.nodes.iter().any(|node| node.input.name.as_str() == name);
    let name = (0..1000).map(|i| format!("new-node-{i}")).find(|name| !taken(name))?;
    let Devices { count, model, .. } = devices(field, input)?;
    let gpus = (0..count).zip(sizes(field, input)).map(|(i, memory)| GpuInput {
        id: format!("new-gpu-{i}"),
        model: model.unwrap_or_default().to_owned(),
        memory,
    });
    let of_pattern = |part: fn(&NodeInput) -> &String| pattern.map(|node| part(node.input));
    let word = |key: Key, usual: fn(&NodeInput) -> &String| {
        first(input, key).or_else(|| of_pattern(usual)).cloned().unwrap_or_default()
    };
    Some(NodeInput {
        name: name.parse().ok()?,
        tags: all(input, Key::Tag).cloned().collect(),
        zone: first(input, Key::Zone).cloned(),
        os: word(Key::Os, |node| &node.os),
        arch: word(Key::Arch, |node| &node.arch),
        runtimes: match pattern {
            Some(node) if first(input, Key::Runtime).is_none() => node.input.runtimes.clone(),
            _ => all(input, Key::Runtime).cloned().collect(),
        },
        cpu_milli: input.cpu_milli,
        memory: input.memory,
        disk: input.disk,
        gpus: gpus.collect(),
        state: NodeState::Ready,
        reserved_ports: Vec::new(),
    })
}

/// What is said of the node, and the same for programs.
pub fn words(field: &Field<'_>, s: usize) -> (String, Vec<Edit>) {
    let input = field.services[s].input;
    let runtime = scarce_runtime(field, input);
    let mut needs: Vec<String> = runtime.iter().map(|(word, _)| (*word).to_owned()).collect();
    if input.cpu_milli > 0 {
        needs.push(format!("{} cpu", Cpu { milli: input.cpu_milli }));
    }
    if input.memory > 0 {
        needs.push(format!("{} of memory", shortfall::size_up(input.memory)));
    }
    if input.disk > 0 {
        needs.push(format!("{} of disk", shortfall::size_up(input.disk)));
    }
    let devices = devices(field, input);
    needs.extend(devices.as_ref().and_then(device_words));
    let with = match needs.len() {
        0 => String::new(),
        _ => format!(" with {}", listed(&needs)),
    };
    let (with, nodes) = (with + &marks(input), field.nodes.len());
    let text = match runtime.filter(|(_, offering)| *offering == 0) {
        Some((word, _)) => {
            let it = if needs.len() == 1 { "it" } else { word };
            match nodes {
                0 => format!("let a node{with} join: there is none"),
                1 => format!("let a node{with} join: the only one does not have {it}"),
                _ => format!("let a node{with} join: none of {nodes} has {it}"),
            }
        }
        None => format!("add one node{with}"),
    };
    let edit = Edit::AddNode {
        cpu: input.cpu_milli as f64 / 1000.0,
        memory: Bytes(input.memory),
        disk: Bytes(input.disk),
        gpus: sizes(field, input).into_iter().map(Bytes).collect(),
        gpu_model: devices.and_then(|it| it.model).map(str::to_owned),
        runtime: runtime.and_then(|_| first(input, Key::Runtime)).cloned(),
        tags: all(input, Key::Tag).cloned().collect(),
    };
    (text, vec![edit])
}

/// The runtime that the service needs and not every node offers, with how many do.
fn scarce_runtime(field: &Field<'_>, input: &ServiceInput) -> Option<(&'static str, usize)> {
    let needed = first(input, Key::Runtime)?;
    let offering = field.nodes.iter().filter(|node| node.input.runtimes.contains(needed)).count();
    let word = match needed.as_str() {
        "docker" => "Docker",
        "kubernetes" => "Kubernetes",
        _ => "the process runtime",
    };
    let scarce = offering < field.nodes.len() || field.nodes.is_empty();
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

/// What a person gives a node, or chooses it by.
fn marks(input: &ServiceInput) -> String {
    let tags: Vec<&str> = all(input, Key::Tag).map(String::as_str).collect();
    let mut text = String::new();
    if !tags.is_empty() {
        text.push_str(&format!(", tagged {}", tags.join(", ")));
    }
    for (key, word) in [(Key::Zone, "in zone"), (Key::Os, "running"), (Key::Arch, "of arch")] {
        if let Some(value) = first(input, key) {
            text.push_str(&format!(", {word} {value}"));
        }
    }
    text
}

/// Nothing where no node could have such devices.
fn devices<'a>(field: &Field<'_>, input: &'a ServiceInput) -> Option<Devices<'a>> {
    let (count, slice) = match input.gpu {
        GpuRequest::None => (0, None),
        GpuRequest::Whole(count) => (count as usize, None),
        GpuRequest::Share(_) => (1, None),
        GpuRequest::Memory(bytes) => (1, Some(bytes.0)),
    };
    let whole_gib = |bytes: u64| bytes.div_ceil(GIB).saturating_mul(GIB);
    let least = input.device.as_ref().map(|need| whole_gib(need.memory)).max(slice);
    let named = input.require.iter().any(|line| line.key == Key::GpuModel);
    let model = model(field, input, least);
    let possible = count <= gpu::DEVICES && (model.is_some() || !named);
    possible.then_some(Devices { count, least, model })
}

/// A model that every condition accepts, and of which no device here is known to be too small.
fn model<'a>(field: &Field<'_>, input: &'a ServiceInput, least: Option<u64>) -> Option<&'a str> {
    fn about(list: &[Require]) -> impl Iterator<Item = &Require> {
        list.iter().filter(|line| line.key == Key::GpuModel)
    }
    let fits = |model: &&String| {
        about(&input.require).all(|line| line.any_of.contains(model))
            && !about(&input.forbid).any(|line| line.any_of.contains(model))
            && known(field, model).is_none_or(|memory| least.is_none_or(|least| memory >= least))
    };
    about(&input.require).next()?.any_of.iter().find(fits).map(String::as_str)
}

/// The memory of the largest device here of a model, or of one that is called so in part.
fn known(field: &Field<'_>, model: &str) -> Option<u64> {
    let part = model.to_lowercase();
    let devices = field.nodes.iter().flat_map(|node| &node.input.gpus);
    let named = devices.filter(|device| device.model.to_lowercase().contains(&part));
    named.map(|device| device.memory).max()
}

/// The memory of each device, in bytes: what is needed, else what such devices have here.
fn sizes(field: &Field<'_>, input: &ServiceInput) -> Vec<u64> {
    let Some(Devices { count, least, model }) = devices(field, input) else {
        return Vec::new();
    };
    let largest = || field.nodes.iter().flat_map(|node| node.memories.iter().copied()).max();
    let known = || model.and_then(|model| known(field, model));
    vec![least.or_else(known).or_else(largest).unwrap_or(USUAL); count]
}

fn device_words(devices: &Devices<'_>) -> Option<String> {
    let Devices { count, least, model } = devices;
    let mut text = match count {
        0 => return None,
        1 => "a GPU".to_owned(),
        count => format!("{count} GPUs"),
    };
    if let Some(model) = model {
        text.push_str(&format!(" of model {model}"));
    }
    if let Some(least) = least {
        let each = if *count > 1 { " each" } else { "" };
        text.push_str(&format!(" with {}{each}", shortfall::size_up(*least)));
    }
    Some(text)
}

/// `a, b and c`.
fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
