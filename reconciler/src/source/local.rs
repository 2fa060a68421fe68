//! A git repository on this machine, read where it lies.
//!
//! Knows its branches and when they move. Refuses to touch its work tree, its index and its
//! configuration: a commit is objects and a branch.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Change, Revision, Source, SourceError, TreeFiles, Wake, Watcher, clean_branch,
    clean_subdirectory,
    object_store::{self, ObjectStore, unreadable},
    watch,
};

/// A branch of a repository at a path. The repository is opened anew for each question (2 ms), so
/// one that was deleted and made again is followed too.
#[derive(Debug, Clone)]
pub struct LocalGit {
    path: PathBuf,
    location: String,
    branch: Option<String>,
    subdirectory: String,
}

impl LocalGit {
    /// The repository at `path` (its work tree, or a bare one); `branch` or whatever is checked
    /// out; the configuration in `subdirectory`, empty for the root.
    ///
    /// # Errors
    /// When there is no repository, or a setting is not usable.
    pub fn open(
        path: &Path,
        branch: Option<&str>,
        subdirectory: &str,
    ) -> Result<Self, SourceError> {
        let source = Self {
            path: path.to_owned(),
            location: path.display().to_string(),
            branch: branch.map(clean_branch).transpose()?,
            subdirectory: clean_subdirectory(subdirectory)?,
        };
        source.store()?;
        Ok(source)
    }

    fn store(&self) -> Result<ObjectStore<'_>, SourceError> {
        let opening = unreadable("opening the git repository", &self.location);
        let repository = object_store::open(&self.path).map_err(opening)?;
        Ok(ObjectStore { repository, location: &self.location })
    }

    fn missing(&self, branch: &str) -> SourceError {
        SourceError::RefMissing { location: self.location.clone(), branch: branch.to_owned() }
    }
}

impl Source for LocalGit {
    fn location(&self) -> &str {
        &self.location
    }

    fn branch(&self) -> &str {
        self.branch.as_deref().unwrap_or("HEAD")
    }

    fn subdirectory(&self) -> &str {
        &self.subdirectory
    }

    fn is_followed(&self, branch: &str) -> Result<bool, SourceError> {
        match &self.branch {
            Some(followed) => Ok(followed == branch),
            None => self.store()?.is_checked_out(&format!("refs/heads/{branch}")),
        }
    }

    fn commit(&self, change: &Change) -> Result<String, SourceError> {
        self.store()?.commit(change, &self.subdirectory)
    }

    fn head(&self) -> Result<Revision, SourceError> {
        let store = self.store()?;
        let id = match &self.branch {
            Some(branch) => store
                .reference(&format!("refs/heads/{branch}"))?
                .ok_or_else(|| self.missing(branch))?,
            None => store.checked_out()?.map_err(|branch| self.missing(&branch))?,
        };
        store.revision(id)
    }

    fn files(&self, revision: &str) -> Result<TreeFiles, SourceError> {
        self.store()?.files(revision, &self.subdirectory)
    }

    fn follows(&self, old: &str, new: &str) -> Result<bool, SourceError> {
        self.store()?.follows(old, new)
    }

    fn watch(&self, interval: Duration, wake: Wake) -> Result<Watcher, SourceError> {
        let repository = self.store()?.repository;
        let (own, common) = (repository.git_dir(), repository.common_dir());
        // Directories, not files: git replaces files by renaming, and a watch stays with the old.
        let places = [(own, false), (common, false), (&common.join("refs"), true)];
        Ok(watch::start(&places, interval, wake, moves_a_branch))
    }
}

/// Whether a change of this file may move a branch. Of the 89 events of one `git commit` these are
/// a handful.
fn moves_a_branch(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let in_refs = path.components().any(|part| part.as_os_str() == "refs");
    matches!(name, "HEAD" | "packed-refs") || (in_refs && !name.ends_with(".lock"))
}
