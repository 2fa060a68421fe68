//! The normal form: one way to say everything.
//!
//! Knows what a Compose service is to devnet. Refuses to know how it was written, and who grants
//! what it asks of its node.

use std::{cell::RefCell, collections::BTreeMap};

use super::grant::Ask;
use crate::{
    container::{Namespace, Settings},
    diagnostic::{Located, Location},
    file::tree::Span,
    instance::Protocol,
    quantity::{Bytes, Cpu, Period},
};

/// A Compose document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Project {
    /// Its services by name, without those of profiles that are not wanted.
    pub services: BTreeMap<String, Service>,
    /// Its networks by name.
    pub networks: BTreeMap<String, Network>,
}

/// Where a volume is kept.
#[derive(Debug)]
pub(super) enum VolumeSource {
    /// By the engine.
    Engine,
    /// At this path of the node: a bind in the clothes of a volume.
    Path {
        /// The path.
        source: String,
        /// Whether nobody may write there.
        read_only: bool,
    },
    /// By the engine of the node, under this name, without devnet.
    External(String),
}

/// What services refer to by name.
#[derive(Debug, Default)]
pub(super) struct Declared {
    /// Content of configs by name.
    pub(super) configs: BTreeMap<String, Option<String>>,
    /// Content of secrets by name.
    pub(super) secrets: BTreeMap<String, Option<String>>,
    /// Volumes by name.
    pub(super) volumes: BTreeMap<String, VolumeSource>,
    /// Networks by name.
    pub(super) networks: BTreeMap<String, Network>,
    /// What services link: the other one, and a further name for it unless that is empty.
    pub(super) links: RefCell<Vec<(String, String, Span)>>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Where it is written.
    pub at: Option<Location>,
    /// Image reference.
    pub image: Option<Located<String>>,
    /// Replaces the image's entry point.
    pub entrypoint: Option<Vec<Located<String>>>,
    /// Replaces the image's command.
    pub command: Option<Vec<Located<String>>>,
    /// Environment, `env_file` included.
    pub env: BTreeMap<String, Located<String>>,
    /// Published and exposed ports, in the order written.
    pub ports: Vec<Located<Port>>,
    /// Named volumes, in the order of their paths.
    pub volumes: Vec<Located<Volume>>,
    /// Configs, secrets and files of the repository, by path in the container.
    pub files: BTreeMap<String, Located<File>>,
    /// How to tell that it serves.
    pub health: Option<Located<Healthcheck>>,
    /// Signal that asks it to stop.
    pub stop_signal: Option<Located<String>>,
    /// How long stopping may take.
    pub stop_grace_period: Option<Located<Period>>,
    /// Size of /dev/shm.
    pub shm_size: Option<Located<Bytes>>,
    /// `uid[:gid]` or a name of the image.
    pub user: Option<Located<String>>,
    /// Host name inside the container.
    pub hostname: Option<Located<String>>,
    /// Whether an init process reaps its children.
    pub init: bool,
    /// Labels.
    pub labels: BTreeMap<String, Located<String>>,
    /// Whether another service waits for its end.
    pub run_once: bool,
    /// What its `restart` says until it is known who waits for its end: whether it is always
    /// started again.
    pub restart: Option<Located<bool>>,
    /// What it waits for.
    pub depends_on: Vec<Located<Dependency>>,
    /// The most it may use.
    pub limits: Shares,
    /// What it reserves.
    pub reservations: Shares,
    /// Whole GPU devices.
    pub gpus: Option<Located<u32>>,
    /// How many instances.
    pub replicas: Option<Located<u32>>,
    /// Whether there is one on each eligible node, and where that is said.
    pub global: Option<Location>,
    /// At most so many on one node.
    pub max_per_node: Option<Located<u32>>,
    /// How many may be down at once in an update.
    pub max_unavailable: Option<Located<u32>>,
    /// Operating system and architecture that its image is for.
    pub platform: Option<Located<Platform>>,
    /// Settings that stay within the container.
    pub settings: Settings,
    /// Networks that it joins.
    pub networks: Vec<Located<Attachment>>,
    /// Namespaces of other services that it lives in.
    pub shares: Vec<Located<Share>>,
    /// What it asks of its node.
    pub asks: Vec<Located<Ask>>,
}

/// A namespace of another service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Which.
    pub namespace: Namespace,
    /// The service's name in the file.
    pub service: String,
}

impl Service {
    /// Every text of the container itself that may be filled in when it is rendered.
    pub fn each_text(&mut self, with: &mut dyn FnMut(&mut Located<String>)) {
        let words = self.entrypoint.iter_mut().chain(&mut self.command).flatten();
        let single = self.image.iter_mut().chain(&mut self.user).chain(&mut self.hostname);
        words.chain(single).chain(self.labels.values_mut()).for_each(with);
    }
}

/// CPU and memory; zero where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shares {
    /// CPU.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Bytes,
}

/// What an image is for: `linux/amd64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// Operating system.
    pub os: String,
    /// Processor architecture, when it matters.
    pub arch: Option<String>,
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its name, when it has one.
    pub name: Option<String>,
    /// Where the service listens.
    pub container: u16,
    /// Where the node answers, when it is published at a fixed port.
    pub host: Option<u16>,
    /// The address of the node it is bound to.
    pub host_ip: Option<String>,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Whether the node answers at all; `expose` only says where the service listens.
    pub published: bool,
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Where the service sees it.
    pub path: String,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// A file with its content: a config, a secret, or a file of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What it holds.
    pub content: String,
    /// Permission bits; 0o444 unless written.
    pub mode: u32,
}

/// A health check; fields that are not written are absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healthcheck {
    /// Program and arguments; empty when the image's own check is switched off.
    pub argv: Vec<String>,
    /// Between two tries.
    pub interval: Option<Period>,
    /// How long one try may take.
    pub timeout: Option<Period>,
    /// How many tries in a row must fail.
    pub retries: Option<u32>,
    /// When failures begin to count.
    pub start_period: Option<Period>,
}

/// Another service that has to be there first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Its name.
    pub service: String,
    /// How far it must be.
    pub condition: Condition,
    /// Whether it is an error when it is not there.
    pub required: bool,
}

/// How far a dependency must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Started.
    Started,
    /// Healthy.
    Healthy,
    /// Ended with 0: it runs once.
    Completed,
}

/// A network of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// Whether it leads nowhere else.
    pub internal: bool,
    /// Its address range, when it is fixed.
    pub subnet: Option<String>,
    /// Address of the node in it, when it is fixed.
    pub gateway: Option<String>,
    /// The engine's name of one that is there without devnet.
    pub external: Option<String>,
}

/// A service in a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attachment {
    /// The network's name within the project.
    pub network: String,
    /// Names by which the others reach it, its own included.
    pub aliases: Vec<String>,
    /// Its address, when it is fixed.
    pub address: Option<String>,
}
