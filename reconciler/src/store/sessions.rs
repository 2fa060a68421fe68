//! Sessions of browsers: only hashes of what browsers hold.
//!
//! Knows when each began and was used last. Refuses to know how long that is good for, and who
//! holds the key that it was begun with.

use rusqlite::{Row, params};

use crate::api::{Page, Role};

use crate::time::Time;

use super::{Store, StoreError, from_json, rows::Listed, sql, to_json};

const SESSIONS: Listed = Listed { kind: "session", keys: 1, act: "reading sessions" };
/// Sessions on record at most: the oldest go.
const MOST: u32 = 1000;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The public part of what the browser holds.
    pub id: String,
    /// Hash of the secret part.
    pub hash: String,
    /// The public part of the API key that it was begun with.
    pub key: String,
    /// What that key could do then.
    pub role: Role,
    /// Where it was begun from.
    pub address: String,
    /// RFC 3339.
    pub created_at: Time,
    /// RFC 3339; when it was used last, to the minute.
    pub seen_at: Time,
}

impl Store {
    /// Records a session, and forgets the oldest of too many.
    ///
    /// # Errors
    /// When the database fails, also when the id is already on record.
    pub fn add_session(&self, session: &SessionRecord) -> Result<(), StoreError> {
        let act = "recording a session";
        let SessionRecord { id, hash, key, role, address, created_at, seen_at } = session;
        let role = to_json(act, role)?;
        self.write(act, |tx| {
            tx.execute(
                "INSERT INTO sessions (id, hash, key, role, address, created_at, seen_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![id, hash, key, role, address, created_at, seen_at],
            )
            .map_err(sql(act))?;
            tx.execute(
                "DELETE FROM sessions WHERE seq <= (SELECT max(seq) FROM sessions) - ?1",
                [MOST],
            )
            .map_err(sql(act))?;
            Ok(())
        })
    }

    /// The session with this public part, ended by time or not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn session(&self, id: &str) -> Result<Option<SessionRecord>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT seq, id, hash, key, role, address, created_at, seen_at \
                 FROM sessions WHERE id = ?1",
            )
            .map_err(sql(SESSIONS.act))?;
        // A session whose record cannot be read is none.
        Ok(self.each(SESSIONS, &mut statement, [id], session)?.pop())
    }

    /// The sessions, newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or the database fails.
    pub fn sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<SessionRecord>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT seq, id, hash, key, role, address, created_at, seen_at FROM sessions \
                 WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
            )
            .map_err(sql(SESSIONS.act))?;
        self.page_of(SESSIONS, &mut statement, cursor, limit, session)
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// When the database fails.
    pub fn touch_session(&self, id: &str, now: Time) -> Result<(), StoreError> {
        self.lock()
            .execute("UPDATE sessions SET seen_at = ?2 WHERE id = ?1", params![id, now])
            .map_err(sql("noting the use of a session"))?;
        Ok(())
    }

    /// Forgets a session. False when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn end_session(&self, id: &str) -> Result<bool, StoreError> {
        let ended = self
            .lock()
            .execute("DELETE FROM sessions WHERE id = ?1", [id])
            .map_err(sql("ending a session"))?;
        Ok(ended > 0)
    }

    /// Forgets sessions that began before this.
    ///
    /// # Errors
    /// When the database fails.
    pub fn drop_sessions(&self, began: Time) -> Result<usize, StoreError> {
        self.lock()
            .execute("DELETE FROM sessions WHERE created_at < ?1", [began])
            .map_err(sql("dropping old sessions"))
    }
}

fn session(row: &Row<'_>) -> Result<SessionRecord, StoreError> {
    let text = |column: usize| row.get::<_, String>(column).map_err(sql(SESSIONS.act));
    Ok(SessionRecord {
        id: text(1)?,
        hash: text(2)?,
        key: text(3)?,
        role: from_json(SESSIONS.act, &text(4)?)?,
        address: text(5)?,
        created_at: row.get(6).map_err(sql(SESSIONS.act))?,
        seen_at: row.get(7).map_err(sql(SESSIONS.act))?,
    })
}
