//! Walks a step graph: sends what is ready, waits for reports, goes on.
//!
//! Knows agents that go away and come back, how long to wait for them, what a failure keeps from
//! being touched, and how a walk is cut short. Refuses to know records: whoever applies is told of
//! every report before anything follows from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use devnet_schema::{
    name::{InstanceId, ServiceName},
    plan::{Action, Plan, Summary},
    quantity::Period,
    step::{Act, Step, StepId, StepReport, StepState},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Frontier, Progress};
use crate::fleet::{Fleet, FleetError};

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Steps that run at once; at least 1.
    pub parallelism: usize,
    /// For an agent that is not connected.
    pub unreachable: Duration,
    /// For the next word about a step that was sent.
    pub silence: Duration,
    /// For the end of a step that was sent, once the walk is to end, whatever its agent says.
    pub farewell: Duration,
}

impl Default for Limits {
    /// Ten at once; a minute for an agent to come back; a quarter of an hour without a word, since
    /// some registries are slow; ten minutes for a step to end that is being done when the walk is
    /// to end.
    fn default() -> Self {
        Self {
            parallelism: 10,
            unreachable: Duration::from_secs(60),
            silence: Duration::from_secs(900),
            farewell: Duration::from_secs(600),
        }
    }
}

/// Between two reports of a step that is being done: more of them are left out but for the last.
const BETWEEN_REPORTS: Duration = Duration::from_secs(1);

/// How much longer than its own timeout a health gate is waited for.
const GATE_GRACE: Duration = Duration::from_secs(60);

/// What a report about a step rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Its agent said so.
    Agent,
    /// It was never sent: nothing of it is done.
    NeverSent,
    /// It was sent, and its agent did not say how it ended: it may be done, now or later.
    Silence,
}

/// What whoever applies must do along the way.
pub trait Progression: Send {
    /// Makes durable that this step is about to be sent. The step fails when that fails.
    fn sending(&mut self, step: &Step) -> Result<(), String>;

    /// Takes note of a report, and of what it rests on. Called before anything follows from it.
    fn reported(&mut self, step: &Step, report: &StepReport, evidence: Evidence);

    /// A step that was about to be sent was let go before it was: nothing of it is done.
    fn let_go(&mut self, step: &Step);
}

/// Becomes true when a walk is to end: what runs is finished, or let go where that is harmless, and
/// nothing more begins.
pub type Stop = watch::Receiver<bool>;

/// How a walk ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Every step is done.
    pub succeeded: bool,
    /// `db[0]/start on n1: why`, for each step that failed, and how many steps it blocked.
    pub errors: Vec<String>,
    /// What was changed.
    pub done: Summary,
    /// The instances with a step that failed, and its error; those that were only blocked are not
    /// among them.
    pub failed: BTreeMap<InstanceId, String>,
    /// The instances whose every step is done.
    pub complete: BTreeSet<InstanceId>,
    /// The steps that were not done because the walk was cut short.
    pub cancelled: Vec<StepId>,
}

/// What a step's task says.
enum Word {
    /// What the agent said, or was said for it.
    Report(StepReport, Evidence),
    /// The step is no longer waited for.
    Cut(StepId),
    /// The same, and it was never sent.
    NeverSent(StepId),
}

/// How the wait for a step ended.
enum Last {
    Report(StepReport, Evidence),
    /// It was let go: it touches nothing that runs.
    LetGo,
    /// It was let go before it was sent.
    NeverSent,
}

/// Runs the steps of `plan` as `deployment` and returns when nothing more can run.
pub async fn walk(
    fleet: &Arc<Fleet>,
    deployment: &str,
    plan: &Plan,
    limits: Limits,
    mut stop: Stop,
    progression: &mut dyn Progression,
) -> Outcome {
    let mut frontier = match Frontier::new(&plan.steps) {
        Ok(frontier) => frontier,
        Err(error) => {
            let errors = vec![format!("the plan's steps form no order: {error}")];
            return Outcome { errors, ..Outcome::default() };
        }
    };
    let steps: BTreeMap<&StepId, &Step> = plan.steps.iter().map(|s| (&s.id, s)).collect();
    let spared = spared(plan);
    let (to, mut words) = mpsc::channel(256);
    let mut tasks = JoinSet::new();
    let mut errors = Vec::new();
    let mut stopped = false;
    while !frontier.is_finished() {
        for id in frontier.take_ready(limits.parallelism.max(1)) {
            let step = steps[&id];
            match progression.sending(step) {
                Ok(()) => {
                    let run = StepRun::new(fleet, deployment, step, limits, to.clone());
                    tasks.spawn(run.run(stop.clone()));
                }
                Err(error) => {
                    let report = failed(deployment, step, error);
                    let _ = to.send(Word::Report(report, Evidence::NeverSent)).await;
                }
            }
        }
        let word = tokio::select! {
            word = words.recv() => word,
            () = asked_to_stop(&mut stop), if !stopped => {
                stopped = true;
                frontier.cancel();
                continue;
            }
        };
        match word {
            None => break,
            Some(Word::Cut(id)) => frontier.cut(&id),
            Some(Word::NeverSent(id)) => {
                progression.let_go(steps[&id]);
                frontier.cut(&id);
            }
            Some(Word::Report(report, evidence)) => {
                let Some(step) = steps.get(&report.step) else { continue };
                progression.reported(step, &report, evidence);
                settle(&mut frontier, step, &report, &spared, &mut errors);
            }
        }
    }
    tasks.abort_all();
    outcome(plan, &frontier, errors)
}

/// Completes when a walk is to end; never where nobody can say so any more.
async fn asked_to_stop(stop: &mut Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn outcome(plan: &Plan, frontier: &Frontier, errors: Vec<String>) -> Outcome {
    let mut failed = BTreeMap::new();
    let mut complete: BTreeSet<InstanceId> =
        plan.steps.iter().map(|s| s.instance.clone()).collect();
    for step in &plan.steps {
        match frontier.progress(&step.id) {
            Some(Progress::Done) => continue,
            Some(Progress::Failed(error)) => {
                failed.entry(step.instance.clone()).or_insert_with(|| error.clone());
            }
            _ => {}
        }
        complete.remove(&step.instance);
    }
    Outcome {
        succeeded: frontier.all_done(),
        errors,
        done: done(plan, frontier),
        failed,
        complete,
        cancelled: frontier.cancelled(),
    }
}

/// The steps that stop or replace an instance that is well, by service: while another instance of
/// the service fails they are not begun. What is broken already loses nothing by them.
pub fn spared(plan: &Plan) -> BTreeMap<&ServiceName, Vec<StepId>> {
    let mut spared: BTreeMap<&ServiceName, Vec<StepId>> = BTreeMap::new();
    for change in &plan.changes {
        let broken = plan.drift.iter().any(|one| one.instance == change.instance);
        if broken || !change.touches_what_stays(&plan.placement) {
            continue;
        }
        let old = change.before.as_ref().map(|spec| &spec.id);
        let own = plan.steps.iter().filter(|step| {
            let named = step.instance == change.instance || Some(&step.instance) == old;
            named && matches!(step.act, Act::Ensure { .. } | Act::Remove)
        });
        spared.entry(&change.instance.service).or_default().extend(own.map(|step| step.id.clone()));
    }
    spared
}

fn settle(
    frontier: &mut Frontier,
    step: &Step,
    report: &StepReport,
    spared: &BTreeMap<&ServiceName, Vec<StepId>>,
    errors: &mut Vec<String>,
) {
    match &report.state {
        StepState::Running { .. } => {}
        StepState::Succeeded { .. } => frontier.succeed(&step.id),
        StepState::Failed { error } => {
            let with = spared.get(&step.instance.service).map_or(&[][..], Vec::as_slice);
            let blocked = frontier.fail(&step.id, error, with);
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
    to: mpsc::Sender<Word>,
}

impl StepRun {
    fn new(
        fleet: &Arc<Fleet>,
        deployment: &str,
        step: &Step,
        limits: Limits,
        to: mpsc::Sender<Word>,
    ) -> Self {
        Self {
            fleet: Arc::clone(fleet),
            deployment: deployment.to_owned(),
            step: step.clone(),
            limits,
            to,
        }
    }

    async fn run(self, mut stop: Stop) {
        let (here, mut reports) = mpsc::channel(32);
        self.fleet.subscribe(&self.deployment, &self.step.node, &self.step.id, here);
        let last = self.until_it_ended(&mut reports, &mut stop).await;
        self.fleet.unsubscribe(&self.deployment, &self.step.node, &self.step.id);
        let word = match last {
            Last::Report(report, evidence) => Word::Report(report, evidence),
            Last::LetGo => Word::Cut(self.step.id),
            Last::NeverSent => Word::NeverSent(self.step.id),
        };
        let _ = self.to.send(word).await;
    }

    /// Whether letting the step go leaves nothing half done: it touches nothing that runs.
    fn is_harmless(&self) -> bool {
        matches!(self.step.act, Act::Prepare { .. } | Act::AwaitHealthy { .. })
    }

    /// Passes reports on until the last one, which it returns.
    async fn until_it_ended(
        &self,
        reports: &mut mpsc::Receiver<StepReport>,
        stop: &mut Stop,
    ) -> Last {
        let mut sessions = self.fleet.sessions();
        let (mut told, mut sent, mut stopping) = (None, false, false);
        let mut wait = Wait::begin(&self.step, self.limits, Instant::now());
        let mut running: Option<StepReport> = None;
        loop {
            sessions.mark_unchanged();
            let session = self.fleet.session(&self.step.node);
            if session.is_some() && session != told {
                // Saying it again is harmless: the step says *ensure*, and the agent may never
                // have got it. A send that fails is followed by the end of that session.
                let sending = self.fleet.send_step(&self.deployment, &self.step).await;
                if let Err(error @ FleetError::TooLarge { .. }) = sending {
                    return self.failed(error.to_string(), sent);
                }
                sent |= sending.is_ok();
                told = session;
                wait.was_told(Instant::now());
            }
            if session.is_some() {
                wait.is_here(Instant::now());
            }
            tokio::select! {
                Some(report) = reports.recv() => {
                    if !matches!(report.state, StepState::Running { .. }) {
                        return Last::Report(report, Evidence::Agent);
                    }
                    wait.goes_on(Instant::now());
                    running = Some(report);
                }
                () = sleep_until(wait.line), if running.is_some() => {
                    wait.line = Instant::now() + BETWEEN_REPORTS;
                    if let Some(report) = running.take() {
                        let _ = self.to.send(Word::Report(report, Evidence::Agent)).await;
                    }
                }
                // What was never sent begins nothing either.
                () = asked_to_stop(stop), if !stopping => match (sent, self.is_harmless()) {
                    (false, _) => return Last::NeverSent,
                    (true, true) => return Last::LetGo,
                    (true, false) => {
                        stopping = true;
                        wait.end = Instant::now() + self.limits.farewell;
                    }
                },
                changed = sessions.changed() => {
                    if changed.is_err() {
                        return self.failed("the control plane is stopping".to_owned(), sent);
                    }
                    if self.fleet.session(&self.step.node).is_none() && session.is_some() {
                        wait.is_here(Instant::now());
                    }
                }
                () = sleep_until(wait.away), if session.is_none() => {
                    return self.failed(self.unreachable(), sent);
                }
                () = sleep_until(wait.quiet), if session.is_some() => {
                    return self.failed(self.silent(), sent);
                }
                () = sleep_until(wait.end), if stopping => {
                    return self.failed(self.unending(), sent);
                }
            }
        }
    }

    fn silent(&self) -> String {
        let node = &self.step.node;
        let silence = seconds(silence(&self.step, self.limits));
        match &self.step.act {
            Act::AwaitHealthy { .. } => format!(
                "the agent of {node} did not say within {silence} whether it is healthy: look at \
                 its log"
            ),
            Act::Prepare { .. } | Act::Ensure { .. } | Act::Remove => {
                format!("the agent of {node} said nothing about it for {silence}: look at its log")
            }
        }
    }

    fn unending(&self) -> String {
        format!(
            "the agent of {} still works at it {} after the deployment was to end: it may be done \
             yet; look at its log",
            self.step.node,
            seconds(self.limits.farewell),
        )
    }

    fn unreachable(&self) -> String {
        format!(
            "node {} is unreachable: its agent was not connected for {}; start devnet-agent \
             there, or remove the node, and apply again",
            self.step.node,
            seconds(self.limits.unreachable),
        )
    }

    /// Said for the agent, which did not.
    fn failed(&self, error: String, sent: bool) -> Last {
        let evidence = if sent { Evidence::Silence } else { Evidence::NeverSent };
        Last::Report(failed(&self.deployment, &self.step, error), evidence)
    }
}

/// Until when a step is waited for.
struct Wait {
    limits: Limits,
    silence: Duration,
    /// Whether a word of its agent is a reason to wait on.
    patient: bool,
    told: bool,
    /// For an agent that is not connected.
    away: Instant,
    /// For the next word of one that is.
    quiet: Instant,
    /// For its end, where the walk is to end.
    end: Instant,
    /// When the next report of what is being done may be passed on.
    line: Instant,
}

impl Wait {
    fn begin(step: &Step, limits: Limits, now: Instant) -> Self {
        let silence = silence(step, limits);
        Self {
            limits,
            silence,
            // A gate ends by its own timeout, or its agent does not keep to it.
            patient: !step.act.only_waits(),
            told: false,
            away: now + limits.unreachable,
            quiet: now + silence,
            end: now,
            line: now,
        }
    }

    /// The agent is told the step, the first time or again.
    fn was_told(&mut self, now: Instant) {
        if self.patient || !self.told {
            self.quiet = now + self.silence;
        }
        self.told = true;
    }

    /// The agent is still at it.
    fn goes_on(&mut self, now: Instant) {
        if self.patient {
            self.quiet = now + self.silence;
        }
    }

    /// The agent is connected.
    fn is_here(&mut self, now: Instant) {
        self.away = now + self.limits.unreachable;
    }
}

/// A health gate says nothing while it waits, so it has its own time.
fn silence(step: &Step, limits: Limits) -> Duration {
    match &step.act {
        Act::AwaitHealthy { timeout } => Duration::from(*timeout) + GATE_GRACE,
        Act::Prepare { .. } | Act::Ensure { .. } | Act::Remove => limits.silence,
    }
}

fn seconds(duration: Duration) -> Period {
    Period { millis: duration.as_millis() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_its_agent_keeps_a_step_going_and_a_health_gate_never() {
        let step = |act| Step {
            id: "db[0]/x".to_owned(),
            instance: "db[0]".parse().unwrap(),
            node: "n1".parse().unwrap(),
            generation: 1,
            act,
            after: Vec::new(),
        };
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let gate = Act::AwaitHealthy { timeout: Period::seconds(40) };
        for (act, silence, kept) in [(gate, 100, true), (Act::Remove, 900, false)] {
            let mut wait = Wait::begin(&step(act), Limits::default(), begun);
            wait.was_told(at(1));
            let until = wait.quiet;
            assert_eq!(until, at(1 + silence), "from when it was told");
            wait.goes_on(at(50));
            assert_eq!(wait.quiet == until, kept);
            wait.was_told(at(60));
            assert_eq!(wait.quiet == until, kept, "nor does another session");
        }
    }
}
