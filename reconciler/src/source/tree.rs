//! The files of one revision.
//!
//! Knows paths, sizes and which entries are no plain files. Refuses to follow symbolic links, to
//! look into submodules, and to hold more than a configuration may have.

use std::{collections::BTreeMap, sync::Arc};

use devnet_schema::file::Files;

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// The most files that a configuration may have.
pub const MAX_FILES: usize = 20_000;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// A file in the object database.
    Blob(gix::ObjectId),
    /// A file, read already.
    Bytes(Arc<[u8]>),
    /// There, and refused when it is read.
    Refused(&'static str),
}

/// The entry is a symbolic link.
pub(super) const LINK: Entry =
    Entry::Refused("is a symbolic link, and those are not followed: put the file itself there");

/// The entry is a submodule.
pub(super) const SUBMODULE: Entry =
    Entry::Refused("is a git submodule, and those are not read: put the files themselves there");

/// The entry is a device, a socket or a pipe.
pub(super) const SPECIAL: Entry = Entry::Refused("is not a plain file");

/// The entry is larger than [`MAX_FILE_BYTES`].
pub(super) const LARGE: Entry =
    Entry::Refused("is larger than 4 MiB, the most that a file of a configuration may have");

/// The entry's name is no text; in the list it stands with the characters that could be read.
pub(super) const NAME: Entry =
    Entry::Refused("has a name that is not UTF-8 text: give it another one");

/// The entry is a directory whose name begins with a dot, where there is no git to say what belongs
/// to the configuration.
pub(super) const HIDDEN: Entry = Entry::Refused(
    "is a hidden directory, and those are not read without git: give it another name",
);

/// What is said of a file that stands for another one.
const POINTER: &str = "is a Git LFS pointer, and what it stands for is not in the repository: keep \
                       the file itself there (`git lfs untrack`, then commit it again)";

/// Whether a file's content stands for that of another one, by the specification of Git LFS: at
/// most 1024 bytes, the version first and an object id after it.
fn is_pointer(content: &[u8]) -> bool {
    let begins = content.starts_with(b"version https://git-lfs.github.com/spec/v");
    let has_id = || content.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"oid "));
    content.len() <= 1024 && begins && has_id()
}

/// The content of a file, unless it stands for another one.
///
/// # Errors
/// When it does, for people.
pub fn itself(path: &str, content: Vec<u8>) -> Result<Vec<u8>, String> {
    if is_pointer(&content) { Err(format!("{path} {POINTER}")) } else { Ok(content) }
}

/// The files of one revision. Content that lies in an object database is read when it is asked for.
#[derive(Debug, Clone)]
pub struct TreeFiles {
    repository: Option<gix::ThreadSafeRepository>,
    entries: BTreeMap<String, Entry>,
}

impl TreeFiles {
    pub(super) fn new(
        repository: Option<gix::ThreadSafeRepository>,
        entries: BTreeMap<String, Entry>,
    ) -> Self {
        Self { repository, entries }
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none; no source gives such.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn blob(&self, path: &str, id: gix::ObjectId) -> Result<Vec<u8>, String> {
        let repository =
            self.repository.as_ref().ok_or_else(|| format!("{path} has no repository"))?;
        let repository = repository.to_thread_local();
        let failed = |error: &dyn std::fmt::Display| {
            format!("reading {path} from the object database: {error}")
        };
        // The header first: a blob of gigabytes must not be unpacked to learn that it is too large.
        let header = repository.find_header(id).map_err(|error| failed(&error))?;
        if header.size() > MAX_FILE_BYTES {
            return match LARGE {
                Entry::Refused(why) => Err(format!("{path} {why}")),
                _ => Err(format!("{path} is too large")),
            };
        }
        let mut object = repository.find_object(id).map_err(|error| failed(&error))?;
        Ok(std::mem::take(&mut object.data))
    }
}

impl Files for TreeFiles {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match self.entries.get(path) {
            Some(Entry::Blob(id)) => itself(path, self.blob(path, *id)?).map(Some),
            Some(Entry::Bytes(bytes)) => itself(path, bytes.to_vec()).map(Some),
            Some(Entry::Refused(why)) => Err(format!("{path} {why}")),
            None => match self.refused_above(path) {
                Some((above, why)) => Err(format!("{path} cannot be read: {above} {why}")),
                None => Ok(None),
            },
        }
    }

    fn list(&self) -> Result<Vec<String>, String> {
        Ok(self.entries.keys().cloned().collect())
    }
}

impl TreeFiles {
    /// A directory above `path` that is a link or a submodule: then `path` may well exist, only not
    /// for us, and "no such file" would be a wrong answer.
    fn refused_above<'a>(&self, path: &'a str) -> Option<(&'a str, &'static str)> {
        let mut above = path;
        while let Some((parent, _)) = above.rsplit_once('/') {
            if let Some(Entry::Refused(why)) = self.entries.get(parent) {
                return Some((parent, why));
            }
            above = parent;
        }
        None
    }
}
