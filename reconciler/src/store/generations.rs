//! Generations: the highest number each instance was ever told.
//!
//! Knows that a number is on disk before anyone hears it. Refuses to forget one: an instance that
//! went away and comes back goes on counting. Refuses numbers that agents report, too: those are
//! read anew for each plan.

use std::collections::BTreeMap;

use devnet_schema::{name::InstanceId, order::MAX_GENERATION};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Store, StoreError, number::Number, parse, sql};

impl Store {
    /// The highest generation of each instance.
    ///
    /// # Errors
    /// When the database fails.
    pub fn generations(&self) -> Result<BTreeMap<InstanceId, u64>, StoreError> {
        let act = "reading the generations";
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT instance, generation FROM generations")
            .map_err(sql(act))?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))
            .map_err(sql(act))?;
        rows.map(|row| {
            let (instance, Number(generation)) = row.map_err(sql(act))?;
            Ok((parse(act, &instance)?, generation))
        })
        .collect()
    }

    /// Gives out generations; call it before the first step that carries one is sent. All are
    /// recorded, or none. The highest number again is allowed: steps of one plan share it.
    ///
    /// # Errors
    /// [`StoreError::StaleGeneration`] when one is older than what was given out before,
    /// [`StoreError::HighGeneration`] above [`MAX_GENERATION`]; else when the database fails.
    pub fn issue_generations(&self, wanted: &BTreeMap<InstanceId, u64>) -> Result<(), StoreError> {
        self.write("giving out generations", |tx| {
            for (instance, &wanted) in wanted {
                let issued = highest(tx, instance)?;
                if wanted > MAX_GENERATION {
                    return Err(StoreError::HighGeneration { instance: instance.clone(), wanted });
                }
                if wanted < issued {
                    let instance = instance.clone();
                    return Err(StoreError::StaleGeneration { instance, wanted, issued });
                }
                if wanted > issued {
                    raise(tx, instance, wanted)?;
                }
            }
            Ok(())
        })
    }
}

fn highest(tx: &Transaction<'_>, instance: &InstanceId) -> Result<u64, StoreError> {
    tx.prepare_cached("SELECT generation FROM generations WHERE instance = ?1")
        .and_then(|mut statement| {
            statement.query_row([instance.to_string()], |row| row.get(0)).optional()
        })
        .map(|found| found.map_or(0, |Number(generation)| generation))
        .map_err(sql("reading a generation"))
}

fn raise(tx: &Transaction<'_>, instance: &InstanceId, generation: u64) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO generations (instance, generation) VALUES (?1, ?2) \
         ON CONFLICT (instance) DO UPDATE SET generation = max(generation, ?2)",
    )
    .and_then(|mut statement| statement.execute(params![instance.to_string(), Number(generation)]))
    .map_err(sql("recording a generation"))?;
    Ok(())
}
