//! The normal form: one way to say everything.
//!
//! Knows what a Compose service is to devnet. Refuses to know how it was written.

use std::collections::BTreeMap;

use crate::{
    desired::Located,
    diagnostic::Location,
    instance::Protocol,
    quantity::{Bytes, Cpu, Period},
};

/// A Compose document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Project {
    /// Its services by name.
    pub services: BTreeMap<String, Service>,
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
    /// Environment.
    pub env: BTreeMap<String, Located<String>>,
    /// Published and exposed ports, in the order written.
    pub ports: Vec<Located<Port>>,
    /// Named volumes, in the order written.
    pub volumes: Vec<Located<Volume>>,
    /// Configs and secrets with inline content, by path in the container.
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
    /// What it waits for.
    pub depends_on: Vec<Located<Dependency>>,
    /// The most it may use.
    pub limits: Shares,
    /// What it reserves.
    pub reservations: Shares,
}

/// CPU and memory; zero where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shares {
    /// CPU.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Bytes,
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Where the service sees it.
    pub path: String,
}

/// A config or secret with inline content.
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
}

/// How far a dependency must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Started.
    Started,
    /// Healthy.
    Healthy,
}
