//! The one row about the cluster itself.
//!
//! Knows its name and serial. Refuses to know what changed when the serial goes up.

use devnet_schema::name::ClusterName;
use rusqlite::params;

use super::{Store, StoreError, number::Number, parse, sql};

/// What is known of the cluster itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRecord {
    /// Its name; absent before the first configuration.
    pub name: Option<ClusterName>,
    /// Up by one whenever something of the fleet changed.
    pub serial: u64,
}

impl Store {
    /// The cluster.
    ///
    /// # Errors
    /// When the database fails.
    pub fn cluster(&self) -> Result<ClusterRecord, StoreError> {
        let act = "reading the cluster's record";
        let (name, Number(serial)): (Option<String>, Number) = self
            .lock()
            .query_row("SELECT name, serial FROM cluster", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(sql(act))?;
        let name = name.map(|text| parse(act, &text)).transpose()?;
        Ok(ClusterRecord { name, serial })
    }

    /// Names the cluster.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_cluster_name(&self, name: &ClusterName) -> Result<(), StoreError> {
        self.lock()
            .execute("UPDATE cluster SET name = ?1", params![name.as_str()])
            .map_err(sql("naming the cluster"))?;
        Ok(())
    }

    /// Counts a change of the fleet and gives the new serial.
    ///
    /// # Errors
    /// When the database fails.
    pub fn bump_serial(&self) -> Result<u64, StoreError> {
        let act = "counting a change of the fleet";
        self.write(act, |tx| {
            tx.query_row("UPDATE cluster SET serial = serial + 1 RETURNING serial", [], |row| {
                row.get(0)
            })
            .map(|Number(serial)| serial)
            .map_err(sql(act))
        })
    }
}
