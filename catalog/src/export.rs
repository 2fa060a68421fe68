//! A rendered container as a document of Compose, for people and for the real `docker compose`.
//!
//! Knows how Compose writes each field of an instance. Refuses to know secrets' values: where one
//! stands, its name is shown.

use std::fmt::Write as _;

use devnet_schema::{
    instance::{ContainerSpec, InstanceSpec, Probe, Protocol, Workload},
    quantity::Period,
    secret::Text,
};
use serde_json::{Map, Value, json};

/// The document with these instances as services, in YAML. Instances that are no containers are
/// left out.
pub fn compose(specs: &[InstanceSpec]) -> String {
    let (mut services, mut volumes, mut configs) = (Map::new(), Map::new(), Map::new());
    for spec in specs {
        let Workload::Container(container) = &spec.workload else { continue };
        let name = format!("{}-{}", spec.id.service, spec.id.index);
        let mut service = Map::new();
        own(&mut service, container);
        walls(&mut service, container);
        around(&mut service, spec);
        let files = spec.files.iter().enumerate().map(|(at, (path, file))| {
            let source = format!("{name}-{at}");
            configs.insert(source.clone(), json!({ "content": shown(&file.content) }));
            json!({ "source": source, "target": path, "mode": file.mode })
        });
        put(&mut service, "configs", Value::Array(files.collect()));
        let mounts = spec.volumes.iter().map(|volume| {
            let source = format!("{name}-{}", volume.name);
            volumes.insert(source.clone(), json!({}));
            json!({ "type": "volume", "source": source, "target": volume.path })
        });
        let binds = container.host.binds.iter().map(|bind| {
            let (source, target) = (escaped(&bind.source), escaped(&bind.path));
            let mut mount = json!({ "type": "bind", "source": source, "target": target });
            if bind.read_only {
                mount["read_only"] = json!(true);
            }
            if let Some(propagation) = &bind.propagation {
                mount["bind"] = json!({ "propagation": propagation });
            }
            mount
        });
        put(&mut service, "volumes", Value::Array(mounts.chain(binds).collect()));
        services.insert(name, Value::Object(service));
    }
    let mut document = Map::new();
    put(&mut document, "services", Value::Object(services));
    put(&mut document, "volumes", Value::Object(volumes));
    put(&mut document, "configs", Value::Object(configs));
    let mut out = String::new();
    yaml(&mut out, &Value::Object(document), 0);
    out
}

/// What runs in the container.
fn own(service: &mut Map<String, Value>, container: &ContainerSpec) {
    service.insert("image".to_owned(), json!(escaped(&container.image)));
    let words = |words: &Option<Vec<Text>>| -> Value {
        words.iter().flatten().map(|word| Value::String(shown(word))).collect()
    };
    put(service, "entrypoint", words(&container.entrypoint));
    put(service, "command", words(&container.command));
    put(service, "user", json!(container.user));
    put(service, "hostname", json!(container.hostname));
    put(service, "shm_size", json!(container.shm_size.map(|size| format!("{}b", size.0))));
    put(service, "working_dir", json!(container.settings.working_dir));
    let labels = container.labels.iter().map(|(name, value)| (name.clone(), json!(escaped(value))));
    put(service, "labels", Value::Object(labels.collect()));
    if container.init {
        service.insert("init".to_owned(), json!(true));
    }
}

/// What keeps it within its bounds, and what it may have of its node.
fn walls(service: &mut Map<String, Value>, container: &ContainerSpec) {
    let (settings, host) = (&container.settings, &container.host);
    if settings.read_only {
        service.insert("read_only".to_owned(), json!(true));
    }
    let tmpfs = settings.tmpfs.iter().map(|(path, options)| match options.as_str() {
        "" => path.clone(),
        options => format!("{path}:{options}"),
    });
    put(service, "tmpfs", tmpfs.collect());
    put(service, "cap_drop", json!(settings.cap_drop));
    put(service, "cap_add", json!(host.cap_add));
    let mut security = host.security_opt.clone();
    if settings.no_new_privileges {
        security.push("no-new-privileges:true".to_owned());
    }
    put(service, "security_opt", json!(security));
    put(service, "group_add", json!(settings.groups));
    put(service, "pids_limit", json!(settings.pids_limit));
    let limits = settings
        .ulimits
        .iter()
        .map(|(name, limit)| (name.clone(), json!({ "soft": limit.soft, "hard": limit.hard })));
    put(service, "ulimits", Value::Object(limits.collect()));
    put(service, "sysctls", json!(host.sysctls));
    for namespace in &host.namespaces {
        let key = match namespace.as_str() {
            "network" => "network_mode",
            "userns" => "userns_mode",
            other => other,
        };
        service.insert(key.to_owned(), json!("host"));
    }
    if host.privileged {
        service.insert("privileged".to_owned(), json!(true));
    }
    let devices = host
        .devices
        .iter()
        .map(|device| format!("{}:{}:{}", device.source, device.path, device.permissions));
    put(service, "devices", devices.collect());
}

/// What is around it: environment, ports, health, how it stops, and what it may use.
fn around(service: &mut Map<String, Value>, spec: &InstanceSpec) {
    let env = spec.env.iter().map(|(name, value)| (name.clone(), json!(shown(value))));
    put(service, "environment", Value::Object(env.collect()));
    if !service.contains_key("network_mode") {
        let ports = spec.ports.iter().map(|port| {
            let protocol = match port.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            };
            json!({
                "target": port.container,
                "published": port.host.to_string(),
                "host_ip": port.bind,
                "protocol": protocol,
            })
        });
        put(service, "ports", ports.collect());
    }
    // Of a check over the network the agent takes care: an image need not have a program for it.
    if let Some(health) = &spec.health
        && let Probe::Exec { argv } = &health.probe
    {
        let words = argv.iter().map(|word| escaped(word));
        let test: Vec<String> = std::iter::once("CMD".to_owned()).chain(words).collect();
        let check = json!({
            "test": test,
            "interval": period(health.interval),
            "timeout": period(health.timeout),
            "retries": health.retries,
            "start_period": period(health.start_period),
        });
        service.insert("healthcheck".to_owned(), check);
    }
    put(service, "stop_signal", json!(spec.stop.signal));
    service.insert("stop_grace_period".to_owned(), json!(period(spec.stop.grace)));
    let mut resources = Map::new();
    if spec.limits.memory.0 > 0 {
        resources
            .insert("limits".to_owned(), json!({ "memory": format!("{}b", spec.limits.memory.0) }));
    }
    if !spec.gpus.is_empty() {
        let ids: Vec<&str> = spec.gpus.iter().map(|gpu| gpu.id.as_str()).collect();
        let device = json!({ "driver": "nvidia", "device_ids": ids, "capabilities": ["gpu"] });
        resources.insert("reservations".to_owned(), json!({ "devices": [device] }));
    }
    if !resources.is_empty() {
        service.insert("deploy".to_owned(), json!({ "resources": resources }));
    }
}

/// Leaves out what says nothing.
fn put(map: &mut Map<String, Value>, name: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    if !empty {
        map.insert(name.to_owned(), value);
    }
}

fn period(period: Period) -> String {
    format!("{}ms", period.millis)
}

fn shown(text: &Text) -> String {
    escaped(&text.to_string())
}

/// A `$` begins a variable in Compose.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

/// A value in YAML, with every text in quotes that could be read as something else.
fn yaml(out: &mut String, value: &Value, depth: usize) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (name, value) in entries {
                let _ = write!(out, "{pad}{}:", word(name));
                nested(out, value, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(out, "{pad}-");
                match item {
                    Value::Object(entries) if !entries.is_empty() => {
                        let _ = writeln!(out, " {}", flow(item));
                    }
                    other => nested(out, other, depth),
                }
            }
        }
        other => {
            let _ = writeln!(out, "{pad}{}", flow(other));
        }
    }
}

fn nested(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            out.push('\n');
            yaml(out, value, depth + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            yaml(out, value, depth + 1);
        }
        Value::String(text) if is_block(text) => {
            let keep = if text.ends_with('\n') { "|" } else { "|-" };
            let _ = writeln!(out, " {keep}");
            for line in text.trim_end_matches('\n').split('\n') {
                let pad = if line.is_empty() { String::new() } else { "  ".repeat(depth + 1) };
                let _ = writeln!(out, "{pad}{line}");
            }
        }
        other => {
            let _ = writeln!(out, " {}", flow(other));
        }
    }
}

/// Whether a text is best read line by line, and comes back the same.
fn is_block(text: &str) -> bool {
    let plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
    text.trim_end_matches('\n').contains('\n')
        && text.chars().all(plain)
        && !text.starts_with([' ', '\n', '\t'])
        && !text.ends_with("\n\n")
        && !text.trim_end_matches('\n').ends_with([' ', '\t'])
}

/// On one line. JSON is YAML.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let one = |(name, value): (&String, &Value)| format!("{}: {}", word(name), flow(value));
            let entries: Vec<String> = entries.iter().map(one).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// A text that stands for itself without quotes only where nobody could take it for anything else.
fn word(text: &str) -> String {
    let known = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '/');
    let reserved = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = first && text.chars().all(known);
    match plain && !reserved.contains(&text.to_ascii_lowercase().as_str()) {
        true => text.to_owned(),
        false => Value::String(text.to_owned()).to_string(),
    }
}
