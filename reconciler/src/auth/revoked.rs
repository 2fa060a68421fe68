//! Nodes that were taken out, kept beside the CA whose certificates they still hold.
//!
//! Knows ids, and for how long a certificate of theirs could be good. Refuses to forget one sooner:
//! the records may be deleted at any time, and a removed node must not come back by that.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::{
    authority::NODE_LIFE,
    list_file::{Line, ListError, ListFile},
};

/// How long an id is refused: the longest life of a certificate, and a day for clocks.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 31);

/// The id of a node, and until when it is refused.
#[derive(Debug)]
struct Refused;

impl Line for Refused {
    const FILE: &'static str = "revoked";
    const LIST: &'static str = "the list of removed nodes";
    const PROBLEM: &'static str = "no id and time: put the file back from a backup, or delete \
        that line; a node that it named could then come back for 31 days";
    type Key = String;
    type Value = Timestamp;

    fn read(id: &str, until: &str) -> Option<(String, Timestamp)> {
        Some((id.to_owned(), until.parse().ok()?))
    }

    fn write(id: &String, until: &Timestamp) -> (String, String) {
        (id.clone(), until.to_string())
    }
}

/// Ids of removed nodes, each with until when it is refused.
#[derive(Debug)]
pub struct Revoked(ListFile<Refused>);

impl Revoked {
    /// Reads the list in the CA's directory; none is an empty one. What no certificate can be left
    /// of is dropped.
    ///
    /// # Errors
    /// When it is there and cannot be read: going on without it would let removed nodes in.
    pub fn open(directory: &Path, now: Timestamp) -> Result<Self, ListError> {
        let list = ListFile::<Refused>::open(directory)?;
        list.entries().retain(|_, until| *until > now);
        Ok(Self(list))
    }

    /// The node of this id, taken out at `removed`, is refused from now on. It is on disk
    /// afterwards.
    ///
    /// # Errors
    /// When the file cannot be written; nothing is refused then that was not before, and it can be
    /// tried again.
    pub fn add(&self, id: &str, removed: Timestamp, now: Timestamp) -> Result<(), ListError> {
        let until = removed.checked_add(KEPT).unwrap_or(Timestamp::MAX);
        self.0.change(|ids| {
            if until <= now || ids.contains_key(id) {
                return false;
            }
            ids.insert(id.to_owned(), until);
            ids.retain(|_, until| *until > now);
            true
        })
    }

    /// Whether the node of this id was taken out.
    pub fn holds(&self, id: &str) -> bool {
        self.0.entries().contains_key(id)
    }
}

// What is refused for a shorter time than a certificate lives could come back.
const _: () = assert!(KEPT.as_secs() > NODE_LIFE.as_secs());

#[cfg(test)]
mod tests {
    use std::fs;

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
        let error = error.to_string();
        assert!(error.starts_with("line 2 of the list of removed nodes"), "{error}");
        assert!(error.contains("is no id and time: put the file back"), "{error}");
    }
}
