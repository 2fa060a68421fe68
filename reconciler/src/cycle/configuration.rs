//! A configuration that was read: what a revision means, or why it means nothing.
//!
//! Knows how files become a desired state, and which files were needed for it. Refuses to know
//! where the files come from.

use std::{cell::RefCell, collections::BTreeMap};

use devnet_catalog::Catalog;
use devnet_schema::{
    desired::DesiredState,
    diagnostic::Diagnostic,
    digest::Digest,
    file::{self, Files, Limits},
    overrides::Overrides,
};

/// A revision that can be planned.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The commit, or the digest of the files.
    pub revision: String,
    /// What is wanted.
    pub desired: DesiredState,
    /// What components are.
    pub catalog: Catalog,
    /// Warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// A revision that cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Why, as a sentence.
    pub problem: String,
    /// What was found.
    pub diagnostics: Vec<Diagnostic>,
}

/// What was read on the way, for the records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FilesRead {
    /// The cluster file; empty when none was found.
    pub root: String,
    /// Every text file that was read, by path.
    pub files: BTreeMap<String, String>,
}

/// Remembers what is read through it.
struct Recorder<'a> {
    inner: &'a dyn Files,
    files: RefCell<BTreeMap<String, String>>,
}

impl Files for Recorder<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let content = self.inner.read(path)?;
        if let Some(text) = content.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            self.files.borrow_mut().insert(path.to_owned(), text.to_owned());
        }
        Ok(content)
    }

    fn list(&self) -> Result<Vec<String>, String> {
        self.inner.list()
    }
}

/// The revision of files that are no commit.
pub(super) fn revision_of(
    files: &BTreeMap<String, String>,
    given: &[&BTreeMap<String, String>],
) -> String {
    Digest::of(&(files, given)).to_string()
}

/// Reads the configuration in `files`. `root` names the cluster file; empty means to look for it.
pub(super) fn read(
    revision: &str,
    root: &str,
    files: &dyn Files,
    vars: &Overrides,
    limits: &Limits,
) -> (Result<Configuration, Rejected>, FilesRead) {
    let recorder = Recorder { inner: files, files: RefCell::default() };
    let (root, result) = match root {
        "" => match file::discover(files) {
            Ok(found) => (found.clone(), load(revision, &found, &recorder, vars, limits)),
            Err(finding) => (String::new(), Err(reject(vec![finding]))),
        },
        given => (given.to_owned(), load(revision, given, &recorder, vars, limits)),
    };
    (result, FilesRead { root, files: recorder.files.into_inner() })
}

fn load(
    revision: &str,
    root: &str,
    files: &dyn Files,
    vars: &Overrides,
    limits: &Limits,
) -> Result<Configuration, Rejected> {
    let loaded = devnet_catalog::load_within(root, files, vars, limits);
    match loaded.desired {
        Some(desired) => Ok(Configuration {
            revision: revision.to_owned(),
            desired,
            catalog: loaded.catalog,
            diagnostics: loaded.diagnostics,
        }),
        None => Err(reject(loaded.diagnostics)),
    }
}

fn reject(diagnostics: Vec<Diagnostic>) -> Rejected {
    let errors = diagnostics.iter().filter(|finding| finding.is_error()).count();
    let first = diagnostics.iter().find(|finding| finding.is_error());
    let first = first.map_or_else(
        || "it is empty".to_owned(),
        |finding| match &finding.at {
            Some(at) => format!("{at}: {}", finding.message),
            None => finding.message.clone(),
        },
    );
    let problem = match errors {
        0 | 1 => format!("the configuration is not valid: {first}"),
        more => format!("the configuration is not valid: {first} (and {} more)", more - 1),
    };
    Rejected { problem, diagnostics }
}

#[cfg(test)]
mod tests {
    use super::*;
    use devnet_schema::file::MemoryFiles;

    fn files(list: &[(&str, &str)]) -> MemoryFiles {
        let files: BTreeMap<String, String> =
            list.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect();
        files
    }

    #[test]
    fn what_is_empty_or_half_written_is_rejected_with_a_reason() {
        for list in
            [&[][..], &[("cluster.kdl", "")], &[("cluster.kdl", "cluster \"lab\" {\n service")]]
        {
            let (result, _) =
                read("r", "", &files(list), &Overrides::default(), &Limits::default());
            let rejected = result.unwrap_err();
            assert!(rejected.problem.starts_with("the configuration is not valid: "));
            assert!(rejected.diagnostics.iter().any(Diagnostic::is_error), "{list:?}");
        }
    }

    #[test]
    fn a_revision_of_files_depends_on_files_and_variables_only() {
        let one = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        assert_eq!(revision_of(&one, &[]), revision_of(&one, &[]));
        assert_ne!(revision_of(&one, &[]), revision_of(&one, &[&one]));
    }
}
