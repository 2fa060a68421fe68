//! SQLite files: how one is opened and checked, and what is wrong with one, in words for people.
//!
//! Knows SQLite's result codes and the state of the disk. Refuses to know what a file holds, and to
//! pass SQLite's own words on: they go to the log, at `debug`.

use std::{
    fmt,
    fs::{OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use rusqlite::{Connection, ErrorCode};

/// What is wrong with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Its pages contradict themselves, or it is no database.
    Damaged,
    /// There is no room on its disk.
    Full,
    /// It may be read and not written.
    ReadOnly,
    /// This user may not open it.
    Forbidden,
    /// Another process holds it.
    Locked,
    /// The disk does not read or write.
    Disk,
    /// It, or its directory, is not there.
    Absent,
    /// A value is not of the form that was written.
    Value,
    /// Anything else, with SQLite's result code.
    Refused(i32),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "the file is damaged: put back a backup (docs/operating.md)",
            Self::Full => "the disk is full: make room on it",
            Self::ReadOnly => {
                "it cannot be written: its file system is read-only, or it belongs to another user"
            }
            Self::Forbidden => {
                "this user may not open it: it must be a file, in a directory, that this user may \
                 read and write"
            }
            Self::Locked => {
                "another process holds it: end whatever else has it open, like `sqlite3`"
            }
            Self::Disk => "the disk does not read or write: look at the kernel's log",
            Self::Absent => "it is not there, or its directory is not",
            Self::Value => "a value in it is not of the form that was written",
            Self::Refused(code) => {
                return write!(
                    f,
                    "SQLite refused it with code {code}: a fault of devnet, please report it"
                );
            }
        })
    }
}

impl std::error::Error for Trouble {}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        tracing::debug!(%error, "what SQLite said");
        use rusqlite::Error;
        let failed = match error {
            Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..)
            | Error::QueryReturnedNoRows => return Self::Value,
            Error::SqliteFailure(failed, _) => failed,
            Error::SqlInputError { error, .. } => error,
            _ => return Self::Refused(0),
        };
        match failed.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Damaged,
            ErrorCode::DiskFull => Self::Full,
            ErrorCode::ReadOnly => Self::ReadOnly,
            ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::AuthorizationForStatementDenied => Self::Forbidden,
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed => Self::Locked,
            ErrorCode::SystemIoFailure => Self::Disk,
            _ => Self::Refused(failed.extended_code),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        tracing::debug!(%error, "what the system said");
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory => Self::Forbidden,
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Absent,
            _ => Self::Disk,
        }
    }
}

/// Opens the file, and makes it where there is none. It is its owner's only, an older one too;
/// SQLite gives its journals the same mode. A lock of another process is waited for, for 5 s.
///
/// # Errors
/// When it cannot be opened for reading and writing.
pub fn open(path: &Path) -> Result<Connection, Trouble> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

/// Reads all of the file once: whether its pages, rows and indices agree.
///
/// # Errors
/// [`Trouble::Damaged`] when they do not, or what keeps it from being read.
pub fn check(connection: &Connection) -> Result<(), Trouble> {
    let verdict: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    tracing::debug!(verdict, "what SQLite found");
    Err(Trouble::Damaged)
}

/// Whether the file has every table and index that `make` makes in an empty database, and as it
/// makes them. SQLite itself believes whatever text it finds there.
///
/// # Errors
/// [`Trouble::Damaged`] when it does not.
pub fn has_shape(
    connection: &Connection,
    make: impl FnOnce(&mut Connection) -> rusqlite::Result<()>,
) -> Result<(), Trouble> {
    let mut model = Connection::open_in_memory()?;
    make(&mut model)?;
    let found = shape(connection)?;
    if shape(&model)?.iter().all(|part| found.contains(part)) {
        return Ok(());
    }
    tracing::debug!(?found, "the tables are not those that were made");
    Err(Trouble::Damaged)
}

type Part = (String, String, String, String);

fn shape(connection: &Connection) -> Result<Vec<Part>, Trouble> {
    let mut statement = connection.prepare(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema \
         WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'",
    )?;
    let parts = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(path: &Path) -> Connection {
        let connection = open(path).unwrap();
        connection.execute_batch("CREATE TABLE t (a TEXT NOT NULL) STRICT").unwrap();
        connection
    }

    fn make(connection: &mut Connection) -> rusqlite::Result<()> {
        connection.execute_batch("CREATE TABLE t (a TEXT NOT NULL) STRICT")
    }

    #[test]
    fn another_process_a_read_only_file_and_a_directory_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let first = made(&path);
        first.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let second = open(&path).unwrap();
        second.busy_timeout(std::time::Duration::ZERO).unwrap();
        assert_eq!(check(&second), Err(Trouble::Locked));
        drop(first);
        assert_eq!(check(&second), Ok(()));
        assert_eq!(open(dir.path()).err(), Some(Trouble::Forbidden));
        assert_eq!(open(&dir.path().join("no/a.db")).err(), Some(Trouble::Absent));
        let reader = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY);
        let refused = reader.unwrap().execute("INSERT INTO t VALUES ('x')", []).unwrap_err();
        assert_eq!(Trouble::from(refused), Trouble::ReadOnly);
    }

    #[test]
    fn a_full_disk_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let connection = made(&dir.path().join("a.db"));
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        connection.pragma_update(None, "max_page_count", pages).unwrap();
        let full = connection.execute("INSERT INTO t VALUES (?1)", ["x".repeat(1 << 20)]);
        assert_eq!(Trouble::from(full.unwrap_err()), Trouble::Full);
    }

    #[test]
    fn a_file_that_is_no_database_and_a_table_that_was_changed_are_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        std::fs::write(&path, b"these are some words and no database at all").unwrap();
        assert_eq!(check(&open(&path).unwrap()), Err(Trouble::Damaged));
        let path = dir.path().join("b.db");
        let connection = made(&path);
        assert_eq!(has_shape(&connection, make), Ok(()));
        connection.execute_batch("CREATE INDEX mine ON t (a)").unwrap();
        assert_eq!(has_shape(&connection, make), Ok(()), "more than was made is no harm");
        connection.execute_batch("ALTER TABLE t RENAME COLUMN a TO b").unwrap();
        assert_eq!(has_shape(&connection, make), Err(Trouble::Damaged));
    }

    #[test]
    fn no_word_of_sqlite_is_shown() {
        let connection = Connection::open_in_memory().unwrap();
        let error = connection.execute("SELECT nonsense FROM nowhere", []).unwrap_err();
        let text = Trouble::from(error).to_string();
        assert!(text.contains("code 1") && !text.contains("nowhere"), "{text}");
    }
}
