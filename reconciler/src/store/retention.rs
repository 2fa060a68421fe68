//! Retention: how much of the past is kept.
//!
//! Knows bounds. Refuses to drop what the next cycle needs: the newest, the last good and the last
//! applied revision, running deployments, plans that may still be applied, and generations.

use rusqlite::{Transaction, params};

use crate::time::Time;

use super::{Cause, Store, StoreError, sql};

/// How many of each are kept, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Revisions, with their files.
    pub revisions: u32,
    /// Plans that have expired or never do.
    pub plans: u32,
    /// Deployments that have ended, with their lines.
    pub deployments: u32,
    /// Events that people, jobs and the loop cause.
    pub acts: u32,
    /// Events that agents and strangers cause.
    pub reports: u32,
}

impl Default for Retention {
    /// Weeks of a busy cluster in some tens of MiB.
    fn default() -> Self {
        Self { revisions: 100, plans: 200, deployments: 500, acts: 20_000, reports: 20_000 }
    }
}

/// How many rows were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Revisions.
    pub revisions: usize,
    /// Plans.
    pub plans: usize,
    /// Deployments.
    pub deployments: usize,
    /// Events.
    pub events: usize,
    /// Join tokens that are used or expired.
    pub tokens: usize,
}

impl Store {
    /// Drops what is older than `keep` allows. Meant to be called now and then, hourly say.
    ///
    /// # Errors
    /// When the database fails; nothing is dropped then.
    pub fn prune(&self, keep: &Retention, now: Time) -> Result<Pruned, StoreError> {
        let Retention { revisions, plans, deployments, acts, reports } = *keep;
        self.write("dropping old records", |tx| {
            Ok(Pruned {
                revisions: drop_revisions(tx, revisions)?,
                plans: drop_plans(tx, plans, now)?,
                deployments: drop_deployments(tx, deployments)?,
                events: drop_events(tx, Cause::Act, acts)?
                    + drop_events(tx, Cause::Report, reports)?,
                tokens: drop_tokens(tx, now)?,
            })
        })
    }

    /// Drops events that are more than `keep` allows, of each cause.
    ///
    /// # Errors
    /// When the database fails; nothing is dropped then.
    pub fn bound_events(&self, keep: &Retention) -> Result<usize, StoreError> {
        let Retention { acts, reports, .. } = *keep;
        self.write("dropping old events", |tx| {
            Ok(drop_events(tx, Cause::Act, acts)? + drop_events(tx, Cause::Report, reports)?)
        })
    }
}

fn drop_revisions(tx: &Transaction<'_>, keep: u32) -> Result<usize, StoreError> {
    tx.execute(
        "DELETE FROM revisions WHERE \
         seq NOT IN (SELECT seq FROM revisions ORDER BY seq DESC LIMIT max(?1, 1)) \
         AND seq NOT IN (SELECT seq FROM revisions WHERE was_good \
                         ORDER BY seq DESC LIMIT 1) \
         AND seq NOT IN (SELECT seq FROM revisions WHERE applied_at IS NOT NULL \
                         ORDER BY applied_at DESC, seq DESC LIMIT 1)",
        [keep],
    )
    .map_err(sql("dropping old revisions"))
}

fn drop_plans(tx: &Transaction<'_>, keep: u32, now: Time) -> Result<usize, StoreError> {
    tx.execute(
        "DELETE FROM plans WHERE (expires_at IS NULL OR expires_at <= ?2) \
         AND seq NOT IN (SELECT seq FROM plans ORDER BY seq DESC LIMIT ?1)",
        params![keep, now],
    )
    .map_err(sql("dropping old plans"))
}

fn drop_deployments(tx: &Transaction<'_>, keep: u32) -> Result<usize, StoreError> {
    // At least one stays: `status` shows the newest.
    tx.execute(
        "DELETE FROM deployments WHERE state <> 'running' \
         AND seq NOT IN (SELECT seq FROM deployments ORDER BY seq DESC LIMIT max(?1, 1))",
        [keep],
    )
    .map_err(sql("dropping old deployments"))
}

fn drop_events(tx: &Transaction<'_>, cause: Cause, keep: u32) -> Result<usize, StoreError> {
    tx.execute(
        "DELETE FROM events WHERE cause = ?1 AND seq <= \
         (SELECT seq FROM events WHERE cause = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
        params![cause.word(), keep],
    )
    .map_err(sql("dropping old events"))
}

fn drop_tokens(tx: &Transaction<'_>, now: Time) -> Result<usize, StoreError> {
    tx.execute("DELETE FROM join_tokens WHERE used_at IS NOT NULL OR expires_at <= ?1", [now])
        .map_err(sql("dropping old join tokens"))
}
