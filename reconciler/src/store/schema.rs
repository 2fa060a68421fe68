//! The shape of the database: its settings, its check, and the way from one version to the next.
//!
//! Knows migrations. Refuses to know what the tables hold.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{StoreError, sql};

/// Step `n` (from 0) leads from version `n` to version `n + 1`. A step that was released is never
/// edited; a new shape is a new step.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
];

/// The version that this program reads and writes.
pub(super) const NEWEST: u32 = MIGRATIONS.len() as u32;

/// Sets what holds for a connection rather than for the file.
pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // WAL lets readers (a backup, `sqlite3` in a person's hand) look while we write. FULL makes a
    // returned commit survive a power cut; generations depend on that.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Refuses a damaged file before anything is built on it.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let damaged = |problem: String| StoreError::Damaged { path: path.to_owned(), problem };
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| damaged(error.to_string()))?;
    if verdict == "ok" { Ok(()) } else { Err(damaged(verdict)) }
}

/// Brings the file to the newest version, each step in a transaction of its own; gives the version
/// it had before.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<u32, StoreError> {
    let found: u32 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(sql("reading the database's version"))?;
    if found > NEWEST {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: NEWEST });
    }
    for version in found + 1..=NEWEST {
        // A table whose checks change is made anew. With foreign keys on, dropping the old one
        // would drop what refers to it; and they cannot be switched within a transaction.
        connection
            .pragma_update(None, "foreign_keys", false)
            .and_then(|()| step(connection, version))
            .and_then(|()| connection.pragma_update(None, "foreign_keys", true))
            .map_err(|source| StoreError::Migrate { version, source })?;
    }
    Ok(found)
}

/// One step. Writing the version is part of it, so a step is taken once or not at all.
fn step(connection: &mut Connection, version: u32) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(MIGRATIONS[version as usize - 1])?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}
