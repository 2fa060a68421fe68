//! Deployments: one run of one plan, recorded from its first step to its end.
//!
//! Knows that generations, assignments and reports are on disk before anything follows from them.
//! Refuses to run two at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use devnet_schema::{
    instance::InstanceSpec,
    name::InstanceId,
    plan::{Plan, Summary},
    step::{Act, Step, StepReport, StepState},
};
use jiff::Timestamp;
use tokio::task::JoinError;
use tracing::{error, info};
use uuid::Uuid;

use super::{ControlPlane, gate::change_keys};
use crate::{
    api::{Deployment, DeploymentLine, DeploymentState},
    apply::{Limits, Outcome, Progression, walk},
    fleet::wall,
    store::{AssignmentRecord, StepRecord, StoreError},
};

/// Why a deployment did not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// One at a time.
    #[error("deployment {0} is running: wait for its end and apply again")]
    Busy(String),
    /// Its records could not be written.
    #[error("recording a deployment")]
    Store(#[from] StoreError),
}

impl ControlPlane {
    /// The deployment that runs now.
    pub fn deploying(&self) -> Option<String> {
        self.state().deploying.clone()
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
        self.begin_as(Uuid::now_v7().to_string(), plan, by, limits)
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
        let now = Timestamp::now();
        let deployment = Deployment {
            id,
            plan: plan.id.to_string(),
            revision: plan.basis.revision.clone(),
            by: by.to_owned(),
            started_at: format!("{now:.3}"),
            ended_at: None,
            state: DeploymentState::Running,
            summary: plan.summary,
            errors: Vec::new(),
        };
        {
            let mut state = self.state();
            if let Some(running) = &state.deploying {
                return Err(BeginError::Busy(running.clone()));
            }
            state.deploying = Some(deployment.id.clone());
        }
        if let Err(error) =
            self.issue(&plan).and_then(|()| self.store.begin_deployment(&deployment))
        {
            self.state().deploying = None;
            return Err(error.into());
        }
        let subject = deployment.id.clone();
        let revision = short(&plan.basis.revision).to_owned();
        self.journal.write(
            "apply",
            &subject,
            &format!("applying {} for {by} at revision {revision}", counts(&plan)),
        );
        let plane = Arc::clone(self);
        let begun = deployment.clone();
        tokio::spawn(async move { plane.carry_out(Arc::new(plan), begun, limits).await });
        Ok(deployment)
    }

    /// Generations are on disk before a step that carries one can leave.
    fn issue(&self, plan: &Plan) -> Result<(), StoreError> {
        let mut wanted = BTreeMap::new();
        for step in &plan.steps {
            let highest = wanted.entry(step.instance.clone()).or_insert(0);
            *highest = step.generation.max(*highest);
        }
        self.store.issue_generations(&wanted)
    }

    async fn carry_out(
        self: Arc<Self>,
        plan: Arc<Plan>,
        mut deployment: Deployment,
        limits: Limits,
    ) {
        let (plane, id) = (Arc::clone(&self), deployment.id.clone());
        let steps = Arc::clone(&plan);
        let walking = async move {
            let mut record = Record { plane: &plane, deployment: &id, plan: &steps };
            walk(&plane.fleet, &id, &steps, limits, &mut record).await
        };
        let outcome = guarded(walking, &plan).await;
        self.grants().end(&deployment.id);
        let Outcome { succeeded, errors, done, failed } = outcome;
        deployment.ended_at = Some(wall());
        deployment.state =
            if succeeded { DeploymentState::Succeeded } else { DeploymentState::Failed };
        deployment.summary = done;
        deployment.errors = errors;
        if let Err(error) = self.store.end_deployment(&deployment) {
            error!(error = &error as &dyn std::error::Error, "recording a deployment's end");
        }
        self.finished(&plan, &deployment, &failed);
    }

    fn finished(&self, plan: &Plan, deployment: &Deployment, failed: &BTreeSet<InstanceId>) {
        let succeeded = deployment.state == DeploymentState::Succeeded;
        let now = self.fleet.now();
        {
            let mut state = self.state();
            state.deploying = None;
            if deployment.by == super::WATCH {
                for (instance, key) in change_keys(plan) {
                    // What was only blocked was not tried.
                    if succeeded || failed.contains(&instance) {
                        state.attempts.ended(key, succeeded, now.since_start);
                    }
                }
            }
        }
        let message = if succeeded {
            let revision = short(&deployment.revision);
            format!("applied {} at revision {revision}", counts(plan))
        } else {
            format!("failed: {}", deployment.errors.join("; "))
        };
        self.journal.write("apply", &deployment.id, &message);
        self.metrics.applied(succeeded);
        if succeeded {
            self.mark_applied(&deployment.revision);
        }
        self.lines.send_modify(|count| *count += 1);
        info!(deployment = deployment.id, succeeded, "deployment ended");
        self.wake();
    }

    /// A revision of a plan made by hand from files is not on record; that is no error.
    pub(super) fn mark_applied(&self, revision: &str) {
        match self.store.mark_applied(revision, &wall()) {
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
        done: Summary::default(),
        failed: plan.steps.iter().map(|step| step.instance.clone()).collect(),
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

/// Keeps the records of one walk.
struct Record<'a> {
    plane: &'a Arc<ControlPlane>,
    deployment: &'a str,
    plan: &'a Plan,
}

impl Record<'_> {
    fn spec<'s>(&self, step: &'s Step) -> Option<&'s InstanceSpec> {
        match &step.act {
            Act::Prepare { spec } | Act::Ensure { spec } => Some(spec),
            Act::AwaitHealthy { .. } | Act::Remove => None,
        }
    }

    /// What the agent put back when the new unit did not start is what is assigned again.
    fn restore(&self, step: &Step) -> Result<(), StoreError> {
        let before = self
            .plan
            .changes
            .iter()
            .find(|change| change.instance == step.instance)
            .and_then(|change| change.before.as_deref())
            .filter(|before| before.node == step.node);
        // Only a spec that this control plane had assigned itself is assigned again.
        match before.filter(|before| self.plane.was_assigned(before)) {
            Some(before) => self.plane.assign(before, step.generation),
            None => Ok(()),
        }
    }

    fn settle(&self, step: &Step, state: &StepState) -> Result<(), StoreError> {
        match (state, &step.act) {
            (StepState::Succeeded { .. }, Act::Ensure { spec }) => {
                self.plane.assign(spec, step.generation)
            }
            (StepState::Succeeded { .. }, Act::Remove) => {
                self.plane.grants().unassign(&step.node, &step.instance);
                self.plane.store.drop_assignment(&step.instance, &step.node)
            }
            (StepState::Failed { .. }, Act::Ensure { .. }) => self.restore(step),
            _ => Ok(()),
        }
    }
}

impl Progression for Record<'_> {
    fn sending(&mut self, step: &Step) -> Result<(), String> {
        let Some(spec) = self.spec(step) else {
            return Ok(());
        };
        self.plane.grants().begin(self.deployment, &step.id, spec);
        if !matches!(step.act, Act::Ensure { .. }) {
            return Ok(());
        }
        // On disk before it is sent: after a power cut the node counts as one that may run it.
        let record = AssignmentRecord {
            instance: spec.id.clone(),
            node: spec.node.clone(),
            generation: step.generation,
            spec: spec.clone(),
        };
        self.plane.store.record_assignment(&record).map_err(|error| chain(&error))
    }

    fn reported(&mut self, step: &Step, report: &StepReport) {
        let at = wall();
        let line = DeploymentLine::Step {
            at: at.clone(),
            instance: step.instance.clone(),
            node: step.node.clone(),
            report: report.clone(),
        };
        let record = StepRecord {
            step: step.id.clone(),
            instance: step.instance.clone(),
            node: step.node.clone(),
            generation: step.generation,
            state: report.state.clone(),
            at,
        };
        let kept = self
            .plane
            .store
            .record_step(self.deployment, &record, &line)
            .map(|_| ())
            .and_then(|()| self.settle(step, &report.state));
        if let Err(error) = kept {
            error!(error = &error as &dyn std::error::Error, step = step.id, "recording a step");
        }
        self.plane.lines.send_modify(|count| *count += 1);
    }
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
        assert_eq!(outcome.failed, BTreeSet::from(["db[0]".parse().unwrap()]));
    }
}
