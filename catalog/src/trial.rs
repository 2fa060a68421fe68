//! One component by itself: what a service of it would be, without a cluster.
//!
//! Knows how to write the smallest cluster file that uses a component, and where its one instance
//! is taken to run. Refuses to plan.

use std::collections::BTreeMap;

use devnet_schema::{
    component::{Components, ParameterKind},
    diagnostic::Diagnostic,
    file::Files,
    instance::InstanceSpec,
    name::InstanceId,
    quantity::GpuRequest,
};

use crate::{Bindings, Catalog, Placed, render};

/// Where ports begin that nobody chose.
const FIRST_PORT: u16 = 20_000;

/// A component, and what to set of it.
#[derive(Debug, Clone, Default)]
pub struct Trial {
    /// Its name.
    pub component: String,
    /// Its version; its first when absent.
    pub version: Option<String>,
    /// Parameters by name.
    pub set: BTreeMap<String, String>,
    /// Instances.
    pub replicas: u32,
}

/// What a trial came to.
#[derive(Debug)]
pub struct Tried {
    /// The cluster file that was read.
    pub file: String,
    /// Its instances, when nothing is wrong.
    pub specs: Vec<InstanceSpec>,
    /// What was found.
    pub found: Vec<Diagnostic>,
}

/// Renders a component as a service of the same name, with its grants allowed, its secrets named
/// after their parameters, and what it needs and nobody set filled in by an example.
pub fn trial(catalog: &Catalog, trial: &Trial) -> Tried {
    let file = file(catalog, trial);
    let files = Single(file.clone());
    let vars = BTreeMap::new();
    let (written, mut found) = devnet_schema::file::load("cluster.kdl", &files);
    let (desired, more) = devnet_schema::validate::validate(&written, catalog, &vars);
    found.extend(more);
    let mut specs = Vec::new();
    if let Some(desired) = desired {
        let mut bindings = Bindings::default();
        for service in desired.services.values() {
            for index in service.replicas.numbers().take(16) {
                let mut ports = BTreeMap::new();
                for (at, port) in service.ports.iter().enumerate() {
                    let usual = FIRST_PORT.saturating_add(u16::try_from(at).unwrap_or(0));
                    let host = port.value.host.unwrap_or(usual);
                    ports.insert(port.value.name.clone(), host);
                }
                let Ok(node) = format!("node-{index}").parse() else { continue };
                let node_ip = format!("192.0.2.{}", index + 1);
                let placed = Placed { node, node_ip, gpus: Vec::new(), ports };
                let id = InstanceId { service: service.name.clone(), index };
                bindings.instances.insert(id, placed);
            }
        }
        match render(catalog, &desired, &bindings) {
            Ok(rendered) => specs = rendered,
            Err(errors) => found.extend(errors),
        }
    }
    Tried { file, specs, found }
}

/// The one file there is.
struct Single(String);

impl Files for Single {
    fn list(&self) -> Result<Vec<String>, String> {
        Ok(vec!["cluster.kdl".to_owned()])
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok((path == "cluster.kdl").then(|| self.0.clone().into_bytes()))
    }
}

/// The cluster file of a trial.
fn file(catalog: &Catalog, trial: &Trial) -> String {
    let name = &trial.component;
    let version = trial.version.iter().map(|version| format!(" version={}", quoted(version)));
    let mut lines = vec![format!("component {}{}", quoted(name), version.collect::<String>())];
    let mut set = trial.set.clone();
    if let Some(signature) = catalog.signature(name) {
        for (name, parameter) in signature.parameters.iter().filter(|(_, one)| one.required) {
            let example = match &parameter.kind {
                ParameterKind::Text => "example".to_owned(),
                ParameterKind::Integer { min, .. } => min.to_string(),
                ParameterKind::Boolean => "true".to_owned(),
                ParameterKind::Size => "1GiB".to_owned(),
                ParameterKind::Duration => "1h".to_owned(),
                ParameterKind::Choice(words) => words.first().cloned().unwrap_or_default(),
            };
            set.entry(name.clone()).or_insert(example);
        }
        let secrets = signature.secrets.iter().filter(|(_, secret)| secret.required);
        lines.extend(secrets.map(|(name, _)| format!("secret {0} from={0}", quoted(name))));
        for grant in &signature.grants {
            let wanted = grant.when.as_ref().is_none_or(|when| {
                let default = signature.parameters.get(when).and_then(|p| p.default.as_deref());
                set.get(when).map_or(default, |value| Some(value.as_str())) == Some("true")
            });
            if wanted {
                lines.push(format!("allow {}", quoted(&grant.grant)));
            }
        }
        if let GpuRequest::Whole(devices) = signature.resources.gpu {
            lines.push(format!("resources gpu={devices}"));
        }
    }
    let set = set.iter().map(|(name, value)| format!("set {}={}", name, quoted(value)));
    lines.splice(1..1, set);
    if trial.replicas != 1 {
        lines.push(format!("replicas {}", trial.replicas));
    }
    let body: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!("cluster \"trial\"\nservice {} {{\n{body}}}\n", quoted(name))
}

/// A text of KDL.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out + "\""
}
