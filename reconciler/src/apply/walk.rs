//! Walks a step graph: sends what is ready, waits for reports, goes on.
//!
//! Knows agents that go away and come back, and how long to wait for them. Refuses to know
//! records: whoever applies is told of every report before anything follows from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use devnet_schema::{
    name::InstanceId,
    plan::{Action, Plan, Summary},
    quantity::Period,
    step::{Act, Step, StepId, StepReport, StepState},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Frontier, Progress};
use crate::fleet::{Fleet, FleetError};

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Steps that run at once; at least 1.
    pub parallelism: usize,
    /// For an agent that is not connected.
    pub unreachable: Duration,
    /// For the next word about a step that was sent.
    pub silence: Duration,
}

impl Default for Limits {
    /// Ten at once; a minute for an agent to come back; a quarter of an hour without a word, since
    /// some registries are slow.
    fn default() -> Self {
        Self {
            parallelism: 10,
            unreachable: Duration::from_secs(60),
            silence: Duration::from_secs(900),
        }
    }
}

/// What whoever applies must do along the way.
pub trait Progression: Send {
    /// Makes durable that this step is about to be sent. The step fails when that fails.
    fn sending(&mut self, step: &Step) -> Result<(), String>;

    /// Takes note of a report. Called before anything follows from it.
    fn reported(&mut self, step: &Step, report: &StepReport);
}

/// How a walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Every step is done.
    pub succeeded: bool,
    /// `db[0]/start on n1: why`, for each step that failed, and how many steps it blocked.
    pub errors: Vec<String>,
    /// What was changed.
    pub done: Summary,
    /// The instances with a step that failed; those that were only blocked are not among them.
    pub failed: BTreeSet<InstanceId>,
}

/// Runs the steps of `plan` as `deployment` and returns when nothing more can run.
pub async fn walk(
    fleet: &Arc<Fleet>,
    deployment: &str,
    plan: &Plan,
    limits: Limits,
    progression: &mut dyn Progression,
) -> Outcome {
    let mut frontier = match Frontier::new(&plan.steps) {
        Ok(frontier) => frontier,
        Err(error) => {
            let errors = vec![format!("the plan's steps form no order: {error}")];
            let (done, failed) = Default::default();
            return Outcome { succeeded: false, errors, done, failed };
        }
    };
    let steps: BTreeMap<&StepId, &Step> = plan.steps.iter().map(|s| (&s.id, s)).collect();
    let (to, mut reports) = mpsc::channel(256);
    let mut tasks = JoinSet::new();
    let mut errors = Vec::new();
    while !frontier.is_finished() {
        for id in frontier.take_ready(limits.parallelism.max(1)) {
            let step = steps[&id];
            match progression.sending(step) {
                Ok(()) => {
                    let run = StepRun::new(fleet, deployment, step, limits, to.clone());
                    tasks.spawn(run.run());
                }
                Err(error) => {
                    let report = failed(deployment, step, error);
                    let _ = to.send(report).await;
                }
            }
        }
        let Some(report) = reports.recv().await else {
            break;
        };
        let Some(step) = steps.get(&report.step) else {
            continue;
        };
        progression.reported(step, &report);
        settle(&mut frontier, step, &report, &mut errors);
    }
    tasks.abort_all();
    let has_failed =
        |step: &&Step| matches!(frontier.progress(&step.id), Some(Progress::Failed(_)));
    let failed = plan.steps.iter().filter(has_failed).map(|step| step.instance.clone()).collect();
    Outcome { succeeded: frontier.all_done(), errors, done: done(plan, &frontier), failed }
}

fn settle(frontier: &mut Frontier, step: &Step, report: &StepReport, errors: &mut Vec<String>) {
    match &report.state {
        StepState::Running { .. } => {}
        StepState::Succeeded { .. } => frontier.succeed(&step.id),
        StepState::Failed { error } => {
            let blocked = frontier.fail(&step.id, error);
            let mut text = format!("{} on {}: {error}", step.id, step.node);
            if !blocked.is_empty() {
                text.push_str(&format!(" (not done because of it: {})", blocked.join(", ")));
            }
            errors.push(text);
        }
    }
}

fn failed(deployment: &str, step: &Step, error: String) -> StepReport {
    StepReport {
        deployment: deployment.to_owned(),
        step: step.id.clone(),
        state: StepState::Failed { error },
    }
}

/// Counts the changes whose every step is done.
fn done(plan: &Plan, frontier: &Frontier) -> Summary {
    let mut summary = Summary::default();
    for change in &plan.changes {
        let complete = plan
            .steps
            .iter()
            .filter(|step| step.instance == change.instance)
            .all(|step| frontier.progress(&step.id) == Some(&Progress::Done));
        if !complete {
            continue;
        }
        match change.action {
            Action::Create => summary.add += 1,
            Action::Update => summary.change += 1,
            Action::Replace => {
                summary.add += 1;
                summary.destroy += 1;
            }
            Action::Move => summary.moved += 1,
            Action::Delete => summary.destroy += 1,
            Action::Forget => summary.forget += 1,
            Action::Noop => {}
        }
    }
    summary
}

/// One step on its way: sent, sent again whenever its agent comes back, until it says how it ended.
struct StepRun {
    fleet: Arc<Fleet>,
    deployment: String,
    step: Step,
    limits: Limits,
    to: mpsc::Sender<StepReport>,
}

impl StepRun {
    fn new(
        fleet: &Arc<Fleet>,
        deployment: &str,
        step: &Step,
        limits: Limits,
        to: mpsc::Sender<StepReport>,
    ) -> Self {
        Self {
            fleet: Arc::clone(fleet),
            deployment: deployment.to_owned(),
            step: step.clone(),
            limits,
            to,
        }
    }

    async fn run(self) {
        let (here, mut reports) = mpsc::channel(32);
        self.fleet.subscribe(&self.deployment, &self.step.node, &self.step.id, here);
        let last = self.until_it_ended(&mut reports).await;
        self.fleet.unsubscribe(&self.deployment, &self.step.node, &self.step.id);
        let _ = self.to.send(last).await;
    }

    /// Passes reports on until the last one, which it returns.
    async fn until_it_ended(&self, reports: &mut mpsc::Receiver<StepReport>) -> StepReport {
        let mut sessions = self.fleet.sessions();
        let mut told: Option<u64> = None;
        let mut away = Instant::now() + self.limits.unreachable;
        let mut quiet = Instant::now() + self.silence();
        loop {
            sessions.mark_unchanged();
            let session = self.fleet.session(&self.step.node);
            if session.is_some() && session != told {
                // Saying it again is harmless: the step says *ensure*, and the agent may never
                // have got it. A send that fails is followed by the end of that session.
                let sent = self.fleet.send_step(&self.deployment, &self.step).await;
                if let Err(error @ FleetError::TooLarge { .. }) = sent {
                    return self.failed(error.to_string());
                }
                told = session;
                quiet = Instant::now() + self.silence();
            }
            if session.is_some() {
                away = Instant::now() + self.limits.unreachable;
            }
            tokio::select! {
                Some(report) = reports.recv() => {
                    if !matches!(report.state, StepState::Running { .. }) {
                        return report;
                    }
                    quiet = Instant::now() + self.silence();
                    let _ = self.to.send(report).await;
                }
                changed = sessions.changed() => {
                    if changed.is_err() {
                        return self.failed("the control plane is stopping".to_owned());
                    }
                    if self.fleet.session(&self.step.node).is_none() && session.is_some() {
                        away = Instant::now() + self.limits.unreachable;
                    }
                }
                () = sleep_until(away), if session.is_none() => {
                    return self.failed(self.unreachable());
                }
                () = sleep_until(quiet), if session.is_some() => {
                    return self.failed(format!(
                        "the agent of {} said nothing about it for {}: look at its log",
                        self.step.node,
                        seconds(self.silence()),
                    ));
                }
            }
        }
    }

    /// A health gate says nothing while it waits, so it has its own time.
    fn silence(&self) -> Duration {
        match &self.step.act {
            Act::AwaitHealthy { timeout } => Duration::from(*timeout) + Duration::from_secs(60),
            Act::Prepare { .. } | Act::Ensure { .. } | Act::Remove => self.limits.silence,
        }
    }

    fn unreachable(&self) -> String {
        format!(
            "node {} is unreachable: its agent was not connected for {}; start devnet-agent \
             there, or remove the node, and apply again",
            self.step.node,
            seconds(self.limits.unreachable),
        )
    }

    fn failed(&self, error: String) -> StepReport {
        failed(&self.deployment, &self.step, error)
    }
}

fn seconds(duration: Duration) -> Period {
    Period { millis: duration.as_millis() as u64 }
}
