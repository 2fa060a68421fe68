//! Claims: what nodes say that they were told to run, since the records that could tell are lost.
//!
//! Knows that a node is asked for them once. Refuses to take one for an order.

use std::collections::BTreeSet;

use devnet_schema::{
    instance::{Generation, InstanceSpec},
    name::{InstanceId, NodeName},
};
use rusqlite::params;

use super::{Store, StoreError, from_json, number::Number, parse, rows::Listed, sql, to_json};

/// One instance that a node claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRecord {
    /// Which.
    pub instance: InstanceId,
    /// Where.
    pub node: NodeName,
    /// As of which generation; at most [`devnet_schema::order::MAX_GENERATION`].
    pub generation: Generation,
    /// What, where the node said so.
    pub spec: Option<InstanceSpec>,
    /// Whether the node has the receipt of the order, or an operator believes it.
    pub shown: bool,
}

impl Store {
    /// Nodes whose claims are still to be taken.
    ///
    /// # Errors
    /// When the database fails.
    pub fn unread_nodes(&self) -> Result<BTreeSet<NodeName>, StoreError> {
        self.nodes_unread(1)
    }

    /// Of these, the nodes that were told something since the records were copied.
    ///
    /// # Errors
    /// When the database fails.
    pub fn doubted_nodes(&self) -> Result<BTreeSet<NodeName>, StoreError> {
        self.nodes_unread(2)
    }

    fn nodes_unread(&self, least: u64) -> Result<BTreeSet<NodeName>, StoreError> {
        let listed = Listed { kind: "node", keys: 1, act: "reading which nodes the records lost" };
        let act = listed.act;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT name FROM nodes WHERE unread >= ?1 AND removed_at IS NULL")
            .map_err(sql(act))?;
        let names = self.each(listed, &mut statement, [Number(least)], |row| {
            parse(act, &row.get::<_, String>(0).map_err(sql(act))?)
        })?;
        Ok(names.into_iter().collect())
    }

    /// The records are older than the nodes: the claims of all are to be taken, but of `asked`.
    /// Returns which.
    ///
    /// # Errors
    /// When the database fails.
    pub fn doubt_nodes(&self, asked: BTreeSet<NodeName>) -> Result<BTreeSet<NodeName>, StoreError> {
        let act = "doubting what nodes were told";
        let names = self.nodes()?.into_iter().map(|node| node.name);
        let names: BTreeSet<NodeName> = names.filter(|name| !asked.contains(name)).collect();
        self.write(act, |tx| {
            for name in &names {
                let doubt = "UPDATE nodes SET unread = 2 WHERE name = ?1 AND removed_at IS NULL";
                tx.execute(doubt, [name.as_str()]).map_err(sql(act))?;
            }
            Ok(())
        })?;
        Ok(names)
    }

    /// The claims of a node are to be taken with its next whole report: an operator believes it.
    /// False when there is no such node.
    ///
    /// # Errors
    /// When the database fails.
    pub fn unread_node(&self, node: &NodeName) -> Result<bool, StoreError> {
        let changed = self
            .lock()
            .execute(
                "UPDATE nodes SET unread = max(unread, 1) \
                 WHERE name = ?1 AND removed_at IS NULL",
                [node.as_str()],
            )
            .map_err(sql("asking for the claims of a node"))?;
        Ok(changed > 0)
    }

    /// Takes the claims of a node, once: it is not asked again.
    ///
    /// # Errors
    /// When the database fails; nothing is taken then.
    pub fn take_claims(&self, node: &NodeName, claims: &[ClaimRecord]) -> Result<(), StoreError> {
        let act = "recording what a node claims";
        self.write(act, |tx| {
            tx.execute("DELETE FROM claims WHERE node = ?1", [node.as_str()]).map_err(sql(act))?;
            for ClaimRecord { instance, node, generation, spec, shown } in claims {
                let spec = spec.as_ref().map(|spec| to_json(act, spec)).transpose()?;
                tx.execute(
                    "INSERT INTO claims (instance, node, generation, spec, shown) \
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![instance.to_string(), node.as_str(), Number(*generation), spec, shown],
                )
                .map_err(sql(act))?;
            }
            tx.execute("UPDATE nodes SET unread = 0 WHERE name = ?1", [node.as_str()])
                .map_err(sql(act))?;
            Ok(())
        })
    }

    /// Forgets one claim: it is over, or an order now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn drop_claim(&self, instance: &InstanceId, node: &NodeName) -> Result<(), StoreError> {
        self.lock()
            .execute(
                "DELETE FROM claims WHERE instance = ?1 AND node = ?2",
                params![instance.to_string(), node.as_str()],
            )
            .map_err(sql("dropping a claim"))?;
        Ok(())
    }

    /// Forgets what a node claims: it was removed from the cluster.
    ///
    /// # Errors
    /// When the database fails.
    pub fn drop_claims_of(&self, node: &NodeName) -> Result<(), StoreError> {
        self.lock()
            .execute("DELETE FROM claims WHERE node = ?1", [node.as_str()])
            .map_err(sql("dropping the claims of a node"))?;
        Ok(())
    }

    /// Every claim, by instance and node.
    ///
    /// # Errors
    /// When the database fails.
    pub fn claims(&self) -> Result<Vec<ClaimRecord>, StoreError> {
        let listed = Listed { kind: "claim", keys: 2, act: "reading what nodes claim" };
        let act = listed.act;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT instance, node, generation, spec, shown FROM claims \
                 ORDER BY instance, node",
            )
            .map_err(sql(act))?;
        self.each(listed, &mut statement, [], |row| {
            type Raw = (String, String, Number, Option<String>, bool);
            let read = || -> rusqlite::Result<Raw> {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            };
            let (instance, node, Number(generation), spec, shown) = read().map_err(sql(act))?;
            Ok(ClaimRecord {
                instance: parse(act, &instance)?,
                node: parse(act, &node)?,
                generation,
                spec: spec.map(|text| from_json(act, &text)).transpose()?,
                shown,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_the_records_lost_is_asked_once() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) =
            Store::open(&dir.path().join("state.db"), crate::time::Time::EPOCH).unwrap();
        let node: NodeName = "n1".parse().unwrap();
        store.admit_node("id", &node, crate::time::Time::EPOCH).unwrap();
        assert_eq!(store.unread_nodes().unwrap(), BTreeSet::from([node.clone()]));
        let claim = |id: &str| ClaimRecord {
            instance: id.parse().unwrap(),
            node: node.clone(),
            generation: 3,
            spec: None,
            shown: id == "b[0]",
        };
        store.take_claims(&node, &[claim("a[0]"), claim("b[0]")]).unwrap();
        assert!(store.unread_nodes().unwrap().is_empty());
        assert_eq!(store.claims().unwrap(), [claim("a[0]"), claim("b[0]")]);
        store.drop_claim(&"a[0]".parse().unwrap(), &node).unwrap();
        assert_eq!(store.claims().unwrap(), [claim("b[0]")]);
        assert!(store.unread_node(&node).unwrap());
        store.take_claims(&node, &[]).unwrap();
        assert!(store.claims().unwrap().is_empty());
        assert!(!store.unread_node(&"n2".parse().unwrap()).unwrap());
        // Records that are older than the nodes doubt all of them but those that were asked.
        let other: NodeName = "n2".parse().unwrap();
        store.admit_node("other", &other, crate::time::Time::EPOCH).unwrap();
        store.take_claims(&other, &[]).unwrap();
        let doubted = BTreeSet::from([node.clone()]);
        assert_eq!(store.doubt_nodes(BTreeSet::from([other.clone()])).unwrap(), doubted);
        assert_eq!(store.doubted_nodes().unwrap(), doubted);
        assert_eq!(store.unread_nodes().unwrap(), doubted);
        store.take_claims(&node, &[]).unwrap();
        assert!(store.doubted_nodes().unwrap().is_empty());
    }
}
