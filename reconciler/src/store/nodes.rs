//! Nodes: who joined, what they said of themselves last, what an admin said of them.
//!
//! Knows rows. Refuses to know whether a node is reachable: `fleet` does, from `last_seen`.

use devnet_schema::{fleet::NodeFacts, name::NodeName};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::time::Time;

use super::{Store, StoreError, from_json, number::Number, parse, rows::Listed, sql, to_json};

const NODES: Listed = Listed { kind: "node", keys: 2, act: "reading the nodes" };

/// A node as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Given when it joined; in its certificate.
    pub id: String,
    /// Its name; one node that is not removed has it.
    pub name: NodeName,
    /// What its agent reported last; all defaults before the first report.
    pub facts: NodeFacts,
    /// RFC 3339; absent before the first session.
    pub last_seen: Option<Time>,
    /// Tags that an admin gave it.
    pub tags: Vec<String>,
    /// Zone that an admin gave it.
    pub zone: Option<String>,
    /// Whether an admin forbade new instances.
    pub cordoned: bool,
    /// Whether an admin has it give up what can move; it is cordoned, too.
    pub drained: bool,
    /// RFC 3339; when it joined, or was adopted.
    pub joined_at: Time,
    /// RFC 3339; from then on its certificate is refused.
    pub removed_at: Option<Time>,
}

/// What becomes of a node that shows a valid certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is on record.
    Known,
    /// It was not on record (the database is younger than its certificate) and now is.
    Adopted,
    /// It was removed: refuse it.
    Removed,
    /// A node with another id has its name now: refuse it.
    Superseded,
}

/// What an admin lets a node take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cordon {
    /// Whatever placement gives it.
    Lifted,
    /// No new instances.
    Cordoned,
    /// Neither, and what can move goes elsewhere.
    Drained,
}

const COLUMNS: &str =
    "id, name, facts, last_seen, tags, zone, cordoned, joined_at, removed_at, drained";

impl Store {
    /// Decides about a node that showed a certificate of ours for `name` and `id`, and records one
    /// that is not on record, so that an empty database takes back the fleet it lost.
    ///
    /// # Errors
    /// When the database fails.
    pub fn admit_node(
        &self,
        id: &str,
        name: &NodeName,
        now: Time,
    ) -> Result<Admission, StoreError> {
        let act = "admitting a node";
        self.write(act, |tx| {
            let known: Option<(String, Option<String>)> = tx
                .prepare_cached("SELECT name, removed_at FROM nodes WHERE id = ?1")
                .and_then(|mut s| {
                    s.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
                })
                .map_err(sql(act))?;
            match known {
                Some((_, Some(_))) => Ok(Admission::Removed),
                Some((recorded, None)) if recorded == name.as_str() => Ok(Admission::Known),
                Some(_) => Ok(Admission::Superseded),
                None if holder(tx, name)?.is_some() => Ok(Admission::Superseded),
                None => {
                    insert(tx, id, name, now, true)?;
                    Ok(Admission::Adopted)
                }
            }
        })
    }

    /// The nodes that are not removed, by name. One whose record cannot be read in full is shut for
    /// new instances: what an admin said of it is not known.
    ///
    /// # Errors
    /// When the database fails.
    pub fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM nodes WHERE removed_at IS NULL ORDER BY name");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&query).map_err(sql(NODES.act))?;
        self.each(NODES, &mut statement, [], |row| {
            let whole = raw(row).map_err(sql(NODES.act)).and_then(|raw| raw.record(NODES.act));
            whole.or_else(|error| {
                let known = known_in_part(row).ok_or(error)?;
                self.pass_over(NODES.unread(row));
                Ok(known)
            })
        })
    }

    /// Ids of the nodes that were removed, each with the time where that can be read.
    ///
    /// # Errors
    /// When the database fails.
    pub fn removed_nodes(&self) -> Result<Vec<(String, Option<Time>)>, StoreError> {
        let listed =
            Listed { kind: "removed node", keys: 1, act: "reading which nodes were removed" };
        let act = listed.act;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT id, removed_at FROM nodes WHERE removed_at IS NOT NULL ORDER BY id",
            )
            .map_err(sql(act))?;
        self.each(listed, &mut statement, [], |row| {
            // Whatever stands there as the time, the node is removed.
            Ok((row.get(0).map_err(sql(act))?, row.get(1).unwrap_or_default()))
        })
    }

    /// The node of this name that is not removed.
    ///
    /// # Errors
    /// When the database fails.
    pub fn node(&self, name: &NodeName) -> Result<Option<NodeRecord>, StoreError> {
        self.find_node("name = ?1 AND removed_at IS NULL", name.as_str())
    }

    /// The id of the node of this name that is not removed. Asks for nothing else of its record, of
    /// which the rest may be damaged.
    ///
    /// # Errors
    /// When the database fails.
    pub fn member(&self, name: &NodeName) -> Result<Option<String>, StoreError> {
        let act = "looking for the node of a name";
        let query = "SELECT id FROM nodes WHERE name = ?1 AND removed_at IS NULL";
        let connection = self.lock();
        let mut statement = connection.prepare_cached(query).map_err(sql(act))?;
        statement.query_row([name.as_str()], |row| row.get(0)).optional().map_err(sql(act))
    }

    /// The name of the node of this id that is not removed; as [`Store::member`].
    ///
    /// # Errors
    /// When the database fails.
    pub fn member_with_id(&self, id: &str) -> Result<Option<NodeName>, StoreError> {
        let act = "looking for the node of an id";
        let query = "SELECT name FROM nodes WHERE id = ?1 AND removed_at IS NULL";
        let connection = self.lock();
        let mut statement = connection.prepare_cached(query).map_err(sql(act))?;
        let name: Option<String> =
            statement.query_row([id], |row| row.get(0)).optional().map_err(sql(act))?;
        name.map(|name| parse(act, &name)).transpose()
    }

    /// Makes the record of a node readable again that has just said anew what it has: what an admin
    /// said of it and cannot be read is reset, and the node is shut for new instances, since what
    /// they said may have been that. Whether anything had to be.
    ///
    /// # Errors
    /// When the database fails.
    pub fn mend_node(&self, name: &NodeName, now: Time) -> Result<bool, StoreError> {
        let act = "mending the record of a node";
        self.write(act, |tx| {
            let query =
                format!("SELECT {COLUMNS} FROM nodes WHERE name = ?1 AND removed_at IS NULL");
            let is_bad = |row: &Row<'_>, column: usize| match column {
                5 => row.get::<_, Option<String>>(column).is_err(),
                _ => row.get::<_, Option<Time>>(column).is_err(),
            };
            let tags = |row: &Row<'_>| {
                row.get::<_, String>(4).is_ok_and(|it| from_json::<Vec<String>>(act, &it).is_ok())
            };
            let read = |row: &Row<'_>| {
                let rest = [(3, "last_seen = NULL"), (5, "zone = NULL"), (7, "joined_at = ?2")];
                let bad = rest.into_iter().filter(|(column, _)| is_bad(row, *column));
                let mut resets: Vec<&str> = bad.map(|(_, reset)| reset).collect();
                resets.extend((!tags(row)).then_some("tags = '[]'"));
                Ok::<_, rusqlite::Error>(resets)
            };
            let found = tx.query_row(&query, [name.as_str()], read).optional();
            let resets = found.map_err(sql(act))?.unwrap_or_default();
            if resets.is_empty() {
                return Ok(false);
            }
            let set = resets.join(", ");
            // The time is a parameter of every form, whether it is used or not.
            let query = format!(
                "UPDATE nodes SET cordoned = 1, {set} \
                 WHERE name = ?1 AND removed_at IS NULL AND ?2 IS NOT NULL"
            );
            tx.execute(&query, params![name.as_str(), now]).map_err(sql(act))?;
            Ok(true)
        })
    }

    /// The node of this id, removed or not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn node_with_id(&self, id: &str) -> Result<Option<NodeRecord>, StoreError> {
        self.find_node("id = ?1", id)
    }

    fn find_node(&self, filter: &str, value: &str) -> Result<Option<NodeRecord>, StoreError> {
        let act = "reading a node";
        let query = format!("SELECT {COLUMNS} FROM nodes WHERE {filter}");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&query).map_err(sql(act))?;
        let found = statement.query_row([value], raw).optional().map_err(sql(act))?;
        found.map(|raw| raw.record(act)).transpose()
    }

    /// Records what a node says of itself, and that it was seen. False when there is no such node.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_facts(
        &self,
        name: &NodeName,
        facts: &NodeFacts,
        now: Time,
    ) -> Result<bool, StoreError> {
        let act = "recording what a node has";
        let facts = to_json(act, facts)?;
        let set = "facts = ?2, last_seen = ?3";
        self.update_node(act, set, params![name.as_str(), facts, now])
    }

    /// Records that a node was seen. False when there is no such node. Meant for the end of a
    /// session and now and then in between, not for every heartbeat: each call is a disk flush.
    ///
    /// # Errors
    /// When the database fails.
    pub fn touch_node(&self, name: &NodeName, now: Time) -> Result<bool, StoreError> {
        let set = "last_seen = ?2";
        self.update_node("recording a heartbeat", set, params![name.as_str(), now])
    }

    /// Counts a session of the node with this id; returns the highest count before.
    ///
    /// # Errors
    /// When the database fails.
    pub fn count_session(&self, id: &str, session: u64) -> Result<u64, StoreError> {
        let act = "counting a session";
        self.write(act, |tx| {
            let before = tx
                .query_row("SELECT sessions FROM nodes WHERE id = ?1", [id], |row| {
                    row.get::<_, i64>(0)
                })
                .optional()
                .map_err(sql(act))?
                // One that is no count was never one of ours.
                .map_or(0, |before| u64::try_from(before).unwrap_or(0));
            // A count that no agent reaches is a lie, and must not become an error of ours.
            let session = session.min(i64::MAX as u64);
            tx.execute(
                "UPDATE nodes SET sessions = ?2 WHERE id = ?1",
                params![id, Number(session)],
            )
            .map_err(sql(act))?;
            Ok(before)
        })
    }

    /// Records what an admin lets a node take. False when there is no such node.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_cordon(&self, name: &NodeName, cordon: Cordon) -> Result<bool, StoreError> {
        let set = "cordoned = ?2, drained = ?3";
        let values = (cordon != Cordon::Lifted, cordon == Cordon::Drained);
        self.update_node("cordoning a node", set, params![name.as_str(), values.0, values.1])
    }

    /// Records the tags and zone that an admin gives a node. False when there is no such node.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_labels(
        &self,
        name: &NodeName,
        tags: &[String],
        zone: Option<&str>,
    ) -> Result<bool, StoreError> {
        let act = "labelling a node";
        let tags = to_json(act, &tags)?;
        self.update_node(act, "tags = ?2, zone = ?3", params![name.as_str(), tags, zone])
    }

    /// Removes a node: its name is free, its certificate is refused from now on. False when there
    /// is no such node.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_node(&self, name: &NodeName, now: Time) -> Result<bool, StoreError> {
        self.update_node("removing a node", "removed_at = ?2", params![name.as_str(), now])
    }

    /// `?1` is the name, the rest belongs to `set`.
    fn update_node(
        &self,
        act: &'static str,
        set: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<bool, StoreError> {
        let query = format!("UPDATE nodes SET {set} WHERE name = ?1 AND removed_at IS NULL");
        let changed = self
            .lock()
            .prepare_cached(&query)
            .and_then(|mut statement| statement.execute(values))
            .map_err(sql(act))?;
        Ok(changed > 0)
    }
}

/// The id of the node that has the name now.
pub(super) fn holder(tx: &Transaction<'_>, name: &NodeName) -> Result<Option<String>, StoreError> {
    tx.query_row(
        "SELECT id FROM nodes WHERE name = ?1 AND removed_at IS NULL",
        [name.as_str()],
        |row| row.get(0),
    )
    .optional()
    .map_err(sql("looking for the node of a name"))
}

/// Records a node that nothing is known of yet but its name; `unread` where it may have been told
/// to run something that is not on record.
pub(super) fn insert(
    tx: &Transaction<'_>,
    id: &str,
    name: &NodeName,
    now: Time,
    unread: bool,
) -> Result<(), StoreError> {
    let act = "recording a node";
    let facts = to_json(act, &NodeFacts::default())?;
    tx.execute(
        "INSERT INTO nodes (id, name, facts, tags, cordoned, joined_at, unread) \
         VALUES (?1, ?2, ?3, '[]', 0, ?4, ?5)",
        params![id, name.as_str(), facts, now, unread],
    )
    .map_err(sql(act))?;
    Ok(())
}

/// Marks the node that has the name as removed.
pub(super) fn retire(tx: &Transaction<'_>, name: &NodeName, now: Time) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE nodes SET removed_at = ?2 WHERE name = ?1 AND removed_at IS NULL",
        params![name.as_str(), now],
    )
    .map_err(sql("retiring a node"))?;
    Ok(())
}

/// A row before its texts are read.
struct Raw {
    id: String,
    name: String,
    facts: String,
    last_seen: Option<Time>,
    tags: String,
    zone: Option<String>,
    cordoned: bool,
    joined_at: Time,
    removed_at: Option<Time>,
    drained: bool,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        id: row.get(0)?,
        name: row.get(1)?,
        facts: row.get(2)?,
        last_seen: row.get(3)?,
        tags: row.get(4)?,
        zone: row.get(5)?,
        cordoned: row.get(6)?,
        joined_at: row.get(7)?,
        removed_at: row.get(8)?,
        drained: row.get(9)?,
    })
}

/// What is left of a node when only its id and name can be read.
fn known_in_part(row: &Row<'_>) -> Option<NodeRecord> {
    Some(NodeRecord {
        id: row.get(0).ok()?,
        name: row.get::<_, String>(1).ok()?.parse().ok()?,
        facts: NodeFacts::default(),
        last_seen: row.get(3).unwrap_or_default(),
        tags: Vec::new(),
        zone: None,
        cordoned: true,
        drained: false,
        joined_at: row.get(7).unwrap_or(Time::EPOCH),
        removed_at: None,
    })
}

impl Raw {
    fn record(self, act: &'static str) -> Result<NodeRecord, StoreError> {
        let Self {
            id,
            name,
            facts,
            last_seen,
            tags,
            zone,
            cordoned,
            joined_at,
            removed_at,
            drained,
        } = self;
        Ok(NodeRecord {
            id,
            name: parse(act, &name)?,
            facts: from_json(act, &facts)?,
            last_seen,
            tags: from_json(act, &tags)?,
            zone,
            cordoned,
            drained,
            joined_at,
            removed_at,
        })
    }
}
