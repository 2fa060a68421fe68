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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    /// Whether the next instance may start before the last one has stopped.
    pub update: UpdateOrder,
    /// Changes of the version that it refuses.
    pub upgrade: Upgrade,
    /// What its containers need of their node; each holds only with `allow` in the cluster file.
    pub grants: Vec<GrantDeclaration>,
    /// What others can use of it, main offer first.
    pub offers: Vec<Offer>,
    /// Kinds of offers that its template is given all of.
    pub collects: Vec<String>,
    /// Commands for its data; `None` when it has none.
    pub data: Option<DataCommands>,
    /// Rules of the catalog that it does not keep, each with the reason: rule, reason.
    pub without: BTreeMap<String, String>,
}

/// Which of the old and the new instance is there first in an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateOrder {
    /// The old one stops first: two of them would have one volume or one port.
    #[default]
    StopFirst,
    /// The new one may start first.
    StartFirst,
}

/// Changes of a component's version that are refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Upgrade {
    /// Which.
    pub refuses: Vec<VersionRule>,
    /// What to do in their place, for people.
    pub why: String,
}

/// A change of version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionRule {
    /// To a lower version.
    Downgrade,
    /// To a version that begins with a lower number.
    MajorDowngrade,
    /// To a version that begins with a higher number.
    MajorUpgrade,
    /// To a version whose first number is higher by more than one.
    MajorSkip,
}

impl VersionRule {
    /// Every rule with the word for it.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Downgrade, "downgrade"),
        (Self::MajorDowngrade, "major-downgrade"),
        (Self::MajorUpgrade, "major-upgrade"),
        (Self::MajorSkip, "major-skip"),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(one, _)| *one == self).map_or("", |(_, word)| word)
    }

    /// Whether it speaks of the change between two versions. A number that one of them does not
    /// say is no difference: `18` and `18.6` are not told apart.
    pub fn matches(self, from: &str, to: &str) -> bool {
        let (from, to) = (numbers(from), numbers(to));
        let (Some(old), Some(new)) = (from.first(), to.first()) else { return false };
        match self {
            Self::Downgrade => {
                let differ = from.iter().zip(&to).find(|(old, new)| old != new);
                differ.is_some_and(|(old, new)| new < old)
            }
            Self::MajorDowngrade => new < old,
            Self::MajorUpgrade => new > old,
            Self::MajorSkip => *new > old.saturating_add(1),
        }
    }
}

/// The numbers that a version begins with: 18 and 6 of `v18.6-trixie`.
fn numbers(version: &str) -> Vec<u64> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let end = version.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(version.len());
    version[..end].split('.').map_while(|number| number.parse().ok()).collect()
}

/// Something of the node that a component needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantDeclaration {
    /// The grant, as `allow` names it.
    pub grant: String,
    /// What for, in one sentence.
    pub why: String,
    /// The boolean parameter that it is needed for; always when absent.
    pub when: Option<String>,
}

/// What others can use of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The kind, like `postgresql` or `metrics`.
    pub kind: String,
    /// The name of its port.
    pub port: String,
    /// Its path, for kinds that have one.
    pub path: String,
    /// A template of the address to use it at, with `param`, `secret`, `host` and `port`; `None`
    /// where host, port and path say all.
    pub url: Option<String>,
    /// A template of the key that clients send; `None` where they send none, or where it is in the
    /// address.
    pub key: Option<String>,
}

/// Commands inside a running instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DataCommands {
    /// Writes everything to its standard output.
    pub backup: Vec<String>,
    /// Reads the same from its standard input.
    pub restore: Vec<String>,
    /// Exits 0 when the data can be read.
    pub check: Vec<String>,
}

/// A parameter of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// What values it takes.
    pub kind: ParameterKind,
    /// What a number counts, like `connections`; `None` for what has no unit or says it itself.
    pub unit: Option<String>,
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
    /// A length of time with a unit.
    Duration,
    /// One of these.
    Choice(Vec<String>),
}

/// A secret that a component takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretParameter {
    /// Whether it cannot do without.
    pub required: bool,
    /// Whether the control plane makes one where the cluster file names none.
    pub generate: bool,
    /// How many letters and digits a made one has.
    pub length: u32,
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
    /// What it holds, for people; empty where nobody says.
    pub holds: String,
    /// Whether all of it can be made or fetched again.
    pub cache: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_speak_of_the_numbers_that_both_versions_say() {
        use VersionRule::{Downgrade, MajorDowngrade, MajorSkip, MajorUpgrade};
        let cases = [
            ("18.6-trixie", "17.11-bookworm", vec![Downgrade, MajorDowngrade]),
            ("17", "18.6", vec![MajorUpgrade]),
            ("v3.7.11", "v3.7.2", vec![Downgrade]),
            ("18", "18.6", vec![]),
            ("3.13", "5.0", vec![MajorUpgrade, MajorSkip]),
            ("latest", "17", vec![]),
            ("17", "stable", vec![]),
            ("", "", vec![]),
            ("99999999999999999999", "1", vec![]),
        ];
        for (from, to, expected) in cases {
            let all = VersionRule::ALL.into_iter().map(|(rule, _)| rule);
            let found: Vec<_> = all.filter(|rule| rule.matches(from, to)).collect();
            assert_eq!(found, expected, "{from} to {to}");
        }
    }
}
