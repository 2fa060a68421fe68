//! Times in columns: texts of the one form that sorts as the times do.
//!
//! Knows the way between both. Refuses a text that is no time: its row cannot be read.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::time::Time;

impl FromSql for Time {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

/// All have as many digits and the same zone, so that SQL may compare them.
impl ToSql for Time {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.to_string()))
    }
}

/// A time in a column that is never null: an empty text where there is none.
pub(super) struct OrEmpty(pub(super) Option<Time>);

impl FromSql for OrEmpty {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "" => Ok(Self(None)),
            _ => Time::column_result(value).map(|time| Self(Some(time))),
        }
    }
}

impl ToSql for OrEmpty {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.map(|time| time.to_string()).unwrap_or_default()))
    }
}
