//! The key that secrets are sealed with: where it comes from and how it is kept.
//!
//! Knows its file. Refuses keys that others may read, and to write over one.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use devnet_schema::secret::Sensitive;

use super::{SecretsError, file};

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// Where the key comes from: 32 bytes in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The file `key` beside the database; made when there are no secrets yet.
    Kept,
    /// A file elsewhere, which must be there. Only its owner may read it.
    File(PathBuf),
    /// The key itself, from the environment.
    Text(Sensitive<String>),
}

impl KeySource {
    /// The source in words, without the key.
    pub(super) fn describe(&self, kept: &Path) -> String {
        match self {
            Self::Kept => kept.display().to_string(),
            Self::File(path) => path.display().to_string(),
            Self::Text(_) => "the environment".to_owned(),
        }
    }
}

/// The key; `None` when it is to be kept in `kept` and is not there.
pub(super) fn read(
    source: &KeySource,
    kept: &Path,
) -> Result<Option<[u8; KEY_BYTES]>, SecretsError> {
    let path = match source {
        KeySource::Text(text) => return parse(text.expose(), "the environment").map(Some),
        KeySource::Kept => kept,
        KeySource::File(path) => path,
    };
    let opened = match File::open(path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound && *source == KeySource::Kept => {
            return Ok(None);
        }
        Err(error) => return Err(file("reading the key file", path)(error)),
    };
    let failed = file("reading the key file", path);
    // Asked of the open file, so that the file that is judged is the file that is read.
    let mode = opened.metadata().map_err(&failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(SecretsError::KeyExposed(path.to_owned()));
    }
    let mut text = String::new();
    // A key is 44 characters; whatever has more is none, and need not be read to its end.
    match opened.take(256).read_to_string(&mut text) {
        Ok(_) => parse(&text, &path.display().to_string()).map(Some),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(SecretsError::KeyForm(path.display().to_string()))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Makes a key and keeps it. Never replaces a file.
pub(super) fn make(
    path: &Path,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<[u8; KEY_BYTES], SecretsError> {
    let mut key = [0; KEY_BYTES];
    random(&mut key);
    let failed = file("writing the key file", path);
    let mut new =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(&failed)?;
    new.write_all(format!("{}\n", STANDARD.encode(key)).as_bytes()).map_err(&failed)?;
    // The first secret must not reach the disk before the key that opens it.
    new.sync_all().map_err(&failed)?;
    let directory = path.parent().unwrap_or(path);
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(&failed)?;
    Ok(key)
}

fn parse(text: &str, source: &str) -> Result<[u8; KEY_BYTES], SecretsError> {
    STANDARD
        .decode(text.trim())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| SecretsError::KeyForm(source.to_owned()))
}
