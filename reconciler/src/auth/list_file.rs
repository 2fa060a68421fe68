//! Lists that are kept beside the CA: what has to be known also when the records are lost.
//!
//! Knows lines of two words, and that a file is replaced as a whole. Refuses to know what the words
//! mean, and to have in memory what is not on disk.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::key_file;

/// Why a list could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Reading or writing failed.
    #[error("{act} {list} {}", path.display())]
    File {
        /// `reading`, `writing`.
        act: &'static str,
        /// What it lists.
        list: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line of it says something else.
    #[error("line {line} of {list} {} is {problem}", path.display())]
    Line {
        /// Which, from 1.
        line: usize,
        /// What it lists.
        list: &'static str,
        /// Of which file.
        path: PathBuf,
        /// What it is not, and what to do.
        problem: &'static str,
    },
}

/// What the lines of a list say: an id and something else.
pub(super) trait Line {
    /// The file's name in the CA's directory.
    const FILE: &'static str;
    /// What it lists, for people.
    const LIST: &'static str;
    /// What a line that cannot be read is not, and what to do then.
    const PROBLEM: &'static str;
    /// By what entries are found; one of each.
    type Key: Ord + Clone + Debug;
    /// What else is known of each.
    type Value: Clone + Debug;

    /// The entry of a line: its first word, which is not empty, and the rest.
    fn read(id: &str, rest: &str) -> Option<(Self::Key, Self::Value)>;
    /// The line of an entry: its first word, and the rest.
    fn write(key: &Self::Key, value: &Self::Value) -> (String, String);
}

/// The entries of a list.
pub(super) type Entries<L> = BTreeMap<<L as Line>::Key, <L as Line>::Value>;

/// A list, in memory as in its file.
#[derive(Debug)]
pub(super) struct ListFile<L: Line> {
    path: PathBuf,
    entries: Mutex<Entries<L>>,
}

impl<L: Line> ListFile<L> {
    /// Reads the list in the CA's directory; none is an empty one.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub(super) fn open(directory: &Path) -> Result<Self, ListError> {
        let (path, list) = (directory.join(L::FILE), L::LIST);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ListError::File { act: "reading", list, path, source }),
        };
        let mut entries = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let words = line.split_once(' ').filter(|(id, _)| !id.is_empty());
            let Some((key, value)) = words.and_then(|(id, rest)| L::read(id, rest)) else {
                return Err(ListError::Line { line: at + 1, list, path, problem: L::PROBLEM });
            };
            entries.insert(key, value);
        }
        Ok(Self { path, entries: Mutex::new(entries) })
    }

    /// What is on the list now.
    pub(super) fn entries(&self) -> MutexGuard<'_, Entries<L>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the list where `change` says that it did. It is on disk afterwards.
    ///
    /// # Errors
    /// When the file cannot be written; the list is as it was then, and it can be tried again.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Entries<L>) -> bool,
    ) -> Result<(), ListError> {
        let mut entries = self.entries();
        let mut next = entries.clone();
        if !change(&mut next) {
            return Ok(());
        }
        let line = |(key, value)| {
            let (id, rest) = L::write(key, value);
            format!("{id} {rest}\n")
        };
        let text: String = next.iter().map(line).collect();
        key_file::replace(&self.path, &text, 0o600).map_err(|source| ListError::File {
            act: "writing",
            list: L::LIST,
            path: self.path.clone(),
            source,
        })?;
        // Only now: what is in memory and not on disk would be taken for written the next time.
        *entries = next;
        Ok(())
    }
}
