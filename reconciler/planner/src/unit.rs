//! A rendered unit in the form that people compare: YAML, with every secret as its reference.
//!
//! Knows every field of a unit. Refuses to know two of them at once.

use std::collections::BTreeMap;

use devnet_schema::{
    container::{HostAccess, NetworkSpec, Settings, SharedNamespace},
    instance::{
        ContainerSpec, FileSpec, HealthSpec, InstanceSpec, Limits, PortSpec, Probe, Protocol,
        StopSpec, VolumeSpec, Workload,
    },
    name::NodeName,
    placement::GpuUse,
    quantity::{Bytes, Cpu},
    secret::Text,
};
use serde::Serialize;

/// A unit for people. Secrets read `(sensitive value NAME vN)`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unit {
    node: NodeName,
    runtime: &'static str,
    #[serde(flatten)]
    workload: Shown,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, File>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    ports: BTreeMap<String, Port>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    volumes: BTreeMap<String, Volume>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    limits: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gpus: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
    stop: StopSpec,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    run_once: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shm_size: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    init: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Settings::is_empty")]
    settings: Settings,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<String, NetworkSpec>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    shares: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "HostAccess::is_empty")]
    host: HostAccess,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct File {
    mode: String,
    content: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Port {
    container: u16,
    host: u16,
    bind: String,
    protocol: Protocol,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Volume {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Health {
    probe: String,
    interval: String,
    timeout: String,
    retries: u32,
    start_period: String,
}

impl Unit {
    /// The form of one unit.
    pub fn of(spec: &InstanceSpec) -> Self {
        // Named in full: a field that is forgotten here is a change that nobody sees.
        let InstanceSpec {
            cluster: _,
            id: _,
            node,
            workload,
            env,
            files,
            ports,
            volumes,
            limits,
            gpus,
            health,
            stop,
            run_once,
            schedule,
            // What runs is the same.
            protect: _,
        } = spec;
        Self {
            node: node.clone(),
            runtime: workload.runtime().as_str(),
            workload: shown(workload),
            env: env.iter().map(|(name, text)| (name.clone(), text.to_string())).collect(),
            files: files.iter().map(|(path, spec)| (path.clone(), file(spec))).collect(),
            ports: ports.iter().map(|spec| (spec.name.clone(), port(spec))).collect(),
            volumes: volumes.iter().map(|spec| (spec.name.clone(), volume(spec))).collect(),
            limits: shown_limits(limits),
            gpus: gpus.iter().map(gpu).collect(),
            health: health.as_ref().map(check),
            stop: stop.clone(),
            run_once: *run_once,
            schedule: schedule.as_ref().map(|it| format!("{} {}", it.cron, it.timezone)),
        }
    }

    /// As YAML, for diffs.
    pub fn yaml(&self) -> String {
        serde_yaml::to_string(self).unwrap_or_else(|error| format!("# {error}\n"))
    }

    /// Every value by its path (`env.LOG`, `ports.http.host`); lists are one value.
    pub fn fields(&self) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        if let Ok(value) = serde_json::to_value(self) {
            flatten("", &value, &mut fields);
        }
        fields
    }
}

/// The limits that there are: zero is none, and no amount.
fn shown_limits(limits: &Limits) -> BTreeMap<&'static str, String> {
    let cpu = (limits.cpu != Cpu::ZERO).then(|| ("cpu", limits.cpu.to_string()));
    let memory = (limits.memory != Bytes::ZERO).then(|| ("memory", limits.memory.to_string()));
    cpu.into_iter().chain(memory).collect()
}

fn flatten(path: &str, value: &serde_json::Value, fields: &mut BTreeMap<String, String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{name}"), member, fields);
            }
        }
        serde_json::Value::String(text) => {
            fields.insert(path.to_owned(), text.clone());
        }
        other => {
            fields.insert(path.to_owned(), other.to_string());
        }
    }
}

fn texts(list: &[Text]) -> Vec<String> {
    list.iter().map(Text::to_string).collect()
}

fn shown(workload: &Workload) -> Shown {
    match workload {
        Workload::Process { argv } => Shown { command: Some(texts(argv)), ..Shown::default() },
        Workload::Container(spec) => {
            let ContainerSpec {
                image,
                entrypoint,
                command,
                user,
                hostname,
                shm_size,
                init,
                labels,
                settings,
                networks,
                shares,
                host,
            } = spec;
            Shown {
                image: Some(image.clone()),
                entrypoint: entrypoint.as_deref().map(texts),
                command: command.as_deref().map(texts),
                user: user.clone(),
                hostname: hostname.clone(),
                shm_size: shm_size.map(|size| size.to_string()),
                init: *init,
                labels: labels.clone(),
                settings: settings.clone(),
                networks: networks.iter().map(|it| (it.name.clone(), it.clone())).collect(),
                shares: shares.iter().map(share).collect(),
                host: host.clone(),
            }
        }
    }
}

/// A namespace, and whose it is.
fn share(spec: &SharedNamespace) -> (String, String) {
    let SharedNamespace { namespace, with, digest } = spec;
    let digest = digest.as_str();
    let short = digest.rsplit(':').next().and_then(|hex| hex.get(..12)).unwrap_or(digest);
    (namespace.as_str().to_owned(), format!("{with} ({short})"))
}

fn file(spec: &FileSpec) -> File {
    let FileSpec { content, mode } = spec;
    File { mode: format!("{mode:04o}"), content: content.to_string() }
}

fn port(spec: &PortSpec) -> Port {
    let PortSpec { name: _, container, host, bind, protocol } = spec;
    Port { container: *container, host: *host, bind: bind.clone(), protocol: *protocol }
}

fn volume(spec: &VolumeSpec) -> Volume {
    let VolumeSpec { name: _, path, data_of, project, read_only } = spec;
    Volume {
        path: path.clone(),
        data_of: data_of.as_ref().map(ToString::to_string),
        project: project.as_ref().map(ToString::to_string),
        read_only: *read_only,
    }
}

fn gpu(spec: &GpuUse) -> String {
    let GpuUse { id, share_milli, memory } = spec;
    match (share_milli, memory.0) {
        (1000, _) => id.clone(),
        (0, _) => format!("{id}, {memory} of its memory"),
        (share, _) => format!("{id}, {}% of it", f64::from(*share) / 10.0),
    }
}

fn check(spec: &HealthSpec) -> Health {
    let HealthSpec { probe, interval, timeout, retries, start_period } = spec;
    let probe = match probe {
        Probe::Http { port, path } => format!("GET :{port}{path}"),
        Probe::Tcp { port } => format!("connect to :{port}"),
        Probe::Exec { argv } => format!("run {argv:?}"),
    };
    Health {
        probe,
        interval: interval.to_string(),
        timeout: timeout.to_string(),
        retries: *retries,
        start_period: start_period.to_string(),
    }
}
