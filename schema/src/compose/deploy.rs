//! How many, how much, and how it is kept running: `deploy`, `scale`, `restart`, `gpus` and the
//! older words for limits.
//!
//! Knows what of Swarm's words has a meaning here. Refuses the rest: where instances run and how
//! they are updated is said in the cluster file.

use super::{
    model::{Service, Shares},
    reader::Reader,
    unit,
};
use crate::{
    diagnostic::Located,
    file::tree::{Entry, Kind, Node},
    quantity::{Bytes, Cpu},
};

/// Whether the field is one of these.
pub(super) fn field(reader: &mut Reader<'_>, service: &mut Service, field: &Entry) -> bool {
    let value = &field.value;
    match field.key.as_str() {
        "deploy" => deploy(reader, service, value),
        "scale" => replicas(reader, service, value, "`scale`"),
        "restart" => restart(reader, service, field),
        "gpus" => gpus(reader, service, value),
        "cpus" => {
            let read = cpu(reader, value);
            both(reader, value, "`cpus`", &mut service.limits.cpu, read, Cpu::ZERO);
        }
        // Read last: they mean something together.
        "cpu_period" | "cpu_quota" => {}
        "mem_limit" => {
            let read = most_memory(reader, value, "`mem_limit`");
            both(reader, value, "`mem_limit`", &mut service.limits.memory, read, Bytes::ZERO);
        }
        "mem_reservation" => {
            let read = memory(reader, value, "`mem_reservation`");
            let before = &mut service.reservations.memory;
            both(reader, value, "`mem_reservation`", before, read, Bytes::ZERO);
        }
        "logging" => logging(reader, field),
        "pull_policy" => match value.text() {
            Some("missing" | "if_not_present") => {}
            Some("always" | "daily" | "weekly") => {
                reader.ignored(field, "an image is pulled when its reference changes");
            }
            Some(text) if text == "refresh" || text.starts_with("every_") => {
                reader.ignored(field, "an image is pulled when its reference changes");
            }
            Some("never") => reader.ignored(field, "an image that a node has not is pulled"),
            _ => reader.refused(field, "", "devnet pulls images that a node has not"),
        },
        _ => return false,
    }
    true
}

fn cpu(reader: &mut Reader<'_>, node: &Node) -> Cpu {
    let read = |text: &str| text.parse::<Cpu>().ok();
    let read = reader.parsed(node, "`cpus`", "a number of cores", read);
    read.map_or(Cpu::ZERO, |read| read.value)
}

/// The older way to say how many cores at most: so many microseconds of every so many.
pub(super) fn quota(reader: &mut Reader<'_>, service: &mut Service, body: &Node) {
    let field = |name: &str| {
        let field = body.entries().iter().find(|entry| entry.key == name);
        field.filter(|field| !Reader::is_nothing(&field.value))
    };
    let read = |text: &str| {
        text.parse::<u64>().ok().or_else(|| Some(unit::period(text)?.millis.saturating_mul(1000)))
    };
    let mut number = |name: &str, expected: &str| {
        let value = &field(name)?.value;
        Some((value, reader.parsed(value, &format!("`{name}`"), expected, read)?.value))
    };
    let expected = "a number of microseconds, like `100000`";
    let period = number("cpu_period", expected).map_or(0, |(_, period)| period);
    let Some((value, quota)) = number("cpu_quota", expected) else { return };
    let period = if period == 0 { 100_000 } else { period };
    let milli = quota.saturating_mul(1000) / period;
    let before = &mut service.limits.cpu;
    both(reader, value, "`cpu_quota`", before, Cpu { milli }, Cpu::ZERO);
}

/// An amount that two fields can say: they have to say the same.
fn both<T: PartialEq>(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    before: &mut T,
    read: T,
    nothing: T,
) {
    if *before != nothing && read != nothing && *before != read {
        let message = format!("{what} is said twice, at the service and in `deploy.resources`");
        reader.contradicts(&node.span, message, None, "keep one of the two");
    }
    if read != nothing {
        *before = read;
    }
}

fn memory(reader: &mut Reader<'_>, node: &Node, what: &str) -> Bytes {
    let read = reader.parsed(node, what, "a size like `512mb`", unit::size);
    read.map_or(Bytes::ZERO, |read| read.value)
}

/// A limit of memory. With less than this an engine creates no container; 0 is no limit.
fn most_memory(reader: &mut Reader<'_>, node: &Node, what: &str) -> Bytes {
    let most = memory(reader, node, what);
    if most > Bytes::ZERO && most < Bytes::mib(6) {
        reader.wrong(node, what, "a size of `6mb` or more, which engines want at least");
    }
    most
}

fn count(reader: &mut Reader<'_>, node: &Node, what: &str, least: u32) -> Option<Located<u32>> {
    let most = u32::try_from(reader.replicas).unwrap_or(u32::MAX);
    let read = |text: &str| text.parse().ok().filter(|count| (least..=most).contains(count));
    reader.parsed(node, what, &format!("a whole number from {least} to {most}"), read)
}

/// How many instances, which two fields can say.
fn replicas(reader: &mut Reader<'_>, service: &mut Service, node: &Node, what: &str) {
    let Some(count) = count(reader, node, what, 0) else { return };
    if let Some(first) = service.replicas.as_ref().filter(|first| first.value != count.value) {
        let other = if what == "`scale`" { "`deploy.replicas`" } else { "`scale`" };
        let message = format!("{what} says {}, and {other} {}", count.value, first.value);
        let first = (first.at.clone(), "the other number");
        reader.contradicts(
            &node.span,
            message,
            Some(first),
            "keep one of `scale` and `deploy.replicas`",
        );
    }
    service.replicas = Some(count);
}

/// Whatever it says, the agent starts again what ends: that is a note where it says otherwise.
fn restart(reader: &mut Reader<'_>, service: &mut Service, field: &Entry) {
    match field.value.text() {
        Some("always" | "unless-stopped") => {
            service.restart = Some(Located { value: true, at: reader.at(&field.key_span) });
        }
        // Whether it runs once is known when all services are.
        Some(text) if text == "no" || text == "on-failure" || text.starts_with("on-failure:") => {
            service.restart = Some(Located { value: false, at: reader.at(&field.key_span) });
        }
        _ => {
            let expected = "`always`, `unless-stopped`, `on-failure` or `\"no\"`";
            reader.wrong(&field.value, "`restart`", expected);
        }
    }
}

/// `devnet logs` reads the engine's own log, whose size the agent bounds.
fn logging(reader: &mut Reader<'_>, field: &Entry) {
    match field.value.get("driver").and_then(Node::text) {
        _ if Reader::is_nothing(&field.value) => {}
        None | Some("json-file" | "local" | "journald" | "none") => {
            reader.ignored(field, "the agent keeps and bounds the engine's own log");
        }
        Some(_) => {
            let why = "`devnet logs` reads the engine's own log: no other driver is used";
            reader.refused(field, "", why);
        }
    }
}

fn deploy(reader: &mut Reader<'_>, service: &mut Service, node: &Node) {
    for field in reader.map(node, "`deploy`") {
        let value = &field.value;
        match field.key.as_str() {
            "mode" => mode(reader, service, field),
            "replicas" => replicas(reader, service, value, "`replicas`"),
            "resources" => resources(reader, service, value),
            "restart_policy" => restart_policy(reader, field),
            "update_config" => update(reader, service, value),
            "placement" => placement(reader, service, value),
            "labels" | "endpoint_mode" | "rollback_config" => {
                reader.ignored(field, "it is for Swarm; there is none here");
            }
            _ => {
                let known = "replicas, resources, placement, update_config and restart_policy";
                reader.unknown(field, "`deploy`", known);
            }
        }
    }
    let counts = [
        (service.replicas.as_ref(), "a number of instances"),
        (service.max_per_node.as_ref(), "`max_replicas_per_node`"),
    ];
    let counts = counts.map(|(count, what)| Some((count?.at.clone(), what)));
    if let Some(global) = service.global.clone() {
        for (at, what) in counts.into_iter().flatten() {
            let message = format!("one instance on each node does not go with {what}");
            let first = (global.clone(), "`mode: global`");
            let span = reader.span(&at);
            reader.contradicts(&span, message, Some(first), "keep one of the two");
        }
    }
}

/// Swarm's words for how many there are, and whether they end by themselves.
fn mode(reader: &mut Reader<'_>, service: &mut Service, field: &Entry) {
    let word = field.value.text();
    match word {
        Some("replicated") => {}
        Some("global" | "replicated-job" | "global-job") => {
            service.run_once = word != Some("global");
            if word != Some("replicated-job") {
                service.global = Some(reader.at(&field.value.span));
            }
        }
        _ => {
            let expected = "`replicated`, `global`, `replicated-job` or `global-job`";
            reader.wrong(&field.value, "`mode`", expected);
        }
    }
}

fn restart_policy(reader: &mut Reader<'_>, field: &Entry) {
    let condition = field.value.get("condition").and_then(Node::text);
    let known = ["condition", "delay", "max_attempts", "window"];
    for part in reader.map(&field.value, "`restart_policy`") {
        if !known.contains(&part.key.as_str()) {
            reader.unknown(part, "`restart_policy`", &known.join(", "));
        }
    }
    if condition.is_some_and(|condition| condition != "any") || field.value.entries().len() > 1 {
        reader.ignored(field, "the agent starts again whatever ends, however it ended");
    }
}

fn update(reader: &mut Reader<'_>, service: &mut Service, node: &Node) {
    for field in reader.map(node, "`update_config`") {
        match field.key.as_str() {
            "parallelism" if field.value.text() == Some("0") => {
                reader.ignored(field, "the cluster file says how many may be down at once");
            }
            "parallelism" => {
                service.max_unavailable = count(reader, &field.value, "`parallelism`", 1);
            }
            "order" if field.value.text() == Some("stop-first") => {}
            "order" | "delay" | "failure_action" | "monitor" | "max_failure_ratio" => {
                reader.ignored(field, "the cluster file says how a service is updated");
            }
            _ => reader.unknown(field, "`update_config`", "parallelism and order"),
        }
    }
}

fn placement(reader: &mut Reader<'_>, service: &mut Service, node: &Node) {
    for field in reader.map(node, "`placement`") {
        match field.key.as_str() {
            "max_replicas_per_node" => {
                service.max_per_node = count(reader, &field.value, "`max_replicas_per_node`", 1);
            }
            "constraints" | "preferences" => {
                reader.ignored(field, "the cluster file says where services run: see `place`");
            }
            _ => reader.unknown(field, "`placement`", "max_replicas_per_node"),
        }
    }
}

fn resources(reader: &mut Reader<'_>, service: &mut Service, node: &Node) {
    for part in reader.map(node, "`deploy.resources`") {
        for field in reader.map(&part.value, "resources") {
            let reservations = match part.key.as_str() {
                "limits" => false,
                "reservations" => true,
                _ => {
                    reader.unknown(part, "`deploy.resources`", "limits and reservations");
                    break;
                }
            };
            let Service { limits, reservations: reserved, .. } = &mut *service;
            let shares: &mut Shares = if reservations { reserved } else { limits };
            match field.key.as_str() {
                "cpus" => {
                    let read = cpu(reader, &field.value);
                    both(reader, &field.value, "`cpus`", &mut shares.cpu, read, Cpu::ZERO);
                }
                "memory" => {
                    let read = match reservations {
                        true => memory(reader, &field.value, "`memory`"),
                        false => most_memory(reader, &field.value, "`memory`"),
                    };
                    both(reader, &field.value, "`memory`", &mut shares.memory, read, Bytes::ZERO);
                }
                "pids" if !reservations => {
                    let limit = count(reader, &field.value, "`pids`", 1);
                    service.settings.pids_limit = limit.map(|limit| limit.value);
                }
                "devices" if reservations => devices(reader, service, &field.value, false),
                _ => reader.unknown(field, "resources", "cpus, memory, pids and devices"),
            }
        }
    }
}

/// `gpus: 2`, `gpus: all`, or a list as in `devices`, each of which is a GPU without saying so.
fn gpus(reader: &mut Reader<'_>, service: &mut Service, node: &Node) {
    if matches!(node.kind, Kind::Seq(_)) {
        return devices(reader, service, node, true);
    }
    service.gpus = devices_count(reader, node);
}

/// Reserved devices: GPUs by number. Which ones is the planner's choice, so that two services are
/// never given one. `are_gpus` says that nothing else can be meant.
fn devices(reader: &mut Reader<'_>, service: &mut Service, node: &Node, are_gpus: bool) {
    for item in reader.list(node, "`devices`") {
        let (mut number, mut gpu) = (None, are_gpus);
        for field in reader.map(item, "a device") {
            let value = &field.value;
            match field.key.as_str() {
                "capabilities" => {
                    let words = reader.words(value, "`capabilities`");
                    gpu |= words.iter().any(|word| word.value == "gpu");
                }
                "count" => number = devices_count(reader, value),
                "driver" if matches!(value.text(), Some("nvidia" | "")) => {}
                "device_ids" => {
                    let why = "devnet picks the devices, so that no two services are given one: \
                               write `count`";
                    reader.refused(field, "devices.", why);
                }
                "driver" | "options" => {
                    reader.refused(field, "devices.", "devnet gives out NVIDIA GPUs only");
                }
                _ => reader.unknown(field, "a device", "capabilities, driver and count"),
            }
        }
        if !gpu {
            let message = "a reserved device is not a GPU".to_owned();
            reader.error("DN-E0554", &item.span, message, "write `capabilities: [gpu]`");
        } else if number.is_none() && item.get("count").is_none() {
            let refused = item.get("device_ids").is_some();
            number = if refused { None } else { every_device(reader, item) };
        }
        service.gpus = number.or(service.gpus.take());
    }
}

fn devices_count(reader: &mut Reader<'_>, node: &Node) -> Option<Located<u32>> {
    // Compose prints -1 for it.
    if matches!(node.text(), Some("all" | "-1")) {
        return every_device(reader, node);
    }
    let read = |text: &str| text.parse().ok().filter(|count| (1..=64).contains(count));
    reader.parsed(node, "a number of GPUs", "a whole number from 1 to 64", read)
}

/// All GPUs of a node are as many as that node has, and nodes differ: most have one.
fn every_device(reader: &mut Reader<'_>, node: &Node) -> Option<Located<u32>> {
    let message = "all GPUs of a node are asked for: this service is given one".to_owned();
    reader.warning("DN-W0560", &node.span, message, "write how many: `count: 2`");
    Some(Located { value: 1, at: reader.at(&node.span) })
}
