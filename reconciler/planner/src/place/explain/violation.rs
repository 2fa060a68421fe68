//! Everything that speaks against one more instance of a service on a node, with numbers.
//!
//! Knows the words for it. Refuses to stop at the first reason.

use devnet_schema::{
    instance::Protocol,
    name::NodeName,
    placement::Violation,
    quantity::{Cpu, GpuRequest},
};

use crate::place::{
    model::{
        filter::{self, Rejection},
        gpu_packing,
        index::{Node, Service, per_node},
        partial::PartialPlacement,
    },
    outcome::Overfull,
    problem::{DeviceNeed, Key, NodeState, Require, ServiceInput},
    repair::{headroom, wording::listed},
};

/// What a node has so much of.
pub const RESOURCES: [&str; 3] = ["cpu", "memory", "disk"];

/// All of it, as things are on the placement; empty where it would fit.
pub fn violations(partial: &PartialPlacement<'_>, s: usize, n: usize) -> Vec<Violation> {
    let mut found = Vec::new();
    refusals(partial, s, n, &mut found);
    resources(partial, s, n, &mut found);
    devices(partial, s, n, &mut found);
    neighbours(partial, s, n, &mut found);
    spread(partial, s, n, &mut found);
    data(partial, s, n, &mut found);
    left_alone(partial, s, n, &mut found);
    found
}

/// Whom it would leave alone where all that wait are kept as they are, and each is company there.
fn left_alone(partial: &PartialPlacement<'_>, s: usize, n: usize, found: &mut Vec<Violation>) {
    let services = &partial.indexed.services;
    let kept = services[s].counterparts.iter().filter(|&&kept| services[kept].is_retained());
    let kept = kept.flat_map(|&kept| partial.of_service[kept].keys().map(move |&at| (kept, at)));
    let kept: Vec<(usize, usize)> = kept.collect();
    if kept.len() < partial.missing(s).max(1) as usize || kept.iter().any(|(_, at)| *at == n) {
        return;
    }
    let alone = kept.iter().map(|&(kept, at)| Some((partial.deserted(kept, at)?, at)));
    let alone: Option<Vec<(usize, usize)>> = alone.collect();
    if let Some(&(other, at)) = alone.iter().flatten().next() {
        let node = &partial.indexed.nodes[at].input.name;
        found.push(deserts(services[s].input, services[other].input, node));
    }
}

/// Where all that wait have their data.
pub fn data_of_waiting(partial: &PartialPlacement<'_>, s: usize) -> Vec<usize> {
    let service = &partial.indexed.services[s];
    let all: u32 = service.at_home().map(|(n, ran)| ran.saturating_sub(partial.count(s, n))).sum();
    let (missing, movable) = (partial.missing(s), service.input.movable);
    if movable || missing == 0 || all < missing {
        return Vec::new();
    }
    let waits = |&(n, ran): &(usize, u32)| ran > partial.count(s, n);
    service.at_home().filter(waits).map(|(n, _)| n).collect()
}

fn data(partial: &PartialPlacement<'_>, s: usize, n: usize, found: &mut Vec<Violation>) {
    let homes = data_of_waiting(partial, s);
    if homes.is_empty() || homes.contains(&n) {
        return;
    }
    let names = homes.iter().map(|&home| partial.indexed.nodes[home].input.name.to_string());
    let text = format!("its data is on {}", listed(&names.collect::<Vec<_>>()));
    found.push(say("data", None, text));
}

/// All that speaks against moving an instance to the node; `without` is the placement `before`
/// without it. That it is away may be what makes the others uneven.
pub fn of_move(
    before: &PartialPlacement<'_>,
    without: &PartialPlacement<'_>,
    s: usize,
    n: usize,
) -> Vec<Violation> {
    let mut found = violations(without, s, n);
    // What keeps one where it is is told of that one.
    found.retain(|it| it.constraint != "data" || before.missing(s) > 0);
    if !found.iter().any(|it| it.constraint == "spread") {
        uneven(before, without, s, n, &mut found);
    }
    found
}

fn say(constraint: &str, at: Option<&String>, text: String) -> Violation {
    let (constraint, at) = (constraint.to_owned(), at.cloned());
    Violation { constraint, need: None, free: None, whole: None, give: false, at, line: None, text }
}

/// The same, because of a line that could be dropped.
fn blame(line: String, violation: Violation) -> Violation {
    Violation { line: Some(line), ..violation }
}

/// The same, because of the one line of its kind.
fn say_line(constraint: &str, at: Option<&String>, text: String) -> Violation {
    blame(constraint.to_owned(), say(constraint, at, text))
}

/// The same, of a line that is said as the file has it.
fn say_as(constraint: &str, (line, at): (String, Option<&String>), text: String) -> Violation {
    blame(line, say(constraint, at, text))
}

/// A condition that the node does not meet. A runtime comes with the service's form: nobody wrote
/// a line that could be dropped.
fn condition(verb: &str, line: &Require, text: String) -> Violation {
    let violation = say(line.key.word(), line.at.as_ref(), text);
    match line.key {
        Key::Runtime => violation,
        _ => blame(line.line(verb), violation),
    }
}

fn refusals(partial: &PartialPlacement<'_>, s: usize, n: usize, found: &mut Vec<Violation>) {
    let input = partial.indexed.services[s].input;
    let node = &partial.indexed.nodes[n];
    let name = &node.input.name;
    let here = input.current.range(..input.replicas).filter(|(_, c)| c.node == *name).count();
    // Places of instances that ran here are open to those only.
    let here = if (partial.count(s, n) as usize) < here { here as u32 } else { 0 };
    found.append(&mut refusals_of(input, node, here));
}

/// What a node's own nature has against a service, where `here` instances of it run now.
pub fn refusals_of(input: &ServiceInput, node: &Node<'_>, here: u32) -> Vec<Violation> {
    let name = &node.input.name;
    let mut found = Vec::new();
    filter::each(input, node, here, &mut |refusal| {
        found.push(match refusal {
            Rejection::Required(line) => {
                let wanted = line.any_of.join("` or `");
                let text = format!("requires {} `{wanted}`", line.key.word());
                condition("require", line, text)
            }
            Rejection::Device(need) => {
                let largest = node.memories.iter().max();
                let has = largest.map_or("has none".to_owned(), |&memory| {
                    format!("the largest has {}", size(memory))
                });
                let text =
                    format!("needs a GPU of {} for `{}`, {has}", size_up(need.memory), need.what);
                let need_bytes = Some(need.memory as f64);
                Violation { need: need_bytes, ..say("gpu-memory", need.at.as_ref(), text) }
            }
            Rejection::Forbidden(line) => {
                let refused = line.any_of.join("` or `");
                let text = format!("forbids {} `{refused}`", line.key.word());
                condition("forbid", line, text)
            }
            Rejection::Pinned(pin) => {
                say_line("pin", pin.at.as_ref(), format!("is pinned to {}", pin.node))
            }
            Rejection::State(state) => {
                let (word, text) = state_words(state);
                say(word, None, format!("{name} {text}"))
            }
            Rejection::Port(protocol, port) => {
                let text = format!(
                    "{} is held by something outside the cluster",
                    port_words((protocol, port))
                );
                say_port(input, (protocol, port), text)
            }
            Rejection::Closed(why) => say("closed", None, why.to_owned()),
        });
    });
    found
}

fn state_words(state: NodeState) -> (&'static str, &'static str) {
    match state {
        NodeState::Ready => ("ready", "is ready"),
        NodeState::Cordoned => ("cordon", "is cordoned: it takes no new instances"),
        NodeState::Draining => ("drain", "is being drained"),
        NodeState::Offline => ("away", "is offline: it takes no new instances"),
        NodeState::Lost => ("lost", "has been offline for too long"),
    }
}

/// `port 80/tcp`.
pub fn port_words((protocol, port): (Protocol, u16)) -> String {
    match protocol {
        Protocol::Tcp => format!("port {port}/tcp"),
        Protocol::Udp => format!("port {port}/udp"),
    }
}

/// What is told of a port, with the line that claims it.
fn say_port(input: &ServiceInput, port: (Protocol, u16), text: String) -> Violation {
    let line = input.port_lines.get(&port);
    let at = line.and_then(|line| line.at.as_ref()).or(input.at.as_ref());
    let written = line.map_or_else(|| port_words(port), |line| line.written.clone());
    blame(written, say("port", at, text))
}

/// The service on a node that holds a port.
pub fn holder(partial: &PartialPlacement<'_>, n: usize, port: (Protocol, u16)) -> Option<usize> {
    let services = &partial.indexed.services;
    let mut here = partial.on_node[n].keys().copied();
    here.find(|&other| services[other].input.host_ports.contains(&port))
}

fn resources(partial: &PartialPlacement<'_>, s: usize, n: usize, found: &mut Vec<Violation>) {
    let service = &partial.indexed.services[s];
    let (held, room) = (partial.held(n), partial.room(n));
    for (r, word) in RESOURCES.into_iter().enumerate() {
        let need = service.need[r];
        let short = partial.short(n, r, need);
        if short == 0 {
            continue;
        }
        let unit = if r == 0 { 1000.0 } else { 1.0 };
        let over = match held[r].saturating_sub(room[r]) {
            0 => String::new(),
            over => format!(" and {} too much in use", amount(r, over)),
        };
        let [free, less] = [room[r].saturating_sub(held[r]), short].map(|it| amount(r, it));
        let text = format!("needs {}, {free} free{over}: {less} short", amount_of(r, need));
        found.push(Violation {
            need: Some(need as f64 / unit),
            free: Some((room[r] as f64 - held[r] as f64) / unit),
            whole: Some(room[r] as f64 / unit),
            give: !headroom::could_be_freed(partial, (s, n), r, short),
            ..say(word, service.input.at.as_ref(), text)
        });
    }
}

/// Nodes on which what runs has more than services may have there.
pub fn overfull(partial: &PartialPlacement<'_>) -> Vec<Overfull> {
    let nodes = partial.indexed.nodes.iter().enumerate().filter(|(_, node)| node.overfull);
    let found = nodes.filter_map(|(n, node)| {
        let (held, has) = (partial.held(n), partial.room(n));
        let over = (0..3).filter(|&r| held[r] > has[r]);
        let mut over: Vec<(String, String)> =
            over.map(|r| (amount_of(r, held[r]), amount_of(r, has[r]))).collect();
        for (d, left) in partial.device_room(n).iter().enumerate() {
            let gpu = &node.input.gpus[node.devices[d]];
            let used = gpu_packing::size(node.memories[d]).saturating_sub(*left).div_ceil(1000);
            let told = |bytes: u64| format!("{} of {}", size(bytes), gpu.id);
            over.extend((used > gpu.memory).then(|| (told(used), told(gpu.memory))));
        }
        let (holds, of): (Vec<String>, Vec<String>) = over.into_iter().unzip();
        let (node, holds, of) = (node.input.name.clone(), listed(&holds), listed(&of));
        (!holds.is_empty()).then_some(Overfull { node, holds, of })
    });
    found.collect()
}

/// `5 cpu`, `8GiB of memory`.
fn amount_of(r: usize, of: u64) -> String {
    let of_it = if r == 0 { "" } else { "of " };
    format!("{} {of_it}{}", amount(r, of), RESOURCES[r])
}

fn amount(r: usize, of: u64) -> String {
    if r == 0 { Cpu { milli: of }.to_string() } else { size(of) }
}

/// Bytes for people: two decimals at most, cut off and never rounded up to more than there is.
pub fn size(bytes: u64) -> String {
    in_units(bytes, |hundredths, unit| hundredths / unit)
}

/// The same for what is needed: never rounded down to less.
pub fn size_up(bytes: u64) -> String {
    in_units(bytes, u128::div_ceil)
}

fn in_units(bytes: u64, round: fn(u128, u128) -> u128) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, shift)) = units.into_iter().find(|(_, shift)| bytes >> shift > 0) else {
        return format!("{bytes}B");
    };
    let hundredths = round(u128::from(bytes) * 100, 1 << shift);
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn devices(partial: &PartialPlacement<'_>, s: usize, n: usize, found: &mut Vec<Violation>) {
    let service = &partial.indexed.services[s];
    if !service.wants_gpu() || partial.devices_fit(s, n) {
        return;
    }
    let node = &partial.indexed.nodes[n];
    let mask = node.memories.iter().enumerate().fold(0u128, |set, (d, _)| set | 1 << d);
    let allowed = match filter::allowed_devices(service.input, node) {
        // That none is of the model that is asked for was told: what is short beside that is told
        // of all.
        0 => mask,
        some => some,
    };
    let largest = node.memories.iter().max().copied().unwrap_or(0);
    let large = |need: &DeviceNeed| node.memories.iter().any(|&memory| memory >= need.memory);
    if service.input.device.as_ref().is_some_and(|need| !large(need)) {
        return;
    }
    let (untouched, roomiest) = left_over(partial, n, allowed);
    let (need, free, text) = match service.input.gpu {
        GpuRequest::None => return,
        GpuRequest::Whole(count) => {
            let text = format!("needs {count} whole GPU(s), {untouched} free");
            (f64::from(count), untouched as f64, text)
        }
        GpuRequest::Share(milli) => {
            let free = roomiest.map_or(0, |(left, size)| {
                (u128::from(left) * 1000 / u128::from(size.max(1))) as u64
            });
            let text = format!(
                "needs {}% of a GPU, {}% free on the emptiest",
                tenths(milli.into()),
                tenths(free)
            );
            (f64::from(milli) / 1000.0, free as f64 / 1000.0, text)
        }
        GpuRequest::Memory(bytes) => {
            let free = roomiest.map_or(0, |(left, _)| left / 1000);
            let text = format!(
                "needs {} of GPU memory, {} free on the emptiest",
                size(bytes.0),
                size(free)
            );
            (bytes.0 as f64, free as f64, text)
        }
    };
    let mut lines = service.input.require.iter().chain(&service.input.forbid);
    if need <= free && lines.any(|line| line.key == Key::GpuModel) {
        return;
    }
    let at = service.input.at.as_ref();
    let whole = match service.input.gpu {
        GpuRequest::Memory(_) => largest as f64,
        GpuRequest::Share(_) => f64::from(u8::from(!node.memories.is_empty())),
        _ => f64::from((allowed & mask).count_ones()),
    };
    let give = need > whole || !headroom::has_devices_in_the_way(partial, (s, n));
    let (need, free, whole) = (Some(need), Some(free), Some(whole));
    found.push(Violation { need, free, whole, give, ..say("gpu", at, text) });
}

/// Thousandths as per cent: `12.5`.
pub fn tenths(milli: u64) -> String {
    format!("{}.{}", milli / 10, milli % 10).trim_end_matches(".0").to_owned()
}

/// Untouched devices, and what is left of the roomiest with its size, as things are packed.
fn left_over(
    partial: &PartialPlacement<'_>,
    n: usize,
    allowed: u128,
) -> (usize, Option<(u64, u64)>) {
    let memories = &partial.indexed.nodes[n].memories;
    let left = partial.device_room(n);
    let usable = || (0..memories.len()).filter(|d| allowed >> d & 1 == 1);
    let untouched = usable().filter(|&d| left[d] == gpu_packing::size(memories[d])).count();
    (untouched, usable().map(|d| (left[d], gpu_packing::size(memories[d]))).max())
}

fn neighbours(partial: &PartialPlacement<'_>, s: usize, n: usize, found: &mut Vec<Violation>) {
    let indexed = partial.indexed;
    let service = &indexed.services[s];
    let input = service.input;
    let count = partial.count(s, n);
    if let Some(most) = per_node(service.input).filter(|&most| count >= most) {
        let text = format!("runs {count} of at most {most} instance(s) there already");
        found.push(say_as("max-per-node", input.max_per_node_line(), text));
    }
    for &port in &service.input.host_ports {
        if let Some(other) = holder(partial, n, port) {
            let holder = &indexed.services[other].input.name;
            let text = format!("{} is taken by {holder}", port_words(port));
            found.push(say_port(service.input, port, text));
        }
    }
    for &other in service.apart.iter().filter(|&&other| partial.count(other, n) > 0) {
        let other = indexed.services[other].input;
        let name = other.name.declared();
        found.push(match service.input.apart_from.contains(&name) {
            true => {
                let text = format!("must stay apart from {}", other.name);
                say_as("apart-from", input.apart_from_line(std::slice::from_ref(&name)), text)
            }
            // The line is the other's.
            false => {
                let text = format!("{} must stay apart from it", other.name);
                say_as("apart-from", other.apart_from_line(std::slice::from_ref(&input.name)), text)
            }
        });
    }
    for name in service.input.near.iter().filter(|name| **name != service.input.name) {
        let other = indexed.services.iter().position(|other| other.input.name == *name);
        if other.is_none_or(|other| partial.present(other, n) == 0) {
            let text = format!("must run near {name}, which is not there");
            found.push(say_as("near", input.near_line(std::slice::from_ref(name)), text));
        }
    }
}

/// What speaks against a service's going away where another must run near it: the line is the
/// other's.
pub fn deserts(service: &ServiceInput, other: &ServiceInput, node: &NodeName) -> Violation {
    let text = format!("{} on {node} must run near it", other.name);
    say_as("near", other.near_line(std::slice::from_ref(&service.name)), text)
}

fn spread(partial: &PartialPlacement<'_>, s: usize, n: usize, found: &mut Vec<Violation>) {
    uneven(partial, partial, s, n, found);
}

/// Lines of `spread` that one more on the node breaks further than `before` does.
fn uneven(
    before: &PartialPlacement<'_>,
    partial: &PartialPlacement<'_>,
    s: usize,
    n: usize,
    found: &mut Vec<Violation>,
) {
    let service: &Service<'_> = &partial.indexed.services[s];
    for (line, input) in service.spread.iter().zip(&service.input.spread) {
        let excess = partial.skew_with(s, line, Some(n));
        if excess > before.skew_excess(s, line) {
            let skew = line.skew + excess;
            let text = format!("would be spread unevenly: {skew} apart, {} allowed", line.skew);
            found.push(say_line("spread", input.at.as_ref(), text));
        }
    }
}
