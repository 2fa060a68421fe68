//! The rows of the secrets' database.
//!
//! Knows tables. Refuses to know what sealed bytes hold.

use std::path::Path;

use devnet_schema::name::SecretName;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, types::ValueRef};

use crate::api::{
    SecretRow,
    database::{self, Trouble},
};

use crate::time::Time;

use super::{KEPT_VERSIONS, SecretsError, seal::Sealed, sql};

/// The shape that this program reads and writes.
const VERSION: u32 = 1;

const SHAPE: &str = "
CREATE TABLE key_check (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    nonce  BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE TABLE names (
    name    TEXT PRIMARY KEY,
    highest INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE secret_versions (
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    nonce   BLOB NOT NULL,
    sealed  BLOB NOT NULL,
    set_at  TEXT NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;
";

/// Opens the database, readable to its owner only from its first moment. Says whether it is new:
/// `may_be_new` is asked before anything is made in a file that holds nothing.
pub(super) fn open(
    path: &Path,
    may_be_new: impl FnOnce() -> Result<(), SecretsError>,
) -> Result<Connection, SecretsError> {
    let failed = |trouble| match trouble {
        Trouble::Damaged | Trouble::Value => SecretsError::Damaged(path.to_owned()),
        source => SecretsError::Open { path: path.to_owned(), source },
    };
    if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) || !path.exists() {
        may_be_new()?;
    }
    let mut connection = database::open(path).map_err(failed)?;
    configure(&connection).map_err(|error| failed(error.into()))?;
    database::check(&connection).map_err(failed)?;
    let version: u32 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|error| failed(error.into()))?;
    match version {
        VERSION => {}
        0 => make(&mut connection).map_err(|error| match Trouble::from(error) {
            // There are tables already, and the version that says so is gone.
            Trouble::Refused(_) => failed(Trouble::Damaged),
            trouble => failed(trouble),
        })?,
        _ => return Err(SecretsError::Newer(path.to_owned())),
    }
    database::has_shape(&connection, make).map_err(failed)?;
    Ok(connection)
}

fn make(connection: &mut Connection) -> rusqlite::Result<()> {
    let tx = connection.transaction()?;
    tx.execute_batch(SHAPE)?;
    tx.commit()
}

/// Whether any name ever had a value.
pub(super) fn has_names(connection: &Connection) -> Result<bool, SecretsError> {
    connection
        .query_row("SELECT EXISTS (SELECT 1 FROM names)", [], |row| row.get(0))
        .map_err(sql("reading the secrets' names"))
}

/// Notes that a version was given out, so that no later value has its number. Lower numbers change
/// nothing.
pub(super) fn raise(
    tx: &Transaction<'_>,
    name: &SecretName,
    version: u64,
) -> Result<bool, SecretsError> {
    let act = "recording a secret's version";
    let version = i64::try_from(version).map_err(|_| SecretsError::Sealing)?;
    let changed = tx
        .execute(
            "INSERT INTO names (name, highest) VALUES (?1, ?2) \
             ON CONFLICT (name) DO UPDATE SET highest = ?2 WHERE highest < ?2",
            params![name.as_str(), version],
        )
        .map_err(sql(act))?;
    Ok(changed > 0)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // Writes are rare and one file is easier to back up than a file and its log.
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", true)
}

/// The record that tells the right key; absent in a new database.
pub(super) fn key_check(connection: &Connection) -> Result<Option<Sealed>, SecretsError> {
    connection
        .query_row("SELECT nonce, sealed FROM key_check", [], sealed)
        .optional()
        .map_err(sql("reading the secrets' key check"))
}

pub(super) fn set_key_check(
    connection: &mut Connection,
    check: &Sealed,
) -> Result<(), SecretsError> {
    connection
        .execute(
            "INSERT INTO key_check (id, nonce, sealed) VALUES (1, ?1, ?2)",
            params![check.nonce, check.bytes],
        )
        .map_err(sql("writing the secrets' key check"))?;
    Ok(())
}

/// The highest version that a name ever had; 0 for a new one.
pub(super) fn highest(connection: &Connection, name: &SecretName) -> Result<u64, SecretsError> {
    let act = "reading a secret's version";
    let highest: Option<i64> = connection
        .query_row("SELECT highest FROM names WHERE name = ?1", [name.as_str()], |row| row.get(0))
        .optional()
        .map_err(sql(act))?;
    u64::try_from(highest.unwrap_or(0))
        .map_err(|_| SecretsError::Sql { act, source: Trouble::Value })
}

/// One version of a secret.
pub(super) fn row(
    connection: &Connection,
    name: &SecretName,
    version: u64,
) -> Result<Option<Sealed>, SecretsError> {
    let Ok(version) = i64::try_from(version) else {
        return Ok(None);
    };
    connection
        .query_row(
            "SELECT nonce, sealed FROM secret_versions WHERE name = ?1 AND version = ?2",
            params![name.as_str(), version],
            sealed,
        )
        .optional()
        .map_err(sql("reading a secret"))
}

/// Adds the newest version and drops those that are kept no longer.
pub(super) fn insert(
    tx: &Transaction<'_>,
    name: &SecretName,
    version: u64,
    sealed: &Sealed,
    now: Time,
) -> Result<(), SecretsError> {
    let act = "storing a secret";
    let number = version as i64;
    let oldest = number - KEPT_VERSIONS as i64;
    tx.execute(
        "INSERT INTO names (name, highest) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET highest = ?2",
        params![name.as_str(), number],
    )
    .map_err(sql(act))?;
    tx.execute(
        "INSERT INTO secret_versions (name, version, nonce, sealed, set_at) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![name.as_str(), number, sealed.nonce, sealed.bytes, now],
    )
    .map_err(sql(act))?;
    tx.execute(
        "DELETE FROM secret_versions WHERE name = ?1 AND version <= ?2",
        params![name.as_str(), oldest],
    )
    .map_err(sql(act))?;
    Ok(())
}

/// The newest version of each secret that has one, as far as the rows can be read, and what the
/// others are called, as far as that can be.
pub(super) fn list(connection: &Connection) -> Result<(Vec<SecretRow>, Vec<String>), SecretsError> {
    let act = "listing the secrets";
    let mut statement = connection
        .prepare_cached(
            "SELECT name, version, set_at FROM secret_versions NATURAL JOIN names \
             WHERE version = highest ORDER BY name",
        )
        .map_err(sql(act))?;
    let read = |row: &Row<'_>| -> rusqlite::Result<(String, i64, Time)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    };
    let (mut all, mut unread) = (Vec::new(), Vec::new());
    let mut rows = statement.query([]).map_err(sql(act))?;
    while let Some(row) = rows.next().map_err(sql(act))? {
        let found = read(row).ok().and_then(|(name, version, updated_at)| {
            let version = u64::try_from(version).ok()?;
            Some(SecretRow { name: name.parse().ok()?, version, updated_at })
        });
        match found {
            Some(found) => all.push(found),
            None => unread.push(shown(row)),
        }
    }
    Ok((all, unread))
}

/// The first column, whatever it holds.
fn shown(row: &Row<'_>) -> String {
    let text = match row.get_ref(0) {
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => String::from_utf8_lossy(bytes),
        _ => return "?".to_owned(),
    };
    let shown: String = text.chars().take(80).collect();
    shown.escape_debug().to_string()
}

/// Drops all versions; the highest number stays. False when there was none.
pub(super) fn remove(connection: &Connection, name: &SecretName) -> Result<bool, SecretsError> {
    let dropped = connection
        .execute("DELETE FROM secret_versions WHERE name = ?1", [name.as_str()])
        .map_err(sql("removing a secret"))?;
    Ok(dropped > 0)
}

fn sealed(row: &Row<'_>) -> rusqlite::Result<Sealed> {
    Ok(Sealed { nonce: row.get(0)?, bytes: row.get(1)? })
}
