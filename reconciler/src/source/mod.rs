//! Where configurations come from: a git repository on this machine, one elsewhere, or a plain
//! directory.
//!
//! Knows revisions and their files. Refuses to know what is in the files, and to change anything
//! in the source but by a commit that somebody asked for. Three kinds of absence are told apart:
//! the source cannot be read, the branch is not there, and there is nothing in it; none of them is
//! an empty configuration.

mod commit;
mod directory;
mod local;
mod login;
mod object_store;
mod remote;
mod tree;
mod watch;

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::time::Time;

pub use commit::Change;
pub use directory::DirectorySource;
pub use local::LocalGit;
pub use login::login_file;
pub use remote::{Credentials, Login, RemoteGit, RemoteSpec};
pub use tree::{MAX_FILE_BYTES, MAX_FILES, TreeFiles, itself};
pub use watch::{Wake, Watcher};

/// Why a source gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is there and cannot be read, or cannot be reached. Nothing may be concluded from it.
    #[error("{act} {location}")]
    Unreadable {
        /// What was being done, `opening`.
        act: &'static str,
        /// Where, without credentials.
        location: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It has no such branch, or the branch has no commit yet.
    #[error(
        "{location} has no commit on branch {branch}: commit something there, or name another \
         branch"
    )]
    RefMissing {
        /// Where.
        location: String,
        /// Which.
        branch: String,
    },
    /// The revision holds no file at all where the configuration should be.
    #[error("revision {revision} of {location} holds no files{}", under(path))]
    Empty {
        /// Where.
        location: String,
        /// Which.
        revision: String,
        /// The directory in it; empty for its root.
        path: String,
    },
    /// It does not know this revision (any more).
    #[error("{location} has no revision {revision}: it may have been rewritten; sync again")]
    RevisionMissing {
        /// Where.
        location: String,
        /// Which.
        revision: String,
    },
    /// More or larger files than a configuration can have.
    #[error(
        "{location} holds {what}, which is more than a configuration may: name its directory \
             with --path"
    )]
    TooLarge {
        /// Where.
        location: String,
        /// Of what too much.
        what: String,
    },
    /// The branch has commits that the change was not made on.
    #[error("branch {branch} of {location} has moved since")]
    Moved {
        /// Where.
        location: String,
        /// Which.
        branch: String,
    },
    /// Nothing may be committed there.
    #[error("{location} takes no commits from here: {why}")]
    ReadOnly {
        /// Where.
        location: String,
        /// Why not.
        why: String,
    },
    /// The settings of the source are not usable.
    #[error("{0}")]
    Settings(String),
}

fn under(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" under {path}") }
}

/// A state of the configuration that can be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Commit id (40 hexadecimal digits), or `files:` and a digest where there is no git.
    pub id: String,
    /// First line of the commit's message; empty where there is no git.
    pub summary: String,
    /// Name of the commit's author; empty where there is no git.
    pub author: String,
    /// Of the commit; none where there is no git, or the commit has one that is none.
    pub time: Option<Time>,
}

/// Where configurations come from. All calls block, and a remote one may take until its time limit:
/// call them where blocking is allowed.
pub trait Source: Send + Sync {
    /// Where it is: a path, or a URL without credentials.
    fn location(&self) -> &str;

    /// The branch that is followed; `HEAD` for whatever the repository has checked out, empty where
    /// there is no git.
    fn branch(&self) -> &str;

    /// The newest revision; asks the remote first where there is one.
    ///
    /// # Errors
    /// When the source cannot be read or its branch is not there.
    fn head(&self) -> Result<Revision, SourceError>;

    /// The files of a revision. Nothing is checked out; of a plain directory, only the newest
    /// revision can be had.
    ///
    /// # Errors
    /// When the revision is not known, is empty, is too large, or cannot be read.
    fn files(&self, revision: &str) -> Result<TreeFiles, SourceError>;

    /// Whether `new` was built on `old`. False says that history was rewritten (a forced push): it
    /// is followed all the same, and worth a word. Always true where there is no history.
    ///
    /// # Errors
    /// When the source cannot be read.
    fn follows(&self, old: &str, new: &str) -> Result<bool, SourceError>;

    /// Where in the repository the configuration is: a directory; empty for its root.
    fn subdirectory(&self) -> &str;

    /// Whether this is the branch that is followed.
    ///
    /// # Errors
    /// When the source cannot be read.
    fn is_followed(&self, branch: &str) -> Result<bool, SourceError> {
        Ok(self.branch() == branch)
    }

    /// Commits a change and moves its branch; gives the commit's id.
    ///
    /// # Errors
    /// When this kind of source takes no commits, the branch has moved on, or is checked out.
    fn commit(&self, change: &Change) -> Result<String, SourceError> {
        let _ = change;
        let why = "only a git repository on the control plane's own machine does".to_owned();
        Err(SourceError::ReadOnly { location: self.location().to_owned(), why })
    }

    /// Calls `wake` soon after something may have changed, and every `interval` in any case, until
    /// the guard is dropped. A wake-up carries no data and may be false.
    ///
    /// # Errors
    /// When no watch can be set up.
    fn watch(&self, interval: Duration, wake: Wake) -> Result<Watcher, SourceError>;
}

/// The source that `path` is: a git repository when there is one at `path`, and `branch` of it; a
/// plain directory otherwise, or when `git` is false. `subdirectory` is where in it the
/// configuration is; empty for its root.
///
/// # Errors
/// When it cannot be opened, or a setting is not usable.
pub fn open_path(
    path: &std::path::Path,
    branch: Option<&str>,
    subdirectory: &str,
    git: bool,
) -> Result<Arc<dyn Source>, SourceError> {
    let is_git = path.join(".git").exists() || path.join("HEAD").is_file();
    if git && is_git {
        return Ok(Arc::new(LocalGit::open(path, branch, subdirectory)?));
    }
    if let Some(branch) = branch.filter(|_| git) {
        return Err(SourceError::Settings(format!(
            "{} is not a git repository, so it has no branch {branch}: run `git init` there, or \
             name its top directory and pass --path",
            path.display()
        )));
    }
    Ok(Arc::new(DirectorySource::open(PathBuf::from(path), subdirectory)?))
}

/// A directory within a source: relative, `/`-separated, no `.` or `..`; without slashes at its
/// ends.
fn clean_subdirectory(path: &str) -> Result<String, SourceError> {
    let path = path.trim_matches('/');
    let wrong = |part: &str| matches!(part, "" | "." | "..") || part.contains(['\\', '\0']);
    if path == "." || path.is_empty() {
        return Ok(String::new());
    }
    if path.split('/').any(wrong) {
        return Err(SourceError::Settings(format!(
            "`{}` is not a directory within the source: use names separated by `/`, without `..`",
            path.escape_debug()
        )));
    }
    Ok(path.to_owned())
}

/// A branch name that is safe to pass on: no option, no control characters, valid for git.
fn clean_branch(branch: &str) -> Result<String, SourceError> {
    let full = format!("refs/heads/{branch}");
    let valid = gix::validate::reference::name(gix::bstr::BStr::new(&full)).is_ok();
    if valid && !branch.starts_with('-') {
        return Ok(branch.to_owned());
    }
    Err(SourceError::Settings(format!("`{}` is not a branch name", branch.escape_debug())))
}

#[cfg(test)]
mod tests;
