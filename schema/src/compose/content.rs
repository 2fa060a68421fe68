//! Configs and secrets: files with content that stand in the document, in the repository, in a
//! variable, or in the cluster's store of secrets.
//!
//! Knows where each may come from and where a service sees it. Refuses paths of a node.

use std::collections::BTreeMap;

use super::{
    model::File,
    mounts::{Mounted, no_target, octal, target},
    names::HOST,
    reader::{Reader, or},
};
use crate::{
    diagnostic::Located,
    file::tree::{Entry, Kind, Node},
    name::SecretName,
};

/// Configs or secrets of the document by name; nothing where the content is wrong.
pub(super) fn declared(
    reader: &mut Reader<'_>,
    node: &Node,
    kind: &str,
) -> BTreeMap<String, Option<String>> {
    let mut all = BTreeMap::new();
    for entry in reader.map(node, kind) {
        reader.is_name(&entry.key, &entry.key_span, &format!("a {kind}'s name"), HOST);
        all.insert(entry.key.clone(), content(reader, entry, kind));
    }
    all
}

fn content(reader: &mut Reader<'_>, entry: &Entry, kind: &str) -> Option<String> {
    let (mut content, mut sources, mut external) = (None, 0, false);
    let mut name = Located { value: entry.key.clone(), at: reader.at(&entry.key_span) };
    for field in reader.map(&entry.value, kind) {
        let value = &field.value;
        match field.key.as_str() {
            "name" => name = reader.known(value, "`name`")?,
            "external" => external = reader.boolean(value, "`external`"),
            "content" => content = reader.text(value, "`content`").map(|text| text.value),
            "file" if reader.ground.is_some() => {
                let path = reader.known(value, "`file`")?;
                content = reader.needed(&path, &value.span);
                if kind == "secret" && content.is_some() {
                    let message = "this secret stands in the repository for everyone to read";
                    let help = "write `external: true` and `devnet secret set NAME`";
                    reader.warning("DN-W0563", &value.span, message.to_owned(), help);
                }
            }
            "environment" if reader.ground.is_some() => content = variable(reader, value),
            _ => {
                let message = format!("`{}` of a {kind} is refused", field.key.escape_debug());
                let help = "write its `content`, a `file` of the repository, or `environment`; a \
                            secret of the cluster is `external: true`";
                reader.error("DN-E0554", &field.key_span, message, help);
            }
        }
        sources += usize::from(matches!(field.key.as_str(), "content" | "file" | "environment"));
    }
    if external {
        return of_cluster(reader, entry, &name, kind);
    }
    if sources != 1 {
        let message = match sources {
            0 => format!("the {kind} `{}` has no content", entry.key.escape_debug()),
            _ => format!("the {kind} `{}` has several contents", entry.key.escape_debug()),
        };
        let help = "write one of `content: …`, `file: ./…` and `environment: NAME`";
        reader.error("DN-E0555", &entry.key_span, message, help);
    }
    content
}

/// The value of a variable.
fn variable(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let name = reader.known(node, "`environment`")?;
    let value = reader.variable(&name.value, node.span.start);
    if value.is_none() {
        let message = format!("the variable `{}` has no value", name.value.escape_debug());
        let help = "give it one under `set` of the service, or under `vars` of the cluster";
        reader.error("DN-E0561", &node.span, message, help);
    }
    value
}

/// A secret that the cluster keeps, by its name there.
fn of_cluster(
    reader: &mut Reader<'_>,
    entry: &Entry,
    name: &Located<String>,
    kind: &str,
) -> Option<String> {
    let ground = reader.ground.filter(|_| kind == "secret");
    let Some(ground) = ground else {
        let message = format!("the {kind} `{}` cannot be external", entry.key.escape_debug());
        reader.error("DN-E0554", &entry.key_span, message, "write its `content`");
        return None;
    };
    if name.value.parse::<SecretName>().is_err() {
        let shown = name.value.escape_debug();
        let message = format!("`{shown}` is not the name of a secret of the cluster");
        let help = "add `name:` with lower-case letters, digits and `-`";
        reader.error("DN-E0569", &entry.key_span, message, help);
        return None;
    }
    let template = format!("{{{{ secret.{} }}}}", name.value);
    Some(ground.templates.borrow_mut().mark(&template))
}

/// `configs` or `secrets` of a service.
pub(super) fn read(
    reader: &mut Reader<'_>,
    mounted: &mut Mounted,
    node: &Node,
    declared: &BTreeMap<String, Option<String>>,
    kind: &str,
) {
    for item in reader.list(node, kind) {
        let (mut source, mut seen_at, mut mode) = (None, None, 0o444);
        if matches!(item.kind, Kind::Map(_)) {
            for field in reader.map(item, kind) {
                match field.key.as_str() {
                    "source" => source = reader.known(&field.value, "`source`"),
                    "target" => seen_at = reader.known(&field.value, "`target`"),
                    "mode" => mode = octal(reader, &field.value),
                    "uid" | "gid" => {
                        let why = "files belong to the agent's user; `mode` says who may read";
                        reader.ignored(field, why);
                    }
                    _ => reader.unknown(field, kind, "source, target and mode"),
                }
            }
        } else {
            source = reader.known(item, kind);
        }
        let Some(source) = source else { continue };
        let Some(content) = declared.get(&source.value) else {
            if reader.unread.may_declare(&source.value) {
                continue;
            }
            let message = format!("the {kind} `{}` is not declared", source.value.escape_debug());
            let meant = reader.meant(&source.value, declared.keys().map(String::as_str));
            let help = or(&meant, "declare it at the top of the document, with its content");
            reader.error("DN-E0559", &item.span, message, &help);
            continue;
        };
        let written = seen_at.map(|target| target.value);
        let path = path(kind, &source.value, written.as_deref());
        let (Some(clean), Some(content)) = (target(&path), content) else {
            if target(&path).is_none() {
                no_target(reader, &item.span, written.as_deref().unwrap_or(&path));
            }
            continue;
        };
        let value = File { content: content.clone(), mode };
        mounted.file(reader, node, clean, Located { value, at: source.at });
    }
}

/// Where Compose puts it: configs at `/NAME`, secrets at `/run/secrets/NAME`.
fn path(kind: &str, source: &str, target: Option<&str>) -> String {
    let home = if kind == "secret" { "/run/secrets/" } else { "/" };
    match target {
        Some(path) if path.starts_with('/') => path.to_owned(),
        Some(name) => format!("{home}{name}"),
        None => format!("{home}{source}"),
    }
}
