//! Generations: the highest number each instance was ever told.
//!
//! Knows that a number is on disk before anyone hears it. Refuses to forget one: an instance that
//! went away and comes back goes on counting. Refuses numbers that agents report, too: those are
//! read anew for each plan.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    name::{InstanceId, NodeName},
    order::MAX_GENERATION,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{Store, StoreError, number::Number, parse, rows::Listed, sql};

const GENERATIONS: Listed = Listed { kind: "generation", keys: 1, act: "reading the generations" };

impl Store {
    /// The highest generation of each instance.
    ///
    /// # Errors
    /// When the database fails.
    pub fn generations(&self) -> Result<BTreeMap<InstanceId, u64>, StoreError> {
        let act = GENERATIONS.act;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT instance, generation FROM generations")
            .map_err(sql(act))?;
        let read = self.each(GENERATIONS, &mut statement, [], generation)?;
        let mut all: BTreeMap<InstanceId, u64> = read.into_iter().collect();
        if self.unread().iter().any(|row| row.kind == GENERATIONS.kind) {
            // Which number is lost is not known, but whatever was told stands elsewhere, too.
            for (instance, told) in told(&connection).map_err(sql(act))? {
                let highest = all.entry(instance).or_default();
                *highest = told.max(*highest);
            }
        }
        Ok(all)
    }

    /// Gives out generations, once for all steps of a plan; call it before the first step that
    /// carries one is sent. All are recorded, or none. The highest number again is refused: two
    /// plans that were made at the same time would tell two nodes the same.
    ///
    /// # Errors
    /// [`StoreError::StaleGeneration`] when one is not above what was given out before,
    /// [`StoreError::HighGeneration`] above [`MAX_GENERATION`]; else when the database fails.
    pub fn issue_generations(&self, wanted: &BTreeMap<InstanceId, u64>) -> Result<(), StoreError> {
        self.write("giving out generations", |tx| issue(tx, wanted))
    }

    /// The same, and counts a deployment for each of these nodes. Returns the id and the count of
    /// each that is on record.
    ///
    /// # Errors
    /// As [`Store::issue_generations`].
    pub fn issue_orders(
        &self,
        wanted: &BTreeMap<InstanceId, u64>,
        nodes: &BTreeSet<NodeName>,
    ) -> Result<BTreeMap<NodeName, (String, u64)>, StoreError> {
        let act = "giving out generations";
        self.write(act, |tx| {
            issue(tx, wanted)?;
            let mut counts = BTreeMap::new();
            for node in nodes {
                let counted = tx
                    .prepare_cached(
                        "UPDATE nodes SET orders = orders + 1 \
                         WHERE name = ?1 AND removed_at IS NULL RETURNING id, orders",
                    )
                    .and_then(|mut statement| {
                        let count = |row: &Row<'_>| {
                            row.get(1).and_then(|Number(count)| Ok((row.get(0)?, count)))
                        };
                        statement.query_row([node.as_str()], count).optional()
                    })
                    .map_err(sql(act))?;
                counts.extend(counted.map(|counted| (node.clone(), counted)));
            }
            Ok(counts)
        })
    }

    /// The node with this id shows that so many deployments had orders for it. Whether that is more
    /// than was on record; it is now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn raise_orders(&self, id: &str, count: u64) -> Result<bool, StoreError> {
        let raise = "UPDATE nodes SET orders = ?2 WHERE id = ?1 AND orders < ?2";
        let act = "counting the orders of a node";
        let raised = self.lock().execute(raise, params![id, Number(count)]).map_err(sql(act))?;
        Ok(raised > 0)
    }
}

fn issue(tx: &Transaction<'_>, wanted: &BTreeMap<InstanceId, u64>) -> Result<(), StoreError> {
    for (instance, &wanted) in wanted {
        let issued = highest(tx, instance)?;
        if wanted > MAX_GENERATION {
            return Err(StoreError::HighGeneration { instance: instance.clone(), wanted });
        }
        if wanted <= issued {
            let instance = instance.clone();
            return Err(StoreError::StaleGeneration { instance, wanted, issued });
        }
        raise(tx, instance, wanted)?;
    }
    Ok(())
}

fn generation(row: &Row<'_>) -> Result<(InstanceId, u64), StoreError> {
    let act = GENERATIONS.act;
    let instance: String = row.get(0).map_err(sql(act))?;
    let Number(generation) = row.get(1).map_err(sql(act))?;
    Ok((parse(act, &instance)?, generation))
}

/// The generations of orders and steps, as far as they can be read.
fn told(connection: &Connection) -> rusqlite::Result<Vec<(InstanceId, u64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT instance, generation FROM assignments \
         UNION ALL SELECT instance, generation FROM deployment_steps",
    )?;
    let rows = statement.query_map([], |row| Ok(generation(row).ok()))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn highest(tx: &Transaction<'_>, instance: &InstanceId) -> Result<u64, StoreError> {
    tx.prepare_cached("SELECT generation FROM generations WHERE instance = ?1")
        .and_then(|mut statement| {
            statement.query_row([instance.to_string()], |row| row.get::<_, i64>(0)).optional()
        })
        // One that is no number that was ever given out is raised like an absent one.
        .map(|found| found.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
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
