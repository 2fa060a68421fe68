//! The shape of the database: its settings, its check, and the way from one version to the next.
//!
//! Knows migrations. Refuses to know what the tables hold.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{StoreError, sql, unopened};
use crate::api::database::Trouble;

/// Step `n` (from 0) leads from version `n` to version `n + 1`. A step that was released is never
/// edited; a new shape is a new step.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
    include_str!("migrations/0012.sql"),
    include_str!("migrations/0013.sql"),
    include_str!("migrations/0014.sql"),
];

/// The version that this program reads and writes.
pub(super) const NEWEST: u32 = MIGRATIONS.len() as u32;

/// Sets what holds for a connection rather than for the file.
pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // WAL lets readers (a backup, `sqlite3` in a person's hand) look while we write. FULL makes a
    // returned commit survive a power cut; generations depend on that.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
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
        unbound(connection, |connection| step(connection, version)).map_err(|error| {
            match Trouble::from(error) {
                // Steps work on what the step before made: a file where they do not is none of
                // ours.
                Trouble::Damaged | Trouble::Refused(_) => unopened(path, Trouble::Damaged),
                source => StoreError::Migrate { version, source },
            }
        })?;
    }
    Ok(found)
}

/// All tables of the newest version, in an empty database.
pub(super) fn make(connection: &mut Connection) -> rusqlite::Result<()> {
    unbound(connection, |connection| (1..=NEWEST).try_for_each(|it| step(connection, it)))
}

/// Does something without foreign keys, and puts them back.
fn unbound(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", false)?;
    work(connection)?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// One step. Writing the version is part of it, so a step is taken once or not at all.
fn step(connection: &mut Connection, version: u32) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(MIGRATIONS[version as usize - 1])?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}
