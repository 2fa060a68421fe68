//! Data: on which nodes each instance was told to keep volumes, and what is protected.
//!
//! Knows that volumes outlive the unit and the order for it. Refuses to forget a place while its
//! node may still have it.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    fleet::DataPlace,
    instance::{Generation, Runtime, VolumeSpec},
    name::{InstanceId, NodeName},
};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    AssignmentRecord, Store, StoreError, from_json, number::Number, parse, rows::Listed, sql,
    to_json,
};

/// What a row is of that says where data is.
pub const DATA_PLACE: &str = "data place";
const KEPT: Listed = Listed { kind: "protection", keys: 1, act: "reading what is protected" };
const DATA: Listed = Listed { kind: DATA_PLACE, keys: 2, act: "reading where data is" };

/// A place of data, and which of its volumes were made: their node has said that it has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The place.
    pub place: DataPlace,
    /// Their names.
    pub volumes: BTreeSet<String>,
}

impl Store {
    /// Where data is, by instance and node.
    ///
    /// # Errors
    /// When the database fails.
    pub fn data_places(&self) -> Result<Vec<DataPlace>, StoreError> {
        Ok(self.data_places_made()?.into_iter().map(|it| it.place).collect())
    }

    /// The same, with which volumes were made.
    ///
    /// # Errors
    /// When the database fails.
    pub fn data_places_made(&self) -> Result<Vec<Made>, StoreError> {
        let act = DATA.act;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT instance, node, generation, runtime, volumes, made, shown FROM data_places \
                 ORDER BY instance, node",
            )
            .map_err(sql(act))?;
        self.each(DATA, &mut statement, [], |row| {
            let text = |column: usize| row.get::<_, String>(column).map_err(sql(act));
            let Number(generation) = row.get(2).map_err(sql(act))?;
            let place = DataPlace {
                instance: parse(act, &text(0)?)?,
                node: parse(act, &text(1)?)?,
                generation,
                runtime: Some(from_json::<Runtime>(act, &format!("\"{}\"", text(3)?))?),
                volumes: from_json(act, &text(4)?)?,
                missing: Vec::new(),
                shown: generation == 0 && row.get(6).map_err(sql(act))?,
            };
            Ok(Made { place, volumes: from_json(act, &text(5)?)? })
        })
    }

    /// Records which volumes of these places were made.
    ///
    /// # Errors
    /// When the database fails.
    pub fn made(&self, all: &[Made]) -> Result<(), StoreError> {
        if all.is_empty() {
            return Ok(());
        }
        let act = "recording which volumes were made";
        self.write(act, |tx| {
            for Made { place, volumes } in all {
                let (id, node) = (place.instance.to_string(), place.node.as_str());
                let update = "UPDATE data_places SET made = ?3 WHERE instance = ?1 AND node = ?2";
                tx.execute(update, params![id, node, to_json(act, volumes)?]).map_err(sql(act))?;
            }
            Ok(())
        })
    }

    /// Records that nodes have data by their own word, where nothing is on record of it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn claim_data(&self, places: &[DataPlace]) -> Result<(), StoreError> {
        let act = "recording what data nodes claim";
        self.write(act, |tx| {
            for place in places {
                let DataPlace { instance, node, generation, runtime, volumes, missing: _, shown } =
                    place;
                let runtime = runtime.unwrap_or(Runtime::Docker).as_str();
                let made: BTreeSet<&str> = volumes.iter().map(|it| it.name.as_str()).collect();
                tx.execute(
                    "INSERT INTO data_places \
                     (instance, node, generation, runtime, volumes, made, shown) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
                     ON CONFLICT (instance, node) DO UPDATE SET generation = ?3, runtime = ?4, \
                     volumes = ?5, made = ?6, shown = ?7 \
                     WHERE generation = 0",
                    params![
                        instance.to_string(),
                        node.as_str(),
                        Number(*generation),
                        runtime,
                        to_json(act, volumes)?,
                        to_json(act, &made)?,
                        shown
                    ],
                )
                .map_err(sql(act))?;
            }
            Ok(())
        })
    }

    /// Takes back that a node has data as of this generation: it could not start what would have
    /// written it. What it had before counts again; a node that had none has none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn take_back_data(
        &self,
        instance: &InstanceId,
        node: &NodeName,
        generation: Generation,
    ) -> Result<(), StoreError> {
        let place = params![instance.to_string(), node.as_str(), Number(generation)];
        let of_it = "WHERE instance = ?1 AND node = ?2 AND generation = ?3";
        let act = "taking back where data is";
        self.write(act, |tx| {
            tx.execute(&format!("DELETE FROM data_places {of_it} AND before IS NULL"), place)
                .and_then(|_| {
                    let back = "UPDATE data_places SET generation = before, before = NULL";
                    tx.execute(&format!("{back} {of_it}"), place)
                })
                .map_err(sql(act))?;
            Ok(())
        })
    }

    /// Every instance that some node is told to run, and whether it was protected when it was; and
    /// those that were protected on a node that was taken out, and were not ordered since.
    ///
    /// # Errors
    /// When the database fails.
    pub fn protection(&self) -> Result<BTreeMap<InstanceId, bool>, StoreError> {
        let mut protected = self.kept_protection()?;
        for AssignmentRecord { instance, spec, .. } in self.assignments()? {
            *protected.entry(instance).or_insert(false) |= spec.protect;
        }
        Ok(protected)
    }
}

impl Store {
    /// Keeps the protection of these, whose node was told to run them by no record.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep_protected(&self, instances: &BTreeSet<InstanceId>) -> Result<(), StoreError> {
        let act = "keeping what is protected";
        self.write(act, |tx| {
            let insert = "INSERT OR IGNORE INTO kept_protection (instance) VALUES (?1)";
            for instance in instances {
                tx.execute(insert, [instance.to_string()]).map_err(sql(act))?;
            }
            Ok(())
        })
    }

    fn kept_protection(&self) -> Result<BTreeMap<InstanceId, bool>, StoreError> {
        let act = KEPT.act;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT instance FROM kept_protection ORDER BY instance")
            .map_err(sql(act))?;
        let kept = self.each(KEPT, &mut statement, [], |row| {
            let text: String = row.get(0).map_err(sql(act))?;
            Ok((parse(act, &text)?, true))
        })?;
        Ok(kept.into_iter().collect())
    }
}

/// Keeps the protection of what a node was told to run.
pub(super) fn keep_protection(tx: &Transaction<'_>, node: &NodeName) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR IGNORE INTO kept_protection (instance) \
         SELECT instance FROM assignments WHERE node = ?1 \
         AND json_valid(spec) AND json_extract(spec, '$.protect')",
        [node.as_str()],
    )
    .map_err(sql("keeping what is protected"))?;
    Ok(())
}

/// An order says anew whether an instance is protected.
pub(super) fn decide_protection(
    tx: &Transaction<'_>,
    instance: &InstanceId,
) -> Result<(), StoreError> {
    tx.execute("DELETE FROM kept_protection WHERE instance = ?1", [instance.to_string()])
        .map_err(sql("recording what is protected"))?;
    Ok(())
}

/// Records that the node of an assignment has data of its instance, where the unit has volumes.
pub(super) fn keep(tx: &Transaction<'_>, record: &AssignmentRecord) -> Result<(), StoreError> {
    let act = "recording where data is";
    let AssignmentRecord { instance, node, generation, spec, .. } = record;
    if spec.volumes.is_empty() {
        return Ok(());
    }
    // Those that it has no more are still there.
    let mut volumes = spec.volumes.clone();
    let (known, mut made) = volumes_at(tx, record)?;
    for known in known {
        match volumes.iter().find(|volume| volume.name == known.name) {
            None => volumes.push(known),
            // One of another owner is another one.
            Some(now) if (&now.data_of, &now.project) != (&known.data_of, &known.project) => {
                made.remove(&known.name);
            }
            Some(_) => {}
        }
    }
    let (volumes, made) = (to_json(act, &volumes)?, to_json(act, &made)?);
    tx.prepare_cached(
        "INSERT INTO data_places (instance, node, generation, runtime, volumes, made) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (instance, node) DO UPDATE SET \
         before = CASE generation WHEN ?3 THEN before ELSE generation END, \
         generation = ?3, runtime = ?4, volumes = ?5, made = ?6",
    )
    .and_then(|mut statement| {
        statement.execute(params![
            instance.to_string(),
            node.as_str(),
            Number(*generation),
            spec.workload.runtime().as_str(),
            volumes,
            made
        ])
    })
    .map_err(sql(act))?;
    Ok(())
}

/// What the node of an assignment is known to have of its instance, with the same driver, and the
/// names of what of that was made.
fn volumes_at(
    tx: &Transaction<'_>,
    record: &AssignmentRecord,
) -> Result<(Vec<VolumeSpec>, BTreeSet<String>), StoreError> {
    let act = "reading where data is";
    let AssignmentRecord { instance, node, spec, .. } = record;
    let runtime = spec.workload.runtime().as_str();
    let found: Option<(String, String)> = tx
        .prepare_cached(
            "SELECT volumes, made FROM data_places \
             WHERE instance = ?1 AND node = ?2 AND runtime = ?3",
        )
        .and_then(|mut statement| {
            let place = params![instance.to_string(), node.as_str(), runtime];
            statement.query_row(place, |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(sql(act))?;
    let Some((volumes, made)) = found else { return Ok(Default::default()) };
    Ok((from_json(act, &volumes)?, from_json(act, &made)?))
}

#[cfg(test)]
mod tests {
    use devnet_schema::instance::Workload;

    use super::*;
    use crate::store::assignments::tests::record;

    fn with_data(node: &str, generation: Generation) -> AssignmentRecord {
        let mut record = record(node, generation);
        record.spec.workload = Workload::Process { argv: Vec::new() };
        record.spec.volumes = vec![VolumeSpec {
            name: "data".to_owned(),
            path: "data".to_owned(),
            data_of: None,
            project: None,
            read_only: false,
        }];
        record
    }

    fn places(store: &Store) -> Vec<(String, Generation)> {
        let places = store.data_places().unwrap();
        places.into_iter().map(|it| (it.node.to_string(), it.generation)).collect()
    }

    #[test]
    fn a_place_of_data_outlives_the_order_and_what_could_not_start_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) =
            Store::open(&dir.path().join("state.db"), crate::time::Time::EPOCH).unwrap();
        store.record_assignment(&record("n0", 1)).unwrap();
        store.record_assignment(&with_data("n1", 2)).unwrap();
        let (id, n1, n2) = ("db[0]".parse().unwrap(), "n1".parse().unwrap(), "n2".parse().unwrap());
        store.drop_assignment(&id, &n1).unwrap();
        store.drop_assignments_of(&n1).unwrap();
        assert_eq!(places(&store), [("n1".to_owned(), 2)]);
        let place = store.data_places().unwrap().remove(0);
        assert_eq!((place.runtime, place.volumes.len()), (Some(Runtime::Process), 1));
        // It could not start elsewhere, nor as something else where it was.
        store.record_assignment(&with_data("n2", 3)).unwrap();
        store.take_back_data(&id, &n2, 3).unwrap();
        store.record_assignment(&with_data("n1", 4)).unwrap();
        store.record_assignment(&with_data("n1", 4)).unwrap();
        store.take_back_data(&id, &n1, 4).unwrap();
        assert_eq!(places(&store), [("n1".to_owned(), 2)]);
        store.take_back_data(&id, &n1, 1).unwrap();
        assert_eq!(places(&store), [("n1".to_owned(), 2)]);
        // A volume that is declared no more is still there.
        let mut other = with_data("n1", 5);
        other.spec.volumes[0].name = "logs".to_owned();
        store.record_assignment(&other).unwrap();
        let place = store.data_places().unwrap().remove(0);
        let names: Vec<_> = place.volumes.iter().map(|volume| volume.name.as_str()).collect();
        assert_eq!(names, ["logs", "data"]);
        // A claim changes no record, and is one until an order is given there.
        let claim = |node: &str, generation| DataPlace {
            instance: id.clone(),
            node: node.parse().unwrap(),
            generation,
            runtime: Some(Runtime::Process),
            volumes: Vec::new(),
            missing: Vec::new(),
            shown: generation == 0,
        };
        store.claim_data(&[claim("n1", 9), claim("n3", 0)]).unwrap();
        let (first, third) = (("n1".to_owned(), 5), ("n3".to_owned(), 0));
        assert_eq!(places(&store), [first.clone(), third.clone()]);
        store.record_assignment(&with_data("n3", 6)).unwrap();
        store.take_back_data(&id, &claim("n3", 0).node, 6).unwrap();
        assert_eq!(places(&store), [first.clone(), third]);
        store.claim_data(&[claim("n3", 1)]).unwrap();
        assert_eq!(places(&store), [first, ("n3".to_owned(), 1)]);
        store.lock().execute("DELETE FROM data_places WHERE node = 'n3'", []).unwrap();
        // One that cannot be read is named, and hides no other.
        let bad = "INSERT INTO data_places (instance, node, generation, runtime, volumes) \
                   VALUES ('a b', 'n1', 1, 'docker', '[]')";
        store.lock().execute(bad, []).unwrap();
        assert_eq!(store.data_places().unwrap().len(), 1);
        assert!(store.unread().iter().any(|row| row.kind == DATA_PLACE));
    }

    #[test]
    fn a_volume_is_made_once_its_node_said_so_and_one_of_another_owner_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) =
            Store::open(&dir.path().join("state.db"), crate::time::Time::EPOCH).unwrap();
        let made = || -> Vec<String> {
            let all = store.data_places_made().unwrap();
            all.into_iter().flat_map(|it| it.volumes).collect()
        };
        store.record_assignment(&with_data("n1", 1)).unwrap();
        assert_eq!(made(), [""; 0], "an order makes nothing");
        let mut all = store.data_places_made().unwrap();
        all[0].volumes.insert("data".to_owned());
        store.made(&all).unwrap();
        let mut next = with_data("n1", 2);
        next.spec.volumes.push(VolumeSpec { name: "logs".into(), ..next.spec.volumes[0].clone() });
        store.record_assignment(&next).unwrap();
        assert_eq!(made(), ["data"]);
        next.generation = 3;
        next.spec.volumes[0].data_of = Some("old[0]".parse().unwrap());
        store.record_assignment(&next).unwrap();
        assert_eq!(made(), [""; 0]);
        // A claim says of itself that it is there.
        let claim = DataPlace { node: "n2".parse().unwrap(), ..all.remove(0).place };
        store.claim_data(&[DataPlace { generation: 0, ..claim }]).unwrap();
        assert_eq!(made(), ["data"]);
    }

    #[test]
    fn what_is_protected_is_read_from_what_was_ordered() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) =
            Store::open(&dir.path().join("state.db"), crate::time::Time::EPOCH).unwrap();
        let mut db = record("n1", 1);
        store.record_assignment(&db).unwrap();
        let told = |protected| BTreeMap::from([("db[0]".parse().unwrap(), protected)]);
        assert_eq!(store.protection().unwrap(), told(false));
        db.spec.protect = true;
        store.record_assignment(&db).unwrap();
        // One of two that were told is enough.
        store.record_assignment(&record("n2", 2)).unwrap();
        assert_eq!(store.protection().unwrap(), told(true));
        // That a node is gone takes nothing away; the next order decides.
        for node in ["n1", "n2"] {
            store.drop_assignments_of(&node.parse().unwrap()).unwrap();
            assert_eq!(store.protection().unwrap(), told(true));
        }
        store.record_assignment(&record("n3", 3)).unwrap();
        assert_eq!(store.protection().unwrap(), told(false));
        store.drop_assignments_of(&"n3".parse().unwrap()).unwrap();
        assert_eq!(store.protection().unwrap(), BTreeMap::new());
    }
}
