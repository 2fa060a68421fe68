//! Join tokens and API keys: hashes, lifetimes, and the one moment at which a token is used up.
//!
//! Knows hashes. Refuses to know the secrets they were made of, and how they are compared: `auth`
//! does that before it comes here.

use devnet_schema::name::NodeName;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::api::{Page, Role};

use crate::time::Time;

use super::{Store, StoreError, from_json, nodes, parse, rows::Listed, sql, to_json};

const KEYS: Listed = Listed { kind: "API key", keys: 2, act: "reading the API keys" };
const TOKENS: Listed = Listed { kind: "join token", keys: 1, act: "reading a join token" };

/// A token that lets one node join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinTokenRecord {
    /// The public part.
    pub id: String,
    /// Hash of the secret part.
    pub hash: String,
    /// Only a node of this name may use it.
    pub node: Option<NodeName>,
    /// It may take over the name of a known node.
    pub replace: bool,
    /// RFC 3339.
    pub created_at: Time,
    /// RFC 3339; worthless from then on.
    pub expires_at: Time,
    /// RFC 3339; once it was used.
    pub used_at: Option<Time>,
}

/// A node that wants to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// Fresh; goes into its certificate.
    pub id: String,
    /// What it wants to be called.
    pub name: NodeName,
    /// Whether it asks to take over the name of a known node.
    pub replace: bool,
}

/// Why a node was not let in. A refused token is not used up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// Unknown, used or expired: told apart for nobody, or a guess would learn something.
    #[error("the join token is unknown, used or expired")]
    Token,
    /// It is bound to another name.
    #[error("the join token is for another node than {0}")]
    Name(NodeName),
    /// The name is taken and was not asked to be taken over.
    #[error("a node called {0} is already known")]
    Taken(NodeName),
    /// The name is taken and this token must not take it over.
    #[error("this join token may not replace the known node {0}")]
    Replace(NodeName),
}

impl JoinRefusal {
    /// What to do about it.
    pub fn advice(&self) -> String {
        match self {
            Self::Token => "a token is good for one node and a limited time: make a new one with \
                            `devnet node token`"
                .to_owned(),
            Self::Name(name) => format!(
                "join with `--name` and the name that the token was made for, or make one for this \
                 name: `devnet node token --node {name}`"
            ),
            Self::Taken(name) => format!(
                "choose another name with `--name`; or, when this machine takes the place of that \
                 node, join with `--replace` and a token made by `devnet node token --node {name} \
                 --replace`"
            ),
            Self::Replace(name) => format!(
                "keep `--replace`, and make a token for it: `devnet node token --node {name} \
                 --replace`"
            ),
        }
    }
}

/// A key of a person or a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// The public part.
    pub id: String,
    /// Hash of the secret part.
    pub hash: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// RFC 3339.
    pub created_at: Time,
    /// RFC 3339; refused from then on.
    pub revoked_at: Option<Time>,
    /// RFC 3339; when it was used last, to the minute.
    pub used_at: Option<Time>,
}

impl Store {
    /// Records a join token.
    ///
    /// # Errors
    /// When the database fails, also when the id is already on record.
    pub fn add_join_token(&self, token: &JoinTokenRecord) -> Result<(), StoreError> {
        let JoinTokenRecord { id, hash, node, replace, created_at, expires_at, used_at } = token;
        self.lock()
            .execute(
                "INSERT INTO join_tokens \
                 (id, hash, node, replace, created_at, expires_at, used_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    id,
                    hash,
                    node.as_ref().map(NodeName::as_str),
                    replace,
                    created_at,
                    expires_at,
                    used_at
                ],
            )
            .map_err(sql("recording a join token"))?;
        Ok(())
    }

    /// The join tokens that may still be used, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_join_tokens(&self, now: Time) -> Result<Vec<JoinTokenRecord>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT id, hash, node, replace, created_at, expires_at, used_at FROM join_tokens \
                 WHERE used_at IS NULL AND expires_at > ?1 ORDER BY created_at DESC, id",
            )
            .map_err(sql(TOKENS.act))?;
        self.each(TOKENS, &mut statement, [now], join_token)
    }

    /// Withdraws a join token. False when there is none that was not used.
    ///
    /// # Errors
    /// When the database fails.
    pub fn withdraw_join_token(&self, id: &str) -> Result<bool, StoreError> {
        let gone = self
            .lock()
            .execute("DELETE FROM join_tokens WHERE id = ?1 AND used_at IS NULL", [id])
            .map_err(sql("withdrawing a join token"))?;
        Ok(gone > 0)
    }

    /// The join token with this public part, used or not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn join_token(&self, id: &str) -> Result<Option<JoinTokenRecord>, StoreError> {
        let act = TOKENS.act;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT id, hash, node, replace, created_at, expires_at, used_at \
                 FROM join_tokens WHERE id = ?1",
            )
            .map_err(sql(act))?;
        // A token whose record cannot be read lets nobody in.
        let found = self.each(TOKENS, &mut statement, [id], join_token);
        Ok(found?.pop())
    }

    /// Uses up the token `id`, whose secret the caller has checked, and records the node, both or
    /// neither: of many callers with one token exactly one succeeds. `replacing` is told the id of
    /// the node whose name it takes over, before anything of it holds.
    ///
    /// # Errors
    /// When the database fails, or `replacing` does. A refusal is an answer, not an error.
    pub fn join<E: From<StoreError>>(
        &self,
        token: &str,
        node: &NewNode,
        now: Time,
        replacing: impl FnOnce(&str) -> Result<(), E>,
    ) -> Result<Result<(), JoinRefusal>, E> {
        let act = "letting a node join";
        let mut connection = self.lock();
        let tx = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(sql(act))?;
        if let Err(refusal) = redeem(&tx, token, node, now)? {
            // Dropping the transaction takes back the use of the token.
            return Ok(Err(refusal));
        }
        if let Some(before) = nodes::holder(&tx, &node.name)? {
            replacing(&before)?;
        }
        nodes::retire(&tx, &node.name, now)?;
        nodes::insert(&tx, &node.id, &node.name, now, false)?;
        tx.commit().map_err(sql(act))?;
        Ok(Ok(()))
    }

    /// Records an API key.
    ///
    /// # Errors
    /// When the database fails, also when the id is already on record.
    pub fn add_api_key(&self, key: &ApiKeyRecord) -> Result<(), StoreError> {
        let act = "recording an API key";
        let ApiKeyRecord { id, hash, name, role, created_at, revoked_at, used_at: _ } = key;
        let role = to_json(act, role)?;
        self.lock()
            .execute(
                "INSERT INTO api_keys (id, hash, name, role, created_at, revoked_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![id, hash, name, role, created_at, revoked_at],
            )
            .map_err(sql(act))?;
        Ok(())
    }

    /// The API key with this public part, revoked or not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn api_key(&self, id: &str) -> Result<Option<ApiKeyRecord>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT seq, id, hash, name, role, created_at, revoked_at, used_at \
                 FROM api_keys WHERE id = ?1",
            )
            .map_err(sql(KEYS.act))?;
        // A key whose record cannot be read is no key.
        Ok(self.each(KEYS, &mut statement, [id], key)?.pop())
    }

    /// The API keys that are not revoked, newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or the database fails.
    pub fn api_keys(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<ApiKeyRecord>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT seq, id, hash, name, role, created_at, revoked_at, used_at FROM api_keys \
                 WHERE revoked_at IS NULL AND seq < ?1 ORDER BY seq DESC LIMIT ?2",
            )
            .map_err(sql(KEYS.act))?;
        self.page_of(KEYS, &mut statement, cursor, limit, key)
    }

    /// Notes that an API key was used.
    ///
    /// # Errors
    /// When the database fails.
    pub fn touch_api_key(&self, id: &str, now: Time) -> Result<(), StoreError> {
        self.lock()
            .execute("UPDATE api_keys SET used_at = ?2 WHERE id = ?1", params![id, now])
            .map_err(sql("noting the use of an API key"))?;
        Ok(())
    }

    /// Revokes an API key. False when there is none that is not already revoked.
    ///
    /// # Errors
    /// When the database fails.
    pub fn revoke_api_key(&self, id: &str, now: Time) -> Result<bool, StoreError> {
        let changed = self
            .lock()
            .execute(
                "UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
                params![id, now],
            )
            .map_err(sql("revoking an API key"))?;
        Ok(changed > 0)
    }
}

/// Marks the token as used by this node, in one statement that also asks whether it still may be,
/// and then asks the rest; the caller drops the transaction on a refusal.
fn redeem(
    tx: &Transaction<'_>,
    token: &str,
    node: &NewNode,
    now: Time,
) -> Result<Result<(), JoinRefusal>, StoreError> {
    let used: Option<(Option<String>, bool)> = tx
        .query_row(
            "UPDATE join_tokens SET used_at = ?2, used_by = ?3 \
             WHERE id = ?1 AND used_at IS NULL AND expires_at > ?2 \
             RETURNING node, replace",
            params![token, now, node.id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(sql("using a join token"))?;
    let Some((bound, may_replace)) = used else {
        return Ok(Err(JoinRefusal::Token));
    };
    if bound.is_some_and(|name| name != node.name.as_str()) {
        return Ok(Err(JoinRefusal::Name(node.name.clone())));
    }
    let taken = nodes::holder(tx, &node.name)?.is_some();
    Ok(match (taken, node.replace, may_replace) {
        (false, _, _) | (true, true, true) => Ok(()),
        (true, false, _) => Err(JoinRefusal::Taken(node.name.clone())),
        (true, true, false) => Err(JoinRefusal::Replace(node.name.clone())),
    })
}

fn join_token(row: &Row<'_>) -> Result<JoinTokenRecord, StoreError> {
    let act = TOKENS.act;
    let read = || -> rusqlite::Result<(JoinTokenRecord, Option<String>)> {
        let token = JoinTokenRecord {
            id: row.get(0)?,
            hash: row.get(1)?,
            node: None,
            replace: row.get(3)?,
            created_at: row.get(4)?,
            expires_at: row.get(5)?,
            used_at: row.get(6)?,
        };
        Ok((token, row.get(2)?))
    };
    let (token, node) = read().map_err(sql(act))?;
    let node = node.map(|text| parse(act, &text)).transpose()?;
    Ok(JoinTokenRecord { node, ..token })
}

fn key(row: &Row<'_>) -> Result<ApiKeyRecord, StoreError> {
    let role: String = row.get(4).map_err(sql(KEYS.act))?;
    let role: Role = from_json(KEYS.act, &role)?;
    let read = || -> rusqlite::Result<ApiKeyRecord> {
        Ok(ApiKeyRecord {
            id: row.get(1)?,
            hash: row.get(2)?,
            name: row.get(3)?,
            role,
            created_at: row.get(5)?,
            revoked_at: row.get(6)?,
            used_at: row.get(7)?,
        })
    };
    read().map_err(sql(KEYS.act))
}
