//! Revisions of the configuration: what was seen, what could be planned, what was applied.
//!
//! Knows the files of each revision, so that the last good one can be planned again when its
//! source is away. Refuses to know what is in them, and to forget that one could be planned: a
//! revision that cannot be planned any more, since a secret of it is gone, makes no older one good.

use std::collections::BTreeMap;

use devnet_schema::diagnostic::Diagnostic;
use rusqlite::{OptionalExtension, Row, params};

use crate::api::Page;

use crate::time::Time;

use super::{Store, StoreError, from_json, rows::Listed, sql, time::OrEmpty, to_json};

const REVISIONS: Listed = Listed { kind: "revision", keys: 2, act: "reading the revisions" };

/// What became of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevisionState {
    /// Seen, not yet planned.
    Seen,
    /// It could be planned.
    Good,
    /// It could not: the last good one stays.
    Bad {
        /// Why, as a sentence.
        problem: String,
        /// The findings that say so.
        diagnostics: Vec<Diagnostic>,
    },
}

/// A revision as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRecord {
    /// Commit id, or digest of a directory.
    pub revision: String,
    /// Where it came from, without credentials.
    pub source: String,
    /// First line of the commit's message.
    pub summary: String,
    /// Who made it.
    pub author: String,
    /// Absent where the source does not say.
    pub committed_at: Option<Time>,
    /// The cluster file among `files`; empty when none was found.
    pub root: String,
    /// The text files that planning reads, by path.
    pub files: BTreeMap<String, String>,
    /// RFC 3339.
    pub seen_at: Time,
    /// What became of it.
    pub state: RevisionState,
    /// RFC 3339; when it was applied last.
    pub applied_at: Option<Time>,
}

const COLUMNS: &str = "seq, revision, source, summary, author, committed_at, root, files, \
     seen_at, state, problem, diagnostics, applied_at";

impl Store {
    /// Records a revision as the newest. One that was recorded before (a branch was set back, or
    /// this is another start) becomes the newest again. It stays one that was good, and keeps
    /// `applied_at` unless the new record has one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_revision(&self, record: &RevisionRecord) -> Result<(), StoreError> {
        let act = "recording a revision";
        let RevisionRecord {
            revision,
            source,
            summary,
            author,
            committed_at,
            root,
            files,
            seen_at,
            state,
            applied_at,
        } = record;
        let files = to_json(act, files)?;
        let good = *state == RevisionState::Good;
        let (state, problem, diagnostics) = columns_of(act, state)?;
        self.write(act, |tx| {
            let before: Option<(Option<Time>, bool)> = tx
                .query_row(
                    "DELETE FROM revisions WHERE revision = ?1 RETURNING applied_at, was_good",
                    [revision],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()
                .map_err(sql(act))?;
            let (applied_before, was_good) = before.unwrap_or_default();
            let applied_at = applied_at.or(applied_before);
            tx.execute(
                "INSERT INTO revisions (revision, source, summary, author, committed_at, root, \
                 files, seen_at, state, problem, diagnostics, applied_at, was_good) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                params![
                    revision,
                    source,
                    summary,
                    author,
                    OrEmpty(*committed_at),
                    root,
                    files,
                    seen_at,
                    state,
                    problem,
                    diagnostics,
                    applied_at,
                    good || was_good
                ],
            )
            .map_err(sql(act))?;
            Ok(())
        })
    }

    /// Records what became of a revision. One that was good stays one that was.
    ///
    /// # Errors
    /// When it is not on record or the database fails.
    pub fn mark_revision(&self, revision: &str, state: &RevisionState) -> Result<(), StoreError> {
        let act = "recording what became of a revision";
        let good = *state == RevisionState::Good;
        let (state, problem, diagnostics) = columns_of(act, state)?;
        let changed = self
            .lock()
            .execute(
                "UPDATE revisions SET state = ?2, problem = ?3, diagnostics = ?4, \
                 was_good = was_good OR ?5 WHERE revision = ?1",
                params![revision, state, problem, diagnostics, good],
            )
            .map_err(sql(act))?;
        found(changed, revision)
    }

    /// Records that a revision was applied.
    ///
    /// # Errors
    /// When it is not on record or the database fails.
    pub fn mark_applied(&self, revision: &str, now: Time) -> Result<(), StoreError> {
        let changed = self
            .lock()
            .execute(
                "UPDATE revisions SET applied_at = ?2 WHERE revision = ?1",
                params![revision, now],
            )
            .map_err(sql("recording that a revision was applied"))?;
        found(changed, revision)
    }

    /// A revision.
    ///
    /// # Errors
    /// When the database fails.
    pub fn revision(&self, revision: &str) -> Result<Option<RevisionRecord>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM revisions WHERE revision = ?1");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&query).map_err(sql(REVISIONS.act))?;
        let found = statement.query_row([revision], |row| Ok(record(row))).optional();
        found.map_err(sql(REVISIONS.act))?.transpose()
    }

    /// The revision that was recorded last.
    ///
    /// # Errors
    /// When the database fails.
    pub fn newest_revision(&self) -> Result<Option<RevisionRecord>, StoreError> {
        self.newest_of("ORDER BY seq DESC LIMIT 1")
    }

    /// The newest revision that could be planned once, whatever became of it since.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_good_revision(&self) -> Result<Option<RevisionRecord>, StoreError> {
        self.newest_of("WHERE was_good ORDER BY seq DESC LIMIT 1")
    }

    /// The revision that was applied last.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_applied_revision(&self) -> Result<Option<RevisionRecord>, StoreError> {
        self.newest_of("WHERE applied_at IS NOT NULL ORDER BY applied_at DESC, seq DESC LIMIT 1")
    }

    /// The revisions, newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or the database fails.
    pub fn revisions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<RevisionRecord>, StoreError> {
        let query =
            format!("SELECT {COLUMNS} FROM revisions WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&query).map_err(sql(REVISIONS.act))?;
        self.page_of(REVISIONS, &mut statement, cursor, limit, record)
    }

    /// The first row. One that cannot be read is not replaced by the one before it: which revision
    /// counts is then not known.
    fn newest_of(&self, rest: &str) -> Result<Option<RevisionRecord>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM revisions {rest}");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&query).map_err(sql(REVISIONS.act))?;
        Ok(self.each(REVISIONS, &mut statement, [], record)?.pop())
    }
}

fn record(row: &Row<'_>) -> Result<RevisionRecord, StoreError> {
    raw(row).map_err(sql(REVISIONS.act))?.record(REVISIONS.act)
}

fn found(changed: usize, revision: &str) -> Result<(), StoreError> {
    if changed > 0 {
        return Ok(());
    }
    Err(StoreError::Missing { kind: "revision", id: revision.escape_debug().to_string() })
}

/// The three columns of a state: word, problem, diagnostics.
fn columns_of<'a>(
    act: &'static str,
    state: &'a RevisionState,
) -> Result<(&'static str, Option<&'a str>, String), StoreError> {
    Ok(match state {
        RevisionState::Seen => ("seen", None, "[]".to_owned()),
        RevisionState::Good => ("good", None, "[]".to_owned()),
        RevisionState::Bad { problem, diagnostics } => {
            ("bad", Some(problem), to_json(act, diagnostics)?)
        }
    })
}

/// A row before its texts are read.
struct Raw {
    record: RevisionRecord,
    files: String,
    state: String,
    problem: Option<String>,
    diagnostics: String,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    let record = RevisionRecord {
        revision: row.get(1)?,
        source: row.get(2)?,
        summary: row.get(3)?,
        author: row.get(4)?,
        committed_at: row.get::<_, OrEmpty>(5)?.0,
        root: row.get(6)?,
        files: BTreeMap::new(),
        seen_at: row.get(8)?,
        state: RevisionState::Seen,
        applied_at: row.get(12)?,
    };
    Ok(Raw {
        record,
        files: row.get(7)?,
        state: row.get(9)?,
        problem: row.get(10)?,
        diagnostics: row.get(11)?,
    })
}

impl Raw {
    fn record(self, act: &'static str) -> Result<RevisionRecord, StoreError> {
        let Self { record, files, state, problem, diagnostics } = self;
        let state = match state.as_str() {
            "good" => RevisionState::Good,
            "bad" => RevisionState::Bad {
                problem: problem.unwrap_or_default(),
                diagnostics: from_json(act, &diagnostics)?,
            },
            _ => RevisionState::Seen,
        };
        Ok(RevisionRecord { files: from_json(act, &files)?, state, ..record })
    }
}
