//! Events: what happened, in order.
//!
//! Knows their numbers. Refuses to know who reads them.

use rusqlite::{Row, params};

use crate::api::{Event, Page};

use super::{Store, StoreError, number::Number, page, sql};

impl Store {
    /// Appends an event and gives it with its number.
    ///
    /// # Errors
    /// When the database fails.
    pub fn append_event(
        &self,
        now: &str,
        kind: &str,
        subject: &str,
        message: &str,
    ) -> Result<Event, StoreError> {
        let Number(seq) = self
            .lock()
            .prepare_cached(
                "INSERT INTO events (at, kind, subject, message) VALUES (?1, ?2, ?3, ?4) \
                 RETURNING seq",
            )
            .and_then(|mut statement| {
                statement.query_row([now, kind, subject, message], |row| row.get(0))
            })
            .map_err(sql("recording an event"))?;
        Ok(Event {
            seq,
            at: now.to_owned(),
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            message: message.to_owned(),
        })
    }

    /// The events, newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or the database fails.
    pub fn events(&self, cursor: Option<&str>, limit: u32) -> Result<Page<Event>, StoreError> {
        let act = "reading the events";
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT seq, at, kind, subject, message FROM events \
                 WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
            )
            .map_err(sql(act))?;
        let rows = statement
            .query_map(params![page::below(cursor)?, page::rows(limit)], |row| {
                Ok((row.get(0)?, event(row)?))
            })
            .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
            .map_err(sql(act))?;
        Ok(page::page(rows, limit))
    }

    /// The events numbered above `after`, oldest first, at most [`super::MAX_PAGE`]: for those who
    /// follow along.
    ///
    /// # Errors
    /// When the database fails.
    pub fn events_after(&self, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let act = "reading the newest events";
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT seq, at, kind, subject, message FROM events \
                 WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )
            .map_err(sql(act))?;
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        statement
            .query_map(params![after, limit.clamp(1, super::MAX_PAGE)], event)
            .and_then(Iterator::collect)
            .map_err(sql(act))
    }
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        seq: row.get::<_, Number>(0)?.0,
        at: row.get(1)?,
        kind: row.get(2)?,
        subject: row.get(3)?,
        message: row.get(4)?,
    })
}
