//! Deployments: one run of one plan, recorded from its first step to its end, which may be early.
//!
//! Knows that generations, assignments and reports are on disk before anything follows from them.
//! Refuses to run two at once, and to call done what is not there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use devnet_schema::{name::InstanceId, plan::Plan, step::StepState};
use jiff::Timestamp;
use tokio::{sync::watch, task::JoinError};
use tracing::{error, info, warn};

use super::{ControlPlane, record::Record, tries::MEMORY};
use crate::{
    api::{Deployment, DeploymentState},
    apply::{Limits, Outcome, Stop, walk},
    clock, random,
    store::{StepRecord, StoreError},
    time::Time,
};

/// How many deployments are looked at after a restart, for what failed lately.
const RECALLED: u32 = 50;

/// Why a deployment did not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// One at a time.
    #[error(
        "deployment {0} is running: wait for its end and apply again, or cut it short with \
         `devnet deployment cancel {0}`"
    )]
    Busy(String),
    /// Its records could not be written.
    #[error("recording a deployment")]
    Store(#[from] StoreError),
}

/// Why a deployment was not cut short.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is none of that name.
    #[error("there is no such deployment")]
    Unknown,
    /// It is over.
    #[error("deployment {0} has ended already")]
    Ended(String),
    /// Its records could not be read.
    #[error("reading a deployment")]
    Store(#[from] StoreError),
}

/// The deployment that runs.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub id: String,
    pub by: String,
    pub plan: Arc<Plan>,
    /// The newer revision that was compared with it last.
    pub compared: Option<String>,
    cancelled: Option<Cut>,
    stop: watch::Sender<bool>,
}

/// Why a deployment is cut short.
#[derive(Debug, Clone)]
enum Cut {
    /// Somebody asked for it.
    By(String),
    /// There is something newer to do.
    For(String),
}

impl Cut {
    fn why(&self) -> String {
        match self {
            Self::By(who) => format!("cancelled by {who}"),
            Self::For(what) => what.clone(),
        }
    }
}

impl UnderWay {
    /// Whether its end was asked for.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.is_some()
    }
}

impl ControlPlane {
    /// The deployment that runs now.
    pub fn deploying(&self) -> Option<String> {
        self.state().deploying.as_ref().map(|under_way| under_way.id.clone())
    }

    /// Cuts a deployment short in somebody's name: the steps that run are finished, waits are let
    /// go, and nothing more begins. Returns while it still runs; asking twice changes nothing.
    ///
    /// # Errors
    /// When it is not on record or has ended.
    pub fn cancel(&self, id: &str, by: &str) -> Result<Deployment, CancelError> {
        let deployment = self.store.deployment(id)?.ok_or(CancelError::Unknown)?;
        if !self.cut(id, Cut::By(by.to_owned())) {
            return Err(CancelError::Ended(deployment.id));
        }
        Ok(deployment)
    }

    /// The loop cuts a deployment short for something newer.
    pub(super) fn cut_short(&self, id: &str, why: String) {
        self.cut(id, Cut::For(why));
    }

    /// False when it does not run.
    fn cut(&self, id: &str, cut: Cut) -> bool {
        let why = cut.why();
        {
            let mut state = self.state();
            let Some(running) = state.deploying.as_mut().filter(|running| running.id == id) else {
                return false;
            };
            if running.cancelled.is_some() {
                return true;
            }
            running.cancelled = Some(cut);
            running.stop.send_replace(true);
        }
        let message = format!("{why}: what runs is finished, the rest is left");
        self.journal.write("apply", id, &message);
        true
    }

    /// Begins to run `plan` and returns; the deployment's lines tell how it goes on.
    ///
    /// # Errors
    /// When another one runs or its records cannot be written.
    pub fn begin(
        self: &Arc<Self>,
        plan: Plan,
        by: &str,
        limits: Limits,
    ) -> Result<Deployment, BeginError> {
        self.begin_as(random::id(), plan, by, limits)
    }

    /// The same under an id that is not on record yet.
    ///
    /// # Errors
    /// As [`ControlPlane::begin`].
    pub fn begin_as(
        self: &Arc<Self>,
        id: String,
        plan: Plan,
        by: &str,
        limits: Limits,
    ) -> Result<Deployment, BeginError> {
        let now = clock::now();
        let plan = Arc::new(plan);
        let (stop, stopped) = watch::channel(false);
        let deployment = Deployment {
            id,
            plan: plan.id.to_string(),
            revision: plan.basis.revision.clone(),
            by: by.to_owned(),
            started_at: now.into(),
            ended_at: None,
            state: DeploymentState::Running,
            summary: plan.summary,
            errors: Vec::new(),
        };
        {
            let mut state = self.state();
            if let Some(running) = &state.deploying {
                return Err(BeginError::Busy(running.id.clone()));
            }
            state.deploying = Some(UnderWay {
                id: deployment.id.clone(),
                by: by.to_owned(),
                plan: Arc::clone(&plan),
                compared: None,
                cancelled: None,
                stop,
            });
        }
        if let Err(error) =
            self.issue(&plan).and_then(|()| self.store.begin_deployment(&deployment))
        {
            self.state().deploying = None;
            return Err(error.into());
        }
        self.keep_count();
        let subject = deployment.id.clone();
        let revision = short(&plan.basis.revision).to_owned();
        self.journal.write(
            "apply",
            &subject,
            &format!("applying {} for {by} at revision {revision}", counts(&plan)),
        );
        let plane = Arc::clone(self);
        let begun = deployment.clone();
        tokio::spawn(async move { plane.carry_out(plan, begun, limits, stopped).await });
        Ok(deployment)
    }

    /// Generations are on disk before a step that carries one can leave. What only waits for a unit
    /// that runs already carries the one which that has.
    fn issue(&self, plan: &Plan) -> Result<(), StoreError> {
        let (mut wanted, mut nodes) = (BTreeMap::new(), BTreeSet::new());
        for step in plan.steps.iter().filter(|step| !step.act.only_waits()) {
            nodes.insert(step.node.clone());
            let highest = wanted.entry(step.instance.clone()).or_insert(0);
            *highest = step.generation.max(*highest);
        }
        let counts = self.store.issue_orders(&wanted, &nodes)?;
        let ordered = plan.steps.iter().filter(|step| step.act.is_order());
        let receipts = ordered.filter_map(|step| {
            let (id, _) = counts.get(&step.node)?;
            let receipt = self.authority.receipt(id, &step.instance, step.generation);
            Some(((step.node.clone(), step.instance.clone(), step.generation), receipt))
        });
        let receipts = receipts.collect();
        let mark =
            |(node, (id, count)): (_, (String, u64))| (node, self.authority.mark(&id, count));
        self.fleet.accompany(counts.into_iter().map(mark).collect(), receipts);
        Ok(())
    }

    async fn carry_out(
        self: Arc<Self>,
        plan: Arc<Plan>,
        mut deployment: Deployment,
        limits: Limits,
        stop: Stop,
    ) {
        let (plane, id) = (Arc::clone(&self), deployment.id.clone());
        let steps = Arc::clone(&plan);
        let walking = async move {
            let mut record = Record::new(&plane, &id, &steps);
            walk(&plane.fleet, &id, &steps, limits, stop, &mut record).await
        };
        let outcome = guarded(walking, &plan).await;
        self.grants().end(&deployment.id);
        let cut = self.state().deploying.as_ref().and_then(|running| running.cancelled.clone());
        let why = cut.as_ref().map(Cut::why);
        (deployment.state, deployment.errors) = ending(&plan, &outcome, why);
        deployment.ended_at = Some(clock::wall());
        deployment.summary = outcome.done;
        if let Err(error) = self.store.end_deployment(&deployment) {
            error!(error = &error as &dyn std::error::Error, "recording a deployment's end");
        }
        self.finished(&plan, &deployment, &outcome, cut);
    }

    fn finished(&self, plan: &Plan, deployment: &Deployment, outcome: &Outcome, cut: Option<Cut>) {
        let now = self.fleet.now();
        {
            let mut state = self.state();
            state.deploying = None;
            state.tries.ended(plan, &outcome.failed, &outcome.complete, now.since_start);
            if let Some(cut @ Cut::By(_)) = cut {
                state.tries.put_off(plan, &outcome.complete, &cut.why());
            }
        }
        self.keep_put_off();
        self.journal.write("apply", &deployment.id, &sentence(plan, deployment));
        let succeeded = deployment.state == DeploymentState::Succeeded;
        self.metrics.applied(succeeded);
        self.lines.send_modify(|count| *count += 1);
        let state = deployment.state;
        info!(deployment = deployment.id, ?state, "deployment ended");
        self.wake();
    }

    /// What is put off is on disk as it is in memory, whenever that changed.
    pub(super) fn keep_put_off(&self) {
        let mut state = self.state();
        let now = state.tries.kept();
        if now == state.kept_put_off {
            return;
        }
        // Under the lock: of two that write, the one who knows more must be the last.
        match self.store.keep_put_off(&now) {
            Ok(()) => state.kept_put_off = now,
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "recording what was cut short");
            }
        }
    }

    /// What failed lately, and what somebody cut short, from the records, so that a restart does
    /// not begin the count again. The pauses begin at the start. A record that cannot be read tells
    /// nothing.
    pub(super) fn recall_tries(&self, now: Timestamp) {
        let unread = |error: StoreError| {
            warn!(error = &error as &dyn std::error::Error, "reading what was tried lately");
        };
        if let Ok(kept) = self.store.put_off().map_err(unread) {
            let mut state = self.state();
            state.tries.recall(kept.clone());
            state.kept_put_off = kept;
        }
        let recent = self.store.deployments(None, RECALLED).map_err(unread);
        for deployment in recent.map(|page| page.items).unwrap_or_default().into_iter().rev() {
            let ended = deployment.ended_at.map(Time::timestamp);
            let Some(age) = ended.and_then(|at| (now - at).total(jiff::Unit::Second).ok()) else {
                continue;
            };
            let plan = self.store.plan(&deployment.plan).map_err(unread);
            let steps = self.store.steps(&deployment.id).map_err(unread);
            let (Ok(Some(stored)), Ok(steps)) = (plan, steps) else { continue };
            let plan = &stored.plan;
            let (failed, complete) = walked(plan, &steps);
            if age < MEMORY.as_secs_f64() {
                self.state().tries.recount(plan, &failed, &complete);
            }
        }
    }

    /// Everything that a revision declares runs as declared.
    pub(super) fn mark_applied(&self, revision: &str) {
        match self.store.mark_applied(revision, clock::wall()) {
            Ok(()) | Err(StoreError::Missing { .. }) => {}
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "recording a revision");
            }
        }
        let mut state = self.state();
        if let Some(status) = &mut state.source
            && status.seen.as_deref() == Some(revision)
        {
            status.applied = Some(revision.to_owned());
        }
    }
}

/// How a deployment ended, and what there is to say about it.
fn ending(
    plan: &Plan,
    outcome: &Outcome,
    cancelled: Option<String>,
) -> (DeploymentState, Vec<String>) {
    let mut errors = Vec::new();
    if let Some(why) = cancelled.filter(|_| !outcome.cancelled.is_empty()) {
        errors.push(format!("{why}; not done: {}", outcome.cancelled.join(", ")));
        errors.extend(outcome.errors.iter().cloned());
        return (DeploymentState::Cancelled, errors);
    }
    errors.extend(outcome.errors.iter().cloned());
    let missing = plan.missing();
    let state = match (outcome.succeeded, missing.is_empty()) {
        (true, true) => DeploymentState::Succeeded,
        (true, false) => DeploymentState::Incomplete,
        (false, _) => DeploymentState::Failed,
    };
    errors.extend(missing);
    (state, errors)
}

/// Whose steps failed, and whose are all done, by the records of a run.
fn walked(
    plan: &Plan,
    steps: &[StepRecord],
) -> (BTreeMap<InstanceId, String>, BTreeSet<InstanceId>) {
    let mut failed = BTreeMap::new();
    let mut complete: BTreeSet<InstanceId> =
        plan.steps.iter().map(|step| step.instance.clone()).collect();
    for step in &plan.steps {
        match steps.iter().find(|record| record.step == step.id).map(|record| &record.state) {
            Some(StepState::Succeeded { .. }) => continue,
            Some(StepState::Failed { error }) => {
                failed.entry(step.instance.clone()).or_insert_with(|| error.clone());
            }
            Some(StepState::Running { .. }) | None => {}
        }
        complete.remove(&step.instance);
    }
    (failed, complete)
}

/// The end of a deployment as an event.
fn sentence(plan: &Plan, deployment: &Deployment) -> String {
    let revision = short(&deployment.revision);
    let errors = deployment.errors.join("; ");
    match deployment.state {
        DeploymentState::Succeeded => format!("applied {} at revision {revision}", counts(plan)),
        DeploymentState::Incomplete => format!(
            "{} at revision {revision} are done, and not all of it is there: {errors}",
            counts(plan)
        ),
        DeploymentState::Cancelled => errors,
        DeploymentState::Failed | DeploymentState::Interrupted | DeploymentState::Running => {
            format!("failed: {errors}")
        }
    }
}

/// A walk in a task of its own: whatever breaks in it, the deployment ends and the next one can
/// begin.
async fn guarded(walking: impl Future<Output = Outcome> + Send + 'static, plan: &Plan) -> Outcome {
    tokio::spawn(walking).await.unwrap_or_else(|error| broken_off(error, plan))
}

/// The end of a walk that panicked. What it had done is seen by the next plan; every instance
/// counts as failed, so that watch mode waits before it tries again.
fn broken_off(error: JoinError, plan: &Plan) -> Outcome {
    let why = match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            text.unwrap_or("without a message").to_owned()
        }
        Err(_) => "the control plane stops".to_owned(),
    };
    error!(why, "a deployment broke off");
    Outcome {
        succeeded: false,
        errors: vec![format!(
            "the deployment broke off inside devnet ({why}): this is a bug of devnet, please \
             report it; plan again to see what was done and what is left"
        )],
        failed: plan.steps.iter().map(|step| (step.instance.clone(), why.clone())).collect(),
        ..Outcome::default()
    }
}

/// `2 to add, 1 to change, 0 to destroy`.
fn counts(plan: &Plan) -> String {
    let s = &plan.summary;
    let mut text = format!("{} to add, {} to change, {} to destroy", s.add, s.change, s.destroy);
    if s.moved > 0 {
        text.push_str(&format!(", {} to move", s.moved));
    }
    text
}

/// The part of a revision that people read.
pub(super) fn short(revision: &str) -> &str {
    let hex = revision.strip_prefix("blake3:").unwrap_or(revision);
    hex.get(..12).unwrap_or(hex)
}

/// An error and its causes on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use devnet_schema::step::{Act, Step};

    use super::*;

    #[tokio::test]
    async fn a_walk_that_panics_ends_its_deployment_as_failed() {
        let step = Step {
            id: "db[0]/remove".to_owned(),
            instance: "db[0]".parse().unwrap(),
            node: "n1".parse().unwrap(),
            generation: 1,
            act: Act::Remove,
            after: Vec::new(),
        };
        let plan = Plan { steps: vec![step], ..Plan::empty("lab".parse().unwrap(), String::new()) };
        let outcome = guarded(async { panic!("no {}", "ground") }, &plan).await;
        assert!(!outcome.succeeded);
        assert!(outcome.errors[0].contains("(no ground)"), "{:?}", outcome.errors);
        let failed: Vec<_> = outcome.failed.keys().map(ToString::to_string).collect();
        assert_eq!(failed, ["db[0]"]);
    }
}
