//! The audit log: who asked for what that changes something, and what became of it.
//!
//! Knows rows in order. Refuses to hold a body: that may have a secret in it.

use rusqlite::{Row, params};

use crate::api::{Page, Role, audit::AuditRow};

use super::{Store, StoreError, from_json, number::Number, page, rows::Listed, sql, to_json};

const AUDIT: Listed = Listed { kind: "audit", keys: 1, act: "reading the audit log" };
/// So many are kept, the newest first.
const MOST: u32 = 50_000;
/// So many are written between two looks at how many there are.
const BETWEEN: u64 = 500;

impl Store {
    /// Appends a row; its number is given by the database.
    ///
    /// # Errors
    /// When the database fails.
    pub fn append_audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        let act = "writing the audit log";
        let AuditRow { seq: _, at, actor, role, from, action, subject, outcome } = row;
        let role = role.map(|role| to_json(act, &role)).transpose()?;
        let connection = self.lock();
        connection
            .prepare_cached(
                "INSERT INTO audit (at, actor, role, address, action, subject, outcome) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )
            .and_then(|mut it| it.execute(params![at, actor, role, from, action, subject, outcome]))
            .map_err(sql(act))?;
        let seq = connection.last_insert_rowid().unsigned_abs();
        if seq.is_multiple_of(BETWEEN) {
            connection
                .execute(
                    "DELETE FROM audit WHERE seq <= ?1",
                    [Number(seq.saturating_sub(MOST.into()))],
                )
                .map_err(sql(act))?;
        }
        Ok(())
    }

    /// The rows, newest first, of which actor, action or subject holds `text`.
    ///
    /// # Errors
    /// When the cursor is none of ours or the database fails.
    pub fn audit(
        &self,
        cursor: Option<&str>,
        limit: u32,
        text: &str,
    ) -> Result<Page<AuditRow>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT seq, at, actor, role, address, action, subject, outcome FROM audit \
                 WHERE seq < ?1 AND (?3 = '' OR \
                 instr(lower(actor || ' ' || action || ' ' || subject), lower(?3))) \
                 ORDER BY seq DESC LIMIT ?2",
            )
            .map_err(sql(AUDIT.act))?;
        let values = params![page::below(cursor)?, page::rows(limit), text];
        self.page_with(AUDIT, &mut statement, values, limit, audit)
    }
}

fn audit(row: &Row<'_>) -> Result<AuditRow, StoreError> {
    let text = |column: usize| row.get::<_, String>(column).map_err(sql(AUDIT.act));
    let role: Option<String> = row.get(3).map_err(sql(AUDIT.act))?;
    let role: Option<Role> = role.map(|role| from_json(AUDIT.act, &role)).transpose()?;
    Ok(AuditRow {
        seq: row.get::<_, Number>(0).map_err(sql(AUDIT.act))?.0,
        at: row.get(1).map_err(sql(AUDIT.act))?,
        actor: text(2)?,
        role,
        from: text(4)?,
        action: text(5)?,
        subject: text(6)?,
        outcome: row.get(7).map_err(sql(AUDIT.act))?,
    })
}
