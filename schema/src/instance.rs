//! An instance, rendered: everything an agent needs to run one unit, and nothing left to decide.
//!
//! Knows containers and processes as devnet uses them. Refuses to know how a driver talks to its
//! engine, and holds secrets by reference only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    container::{HostAccess, NetworkSpec, Settings, SharedNamespace, is_false},
    digest::Digest,
    name::{ClusterName, InstanceId, NodeName, ServiceName},
    placement::GpuUse,
    quantity::{Bytes, Cpu, Period},
    schedule::Timing,
    secret::{SecretRef, Text},
};

/// Which driver of the agent runs a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// A container of a Docker or Podman engine.
    Docker,
    /// A native process that the agent supervises.
    Process,
    /// A workload of a Kubernetes cluster.
    Kubernetes,
}

impl Runtime {
    /// The word users and constraints use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Process => "process",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// How often the instance at this index was told to change; an agent refuses an older number.
pub type Generation = u64;

/// One rendered unit. Two specs with the same [`InstanceSpec::digest`] run the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceSpec {
    /// The cluster it belongs to.
    pub cluster: ClusterName,
    /// Which instance it is.
    pub id: InstanceId,
    /// Where it runs.
    pub node: NodeName,
    /// What runs.
    pub workload: Workload,
    /// Environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, Text>,
    /// Files put in place before it starts, by absolute path (container) or path relative to the
    /// working directory (process).
    #[serde(default)]
    pub files: BTreeMap<String, FileSpec>,
    /// Ports it listens on and where they are reached.
    #[serde(default)]
    pub ports: Vec<PortSpec>,
    /// Data that outlives the unit.
    #[serde(default)]
    pub volumes: Vec<VolumeSpec>,
    /// What it may use. Zero CPU or memory means no limit.
    #[serde(default)]
    pub limits: Limits,
    /// GPU devices it is given, by UUID.
    #[serde(default)]
    pub gpus: Vec<GpuUse>,
    /// How to tell that it serves. Without it, running is healthy.
    #[serde(default)]
    pub health: Option<HealthSpec>,
    /// How it is stopped.
    #[serde(default)]
    pub stop: StopSpec,
    /// Whether it runs once: it ends by itself, with 0 when it did what it is for, and is not
    /// started again then.
    #[serde(default, rename = "run-once", skip_serializing_if = "is_false")]
    pub run_once: bool,
    /// When it runs, where that is again and again: each run is one that runs once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Timing>,
    /// Whether no plan may destroy it. It is no part of the digest: what runs is the same.
    #[serde(default, skip_serializing_if = "is_false")]
    pub protect: bool,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "nearly every unit is a container")]
pub enum Workload {
    /// A container.
    Container(ContainerSpec),
    /// A native process: program and arguments. Never passed to a shell.
    Process {
        /// Program and arguments; the program is looked up in the agent's PATH.
        argv: Vec<Text>,
    },
}

impl Workload {
    /// The driver that runs it.
    pub fn runtime(&self) -> Runtime {
        match self {
            Self::Container(_) => Runtime::Docker,
            Self::Process { .. } => Runtime::Process,
        }
    }
}

/// A container, as far as devnet describes one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerSpec {
    /// Image reference with tag or digest.
    pub image: String,
    /// Replaces the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<Text>>,
    /// Replaces the image's command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<Text>>,
    /// `uid[:gid]` or a name of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Host name inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Size of /dev/shm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Bytes>,
    /// Whether an init process reaps its children.
    #[serde(default)]
    pub init: bool,
    /// Labels beside devnet's own.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Settings that stay within it.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
    /// Networks that it shares with others of its node; the engine's usual one when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkSpec>,
    /// Namespaces of other instances that it lives in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<SharedNamespace>,
    /// What it may have of its node.
    #[serde(default, skip_serializing_if = "HostAccess::is_empty")]
    pub host: HostAccess,
}

/// A file that devnet writes for a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Its content.
    pub content: Text,
    /// Permission bits, e.g. 0o444.
    pub mode: u32,
}

/// TCP or UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// Who may reach a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This node only: bound to 127.0.0.1.
    Node,
    /// The cluster: bound to the node's own address.
    #[default]
    Internal,
    /// Everyone: bound to every address.
    Public,
}

/// A port of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortSpec {
    /// What templates call it; the first port answers for `port`.
    pub name: String,
    /// Where the unit listens.
    pub container: u16,
    /// Where the node answers.
    pub host: u16,
    /// The address it is bound to on the node.
    pub bind: String,
    /// TCP or UDP.
    #[serde(default)]
    pub protocol: Protocol,
}

/// Data that outlives a unit: a named volume of the engine, or a directory of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeSpec {
    /// Its name within the instance.
    pub name: String,
    /// Where the unit sees it.
    pub path: String,
    /// Whose data it is, where that is another instance: the service was renamed with `moved`, and
    /// the volume keeps the name it was made under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_of: Option<InstanceId>,
    /// The project whose volume it is, where all its instances on the node share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ServiceName>,
    /// Whether it cannot be written.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
}

impl VolumeSpec {
    /// The instance that the volume is named after, for a unit that is `instance`.
    pub fn owner<'a>(&'a self, instance: &'a InstanceId) -> &'a InstanceId {
        self.data_of.as_ref().unwrap_or(instance)
    }
}

/// What a unit may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// CPU; zero means no limit.
    pub cpu: Cpu,
    /// Memory; zero means no limit.
    pub memory: Bytes,
}

/// How to tell that a unit serves. The agent probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthSpec {
    /// What to try.
    pub probe: Probe,
    /// Between two tries.
    pub interval: Period,
    /// How long one try may take.
    pub timeout: Period,
    /// How many tries in a row must fail before it is unhealthy.
    pub retries: u32,
    /// After the start, failures do not count for this long.
    pub start_period: Period,
}

/// One way to ask a unit whether it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Probe {
    /// A GET that answers 200 to 399.
    Http {
        /// Port of the unit (not of the host).
        port: u16,
        /// Path, beginning with `/`.
        path: String,
    },
    /// A TCP connection that is accepted.
    Tcp {
        /// Port of the unit (not of the host).
        port: u16,
    },
    /// A command inside the unit that exits 0.
    Exec {
        /// Program and arguments.
        argv: Vec<String>,
    },
}

/// How a unit is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StopSpec {
    /// The signal, e.g. `SIGINT`; the image's own or SIGTERM when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// How long it may take before it is killed.
    pub grace: Period,
}

impl Default for StopSpec {
    /// The image's signal and Docker's own default of ten seconds.
    fn default() -> Self {
        Self { signal: None, grace: Period::seconds(10) }
    }
}

impl InstanceSpec {
    /// What it is, for comparing with what runs. The generation is no part of it, nor whether it
    /// is protected.
    pub fn digest(&self) -> Digest {
        match self.protect {
            true => Digest::of(&Self { protect: false, ..self.clone() }),
            false => Digest::of(self),
        }
    }

    /// Every secret it refers to, sorted, once each.
    pub fn secrets(&self) -> Vec<SecretRef> {
        let command: Vec<&Text> = match &self.workload {
            Workload::Container(c) => {
                c.entrypoint.iter().chain(c.command.iter()).flatten().collect()
            }
            Workload::Process { argv } => argv.iter().collect(),
        };
        let mut all: Vec<SecretRef> = self
            .env
            .values()
            .chain(self.files.values().map(|file| &file.content))
            .chain(command)
            .flat_map(Text::secrets)
            .cloned()
            .collect();
        all.sort();
        all.dedup();
        all
    }
}
