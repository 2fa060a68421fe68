//! Merging on the tree: YAML's `<<`, and `extends` within one document.
//!
//! Knows which of two values counts. Refuses to know what a field means, beyond which lists replace
//! one another instead of being joined.

use std::collections::BTreeSet;

use super::reader::Reader;
use crate::file::tree::{Entry, Kind, Node};

const MERGE: &str = "<<";
/// The most values that `extends` may add to a document.
const MOST_NODES: usize = 200_000;
/// The longest chain of `extends`.
const DEPTH: usize = 16;

/// Resolves every `<<` of the tree: what is written beside it counts, then the maps it names, the
/// first one first. The depth of the tree is limited, so recursion is.
pub(super) fn keys(reader: &mut Reader<'_>, node: &mut Node) {
    match &mut node.kind {
        Kind::Scalar { .. } => {}
        Kind::Seq(items) => items.iter_mut().for_each(|item| keys(reader, item)),
        Kind::Map(entries) => {
            entries.iter_mut().for_each(|entry| keys(reader, &mut entry.value));
            let Some(at) = entries.iter().position(|entry| entry.key == MERGE) else {
                return;
            };
            let merge = entries.remove(at);
            let maps = match merge.value.kind {
                Kind::Seq(items) => items,
                _ => vec![merge.value],
            };
            let mut seen: BTreeSet<String> = entries.iter().map(|e| e.key.clone()).collect();
            for map in maps {
                let Kind::Map(more) = map.kind else {
                    let message = "`<<` names something that is not a map".to_owned();
                    reader.error("DN-E0564", &merge.key_span, message, "write `<<: *NAME`");
                    continue;
                };
                entries.extend(more.into_iter().filter(|entry| seen.insert(entry.key.clone())));
            }
        }
    }
}

/// Resolves `extends` of every service.
pub(super) fn extends(reader: &mut Reader<'_>, tree: &mut Node) {
    let Kind::Map(top) = &mut tree.kind else { return };
    let Some(services) = top.iter_mut().find(|entry| entry.key == "services") else { return };
    let Kind::Map(services) = &mut services.value.kind else { return };
    let written = services.clone();
    let mut left = MOST_NODES;
    for service in services {
        let mut path = vec![service.key.clone()];
        let base = base(reader, &written, &service.value, &mut path, &mut left);
        take(&mut service.value);
        if let Some(base) = base {
            let over = std::mem::replace(&mut service.value, Node::scalar("", true, 0..0));
            service.value = merged("", base, over);
        }
    }
}

fn take(service: &mut Node) {
    if let Kind::Map(entries) = &mut service.kind {
        entries.retain(|entry| entry.key != "extends");
    }
}

/// What a service extends, with what that extends.
fn base(
    reader: &mut Reader<'_>,
    services: &[Entry],
    service: &Node,
    path: &mut Vec<String>,
    left: &mut usize,
) -> Option<Node> {
    let extends = service.entries().iter().find(|entry| entry.key == "extends")?;
    let named = match &extends.value.kind {
        Kind::Map(_) => {
            if let Some(file) = extends.value.entries().iter().find(|e| e.key == "file") {
                let message = "`extends: file` is refused: what runs has to be said in this file";
                let help = "copy the service here, and extend it by its name";
                reader.error("DN-E0554", &file.key_span, message.into(), help);
                return None;
            }
            extends.value.get("service")
        }
        _ => Some(&extends.value),
    };
    let Some(name) = named.and_then(Node::text) else {
        reader.wrong(&extends.value, "`extends`", "the name of a service");
        return None;
    };
    if path.iter().any(|one| one == name) || path.len() > DEPTH {
        let message = format!("services extend in a circle: {} → {name}", path.join(" → "));
        reader.error("DN-E0564", &extends.value.span, message, "remove one of these `extends`");
        return None;
    }
    let Some(found) = services.iter().find(|entry| entry.key == name) else {
        let message = format!("there is no service `{}` to extend", name.escape_debug());
        reader.error("DN-E0564", &extends.value.span, message, "name a service of this file");
        return None;
    };
    path.push(name.to_owned());
    let further = base(reader, services, &found.value, path, left);
    let mut own = found.value.clone();
    take(&mut own);
    let whole = match further {
        Some(further) => merged("", further, own),
        None => own,
    };
    let Some(rest) = left.checked_sub(weight(&whole)) else {
        let message = format!("`extends` adds more than {MOST_NODES} values");
        reader.error("DN-E0567", &extends.key_span, message, "write less");
        return None;
    };
    *left = rest;
    Some(whole)
}

fn weight(node: &Node) -> usize {
    match &node.kind {
        Kind::Scalar { .. } => 1,
        Kind::Seq(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|e| 1 + weight(&e.value)).sum::<usize>(),
    }
}

/// Lists that are one value, not several.
const WHOLE: [&str; 3] = ["command", "entrypoint", "test"];
/// Maps that may be written as lists of `NAME=value`, or of names.
const LISTED: [&str; 6] =
    ["environment", "labels", "sysctls", "extra_hosts", "depends_on", "networks"];

fn merged(key: &str, base: Node, over: Node) -> Node {
    let listed = |node| if LISTED.contains(&key) { listed(key, node) } else { node };
    let (base, over) = (listed(base), listed(over));
    match (base.kind, over.kind) {
        (Kind::Map(base), Kind::Map(more)) => {
            let mut entries = base;
            for entry in more {
                let Some(at) = entries.iter().position(|one| one.key == entry.key) else {
                    entries.push(entry);
                    continue;
                };
                let Entry { key, key_span: _, value } = entries.remove(at);
                let value = merged(&key, value, entry.value);
                entries.insert(at, Entry { key, key_span: entry.key_span, value });
            }
            Node { kind: Kind::Map(entries), span: over.span }
        }
        (Kind::Seq(mut items), Kind::Seq(more)) if !WHOLE.contains(&key) => {
            let fresh: Vec<Node> =
                more.into_iter().filter(|one| !items.iter().any(|i| i.kind == one.kind)).collect();
            items.extend(fresh);
            Node { kind: Kind::Seq(items), span: over.span }
        }
        (_, kind) => Node { kind, span: over.span },
    }
}

/// A list of `NAME=value` as a map. Anything else stays what it is.
fn listed(key: &str, node: Node) -> Node {
    let signs: &[char] = if key == "extra_hosts" { &['=', ':'] } else { &['='] };
    let Kind::Seq(items) = &node.kind else { return node };
    let mut entries = Vec::new();
    for item in items {
        let Some(text) = item.text() else { return node };
        let (name, value) = match text.split_once(signs) {
            Some((name, value)) => (name, Node::scalar(value, false, item.span.clone())),
            None => (text, Node::scalar("", true, item.span.clone())),
        };
        entries.push(Entry { key: name.to_owned(), key_span: item.span.clone(), value });
    }
    Node { kind: Kind::Map(entries), span: node.span }
}
