//! Pages of lists, newest first.
//!
//! Knows cursors: the number of the last row of the page before. Refuses to know what is listed.

use crate::api::{MAX_PAGE, Page};

use super::StoreError;

/// Where a page begins: rows numbered below this.
pub(super) fn below(cursor: Option<&str>) -> Result<i64, StoreError> {
    match cursor {
        None => Ok(i64::MAX),
        Some(text) => text
            .parse()
            .ok()
            .filter(|&seq| seq > 0)
            .ok_or_else(|| StoreError::Cursor(text.escape_debug().to_string())),
    }
}

/// How many rows to read: one more than fits, to know whether a next page exists.
pub(super) fn rows(limit: u32) -> i64 {
    i64::from(limit.clamp(1, MAX_PAGE)) + 1
}

/// The page of rows that were read with [`rows`], newest first; those that cannot be read are left
/// out of it and count for its length.
pub(super) fn page<T>(mut rows: Vec<(i64, Option<T>)>, limit: u32) -> Page<T> {
    let fits = limit.clamp(1, MAX_PAGE) as usize;
    let more = rows.len() > fits;
    rows.truncate(fits);
    let next = rows.last().filter(|_| more).map(|(seq, _)| seq.to_string());
    Page { items: rows.into_iter().filter_map(|(_, item)| item).collect(), next }
}
