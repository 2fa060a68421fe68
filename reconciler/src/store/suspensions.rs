//! Suspensions: services that the loop leaves alone, and the word of whoever said so.
//!
//! Knows one for each service, and one for everything. Refuses to know when one has ended.

use devnet_schema::name::ServiceName;
use rusqlite::{Row, params, types::Value};

use super::{Store, StoreError, parse, rows::Listed, sql};
use crate::api::Suspension;

/// What a row of these is called where one cannot be read.
pub const SUSPENSION: &str = "suspension";

const LISTED: Listed = Listed { kind: SUSPENSION, keys: 1, act: "reading what is suspended" };
const QUERY: &str =
    "SELECT service, until, reason, suspended_by, suspended_at FROM suspensions ORDER BY service";

impl Store {
    /// All of them, that of everything first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn suspensions(&self) -> Result<Vec<Suspension>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(QUERY).map_err(sql(LISTED.act))?;
        self.each(LISTED, &mut statement, [], suspension)
    }

    /// Forgets those that cannot be read; whether there was any.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_unread_suspensions(&self) -> Result<bool, StoreError> {
        let act = "forgetting a record of what was suspended";
        let bad = self.write(act, |tx| {
            let mut statement = tx.prepare(QUERY).map_err(sql(act))?;
            let mut rows = statement.query([]).map_err(sql(act))?;
            let mut bad: Vec<Value> = Vec::new();
            while let Some(row) = rows.next().map_err(sql(act))? {
                if suspension(row).is_err() {
                    bad.push(row.get(0).map_err(sql(act))?);
                }
            }
            for key in &bad {
                tx.execute("DELETE FROM suspensions WHERE service = ?1", [key])
                    .map_err(sql(act))?;
            }
            Ok(bad)
        })?;
        self.read_again(SUSPENSION);
        Ok(!bad.is_empty())
    }

    /// Records one, in the place of an earlier one of the same.
    ///
    /// # Errors
    /// When the database fails.
    pub fn suspend(&self, suspension: &Suspension) -> Result<(), StoreError> {
        let Suspension { service, until, reason, by, at } = suspension;
        let service = service.as_ref().map(ServiceName::as_str).unwrap_or_default();
        self.lock()
            .execute(
                "INSERT INTO suspensions (service, until, reason, suspended_by, suspended_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (service) DO UPDATE SET until = ?2, \
                 reason = ?3, suspended_by = ?4, suspended_at = ?5",
                params![service, until, reason, by, at],
            )
            .map_err(sql("recording what is suspended"))?;
        Ok(())
    }

    /// Forgets one; whether there was any.
    ///
    /// # Errors
    /// When the database fails.
    pub fn resume(&self, service: Option<&ServiceName>) -> Result<bool, StoreError> {
        let service = service.map(ServiceName::as_str).unwrap_or_default();
        let gone = self
            .lock()
            .execute("DELETE FROM suspensions WHERE service = ?1", [service])
            .map_err(sql("forgetting what was suspended"))?;
        Ok(gone > 0)
    }
}

fn suspension(row: &Row<'_>) -> Result<Suspension, StoreError> {
    let act = LISTED.act;
    let service: String = row.get(0).map_err(sql(act))?;
    Ok(Suspension {
        service: (!service.is_empty()).then(|| parse(act, &service)).transpose()?,
        // An end that cannot be read does not end it: somebody does, who resumes it.
        until: row.get(1).unwrap_or_default(),
        reason: row.get(2).map_err(sql(act))?,
        by: row.get(3).map_err(sql(act))?,
        at: row.get(4).map_err(sql(act))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_word_counts_for_each_service_and_for_everything() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) =
            Store::open(&dir.path().join("state.db"), crate::time::Time::EPOCH).unwrap();
        let of = |service: Option<&str>, reason: &str| Suspension {
            service: service.map(|name| name.parse().unwrap()),
            until: None,
            reason: reason.to_owned(),
            by: "ada".to_owned(),
            at: crate::time::Time::EPOCH,
        };
        for suspension in [of(Some("db"), "1"), of(None, "2"), of(Some("db"), "3")] {
            store.suspend(&suspension).unwrap();
        }
        assert_eq!(store.suspensions().unwrap(), [of(None, "2"), of(Some("db"), "3")]);
        assert!(store.resume(None).unwrap() && !store.resume(None).unwrap());
        assert_eq!(store.suspensions().unwrap(), [of(Some("db"), "3")]);
        // One that cannot be read is known to be there until it is forgotten.
        let raw = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
        raw.execute("UPDATE suspensions SET service = 'DB!'", []).unwrap();
        assert_eq!(store.suspensions().unwrap(), []);
        assert_eq!(store.unread()[0].to_string(), "the record of suspension `DB!` cannot be read");
        assert!(store.forget_unread_suspensions().unwrap());
        assert!(!store.forget_unread_suspensions().unwrap() && store.unread().is_empty());
    }
}
