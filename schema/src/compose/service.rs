//! One service of a Compose document.
//!
//! Knows every field that is read and sends each to the place that reads its value. Refuses to
//! know why the others are refused: [`super::refused`] does.

use std::collections::BTreeMap;

use super::{
    health,
    model::{Condition, Dependency, Service, Shares},
    project::Declared,
    reader::Reader,
    refused, shared, unit, words,
};
use crate::{
    desired::Located,
    file::tree::{Entry, Kind, Node},
    quantity::{Bytes, Cpu},
};

const FIELDS: &str = "image, entrypoint, command, environment, ports, expose, volumes, configs, \
     secrets, healthcheck, stop_signal, stop_grace_period, shm_size, user, hostname, init, labels, \
     depends_on, deploy, restart and x-…";

/// Reads a service.
pub(super) fn read(reader: &mut Reader<'_>, entry: &Entry, declared: &Declared) -> Service {
    let mut service = Service { at: Some(reader.at(&entry.key_span)), ..Service::default() };
    for field in reader.map(&entry.value, "a service") {
        if !unit_field(reader, &mut service, field)
            && !shared_field(reader, &mut service, field, declared)
        {
            refuse(reader, field);
        }
    }
    service
}

/// What runs and how it is stopped. Whether the field is one of these.
fn unit_field(reader: &mut Reader<'_>, service: &mut Service, field: &Entry) -> bool {
    let value = &field.value;
    match field.key.as_str() {
        "image" => service.image = reader.text(value, "`image`"),
        "entrypoint" => service.entrypoint = argv(reader, value, "`entrypoint`"),
        "command" => service.command = argv(reader, value, "`command`"),
        "user" => service.user = reader.text(value, "`user`"),
        "hostname" => service.hostname = reader.text(value, "`hostname`"),
        "init" => service.init = reader.boolean(value, "`init`"),
        "stop_signal" => service.stop_signal = reader.text(value, "`stop_signal`"),
        "stop_grace_period" => {
            let expected = "a duration like `30s` or `1m30s`";
            service.stop_grace_period =
                reader.parsed(value, "`stop_grace_period`", expected, unit::period);
        }
        "shm_size" => {
            let expected = "a size like `256mb`";
            service.shm_size = reader.parsed(value, "`shm_size`", expected, unit::size);
        }
        "healthcheck" => service.health = health::read(reader, value),
        "deploy" => deploy(reader, service, value),
        "restart" => {
            let message = "`restart` is ignored: the agent keeps every unit running".to_owned();
            reader.warning("DN-W0560", &field.key_span, message, "leave it out");
        }
        _ => return false,
    }
    true
}

/// What it shares with the world. Whether the field is one of these.
fn shared_field(
    reader: &mut Reader<'_>,
    service: &mut Service,
    field: &Entry,
    declared: &Declared,
) -> bool {
    let value = &field.value;
    match field.key.as_str() {
        "environment" => service.env = pairs(reader, value, "`environment`"),
        "labels" => service.labels = pairs(reader, value, "`labels`"),
        "ports" => service.ports.extend(shared::ports(reader, value)),
        "expose" => service.ports.extend(shared::exposed(reader, value)),
        "volumes" => service.volumes = shared::volumes(reader, value, &declared.volumes),
        "configs" => {
            let files = shared::files(reader, value, &declared.configs, "config");
            service.files.extend(files);
        }
        "secrets" => {
            let files = shared::files(reader, value, &declared.secrets, "secret");
            service.files.extend(files);
        }
        "depends_on" => service.depends_on = depends_on(reader, value),
        _ => return false,
    }
    true
}

fn refuse(reader: &mut Reader<'_>, field: &Entry) {
    match refused::reason(&field.key) {
        Some(reason) => {
            let message = format!("`{}` is refused: {reason}", field.key);
            reader.error("DN-E0554", &field.key_span, message, "leave it out");
        }
        None => reader.unknown(field, "a service", FIELDS),
    }
}

/// A command: a list of words, or one string that is split like a shell splits it.
fn argv(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Vec<Located<String>>> {
    if Reader::is_nothing(node) {
        return None;
    }
    if let Kind::Seq(items) = &node.kind {
        return Some(items.iter().filter_map(|item| reader.text(item, what)).collect());
    }
    let text = reader.literal(node, what, "write it as a list, one item a word")?;
    match words::split(text) {
        Ok(words) => {
            let at = reader.at(&node.span);
            Some(words.into_iter().map(|value| Located { value, at: at.clone() }).collect())
        }
        Err(error) => {
            let message = format!("{what} cannot be split into words: {error}");
            reader.error("DN-E0556", &node.span, message, "write it as a list, one item a word");
            None
        }
    }
}

/// `{NAME: value}` or `[NAME=value]`.
fn pairs(reader: &mut Reader<'_>, node: &Node, what: &str) -> BTreeMap<String, Located<String>> {
    let mut all = BTreeMap::new();
    if matches!(node.kind, Kind::Map(_)) {
        for entry in reader.map(node, what) {
            if Reader::is_nothing(&entry.value) {
                no_value(reader, &entry.value, &entry.key);
            } else if let Some(value) = reader.text(&entry.value, what) {
                all.insert(entry.key.clone(), value);
            }
        }
        return all;
    }
    for item in reader.list(node, what) {
        let Some(text) = reader.literal(item, what, "write it as a map: `NAME: value`") else {
            continue;
        };
        match text.split_once('=') {
            Some((name, value)) => {
                let value = Located { value: value.to_owned(), at: reader.at(&item.span) };
                all.insert(name.to_owned(), value);
            }
            None => no_value(reader, item, text),
        }
    }
    all
}

fn no_value(reader: &mut Reader<'_>, node: &Node, name: &str) {
    let message = format!("`{}` has no value, and devnet passes on none", name.escape_debug());
    let help = "write the value; for an empty one write \"\"";
    reader.error("DN-E0557", &node.span, message, help);
}

/// `[a, b]` or `{a: {condition: service_healthy}}`.
fn depends_on(reader: &mut Reader<'_>, node: &Node) -> Vec<Located<Dependency>> {
    let mut all = Vec::new();
    if matches!(node.kind, Kind::Map(_)) {
        for entry in reader.map(node, "`depends_on`") {
            let at = reader.at(&entry.key_span);
            let condition = condition(reader, &entry.value);
            let value = Dependency { service: entry.key.clone(), condition };
            all.push(Located { value, at });
        }
        return all;
    }
    for item in reader.list(node, "`depends_on`") {
        if let Some(Located { value, at }) = reader.text(item, "`depends_on`") {
            let value = Dependency { service: value, condition: Condition::Started };
            all.push(Located { value, at });
        }
    }
    all
}

fn condition(reader: &mut Reader<'_>, node: &Node) -> Condition {
    let mut condition = Condition::Started;
    for field in reader.map(node, "a dependency") {
        match field.key.as_str() {
            "condition" => {
                let read = |text: &str| match text {
                    "service_started" => Some(Condition::Started),
                    "service_healthy" => Some(Condition::Healthy),
                    _ => None,
                };
                let expected = "`service_started` or `service_healthy`";
                if let Some(read) = reader.parsed(&field.value, "`condition`", expected, read) {
                    condition = read.value;
                }
            }
            "required" | "restart" => {}
            _ => reader.unknown(field, "a dependency", "condition, required and restart"),
        }
    }
    condition
}

/// `deploy`, of which only `resources` is ours.
fn deploy(reader: &mut Reader<'_>, service: &mut Service, node: &Node) {
    for field in reader.map(node, "`deploy`") {
        if field.key != "resources" {
            let message = format!("`deploy.{}` is refused", field.key.escape_debug());
            let help = "the cluster file says how many instances there are, where they run and \
                        how they are updated";
            reader.error("DN-E0554", &field.key_span, message, help);
            continue;
        }
        for part in reader.map(&field.value, "`deploy.resources`") {
            match part.key.as_str() {
                "limits" => service.limits = shares(reader, &part.value),
                "reservations" => service.reservations = shares(reader, &part.value),
                _ => reader.unknown(part, "`deploy.resources`", "limits and reservations"),
            }
        }
    }
}

fn shares(reader: &mut Reader<'_>, node: &Node) -> Shares {
    let mut shares = Shares::default();
    for field in reader.map(node, "resources") {
        match field.key.as_str() {
            "cpus" => {
                let read = |text: &str| text.parse::<Cpu>().ok();
                let read = reader.parsed(&field.value, "`cpus`", "a number of cores", read);
                shares.cpu = read.map_or(Cpu::ZERO, |read| read.value);
            }
            "memory" => {
                let read = reader.parsed(&field.value, "`memory`", "a size", unit::size);
                shares.memory = read.map_or(Bytes::ZERO, |read| read.value);
            }
            "devices" => {
                let help = "write `resources gpu=1` in the cluster file: devnet picks the device";
                let message = "`devices` is refused: two services could be given one device";
                reader.error("DN-E0554", &field.key_span, message.into(), help);
            }
            _ => reader.unknown(field, "resources", "cpus and memory"),
        }
    }
    shares
}
