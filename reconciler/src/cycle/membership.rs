//! Membership: nodes that join, come back, or are taken out.
//!
//! Knows what a join token is good for and who a certificate speaks for. Refuses to let a removed
//! node in.

use std::sync::Arc;

use devnet_schema::{
    name::NodeName,
    observed::ObservedInstance,
    secret::Sensitive,
    wire::{RegisterRequest, RegisterResponse},
};
use jiff::SignedDuration;

use super::{AdapterError, ControlPlane, unheard::kept};
use crate::{
    api::{JoinTokenRequest, LONGEST_TTL, detail::JoinTokenRow},
    auth::{AuthorityError, JoinToken, ListError, NodeIdentity},
    clock,
    fleet::Remembered,
    random,
    store::{Admission, Cordon, JoinRefusal, JoinTokenRecord, NewNode, StoreError},
    time::Time,
};

/// Why membership could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// There is no such node.
    #[error("there is no node {0}")]
    NoNode(String),
    /// What it runs is not known, so nothing of it can be taken over.
    #[error("what {0} runs is not known: its agent is not connected")]
    Silent(NodeName),
    /// What it runs is ordered on other nodes.
    #[error("{}", .0.join("; "))]
    Ordered(Vec<String>),
    /// Which secrets an instance may have cannot be told.
    #[error("{0}")]
    Secrets(String),
    /// Records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lists beside the CA.
    #[error(transparent)]
    List(#[from] ListError),
    /// Something else of ours.
    #[error("{0:#}")]
    Internal(#[from] anyhow::Error),
}

/// Why a node could not join.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The token does not let it in.
    #[error(transparent)]
    Refused(#[from] JoinRefusal),
    /// Its request for a certificate is no good.
    #[error(transparent)]
    Certificate(#[from] AuthorityError),
    /// Agents keep the name of their cluster from the day they joined, and there is none yet.
    #[error(
        "the cluster has no name yet: commit a valid cluster file to what this control plane \
         follows, or start it with --cluster NAME"
    )]
    Unnamed,
    /// Records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lists beside the CA.
    #[error(transparent)]
    List(#[from] ListError),
}

impl ControlPlane {
    /// Makes a join token; its text is shown this once.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn make_join_token(
        &self,
        request: &JoinTokenRequest,
        by: &str,
    ) -> Result<(Sensitive<String>, Time), AdapterError> {
        let token = JoinToken::make(self.authority.fingerprint(), &mut random::fill);
        let now = clock::now();
        let ttl = request.ttl_seconds.clamp(1, LONGEST_TTL) as i64;
        let expires = now.checked_add(SignedDuration::from_secs(ttl)).unwrap_or(now);
        let expires_at = Time::from(expires);
        self.store.add_join_token(&JoinTokenRecord {
            id: token.id.clone(),
            hash: token.hash(),
            node: request.node.clone(),
            replace: request.replace,
            created_at: now.into(),
            expires_at,
            used_at: None,
        })?;
        self.journal.write("auth", &token.id, &format!("join token made by {by}"));
        Ok((token.text(), expires_at))
    }

    /// The join tokens that may still be used, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn join_token_rows(&self) -> Result<Vec<JoinTokenRow>, AdapterError> {
        let open = self.store.open_join_tokens(clock::wall())?;
        let rows = open.into_iter().map(|record| {
            let JoinTokenRecord { id, hash: _, node, replace, created_at, expires_at, used_at: _ } =
                record;
            JoinTokenRow { id, node, replace, created_at, expires_at }
        });
        Ok(rows.collect())
    }

    /// Withdraws a join token. False when there is none that may still be used.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn withdraw_join_token(&self, id: &str, by: &str) -> Result<bool, AdapterError> {
        let withdrawn = self.store.withdraw_join_token(id)?;
        if withdrawn {
            self.journal.write("auth", id, &format!("join token withdrawn by {by}"));
        }
        Ok(withdrawn)
    }

    /// Lets a node join.
    ///
    /// # Errors
    /// When its token or its request for a certificate is refused.
    pub fn register(&self, request: &RegisterRequest) -> Result<RegisterResponse, RegisterError> {
        let (id, secret) =
            JoinToken::parse_credential(request.token.expose()).map_err(|_| JoinRefusal::Token)?;
        let on_record = self.store.join_token(&id)?;
        if !on_record.is_some_and(|record| JoinToken::verify(&secret, &record.hash)) {
            return Err(JoinRefusal::Token.into());
        }
        let cluster = self.fleet.cluster().ok_or(RegisterError::Unnamed)?;
        let node =
            NewNode { id: random::id(), name: request.name.clone(), replace: request.replace };
        let identity = NodeIdentity { name: node.name.clone(), id: node.id.clone() };
        // Signed first: a request that cannot be signed must not use up the token.
        let signed =
            self.authority.sign_node(&request.csr, &identity, clock::now(), &mut random::fill)?;
        {
            let _members = self.fleet.membership();
            // Refused before it is replaced; where that fails, the token is not used up.
            let refuse = |before: &str| -> Result<(), RegisterError> {
                let now = clock::now();
                Ok(self.revoked.add(before, now, now)?)
            };
            self.store.join(&id, &node, clock::wall(), refuse)??;
            self.joined.add(&node.name, &node.id)?;
            if request.replace {
                self.fleet.remove(&node.name);
            }
        }
        self.journal.node(&node.name, &format!("{} joined", node.name));
        Ok(RegisterResponse {
            id: node.id,
            cluster,
            certificate: signed.chain_pem,
            ca: self.authority.ca_pem().to_owned(),
        })
    }

    /// Whether a node that shows a valid certificate may come in; one that the records lost is
    /// taken back.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn admit(&self, name: &NodeName, id: &str) -> Result<Result<(), String>, AdapterError> {
        if self.revoked.holds(id) {
            return Ok(Err(removed(name)));
        }
        Ok(match self.store.admit_node(id, name, clock::wall())? {
            Admission::Known => Ok(()),
            Admission::Adopted => {
                self.orders().adopted(name);
                self.records_are_older(&format!("{name} joined and is not on record"))?;
                let text = format!("{name} came back with a valid certificate and is adopted");
                self.journal.node_reports(name, self.since_start(), &text);
                kept(self.joined.add(name, id));
                Ok(())
            }
            Admission::Removed => Err(removed(name)),
            Admission::Superseded => Err(format!(
                "another machine joined as {name}: join again with a new token and another name"
            )),
        })
    }

    /// Whether the node of this name is the one with this id, still.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(super) fn is_member(&self, name: &NodeName, id: &str) -> Result<bool, StoreError> {
        let known = self.store.member(name)?.is_some_and(|member| member == id);
        Ok(known && !self.revoked.holds(id))
    }

    /// Takes a node out of the cluster: its certificate is worth nothing from now on. What runs
    /// there goes on running, unseen. A name that has no record but orders is forgotten.
    ///
    /// # Errors
    /// When there is no such node or the records cannot be written.
    pub fn remove_node(&self, name: &NodeName, by: &str) -> Result<(), MembershipError> {
        // No session of it opens while it is taken out.
        let _members = self.fleet.membership();
        match self.store.member(name)? {
            Some(id) => {
                // Refused first: whatever fails from here on, it does not come back.
                let now = clock::now();
                self.revoked.add(&id, now, now)?;
                self.store.remove_node(name, clock::wall())?;
                kept(self.joined.remove(name, &id));
            }
            None if self.fleet.knows(name) => {}
            None => return Err(MembershipError::NoNode(name.to_string())),
        }
        // What it runs without a record is protected as it says itself.
        let (_, seen) = self.fleet.report_of(name);
        let protected = seen.iter().filter(|one| one.spec.as_ref().is_some_and(|it| it.protect));
        let ordered = protected.map(ObservedInstance::instance);
        let ordered = ordered.filter(|id| self.orders().knows(id, name)).collect();
        self.store.keep_protected(&ordered)?;
        self.forget(name)?;
        self.fleet.remove(name);
        self.journal.node(name, &format!("{name} was removed by {by}"));
        self.wake();
        Ok(())
    }

    /// Forgets what a node was told, that is no part of the cluster any more.
    pub(super) fn forget(&self, name: &NodeName) -> Result<(), StoreError> {
        self.store.drop_assignments_of(name)?;
        self.store.drop_claims_of(name)?;
        self.grants().forget_node(name);
        self.orders().forget_node(name);
        Ok(())
    }

    /// Says whether a node takes new instances, and whether it gives up what it has.
    ///
    /// # Errors
    /// When there is no such node or the records cannot be written.
    pub fn cordon(&self, name: &NodeName, cordon: Cordon, by: &str) -> Result<(), MembershipError> {
        if !self.store.set_cordon(name, cordon)? {
            return Err(MembershipError::NoNode(name.to_string()));
        }
        let (cordoned, drained) = (cordon != Cordon::Lifted, cordon == Cordon::Drained);
        self.fleet.set_cordoned(name, cordoned, drained);
        let word = match cordon {
            Cordon::Lifted => "uncordoned",
            Cordon::Cordoned => "cordoned",
            Cordon::Drained => "drained",
        };
        self.journal.node(name, &format!("{name} was {word} by {by}"));
        self.wake();
        Ok(())
    }

    /// The name of the node that a path names by name or id.
    ///
    /// # Errors
    /// When there is none.
    pub fn find_node(&self, text: &str) -> Result<NodeName, MembershipError> {
        if let Ok(name) = text.parse::<NodeName>()
            && (self.store.member(&name)?.is_some() || self.fleet.knows(&name))
        {
            return Ok(name);
        }
        self.store.member_with_id(text)?.ok_or_else(|| {
            let shown: String = text.chars().take(64).collect();
            MembershipError::NoNode(shown.escape_debug().to_string())
        })
    }

    /// A node whose record could not be read has said anew what it has: where that mended the
    /// record, what an admin said of it counts again. What an admin said and cannot be read is
    /// reset, and the node stays shut.
    ///
    /// # Errors
    /// When the records cannot be read or written.
    pub(super) fn reread(&self, name: &NodeName) -> Result<(), StoreError> {
        if !self.store.unread().iter().any(|row| row.kind == "node") {
            return Ok(());
        }
        if self.store.mend_node(name, clock::wall())? {
            let text = format!(
                "what was on record of {name} could not be read and is reset: it has no tags and \
                 no zone where those were damaged, and takes nothing new until `devnet node \
                 uncordon {name}`"
            );
            self.journal.node(name, &text);
        }
        if let Ok(Some(record)) = self.store.node(name) {
            self.fleet.set_cordoned(name, record.cordoned, record.drained);
        }
        Ok(())
    }

    /// Puts the nodes of the records into the fleet: known, not connected, and what they were told
    /// to run unknown.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn remember_nodes(self: &Arc<Self>) -> Result<usize, StoreError> {
        self.finish_removals()?;
        self.compare_count()?;
        self.take_back_nodes()?;
        let nodes = self.store.nodes()?;
        let known = nodes.len();
        for record in nodes {
            let ran = self.orders().remembered(&record.name);
            let remembered = Remembered {
                id: record.id,
                facts: record.facts,
                last_seen: record.last_seen,
                tags: record.tags,
                zone: record.zone,
                cordoned: record.cordoned,
                drained: record.drained,
            };
            self.fleet.remember(record.name, remembered, ran);
        }
        self.doubt_orders()?;
        Ok(known)
    }

    /// Where an order cannot be read, its node is asked what it was told. A node that was told to
    /// run something and has no record that can be read is known all the same: what runs there is
    /// unknown, and not gone.
    fn doubt_orders(&self) -> Result<(), StoreError> {
        for assigned in self.store.assignments()? {
            if !self.fleet.knows(&assigned.node) {
                let ran = self.orders().remembered(&assigned.node);
                let shut = Remembered { cordoned: true, ..Remembered::default() };
                self.fleet.remember(assigned.node, shut, ran);
            }
        }
        let doubtful = self.store.unread_assignments()?;
        for record in self.store.nodes()? {
            if doubtful.contains(&None) || doubtful.contains(&Some(record.name.clone())) {
                self.store.unread_node(&record.name)?;
                self.orders().lost(&record.name);
            }
        }
        Ok(())
    }
}

fn removed(name: &NodeName) -> String {
    format!("node {name} was removed from the cluster: join again with a new token")
}
