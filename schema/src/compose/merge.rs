//! Merging on the tree: names that a map has twice, YAML's `<<`, and `extends` within one document.
//! What other files bring is [`super::others`]'s.
//!
//! Knows which of two values counts. Refuses to know what a field means, beyond which lists replace
//! one another instead of being joined.

use std::collections::{BTreeMap, BTreeSet};

use super::reader::{Reader, or};
use crate::file::tree::{Entry, Kind, Node, Span};

const MERGE: &str = "<<";
/// The most values that `extends` may add to a document.
const MOST_NODES: usize = 200_000;
/// The most names of a circle that are shown.
const MOST_SHOWN: usize = 8;

/// Keeps of every name that a map has twice what was written first. The depth of the tree is
/// limited, so recursion is.
pub(super) fn firsts(node: &mut Node) {
    match &mut node.kind {
        Kind::Scalar { .. } => {}
        Kind::Seq(items) => items.iter_mut().for_each(firsts),
        Kind::Map(entries) => {
            let mut seen: BTreeSet<String> = BTreeSet::new();
            entries.retain(|entry| seen.insert(entry.key.clone()));
            entries.iter_mut().for_each(|entry| firsts(&mut entry.value));
        }
    }
}

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

/// A service that another one extends.
struct Base {
    /// Which of the services.
    at: usize,
    /// Where it is named.
    span: Span,
}

/// Resolves `extends` of every service, each once: what is extended is whole before it is taken. A
/// chain may have any length; what all of them add is limited.
pub(super) fn extends(reader: &mut Reader<'_>, tree: &mut Node) {
    let Kind::Map(top) = &mut tree.kind else { return };
    let Some(services) = top.iter_mut().find(|entry| entry.key == "services") else { return };
    let Kind::Map(services) = &mut services.value.kind else { return };
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, service) in services.iter().enumerate() {
        names.entry(&service.key).or_insert(at);
    }
    let bases: Vec<Option<Base>> =
        services.iter().map(|service| base(reader, &names, &service.value)).collect();
    let order = bases_first(reader, services, &bases);
    for service in services.iter_mut() {
        if let Kind::Map(entries) = &mut service.value.kind {
            entries.retain(|entry| entry.key != "extends");
        }
    }
    let mut left = MOST_NODES;
    for (service, base) in order {
        let Some(rest) = left.checked_sub(weight(&services[base.at].value)) else {
            let message = format!("`extends` adds more than {MOST_NODES} values");
            return reader.error("DN-E0567", &base.span, message, "write less");
        };
        left = rest;
        let whole = services[base.at].value.clone();
        let over = &mut services[service].value;
        let own = std::mem::replace(over, Node::scalar("", true, 0..0));
        *over = merged("", whole, own);
    }
}

/// What a service extends.
fn base(reader: &mut Reader<'_>, services: &BTreeMap<&str, usize>, service: &Node) -> Option<Base> {
    let extends = service.entries().iter().find(|entry| entry.key == "extends")?;
    let named = match &extends.value.kind {
        Kind::Map(entries) => {
            // What was to come from another file was told by whoever reads that.
            if entries.iter().any(|entry| entry.key == "file") {
                return None;
            }
            for other in entries.iter().filter(|entry| entry.key != "service") {
                if !other.key.starts_with("x-") {
                    reader.unknown(other, "`extends`", "service");
                }
            }
            extends.value.get("service")
        }
        _ => Some(&extends.value),
    };
    let Some(name) = named.and_then(Node::text) else {
        reader.wrong(&extends.value, "`extends`", "the name of a service");
        return None;
    };
    let span = extends.value.span.clone();
    let Some(at) = services.get(name) else {
        if reader.unread.may_declare(name) {
            return None;
        }
        let message = format!("there is no service `{}` to extend", name.escape_debug());
        let meant = reader.meant(name, services.keys().copied());
        let help = or(&meant, "name a service of this file");
        reader.error("DN-E0564", &span, message, &help);
        return None;
    };
    Some(Base { at: *at, span })
}

/// Every service that extends one, after the one it extends. Of a circle, the `extends` that closes
/// it is told and left out.
fn bases_first<'b>(
    reader: &mut Reader<'_>,
    services: &[Entry],
    bases: &'b [Option<Base>],
) -> Vec<(usize, &'b Base)> {
    let mut order = Vec::new();
    // By which walk each was reached; 0 is none.
    let mut reached = vec![0; bases.len()];
    for start in 0..bases.len() {
        let mut path: Vec<(usize, &Base)> = Vec::new();
        let mut at = start;
        while reached[at] == 0 {
            reached[at] = start + 1;
            let Some(base) = &bases[at] else { break };
            path.push((at, base));
            at = base.at;
        }
        if let Some(from) = path.iter().position(|(one, _)| *one == at)
            && let Some((_, last)) = path.last()
        {
            let names = path[from..].iter().map(|(one, _)| services[*one].key.as_str());
            circle(reader, names.chain([services[at].key.as_str()]), last);
            path.pop();
        }
        order.extend(path.into_iter().rev());
    }
    order
}

/// Tells of a circle, with the names that fit a line.
fn circle<'n>(reader: &mut Reader<'_>, names: impl Iterator<Item = &'n str>, last: &Base) {
    let names: Vec<String> = names.map(|name| name.escape_debug().to_string()).collect();
    let shown = match names.len() > MOST_SHOWN {
        true => format!("{} → … ({} services)", names[..MOST_SHOWN].join(" → "), names.len() - 1),
        false => names.join(" → "),
    };
    let message = format!("services extend in a circle: {shown}");
    reader.error("DN-E0564", &last.span, message, "remove one of these `extends`");
}

/// How many values there are in one.
pub(super) fn weight(node: &Node) -> usize {
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

/// Lists that may be written as the one value that they hold.
const SINGLE: [&str; 5] = ["dns", "dns_search", "env_file", "label_file", "tmpfs"];

/// What `over` says, and of `base` what it does not.
pub(super) fn merged(key: &str, base: Node, over: Node) -> Node {
    let listed = |node: Node| match &node.kind {
        Kind::Scalar { .. } if SINGLE.contains(&key) && !Reader::is_nothing(&node) => {
            Node { span: node.span.clone(), kind: Kind::Seq(vec![node]) }
        }
        _ if LISTED.contains(&key) => listed(key, node),
        _ => node,
    };
    let (base, over) = (listed(base), listed(over));
    match (base.kind, over.kind) {
        (Kind::Map(base), Kind::Map(more)) => {
            let mut entries = base;
            let mut known: BTreeMap<String, usize> = BTreeMap::new();
            for (at, entry) in entries.iter().enumerate() {
                known.entry(entry.key.clone()).or_insert(at);
            }
            for entry in more {
                let Some(at) = known.get(&entry.key) else {
                    known.insert(entry.key.clone(), entries.len());
                    entries.push(entry);
                    continue;
                };
                let one = &mut entries[*at];
                let value = std::mem::replace(&mut one.value, Node::scalar("", true, 0..0));
                one.value = merged(&entry.key, value, entry.value);
                one.key_span = entry.key_span;
            }
            Node { kind: Kind::Map(entries), span: over.span }
        }
        (Kind::Seq(items), Kind::Seq(more)) if !WHOLE.contains(&key) => {
            Node { kind: Kind::Seq(joined(items, more)), span: over.span }
        }
        (_, kind) => Node { kind, span: over.span },
    }
}

/// Two lists as one, with what both hold once.
fn joined(items: Vec<Node>, more: Vec<Node>) -> Vec<Node> {
    let (texts, others): (Vec<&Kind>, Vec<&Kind>) =
        items.iter().map(|one| &one.kind).partition(|kind| matches!(kind, Kind::Scalar { .. }));
    let scalar = |kind: &Kind| match kind {
        Kind::Scalar { raw, plain } => Some((raw.clone(), *plain)),
        _ => None,
    };
    let texts: BTreeSet<(String, bool)> = texts.into_iter().filter_map(scalar).collect();
    let is_fresh = |one: &Node| match scalar(&one.kind) {
        Some(text) => !texts.contains(&text),
        None => !others.contains(&&one.kind),
    };
    let fresh: Vec<Node> = more.into_iter().filter(is_fresh).collect();
    items.into_iter().chain(fresh).collect()
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
