//! Component signatures: what a catalog component takes, offers and needs.
//!
//! Knows the declaration of a component. Refuses to know its templates: those are the catalog's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    instance::{HealthSpec, Protocol, Runtime, Scope, StopSpec},
    quantity::Resources,
};

/// The components there are, by name. A catalog may read one only when its signature is asked for.
pub trait Components {
    /// What the component of that name takes, offers and needs; `None` when there is none.
    fn signature(&self, name: &str) -> Option<&ComponentSignature>;

    /// Every name, sorted.
    fn names(&self) -> Vec<&str>;
}

impl Components for BTreeMap<String, ComponentSignature> {
    fn signature(&self, name: &str) -> Option<&ComponentSignature> {
        self.get(name)
    }

    fn names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }
}

/// What validation needs to know of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentSignature {
    /// Its name in the cluster file.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// Versions that were tried; the first is the default.
    pub versions: Vec<String>,
    /// Drivers that can run it, the preferred one first.
    pub runtimes: Vec<Runtime>,
    /// What `set` takes.
    pub parameters: BTreeMap<String, Parameter>,
    /// What `secret` takes.
    pub secrets: BTreeMap<String, SecretParameter>,
    /// Where it listens, main port first.
    pub ports: Vec<PortDeclaration>,
    /// Data that must outlive it.
    pub volumes: Vec<VolumeDeclaration>,
    /// The least it runs with.
    pub resources: Resources,
    /// How to tell that it serves.
    pub health: Option<HealthSpec>,
    /// How it is stopped.
    pub stop: StopSpec,
    /// Whether several instances may serve as one (a stateless web server) or each is its own.
    pub replicable: bool,
}

/// A parameter of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// What values it takes.
    pub kind: ParameterKind,
    /// Used when the cluster file says nothing.
    pub default: Option<String>,
    /// Whether the cluster file must say something.
    pub required: bool,
    /// One sentence.
    pub description: String,
}

/// What values a parameter takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParameterKind {
    /// Any text.
    Text,
    /// A whole number in a range.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// `true` or `false`.
    Boolean,
    /// A size with a unit.
    Size,
    /// One of these.
    Choice(Vec<String>),
}

/// A secret that a component takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretParameter {
    /// Whether it cannot do without.
    pub required: bool,
    /// One sentence.
    pub description: String,
}

/// A port that a component or service listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortDeclaration {
    /// What templates call it.
    pub name: String,
    /// Where it listens.
    pub container: u16,
    /// Where the node answers; chosen by the planner when absent.
    pub host: Option<u16>,
    /// Who may reach it.
    pub scope: Scope,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// Data that a component or service keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeDeclaration {
    /// Its name within the service.
    pub name: String,
    /// Where the unit sees it.
    pub path: String,
}
