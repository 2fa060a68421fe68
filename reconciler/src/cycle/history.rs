//! What people and programs are shown of the records: plans, deployments, events, revisions, keys.
//!
//! Knows pages and where they go on. Refuses to change anything, and to show a key's hash to
//! whoever does not compare it.

use devnet_schema::{name::ServiceName, plan::Plan};
use jiff::{SignedDuration, Timestamp};

use super::{AdapterError, ControlPlane};
use crate::{
    api::{
        ApiKeyRow, Deployment, DeploymentLine, Event, MAX_PAGE, Page, RevisionRow, Role,
        audit::{AuditRow, DetailedKey},
        detail::DetailedPlan,
    },
    clock,
    store::{ApiKeyRecord, EventFilter, RevisionState},
    time::Time,
};

/// Whoever holds a key that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHolder {
    /// The key's public part.
    pub id: String,
    /// Of its secret part.
    pub hash: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

impl ControlPlane {
    /// The plans, newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or they cannot be read.
    pub fn plans(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DetailedPlan>, AdapterError> {
        Ok(self.store.plans(cursor, limit)?)
    }

    /// A plan by its digest, expired or not.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn saved_plan(&self, id: &str) -> Result<Option<Plan>, AdapterError> {
        Ok(self.store.plan(id)?.map(|stored| stored.plan))
    }

    /// The deployments, newest first; where a service is named, those that had a step of it.
    ///
    /// # Errors
    /// When the cursor is none of ours or they cannot be read.
    pub fn deployments(
        &self,
        service: Option<&ServiceName>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Deployment>, AdapterError> {
        Ok(self.store.deployments_of(service, cursor, limit)?)
    }

    /// A deployment.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn deployment(&self, id: &str) -> Result<Option<Deployment>, AdapterError> {
        Ok(self.store.deployment(id)?)
    }

    /// The lines of a deployment numbered above `after`, oldest first, as many as a page holds.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn lines_after(
        &self,
        deployment: &str,
        after: u64,
    ) -> Result<Vec<(u64, DeploymentLine)>, AdapterError> {
        Ok(self.store.lines(deployment, after, MAX_PAGE)?)
    }

    /// The events that meet a filter, newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or they cannot be read.
    pub fn events(
        &self,
        cursor: Option<&str>,
        limit: u32,
        filter: &EventFilter,
    ) -> Result<Page<Event>, AdapterError> {
        Ok(self.store.events(cursor, limit, filter)?)
    }

    /// The events numbered above `after`, oldest first, as many as a page holds.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn events_after(&self, after: u64) -> Result<Vec<Event>, AdapterError> {
        Ok(self.store.events_after(after, MAX_PAGE)?)
    }

    /// The revisions of the source, newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or they cannot be read.
    pub fn revisions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<RevisionRow>, AdapterError> {
        let page = self.store.revisions(cursor, limit)?;
        let items = page.items.into_iter().map(|record| RevisionRow {
            revision: record.revision,
            summary: record.summary,
            author: record.author,
            committed_at: record.committed_at,
            seen_at: record.seen_at,
            applied_at: record.applied_at,
            problem: match record.state {
                RevisionState::Bad { problem, .. } => Some(problem),
                RevisionState::Seen | RevisionState::Good => None,
            },
        });
        Ok(Page { items: items.collect(), next: page.next })
    }

    /// The API keys that are not revoked, newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or they cannot be read.
    pub fn api_keys(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DetailedKey>, AdapterError> {
        let page = self.store.api_keys(cursor, limit)?;
        let detailed = |record: ApiKeyRecord| DetailedKey {
            last_used_at: record.used_at,
            expires_at: None,
            row: key_row(record),
        };
        Ok(Page { items: page.items.into_iter().map(detailed).collect(), next: page.next })
    }

    /// Writes into the audit log. One that cannot be written goes to the log.
    pub fn audited(&self, row: AuditRow) {
        let row = AuditRow { at: clock::wall(), ..row };
        if let Err(error) = self.store.append_audit(&row) {
            tracing::error!(error = &error as &dyn std::error::Error, ?row, "the audit log");
        }
    }

    /// The audit log, newest first, of what holds `text`.
    ///
    /// # Errors
    /// When the cursor is none of ours or it cannot be read.
    pub fn audit(
        &self,
        cursor: Option<&str>,
        limit: u32,
        text: &str,
    ) -> Result<Page<AuditRow>, AdapterError> {
        Ok(self.store.audit(cursor, limit, text)?)
    }

    /// Whoever holds the key with this public part, while it is good.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn key_holder(&self, id: &str) -> Result<Option<KeyHolder>, AdapterError> {
        let record = self.store.api_key(id)?.filter(|record| record.revoked_at.is_none());
        let now = clock::now();
        if let Some(record) = record.as_ref().filter(|it| is_stale(it.used_at, now)) {
            self.store.touch_api_key(&record.id, now.into())?;
        }
        Ok(record.map(|ApiKeyRecord { id, hash, name, role, .. }| KeyHolder {
            id,
            hash,
            name,
            role,
        }))
    }
}

pub(super) fn key_row(record: ApiKeyRecord) -> ApiKeyRow {
    let ApiKeyRecord { id, hash: _, name, role, created_at, revoked_at: _, used_at: _ } = record;
    ApiKeyRow { id, name, role, created_at }
}

/// Whether the last use on record is so long ago that a new one is worth a write.
fn is_stale(used: Option<Time>, now: Timestamp) -> bool {
    let long = SignedDuration::from_secs(60);
    used.is_none_or(|used| now.duration_since(used.timestamp()) >= long)
}
