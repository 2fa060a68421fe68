//! What people and jobs change beside plans: secrets and keys; and what they read of agents.
//!
//! Knows who did it, for the journal. Refuses to put a value anywhere but into `secrets`.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::extract::ws::WebSocket;
use devnet_catalog::Catalog;
use devnet_schema::{
    component::{ComponentSignature, Components},
    fleet::NodeFacts,
    name::{InstanceId, NodeName, SecretName},
    secret::Sensitive,
    wire::{LogBatch, Origin},
};
use futures_util::stream::{self, Stream};

use super::{AdapterError, ControlPlane, deploy::chain, history::key_row};
use crate::{
    api::{ApiKeyRequest, ApiKeyRow, SecretRow},
    auth::ApiKey,
    clock,
    fleet::{self, LogQuery},
    random,
    secrets::Stored,
    store::ApiKeyRecord,
};

impl ControlPlane {
    /// Time since the start, on a clock that never goes back.
    pub fn since_start(&self) -> Duration {
        self.fleet.now().since_start
    }

    /// Look at the source and the nodes now.
    pub fn look_again(&self) {
        self.source_due.store(true, Ordering::Release);
        self.wake();
    }

    /// Makes an API key; its text is shown this once.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn make_api_key(
        &self,
        request: ApiKeyRequest,
        by: &str,
    ) -> Result<(ApiKeyRow, Sensitive<String>), AdapterError> {
        let key = ApiKey::make(&mut random::fill);
        let record = ApiKeyRecord {
            id: key.id.clone(),
            hash: key.hash(),
            name: request.name,
            role: request.role,
            created_at: clock::wall(),
            revoked_at: None,
            used_at: None,
        };
        self.store.add_api_key(&record)?;
        let text = format!("API key `{}` made by {by}", record.name);
        self.journal.write("auth", &record.id, &text);
        Ok((key_row(record), key.text()))
    }

    /// Revokes an API key. False when there is none.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn revoke_api_key(&self, id: &str, by: &str) -> Result<bool, AdapterError> {
        let revoked = self.store.revoke_api_key(id, clock::wall())?;
        if revoked {
            self.keys_revoked.send_modify(|count| *count += 1);
            self.journal.write("auth", id, &format!("API key revoked by {by}"));
        }
        Ok(revoked)
    }

    /// Names and versions of the secrets.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn secret_rows(&self) -> Result<Vec<SecretRow>, AdapterError> {
        Ok(self.secrets.list()?)
    }

    /// Sets a secret.
    ///
    /// # Errors
    /// When the value is not one, or it cannot be written.
    pub fn set_secret(
        &self,
        name: &SecretName,
        value: &Sensitive<String>,
        by: &str,
    ) -> Result<SecretRow, AdapterError> {
        let now = clock::wall();
        let Stored { version, changed } = self.secrets.set(name, value, now, &mut random::fill)?;
        if changed {
            let text = format!("set to version {version} by {by}");
            self.journal.write("secret", &format!("secret.{name}"), &text);
            self.wake();
        }
        // The version is that of this value: by now there may be a newer one of somebody else.
        let known = self.secrets.list()?.into_iter();
        let known = known.filter(|_| !changed).find(|row| row.name == *name);
        let updated_at = known.map_or(now, |row| row.updated_at);
        Ok(SecretRow { name: name.clone(), version, updated_at })
    }

    /// Removes a secret with all its versions. False when there is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remove_secret(&self, name: &SecretName, by: &str) -> Result<bool, AdapterError> {
        let removed = self.secrets.remove(name)?;
        if removed {
            self.journal.write("secret", &format!("secret.{name}"), &format!("removed by {by}"));
            self.wake();
        }
        Ok(removed)
    }

    /// A node was heard of by other means than its session.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn heartbeat(&self, node: &NodeName, facts: Option<NodeFacts>) -> Result<(), AdapterError> {
        match facts {
            Some(mut facts) => {
                self.note_jump(node, &facts);
                // Its address is the one that it came with in a session. Of a record that cannot be
                // read, the session knows it still.
                let known = self.store.node(node).ok().flatten().map(|known| known.facts.ip);
                facts.ip = known.unwrap_or_default();
                self.store.record_facts(node, &facts, clock::wall())?
            }
            None => self.store.touch_node(node, clock::wall())?,
        };
        Ok(())
    }

    /// Speaks with a node's agent until either side ends it.
    pub async fn speak(self: Arc<Self>, socket: WebSocket, node: NodeName, id: String) {
        let admit = |origin: &Origin| match self.admit_session(&node, &id, origin) {
            Ok(admitted) => admitted,
            Err(error) => Err(chain(&error)),
        };
        let (fleet, name, own) = (Arc::clone(&self.fleet), node.clone(), id.clone());
        fleet::run_session(fleet, socket, name, own, admit).await;
    }

    /// Lines of an instance's log: at most `tail` old ones (`u32::MAX` means all), and with
    /// `follow` also those that come. The agent is asked for a batch when the one before was taken.
    ///
    /// # Errors
    /// When its agent is not connected, or too many logs are being read.
    pub async fn read_logs(
        &self,
        node: &NodeName,
        instance: InstanceId,
        tail: u32,
        follow: bool,
    ) -> Result<impl Stream<Item = LogBatch> + Send + use<>, AdapterError> {
        let query = LogQuery { instance, tail, follow };
        let lines = self.fleet.read_logs(node, query).await?;
        Ok(stream::unfold(lines, |mut lines| async move { Some((lines.next().await?, lines)) }))
    }

    /// The components of the configuration in force, or the built-in ones.
    pub fn components(&self) -> Vec<ComponentSignature> {
        let current = self.state().current.clone();
        let builtin;
        let catalog = match &current {
            Some(configuration) => &configuration.catalog,
            None => {
                builtin = Catalog::builtin();
                &builtin
            }
        };
        catalog.names().into_iter().filter_map(|name| catalog.signature(name)).cloned().collect()
    }
}
