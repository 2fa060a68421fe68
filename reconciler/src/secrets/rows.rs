//! The rows of the secrets' database.
//!
//! Knows tables. Refuses to know what sealed bytes hold.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path};

use devnet_schema::name::SecretName;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::api::SecretRow;

use super::{KEPT_VERSIONS, SecretsError, file, seal::Sealed, sql};

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

/// Opens the database, readable to its owner only from its first moment.
pub(super) fn open(path: &Path) -> Result<Connection, SecretsError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(file("opening", path))?;
    let act = "opening the secrets' database";
    let mut connection = Connection::open(path).map_err(sql(act))?;
    configure(&connection).map_err(sql(act))?;
    let version: u32 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(sql(act))?;
    match version {
        VERSION => Ok(connection),
        0 => {
            let shape = connection.transaction().and_then(|tx| {
                tx.execute_batch(SHAPE)?;
                tx.commit()
            });
            shape.map_err(sql("making the secrets' database"))?;
            Ok(connection)
        }
        _ => Err(SecretsError::Newer(path.to_owned())),
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
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
    let highest: Option<i64> = connection
        .query_row("SELECT highest FROM names WHERE name = ?1", [name.as_str()], |row| row.get(0))
        .optional()
        .map_err(sql("reading a secret's version"))?;
    Ok(highest.map_or(0, i64::unsigned_abs))
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
    now: &str,
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

/// The newest version of each secret that has one.
pub(super) fn list(connection: &Connection) -> Result<Vec<SecretRow>, SecretsError> {
    let act = "listing the secrets";
    let mut statement = connection
        .prepare_cached(
            "SELECT name, version, set_at FROM secret_versions NATURAL JOIN names \
             WHERE version = highest ORDER BY name",
        )
        .map_err(sql(act))?;
    let rows = statement
        .query_map([], |row| {
            let name: String = row.get(0)?;
            let name = name.parse().map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(
                    0,
                    rusqlite::types::Type::Text,
                    Box::new(error) as Box<dyn std::error::Error + Send + Sync>,
                )
            })?;
            let version: i64 = row.get(1)?;
            Ok(SecretRow { name, version: version.unsigned_abs(), updated_at: row.get(2)? })
        })
        .map_err(sql(act))?;
    rows.collect::<Result<_, _>>().map_err(sql(act))
}

/// Drops all versions; the highest number stays. False when there was none.
pub(super) fn remove(connection: &Connection, name: &SecretName) -> Result<bool, SecretsError> {
    let dropped = connection
        .execute("DELETE FROM secret_versions WHERE name = ?1", [name.as_str()])
        .map_err(sql("removing a secret"))?;
    Ok(dropped > 0)
}

fn sealed(row: &rusqlite::Row<'_>) -> rusqlite::Result<Sealed> {
    Ok(Sealed { nonce: row.get(0)?, bytes: row.get(1)? })
}
