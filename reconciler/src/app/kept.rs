//! What a control plane keeps on disk before anything can be opened: its directory, the lock, the
//! admin's key, and the limit on open files.
//!
//! Knows modes. Refuses to close a directory that is not its own, and files that others may read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use tracing::{info, warn};

use crate::{auth::ApiKey, config::read_private, random, time::Time};

/// Files by which a directory is known for a control plane's.
const OURS: [&str; 4] = ["pki/ca.key", "pki/ca.pem", "state.db", "admin.key"];

/// Makes the data directory, or closes the one that is there to other users. One that is open to
/// others and holds something else is left as it is: it may be `/tmp`.
///
/// # Errors
/// When it cannot be made or closed, or is not to be closed.
pub(super) fn data_dir(dir: &Path) -> anyhow::Result<()> {
    let found = match fs::metadata(dir) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .with_context(|| format!("making the data directory {}", dir.display()));
        }
        Err(error) => {
            return Err(error).with_context(|| format!("opening {}", dir.display()));
        }
    };
    if !found.is_dir() {
        bail!("{} is no directory: name another --data-dir", dir.display());
    }
    let mode = found.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let shared = mode & 0o1000 != 0;
    if shared || !(is_ours(dir) || is_empty(dir)?) {
        bail!(
            "{0} is open to other users and holds what is not a control plane's, so it is not \
             closed to them: name a --data-dir of its own, or run chmod 700 {0} if nobody else \
             uses it",
            dir.display()
        );
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("closing {} to other users", dir.display()))
}

fn is_ours(dir: &Path) -> bool {
    OURS.iter().any(|file| dir.join(file).exists())
}

/// A new file system has one directory of its own.
fn is_empty(dir: &Path) -> anyhow::Result<bool> {
    let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", dir.display()))?;
        if entry.file_name() != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes the data directory for this process alone; the lock ends with the process.
///
/// # Errors
/// When another process has it.
pub(super) fn lock(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    if file.try_lock().is_err() {
        bail!("another control plane uses {}: stop it, or name another --data-dir", dir.display());
    }
    Ok(file)
}

/// The admin's key: the one in `admin.key`, or a new one. `client.yaml` holds it, too.
///
/// # Errors
/// When one of the two may be read by others than its owner, or `admin.key` holds no key.
pub(super) fn admin_key(dir: &Path) -> anyhow::Result<ApiKey> {
    let (path, client) = (dir.join("admin.key"), dir.join("client.yaml"));
    let exposed = || {
        format!(
            "using {}: if others may have read the key, move admin.key and client.yaml away, and \
             new ones are made",
            dir.display()
        )
    };
    match read_private(&client) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(error).with_context(exposed);
        }
        // It is written anew at each start.
        _ => {}
    }
    match read_private(&path) {
        Ok(text) => ApiKey::parse(&text).map_err(|_| {
            anyhow!(
                "{} holds no key: put it back from a backup, or move it away to have a new one \
                 made; client.yaml is then written with the new one",
                path.display()
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = ApiKey::make(&mut random::fill);
            write_private(&path, &format!("{}\n", key.text().expose()))?;
            info!(path = %path.display(), "the first admin key was made");
            Ok(key)
        }
        Err(error) => Err(error).with_context(exposed),
    }
}

/// When a file was written last; the start of 1970 where that cannot be told.
pub(super) fn written(path: &Path) -> Time {
    let at = fs::metadata(path).and_then(|found| found.modified()).ok();
    at.and_then(|at| Timestamp::try_from(at).ok()).map_or(Time::EPOCH, Time::from)
}

/// Writes such a file where it is not there as it should be: a full disk keeps nobody from
/// starting with one that is.
///
/// # Errors
/// When it has to be written and cannot be.
pub(super) fn keep_private(path: &Path, text: &str) -> anyhow::Result<()> {
    match read_private(path) {
        Ok(there) if there == text => Ok(()),
        _ => write_private(path, text),
    }
}

/// Writes a file that only its owner may read, as a whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    let write = || -> io::Result<()> {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

/// Lets this process open as many files as the system allows it to, and says how many that are.
/// Connections are files; the usual soft limit of 1024 is there for programs that use `select`.
pub(super) fn open_files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a plain system call that fills the struct it is given.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        warn!(error = %io::Error::last_os_error(), "reading how many files may be open");
        return 1024;
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: a plain system call that reads the struct it is given.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } == 0 {
        return raised.rlim_cur;
    }
    warn!(error = %io::Error::last_os_error(), "raising how many files may be open");
    limit.rlim_cur
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_directory_of_its_own_is_closed_and_any_other_is_left_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let dir = |name: &str, bits: u32, file: Option<&str>| {
            let dir = root.path().join(name);
            fs::create_dir(&dir).unwrap();
            if let Some(file) = file {
                fs::create_dir_all(dir.join(file).parent().unwrap()).unwrap();
                fs::write(dir.join(file), "").unwrap();
            }
            set(&dir, bits);
            dir
        };
        let new = root.path().join("a/new");
        data_dir(&new).unwrap();
        assert_eq!(mode(&new), 0o700);
        for (name, bits, file) in [
            ("empty", 0o755, None),
            ("volume", 0o755, Some("lost+found/x")),
            ("known", 0o755, Some("state.db")),
            ("restored", 0o777, Some("pki/ca.key")),
            ("private", 0o700, Some("notes.txt")),
        ] {
            let dir = dir(name, bits, file);
            data_dir(&dir).unwrap();
            assert_eq!(mode(&dir), 0o700, "{name}");
        }
        for (name, bits, file) in [
            ("other", 0o755, Some("notes.txt")),
            ("tmp", 0o1777, None),
            ("tmp2", 0o1777, Some("state.db")),
        ] {
            let dir = dir(name, bits, file);
            let error = data_dir(&dir).unwrap_err().to_string();
            assert!(error.contains("--data-dir") && error.contains("chmod 700"), "{error}");
            assert_eq!(mode(&dir), bits, "{name}");
        }
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(data_dir(&file).unwrap_err().to_string().contains("is no directory"));
    }

    #[test]
    fn a_file_that_is_as_it_should_be_is_not_written_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("client.yaml");
        keep_private(&path, "a: 1").unwrap();
        // Whoever writes it first makes a file beside it: nobody can where that is a directory.
        fs::create_dir(root.path().join("client.new")).unwrap();
        keep_private(&path, "a: 1").unwrap();
        keep_private(&path, "a: 2").unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a: 1");
        set(&path, 0o644);
        keep_private(&path, "a: 1").unwrap_err();
    }

    #[test]
    fn an_admin_key_that_others_may_read_is_refused_and_not_shown() {
        let root = tempfile::tempdir().unwrap();
        let key = admin_key(root.path()).unwrap();
        assert_eq!(admin_key(root.path()).unwrap(), key);
        let client = root.path().join("client.yaml");
        fs::write(&client, key.text().expose()).unwrap();
        for name in ["client.yaml", "admin.key"] {
            let path = root.path().join(name);
            for bits in [0o640, 0o604] {
                set(&path, bits);
                let error = format!("{:#}", admin_key(root.path()).unwrap_err());
                assert!(error.contains("chmod 600") && error.contains(name), "{error}");
                assert!(!error.contains(key.text().expose()), "{error}");
                assert_eq!(mode(&path), bits, "nothing is changed");
            }
            set(&path, 0o600);
        }
        assert_eq!(admin_key(root.path()).unwrap(), key);
    }

    #[test]
    fn as_many_files_may_be_open_as_the_system_allows() {
        let raised = open_files();
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a plain system call that fills the struct it is given.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
        assert_eq!((limit.rlim_cur, limit.rlim_cur), (limit.rlim_max, raised));
    }
}
