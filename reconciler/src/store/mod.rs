//! Records: what neither git nor the agents can remember, in one SQLite database.
//!
//! Knows rows, transactions and the order in which things were written. Refuses to know clocks
//! (every time is an argument), randomness, secrets' values, and what any record means: no
//! decision is taken here beyond those that must be atomic. Deleting the database loses records
//! only; what runs is adopted again from what agents report.
//!
//! Every call blocks for at most a disk flush. A returned `Ok` is on disk (`synchronous = FULL`).

mod assignments;
mod audit;
mod claims;
mod clusters;
mod credentials;
mod data;
mod deployments;
mod events;
mod generations;
mod nodes;
mod number;
mod page;
mod plans;
mod put_off;
mod retention;
mod revisions;
mod rows;
mod schema;
mod sessions;
mod suspensions;
mod time;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use devnet_schema::name::InstanceId;
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use assignments::AssignmentRecord;
pub use claims::ClaimRecord;
pub use clusters::ClusterRecord;
pub use credentials::{ApiKeyRecord, JoinRefusal, JoinTokenRecord, NewNode};
pub use data::{DATA_PLACE, Made};
pub use deployments::StepRecord;
pub use events::{Cause, EventFilter};
pub use nodes::{Admission, Cordon, NodeRecord};
pub use plans::StoredPlan;
pub use put_off::PutOffRecord;
pub use retention::{Pruned, Retention};
pub use revisions::{RevisionRecord, RevisionState};
pub use rows::Unread;
pub use sessions::SessionRecord;
pub use suspensions::SUSPENSION;

use crate::{
    api::database::{self, Trouble},
    time::Time,
};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be opened.
    #[error("opening the database {}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Trouble,
    },
    /// A newer devnet wrote it.
    #[error(
        "the database {} has version {found}, and this devnet knows versions up to {known}: \
         start the devnet that wrote it, or a newer one",
        path.display()
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// Its pages are damaged.
    #[error(
        "the database {} is damaged: put back a backup of it; without one, move it away, with its \
         `-wal` and `-shm`, and start again: what runs is adopted from what agents report, and \
         API keys, join tokens, cordons, suspensions, plans, deployments and \
         events are lost",
        .0.display()
    )]
    Damaged(PathBuf),
    /// A change of the database's shape failed; nothing of it was kept.
    #[error("bringing the database to version {version}")]
    Migrate {
        /// The version that was not reached.
        version: u32,
        /// Why.
        #[source]
        source: Trouble,
    },
    /// A statement failed.
    #[error("{act}")]
    Sql {
        /// What was being done, `reading the nodes`.
        act: &'static str,
        /// Why.
        #[source]
        source: Trouble,
    },
    /// A record is not of the form that was written.
    #[error("{act}: the record is not of the form that was written")]
    Record {
        /// What was being done.
        act: &'static str,
    },
    /// A page was asked for that no list handed out.
    #[error("`{0}` is not a cursor: pass the `next` of the page before, unchanged")]
    Cursor(String),
    /// A generation that is not above one that was given out.
    #[error(
        "generation {wanted} of {instance} is not above {issued}, which was already given out: \
         something else was told to the nodes since this was planned; plan again"
    )]
    StaleGeneration {
        /// Whose.
        instance: InstanceId,
        /// What was asked for.
        wanted: u64,
        /// The highest that was given out.
        issued: u64,
    },
    /// A generation that nobody can count to.
    #[error(
        "generation {wanted} of {instance} is higher than any can be: nothing is sent; please \
         report this"
    )]
    HighGeneration {
        /// Whose.
        instance: InstanceId,
        /// What was asked for.
        wanted: u64,
    },
    /// A record that a change is about does not exist.
    #[error("there is no {kind} {id}")]
    Missing {
        /// `deployment`, `revision`.
        kind: &'static str,
        /// Which.
        id: String,
    },
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opened {
    /// The version the file had before; 0 for a new one.
    pub from_version: u32,
    /// Deployments that were running when the control plane stopped; they are marked interrupted.
    pub interrupted: Vec<String>,
}

/// The records. Cheap to share by reference between threads; one statement runs at a time.
pub struct Store {
    connection: Mutex<Connection>,
    /// Rows that cannot be read.
    unread: Mutex<BTreeSet<Unread>>,
}

impl Store {
    /// Opens the database at `path`, makes it when there is none, checks it, brings it to the
    /// newest version and marks deployments that were running as interrupted at `now`
    /// (RFC 3339).
    ///
    /// # Errors
    /// When it cannot be opened, is damaged, was written by a newer devnet, or cannot be changed.
    pub fn open(path: &Path, now: Time) -> Result<(Self, Opened), StoreError> {
        let unopened = |trouble| unopened(path, trouble);
        let mut connection = database::open(path).map_err(unopened)?;
        schema::configure(&connection).map_err(|error| unopened(error.into()))?;
        database::check(&connection).map_err(unopened)?;
        let from_version = schema::migrate(&mut connection, path)?;
        database::has_shape(&connection, schema::make).map_err(unopened)?;
        let store = Self { connection: Mutex::new(connection), unread: Mutex::default() };
        let interrupted = store.interrupt_running(now)?;
        Ok((store, Opened { from_version, interrupted }))
    }

    /// The connection. A thread that panicked while it held it left no half-done write behind: its
    /// transaction was rolled back when it was dropped.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in one transaction that holds the write lock from its start; everything of it
    /// is kept, or nothing.
    fn write<T>(
        &self,
        act: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.lock();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sql(act))?;
        let done = work(&transaction)?;
        transaction.commit().map_err(sql(act))?;
        Ok(done)
    }
}

/// Names the file in an error of opening it, and the remedy where it is damaged.
fn unopened(path: &Path, trouble: Trouble) -> StoreError {
    match trouble {
        // While it is opened, its own tables are read: a value that is none is damage, too.
        Trouble::Damaged | Trouble::Value => StoreError::Damaged(path.to_owned()),
        source => StoreError::Open { path: path.to_owned(), source },
    }
}

/// Names the act in a database error.
fn sql(act: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |error| StoreError::Sql { act, source: error.into() }
}

/// A record is not of the form that was written. What exactly is wrong is for the log.
fn malformed<E: std::fmt::Display>(act: &'static str) -> impl Fn(E) -> StoreError {
    move |error| {
        tracing::debug!(act, %error, "a record");
        StoreError::Record { act }
    }
}

/// The JSON form of a document of ours.
fn to_json<T: serde::Serialize>(act: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(malformed(act))
}

/// A document of ours from its JSON form.
fn from_json<T: serde::de::DeserializeOwned>(
    act: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(malformed(act))
}

/// A name of ours from its text form.
fn parse<T: std::str::FromStr>(act: &'static str, text: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(malformed(act))
}

#[cfg(test)]
mod tests;
