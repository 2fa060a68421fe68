//! What is really there: containers, networks and volumes of engines, and this machine's processes.
//!
//! Knows labels, marks and `docker inspect`. Refuses to ask devnet anything.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

/// The label that says which cluster a container belongs to.
const CLUSTER: &str = "devnet.cluster";
/// The variable that every native process of a unit has: `CLUSTER/NODE/INSTANCE/NONCE`.
pub const MARK: &str = "DEVNET_UNIT";

/// Networks that an engine makes anew whenever it starts.
const BUILT_IN: [&str; 4] = ["bridge", "host", "none", "podman"];

/// One start of one instance: a container, or the processes that share one mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// On which host it was found.
    pub host: String,
    /// `CLUSTER/SERVICE-INDEX`.
    pub instance: String,
    /// What tells this start from another: the container's id, the nonce of the mark.
    pub start: String,
    /// As of which generation, where its labels tell.
    pub generation: Option<u64>,
    /// Whether it runs now.
    pub running: bool,
    /// How often the engine started it again.
    pub restarts: u64,
    /// The volumes that it writes to, by name.
    pub volumes: Vec<String>,
}

/// Everything found in one look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// Units of devnet, in the order in which they were found.
    pub units: Vec<Unit>,
    /// Everything that is not devnet's, by host, kind and id, with what must not change of it.
    pub foreign: BTreeMap<String, Value>,
    /// Volumes of devnet, by host and name, with what tells one from another of the same name.
    pub volumes: BTreeMap<String, Value>,
}

impl Scene {
    /// Everything on the engine of `host`; `ask` runs a program there and gives what it wrote.
    ///
    /// # Panics
    /// When the engine's answers cannot be read.
    pub fn of_engine(host: &str, ask: impl Fn(&str, &[&str]) -> String) -> Self {
        let docker = |args: &[&str]| ask("docker", args);
        let mut scene = Self::default();
        for one in inspected(&docker, &["ps", "-aq", "--no-trunc"], &["inspect"]) {
            if is_ours(&one["Config"]["Labels"]) {
                scene.units.push(container(host, &one));
            } else {
                let what = only(&one, &["Id", "Created", "Name", "RestartCount", "Mounts"]);
                let state = only(&one["State"], &["Running", "Paused", "StartedAt"]);
                scene.foreign.insert(key(host, "container", &one["Id"]), with(what, state));
            }
        }
        for one in
            inspected(&docker, &["network", "ls", "-q", "--no-trunc"], &["network", "inspect"])
        {
            if !is_ours(&one["Labels"]) && !BUILT_IN.iter().any(|name| one["Name"] == *name) {
                let what = only(&one, &["Id", "Name", "Created", "Driver", "Internal", "IPAM"]);
                scene.foreign.insert(key(host, "network", &one["Id"]), what);
            }
        }
        for one in inspected(&docker, &["volume", "ls", "-q"], &["volume", "inspect"]) {
            // Its directory, and not `CreatedAt`, which changes whenever a file is made in it.
            let place = one["Mountpoint"].as_str().unwrap_or_default();
            let directory = ask("stat", &["--format=%i born %W", place]);
            let what = only(&one, &["Name", "Driver", "Options", "Labels"]);
            let what = with(what, json!({ "directory": directory.trim() }));
            if is_ours(&one["Labels"]) {
                scene.volumes.insert(key(host, "volume", &one["Name"]), what);
            } else {
                scene.foreign.insert(key(host, "volume", &one["Name"]), what);
            }
        }
        scene
    }

    /// Every process of this machine (or of its own namespace, for a test on a host of the bed)
    /// that has the mark of a unit of `cluster`.
    ///
    /// # Panics
    /// When `/proc` cannot be listed.
    pub fn of_processes(cluster: &str) -> Self {
        let mut units: BTreeMap<(String, String, String), Unit> = BTreeMap::new();
        for entry in fs::read_dir("/proc").expect("/proc can be listed").flatten() {
            let Some(mark) = mark_of(&entry.path()) else { continue };
            let parts: Vec<&str> = mark.split('/').collect();
            let [of, node, instance, nonce] = parts[..] else { continue };
            if of != cluster {
                continue;
            }
            let unit = Unit {
                host: node.to_owned(),
                instance: format!("{cluster}/{instance}"),
                start: nonce.to_owned(),
                generation: None,
                running: true,
                restarts: 0,
                volumes: Vec::new(),
            };
            units.insert((node.to_owned(), instance.to_owned(), nonce.to_owned()), unit);
        }
        Self { units: units.into_values().collect(), ..Self::default() }
    }

    /// Both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let Self { units, foreign, volumes } = other;
        self.units.extend(units);
        self.foreign.extend(foreign);
        self.volumes.extend(volumes);
        self
    }

    /// The units that run.
    pub fn running(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(|unit| unit.running)
    }
}

/// The mark in a process's environment. A process that ended, or that may not be read, has none;
/// one that is dead and not yet waited for has an empty environment.
fn mark_of(process: &Path) -> Option<String> {
    let environment = fs::read(process.join("environ")).ok()?;
    let prefix = format!("{MARK}=");
    environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok())
        .find_map(|entry| entry.strip_prefix(&prefix))
        .map(str::to_owned)
}

fn is_ours(labels: &Value) -> bool {
    labels.get(CLUSTER).is_some()
}

fn key(host: &str, kind: &str, id: &Value) -> String {
    format!("{host}/{kind}/{}", id.as_str().unwrap_or_default())
}

fn container(host: &str, one: &Value) -> Unit {
    let labels = &one["Config"]["Labels"];
    let label = |name: &str| labels[name].as_str().unwrap_or("?").to_owned();
    let mounts = one["Mounts"].as_array().into_iter().flatten();
    Unit {
        host: host.to_owned(),
        instance: format!(
            "{}/{}-{}",
            label(CLUSTER),
            label("devnet.service"),
            label("devnet.index")
        ),
        start: one["Id"].as_str().unwrap_or_default().to_owned(),
        generation: label("devnet.generation").parse().ok(),
        running: one["State"]["Running"] == true,
        restarts: one["RestartCount"].as_u64().unwrap_or(0),
        volumes: mounts
            .filter(|mount| mount["Type"] == "volume" && mount["RW"] == true)
            .filter_map(|mount| mount["Name"].as_str().map(str::to_owned))
            .collect(),
    }
}

/// The objects that `list` names, as `inspect` tells them. One that went away in between is left
/// out: it is not there.
fn inspected(docker: &impl Fn(&[&str]) -> String, list: &[&str], inspect: &[&str]) -> Vec<Value> {
    let ids = docker(list);
    let ids: Vec<&str> = ids.split_whitespace().collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let text = docker(&[inspect, &ids].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("docker inspect: {error}: {text}"))
}

/// These fields of a document.
fn only(of: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|field| ((*field).to_owned(), of[*field].clone())).collect()
}

fn with(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}
