//! One service of a Compose document.
//!
//! Knows every field that is read and sends each to the place that reads its value. Refuses to
//! know why the others are refused: [`super::refused`] does.

use std::collections::BTreeMap;

use super::{
    content, depends, deploy, dotenv, health, host, interpolate,
    model::{Attachment, Declared, Platform, Service},
    mounts,
    names::{HOST, LABEL},
    network, ports,
    reader::{NO_TEXT, Reader},
    refused, settings, signal, unit, words,
};
use crate::{
    diagnostic::Located,
    file::tree::{Entry, Kind, Node},
};

const FIELDS: &str = "image, entrypoint, command, environment, env_file, ports, expose, volumes, \
     tmpfs, configs, secrets, healthcheck, stop_signal, stop_grace_period, shm_size, user, \
     hostname, init, labels, depends_on, links, networks, deploy, restart and more: see \
     docs/cluster-file.md";

/// The others, for whoever misspells one.
const MORE: &str = "platform container_name profiles extends working_dir domainname read_only tty \
     stdin_open pids_limit ulimits group_add cap_drop dns dns_search dns_opt extra_hosts \
     privileged pid ipc uts userns_mode cgroup cap_add security_opt sysctls devices scale gpus \
     cpus mem_limit mem_reservation logging pull_policy network_mode";

/// Reads a service.
pub(super) fn read(reader: &mut Reader<'_>, entry: &Entry, declared: &Declared) -> Service {
    let mut service = Service { at: Some(reader.at(&entry.key_span)), ..Service::default() };
    let fields = reader.map(&entry.value, "a service");
    let mut mounted = mounts::Mounted::default();
    for field in fields {
        let done = unit_field(reader, &mut service, field)
            || shared_field(reader, &mut service, field, declared, &mut mounted)
            || settings::field(reader, &mut service, field)
            || host::field(reader, &mut service, field)
            || deploy::field(reader, &mut service, field)
            || network::field(reader, &mut service, field, declared);
        if !done {
            refuse(reader, field);
        }
    }
    mounted.into_service(&mut service);
    deploy::quota(reader, &mut service, &entry.value);
    network::apart(reader, &service, entry);
    for (name, value) in env_files(reader, &entry.value, "env_file") {
        service.env.entry(name).or_insert(value);
    }
    for (name, value) in env_files(reader, &entry.value, "label_file") {
        service.labels.entry(name).or_insert(value);
    }
    names(reader, &mut service, entry, declared);
    service
}

/// What runs and how it is stopped. Whether the field is one of these.
fn unit_field(reader: &mut Reader<'_>, service: &mut Service, field: &Entry) -> bool {
    let value = &field.value;
    match field.key.as_str() {
        "image" if Reader::is_nothing(value) => service.image = None,
        "image" => service.image = reader.text(value, "`image`"),
        "entrypoint" => service.entrypoint = argv(reader, value, "`entrypoint`"),
        "command" => service.command = argv(reader, value, "`command`"),
        "user" => service.user = reader.word(value, "a user"),
        "hostname" => service.hostname = reader.filled_name(value, "a host name", HOST),
        "init" => service.init = reader.boolean(value, "`init`"),
        "stop_signal" => {
            let expected = "a signal like `SIGINT`, `INT`, `2` or `SIGRTMIN+3`";
            service.stop_signal = reader.parsed(value, "`stop_signal`", expected, signal::read);
        }
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
        "platform" => {
            let expected = "a platform like `linux/amd64`";
            service.platform = reader.parsed(value, "`platform`", expected, platform);
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
    mounted: &mut mounts::Mounted,
) -> bool {
    let value = &field.value;
    match field.key.as_str() {
        "environment" => service.env = pairs(reader, value, "`environment`"),
        // Read last: what `environment` says counts more.
        "env_file" | "label_file" | "container_name" | "profiles" | "links" => {}
        "labels" => service.labels = labels(reader, value),
        "ports" => service.ports.extend(ports::published(reader, value)),
        "expose" => service.ports.extend(ports::exposed(reader, value)),
        "volumes" => mounts::read(reader, value, declared, mounted),
        "tmpfs" => mounts::tmpfs(reader, value, mounted),
        "configs" => content::read(reader, mounted, value, &declared.configs, "config"),
        "secrets" => content::read(reader, mounted, value, &declared.secrets, "secret"),
        "depends_on" => depends::read(reader, service, value),
        _ => return false,
    }
    true
}

fn refuse(reader: &mut Reader<'_>, field: &Entry) {
    let known = (refused::reason(&field.key), refused::without_effect(&field.key));
    // Nothing is what takes back what a merge brought.
    if Reader::is_nothing(&field.value) && known != (None, None) {
        return;
    }
    match known {
        _ if field.key == "runtime" && field.value.text() == Some("nvidia") => {
            reader.ignored(field, "a service with GPUs is given what they need");
        }
        (Some(reason), _) => reader.refused(field, "", reason),
        (None, Some(why)) => reader.ignored(field, why),
        (None, None) => reader.unknown_among(field, "a service", FIELDS, MORE),
    }
}

fn platform(text: &str) -> Option<Platform> {
    let mut parts = text.split('/');
    let word = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase());
    let os = parts.next().filter(word)?;
    let known = |arch: &&str| arch.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let arch = match parts.next() {
        None => None,
        Some(arch) => Some(arch).filter(|arch| !arch.is_empty()).filter(known).map(str::to_owned),
    };
    Some(Platform { os: os.to_owned(), arch })
}

/// A command: a list of words, or one string that is split like a shell splits it.
fn argv(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Vec<Located<String>>> {
    if Reader::is_nothing(node) {
        return None;
    }
    if let Kind::Seq(items) = &node.kind {
        return Some(items.iter().filter_map(|item| reader.argument(item, what)).collect());
    }
    let text = reader.literal(node, what, "write it as a list, one item a word")?;
    reader.argument(node, what)?;
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

/// Labels, whose names everybody is shown.
fn labels(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, Located<String>> {
    let mut all = pairs(reader, node, "`labels`");
    let what = "the name of a label";
    all.retain(|name, text| {
        let span = reader.span(&text.at);
        let own = name.starts_with("devnet.");
        if own {
            let shown = name.escape_debug();
            let message = format!("the label `{shown}` is refused: it is devnet's own");
            let help = "choose a name that does not begin with `devnet.`";
            reader.error("DN-E0554", &span, message, help);
        }
        reader.is_word(name, &span, what) && !own
    });
    all
}

/// `{NAME: value}` or `[NAME=value]`.
pub(super) fn pairs(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
) -> BTreeMap<String, Located<String>> {
    let mut all = BTreeMap::new();
    if matches!(node.kind, Kind::Map(_)) {
        for entry in reader.map(node, what) {
            let value = if Reader::is_nothing(&entry.value) {
                no_value(reader, &entry.value, &entry.key, what)
            } else {
                reader.text(&entry.value, what)
            };
            if let Some(value) = value {
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
            None => {
                let name = text.to_owned();
                if let Some(value) = no_value(reader, item, &name, what) {
                    all.insert(name, value);
                }
            }
        }
    }
    all
}

/// A name without a value: the variable of that name, where there are variables. A label without
/// one is empty, as Compose says.
fn no_value(
    reader: &mut Reader<'_>,
    node: &Node,
    name: &str,
    what: &str,
) -> Option<Located<String>> {
    let at = reader.at(&node.span);
    let value = match what {
        "`labels`" => Some(String::new()),
        _ => reader.variable(name, node.span.start),
    };
    if let Some(value) = value {
        return Some(Located { value, at });
    }
    let message = format!("`{}` has no value, and devnet passes on none", name.escape_debug());
    let help = "write the value; for an empty one write \"\"";
    reader.error("DN-E0557", &node.span, message, help);
    None
}

/// `env_file` or `label_file`: a path, a list of them, or of `{path, required, format}`. A later
/// file counts more than an earlier one, and `environment` more than both.
fn env_files(reader: &mut Reader<'_>, body: &Node, key: &str) -> BTreeMap<String, Located<String>> {
    let mut all: BTreeMap<String, Located<String>> = BTreeMap::new();
    let field = body.entries().iter().find(|entry| entry.key == key);
    let Some(field) = field.filter(|field| !Reader::is_nothing(&field.value)) else { return all };
    let single = [field.value.clone()];
    let items = match &field.value.kind {
        Kind::Seq(items) => items.as_slice(),
        _ => &single,
    };
    for item in items {
        let more = env_file(reader, item, &all);
        all.extend(more);
    }
    all
}

/// One of these files; `before` is what those before it say.
fn env_file(
    reader: &mut Reader<'_>,
    item: &Node,
    before: &BTreeMap<String, Located<String>>,
) -> BTreeMap<String, Located<String>> {
    let (mut path, mut required, mut raw) = (None, true, false);
    if matches!(item.kind, Kind::Map(_)) {
        for field in reader.map(item, "an `env_file`") {
            match field.key.as_str() {
                "path" => path = reader.known(&field.value, "`path`"),
                "required" => required = reader.boolean(&field.value, "`required`"),
                "format" => {
                    let read = |text: &str| (text == "raw").then_some(true);
                    raw = reader.parsed(&field.value, "`format`", "`raw`", read).is_some();
                }
                _ => reader.unknown(field, "an `env_file`", "path, required and format"),
            }
        }
    } else {
        path = reader.known(item, "`env_file`");
    }
    let mut all = BTreeMap::new();
    let Some(path) = path else { return all };
    let text = match required {
        true => reader.needed(&path, &item.span),
        false => {
            let inside = reader.inside(&path.value, item.span.start);
            inside.and_then(|path| reader.file(&path, &item.span, NO_TEXT).ok().flatten())
        }
    };
    let (Some(text), Some(ground)) = (text, reader.ground) else { return all };
    let name = reader.inside(&path.value, item.span.start).unwrap_or(path.value);
    let source = crate::file::tree::Source::new(name, text);
    if !raw {
        interpolate::names_by_line(&source.text, &mut ground.used.borrow_mut());
    }
    let mut values = (*reader.values_of(item.span.start)).clone();
    values.extend(before.iter().map(|(name, one)| (name.clone(), one.value.clone())));
    let (entries, wrong) = dotenv::read(&source.text, &values, raw);
    for dotenv::Wrong { at, fault } in wrong {
        let at = source.at(&(at..at));
        reader.take(vec![interpolate::diagnostic(fault, Some(at))]);
    }
    for (name, value) in entries {
        if let Some(value) = value.or_else(|| reader.variable(&name, item.span.start)) {
            all.insert(name, Located { value, at: reader.at(&item.span) });
        }
    }
    all
}

/// The names of a service in its networks: its own, `container_name`, and those that are written.
fn names(reader: &mut Reader<'_>, service: &mut Service, entry: &Entry, declared: &Declared) {
    let mut own = vec![entry.key.clone()];
    let fields = entry.value.entries();
    if let Some(field) = fields.iter().find(|field| field.key == "container_name")
        && let Some(name) = reader.name(&field.value, "a container's name", LABEL)
    {
        let why = "devnet names containers after cluster, service and index; it is a further \
                   name in the service's networks";
        let message = format!("`container_name` is not the container's name: {why}");
        // One that is the service's own says nothing.
        if name.value != entry.key {
            let help = "leave it out, unless something reaches the service by this name";
            reader.warning("DN-W0561", &field.key_span, message, help);
            own.push(name.value);
        }
    }
    let elsewhere = network::is_host(service) || network::is_shared(service);
    if service.networks.is_empty() && !service.settings.offline && !elsewhere {
        let at = reader.at(&entry.key_span);
        let value = Attachment { network: "default".to_owned(), ..Attachment::default() };
        service.networks.push(Located { value, at });
    }
    for attachment in &mut service.networks {
        attachment.value.aliases.extend(own.iter().cloned());
        attachment.value.aliases.sort();
        attachment.value.aliases.dedup();
    }
    if let Some(field) = fields.iter().find(|field| field.key == "links") {
        depends::links(reader, service, &field.value, declared);
    }
    network::asked(service, declared);
}
