//! From files to one [`ClusterFile`]: finding the root, following includes, taking in the files
//! that services name.
//!
//! Knows paths and patterns. Refuses to know where files come from: [`Files`] does.

mod forms;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Unread, decode, fields, kdl,
    limits::Limits,
    reader, scan,
    tree::{Form, Kind, Node, Source},
    written::{ClusterFile, Count},
    yaml,
};
use crate::diagnostic::{Diagnostic, Located, Location};

/// The files of a configuration: a commit, a directory, or memory. Paths are relative to its root
/// and separated by `/`.
pub trait Files {
    /// The content of a file; `None` when there is no such file.
    ///
    /// # Errors
    /// When it is there and cannot be read, in words for people.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String>;

    /// Every file, sorted.
    ///
    /// # Errors
    /// When the files cannot be listed, in words for people.
    fn list(&self) -> Result<Vec<String>, String>;
}

/// Files in memory, by path.
pub type MemoryFiles = BTreeMap<String, String>;

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.get(path).map(|text| text.clone().into_bytes()))
    }

    fn list(&self) -> Result<Vec<String>, String> {
        Ok(self.keys().cloned().collect())
    }
}

/// Files that were read: the texts, and why others could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadFiles {
    /// Text by path.
    pub texts: MemoryFiles,
    /// Why a file could not be read, in words for people, by path.
    pub unreadable: BTreeMap<String, String>,
}

impl Files for ReadFiles {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match self.unreadable.get(path) {
            Some(why) => Err(why.clone()),
            None => self.texts.read(path),
        }
    }

    fn list(&self) -> Result<Vec<String>, String> {
        let all: BTreeSet<&String> = self.texts.keys().chain(self.unreadable.keys()).collect();
        Ok(all.into_iter().cloned().collect())
    }
}

/// Names of a root file, in the order they are looked for.
const ROOTS: [&str; 3] = ["cluster.kdl", "cluster.yaml", "cluster.yml"];

/// Finds the root file: `cluster.kdl`, `cluster.yaml` or `cluster.yml`.
///
/// # Errors
/// When there is none, or more than one: then which one counts would be a guess.
pub fn discover(files: &dyn Files) -> Result<String, Diagnostic> {
    let mut found = Vec::new();
    for root in ROOTS {
        match files.read(root) {
            Ok(Some(_)) => found.push(root),
            Ok(None) => {}
            Err(why) => return Err(unreadable(root, None, &why)),
        }
    }
    match found.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(Diagnostic::error("DN-E0112", None, "there is no cluster file here")
            .help("write `cluster.kdl` or `cluster.yaml`, or name one with `-f FILE`")),
        several => {
            let names = several.join(" and ");
            Err(Diagnostic::error(
                "DN-E0112",
                None,
                format!("there are two cluster files: {names}"),
            )
            .help("remove one, or name the one you mean with `-f FILE`"))
        }
    }
}

fn unreadable(path: &str, at: Option<Location>, why: &str) -> Diagnostic {
    Diagnostic::error("DN-E0113", at, format!("reading `{}` failed: {why}", path.escape_debug()))
        .help(
            "it has to be a file of the configuration itself that can be read; nothing is planned \
               without it",
        )
}

/// Reads the cluster file `root` and what it includes, and reports everything wrong at once,
/// sorted by place. What could be read is returned even so, marked as broken.
pub fn load(root: &str, files: &dyn Files) -> (ClusterFile, Vec<Diagnostic>) {
    load_within(root, files, &Limits::default())
}

/// The same within other limits than the usual ones.
pub fn load_within(
    root: &str,
    files: &dyn Files,
    limits: &Limits,
) -> (ClusterFile, Vec<Diagnostic>) {
    let mut loader = Loader {
        files,
        limits,
        found: Vec::new(),
        text: 0,
        values: 0,
        services: 0,
        unread: Unread::default(),
    };
    let mut file = loader.file(root, None).unwrap_or_default();
    file.more_catalogs = file.cluster.is_none() || loader.unread.may_declare("catalog");
    loader.includes(root, &mut file);
    loader.sources(&mut file);
    loader.instances(&file);
    loader.forms(&mut file);
    file.broken = loader.found.iter().any(Diagnostic::is_error);
    file.unread = loader.unread;
    file.limits = limits.clone();
    loader.found.sort_by(|a, b| a.at.cmp(&b.at));
    (file, loader.found)
}

struct Loader<'a> {
    files: &'a dyn Files,
    limits: &'a Limits,
    found: Vec<Diagnostic>,
    text: usize,
    values: usize,
    services: usize,
    /// What could not be read.
    unread: Unread,
}

impl Loader<'_> {
    /// The bytes of a file that must be there.
    fn bytes(&mut self, path: &str, at: Option<&Location>) -> Option<Vec<u8>> {
        // That there is too much was told: what else there is is not read.
        if self.text > self.limits.total {
            return None;
        }
        match self.files.read(path) {
            Ok(Some(bytes)) => {
                self.text += bytes.len();
                if self.text <= self.limits.total {
                    return Some(bytes);
                }
                let most = self.limits.total;
                let message = format!("the files together have more than {most} bytes");
                let error = Diagnostic::error("DN-E0101", at.cloned(), message);
                self.found.push(error.help("include less"));
            }
            Ok(None) => {
                let message = format!("there is no file `{}`", path.escape_debug());
                let error = Diagnostic::error("DN-E0113", at.cloned(), message);
                self.found.push(error.help("write the file, or correct its name"));
            }
            Err(why) => self.found.push(unreadable(path, at.cloned(), &why)),
        }
        None
    }

    /// One file, without what it includes.
    fn file(&mut self, path: &str, at: Option<&Location>) -> Option<ClusterFile> {
        let file = self.parts_of(path, at);
        if file.is_none() {
            self.unread.everything();
        }
        file
    }

    fn parts_of(&mut self, path: &str, at: Option<&Location>) -> Option<ClusterFile> {
        let Some(form) = Form::of(path) else {
            let message = format!("`{}` is neither KDL nor YAML", path.escape_debug());
            let error = Diagnostic::error("DN-E0114", at.cloned(), message);
            self.found.push(error.help("name it `….kdl`, `….yaml` or `….yml`"));
            return None;
        };
        let bytes = self.bytes(path, at)?;
        let legible = scan::legible(path, bytes, form, self.limits);
        let (source, strange) = legible.map_err(|error| self.found.push(error)).ok()?;
        let mut read = match form {
            Form::Kdl => kdl::read(&source, &self.left()),
            Form::Yaml => yaml::read(&source, &self.left()),
        };
        self.values += read.values;
        read.strange(&source, strange);
        self.unread.extend(read.unread_words(&source));
        let correct = read.errors.is_empty();
        self.found.append(&mut read.errors);
        let nothing = matches!(&read.tree.kind, Kind::Map(entries) if entries.is_empty());
        if correct && (nothing || read.tree.is_empty()) {
            self.found.push(empty(&source));
            return None;
        }
        if correct && at.is_none() && read.tree.get("cluster").is_none() {
            self.no_cluster(&source);
        }
        self.count(&source, form, &read.tree)?;
        let (tree, found) = reader::canonical(&source, form, &read.tree, &fields::FILE);
        self.found.extend(found.into_iter().filter(|found| read.trusts(found)));
        let (mut file, found) = decode::cluster_file(&source, &tree);
        file.doubtful = read.doubtful.iter().map(|span| source.at(span)).collect();
        self.found.extend(found.into_iter().filter(|found| read.trusts(found)));
        file.sources.push(source);
        Some(file)
    }

    /// The limits of what is read next: what counts in all files together is less by then.
    fn left(&self) -> Limits {
        let all_values = self.limits.all_values.saturating_sub(self.values);
        Limits { all_values, ..self.limits.clone() }
    }

    /// Counts services while they are a tree and nothing else yet.
    fn count(&mut self, source: &Source, form: Form, tree: &Node) -> Option<()> {
        let named = |name: &str| tree.entries().iter().filter(|e| e.key == name).count();
        self.services += match form {
            Form::Kdl => named("service"),
            Form::Yaml => tree.get("services").map_or(0, |services| services.entries().len()),
        };
        if self.services <= self.limits.services {
            return Some(());
        }
        let message = format!("more than {} services", self.limits.services);
        let error = Diagnostic::error("DN-E0117", Some(source.at(&(0..0))), message);
        self.found.push(error.help("use several clusters, or raise the limit `services`"));
        None
    }

    /// Counts instances before anyone makes a plan for each.
    fn instances(&mut self, file: &ClusterFile) {
        let mut instances = 0u64;
        for service in &file.services {
            // How many one on each node are, the fleet says.
            let number = |count: Count| match count {
                Count::Number(number) => number,
                Count::PerNode => 1,
            };
            let wanted = service.replicas.as_ref().map_or(1, |replicas| number(replicas.value));
            let most = self.limits.replicas;
            let many = |replicas: &&Located<Count>| number(replicas.value) as usize > most;
            if let Some(replicas) = service.replicas.as_ref().filter(many) {
                let message = format!("more than {most} instances of one service");
                let error = Diagnostic::error("DN-E0117", Some(replicas.at.clone()), message);
                self.found.push(error.help("ask for less, or raise the limit `replicas`"));
            }
            instances += u64::from(wanted);
            if instances > self.limits.instances as u64 {
                let message = format!("more than {} instances", self.limits.instances);
                let at = service.replicas.as_ref().map_or(&service.at, |replicas| &replicas.at);
                let error = Diagnostic::error("DN-E0117", Some(at.clone()), message);
                self.found.push(error.help("ask for less, or raise the limit `instances`"));
                return;
            }
        }
    }

    /// What the root file must have.
    fn no_cluster(&mut self, source: &Source) {
        let message = "this file has no `cluster` section";
        let error = Diagnostic::error("DN-E0115", Some(source.at(&(0..0))), message);
        let help = match Form::of(&source.file) {
            Some(Form::Yaml) => "begin it with `cluster: NAME`",
            _ => "begin it with `cluster \"NAME\"`",
        };
        self.found.push(error.help(help));
    }

    fn includes(&mut self, root: &str, file: &mut ClusterFile) {
        let Some(cluster) = file.cluster.clone() else {
            return;
        };
        let mut seen = BTreeSet::from([root.to_owned()]);
        for include in &cluster.include {
            for path in self.matching(include) {
                if !seen.insert(path.clone()) {
                    continue;
                }
                if seen.len() > self.limits.files {
                    let message = format!("more than {} files are included", self.limits.files);
                    let error = Diagnostic::error("DN-E0116", Some(include.at.clone()), message);
                    self.found.push(error.help("include fewer files"));
                    self.unread.everything();
                    return;
                }
                if let Some(part) = self.file(&path, Some(&include.at)) {
                    self.join(file, part);
                }
            }
        }
    }

    fn join(&mut self, file: &mut ClusterFile, part: ClusterFile) {
        let ClusterFile { doubtful, sources, cluster, nodes, services, moved, .. } = part;
        if let Some(cluster) = cluster {
            let message = "an included file has a `cluster` section";
            let error = Diagnostic::error("DN-E0115", Some(cluster.at), message);
            self.found.push(error.help("move it to the root file"));
        }
        file.doubtful.extend(doubtful);
        file.sources.extend(sources);
        file.nodes.extend(nodes);
        file.services.extend(services);
        file.moved.extend(moved);
    }

    /// The files that an include names, sorted. None is an error: a directory that went missing
    /// must not look like services that were removed.
    fn matching(&mut self, include: &Located<String>) -> Vec<String> {
        let at = Some(include.at.clone());
        let Some(pattern) = relative(&include.value) else {
            let message =
                format!("`{}` is no path within the configuration", shorten(&include.value));
            let error = Diagnostic::error("DN-E0116", at, message);
            let help = "write a path below the root file's directory, without `..`";
            self.found.push(error.help(help));
            self.unread.everything();
            return Vec::new();
        };
        if pattern.contains("**") {
            let message =
                format!("`{}`: a `*` stands for a part of one name", shorten(&include.value));
            let error = Diagnostic::error("DN-E0116", at, message);
            self.found.push(error.help("write a pattern for each depth: `services/*/*.kdl`"));
            self.unread.everything();
            return Vec::new();
        }
        if !pattern.contains('*') {
            return self.well_named(vec![pattern], include);
        }
        let listed = self.files.list();
        let all = listed.unwrap_or_else(|why| {
            self.found.push(unreadable(&include.value, at.clone(), &why));
            Vec::new()
        });
        let mut paths: Vec<String> =
            all.into_iter().filter(|path| matches_pattern(&pattern, path)).collect();
        paths.sort();
        if paths.is_empty() {
            let message = format!("no file is named like `{}`", shorten(&include.value));
            let error = Diagnostic::error("DN-E0116", at, message);
            self.found
                .push(error.help("add the files, or remove the include; links are not followed"));
            self.unread.everything();
        }
        self.well_named(paths, include)
    }

    /// The paths that neither hide what they are nor look like an option to some program.
    fn well_named(&mut self, mut paths: Vec<String>, include: &Located<String>) -> Vec<String> {
        paths.retain(|path| {
            let strange = path.split('/').any(|part| part.starts_with('-'))
                || path.chars().any(scan::forbidden);
            if strange {
                let message = format!("`{}` is no name for a file here", path.escape_debug());
                let error = Diagnostic::error("DN-E0116", Some(include.at.clone()), message);
                let help = "rename it: no control characters, no change of direction, no `-` first";
                self.found.push(error.help(help));
                self.unread.everything();
            }
            !strange
        });
        paths
    }

    /// Takes in the files that services name with `source`.
    fn sources(&mut self, file: &mut ClusterFile) {
        for service in &mut file.services {
            for entry in &mut service.files {
                if let Some(source) = &entry.source {
                    entry.source_text = self.source(source);
                }
            }
        }
    }

    fn source(&mut self, source: &Located<String>) -> Option<String> {
        let refuse = |message: String, help: &str| {
            Diagnostic::error("DN-E0116", Some(source.at.clone()), message).help(help)
        };
        let shown = source.value.escape_debug();
        let Some(path) = relative(&source.value) else {
            let message = format!("`{shown}` leaves the configuration");
            self.found.push(refuse(message, "write a path below the root file's directory"));
            return None;
        };
        let path = self.well_named(vec![path], source).pop()?;
        let bytes = self.bytes(&path, Some(&source.at))?;
        let most = self.limits.source_file;
        if bytes.len() > most {
            let message = format!("`{shown}` has {} bytes; {most} are allowed", bytes.len());
            self.found.push(refuse(message, "put large data into an image or a volume"));
            return None;
        }
        String::from_utf8(bytes)
            .map_err(|_| {
                let message = format!("`{shown}` is not UTF-8 text");
                self.found.push(refuse(message, "put binary data into an image or a volume"));
            })
            .ok()
    }
}

/// A file that declares nothing.
pub(super) fn empty(source: &Source) -> Diagnostic {
    Diagnostic::error("DN-E0110", Some(source.at(&(0..0))), "this file declares nothing")
        .help("an empty file is never taken as the wish to remove everything; restore its content")
}

/// As much of a text as fits into a message.
fn shorten(text: &str) -> String {
    let shown: String = text.chars().take(80).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("{}{more}", shown.escape_debug())
}

/// A path below the root without `.` parts; `None` when it leaves the root or is none.
fn relative(path: &str) -> Option<String> {
    let parts: Vec<&str> =
        path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let leaves = path.starts_with('/') || path.contains('\\') || parts.contains(&"..");
    (!leaves && !parts.is_empty()).then(|| parts.join("/"))
}

/// Whether `path` matches `pattern`, where `*` stands for any characters within one directory.
fn matches_pattern(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) =
        (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(&path).all(|(pattern, name)| matches_name(pattern, name))
}

/// One part of a path. Going from star to star with the shortest match first takes time linear in
/// the name for each star.
fn matches_name(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last) && (!name.starts_with('.') || pattern.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_within_one_directory() {
        assert!(matches_pattern("services/*.kdl", "services/db.kdl"));
        assert!(matches_pattern("*/a*b*c", "x/aXbYc"));
        assert!(matches_pattern("a", "a"));
        assert!(!matches_pattern("services/*.kdl", "services/sub/db.kdl"));
        assert!(!matches_pattern("services/*.kdl", "services/.hidden.kdl"));
        assert!(!matches_pattern("*.kdl", "db.yaml"));
        assert!(!matches_pattern("ab*ba", "aba"));
    }

    #[test]
    fn paths_stay_below_the_root() {
        assert_eq!(relative("./a//b.kdl").as_deref(), Some("a/b.kdl"));
        for bad in ["/etc/passwd", "../x", "a/../../x", "", ".", "a\\..\\b"] {
            assert!(relative(bad).is_none(), "{bad}");
        }
    }
}
