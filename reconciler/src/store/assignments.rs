//! Assignments: which spec runs where by our own order.
//!
//! Knows what was ordered, so that an agent's word is never needed to tell whether it may have a
//! secret, and so that an instance on a node that is away is not started a second time. Refuses to
//! know whether it runs.

use std::collections::BTreeSet;

use devnet_schema::{
    instance::{Generation, InstanceSpec},
    name::{InstanceId, NodeName},
};
use rusqlite::{Row, params};

use super::{
    Store, StoreError, data, from_json, number::Number, parse, rows::Listed, sql, to_json,
};

const ASSIGNMENTS: Listed = Listed { kind: "assignment", keys: 2, act: "reading the assignments" };

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
            data::decide_protection(tx, instance)?;
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

    /// Forgets everything that a node was told to run: it was removed from the cluster. What was
    /// protected there stays it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn drop_assignments_of(&self, node: &NodeName) -> Result<(), StoreError> {
        let act = "dropping the assignments of a node";
        self.write(act, |tx| {
            data::keep_protection(tx, node)?;
            tx.execute("DELETE FROM assignments WHERE node = ?1", [node.as_str()])
                .map_err(sql(act))?;
            Ok(())
        })
    }

    /// The nodes of assignments that cannot be read, `None` for one that names none: more may have
    /// been ordered there than is known.
    ///
    /// # Errors
    /// When the database fails.
    pub fn unread_assignments(&self) -> Result<BTreeSet<Option<NodeName>>, StoreError> {
        if !self.unread().iter().any(|row| row.kind == ASSIGNMENTS.kind) {
            return Ok(BTreeSet::new());
        }
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT instance, node, generation, spec FROM assignments")
            .map_err(sql(ASSIGNMENTS.act))?;
        let mut rows = statement.query([]).map_err(sql(ASSIGNMENTS.act))?;
        let mut nodes = BTreeSet::new();
        while let Some(row) = rows.next().map_err(sql(ASSIGNMENTS.act))? {
            if assignment(row).is_err() {
                nodes.insert(row.get::<_, String>(1).ok().and_then(|name| name.parse().ok()));
            }
        }
        Ok(nodes)
    }

    /// Everything that is assigned, by instance and node.
    ///
    /// # Errors
    /// When the database fails.
    pub fn assignments(&self) -> Result<Vec<AssignmentRecord>, StoreError> {
        let act = ASSIGNMENTS.act;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT instance, node, generation, spec FROM assignments \
                 ORDER BY instance, node",
            )
            .map_err(sql(act))?;
        self.each(ASSIGNMENTS, &mut statement, [], assignment)
    }
}

/// A row; one whose spec is of another instance or node is none of ours.
fn assignment(row: &Row<'_>) -> Result<AssignmentRecord, StoreError> {
    let act = ASSIGNMENTS.act;
    type Raw = (String, String, Number, String);
    let read =
        || -> rusqlite::Result<Raw> { Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)) };
    let (instance, node, Number(generation), spec) = read().map_err(sql(act))?;
    let instance = parse(act, &instance)?;
    let node = parse(act, &node)?;
    let spec: InstanceSpec = from_json(act, &spec)?;
    if spec.id != instance || spec.node != node {
        return Err(StoreError::Record { act });
    }
    Ok(AssignmentRecord { instance, node, generation, spec })
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
            run_once: false,
            schedule: None,
            protect: false,
        };
        AssignmentRecord { instance: spec.id.clone(), node: spec.node.clone(), generation, spec }
    }

    #[test]
    fn an_assignment_is_replaced_and_dropped_by_instance_and_node() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) =
            Store::open(&dir.path().join("state.db"), crate::time::Time::EPOCH).unwrap();
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
