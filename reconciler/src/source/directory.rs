//! A plain directory: no history, and the digest of its files as revision.
//!
//! Knows the files as they are at the moment of looking, and gives of each the answer that a commit
//! with it would give. Refuses to follow symbolic links, and to look into hidden directories: there
//! is no git that says what of them belongs to the configuration.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    Revision, Source, SourceError, TreeFiles, Wake, Watcher, clean_subdirectory,
    object_store::unreadable,
    tree::{Entry, HIDDEN, LARGE, LINK, MAX_FILE_BYTES, MAX_FILES, NAME, SPECIAL, SUBMODULE},
    watch,
};

/// The most that all files together may hold, in bytes: they are read at every look.
const MAX_TOTAL_BYTES: u64 = 64 << 20;

/// A directory, and what was seen in it last.
#[derive(Debug)]
pub struct DirectorySource {
    path: PathBuf,
    location: String,
    /// So that the files of a revision are those that its digest was taken of.
    seen: Mutex<Option<(String, TreeFiles)>>,
}

impl DirectorySource {
    /// The configuration in `subdirectory` (empty for its root) of the directory at `path`.
    ///
    /// # Errors
    /// When there is no such directory, or the setting is not usable.
    pub fn open(path: PathBuf, subdirectory: &str) -> Result<Self, SourceError> {
        let path = match clean_subdirectory(subdirectory)?.as_str() {
            "" => path,
            below => path.join(below),
        };
        let location = path.display().to_string();
        fs::read_dir(&path).map_err(unreadable("opening the directory", &location))?;
        Ok(Self { path, location, seen: Mutex::default() })
    }

    /// Reads everything; gives the digest and the files.
    fn look(&self) -> Result<(String, TreeFiles), SourceError> {
        let entries = Walk::of(&self.path, &self.location)?;
        let id = digest(&entries);
        if entries.is_empty() {
            return Err(SourceError::Empty {
                location: self.location.clone(),
                revision: id,
                path: String::new(),
            });
        }
        Ok((id, TreeFiles::new(None, entries)))
    }
}

impl Source for DirectorySource {
    fn location(&self) -> &str {
        &self.location
    }

    fn branch(&self) -> &str {
        ""
    }

    fn subdirectory(&self) -> &str {
        ""
    }

    fn head(&self) -> Result<Revision, SourceError> {
        let (id, files) = self.look()?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((id.clone(), files));
        Ok(Revision { id, summary: String::new(), author: String::new(), time: None })
    }

    fn files(&self, revision: &str) -> Result<TreeFiles, SourceError> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (id, files) = match seen {
            Some(seen) if seen.0 == revision => seen,
            _ => self.look()?,
        };
        if id == revision {
            return Ok(files);
        }
        Err(SourceError::RevisionMissing {
            location: self.location.clone(),
            revision: revision.escape_debug().to_string(),
        })
    }

    fn follows(&self, _old: &str, _new: &str) -> Result<bool, SourceError> {
        Ok(true)
    }

    fn watch(&self, interval: Duration, wake: Wake) -> Result<Watcher, SourceError> {
        let root = self.path.clone();
        let of_interest = move |path: &Path| {
            let below = path.strip_prefix(&root).unwrap_or(path);
            let hidden = |path: &Path| {
                path.components().any(|it| it.as_os_str().as_encoded_bytes().starts_with(b"."))
            };
            // A file like `.env` is read, too.
            let passing = below.file_name().is_some_and(is_in_no_commit);
            !below.parent().is_some_and(hidden) && !passing
        };
        Ok(watch::start(&[(&self.path, true)], interval, wake, of_interest))
    }
}

/// The revision of these files. Lengths go in before contents, so that no two lists of files make
/// the same bytes.
fn digest(entries: &BTreeMap<String, Entry>) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    };
    for (path, entry) in entries {
        field(path.as_bytes());
        match entry {
            Entry::Blob(id) => field(id.as_slice()),
            Entry::Bytes(bytes) => field(bytes),
            Entry::Refused(why) => field(why.as_bytes()),
        }
    }
    format!("files:{}", &hasher.finalize().to_hex()[..40])
}

/// Git's own, and what editors keep beside a file that is open.
fn is_in_no_commit(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    let swap = [".swp", ".swo", ".swx"].iter().any(|end| bytes.ends_with(end.as_bytes()));
    name == ".git" || bytes.starts_with(b".#") || (bytes.starts_with(b".") && swap)
}

/// Whether a directory is a repository of its own.
fn path_is_repository(directory: &Path) -> bool {
    fs::symlink_metadata(directory.join(".git")).is_ok()
}

/// A walk through a directory, and what it found so far.
struct Walk<'a> {
    location: &'a str,
    entries: BTreeMap<String, Entry>,
    seen: usize,
    bytes: u64,
}

impl<'a> Walk<'a> {
    fn of(root: &Path, location: &'a str) -> Result<BTreeMap<String, Entry>, SourceError> {
        let mut walk = Self { location, entries: BTreeMap::new(), seen: 0, bytes: 0 };
        let mut open = vec![(String::new(), root.to_owned())];
        while let Some((above, directory)) = open.pop() {
            let failed = unreadable("reading the directory", location);
            for entry in fs::read_dir(&directory).map_err(&failed)? {
                let entry = entry.map_err(&failed)?;
                let name = entry.file_name();
                if is_in_no_commit(&name) {
                    continue;
                }
                walk.count()?;
                let path = format!("{above}{}", name.to_string_lossy());
                let is_dir = entry.file_type().map_err(&failed)?.is_dir();
                if name.to_str().is_none() {
                    walk.entries.insert(path, NAME);
                } else if is_dir && path_is_repository(&entry.path()) {
                    walk.entries.insert(path, SUBMODULE);
                } else if is_dir && path.rsplit('/').next().is_some_and(|it| it.starts_with('.')) {
                    walk.entries.insert(path, HIDDEN);
                } else if is_dir {
                    open.push((format!("{path}/"), entry.path()));
                } else if let Some(found) = walk.entry(&entry)? {
                    walk.entries.insert(path, found);
                }
            }
        }
        Ok(walk.entries)
    }

    fn count(&mut self) -> Result<(), SourceError> {
        self.seen += 1;
        if self.seen <= MAX_FILES {
            return Ok(());
        }
        Err(self.too_large(format!("more than {MAX_FILES} files and directories")))
    }

    /// What is there; `None` when it went away while we looked.
    fn entry(&mut self, entry: &fs::DirEntry) -> Result<Option<Entry>, SourceError> {
        let failed = unreadable("reading a file of", self.location);
        // Of the entry itself, never of what a link leads to.
        let facts = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            facts => facts.map_err(&failed)?,
        };
        if facts.file_type().is_symlink() {
            return Ok(Some(LINK));
        }
        if !facts.is_file() {
            return Ok(Some(SPECIAL));
        }
        if facts.len() > MAX_FILE_BYTES {
            return Ok(Some(LARGE));
        }
        let bytes = match fs::read(entry.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(&failed)?,
        };
        self.bytes += bytes.len() as u64;
        if self.bytes > MAX_TOTAL_BYTES {
            return Err(self.too_large("more than 64 MiB of files".to_owned()));
        }
        Ok(Some(Entry::Bytes(bytes.into())))
    }

    fn too_large(&self, what: String) -> SourceError {
        SourceError::TooLarge { location: self.location.to_owned(), what }
    }
}
