//! The other files of a Compose file: those that it includes, and those whose services it extends.
//!
//! Knows where each is, what its variables are, and how its parts come into one tree. Refuses to
//! know what a field means, and files that are not of the repository.
//!
//! Every node keeps the place where it was written: the files of one Compose file stand behind one
//! another in one range of offsets ([`super::reader::Part`]). What a path is beside, and what a
//! variable is worth, is that of the file in which it stands.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    DOT_ENV, interpolate, merge,
    reader::{Part, Reader, or},
    template,
};
use crate::{
    diagnostic::{Diagnostic, Located},
    file::{
        Limits, read_with_merge_keys, scan,
        tree::{Entry, Form, Kind, Node, Span},
    },
};

/// The most files that one Compose file takes in, each as often as it is named.
const MOST_FILES: usize = 100;
/// The most files that include one another, or services that extend one another over files.
const DEPTH: usize = 16;
/// The parts of a document whose entries have names.
const NAMED: [&str; 5] = ["services", "volumes", "networks", "configs", "secrets"];

/// What files are read with.
pub(super) struct Others<'l> {
    limits: &'l Limits,
    /// Files that may still be taken in.
    left: usize,
    /// Those that were read for `extends`: path, and the first offset of who names it.
    read: BTreeMap<(String, usize), Option<Rc<Node>>>,
}

/// A service that is looked for in a file.
#[derive(Clone)]
struct Wanted {
    path: String,
    name: String,
    /// Where it is named, and where its file is.
    span: Span,
    file: Span,
}

impl<'l> Others<'l> {
    pub(super) fn new(limits: &'l Limits) -> Self {
        Self { limits, left: MOST_FILES, read: BTreeMap::new() }
    }

    /// Brings in the services of other files that those of this one extend.
    pub(super) fn extended(&mut self, reader: &mut Reader<'_>, tree: &mut Node) {
        let Kind::Map(top) = &mut tree.kind else { return };
        let Some(services) = top.iter_mut().find(|entry| entry.key == "services") else { return };
        let Kind::Map(services) = &mut services.value.kind else { return };
        for service in services {
            let Some(wanted) = elsewhere(reader, &service.value) else { continue };
            let base = self.whole(reader, &wanted, &mut Vec::new());
            let Kind::Map(entries) = &mut service.value.kind else { continue };
            entries.retain(|entry| entry.key != "extends");
            if let Some(base) = base {
                let own = std::mem::replace(&mut service.value, Node::scalar("", true, 0..0));
                service.value = merge::merged("", base, own);
            }
        }
    }

    /// A service of a file with all that it extends itself. Recursion ends at [`DEPTH`].
    fn whole(
        &mut self,
        reader: &mut Reader<'_>,
        wanted: &Wanted,
        above: &mut Vec<Wanted>,
    ) -> Option<Node> {
        let Wanted { path, name, span, file } = wanted;
        if above.iter().any(|one| (&one.path, &one.name) == (path, name)) {
            let names = above.iter().map(|one| one.name.as_str()).chain([name.as_str()]);
            let names: Vec<String> = names.map(|name| name.escape_debug().to_string()).collect();
            let message = format!("services extend in a circle: {}", names.join(" → "));
            reader.error("DN-E0564", span, message, "remove one of these `extends`");
            return None;
        }
        if above.len() >= DEPTH {
            let message = format!("more than {DEPTH} services of other files extend one another");
            reader.error("DN-E0567", span, message, "write less");
            return None;
        }
        let tree = self.document(reader, path, file)?;
        let services = tree.get("services").map_or(&[][..], |services| services.entries());
        let Some(found) = services.iter().find(|service| service.key == *name) else {
            let (name, path) = (name.escape_debug(), path.escape_debug());
            let message = format!("there is no service `{name}` to extend in `{path}`");
            let meant = reader.meant(&wanted.name, services.iter().map(|one| one.key.as_str()));
            reader.error("DN-E0564", span, message, &or(&meant, "name a service of that file"));
            return None;
        };
        let mut own = found.value.clone();
        let next = elsewhere(reader, &own).or_else(|| {
            let named = own.get("extends")?;
            let name = named.get("service").unwrap_or(named).text()?.to_owned();
            let span = named.span.clone();
            Some(Wanted { path: path.clone(), name, file: span.clone(), span })
        });
        if let Kind::Map(entries) = &mut own.kind {
            entries.retain(|entry| entry.key != "extends");
        }
        let Some(next) = next else { return Some(own) };
        above.push(wanted.clone());
        let base = self.whole(reader, &next, above);
        above.pop();
        let base = base?;
        let size = merge::weight(&base);
        reader.repeats(size, &next.span).then(|| merge::merged("", base, own))
    }

    /// A file for `extends`, with the variables of who names it; read once.
    fn document(&mut self, reader: &mut Reader<'_>, path: &str, by: &Span) -> Option<Rc<Node>> {
        let key = (path.to_owned(), reader.part_of(by.start));
        if let Some(known) = self.read.get(&key) {
            return known.clone();
        }
        let dir = directory(path).to_owned();
        let part = Where { path, dir, values: reader.values_of(by.start) };
        let tree = self.read(reader, part, by).map(Rc::new);
        self.read.insert(key, tree.clone());
        tree
    }

    /// Brings in what the document includes, and what that includes.
    pub(super) fn included(
        &mut self,
        reader: &mut Reader<'_>,
        tree: &mut Node,
        above: &mut Vec<String>,
    ) {
        let Kind::Map(top) = &mut tree.kind else { return };
        let Some(at) = top.iter().position(|entry| entry.key == "include") else { return };
        let include = top.remove(at).value;
        for item in reader.list(&include, "`include`").to_vec() {
            let Some(one) = include_of(reader, &item) else { continue };
            let before = above.len();
            let mut whole: Option<Node> = None;
            for path in &one.paths {
                if above.contains(path) || before >= DEPTH {
                    circle(reader, &item.span, above, path);
                    continue;
                }
                let values = Rc::clone(&one.values);
                let part = Where { path, dir: one.dir.clone(), values };
                let Some(mut part) = self.read(reader, part, &item.span) else { continue };
                self.extended(reader, &mut part);
                merge::extends(reader, &mut part);
                whole = Some(match whole {
                    Some(first) => merge::merged("", first, part),
                    None => part,
                });
            }
            let Some(mut whole) = whole else { continue };
            above.extend(one.paths.iter().cloned());
            self.included(reader, &mut whole, above);
            above.truncate(before);
            import(reader, tree, whole);
        }
    }

    /// Reads a file: syntax, `<<`, variables. Nothing where it cannot be read, which is told.
    fn read(&mut self, reader: &mut Reader<'_>, part: Where<'_>, by: &Span) -> Option<Node> {
        let Where { path, dir, values } = part;
        let Some(left) = self.left.checked_sub(1) else {
            let message = format!("a Compose file may take in {MOST_FILES} others");
            reader.error("DN-E0567", by, message, "name fewer files");
            reader.unread.everything();
            return None;
        };
        self.left = left;
        let Some(bytes) = reader.bytes(path, by) else {
            reader.unread.everything();
            return None;
        };
        let source = scan::readable(path, bytes, Form::Yaml, self.limits);
        let source = source.map_err(|error| reader.take(vec![error])).ok()?;
        let (source, strange) = scan::masked(&source).unwrap_or((source, Vec::new()));
        let mut document = read_with_merge_keys(&source, self.limits);
        document.strange(&source, strange);
        if template::is_marked(&source.text) {
            let message = "this file holds a character that devnet keeps for itself";
            let error = Diagnostic::error("DN-E0507", Some(source.at(&(0..0))), message);
            document.errors.push(error.help("leave out U+10DE72 and U+10DE73"));
        }
        if !document.errors.is_empty() {
            reader.take(document.errors);
            reader.unread.everything();
            return None;
        }
        let mut tree = document.tree;
        if !reader.repeats(document.values, by) {
            return None;
        }
        let used = reader.ground?.used;
        let faults = interpolate::tree(&mut tree, &source, &values, &mut used.borrow_mut());
        let base = reader.add(Part { base: 0, source, dir, values });
        shift(&mut tree, base);
        for fault in &faults {
            let at = fault.at.as_ref().map(|at| at.start + base);
            reader.unfilled.extend(at);
        }
        reader.take(faults);
        merge::keys(reader, &mut tree);
        Some(tree)
    }
}

/// A file, what its paths are beside, and its variables.
struct Where<'p> {
    path: &'p str,
    dir: String,
    values: Rc<interpolate::Values>,
}

/// One `include`.
struct Include {
    paths: Vec<String>,
    dir: String,
    values: Rc<interpolate::Values>,
}

/// Reads one item of `include`: a path, or a map of these.
fn include_of(reader: &mut Reader<'_>, item: &Node) -> Option<Include> {
    let (mut files, mut dir, mut env_files) = (Vec::new(), None, None);
    if matches!(item.kind, Kind::Map(_)) {
        for field in reader.map(item, "an `include`") {
            match field.key.as_str() {
                "path" => files = reader.words(&field.value, "`path`"),
                "project_directory" => dir = reader.known(&field.value, "`project_directory`"),
                "env_file" => env_files = Some(reader.words(&field.value, "`env_file`")),
                _ => reader.unknown(field, "an `include`", "path, project_directory and env_file"),
            }
        }
    } else {
        files.extend(reader.known(item, "`include`"));
    }
    let paths: Vec<String> = files.iter().filter_map(|file| of_repository(reader, file)).collect();
    let first = paths.first()?;
    let dir = match dir {
        Some(dir) => of_repository(reader, &dir)?,
        None => directory(first).to_owned(),
    };
    let mut values = (*reader.values_of(item.span.start)).clone();
    match env_files {
        None => {
            let own = if dir.is_empty() { DOT_ENV.to_owned() } else { format!("{dir}/{DOT_ENV}") };
            reader.variables(&own, &mut values);
        }
        Some(files) => {
            for file in files {
                let span = reader.span(&file.at);
                if reader.needed(&file, &span).is_some() {
                    let path = of_repository(reader, &file)?;
                    reader.variables(&path, &mut values);
                }
            }
        }
    }
    Some(Include { paths, dir, values: Rc::new(values) })
}

/// A file that is named beside the one in which it is written.
fn of_repository(reader: &mut Reader<'_>, file: &Located<String>) -> Option<String> {
    let span = reader.span(&file.at);
    let remote = file.value.contains("://") || file.value.starts_with("git@");
    let inside = reader.inside(&file.value, span.start).filter(|_| !remote);
    if inside.is_none() {
        let message = format!("`{}` is not a file of this repository", file.value.escape_debug());
        let help = "name a file beside this one: what runs is what the commit says";
        reader.error("DN-E0565", &span, message, help);
    }
    inside
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// What a service extends in another file.
fn elsewhere(reader: &mut Reader<'_>, service: &Node) -> Option<Wanted> {
    let extends = service.get("extends")?;
    let file = extends.get("file")?;
    for other in extends.entries().iter().filter(|it| it.key != "service" && it.key != "file") {
        if !other.key.starts_with("x-") {
            reader.unknown(other, "`extends`", "service and file");
        }
    }
    let place = file.span.clone();
    let file = reader.known(file, "`file`")?;
    let path = of_repository(reader, &file)?;
    let Some(name) = extends.get("service").and_then(Node::text) else {
        reader.wrong(extends, "`extends`", "the name of a service beside its `file`");
        return None;
    };
    Some(Wanted { path, name: name.to_owned(), span: extends.span.clone(), file: place })
}

fn circle(reader: &mut Reader<'_>, span: &Span, above: &[String], path: &str) {
    let names = above.iter().map(String::as_str).chain([path]);
    let names: Vec<String> = names.map(|name| name.escape_debug().to_string()).collect();
    let message = format!("files include one another in a circle: {}", names.join(" → "));
    reader.error("DN-E0564", span, message, "remove one of these `include`");
}

/// Adds what a file declares. What two files declare alike is one thing.
fn import(reader: &mut Reader<'_>, tree: &mut Node, from: Node) {
    let Kind::Map(top) = &mut tree.kind else { return };
    let Kind::Map(parts) = from.kind else {
        return reader.wrong(&from, "an included file", "a map");
    };
    for part in parts {
        if !NAMED.contains(&part.key.as_str()) {
            // What it says of itself is not said of this one; a wrong word is wrong there, too.
            if !matches!(part.key.as_str(), "name" | "version") && !part.key.starts_with("x-") {
                reader.unknown(&part, "a Compose document", &NAMED.join(", "));
            }
            continue;
        }
        let Kind::Map(more) = part.value.kind else { continue };
        let own = match top.iter().position(|entry| entry.key == part.key) {
            Some(at) => &mut top[at].value,
            None => {
                let value = Node { kind: Kind::Map(Vec::new()), span: part.value.span.clone() };
                top.push(Entry { key: part.key.clone(), key_span: part.key_span.clone(), value });
                let last = top.len() - 1;
                &mut top[last].value
            }
        };
        if Reader::is_nothing(own) {
            own.kind = Kind::Map(Vec::new());
        }
        let Kind::Map(entries) = &mut own.kind else { continue };
        let known: BTreeMap<String, usize> =
            entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
        for entry in more {
            match known.get(&entry.key).map(|at| &entries[*at]) {
                None => entries.push(entry),
                Some(first) if same(&first.value, &entry.value) => {}
                Some(first) => {
                    let first = reader.at(&first.key_span);
                    let message = format!(
                        "`{}` is declared otherwise in an included file",
                        entry.key.escape_debug()
                    );
                    let error = Diagnostic::error("DN-E0564", Some(first), message)
                        .related(reader.at(&entry.key_span), "declared here, too")
                        .help("give one of them another name, or use `extends`");
                    reader.take(vec![error]);
                }
            }
        }
    }
}

/// Whether two values say the same, wherever they stand.
fn same(one: &Node, two: &Node) -> bool {
    match (&one.kind, &two.kind) {
        (Kind::Scalar { raw, .. }, Kind::Scalar { raw: other, .. }) => raw == other,
        (Kind::Seq(one), Kind::Seq(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (Kind::Map(one), Kind::Map(two)) => {
            let names = |all: &[Entry]| -> BTreeSet<String> {
                all.iter().map(|entry| entry.key.clone()).collect()
            };
            let of = |name: &str| two.iter().find(|entry| entry.key == name);
            names(one) == names(two)
                && one.iter().all(|a| of(&a.key).is_some_and(|b| same(&a.value, &b.value)))
        }
        _ => false,
    }
}

/// Moves every place of a tree. The depth of the tree is limited, so recursion is.
fn shift(node: &mut Node, by: usize) {
    let moved = |span: &mut Span| *span = span.start + by..span.end + by;
    moved(&mut node.span);
    match &mut node.kind {
        Kind::Scalar { .. } => {}
        Kind::Seq(items) => items.iter_mut().for_each(|item| shift(item, by)),
        Kind::Map(entries) => entries.iter_mut().for_each(|entry| {
            moved(&mut entry.key_span);
            shift(&mut entry.value, by);
        }),
    }
}
