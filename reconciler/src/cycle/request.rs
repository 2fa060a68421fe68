//! Plans and deployments that someone asked for.
//!
//! Knows how a request becomes a plan, and that a saved plan is applied only while everything it
//! was made from is as it was. Refuses to remember anything but the records.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use devnet_planner::{PlanInput, Policy, place};
use devnet_schema::{
    diagnostic::Diagnostic,
    name::ClusterName,
    overrides::{Origin, Overrides},
    plan::{Plan, PlanBasis},
    plan_options::{MAX_MOVES, MAX_SOLVE_LIMIT_MS, PlanOptions, SOLVE_LIMIT_MS},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    ControlPlane, Permit, Work,
    configuration::{self, Configuration, FilesRead, Rejected},
    deploy::{BeginError, short},
};
use crate::{
    api::{ApplyRequest, Deployment, PlanRequest},
    apply::Limits,
    clock,
    store::{StoreError, StoredPlan},
    time::Time,
};

/// How long a saved plan may be applied.
const PLAN_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// The most steps that may run at once.
const MOST_PARALLEL: u32 = 256;

/// Why a request was not met.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The configuration is at fault.
    #[error("{}", .0.problem)]
    Invalid(Rejected),
    /// It names another cluster.
    #[error("this control plane looks after cluster `{ours}`, not `{theirs}`")]
    OtherCluster {
        /// The one it looks after.
        ours: ClusterName,
        /// The one of the configuration.
        theirs: ClusterName,
    },
    /// Neither files nor a revision that is known.
    #[error("{0}")]
    NoRevision(String),
    /// An id of a deployment that no deployment can have.
    #[error("`deployment_id` is 1 to 64 letters, digits, `-`, `_` and `.`")]
    BadId,
    /// An id of a deployment that one has already.
    #[error("there is a deployment {0} already: choose another `deployment_id`")]
    IdTaken(String),
    /// No node can run anything for a cluster without a name.
    #[error("the cluster has no name yet: no node can run anything")]
    Unnamed,
    /// What is supposed or edited is about something that is not there.
    #[error("{0}")]
    Supposed(String),
    /// There is no such draft.
    #[error("there is no draft {0} of yours: it is good for a day, and gone after a restart")]
    NoDraft(String),
    /// Nothing may be committed to the source from here.
    #[error("nothing can be committed here: {0}")]
    ReadOnly(String),
    /// What was edited is no longer the newest.
    #[error("{0}")]
    BaseMoved(String),
    /// There is no such plan.
    #[error("there is no plan {0}")]
    NoPlan(String),
    /// The plan holds errors.
    #[error("the plan cannot be applied: {}", first(.0))]
    NotApplicable(Vec<Diagnostic>),
    /// What it was made from has moved.
    #[error("Saved plan is stale: {} changed after the plan was created", .0.join(" and "))]
    Stale(Vec<String>),
    /// The loop applies the source by itself and would undo it.
    #[error(
        "this control plane follows {0} and applies it by itself: what is applied from anywhere \
         else is undone at once"
    )]
    Undone(String),
    /// One deployment at a time, or records.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// Records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Agents are waited for after a start.
    #[error("{0}")]
    NotReady(String),
    /// As many are being planned as may be at once.
    #[error("other plans are being made: as many as may be at once")]
    TooMany,
    /// Something else of ours.
    #[error("{0:#}")]
    Internal(#[from] anyhow::Error),
}

fn first(findings: &[Diagnostic]) -> String {
    findings.iter().find(|f| f.is_error()).map(|f| f.message.clone()).unwrap_or_default()
}

impl ControlPlane {
    /// Plans what was asked for, saves the plan and returns it. A plan that cannot be applied is
    /// returned too: its diagnostics say why.
    ///
    /// # Errors
    /// When the configuration is invalid, of another cluster, or not known, or as many plans are
    /// being made as may be at once.
    pub async fn plan_request(&self, request: PlanRequest, by: &str) -> Result<Plan, RequestError> {
        self.is_settled()?;
        let permit = self.plan_permit().ok_or(RequestError::TooMany)?;
        let configuration = self.configuration_of(&request, &permit).await?;
        let theirs = &configuration.desired.cluster;
        self.check_name(theirs).map_err(other_than(theirs))?;
        let warnings = configuration.diagnostics.clone();
        let asked = &request.options;
        let limit = Some(solve_limit(asked));
        let by_hand = (capped(asked), Policy::default());
        let mut plan = self.plan(Arc::clone(&configuration), by_hand, limit, Some(permit)).await?;
        if asked.solve_limit_ms.is_none() && !plan.placement.cut_short {
            // A limit that nobody asked for and that changed nothing.
            plan.placement.solve_limit = None;
        }
        plan.diagnostics = merged(warnings, plan.diagnostics);
        let now = clock::now();
        let expires = now.checked_add(PLAN_LIFE).unwrap_or(now);
        plan.created_at = Time::from(now).to_string();
        self.store.save_plan(&StoredPlan {
            plan: plan.clone(),
            request,
            by: by.to_owned(),
            created_at: now.into(),
            expires_at: Some(expires.into()),
        })?;
        let message = format!(
            "planned by {by} at revision {}: {} to add, {} to change, {} to destroy",
            short(&plan.basis.revision),
            plan.summary.add,
            plan.summary.change,
            plan.summary.destroy
        );
        self.journal.asked("plan", plan.id.short(), &message);
        Ok(plan)
    }

    /// # Errors
    /// [`RequestError::NotReady`] while agents are waited for after a start.
    pub(super) fn is_settled(&self) -> Result<(), RequestError> {
        self.not_ready().map_or(Ok(()), |why| Err(RequestError::NotReady(why)))
    }

    /// Whether a plan could be made now.
    pub fn can_plan(&self) -> bool {
        self.permits.has_permit(Work::Plan)
    }

    /// The room for a plan that is made for a request, when there is some.
    pub fn plan_permit(&self) -> Option<Permit> {
        self.permits.permit(Work::Plan)
    }

    /// Applies a saved plan; `None` when it was only to be checked whether it could be.
    ///
    /// # Errors
    /// When there is no such plan, it holds errors, what it was made from has moved, another
    /// deployment runs, or the loop would undo it.
    pub async fn apply_request(
        self: &Arc<Self>,
        id: &str,
        request: &ApplyRequest,
        by: &str,
    ) -> Result<Option<Deployment>, RequestError> {
        self.is_settled()?;
        let ApplyRequest { parallelism, force, check } = *request;
        let stored = self.store.plan(id)?.ok_or_else(|| RequestError::NoPlan(printable(id)))?;
        let StoredPlan { plan, request: made_from, expires_at, .. } = stored;
        if !plan.is_applicable() {
            return Err(RequestError::NotApplicable(plan.diagnostics));
        }
        if expires_at.is_some_and(|end| is_over(end, clock::now())) {
            return Err(RequestError::Stale(vec!["the time (it is older than a day)".to_owned()]));
        }
        if let Some(running) = self.deploying() {
            return Err(BeginError::Busy(running).into());
        }
        let permit = self.permits.wait(Work::Apply).await;
        let stale = || RequestError::Stale(vec!["the configuration".to_owned()]);
        let configuration =
            self.configuration_of(&made_from, &permit).await.map_err(|error| match error {
                RequestError::Invalid(_) | RequestError::NoRevision(_) => stale(),
                other => other,
            })?;
        let moved = self.moved(&plan.basis, &configuration, Some(permit)).await?;
        if !moved.is_empty() {
            return Err(RequestError::Stale(moved.into_iter().map(str::to_owned).collect()));
        }
        let undone_by = self.undone_by(&configuration, made_from.options.destroy);
        if let Some(source) = undone_by.filter(|_| !force) {
            return Err(RequestError::Undone(source));
        }
        if check {
            return Ok(None);
        }
        self.take_name(&plan.cluster).map_err(other_than(&plan.cluster))?;
        let limits = Limits {
            parallelism: parallelism.clamp(1, MOST_PARALLEL) as usize,
            ..self.config.apply
        };
        self.make_secrets(&configuration.desired, &plan).map_err(anyhow::Error::from)?;
        Ok(Some(self.begin(plan, by, limits)?))
    }

    /// What a saved plan was made from and is no longer as it was, by the names people know it by;
    /// none where the plan may be applied as far as that goes.
    ///
    /// # Errors
    /// When there is no such plan, or what it was made from cannot be read.
    pub(super) async fn moved_since(&self, id: &str) -> Result<Vec<String>, RequestError> {
        let stored = self.store.plan(id)?.ok_or_else(|| RequestError::NoPlan(printable(id)))?;
        let StoredPlan { plan, request, expires_at, .. } = stored;
        let expired = expires_at.is_some_and(|end| is_over(end, clock::now()));
        let time = expired.then(|| "the time (it is older than a day)".to_owned());
        let permit = self.permits.wait(Work::Apply).await;
        let moved = match self.configuration_of(&request, &permit).await {
            Ok(configuration) => self.moved(&plan.basis, &configuration, Some(permit)).await?,
            Err(RequestError::Invalid(_) | RequestError::NoRevision(_)) => {
                vec!["the configuration"]
            }
            Err(other) => return Err(other),
        };
        Ok(time.into_iter().chain(moved.into_iter().map(str::to_owned)).collect())
    }

    /// The source that the loop follows and applies by itself, where that would undo a plan for
    /// this configuration: unless it declares what the newest revision does.
    fn undone_by(&self, configuration: &Configuration, destroy: bool) -> Option<String> {
        let state = self.state();
        let status = state.source.as_ref()?;
        let newest = state.candidate.as_ref().map(|it| &it.configuration);
        let newest = newest.or(state.current.as_ref())?;
        let same = newest.desired == configuration.desired && !destroy;
        (newest.desired.settings.auto && !same).then(|| status.location.clone())
    }

    /// What of `basis` is no longer as it was, read again now. `permit` is kept meanwhile.
    ///
    /// # Errors
    /// When the inputs cannot be read.
    pub(super) async fn moved(
        &self,
        basis: &PlanBasis,
        configuration: &Arc<Configuration>,
        permit: Option<Permit>,
    ) -> anyhow::Result<Vec<&'static str>> {
        let gathered = self.gather(&configuration.desired)?;
        let (before, configuration) = (basis.clone(), Arc::clone(configuration));
        let now = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let input = PlanInput {
                desired: &configuration.desired,
                catalog: &configuration.catalog,
                fleet: &gathered.fleet,
                revision: &configuration.revision,
                generations: &gathered.generations,
                // No basis depends on what is asked for.
                options: PlanOptions::default(),
                policy: Policy::default(),
                limits: place::Limits::default(),
                created_at: "",
            };
            devnet_planner::basis_now(&before, &input)
        })
        .await
        .map_err(|error| anyhow::anyhow!(error).context("comparing with what the plan is of"))?;
        Ok(basis.moved(&now))
    }

    pub(super) async fn configuration_of(
        &self,
        request: &PlanRequest,
        permit: &Permit,
    ) -> Result<Arc<Configuration>, RequestError> {
        let PlanRequest { files, root, rev, vars, env_vars, options: _ } = request;
        let (revision, files, root) = if files.is_empty() {
            let (revision, read) = self.revision(rev.as_deref()).await?;
            (revision, read.files, read.root)
        } else {
            (configuration::revision_of(files, &[vars, env_vars]), files.clone(), root.clone())
        };
        let given = overrides(vars, env_vars);
        let limits = self.config.limits.clone();
        let permit = permit.clone();
        let (result, _) = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            configuration::read(&revision, &root, &files, &given, &limits)
        })
        .await
        .map_err(|error| anyhow::anyhow!(error).context("reading the configuration"))?;
        result.map(Arc::new).map_err(RequestError::Invalid)
    }

    /// The files of a revision of the source, the newest when none is named.
    pub(super) async fn revision(
        &self,
        rev: Option<&str>,
    ) -> Result<(String, FilesRead), RequestError> {
        if let Some(source) = &self.source {
            let limits = self.config.limits.clone();
            let found = super::followed::fetch(source, rev.map(str::to_owned), limits).await;
            match (found, rev) {
                (Ok(found), _) => return Ok(found),
                (Err(problem), None) => return Err(RequestError::NoRevision(problem)),
                (Err(_), Some(_)) => {}
            }
        }
        let Some(rev) = rev else {
            let text = "this control plane follows no source: send the files with the request";
            return Err(RequestError::NoRevision(text.to_owned()));
        };
        match self.store.revision(rev)? {
            Some(record) => {
                Ok((record.revision, FilesRead { root: record.root, files: record.files }))
            }
            None => Err(RequestError::NoRevision(format!(
                "there is no revision `{}`: name a commit of the source by its whole id, or \
                     none for the newest",
                printable(rev)
            ))),
        }
    }
}

/// What a request gives to variables; the environment's first, as it counts less.
fn overrides(vars: &BTreeMap<String, String>, env_vars: &BTreeMap<String, String>) -> Overrides {
    let of_env = env_vars.iter();
    of_env
        .map(|(name, value)| (name.clone(), value.clone(), Origin::Environment))
        .chain(Overrides::from(vars))
        .collect()
}

fn other_than(theirs: &ClusterName) -> impl Fn(ClusterName) -> RequestError + use<> {
    let theirs = theirs.clone();
    move |ours| RequestError::OtherCluster { ours, theirs: theirs.clone() }
}

pub(super) fn printable(text: &str) -> String {
    text.chars().take(100).collect::<String>().escape_debug().to_string()
}

fn merged(mut first: Vec<Diagnostic>, then: Vec<Diagnostic>) -> Vec<Diagnostic> {
    for finding in then {
        if !first.contains(&finding) {
            first.push(finding);
        }
    }
    first
}

/// What was asked for, as far as it may be.
fn capped(asked: &PlanOptions) -> PlanOptions {
    PlanOptions { max_moves: asked.max_moves.min(MAX_MOVES), ..asked.clone() }
}

/// How long the search for a placement may take: as long as was asked for, a minute when nothing
/// was, and no longer than an hour.
fn solve_limit(asked: &PlanOptions) -> Duration {
    let millis = asked.solve_limit_ms.unwrap_or(SOLVE_LIMIT_MS);
    Duration::from_millis(millis.min(MAX_SOLVE_LIMIT_MS))
}

/// Whether this time on record has come.
fn is_over(end: Time, now: Timestamp) -> bool {
    end.timestamp() <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_ends_at_its_time() {
        let now: Timestamp = "2026-12-01T12:00:00.5Z".parse().unwrap();
        for (end, over) in [
            ("2026-12-01T12:00:00.501Z", false),
            ("2026-12-01T12:00:00.500Z", true),
            ("2026-12-01T10:00:01-02:00", false),
            ("2026-12-01T13:30:00+02:00", true),
        ] {
            assert_eq!(is_over(end.parse().unwrap(), now), over, "{end}");
        }
    }

    #[test]
    fn what_is_asked_for_is_capped() {
        let asked = |max_moves, solve_limit_ms| PlanOptions {
            max_moves,
            solve_limit_ms,
            ..PlanOptions::default()
        };
        let much = asked(u32::MAX, Some(u64::MAX));
        assert_eq!(capped(&much).max_moves, MAX_MOVES);
        assert_eq!(solve_limit(&much), Duration::from_secs(3600));
        let little = asked(3, Some(1500));
        assert_eq!(capped(&little).max_moves, 3);
        assert_eq!(solve_limit(&little), Duration::from_millis(1500));
        assert_eq!(solve_limit(&asked(0, None)), Duration::from_secs(60));
    }
}
