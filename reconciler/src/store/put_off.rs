//! Changes that somebody cut short and that are not begun again.
//!
//! Knows what was wanted of a service then, and why it is not. Refuses to know when that is over.

use devnet_schema::{
    digest::Digest,
    name::{InstanceId, NodeName, ServiceName},
};
use rusqlite::params;

use super::{Store, StoreError, from_json, parse, rows::Listed, sql, to_json};

/// The change of one service, cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOffRecord {
    /// Whose.
    pub service: ServiceName,
    /// Who cut it short, for people.
    pub why: String,
    /// What was wanted of its instances, by where.
    pub wanted: Vec<(InstanceId, NodeName, Digest)>,
}

impl Store {
    /// Everything that is put off, by service.
    ///
    /// # Errors
    /// When the database fails.
    pub fn put_off(&self) -> Result<Vec<PutOffRecord>, StoreError> {
        let listed = Listed { kind: "cut change", keys: 1, act: "reading what was cut short" };
        let act = listed.act;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT service, why, wanted FROM put_off ORDER BY service")
            .map_err(sql(act))?;
        self.each(listed, &mut statement, [], |row| {
            let text = |column: usize| row.get::<_, String>(column).map_err(sql(act));
            Ok(PutOffRecord {
                service: parse(act, &text(0)?)?,
                why: text(1)?,
                wanted: from_json(act, &text(2)?)?,
            })
        })
    }

    /// Records everything that is put off, in the place of what was.
    ///
    /// # Errors
    /// When the database fails; what was on record stands then.
    pub fn keep_put_off(&self, all: &[PutOffRecord]) -> Result<(), StoreError> {
        let act = "recording what was cut short";
        self.write(act, |tx| {
            tx.execute("DELETE FROM put_off", []).map_err(sql(act))?;
            for PutOffRecord { service, why, wanted } in all {
                let wanted = to_json(act, wanted)?;
                let insert = "INSERT INTO put_off (service, why, wanted) VALUES (?1, ?2, ?3)";
                tx.execute(insert, params![service.as_str(), why, wanted]).map_err(sql(act))?;
            }
            Ok(())
        })
    }
}
