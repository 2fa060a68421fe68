//! Lists of rows, of which one may be unreadable.
//!
//! Knows that a row that cannot be read says nothing about the next one: it is left out and named,
//! in the log and in [`Store::unread`]. Refuses to guess what it said: whoever must not take it for
//! absent asks for what is unread.

use std::{collections::BTreeSet, fmt, sync::PoisonError};

use rusqlite::{Params, Row, Statement, types::ValueRef};

use crate::api::Page;

use super::{Store, StoreError, page, sql};

/// A row that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// What it is a row of: `node`, `assignment`.
    pub kind: &'static str,
    /// What identifies it, as far as that can be read.
    pub row: String,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the record of {} {} cannot be read", self.kind, self.row)
    }
}

/// What a list is of, and how many of its first columns identify a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    pub(super) kind: &'static str,
    pub(super) keys: usize,
    pub(super) act: &'static str,
}

/// How much of a key is shown.
const SHOWN: usize = 80;

/// The first columns as text, whatever they hold.
fn key(row: &Row<'_>, columns: usize) -> String {
    let shown = |index| match row.get_ref(index) {
        Ok(ValueRef::Integer(number)) => number.to_string(),
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => {
            let text = String::from_utf8_lossy(bytes);
            let shown: String = text.chars().take(SHOWN).collect();
            format!("`{}`", shown.escape_debug())
        }
        _ => "?".to_owned(),
    };
    (0..columns).map(shown).collect::<Vec<_>>().join(" on ")
}

impl Listed {
    /// The row, as one that cannot be read.
    pub(super) fn unread(self, row: &Row<'_>) -> Unread {
        Unread { kind: self.kind, row: key(row, self.keys) }
    }
}

impl Store {
    /// The rows that could not be read since the start, once each.
    pub fn unread(&self) -> Vec<Unread> {
        self.unread_rows().iter().cloned().collect()
    }

    fn unread_rows(&self) -> std::sync::MutexGuard<'_, BTreeSet<Unread>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets which rows of a kind could not be read: they are mended, or gone.
    pub(super) fn read_again(&self, kind: &str) {
        self.unread_rows().retain(|row| row.kind != kind);
    }

    /// Notes that a row cannot be read; says so in the log the first time.
    pub(super) fn pass_over(&self, unread: Unread) {
        if self.unread_rows().insert(unread.clone()) {
            tracing::error!("{unread}; docs/operating.md says what that means and how to mend it");
        }
    }

    /// Every row that can be read.
    pub(super) fn each<T>(
        &self,
        listed: Listed,
        statement: &mut Statement<'_>,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = statement.query(params).map_err(sql(listed.act))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(sql(listed.act))? {
            match read(row) {
                Ok(one) => all.push(one),
                Err(_) => self.pass_over(listed.unread(row)),
            }
        }
        Ok(all)
    }

    /// A page of rows that begin with their number, newest first. A row that cannot be read counts
    /// for the length of the page, so that the next page begins where it should.
    pub(super) fn page_of<T>(
        &self,
        listed: Listed,
        statement: &mut Statement<'_>,
        cursor: Option<&str>,
        limit: u32,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Page<T>, StoreError> {
        let values = [page::below(cursor)?, page::rows(limit)];
        self.page_with(listed, statement, values, limit, read)
    }

    /// The same with parameters of its own, of which the first two are those of a page.
    pub(super) fn page_with<T>(
        &self,
        listed: Listed,
        statement: &mut Statement<'_>,
        values: impl Params,
        limit: u32,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Page<T>, StoreError> {
        let act = listed.act;
        let mut rows = statement.query(values).map_err(sql(act))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(sql(act))? {
            let seq: i64 = row.get(0).map_err(sql(act))?;
            let one = read(row).map_err(|_| self.pass_over(listed.unread(row)));
            all.push((seq, one.ok()));
        }
        Ok(page::page(all, limit))
    }
}
