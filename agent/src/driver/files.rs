//! Files that devnet writes for a unit, with their secrets filled in.
//!
//! Knows paths, modes and where content may lie. Refuses to write outside the directory it is
//! given, and to leave a half-written file.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};

use devnet_schema::instance::FileSpec;

use super::DriverError;
use crate::{identity::create_private_dir, secrets::Values};

/// A path that stays below the directory it is joined to.
///
/// # Errors
/// When it is absolute, empty, or goes up.
pub fn below(base: &Path, relative: &str) -> Result<PathBuf, DriverError> {
    let path = Path::new(relative);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if relative.is_empty() || !path.components().all(plain) {
        return Err(DriverError::failed(
            format!("the path `{}` is not allowed", relative.escape_debug()),
            "it leaves the unit's own directory",
            "write a path relative to the working directory, without `..`",
        ));
    }
    Ok(base.join(path))
}

/// Writes one file: the content appears at once and with its mode, or not at all.
///
/// # Errors
/// When a secret has no value, or the disk refuses.
pub fn write(path: &Path, file: &FileSpec, values: &Values) -> Result<(), DriverError> {
    let content = values.fill(&file.content)?;
    place(path, content.expose().as_bytes(), file.mode & 0o7777).map_err(|error| {
        DriverError::failed(
            format!("the file {} cannot be written", path.display()),
            error,
            "check that the disk has room and is not read-only",
        )
    })
}

fn place(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = parent.join(format!(".{name}.devnet-new"));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // `create_new` follows no link that the unit may have put there.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    fs::rename(&temporary, path)
}

/// Creates a directory for this user only.
///
/// # Errors
/// When the disk refuses.
pub fn private_dir(path: &Path) -> Result<(), DriverError> {
    create_private_dir(path).map_err(|error| {
        DriverError::failed(
            format!("the directory {} cannot be created", path.display()),
            format!("{:#}", error.root_cause()),
            "check that the disk has room and is not read-only",
        )
    })
}

#[cfg(test)]
mod tests {
    use devnet_schema::secret::{Part, SecretRef, Sensitive, Text};

    use super::*;

    #[test]
    fn files_have_their_mode_and_their_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let secret = SecretRef { name: "pw".parse().unwrap(), version: 1 };
        let content = Text(vec![Part::Plain("pw=".into()), Part::Secret(secret.clone())]);
        let file = FileSpec { content, mode: 0o440 };
        let values = Values::from_iter([(secret, Sensitive::new("hunter2".to_owned()))]);
        let path = below(dir.path(), "etc/app.conf").unwrap();
        for _ in 0..2 {
            write(&path, &file, &values).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "pw=hunter2");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o440);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let error = write(&path, &file, &Values::default()).unwrap_err().to_string();
        assert!(error.contains("secret pw version 1"), "{error}");
    }

    #[test]
    fn no_path_leaves_its_directory() {
        for bad in ["", "/etc/passwd", "../x", "a/../../x"] {
            assert!(below(Path::new("/base"), bad).is_err(), "{bad}");
        }
        assert_eq!(below(Path::new("/base"), "a/b").unwrap(), Path::new("/base/a/b"));
    }
}
