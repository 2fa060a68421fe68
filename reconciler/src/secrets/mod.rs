//! Secrets: values under names and versions, sealed in a database of their own under a key that is
//! kept beside it and never in it.
//!
//! Knows XChaCha20-Poly1305 and the lives of versions. Refuses to know who may have a value, clocks
//! and randomness (both are arguments), and to print one: values leave as [`Sensitive`].
//!
//! Whoever reads the database alone learns names, versions, times and the lengths of values. A row
//! that was changed or put elsewhere does not open; that an older copy of the whole database was
//! put back is not noticed.

mod key;
mod rows;
mod seal;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use devnet_schema::{name::SecretName, secret::Sensitive};
use rusqlite::{Connection, TransactionBehavior};

use crate::{
    api::{SecretRow, database::Trouble},
    time::Time,
};

pub use key::KeySource;
use seal::Seal;

/// The longest value, in bytes.
pub const MAX_VALUE: usize = 64 << 10;

/// How many versions of a secret are kept: what runs may still refer to the one before, and a
/// rollback to the one before that.
pub const KEPT_VERSIONS: u64 = 3;

/// Why secrets could not be opened, read or written. No message holds a value or a key.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A file could not be read or written.
    #[error("{act} {}", path.display())]
    File {
        /// What was being done.
        act: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others than its owner may read the key.
    #[error(
        "the key file {} may be read by others than its owner: `chmod 600` it, and change every \
         secret if others did read it",
        .0.display()
    )]
    KeyExposed(PathBuf),
    /// The key is not of the form that was written.
    #[error(
        "{0} holds no key: a key is 32 bytes in base64 (44 characters); put it back from a backup"
    )]
    KeyForm(String),
    /// There are secrets and no key for them.
    #[error(
        "there are secrets in {} and the key file {} is gone: put it back from a backup; without \
         it they cannot be read, and to start again both files must be moved away",
        database.display(), key.display()
    )]
    KeyGone {
        /// The database.
        database: PathBuf,
        /// Where the key was.
        key: PathBuf,
    },
    /// There is a key and nothing that was sealed with it.
    #[error(
        "the secrets' database {} is gone or empty, and there was one: put it back from a backup; \
         without one, move away `key` and `made` beside it, start again, and set every secret \
         again with `devnet secret set NAME`",
        .0.display()
    )]
    DatabaseGone(PathBuf),
    /// Its pages are damaged.
    #[error(
        "the secrets' database {} is damaged: put back a backup of it; without one, move it away, \
         and with it `key` and `made` beside it, start again, and set every secret again with \
         `devnet secret set NAME`",
        .0.display()
    )]
    Damaged(PathBuf),
    /// The database could not be opened.
    #[error("opening the secrets' database {}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Trouble,
    },
    /// The key is not the one that the secrets were sealed with.
    #[error(
        "the key from {key} is not the one that {} was sealed with: nothing was changed; start \
         with the right key",
        database.display()
    )]
    WrongKey {
        /// The database.
        database: PathBuf,
        /// Where the key came from.
        key: String,
    },
    /// A newer devnet wrote the database.
    #[error("{} was written by a newer devnet: start that one, or a newer one", .0.display())]
    Newer(PathBuf),
    /// A statement failed.
    #[error("{act}")]
    Sql {
        /// What was being done.
        act: &'static str,
        /// Why.
        #[source]
        source: Trouble,
    },
    /// The value is empty, too long, or holds a NUL.
    #[error("the value of secret {name} {problem}")]
    Value {
        /// Which secret.
        name: SecretName,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is no such secret.
    #[error("there is no secret {0}: set it with `devnet secret set {0}`")]
    Missing(SecretName),
    /// The secret is there, the version is not.
    #[error(
        "secret {name} has no version {version} (any more); its newest is {newest}: plan again"
    )]
    VersionMissing {
        /// Which secret.
        name: SecretName,
        /// Which version.
        version: u64,
        /// The newest.
        newest: u64,
    },
    /// The row was changed, or belongs to another name or version.
    #[error(
        "secret {name} version {version} does not open: its row in the database was changed; set \
         the secret again, or put the database back from a backup"
    )]
    Tampered {
        /// Which secret.
        name: SecretName,
        /// Which version.
        version: u64,
    },
    /// The cipher refused to seal; only a value beyond all limits could make it.
    #[error("sealing a secret failed")]
    Sealing,
}

/// What setting a secret did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The version that now holds the value.
    pub version: u64,
    /// False when the newest version held the same value already.
    pub changed: bool,
}

/// The secrets. Cheap to share by reference between threads.
pub struct Secrets {
    connection: Mutex<Connection>,
    seal: Seal,
    /// Names of rows that cannot be read, as they are shown.
    unread: Mutex<BTreeSet<String>>,
}

impl Secrets {
    /// Opens `secrets.db` in `directory`, and makes it, the directory and the key where there are
    /// none. The key is read from `key`; see [`KeySource`].
    ///
    /// # Errors
    /// When the key is gone, wrong, malformed or readable to others, or a file cannot be read or
    /// written. Nothing is changed then.
    pub fn open(
        directory: &Path,
        key: &KeySource,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Self, SecretsError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(file("making", directory))?;
        let (database, kept) = (directory.join("secrets.db"), directory.join("key"));
        let made = directory.join("made");
        let was_made = made.exists() || (*key == KeySource::Kept && kept.exists());
        let mut connection = rows::open(&database, || match was_made {
            true => Err(SecretsError::DatabaseGone(database.clone())),
            false => Ok(()),
        })?;
        let check = rows::key_check(&connection)?;
        if check.is_none() && (made.exists() || rows::has_names(&connection)?) {
            // Not a first start that was cut off: the row that tells the right key is lost.
            return Err(SecretsError::Damaged(database));
        }
        let bytes = match key::read(key, &kept)? {
            Some(bytes) => bytes,
            None if check.is_some() => {
                return Err(SecretsError::KeyGone { database, key: kept });
            }
            None => key::make(&kept, random)?,
        };
        let seal = Seal::new(&bytes);
        match check {
            Some(check) if !seal.is_key_of(&check) => {
                let key = key.describe(&kept);
                return Err(SecretsError::WrongKey { database, key });
            }
            Some(_) => {}
            None => rows::set_key_check(&mut connection, &seal.key_check(random)?)?,
        }
        // From here on, an absent database is a lost one.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&made)
            .and_then(|file| file.sync_all())
            .and_then(|()| File::open(directory)?.sync_all())
            .map_err(file("writing", &made))?;
        Ok(Self { connection: Mutex::new(connection), seal, unread: Mutex::default() })
    }

    /// The connection; a thread that panicked with it left no half-done write.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a value of 1 byte to 64 KiB of text without NUL, as it is: nothing is stripped (the
    /// line end that `echo` adds is the command line's business). The value that the newest version
    /// has already keeps its version, so that setting it again changes nothing that runs.
    ///
    /// # Errors
    /// When the value is not allowed or the database fails.
    pub fn set(
        &self,
        name: &SecretName,
        value: &Sensitive<String>,
        now: Time,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Stored, SecretsError> {
        check_value(name, value.expose())?;
        let act = "storing a secret";
        let mut connection = self.lock();
        let tx = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sql(act))?;
        let highest = rows::highest(&tx, name)?;
        if let Some(row) = rows::row(&tx, name, highest)? {
            // A row that does not open is no reason to refuse the new value that mends it.
            let same = self.seal.open(name, highest, &row).is_some_and(|old| same(&old, value));
            if same {
                return Ok(Stored { version: highest, changed: false });
            }
        }
        let version = highest + 1;
        let sealed = self.seal.seal(name, version, value.expose(), random)?;
        rows::insert(&tx, name, version, &sealed, now)?;
        tx.commit().map_err(sql(act))?;
        Ok(Stored { version, changed: true })
    }

    /// The value of one version.
    ///
    /// # Errors
    /// When there is none, or its row was changed.
    pub fn value(
        &self,
        name: &SecretName,
        version: u64,
    ) -> Result<Sensitive<String>, SecretsError> {
        let connection = self.lock();
        let Some(row) = rows::row(&connection, name, version)? else {
            let newest = rows::highest(&connection, name)?;
            return Err(match rows::row(&connection, name, newest)? {
                Some(_) => SecretsError::VersionMissing { name: name.clone(), version, newest },
                None => SecretsError::Missing(name.clone()),
            });
        };
        self.seal
            .open(name, version, &row)
            .ok_or_else(|| SecretsError::Tampered { name: name.clone(), version })
    }

    /// Names of secrets whose rows cannot be read, as far as those can be shown.
    pub fn unread(&self) -> Vec<String> {
        let names = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().cloned().collect()
    }

    /// Names, newest versions and when they were set, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn list(&self) -> Result<Vec<SecretRow>, SecretsError> {
        let (rows, unread) = rows::list(&self.lock())?;
        let mut known = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        for name in unread {
            // Whoever refers to it is told that it is not there.
            if known.insert(name.clone()) {
                tracing::error!(name, "the record of a secret cannot be read: set it again");
            }
        }
        Ok(rows)
    }

    /// Notes versions that something refers to already: where the database is older than that, no
    /// later value may have their numbers. Gives the names that are newer elsewhere than here.
    ///
    /// # Errors
    /// When the database fails.
    pub fn taken(
        &self,
        versions: &BTreeMap<SecretName, u64>,
    ) -> Result<Vec<SecretName>, SecretsError> {
        let act = "recording versions of secrets";
        let mut connection = self.lock();
        let tx = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sql(act))?;
        let mut behind = Vec::new();
        for (name, &version) in versions {
            if rows::raise(&tx, name, version)? {
                behind.push(name.clone());
            }
        }
        tx.commit().map_err(sql(act))?;
        Ok(behind)
    }

    /// The newest version of each secret, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn versions(&self) -> Result<BTreeMap<String, u64>, SecretsError> {
        let rows = self.list()?;
        Ok(rows.into_iter().map(|row| (row.name.to_string(), row.version)).collect())
    }

    /// The version that a secret's next value will have.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next(&self, name: &SecretName) -> Result<u64, SecretsError> {
        Ok(rows::highest(&self.lock(), name)? + 1)
    }

    /// Removes a secret with all its versions. Set again, it goes on counting, so that no version
    /// ever means two values. False when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove(&self, name: &SecretName) -> Result<bool, SecretsError> {
        rows::remove(&self.lock(), name)
    }
}

fn check_value(name: &SecretName, value: &str) -> Result<(), SecretsError> {
    let problem = if value.is_empty() {
        "is empty: pass it on standard input"
    } else if value.len() > MAX_VALUE {
        "is longer than 64 KiB: keep files of that size elsewhere"
    } else if value.contains('\0') {
        "holds a NUL, which no environment variable or file of text can"
    } else {
        return Ok(());
    };
    Err(SecretsError::Value { name: name.clone(), problem })
}

/// Compares digests, whose own comparison takes the same time wherever values differ.
fn same(left: &Sensitive<String>, right: &Sensitive<String>) -> bool {
    blake3::hash(left.expose().as_bytes()) == blake3::hash(right.expose().as_bytes())
}

/// Names the act in a database error.
fn sql(act: &'static str) -> impl Fn(rusqlite::Error) -> SecretsError {
    move |error| SecretsError::Sql { act, source: error.into() }
}

/// Names the act in a file error.
fn file<'a>(
    act: &'static str,
    path: &'a Path,
) -> impl Fn(std::io::Error) -> SecretsError + use<'a> {
    move |source| SecretsError::File { act, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
