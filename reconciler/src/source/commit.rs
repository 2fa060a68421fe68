//! Commits to a repository on this machine.
//!
//! Knows trees and branches. Refuses to touch a work tree or an index: a branch that is checked out
//! is not moved, for whoever works there would be told that they took the change back.

use std::collections::BTreeMap;

use gix::{
    ObjectId,
    bstr::BString,
    objs::{Tree, tree::EntryKind},
    refs::transaction::PreviousValue,
};

use super::{
    SourceError, clean_branch,
    object_store::{ObjectStore, unreadable},
};

/// Files to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The revision that they were edited on.
    pub base: String,
    /// The branch; it is made at `base` where it is not there.
    pub branch: String,
    /// Their whole texts, by path.
    pub files: BTreeMap<String, String>,
    /// The commit's message.
    pub message: String,
    /// Who made the change.
    pub author: String,
    /// When, in seconds since 1970.
    pub seconds: i64,
}

/// The address of whoever has none: it is never one.
const NO_ADDRESS: &str = "devnet@invalid";

impl ObjectStore<'_> {
    /// Commits a change under `subdirectory` and moves its branch.
    ///
    /// # Errors
    /// When the branch has moved on, is checked out, or git fails.
    pub(super) fn commit(
        &self,
        change: &Change,
        subdirectory: &str,
    ) -> Result<String, SourceError> {
        let branch = clean_branch(&change.branch)?;
        let name = format!("refs/heads/{branch}");
        let location = self.location.to_owned();
        let failed = unreadable("committing to", self.location);
        let base = ObjectId::from_hex(change.base.as_bytes()).map_err(&failed)?;
        let tip = self.reference(&name)?;
        if tip.is_some_and(|tip| tip != base) {
            return Err(SourceError::Moved { location, branch });
        }
        if !self.repository.is_bare() && self.is_checked_out(&name)? {
            let why = format!("branch {branch} is checked out there");
            return Err(SourceError::ReadOnly { location, why });
        }
        let root = self.repository.find_commit(base).map_err(&failed)?;
        let mut tree = root.tree_id().map_err(&failed)?.detach();
        for (path, text) in &change.files {
            let whole = match subdirectory {
                "" => path.clone(),
                under => format!("{under}/{path}"),
            };
            let parts: Vec<&str> = whole.split('/').collect();
            tree = self.with(tree, &parts, text)?;
        }
        let author = self.signature(&change.author, change.seconds);
        let commit = gix::objs::Commit {
            tree,
            parents: [base].into_iter().collect(),
            author: author.clone(),
            committer: author,
            encoding: None,
            message: BString::from(change.message.as_str()),
            extra_headers: Vec::new(),
        };
        let id = self.repository.write_object(&commit).map_err(&failed)?.detach();
        let expected = match tip {
            Some(tip) => PreviousValue::MustExistAndMatch(gix::refs::Target::Object(tip)),
            None => PreviousValue::MustNotExist,
        };
        let log = format!("devnet: {}", change.message.lines().next().unwrap_or_default());
        match self.repository.reference(name, id, expected, log) {
            Ok(_) => Ok(id.to_string()),
            // Somebody was quicker.
            Err(_) if self.reference(&format!("refs/heads/{branch}"))? != tip => {
                Err(SourceError::Moved { location, branch })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Whether HEAD leads to this branch (`refs/heads/main`).
    pub(super) fn is_checked_out(&self, name: &str) -> Result<bool, SourceError> {
        let failed = unreadable("reading HEAD of", self.location);
        let head = self.repository.head().map_err(&failed)?;
        Ok(head.referent_name().is_some_and(|it| it.as_bstr() == name))
    }

    fn signature(&self, author: &str, seconds: i64) -> gix::actor::Signature {
        // What ends a name in git's own form.
        let name: String =
            author.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).collect();
        gix::actor::Signature {
            name: BString::from(name),
            email: BString::from(NO_ADDRESS),
            time: gix::date::Time::new(seconds, 0),
        }
    }

    /// The tree with this file in it.
    fn with(&self, tree: ObjectId, parts: &[&str], text: &str) -> Result<ObjectId, SourceError> {
        let failed = unreadable("committing to", self.location);
        let Some((first, rest)) = parts.split_first() else { return Ok(tree) };
        let found = self.repository.find_tree(tree).map_err(&failed)?;
        let mut whole: Tree = found.decode().map_err(&failed)?.into();
        let gone = || {
            let why = format!("{first} is not in the revision that was edited");
            SourceError::Settings(why)
        };
        let entry = whole.entries.iter_mut().find(|it| it.filename == *first).ok_or_else(gone)?;
        entry.oid = if rest.is_empty() {
            // A link to a file would be written through.
            if !matches!(entry.mode.kind(), EntryKind::Blob | EntryKind::BlobExecutable) {
                return Err(gone());
            }
            self.repository.write_blob(text).map_err(&failed)?.detach()
        } else {
            self.with(entry.oid, rest, text)?
        };
        Ok(self.repository.write_object(&whole).map_err(&failed)?.detach())
    }
}
