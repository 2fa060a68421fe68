//! The top of a Compose document.
//!
//! Knows services, volumes, configs and secrets and how they name one another. Refuses to know
//! what a service holds: [`super::service`] does.

use std::collections::BTreeMap;

use super::{model::Project, reader::Reader, service};
use crate::file::tree::{Entry, Node};

/// What services refer to by name.
#[derive(Debug, Default)]
pub(super) struct Declared {
    /// Content of configs by name.
    pub(super) configs: BTreeMap<String, String>,
    /// Content of secrets by name.
    pub(super) secrets: BTreeMap<String, String>,
    /// Names of volumes.
    pub(super) volumes: Vec<String>,
}

const FIELDS: &str = "services, volumes, configs, secrets, name and x-…";

/// Reads the document.
pub(super) fn read(reader: &mut Reader<'_>, tree: &Node) -> Project {
    let mut declared = Declared::default();
    let mut services = Vec::new();
    for entry in reader.map(tree, "a Compose document") {
        match entry.key.as_str() {
            "services" => services = reader.map(&entry.value, "`services`"),
            "volumes" => declared.volumes = volumes(reader, &entry.value),
            "configs" => declared.configs = contents(reader, &entry.value, "config"),
            "secrets" => declared.secrets = contents(reader, &entry.value, "secret"),
            "name" | "version" => {}
            "networks" => reader.error(
                "DN-E0554",
                &entry.key_span,
                "`networks` is refused: every service is reached at the address of its node".into(),
                "leave it out and use `{{ service.NAME.address }}`",
            ),
            "include" => reader.error(
                "DN-E0554",
                &entry.key_span,
                "`include` is refused: what runs has to be said in this file".into(),
                "copy the services here",
            ),
            _ => reader.unknown(entry, "a Compose document", FIELDS),
        }
    }
    let mut project = Project::default();
    for entry in services {
        let read = service::read(reader, entry, &declared);
        project.services.insert(entry.key.clone(), read);
    }
    project
}

/// Names of volumes. A volume may be declared and nothing more.
fn volumes(reader: &mut Reader<'_>, node: &Node) -> Vec<String> {
    let mut names = Vec::new();
    for entry in reader.map(node, "`volumes`") {
        for field in reader.map(&entry.value, "a volume") {
            let message = format!("`{}` of a volume is refused", field.key.escape_debug());
            let help = "a volume is a name and nothing more: `data: {}`; where it is kept is the \
                        engine's business";
            reader.error("DN-E0554", &field.key_span, message, help);
        }
        names.push(entry.key.clone());
    }
    names
}

/// Configs or secrets by name. Their content stands in the document; there is no other file that
/// a rendered unit could take it from.
fn contents(reader: &mut Reader<'_>, node: &Node, kind: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in reader.map(node, kind) {
        let mut content = None;
        for field in reader.map(&entry.value, kind) {
            match field.key.as_str() {
                "content" => content = reader.text(&field.value, "`content`"),
                "name" => {}
                _ => no_other_source(reader, field, kind),
            }
        }
        match content {
            Some(content) => {
                all.insert(entry.key.clone(), content.value);
            }
            None => reader.error(
                "DN-E0555",
                &entry.key_span,
                format!("the {kind} `{}` has no content", entry.key.escape_debug()),
                "write `content: …`",
            ),
        }
    }
    all
}

fn no_other_source(reader: &mut Reader<'_>, field: &Entry, kind: &str) {
    let message = format!("`{}` of a {kind} is refused", field.key.escape_debug());
    let help = "write its `content` here; a secret is `content: \"{{ secret.NAME }}\"`";
    reader.error("DN-E0554", &field.key_span, message, help);
}
