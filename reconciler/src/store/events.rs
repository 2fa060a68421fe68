//! Events: what happened, in order.
//!
//! Knows their numbers. Refuses to know who reads them.

use rusqlite::{Row, params};

use crate::api::{Event, Page};

use crate::time::Time;

use super::{Store, StoreError, number::Number, page, rows::Listed, sql};

const EVENTS: Listed = Listed { kind: "event", keys: 1, act: "reading the events" };

/// Who causes an event. Each has room of its own in the records, so that a flood of one cannot
/// push out the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// People, jobs and the loop: secrets, keys, nodes, applies, commits.
    Act,
    /// Agents and strangers: states of instances, sessions, what was refused.
    Report,
}

impl Cause {
    /// The word of the column.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Report => "report",
        }
    }
}

/// Which events are asked for; an empty text asks for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The kind.
    pub kind: String,
    /// A part of the subject: `node.n1`, `db[0]`.
    pub subject: String,
    /// A part of the subject or the message, in whatever case.
    pub text: String,
}

impl Store {
    /// Appends an event and gives it with its number.
    ///
    /// # Errors
    /// When the database fails.
    pub fn append_event(
        &self,
        now: Time,
        cause: Cause,
        kind: &str,
        subject: &str,
        message: &str,
    ) -> Result<Event, StoreError> {
        let connection = self.lock();
        // Run to its end, which a statement with RETURNING is not: only then SQLite looks whether
        // its log is to be taken into the database, and without that the log grows for ever.
        connection
            .prepare_cached(
                "INSERT INTO events (at, cause, kind, subject, message) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .and_then(|mut statement| {
                statement.execute(params![now, cause.word(), kind, subject, message])
            })
            .map_err(sql("recording an event"))?;
        Ok(Event {
            seq: connection.last_insert_rowid().unsigned_abs(),
            at: now,
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            message: message.to_owned(),
        })
    }

    /// The events that meet the filter, newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or the database fails.
    pub fn events(
        &self,
        cursor: Option<&str>,
        limit: u32,
        filter: &EventFilter,
    ) -> Result<Page<Event>, StoreError> {
        let EventFilter { kind, subject, text } = filter;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT seq, at, kind, subject, message FROM events \
                 WHERE seq < ?1 AND (?3 = '' OR kind = ?3) AND (?4 = '' OR instr(subject, ?4)) \
                 AND (?5 = '' OR instr(lower(subject || ' ' || message), lower(?5))) \
                 ORDER BY seq DESC LIMIT ?2",
            )
            .map_err(sql(EVENTS.act))?;
        let values = params![page::below(cursor)?, page::rows(limit), kind, subject, text];
        self.page_with(EVENTS, &mut statement, values, limit, event)
    }

    /// The events numbered above `after`, oldest first, at most [`crate::api::MAX_PAGE`]: for those
    /// who follow along.
    ///
    /// # Errors
    /// When the database fails.
    pub fn events_after(&self, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT seq, at, kind, subject, message FROM events \
                 WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )
            .map_err(sql(EVENTS.act))?;
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let values = params![after, limit.clamp(1, crate::api::MAX_PAGE)];
        self.each(EVENTS, &mut statement, values, event)
    }
}

fn event(row: &Row<'_>) -> Result<Event, StoreError> {
    let read = || -> rusqlite::Result<Event> {
        Ok(Event {
            seq: row.get::<_, Number>(0)?.0,
            at: row.get(1)?,
            kind: row.get(2)?,
            subject: row.get(3)?,
            message: row.get(4)?,
        })
    };
    read().map_err(sql(EVENTS.act))
}
