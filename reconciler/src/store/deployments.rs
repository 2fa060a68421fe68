//! Deployments: runs of plans, their lines, and how far each step is.
//!
//! Knows that at most the deployments it calls running were running when the control plane
//! stopped. Refuses to know how they go on: the next cycle plans from what runs.

use devnet_schema::{
    name::{InstanceId, NodeName, ServiceName},
    step::StepState,
};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::api::{Deployment, DeploymentLine, DeploymentState, Page};

use crate::time::Time;

use super::{
    Store, StoreError, from_json, number::Number, page, parse, rows::Listed, sql, to_json,
};

const DEPLOYMENTS: Listed = Listed { kind: "deployment", keys: 2, act: "reading the deployments" };

/// How far a step of a deployment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRecord {
    /// Which step.
    pub step: String,
    /// About which instance.
    pub instance: InstanceId,
    /// On which node.
    pub node: NodeName,
    /// Of which generation.
    pub generation: u64,
    /// How far it is.
    pub state: StepState,
    /// RFC 3339; when it was last heard of.
    pub at: Time,
}

const COLUMNS: &str = "seq, id, plan, revision, started_by, started_at, ended_at, state, \
     summary, errors";

/// Written into a deployment that a stop of the control plane cut off.
const CUT_OFF: &str =
    "the control plane stopped in the middle: the next cycle goes on from what runs";

impl Store {
    /// How many deployments there ever were, also those that were dropped since.
    ///
    /// # Errors
    /// When the database fails.
    pub fn deployment_count(&self) -> Result<u64, StoreError> {
        let query = "SELECT seq FROM sqlite_sequence WHERE name = 'deployments'";
        let count = self.lock().query_row(query, [], |row| row.get(0)).optional();
        Ok(count.map_err(sql("counting the deployments"))?.map_or(0, |Number(count)| count))
    }

    /// Records a deployment that begins.
    ///
    /// # Errors
    /// When the id is already on record or the database fails.
    pub fn begin_deployment(&self, deployment: &Deployment) -> Result<(), StoreError> {
        let act = "recording a deployment";
        let Deployment { id, plan, revision, by, started_at, ended_at, state, summary, errors } =
            deployment;
        let (summary, errors) = (to_json(act, summary)?, to_json(act, errors)?);
        let state = word(*state);
        self.lock()
            .execute(
                "INSERT INTO deployments (id, plan, revision, started_by, started_at, ended_at, \
                 state, summary, errors) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![id, plan, revision, by, started_at, ended_at, state, summary, errors],
            )
            .map_err(sql(act))?;
        Ok(())
    }

    /// Records how a deployment ended: `ended_at`, `state`, `summary` and `errors` of `deployment`,
    /// and its last line, together.
    ///
    /// # Errors
    /// When it is not on record or the database fails.
    pub fn end_deployment(&self, deployment: &Deployment) -> Result<(), StoreError> {
        self.write("recording the end of a deployment", |tx| end(tx, deployment))
    }

    /// A deployment.
    ///
    /// # Errors
    /// When the database fails.
    pub fn deployment(&self, id: &str) -> Result<Option<Deployment>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM deployments WHERE id = ?1");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&query).map_err(sql(DEPLOYMENTS.act))?;
        let found = statement.query_row([id], |row| Ok(deployment(row))).optional();
        found.map_err(sql(DEPLOYMENTS.act))?.transpose()
    }

    /// The deployment that began last.
    ///
    /// # Errors
    /// When the database fails.
    pub fn newest_deployment(&self) -> Result<Option<Deployment>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM deployments ORDER BY seq DESC LIMIT 1");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&query).map_err(sql(DEPLOYMENTS.act))?;
        Ok(self.each(DEPLOYMENTS, &mut statement, [], deployment)?.pop())
    }

    /// The deployments, newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or the database fails.
    pub fn deployments(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Deployment>, StoreError> {
        self.deployments_of(None, cursor, limit)
    }

    /// Those that had a step of the service, where one is named; newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or the database fails.
    pub fn deployments_of(
        &self,
        service: Option<&ServiceName>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Deployment>, StoreError> {
        let query = format!(
            "SELECT {COLUMNS} FROM deployments WHERE seq < ?1 AND (?3 IS NULL OR EXISTS \
             (SELECT 1 FROM deployment_steps s WHERE s.deployment = deployments.id \
             AND substr(s.instance, 1, length(?3)) = ?3)) ORDER BY seq DESC LIMIT ?2"
        );
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&query).map_err(sql(DEPLOYMENTS.act))?;
        // An instance is written `web[0]`.
        let prefix = service.map(|service| format!("{service}["));
        let values = params![page::below(cursor)?, page::rows(limit), prefix];
        self.page_with(DEPLOYMENTS, &mut statement, values, limit, deployment)
    }

    /// Records how far a step is, and the line that says so, together; gives the line's number.
    ///
    /// # Errors
    /// When the deployment is not on record or the database fails.
    pub fn record_step(
        &self,
        deployment: &str,
        step: &StepRecord,
        line: &DeploymentLine,
    ) -> Result<u64, StoreError> {
        let act = "recording a step";
        let StepRecord { step, instance, node, generation, state, at } = step;
        let state = to_json(act, state)?;
        self.write(act, |tx| {
            tx.execute(
                "INSERT INTO deployment_steps \
                 (deployment, step, instance, node, generation, state, at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
                 ON CONFLICT (deployment, step) DO UPDATE SET \
                 instance = ?3, node = ?4, generation = ?5, state = ?6, at = ?7",
                params![
                    deployment,
                    step,
                    instance.to_string(),
                    node.as_str(),
                    Number(*generation),
                    state,
                    at
                ],
            )
            .map_err(sql(act))?;
            append(tx, deployment, line)
        })
    }

    /// The steps of a deployment that were heard of, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn steps(&self, deployment: &str) -> Result<Vec<StepRecord>, StoreError> {
        let listed = Listed { kind: "step", keys: 1, act: "reading the steps of a deployment" };
        let act = listed.act;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT step, instance, node, generation, state, at FROM deployment_steps \
                 WHERE deployment = ?1 ORDER BY step",
            )
            .map_err(sql(act))?;
        type Raw = (String, String, String, Number, String, Time);
        self.each(listed, &mut statement, [deployment], |row| {
            let read = || -> rusqlite::Result<Raw> {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            };
            let (step, instance, node, Number(generation), state, at) = read().map_err(sql(act))?;
            Ok(StepRecord {
                step,
                instance: parse(act, &instance)?,
                node: parse(act, &node)?,
                generation,
                state: from_json(act, &state)?,
                at,
            })
        })
    }

    /// Appends a line and gives its number, from 1.
    ///
    /// # Errors
    /// When the deployment is not on record or the database fails.
    pub fn append_line(&self, deployment: &str, line: &DeploymentLine) -> Result<u64, StoreError> {
        self.write("recording a line of a deployment", |tx| append(tx, deployment, line))
    }

    /// The lines of a deployment numbered above `after`, oldest first, at most
    /// [`crate::api::MAX_PAGE`].
    ///
    /// # Errors
    /// When the database fails.
    pub fn lines(
        &self,
        deployment: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, DeploymentLine)>, StoreError> {
        let listed = Listed { kind: "line", keys: 1, act: "reading the lines of a deployment" };
        let act = listed.act;
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT seq, line FROM deployment_lines \
                 WHERE deployment = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            )
            .map_err(sql(act))?;
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let values = params![deployment, after, limit.clamp(1, crate::api::MAX_PAGE)];
        self.each(listed, &mut statement, values, |row| {
            let Number(seq) = row.get(0).map_err(sql(act))?;
            let line: String = row.get(1).map_err(sql(act))?;
            Ok((seq, from_json(act, &line)?))
        })
    }

    /// Marks every deployment that is recorded as running as interrupted, and gives their ids.
    pub(super) fn interrupt_running(&self, now: Time) -> Result<Vec<String>, StoreError> {
        let act = "marking interrupted deployments";
        self.write(act, |tx| {
            let query =
                format!("SELECT {COLUMNS} FROM deployments WHERE state = 'running' ORDER BY seq");
            let mut statement = tx.prepare(&query).map_err(sql(act))?;
            let running = self.each(DEPLOYMENTS, &mut statement, [], deployment)?;
            let mut ids = Vec::new();
            for mut deployment in running {
                deployment.state = DeploymentState::Interrupted;
                deployment.ended_at = Some(now);
                deployment.errors.push(CUT_OFF.to_owned());
                end(tx, &deployment)?;
                ids.push(deployment.id);
            }
            // One that cannot be read does not run either.
            tx.execute("UPDATE deployments SET state = 'interrupted' WHERE state = 'running'", [])
                .map_err(sql(act))?;
            Ok(ids)
        })
    }
}

fn end(tx: &Transaction<'_>, deployment: &Deployment) -> Result<(), StoreError> {
    let act = "recording the end of a deployment";
    let Deployment { id, ended_at, state, summary, errors, .. } = deployment;
    let (summary, errors) = (to_json(act, summary)?, to_json(act, errors)?);
    let changed = tx
        .execute(
            "UPDATE deployments SET ended_at = ?2, state = ?3, summary = ?4, errors = ?5 \
             WHERE id = ?1",
            params![id, ended_at, word(*state), summary, errors],
        )
        .map_err(sql(act))?;
    if changed == 0 {
        let id = id.escape_debug().to_string();
        return Err(StoreError::Missing { kind: "deployment", id });
    }
    append(tx, id, &DeploymentLine::End { deployment: deployment.clone() })?;
    Ok(())
}

fn append(
    tx: &Transaction<'_>,
    deployment: &str,
    line: &DeploymentLine,
) -> Result<u64, StoreError> {
    let act = "recording a line of a deployment";
    let line = to_json(act, line)?;
    tx.prepare_cached(
        "INSERT INTO deployment_lines (deployment, seq, line) \
         SELECT ?1, coalesce(max(seq), 0) + 1, ?2 FROM deployment_lines WHERE deployment = ?1 \
         RETURNING seq",
    )
    .and_then(|mut statement| statement.query_row([deployment, &line], |row| row.get(0)))
    .map(|Number(seq)| seq)
    .map_err(sql(act))
}

/// The word of the column, which is also its word in JSON.
fn word(state: DeploymentState) -> &'static str {
    let found = DeploymentState::WORDS.iter().find(|(one, _)| *one == state);
    found.map_or("interrupted", |(_, word)| word)
}

fn deployment(row: &Row<'_>) -> Result<Deployment, StoreError> {
    raw(row).map_err(sql(DEPLOYMENTS.act))?.read(DEPLOYMENTS.act)
}

/// A row before its texts are read.
struct Raw {
    deployment: Deployment,
    state: String,
    summary: String,
    errors: String,
}

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    let deployment = Deployment {
        id: row.get(1)?,
        plan: row.get(2)?,
        revision: row.get(3)?,
        by: row.get(4)?,
        started_at: row.get(5)?,
        ended_at: row.get(6)?,
        state: DeploymentState::Interrupted,
        summary: Default::default(),
        errors: Vec::new(),
    };
    Ok(Raw { deployment, state: row.get(7)?, summary: row.get(8)?, errors: row.get(9)? })
}

impl Raw {
    fn read(self, act: &'static str) -> Result<Deployment, StoreError> {
        let Self { deployment, state, summary, errors } = self;
        let found = DeploymentState::WORDS.iter().find(|(_, word)| *word == state);
        let state = found.map_or(DeploymentState::Interrupted, |(state, _)| *state);
        let summary = from_json(act, &summary)?;
        let errors = from_json(act, &errors)?;
        Ok(Deployment { state, summary, errors, ..deployment })
    }
}
