//! Files that commands read and write: all of a file or nothing of it, and never one that nobody
//! meant.
//!
//! Knows standard input, permissions, owners and temporary names. Refuses to know what a file says.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::checkout::MAX_FILE;

/// Stands for standard input.
pub(super) const STDIN: &str = "-";

/// The bytes of a file, or of standard input; no more than one over the limit, so that whoever
/// knows the limits of its content says what is too much.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let act = || format!("reading {}", path.display());
    let mut bytes = Vec::new();
    if path.as_os_str() == STDIN {
        io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes).with_context(act)?;
    } else {
        let file = File::open(path).with_context(act)?;
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).with_context(act)?;
    }
    Ok(bytes)
}

/// What people call it.
pub(super) fn shown(path: &Path) -> String {
    if path.as_os_str() == STDIN { "<stdin>".to_owned() } else { path.display().to_string() }
}

/// Puts `text` in the place of the file `path`, whose permissions and owner stay. Whoever reads the
/// file meanwhile sees the old text or the new one.
///
/// # Errors
/// When it may not be written. Then it is as it was.
pub(super) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    // A link stays a link: what it points to is replaced.
    let path = fs::canonicalize(path).with_context(|| format!("finding {}", path.display()))?;
    let act = || format!("writing {}", path.display());
    let before = fs::metadata(&path).with_context(act)?;
    if before.permissions().readonly() {
        bail!("{} is read-only", path.display());
    }
    let beside = beside(&path);
    let written = (|| -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
            // Only root may give files away; for everybody else the new owner is the writer.
            let _ = fchown(&file, Some(before.uid()), Some(before.gid()));
        }
        file.set_permissions(fs::Permissions::from_mode(before.mode() & 0o7777))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.with_context(act)
}

/// A name in the same directory that nobody else has.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.devnet-{}", std::process::id()))
}

/// Writes `text` to a new file.
///
/// # Errors
/// When there is such a file already, or it cannot be written; then there is none.
pub(super) fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_and_links_stay_and_nothing_is_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("a.kdl"), dir.path().join("link.kdl"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("a.kdl", &link).unwrap();
        replace(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_read_only_file_and_a_missing_one_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.kdl");
        assert!(replace(&file, "new").is_err());
        assert!(!file.exists());
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(replace(&file, "new").unwrap_err().to_string().contains("read-only"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    }

    #[test]
    fn a_file_that_is_there_is_not_created() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.kdl");
        create(&file, "one").unwrap();
        assert_eq!(create(&file, "two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
    }
}
