//! Assignments: which spec runs where by our own order.
//!
//! Knows what was ordered, so that an agent's word is never needed to tell whether it may have a
//! secret, and so that an instance on a node that is away is not started a second time. Refuses to
//! know whether it runs.

use devnet_schema::{
    instance::{Generation, InstanceSpec},
    name::{InstanceId, NodeName},
};
use rusqlite::params;

use super::{Store, StoreError, data, from_json, number::Number, parse, sql, to_json};

/// One instance that a node was told to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignmentRecord {
    /// Which.
    pub instance: InstanceId,
    /// Where.
    pub node: NodeName,
    /// As of which generation.
    pub generation: Generation,
    /// What.
    pub spec: InstanceSpec,
}

impl Store {
    /// Records that a node is told to run an instance; call it before it is told.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_assignment(&self, record: &AssignmentRecord) -> Result<(), StoreError> {
        let act = "recording an assignment";
        let AssignmentRecord { instance, node, generation, spec } = record;
        let spec = to_json(act, spec)?;
        self.write(act, |tx| {
            tx.prepare_cached(
                "INSERT INTO assignments (instance, node, generation, spec) \
                 VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (instance, node) DO UPDATE SET generation = ?3, spec = ?4",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    instance.to_string(),
                    node.as_str(),
                    Number(*generation),
                    spec
                ])
            })
            .map_err(sql(act))?;
            data::keep(tx, record)
        })
    }

    /// Records that a node no longer runs an instance.
    ///
    /// # Errors
    /// When the database fails.
    pub fn drop_assignment(
        &self,
        instance: &InstanceId,
        node: &NodeName,
    ) -> Result<(), StoreError> {
        self.lock()
            .execute(
                "DELETE FROM assignments WHERE instance = ?1 AND node = ?2",
                params![instance.to_string(), node.as_str()],
            )
            .map_err(sql("dropping an assignment"))?;
        Ok(())
    }

    /// Forgets everything that a node was told to run: it was removed from the cluster.
    ///
    /// # Errors
    /// When the database fails.
    pub fn drop_assignments_of(&self, node: &NodeName) -> Result<(), StoreError> {
        self.lock()
            .execute("DELETE FROM assignments WHERE node = ?1", [node.as_str()])
            .map_err(sql("dropping the assignments of a node"))?;
        Ok(())
    }

    /// Everything that is assigned, by instance and node.
    ///
    /// # Errors
    /// When the database fails.
    pub fn assignments(&self) -> Result<Vec<AssignmentRecord>, StoreError> {
        let act = "reading the assignments";
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT instance, node, generation, spec FROM assignments \
                 ORDER BY instance, node",
            )
            .map_err(sql(act))?;
        let rows = statement
            .query_map([], |row| {
                let Number(generation) = row.get(2)?;
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, generation, {
                    row.get::<_, String>(3)?
                }))
            })
            .map_err(sql(act))?;
        rows.map(|row| {
            let (instance, node, generation, spec) = row.map_err(sql(act))?;
            Ok(AssignmentRecord {
                instance: parse(act, &instance)?,
                node: parse(act, &node)?,
                generation,
                spec: from_json(act, &spec)?,
            })
        })
        .collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use devnet_schema::instance::{Limits, StopSpec, Workload};

    pub(in crate::store) fn record(node: &str, generation: u64) -> AssignmentRecord {
        let spec = InstanceSpec {
            cluster: "lab".parse().unwrap(),
            id: "db[0]".parse().unwrap(),
            node: node.parse().unwrap(),
            workload: Workload::Process { argv: Vec::new() },
            env: Default::default(),
            files: Default::default(),
            ports: Vec::new(),
            volumes: Vec::new(),
            limits: Limits::default(),
            gpus: Vec::new(),
            health: None,
            stop: StopSpec::default(),
            protect: false,
        };
        AssignmentRecord { instance: spec.id.clone(), node: spec.node.clone(), generation, spec }
    }

    #[test]
    fn an_assignment_is_replaced_and_dropped_by_instance_and_node() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&dir.path().join("state.db"), "t").unwrap();
        store.record_assignment(&record("n1", 1)).unwrap();
        store.record_assignment(&record("n2", 2)).unwrap();
        store.record_assignment(&record("n1", 3)).unwrap();
        assert_eq!(store.assignments().unwrap(), [record("n1", 3), record("n2", 2)]);
        store.drop_assignment(&record("n1", 3).instance, &record("n1", 3).node).unwrap();
        assert_eq!(store.assignments().unwrap(), [record("n2", 2)]);
        store.drop_assignments_of(&record("n2", 2).node).unwrap();
        assert!(store.assignments().unwrap().is_empty());
    }
}
