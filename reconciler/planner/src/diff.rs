//! What differs between a unit that runs and the one that should.
//!
//! Knows fields, words for them, and the text diff. Refuses to decide what to do about it.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    instance::{InstanceSpec, Workload},
    name::SecretName,
    secret::{Part, Text},
};
use similar::TextDiff;

use crate::unit::Unit;

/// How two units differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Paths of the fields that differ, sorted.
    pub paths: Vec<String>,
    /// Those of them that cannot be changed in place.
    pub forces_replacement: Vec<String>,
    /// As a clause: `the image changed from nginx:1.22 to nginx:1.23`. Empty where only the name
    /// or the form changed.
    pub reason: String,
    /// Unified diff of both units as YAML.
    pub text: String,
}

/// Compares two units.
pub fn between(before: &InstanceSpec, after: &InstanceSpec) -> Difference {
    let (old, new) = (Unit::of(before), Unit::of(after));
    let paths = differing(&old.fields(), &new.fields());
    let forces = |path: &&String| {
        let volume = path.starts_with("volumes.") && !path.ends_with(".data-of");
        *path == "runtime" || volume
    };
    Difference {
        forces_replacement: paths.iter().filter(forces).cloned().collect(),
        reason: reason(before, after),
        text: text(&old.yaml(), &new.yaml()),
        paths,
    }
}

/// Unified diff with three lines of context and no header; empty when nothing differs.
fn text(before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    TextDiff::from_lines(before, after).unified_diff().context_radius(3).to_string()
}

fn differing(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let all: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    all.into_iter().filter(|&path| old.get(path) != new.get(path)).cloned().collect()
}

/// The most clauses that a reason lists; more are counted.
const CLAUSES: usize = 3;

/// Everything that changed, in words. A new version of a secret is named once and not again for
/// every field that holds it.
fn reason(before: &InstanceSpec, after: &InstanceSpec) -> String {
    let (old, new) = (versions(before), versions(after));
    let changed = new.iter().filter_map(|(name, version)| {
        let was = old.get(name).filter(|was| *was != version)?;
        Some(format!("secret {name} changed from version {was} to version {version}"))
    });
    let mut clauses: Vec<String> = changed.collect();
    let old = Unit::of(&with_versions(before, &new)).fields();
    let new = Unit::of(after).fields();
    let mut env = Vec::new();
    let mut told: BTreeSet<String> = BTreeSet::new();
    let mut paths = differing(&old, &new);
    // What all the rest follows from comes first.
    paths.sort_by_key(|path| path != "runtime");
    for path in paths {
        if path.ends_with(".data-of") {
            // The volume stays; only the name of who it belongs to is told now.
            continue;
        }
        if let Some(name) = path.strip_prefix("env.") {
            env.push(name.to_owned());
            continue;
        }
        let clause = clause(&path, old.get(&path), new.get(&path));
        if told.insert(clause.clone()) {
            clauses.push(clause);
        }
    }
    match env.as_slice() {
        [] => {}
        [one] => clauses.push(format!("environment variable {one} changed")),
        many => clauses.push(format!("environment variables {} changed", list(many))),
    }
    let more = clauses.len().saturating_sub(CLAUSES);
    if more > 0 {
        clauses.truncate(CLAUSES);
        clauses.push(format!("{more} more"));
    }
    list(&clauses)
}

/// What is said of other devices.
pub const DEVICES: &str = "the GPU devices changed";

fn clause(path: &str, old: Option<&String>, new: Option<&String>) -> String {
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    let name = rest.rsplit_once('.').map_or(rest, |(name, _)| name);
    match (head, old, new) {
        ("image" | "runtime" | "user" | "hostname" | "node" | "schedule", Some(old), Some(new)) => {
            format!("the {head} changed from {old} to {new}")
        }
        ("limits", Some(old), Some(new)) => {
            format!("the {rest} limit changed from {old} to {new}")
        }
        ("limits", None, Some(new)) => format!("it is limited to {new} of {rest}"),
        ("limits", Some(old), None) => format!("the {rest} limit of {old} is gone"),
        ("ports", Some(old), Some(new)) if path.ends_with(".host") => {
            format!("the host port of {name} changed from {old} to {new}")
        }
        ("files" | "ports" | "volumes" | "networks", _, _) => {
            let kind = head.strip_suffix('s').unwrap_or(head);
            format!("{kind} {name} changed")
        }
        ("shares", _, Some(new)) => {
            let with = new.split_once(" (").map_or(new.as_str(), |(with, _)| with);
            let is = if old.is_some() { "is made anew" } else { "is new to it" };
            format!("the {rest} of {with}, which it lives in, {is}")
        }
        ("shares", _, None) => format!("it has a {rest} of its own"),
        ("gpus", _, _) => DEVICES.to_owned(),
        ("health", _, _) => "the health check changed".to_owned(),
        ("stop", _, _) => "the way it is stopped changed".to_owned(),
        ("labels", _, _) => "the labels changed".to_owned(),
        _ => format!("the {head} changed"),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

fn versions(spec: &InstanceSpec) -> BTreeMap<SecretName, u64> {
    spec.secrets().into_iter().map(|secret| (secret.name, secret.version)).collect()
}

/// The same unit with every secret in the version that `versions` has of it.
fn with_versions(spec: &InstanceSpec, versions: &BTreeMap<SecretName, u64>) -> InstanceSpec {
    let mut spec = spec.clone();
    let command: Vec<&mut Text> = match &mut spec.workload {
        Workload::Process { argv } => argv.iter_mut().collect(),
        Workload::Container(container) => {
            container.entrypoint.iter_mut().chain(container.command.iter_mut()).flatten().collect()
        }
    };
    let files = spec.files.values_mut().map(|file| &mut file.content);
    for text in command.into_iter().chain(spec.env.values_mut()).chain(files) {
        for part in &mut text.0 {
            if let Part::Secret(secret) = part
                && let Some(&version) = versions.get(&secret.name)
            {
                secret.version = version;
            }
        }
    }
    spec
}
