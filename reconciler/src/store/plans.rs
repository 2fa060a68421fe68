//! Plans that may still be applied, and what was asked for to get them.
//!
//! Knows documents. Refuses to know whether one may be applied.

use devnet_schema::plan::{Plan, Summary};
use rusqlite::{OptionalExtension, Row, params};

use crate::api::{Page, PlanRequest, PlanRow, detail::DetailedPlan};

use crate::time::Time;

use super::{Store, StoreError, from_json, rows::Listed, sql, to_json};

const PLANS: Listed = Listed { kind: "plan", keys: 2, act: "reading the plans" };

/// A plan and what it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPlan {
    /// The plan; `plan.id` is its key.
    pub plan: Plan,
    /// What was asked for, so that apply can plan again and compare the basis.
    pub request: PlanRequest,
    /// `watch`, or the name of whoever asked.
    pub by: String,
    /// RFC 3339.
    pub created_at: Time,
    /// RFC 3339; not to be applied from then on. Absent: as long as it is kept.
    pub expires_at: Option<Time>,
}

/// The most plans that are kept, expired or not.
const MOST_PLANS: u32 = 500;

impl Store {
    /// Saves a plan. The same plan again gets the new times, asker and request.
    ///
    /// # Errors
    /// When the database fails.
    pub fn save_plan(&self, stored: &StoredPlan) -> Result<(), StoreError> {
        let act = "saving a plan";
        let StoredPlan { plan, request, by, created_at, expires_at } = stored;
        let (document, request) = (to_json(act, plan)?, to_json(act, request)?);
        self.write(act, |tx| {
            tx.execute("DELETE FROM plans WHERE id = ?1", [plan.id.as_str()]).map_err(sql(act))?;
            tx.execute(
                "INSERT INTO plans \
                 (id, revision, plan, request, made_by, created_at, expires_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    plan.id.as_str(),
                    plan.basis.revision,
                    document,
                    request,
                    by,
                    created_at,
                    expires_at
                ],
            )
            .map_err(sql(act))?;
            // Whoever may plan may ask for any number of plans.
            tx.execute(
                "DELETE FROM plans WHERE seq <= \
                 (SELECT seq FROM plans ORDER BY seq DESC LIMIT 1 OFFSET ?1)",
                [MOST_PLANS],
            )
            .map_err(sql(act))?;
            Ok(())
        })
    }

    /// A plan by its digest, expired or not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn plan(&self, id: &str) -> Result<Option<StoredPlan>, StoreError> {
        let act = "reading a plan";
        type Row = (String, String, String, Time, Option<Time>);
        let row: Option<Row> = self
            .lock()
            .query_row(
                "SELECT plan, request, made_by, created_at, expires_at FROM plans WHERE id = ?1",
                [id],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
            )
            .optional()
            .map_err(sql(act))?;
        row.map(|(plan, request, by, created_at, expires_at)| {
            Ok(StoredPlan {
                plan: from_json(act, &plan)?,
                request: from_json(act, &request)?,
                by,
                created_at,
                expires_at,
            })
        })
        .transpose()
    }

    /// The plans, newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or the database fails.
    pub fn plans(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<DetailedPlan>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT seq, id, revision, made_by, created_at, expires_at, \
                 CASE WHEN json_valid(plan) THEN plan -> 'summary' END, \
                 CASE WHEN json_valid(plan) THEN plan ->> '$.placement.moves' END, \
                 CASE WHEN json_valid(plan) THEN plan ->> '$.placement.unplaced' END, \
                 CASE WHEN json_valid(plan) THEN (SELECT count(*) FROM \
                 json_each(plan, '$.diagnostics') WHERE value ->> 'severity' = 'error') END \
                 FROM plans WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
            )
            .map_err(sql(PLANS.act))?;
        self.page_of(PLANS, &mut statement, cursor, limit, row)
    }
}

fn row(row: &Row<'_>) -> Result<DetailedPlan, StoreError> {
    let read = || -> rusqlite::Result<(PlanRow, String)> {
        let plan = PlanRow {
            id: row.get(1)?,
            revision: row.get(2)?,
            by: row.get(3)?,
            created_at: row.get(4)?,
            expires_at: row.get(5)?,
            summary: Summary::default(),
        };
        Ok((plan, row.get(6)?))
    };
    let (plan, summary) = read().map_err(sql(PLANS.act))?;
    let count = |column: usize| row.get::<_, u32>(column).map_err(sql(PLANS.act));
    let errors = count(9)?;
    Ok(DetailedPlan {
        row: PlanRow { summary: from_json(PLANS.act, &summary)?, ..plan },
        applicable: errors == 0,
        errors,
        moves: count(7)?,
        unplaced: count(8)?,
    })
}
