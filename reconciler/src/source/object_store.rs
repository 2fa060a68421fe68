//! Commits and trees of an object database.
//!
//! Knows how a branch becomes a commit and a commit becomes files. Refuses to check anything out,
//! to read the user's or the system's git configuration, and to run hooks or filters: what is read
//! is the bytes of the blobs.

use std::{collections::BTreeMap, path::Path};

use gix::{ObjectId, Repository, bstr::ByteSlice};
use jiff::Timestamp;

use crate::time::Time;

use super::{
    Revision, SourceError,
    tree::{Entry, LINK, MAX_FILES, NAME, SUBMODULE, TreeFiles},
};

/// The longest author and summary that are passed on, in characters.
const MAX_WORDS: usize = 200;

/// A repository and the names that errors call it by.
pub(super) struct ObjectStore<'a> {
    pub(super) repository: Repository,
    pub(super) location: &'a str,
}

/// Opens a repository with nothing but its own configuration, of which only the format counts.
pub(super) fn open(path: &Path) -> gix::Result<Repository> {
    gix::open_opts(path, gix::open::Options::isolated())
}

/// Names the act in an error of git.
pub(super) fn unreadable<E>(act: &'static str, location: &str) -> impl Fn(E) -> SourceError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let location = location.to_owned();
    move |source| SourceError::Unreadable { act, location: location.clone(), source: source.into() }
}

impl ObjectStore<'_> {
    /// The commit that the reference `name` (`refs/heads/main`) leads to; `None` when there is no
    /// such reference.
    pub(super) fn reference(&self, name: &str) -> Result<Option<ObjectId>, SourceError> {
        let failed = unreadable("reading a branch of", self.location);
        let found = self.repository.try_find_reference(name).map_err(&failed)?;
        found
            .map(|mut reference| reference.peel_to_commit().map(|commit| commit.id))
            .transpose()
            .map_err(&failed)
    }

    /// The commit that is checked out, or the name of the branch that has none yet.
    pub(super) fn checked_out(&self) -> Result<Result<ObjectId, String>, SourceError> {
        let failed = unreadable("reading HEAD of", self.location);
        let mut head = self.repository.head().map_err(&failed)?;
        let name = head.referent_name().map(|name| name.shorten().to_string());
        let id = head.try_peel_to_id().map_err(&failed)?;
        Ok(id.map(|id| id.detach()).ok_or_else(|| name.unwrap_or_else(|| "HEAD".to_owned())))
    }

    /// What is known of a commit.
    pub(super) fn revision(&self, id: ObjectId) -> Result<Revision, SourceError> {
        let failed = unreadable("reading a commit of", self.location);
        let commit = self.repository.find_commit(id).map_err(&failed)?;
        let seconds = commit.time().map_err(&failed)?.seconds;
        let message = commit.message_raw().map_err(&failed)?;
        Ok(Revision {
            id: id.to_string(),
            summary: words(message.lines().next().unwrap_or_default()),
            author: words(commit.author().map_err(&failed)?.name),
            time: Timestamp::from_second(seconds).ok().map(Time::from),
        })
    }

    /// The files of a revision under `path`.
    pub(super) fn files(self, revision: &str, path: &str) -> Result<TreeFiles, SourceError> {
        let id = self.known(revision)?.ok_or_else(|| SourceError::RevisionMissing {
            location: self.location.to_owned(),
            revision: revision.escape_debug().to_string(),
        })?;
        let failed = unreadable("reading a commit of", self.location);
        let commit = self.repository.find_commit(id).map_err(&failed)?;
        let root = commit.tree_id().map_err(&failed)?.detach();
        drop(commit);
        let entries = match self.directory(root, path)? {
            Some(tree) => self.walk(tree)?,
            None => BTreeMap::new(),
        };
        if entries.is_empty() {
            return Err(SourceError::Empty {
                location: self.location.to_owned(),
                revision: revision.to_owned(),
                path: path.to_owned(),
            });
        }
        Ok(TreeFiles::new(Some(self.repository.into_sync()), entries))
    }

    /// Whether `new` was built on `old`; a commit that is gone was built on by nobody.
    pub(super) fn follows(&self, old: &str, new: &str) -> Result<bool, SourceError> {
        if old == new {
            return Ok(true);
        }
        let (Some(old), Some(new)) = (self.known(old)?, self.known(new)?) else {
            return Ok(false);
        };
        let base = self
            .repository
            .merge_base(old, new)
            .map_err(unreadable("comparing commits of", self.location))?;
        Ok(base.is_some_and(|base| base == old))
    }

    /// The id of a commit that is there.
    fn known(&self, revision: &str) -> Result<Option<ObjectId>, SourceError> {
        let Ok(id) = ObjectId::from_hex(revision.as_bytes()) else {
            return Ok(None);
        };
        let header = self
            .repository
            .try_find_header(id)
            .map_err(unreadable("looking for a commit of", self.location))?;
        Ok(header.filter(|header| header.kind() == gix::object::Kind::Commit).map(|_| id))
    }

    /// The tree at `path`, `None` when there is nothing.
    fn directory(&self, root: ObjectId, path: &str) -> Result<Option<ObjectId>, SourceError> {
        if path.is_empty() {
            return Ok(Some(root));
        }
        let failed = unreadable("reading a directory of", self.location);
        let tree = self.repository.find_tree(root).map_err(&failed)?;
        let Some(entry) = tree.lookup_entry(path.split('/')).map_err(&failed)? else {
            return Ok(None);
        };
        if entry.mode().is_tree() {
            return Ok(Some(entry.object_id()));
        }
        Err(SourceError::Settings(format!(
            "{path} of {} is not a directory: name one with --path; links are not followed",
            self.location
        )))
    }

    /// Every entry under a tree, by path. Directories count towards the limit too: trees that
    /// contain one another many times over cost nothing to make.
    fn walk(&self, root: ObjectId) -> Result<BTreeMap<String, Entry>, SourceError> {
        let failed = unreadable("listing files of", self.location);
        let mut entries = BTreeMap::new();
        let mut open = vec![(String::new(), root)];
        let mut seen = 0_usize;
        while let Some((above, id)) = open.pop() {
            let tree = self.repository.find_tree(id).map_err(&failed)?;
            for entry in tree.iter() {
                let entry = entry.map_err(&failed)?;
                seen += 1;
                if seen > MAX_FILES {
                    return Err(SourceError::TooLarge {
                        location: self.location.to_owned(),
                        what: format!("more than {MAX_FILES} files and directories"),
                    });
                }
                let path = format!("{above}{}", entry.filename().to_str_lossy());
                if entry.filename().to_str().is_err() {
                    entries.insert(path, NAME);
                    continue;
                }
                let mode = entry.mode();
                if mode.is_tree() {
                    open.push((format!("{path}/"), entry.object_id()));
                } else if mode.is_blob() {
                    entries.insert(path, Entry::Blob(entry.object_id()));
                } else {
                    entries.insert(path, if mode.is_commit() { SUBMODULE } else { LINK });
                }
            }
        }
        Ok(entries)
    }
}

/// Words that someone else wrote, fit for a line of a terminal.
fn words(text: &[u8]) -> String {
    let text = text.to_str_lossy();
    text.chars().filter(|letter| !letter.is_control()).take(MAX_WORDS).collect()
}
