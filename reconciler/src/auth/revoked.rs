//! Nodes that were taken out, kept beside the CA whose certificates they still hold.
//!
//! Knows ids, and for how long a certificate of theirs could be good. Refuses to forget one sooner:
//! the records may be deleted at any time, and a removed node must not come back by that.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use super::{authority::NODE_LIFE, key_file};

/// How long an id is refused: the longest life of a certificate, and a day for clocks.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 31);

/// Why the list could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RevokedError {
    /// Reading or writing failed.
    #[error("{act} the list of removed nodes {}", path.display())]
    File {
        /// `reading`, `writing`.
        act: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line of it says something else than an id and a time.
    #[error(
        "line {line} of the list of removed nodes {} is no id and time: put the file back from a \
         backup, or delete that line; a node that it named could then come back for 31 days",
        path.display()
    )]
    Line {
        /// Which, from 1.
        line: usize,
        /// Of which file.
        path: PathBuf,
    },
}

/// Ids of removed nodes, in memory as in the file.
#[derive(Debug)]
pub struct Revoked {
    path: PathBuf,
    /// Until when each is refused.
    ids: Mutex<BTreeMap<String, Timestamp>>,
}

impl Revoked {
    /// Reads the list in the CA's directory; none is an empty one. What no certificate can be left
    /// of is dropped.
    ///
    /// # Errors
    /// When it is there and cannot be read: going on without it would let removed nodes in.
    pub fn open(directory: &Path, now: Timestamp) -> Result<Self, RevokedError> {
        let path = directory.join("revoked");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(RevokedError::File { act: "reading", path, source }),
        };
        let mut ids = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let entry = line.split_once(' ').filter(|(id, _)| !id.is_empty());
            let entry = entry.and_then(|(id, until)| Some((id, until.parse::<Timestamp>().ok()?)));
            let Some((id, until)) = entry else {
                return Err(RevokedError::Line { line: at + 1, path });
            };
            if until > now {
                ids.insert(id.to_owned(), until);
            }
        }
        Ok(Self { path, ids: Mutex::new(ids) })
    }

    /// The node of this id, taken out at `removed`, is refused from now on. It is on disk
    /// afterwards.
    ///
    /// # Errors
    /// When the file cannot be written; nothing is refused then that was not before, and it can be
    /// tried again.
    pub fn add(&self, id: &str, removed: Timestamp, now: Timestamp) -> Result<(), RevokedError> {
        let mut ids = self.lock();
        let until = removed.checked_add(KEPT).unwrap_or(Timestamp::MAX);
        if until <= now || ids.contains_key(id) {
            return Ok(());
        }
        let mut next = ids.clone();
        next.insert(id.to_owned(), until);
        next.retain(|_, until| *until > now);
        let text: String = next.iter().map(|(id, until)| format!("{id} {until}\n")).collect();
        key_file::replace(&self.path, &text, 0o600).map_err(|source| RevokedError::File {
            act: "writing",
            path: self.path.clone(),
            source,
        })?;
        // Only now: what is in memory and not on disk would be taken for written the next time.
        *ids = next;
        Ok(())
    }

    /// Whether the node of this id was taken out.
    pub fn holds(&self, id: &str) -> bool {
        self.lock().contains_key(id)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// What is refused for a shorter time than a certificate lives could come back.
const _: () = assert!(KEPT.as_secs() > NODE_LIFE.as_secs());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_id_is_refused_until_no_certificate_of_it_can_be_left() {
        let dir = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |days: i64| now.checked_add(SignedDuration::from_hours(24 * days)).unwrap();
        let list = Revoked::open(dir.path(), now).unwrap();
        list.add("a", now, now).unwrap();
        list.add("b", after(20), after(20)).unwrap();
        list.add("c", now, after(32)).unwrap();
        assert!(list.holds("a") && list.holds("b") && !list.holds("c"));
        let later = Revoked::open(dir.path(), after(32)).unwrap();
        assert!(!later.holds("a") && later.holds("b"));
    }

    #[test]
    fn what_could_not_be_written_is_written_when_it_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let pki = dir.path().join("pki");
        let list = Revoked::open(&pki, now).unwrap();
        assert!(list.add("a", now, now).is_err(), "there is no such directory");
        assert!(!list.holds("a"));
        fs::create_dir(&pki).unwrap();
        list.add("a", now, now).unwrap();
        assert!(Revoked::open(&pki, now).unwrap().holds("a"));
    }

    #[test]
    fn a_damaged_list_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("revoked"), "a 2026-01-01T00:00:00Z\nb\n").unwrap();
        let error = Revoked::open(dir.path(), Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(error.to_string().starts_with("line 2 of"), "{error}");
    }
}
