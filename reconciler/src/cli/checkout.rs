//! The configuration in the working directory, and exactly the files of it that were read.
//!
//! Knows the directory. Refuses links and everything outside: what a control plane would refuse in
//! a commit is refused here too.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use devnet_catalog::Loaded;
use devnet_schema::{
    diagnostic::{self, Diagnostic},
    digest::Digest,
    file::{self, Files, Limits},
    overrides::Overrides,
};

use super::{arguments::Configuration, failure::CommandError, terminal::Terminal, variables};
use crate::config::Environment;

/// The largest file that is read, in bytes. The language's own limits are lower.
pub(super) const MAX_FILE: u64 = 4 << 20;

/// A configuration, opened.
pub(super) struct Checkout {
    files: Recorder,
    root: String,
    /// What flags, files and the environment give to variables.
    given: Overrides,
    limits: Limits,
}

impl Checkout {
    /// The configuration that the flags name, or the one of the working directory.
    ///
    /// # Errors
    /// When there is none, there are two, or a variable is not `name=value`.
    pub(super) fn open(
        configuration: &Configuration,
        env: &Environment,
    ) -> Result<Self, CommandError> {
        let given = variables::given(configuration, env)?;
        let limits = env.limits(&configuration.limits)?;
        let (dir, root) = match &configuration.file {
            Some(path) if path.is_dir() => {
                let shown = path.display();
                return Err(CommandError::usage(format!("{shown} is a directory"))
                    .hint(format!("name the file in it, or go there: `-chdir={shown}`")));
            }
            Some(path) => {
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .ok_or_else(|| CommandError::usage(format!("{} is no file", path.display())))?;
                let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
                (dir.unwrap_or(Path::new(".")).to_path_buf(), Some(name.to_owned()))
            }
            None => (PathBuf::from("."), None),
        };
        let files = Recorder { dir, read: RefCell::new(BTreeMap::new()) };
        let root = match root {
            Some(root) => root,
            None => file::discover(&files).map_err(|found| not_found(&found))?,
        };
        if files.read(&root).map_err(CommandError::usage)?.is_none() {
            return Err(CommandError::usage(format!("there is no file {root}")));
        }
        Ok(Self { files, root, given, limits })
    }

    /// The cluster file, relative to its directory.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Parses and checks it.
    pub(super) fn load(&self) -> Loaded {
        devnet_catalog::load_within(&self.root, &self.files, &self.given, &self.limits)
    }

    /// The cluster file and those that it includes, broken ones too; as paths from here.
    pub(super) fn cluster_files(&self) -> Vec<PathBuf> {
        let (file, found) = file::load_within(&self.root, &self.files, &self.limits);
        let mut names: Vec<String> = vec![self.root.clone()];
        names.extend(file.sources.iter().map(|source| source.file.to_string()));
        // A file that could not be read to its end is known from what is wrong with it.
        names.extend(found.into_iter().filter_map(|found| Some(found.at?.file.to_string())));
        let mut seen = std::collections::BTreeSet::new();
        let here = self.files.dir == Path::new(".");
        names
            .into_iter()
            .filter(|name| seen.insert(name.clone()))
            .map(|name| if here { PathBuf::from(name) } else { self.files.dir.join(name) })
            .collect()
    }

    /// The text of a file that was read, for showing the line of a diagnostic.
    pub(super) fn text(&self, file: &str) -> Option<String> {
        let read = self.files.read.borrow();
        String::from_utf8(read.get(file)?.clone()).ok()
    }

    /// Every file that loading read, as text.
    ///
    /// # Errors
    /// When one is no text.
    pub(super) fn files_read(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let read = self.files.read.borrow();
        read.iter()
            .map(|(path, bytes)| {
                let text = String::from_utf8(bytes.clone())
                    .with_context(|| format!("{path} is not UTF-8 text"))?;
                Ok((path.clone(), text))
            })
            .collect()
    }

    /// What stands for a commit: the digest of every file that was read, and of what overrides its
    /// variables.
    pub(super) fn revision(&self, overrides: &BTreeMap<String, String>) -> String {
        let read = self.files.read.borrow();
        let files: BTreeMap<&String, Digest> =
            read.iter().map(|(path, bytes)| (path, Digest::of_bytes(bytes))).collect();
        format!("files:{}", Digest::of(&(files, overrides)).short())
    }

    /// How many errors there are, and in which file or how many.
    pub(super) fn counted(&self, found: &[Diagnostic]) -> String {
        let errors: Vec<&Diagnostic> = found.iter().filter(|found| found.is_error()).collect();
        let files: BTreeSet<&str> =
            errors.iter().filter_map(|found| Some(found.at.as_ref()?.file.as_ref())).collect();
        let place = match files.len() {
            0 => self.root.clone(),
            1 => files.into_iter().collect(),
            many => format!("{many} files"),
        };
        let noun = if errors.len() == 1 { "error" } else { "errors" };
        diagnostic::printable(&format!("{} {noun} in {place}", errors.len()))
    }

    /// Prints what is wrong, and gives the error that ends the command.
    pub(super) fn invalid(&self, found: &[Diagnostic], terminal: &Terminal) -> CommandError {
        terminal.diagnostics(found, &|file| self.text(file));
        CommandError::usage(format!("the configuration is not valid: {}", self.counted(found)))
    }
}

fn not_found(found: &Diagnostic) -> CommandError {
    let failure = CommandError::usage(found.message.clone());
    match &found.help {
        Some(help) => failure.hint(help.clone()),
        None => failure,
    }
}

/// The files of a directory, each remembered once it was read, so that what is sent to a control
/// plane is what was checked here.
struct Recorder {
    dir: PathBuf,
    read: RefCell<BTreeMap<String, Vec<u8>>>,
}

impl Files for Recorder {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        if let Some(bytes) = self.read.borrow().get(path) {
            return Ok(Some(bytes.clone()));
        }
        let Some(bytes) = read_below(&self.dir, path)? else {
            return Ok(None);
        };
        self.read.borrow_mut().insert(path.to_owned(), bytes.clone());
        Ok(Some(bytes))
    }

    fn list(&self) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        list_below(&self.dir, "", &mut found)?;
        found.sort();
        Ok(found)
    }
}

/// Reads `path` below `dir`, following no link on the way.
fn read_below(dir: &Path, path: &str) -> Result<Option<Vec<u8>>, String> {
    let mut at = dir.to_path_buf();
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return Err(format!("{path} leaves the configuration's directory"));
        }
        // No commit holds it, and it may hold keys.
        if part.eq_ignore_ascii_case(".git") {
            return Err(format!(
                "{path} is git's own and in no commit: name a file of the repository"
            ));
        }
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(meta) if meta.file_type().is_symlink() => {
                return Err(format!(
                    "{path} is or goes through a symbolic link, and those are not followed: put \
                     the file itself there"
                ));
            }
            Ok(meta) if meta.is_dir() && is_repository(&at) => {
                return Err(format!(
                    "{path} is in a git submodule, and those are not read: put the files \
                     themselves there"
                ));
            }
            Ok(_) => {}
            // It is listed with what of its name can be read.
            Err(_) if part.contains(char::REPLACEMENT_CHARACTER) => {
                return Err(format!(
                    "{path} has a name that is not UTF-8 text: give it another one"
                ));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{path} cannot be read: {error}")),
        }
    }
    let meta = fs::metadata(&at).map_err(|error| format!("{path} cannot be read: {error}"))?;
    // A commit has no file of that name either: a directory is the files in it.
    if meta.is_dir() {
        return Ok(None);
    }
    if !meta.is_file() {
        return Err(format!("{path} is no file"));
    }
    if meta.len() > MAX_FILE {
        return Err(format!("{path} has more than {MAX_FILE} bytes"));
    }
    let content = fs::read(&at).map_err(|error| format!("{path} cannot be read: {error}"))?;
    crate::source::itself(path, content).map(Some)
}

/// Whether a directory is a repository of its own: a submodule, or one that git leaves out.
fn is_repository(dir: &Path) -> bool {
    fs::symlink_metadata(dir.join(".git")).is_ok()
}

/// Every file below, hidden directories and `target` left out. Links are listed too, so that what
/// names one is refused when it is read, as the control plane does it; of a submodule its name is.
fn list_below(dir: &Path, prefix: &str, found: &mut Vec<String>) -> Result<(), String> {
    let entries = fs::read_dir(dir)
        .map_err(|error| format!("{} cannot be listed: {error}", dir.display()))?;
    for entry in entries {
        let entry = entry.map_err(|error| error.to_string())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().map_err(|error| error.to_string())?;
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        let repository = kind.is_dir() && is_repository(&entry.path());
        if kind.is_dir() && !repository && !name.starts_with('.') && name != "target" {
            list_below(&entry.path(), &path, found)?;
        } else if !kind.is_dir() || repository {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_escapes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        assert_eq!(read_below(dir.path(), "a").unwrap().unwrap(), b"x");
        assert_eq!(read_below(dir.path(), "b").unwrap(), None);
        let mut listed = Vec::new();
        list_below(dir.path(), "", &mut listed).unwrap();
        listed.sort();
        assert_eq!(listed, ["a", "link"], "what names a link is refused and not passed over");
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n";
        fs::write(dir.path().join("p"), pointer).unwrap();
        assert!(read_below(dir.path(), "p").unwrap_err().contains("Git LFS pointer"));
        assert!(read_below(dir.path(), "\u{fffd}").unwrap_err().contains("not UTF-8"));
        for bad in ["link", "../a", "/etc/passwd", "a/../a", "", ".git/config", ".GIT/x"] {
            assert!(read_below(dir.path(), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn repositories_within_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sm/deep")).unwrap();
        fs::write(dir.path().join("sm/.git"), "gitdir: ../.git/modules/sm\n").unwrap();
        fs::write(dir.path().join("sm/deep/a.kdl"), "x").unwrap();
        let error = read_below(dir.path(), "sm/deep/a.kdl").unwrap_err();
        assert!(error.contains("submodule"), "{error}");
        let mut listed = Vec::new();
        list_below(dir.path(), "", &mut listed).unwrap();
        assert_eq!(listed, ["sm"]);
    }
}
