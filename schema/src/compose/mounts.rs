//! Volumes, directories in memory, files of the repository and paths of the node: everything that a
//! service sees at a path.
//!
//! Knows the short and the long form of each, on clean paths. A path of the node is an ask; a path
//! beside the Compose file is what the commit holds there, read-only.

use std::collections::BTreeMap;

use super::{
    grant::{Ask, clean},
    model::{Declared, File, Service, Volume, VolumeSource},
    reader::{NO_TEXT, Reader, or},
    unit,
};
use crate::{
    container::{BindSpec, ExternalVolume, Propagation},
    diagnostic::{Diagnostic, Located, Location},
    file::tree::{Entry, Kind, Node, Span},
};

const LONG_VOLUME: &str = "write the long form: {type: volume, source: NAME, target: /path}";
const LONG_FIELDS: &str = "type, source, target, read_only, volume, bind, tmpfs and consistency";
const HINT: &str = "it is a hint for Docker Desktop";
/// The most files that a directory of the repository may bring.
const MOST_FILES: usize = 100;
/// The most text that it may bring, in bytes.
const MOST_TEXT: usize = 256 * 1024;

/// What a service sees, by path. Of what `extends` brings and what is written in its place at the
/// same path, the latter counts.
#[derive(Default)]
pub(super) struct Mounted(BTreeMap<String, Seen>);

/// What is at a path.
struct Seen {
    mount: Located<Mount>,
    /// Where the field begins that says so.
    field: usize,
}

enum Mount {
    /// A volume; without a name it is the service's own.
    Volume {
        name: Option<String>,
        read_only: bool,
    },
    External {
        name: String,
        read_only: bool,
    },
    Tmpfs(String),
    Files(Vec<(String, File)>),
    Bind {
        source: String,
        read_only: bool,
        propagation: Option<Propagation>,
    },
}

impl Mounted {
    /// Takes in what a field has at a path. What `extends` takes over from elsewhere is replaced
    /// by what the same field says; of one list, and of two fields, neither is the last.
    fn add(&mut self, reader: &mut Reader<'_>, list: &Node, path: String, mount: Located<Mount>) {
        let field = list.span.start;
        let both = |seen: &&Seen| {
            let one_list = inside(reader, &seen.mount.at, list) && inside(reader, &mount.at, list);
            seen.field != field || one_list
        };
        let Some(first) = self.0.get(&path).filter(both) else {
            self.0.insert(path, Seen { mount, field });
            return;
        };
        let message = format!("two mounts are at `{}`", path.escape_debug());
        let error = Diagnostic::error("DN-E0568", Some(mount.at), message)
            .related(first.mount.at.clone(), "first here")
            .help("remove one, or mount it elsewhere");
        reader.take(vec![error]);
    }

    /// Takes in an item of `volumes`. Of two at one path the last counts, as it does for Compose.
    fn add_last(
        &mut self,
        reader: &mut Reader<'_>,
        list: &Node,
        path: String,
        mount: Located<Mount>,
    ) {
        let here = |seen: &&Seen| {
            let field = seen.field == list.span.start;
            field && inside(reader, &seen.mount.at, list) && inside(reader, &mount.at, list)
        };
        let Some(first) = self.0.get_mut(&path).filter(|seen| here(&&**seen)) else {
            return self.add(reader, list, path, mount);
        };
        let message = format!("two mounts are at `{}`: the last counts", path.escape_debug());
        let before = std::mem::replace(&mut first.mount, mount);
        let at = Some(first.mount.at.clone());
        let warning = Diagnostic::warning("DN-W0565", at, message)
            .related(before.at, "this one does not count")
            .help("remove the other one");
        reader.take(vec![warning]);
    }

    /// Takes in a config or secret.
    pub(super) fn file(
        &mut self,
        reader: &mut Reader<'_>,
        list: &Node,
        path: String,
        file: Located<File>,
    ) {
        let value = Mount::Files(vec![(path.clone(), file.value)]);
        self.add(reader, list, path, Located { value, at: file.at });
    }

    /// Brings everything to its place in the service.
    pub(super) fn into_service(self, service: &mut Service) {
        for (path, Seen { mount: Located { value, at }, .. }) in self.0 {
            match value {
                Mount::Volume { name, read_only } => {
                    let name = name.unwrap_or_default();
                    service.volumes.push(Located { value: Volume { name, path, read_only }, at });
                }
                Mount::External { name, read_only } => {
                    let value = Ask::Volume(ExternalVolume { name, path, read_only });
                    service.asks.push(Located { value, at });
                }
                Mount::Tmpfs(options) => drop(service.settings.tmpfs.insert(path, options)),
                Mount::Files(files) => {
                    for (path, value) in files {
                        service.files.insert(path, Located { value, at: at.clone() });
                    }
                }
                Mount::Bind { source, read_only, propagation } => {
                    let value = Ask::Bind(BindSpec { source, path, read_only, propagation });
                    service.asks.push(Located { value, at });
                }
            }
        }
    }
}

/// What is written of one mount, before it is known what it is.
#[derive(Default)]
struct Written {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    propagation: Option<Propagation>,
    tmpfs: Vec<String>,
}

/// The words of `propagation`. The usual one says nothing.
fn propagation(text: &str) -> Option<Option<Propagation>> {
    Some(match text {
        "rprivate" => None,
        "private" => Some(Propagation::Private),
        "slave" => Some(Propagation::Slave),
        "shared" => Some(Propagation::Shared),
        "rslave" => Some(Propagation::Rslave),
        "rshared" => Some(Propagation::Rshared),
        _ => return None,
    })
}

/// `volumes` of a service.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    declared: &Declared,
    mounted: &mut Mounted,
) {
    for item in reader.list(node, "`volumes`") {
        let written = match &item.kind {
            Kind::Map(_) => long(reader, item),
            _ => short(reader, item),
        };
        let Some(written) = written else { continue };
        let span = &item.span;
        let Some(target) = written.target.as_deref().and_then(target) else {
            no_target(reader, span, &written.target.unwrap_or_default());
            continue;
        };
        if let Some(value) = mount(reader, span, written, &target, declared) {
            let at = reader.at(span);
            mounted.add_last(reader, node, target, Located { value, at });
        }
    }
}

/// Whether something is written in a list itself: an alias may stand for what is elsewhere.
fn inside(reader: &Reader<'_>, at: &Location, list: &Node) -> bool {
    let at = reader.span(at);
    list.span.start <= at.start && at.end <= list.span.end
}

/// A path in the container, clean and not its root.
pub(super) fn target(path: &str) -> Option<String> {
    let parts = path.split('/').any(|part| part == "..");
    clean(path).filter(|clean| !parts && clean != "/" && !clean.contains(':'))
}

/// Says why something cannot be mounted at a path.
pub(super) fn no_target(reader: &mut Reader<'_>, span: &Span, path: &str) {
    let shown = path.escape_debug();
    let message = match clean(path) {
        _ if path.is_empty() => "it is not said where the service sees this".to_owned(),
        _ if path.split('/').any(|part| part == "..") => format!("`{shown}` leads out by `..`"),
        Some(root) if root == "/" => format!("`{shown}` is the root of the container"),
        Some(other) if other.contains(':') => format!("`{shown}` holds a `:`"),
        _ => format!("`{shown}` is not an absolute path"),
    };
    let help = "write where the service sees it: an absolute path below `/`, without `..`";
    reader.error("DN-E0551", span, message, help);
}

/// `[source:]target[:options]`.
fn short(reader: &mut Reader<'_>, node: &Node) -> Option<Written> {
    let text = reader.literal(node, "a volume", LONG_VOLUME)?.trim().to_owned();
    if super::template::is_marked(&text) {
        return reader.known(node, "a volume").and(None);
    }
    let mut parts = text.splitn(3, ':').map(str::to_owned);
    let (first, second, options) = (parts.next(), parts.next(), parts.next());
    let mut written = match (first, second) {
        (Some(target), None) => Written { target: Some(target), ..Written::default() },
        (source, target) => Written { source, target, ..Written::default() },
    };
    for option in options.iter().flat_map(|options| options.split(',')) {
        match option {
            "ro" => written.read_only = true,
            "rw" | "consistent" => {}
            "cached" | "delegated" => {
                let message = format!("`{option}` is ignored: {HINT}");
                reader.warning("DN-W0560", &node.span, message, "leave it out");
            }
            "z" | "Z" => {
                let message = format!("`{option}` is ignored: devnet does not relabel files");
                reader.warning("DN-W0560", &node.span, message, "leave it out");
            }
            word if propagation(word).is_some() => {
                written.propagation = propagation(word).flatten();
            }
            other => {
                let message = format!("the option `{}` is refused", other.escape_debug());
                let help = "`ro`, `rw` and words like `rslave` are carried to the engine, and no \
                            other";
                reader.error("DN-E0554", &node.span, message, help);
            }
        }
    }
    Some(written)
}

fn long(reader: &mut Reader<'_>, node: &Node) -> Option<Written> {
    let mut written = Written::default();
    for field in reader.map(node, "a volume") {
        let value = &field.value;
        match field.key.as_str() {
            "type" => written.kind = Some(reader.known(value, "`type`")?.value),
            "source" => written.source = Some(reader.known(value, "`source`")?.value),
            "target" => written.target = Some(reader.known(value, "`target`")?.value),
            "read_only" => written.read_only = reader.boolean(value, "`read_only`"),
            "tmpfs" => memory(reader, value, &mut written),
            "volume" | "bind" => within(reader, field, &mut written),
            "consistency" if matches!(value.text(), Some("consistent" | "default")) => {}
            "consistency" if matches!(value.text(), Some("cached" | "delegated")) => {
                reader.ignored(field, HINT);
            }
            "consistency" => {
                reader.wrong(value, "`consistency`", "`consistent`, `cached` or `delegated`");
            }
            _ => reader.unknown(field, "a volume", LONG_FIELDS),
        }
    }
    Some(written)
}

/// Options of one kind of mount, of which only those that say what is usual are taken.
fn within(reader: &mut Reader<'_>, field: &Entry, written: &mut Written) {
    for option in reader.map(&field.value, "options") {
        let usual = match option.key.as_str() {
            "create_host_path" if option.value.text() == Some("true") => {
                reader.ignored(option, "the path has to be on the node, and nobody makes it");
                continue;
            }
            "selinux" => {
                reader.ignored(option, "devnet does not relabel files");
                continue;
            }
            "create_host_path" => option.value.text() == Some("false"),
            "nocopy" => option.value.text() == Some("false"),
            "propagation" => {
                let read = reader.parsed(
                    &option.value,
                    "`propagation`",
                    "`rprivate`, `private`, `rslave`, `slave`, `rshared` or `shared`",
                    propagation,
                );
                written.propagation = read.and_then(|read| read.value);
                continue;
            }
            _ => false,
        };
        if !usual {
            let of = format!("{}.", field.key);
            reader.refused(option, &of, "devnet does not carry it to the engine");
        }
    }
}

fn memory(reader: &mut Reader<'_>, node: &Node, written: &mut Written) {
    for option in reader.map(node, "`tmpfs`") {
        let value = &option.value;
        match option.key.as_str() {
            "size" => {
                if let Some(size) = reader.parsed(value, "`size`", "a size like `64mb`", unit::size)
                {
                    written.tmpfs.push(format!("size={}", size.value.0));
                }
            }
            "mode" => written.tmpfs.push(format!("mode={:o}", octal(reader, value))),
            _ => reader.unknown(option, "`tmpfs`", "size and mode"),
        }
    }
}

fn mount(
    reader: &mut Reader<'_>,
    span: &Span,
    written: Written,
    target: &str,
    declared: &Declared,
) -> Option<Mount> {
    let Written { kind, source, target: _, read_only, propagation, tmpfs } = written;
    let access = (read_only, propagation);
    // As Compose tells a path from a name: `data/sub` is a name, and none that can be declared.
    let looks = |source: &str| source.starts_with(['/', '.', '~', '\\']);
    let kind = kind.unwrap_or_else(|| match &source {
        Some(source) if looks(source) => "bind".to_owned(),
        _ => "volume".to_owned(),
    });
    match (kind.as_str(), source) {
        ("tmpfs", _) => Some(Mount::Tmpfs(tmpfs.join(","))),
        ("volume", None) => Some(Mount::Volume { name: None, read_only }),
        ("volume", Some(name)) => match declared.volumes.get(&name) {
            Some(VolumeSource::Engine) => Some(Mount::Volume { name: Some(name), read_only }),
            Some(VolumeSource::Path { source, read_only: kept }) => {
                bind(reader, span, source, target, (read_only || *kept, propagation))
            }
            Some(VolumeSource::External(name)) => {
                Some(Mount::External { name: name.clone(), read_only })
            }
            None if looks(&name) => bind(reader, span, &name, target, access),
            None if reader.unread.may_declare(&name) => None,
            None => {
                let message = format!("the volume `{}` is not declared", name.escape_debug());
                let meant = reader.meant(&name, declared.volumes.keys().map(String::as_str));
                let help = match name.contains('/') {
                    true => {
                        format!("for a path beside this file write `./{}`", name.escape_debug())
                    }
                    false => or(&meant, "declare it at the top: `volumes: {NAME: {}}`"),
                };
                reader.error("DN-E0559", span, message, &help);
                None
            }
        },
        ("bind", Some(source)) => bind(reader, span, &source, target, access),
        ("bind", None) => {
            let message = "a bind does not say what is bound".to_owned();
            reader.error("DN-E0555", span, message, "write its `source`");
            None
        }
        (other, _) => {
            let message = format!("a mount of type `{}` is refused", other.escape_debug());
            reader.error("DN-E0554", span, message, "use `volume`, `bind` or `tmpfs`");
            None
        }
    }
}

/// A path of the node, or what the repository holds beside the Compose file.
fn bind(
    reader: &mut Reader<'_>,
    span: &Span,
    source: &str,
    target: &str,
    (read_only, propagation): (bool, Option<Propagation>),
) -> Option<Mount> {
    if let Some(source) = clean(source).or_else(|| on_node(reader, source, span.start)) {
        return Some(Mount::Bind { source, read_only, propagation });
    }
    let shown = source.escape_debug().to_string();
    let Some(path) = reader.inside(source, span.start) else {
        let message = match source.starts_with('~') {
            true => format!("`{shown}` is in the home of whoever runs Compose; nobody does here"),
            false => format!("`{shown}` is a path of the node that depends on where Compose runs"),
        };
        refuse(reader, span, source, message);
        return None;
    };
    let files = committed(reader, span, &path, source, target)?;
    if files.is_empty() {
        let message = format!("the repository has no `{shown}`, and a node has none either");
        refuse(reader, span, source, message);
        return None;
    }
    if !read_only {
        let message = format!("`{shown}` is the repository's and cannot be written by the service");
        let help = "write `:ro` behind it; for what the service writes, use a volume";
        reader.warning("DN-W0562", span, message, help);
    }
    Some(Mount::Files(files))
}

/// The variable that says where on a node a path is that is not absolute, and the rest of the path:
/// the two that Compose itself goes by.
fn anchor(source: &str) -> Option<(&'static str, &str)> {
    match source.strip_prefix('~') {
        _ if source.contains('\\') => None,
        Some(rest) => (rest.is_empty() || rest.starts_with('/')).then_some(("HOME", rest)),
        None => Some(("PWD", source)),
    }
}

/// Where on a node such a path is, when its variable names a place there.
fn on_node(reader: &Reader<'_>, source: &str, offset: usize) -> Option<String> {
    let (name, rest) = anchor(source)?;
    let root = reader.variable(name, offset)?;
    match name {
        "PWD" => reader.below(&root, rest, offset),
        _ => clean(&format!("{}/{rest}", clean(&root)?)),
    }
}

fn refuse(reader: &mut Reader<'_>, span: &Span, source: &str, message: String) {
    let granted = elsewhere(reader, source);
    let help = format!("for data use a named volume, for a file commit it; {granted}");
    reader.error("DN-E0558", span, message, &help);
}

/// How to have a path of the node instead.
fn elsewhere(reader: &Reader<'_>, source: &str) -> String {
    let anchor = reader.ground.and_then(|_| anchor(source));
    let Some((name, _)) = anchor else {
        let grant = "`allow` and \"host-bind:/PATH\"";
        return format!("a path of every node can be granted when it is absolute: {grant}");
    };
    let what = match name {
        "HOME" => "whose home is meant",
        _ => "which directory is meant by this and all other relative paths of the file",
    };
    format!("where it is on a node, say with `set` and `{name}` {what}, and grant it")
}

/// What the repository has at a path: a file, or every file of a directory. `None` when it cannot
/// be taken, which is told by then.
fn committed(
    reader: &mut Reader<'_>,
    span: &Span,
    path: &str,
    source: &str,
    target: &str,
) -> Option<Vec<(String, File)>> {
    let help = format!("{NO_TEXT}; {}", elsewhere(reader, source));
    // The root of the repository is no file, and nobody is asked for one without a name.
    let one = if path.is_empty() { None } else { reader.file(path, span, &help).ok()? };
    match one {
        Some(content) => Some(vec![(target.to_owned(), file(content))]),
        None => below(reader, span, path, target, &help),
    }
}

/// A script can be run, and anybody may read.
fn file(content: String) -> File {
    let mode = if content.starts_with("#!") { 0o555 } else { 0o444 };
    File { content, mode }
}

/// Every file of a directory.
fn below(
    reader: &mut Reader<'_>,
    span: &Span,
    dir: &str,
    target: &str,
    help: &str,
) -> Option<Vec<(String, File)>> {
    let Ok(all) = reader.ground?.files.list() else { return Some(Vec::new()) };
    let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
    let found = all.iter().filter_map(|path| Some((path, path.strip_prefix(&prefix)?)));
    let found: Vec<(&String, &str)> = found.take(MOST_FILES + 1).collect();
    let (mut files, mut text) = (Vec::new(), 0);
    for (path, rest) in &found {
        let content = reader.file(path, span, help).ok()??;
        text += content.len();
        files.push((format!("{target}/{rest}"), file(content)));
    }
    if files.len() > MOST_FILES || text > MOST_TEXT {
        let message = format!(
            "`{}` has more than {MOST_FILES} files or {MOST_TEXT} bytes",
            dir.escape_debug()
        );
        reader.error("DN-E0565", span, message, help);
        return None;
    }
    Some(files)
}

/// `tmpfs` of a service: `path[:options]`, or a list of these.
pub(super) fn tmpfs(reader: &mut Reader<'_>, node: &Node, mounted: &mut Mounted) {
    for text in reader.words(node, "`tmpfs`") {
        let (path, options) = text.value.split_once(':').unwrap_or((&text.value, ""));
        let known = |option: &str| {
            let name = option.split('=').next().unwrap_or("");
            ["size", "mode", "uid", "gid", "noexec", "exec", "nosuid", "nodev", "ro", "rw"]
                .contains(&name)
        };
        let usable = options.is_empty() || options.split(',').all(known);
        match target(path).filter(|_| usable) {
            Some(path) => {
                let value = Mount::Tmpfs(options.to_owned());
                mounted.add(reader, node, path, Located { value, at: text.at });
            }
            None => {
                let expected = "a path like `/run`, or `/run:size=64m,mode=1777`";
                reader.wrong_word(&text, "an item of `tmpfs`", expected);
            }
        }
    }
}

/// Permission bits in octal: `0444` or `0o444`. A number that does not begin with 0 is decimal to
/// YAML, whatever was meant: it is taken where it is that of bits, and the text form is octal.
pub(super) fn octal(reader: &mut Reader<'_>, node: &Node) -> u32 {
    let plain = matches!(&node.kind, Kind::Scalar { plain: true, .. });
    let read = |text: &str| {
        let mode = match text.strip_prefix("0o") {
            Some(digits) => u32::from_str_radix(digits, 8),
            None if plain && !text.starts_with('0') => text.parse(),
            None => u32::from_str_radix(text, 8),
        };
        mode.ok().filter(|mode| *mode <= 0o1777)
    };
    let expected = "permission bits in octal like `0444`";
    reader.parsed(node, "`mode`", expected, read).map_or(0o444, |read| read.value)
}
