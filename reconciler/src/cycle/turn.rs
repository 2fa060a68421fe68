//! One turn of the loop, and the loop.
//!
//! Knows the order: look at the source, wait for agents to settle, plan, ask the gate, apply.
//! Refuses to let any failure change what runs: a source that cannot be read, a revision that means
//! nothing and a plan that cannot be made all leave the last good revision in force.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::Context;
use devnet_planner::{LEAVES_DATA, Policy};
use devnet_schema::{
    desired::{Settings, Unplaced},
    diagnostic::Diagnostic,
    fleet::FleetSnapshot,
    plan::{Plan, WHAT_RUNS},
    plan_options::PlanOptions,
};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::{
    Candidate, Configuration, ControlPlane, UnknownOrders, WATCH,
    deploy::short,
    gate::{Decision, Scene, decide, held, unsettled},
    newer,
    waiting::waiting,
};
use crate::{
    api::PlanRequest,
    clock,
    store::{Retention, RevisionState, StoredPlan},
};

/// How long connected agents may take to say what runs.
const REPORT_PATIENCE: Duration = Duration::from_secs(30);
/// How often in a row a plan is made anew where only what runs has moved since.
const MOST_ANEW: u32 = 3;
/// Between two looks at everything when nothing wakes the loop.
const IDLE: Duration = Duration::from_secs(60);
/// Between two looks while it is not known what nodes run; a report wakes the loop before.
const AWAITED: Duration = Duration::from_secs(5);
/// Between two looks at what was left out of the journal.
const TELLING: Duration = Duration::from_secs(60);
/// Between two looks at what may be dropped from the records.
const RETENTION: Duration = Duration::from_secs(3600);

/// Turns until `stop` says so.
pub async fn follow(plane: Arc<ControlPlane>, mut stop: watch::Receiver<bool>) {
    let (mut swept, mut looked, mut told) = (Instant::now(), Instant::now(), Instant::now());
    loop {
        // The source wakes the loop by itself; this is for `sync interval=`.
        if looked.elapsed() >= plane.interval() {
            looked = Instant::now();
            plane.source_due.store(true, Ordering::Release);
        }
        let begun = Instant::now();
        let next = plane.turn().await;
        plane.count();
        plane.changes.turned();
        plane.metrics.turned(begun.elapsed());
        if told.elapsed() >= TELLING {
            told = Instant::now();
            plane.journal.tell(plane.since_start());
        }
        if swept.elapsed() > RETENTION {
            swept = Instant::now();
            plane.sweep();
        }
        tokio::select! {
            () = plane.wake.notified() => {}
            () = tokio::time::sleep(next.min(IDLE)) => {}
            _ = stop.changed() => return,
        }
    }
}

impl ControlPlane {
    /// How often the source is looked at in any case, as the configuration in force says.
    fn interval(&self) -> Duration {
        let current = self.state().current.clone();
        current.map_or(IDLE, |current| current.desired.settings.interval.into())
    }

    /// Looks at everything once. Returns how long until it must look again by itself.
    async fn turn(self: &Arc<Self>) -> Duration {
        if self.source_due.swap(false, Ordering::AcqRel)
            && let Some(source) = self.source.clone()
        {
            self.look_at_source(&source).await;
        }
        match self.reconcile().await {
            Ok(next) => next,
            Err(error) if error.is::<UnknownOrders>() => {
                self.awaits(format!("{error:#}"));
                AWAITED
            }
            Err(error) => {
                error!(error = format!("{error:#}"), "a turn of the loop failed");
                self.problem(&format!("{error:#}"), Vec::new());
                Duration::from_secs(5)
            }
        }
    }

    /// Says once that nothing is planned before it is known what runs.
    fn awaits(&self, reason: String) {
        self.problem(&reason, Vec::new());
        let mut state = self.state();
        if state.held.as_ref() == Some(&reason) {
            return;
        }
        state.held = Some(reason.clone());
        drop(state);
        warn!(reason, "nothing is planned");
        self.journal.write("sync", "records", &format!("waiting: {reason}"));
    }

    /// Plans, asks the gate, applies.
    async fn reconcile(self: &Arc<Self>) -> anyhow::Result<Duration> {
        let (candidate, current) = {
            let state = self.state();
            (state.candidate.clone(), state.current.clone())
        };
        let newest = candidate.as_ref().map(|c| &c.configuration).or(current.as_ref());
        let Some(newest) = newest.cloned() else {
            self.state().settled = true;
            return Ok(IDLE);
        };
        if let Err(ours) = self.take_name(&newest.desired.cluster) {
            let text = format!(
                "the configuration is for cluster `{}`, and this control plane looks after \
                 `{ours}`: a cluster cannot be renamed",
                newest.desired.cluster
            );
            self.problem(&text, Vec::new());
            return Ok(IDLE);
        }
        if let Some(wait) = self.unsettled() {
            return Ok(wait);
        }
        if self.deploying().is_some() {
            self.overtake(candidate).await?;
            return Ok(IDLE);
        }
        let Some((configuration, plan)) = self.plan_newest(candidate, current).await? else {
            return Ok(IDLE);
        };
        let settings = configuration.desired.settings.clone();
        self.adopt(&configuration, &plan)?;
        let next = self.pass_gate(&configuration, plan).await?;
        let loss = self.fleet.next_loss(settings.lost_after.into()).unwrap_or(IDLE);
        let interval: Duration = settings.interval.into();
        Ok(next.min(loss).min(interval).max(Duration::from_millis(50)))
    }

    /// Why nothing is planned by hand yet: agents have not had their chance since the start, and
    /// what nobody has said to run would be started a second time.
    pub(super) fn not_ready(&self) -> Option<String> {
        if self.state().heard_of {
            return None;
        }
        let wait = self.unsettled()?;
        Some(format!(
            "this control plane has just started and waits for agents to say what runs, for {} s \
             at most: nothing is planned or applied before",
            wait.as_secs() + 1
        ))
    }

    /// How long to wait until agents had their chance to connect and to say what runs.
    fn unsettled(&self) -> Option<Duration> {
        let now = self.fleet.now().since_start;
        // Nodes may exist that the records do not know.
        let unknown = self.config.records_lost || self.orders().are_older();
        let mut state = self.state();
        if !state.heard_of {
            let all_here = self.fleet.all_reported() && !unknown;
            if !all_here && now < self.config.grace {
                return Some(self.config.grace - now);
            }
            state.settled = true;
        }
        if self.fleet.awaited().is_empty() {
            state.awaiting = None;
            state.heard_of = true;
            return None;
        }
        let since = *state.awaiting.get_or_insert(now);
        let waited = now.saturating_sub(since);
        if waited < REPORT_PATIENCE {
            return Some(REPORT_PATIENCE - waited);
        }
        state.heard_of = true;
        None
    }

    /// Plans the newest revision; when that is not possible, the last good one, so that what runs
    /// is still looked after.
    async fn plan_newest(
        &self,
        candidate: Option<Candidate>,
        current: Option<Arc<Configuration>>,
    ) -> anyhow::Result<Option<(Arc<Configuration>, Plan)>> {
        if let Some(Candidate { configuration, noticed }) = candidate {
            self.announce(&configuration, noticed);
            let options = unattended(&configuration.desired.settings);
            let plan = self.plan(Arc::clone(&configuration), options, None, None).await?;
            if plan.is_applicable() {
                self.good(&configuration);
                return Ok(Some((configuration, plan)));
            }
            self.bad_plan(&configuration, &plan);
        }
        let Some(configuration) = current else {
            return Ok(None);
        };
        let options = unattended(&configuration.desired.settings);
        let plan = self.plan(Arc::clone(&configuration), options, None, None).await?;
        Ok(Some((configuration, plan)))
    }

    /// A newer revision that can be planned and wants something else than the loop's running
    /// deployment cuts that short: the fix does not wait for what it mends.
    async fn overtake(&self, candidate: Option<Candidate>) -> anyhow::Result<()> {
        let Some(Candidate { configuration, .. }) = candidate else { return Ok(()) };
        let revision = &configuration.revision;
        let Some((id, running)) = self.overtakable(revision) else { return Ok(()) };
        let settings = &configuration.desired.settings;
        let plan = self.plan(Arc::clone(&configuration), unattended(settings), None, None).await?;
        if !plan.is_applicable() {
            self.bad_plan(&configuration, &plan);
            return Ok(());
        }
        let fleet = self.gather(&configuration.desired)?.fleet;
        if newer::wants_otherwise(&running, &plan, &fleet) {
            self.cut_short(&id, format!("revision {} is newer", short(revision)));
        }
        Ok(())
    }

    /// The deployment of the loop that runs an older revision and was not compared with this one.
    fn overtakable(&self, revision: &str) -> Option<(String, Arc<Plan>)> {
        let mut state = self.state();
        let running = state.deploying.as_mut()?;
        let older = running.by == WATCH && running.plan.basis.revision != revision;
        let known = running.is_cancelled() || running.compared.as_deref() == Some(revision);
        if !older || known {
            return None;
        }
        running.compared = Some(revision.to_owned());
        Some((running.id.clone(), Arc::clone(&running.plan)))
    }

    fn announce(&self, configuration: &Configuration, noticed: Option<Instant>) {
        let Some(noticed) = noticed else { return };
        let took = noticed.elapsed();
        self.metrics.reacted(took);
        let millis = took.as_millis();
        let text = format!(
            "planning revision {}, {millis} ms after it was noticed",
            short(&configuration.revision)
        );
        self.journal.write("plan", &configuration.revision, &text);
        if let Some(candidate) = &mut self.state().candidate {
            candidate.noticed = None;
        }
    }

    /// The newest revision can be planned: from now on it is the one in force.
    fn good(&self, configuration: &Arc<Configuration>) {
        let revision = &configuration.revision;
        if let Err(error) = self.store.mark_revision(revision, &RevisionState::Good) {
            warn!(error = &error as &dyn std::error::Error, "recording a good revision");
        }
        self.metrics.good_revision(revision);
        self.metrics.source_problem(false);
        let mut state = self.state();
        state.current = Some(Arc::clone(configuration));
        let newer = state.candidate.as_ref().map(|c| c.configuration.revision != *revision);
        if newer == Some(false) {
            state.candidate = None;
        }
        if let Some(status) = &mut state.source {
            status.problem = None;
            status.diagnostics.clone_from(&configuration.diagnostics);
        }
    }

    fn bad_plan(&self, configuration: &Configuration, plan: &Plan) {
        let first = plan.diagnostics.iter().find(|finding| finding.is_error());
        let first = first.map(ToString::to_string).unwrap_or_default();
        let text = format!("{} cannot be planned: {first}", short(&configuration.revision));
        let news = self.state().source.as_ref().and_then(|s| s.problem.as_deref()) != Some(&text);
        if news {
            self.journal.write("sync", &configuration.revision, &text);
            let state =
                RevisionState::Bad { problem: text.clone(), diagnostics: plan.diagnostics.clone() };
            if let Err(error) = self.store.mark_revision(&configuration.revision, &state) {
                warn!(error = &error as &dyn std::error::Error, "recording a bad revision");
            }
            self.problem(&text, plan.diagnostics.clone());
        }
    }

    /// Applies the plan, or says why not. Returns how long until it must be asked again.
    async fn pass_gate(
        self: &Arc<Self>,
        configuration: &Arc<Configuration>,
        plan: Plan,
    ) -> anyhow::Result<Duration> {
        let settings = &configuration.desired.settings;
        if self.moved_meanwhile(configuration, &plan).await? {
            return Ok(Duration::ZERO);
        }
        if plan.is_applicable() {
            self.state().tries.declared(&plan);
            self.keep_put_off();
        }
        let fleet = self.gather(&configuration.desired)?.fleet;
        let suspended = self.suspended()?;
        let decision = {
            let mut state = self.state();
            let (desired, now) = (&configuration.desired, self.fleet.now().since_start);
            let (tries, suspended) = (&state.tries, &suspended);
            let scene = Scene { plan: &plan, desired, fleet: &fleet, tries, suspended, now };
            let decision = decide(scene, state.deploying.is_some());
            let waiting = waiting(scene, &decision, &held(scene));
            state.waiting = waiting;
            state.warnings = warnings(&plan, &configuration.diagnostics);
            decision
        };
        let left = match decision {
            Decision::Nothing => self.left_out(&plan, &fleet),
            _ => None,
        };
        self.hold(configuration, &decision, left.as_deref());
        match decision {
            Decision::Nothing => {
                if left.is_none() {
                    self.up_to_date(configuration);
                }
                Ok(IDLE)
            }
            Decision::Hold(_) => Ok(IDLE),
            Decision::Later(wait, _) => Ok(wait),
            Decision::Apply => self.apply(configuration, plan).map(|()| IDLE),
            Decision::Without(held, wait, _) => {
                let (options, policy) = unattended(settings);
                let asked = (options, Policy { held, ..policy });
                let rest = self.plan(Arc::clone(configuration), asked, None, None).await?;
                if self.moved_meanwhile(configuration, &rest).await? {
                    return Ok(Duration::ZERO);
                }
                if rest.is_applicable() && !rest.steps.is_empty() {
                    self.apply(configuration, rest)?;
                }
                Ok(wait)
            }
        }
    }

    /// Whether a plan was overtaken while it was made, and is to be made anew. Where only what runs
    /// moves, and does so again and again, the plan is good all the same: agents refuse what is
    /// older than what they were told, and so do the records.
    async fn moved_meanwhile(
        &self,
        configuration: &Arc<Configuration>,
        plan: &Plan,
    ) -> anyhow::Result<bool> {
        if plan.steps.is_empty() {
            return Ok(false);
        }
        let moved = self.moved(&plan.basis, configuration, None).await?;
        let mut state = self.state();
        let only_runs = moved.iter().all(|part| *part == WHAT_RUNS);
        if moved.is_empty() || (only_runs && state.moved >= MOST_ANEW) {
            state.moved = 0;
            return Ok(false);
        }
        state.moved += 1;
        drop(state);
        info!(moved = moved.join(", "), "what was planned from has moved: planning anew");
        Ok(true)
    }

    /// Why a revision that leaves nothing to do is not applied all the same: something that it
    /// declares is not there, or does not serve yet.
    fn left_out(&self, plan: &Plan, fleet: &FleetSnapshot) -> Option<String> {
        let mut missing = plan.missing();
        let waiting = unsettled(plan, fleet).into_values();
        missing.extend(waiting.map(|id| format!("{} does not serve yet", id.address())));
        (!missing.is_empty()).then(|| missing.join("; "))
    }

    fn apply(self: &Arc<Self>, configuration: &Configuration, plan: Plan) -> anyhow::Result<()> {
        self.save(configuration, &plan)?;
        // Nobody was asked about this plan.
        let left = plan.diagnostics.iter().filter(|it| LEAVES_DATA.contains(&&*it.code));
        for finding in left {
            let text = format!("{}: {}", finding.code, finding.message);
            self.journal.write("plan", &configuration.revision, &text);
        }
        self.make_secrets(&configuration.desired, &plan).context("making secrets")?;
        self.begin(plan, WATCH, self.config.apply).context("beginning a deployment")?;
        // Whoever suspended something since this was decided found no deployment to cut short.
        self.stop_suspended().context("reading what is suspended")?;
        Ok(())
    }

    /// A revision that leaves nothing to do and nothing out is applied.
    fn up_to_date(&self, configuration: &Configuration) {
        let applied = self.state().source.as_ref().and_then(|status| status.applied.clone());
        if applied.as_deref() != Some(configuration.revision.as_str()) {
            self.mark_applied(&configuration.revision);
            let text = "No changes. Your infrastructure matches the configuration.";
            self.journal.write("plan", &configuration.revision, text);
        }
    }

    /// Says once why nothing is applied, or what is `left` out although nothing is left to do.
    fn hold(&self, configuration: &Configuration, decision: &Decision, left: Option<&str>) {
        let reason = match decision {
            Decision::Nothing => left.map(str::to_owned),
            Decision::Apply => None,
            Decision::Hold(reason)
            | Decision::Later(_, reason)
            | Decision::Without(_, _, reason) => Some(reason.clone()),
        };
        let mut state = self.state();
        let behind = state.candidate.is_some() || state.unreadable.is_some();
        // A newer revision that means nothing has a problem of its own.
        if let Some(status) = &mut state.source
            && !behind
            && status.seen.as_ref() == Some(&configuration.revision)
        {
            status.problem.clone_from(&reason);
        }
        if state.held == reason {
            return;
        }
        state.held.clone_from(&reason);
        drop(state);
        if let Some(reason) = reason {
            info!(reason, "nothing is applied");
            let word = if left.is_some() { "not all of it is there" } else { "waiting" };
            self.journal.write("sync", &configuration.revision, &format!("{word}: {reason}"));
        }
    }

    fn save(&self, configuration: &Configuration, plan: &Plan) -> anyhow::Result<()> {
        let rev = Some(configuration.revision.clone());
        self.store
            .save_plan(&StoredPlan {
                plan: plan.clone(),
                request: PlanRequest { rev, ..PlanRequest::default() },
                by: WATCH.to_owned(),
                created_at: clock::wall(),
                expires_at: None,
            })
            .context("saving a plan")
    }

    fn sweep(&self) {
        match self.store.prune(&Retention::default(), clock::wall()) {
            Ok(pruned) => info!(?pruned, "old records were dropped"),
            Err(error) => warn!(error = &error as &dyn std::error::Error, "dropping old records"),
        }
    }
}

/// What a plan warns of beside the configuration's own findings, which the source tells.
fn warnings(plan: &Plan, of_source: &[Diagnostic]) -> Vec<Diagnostic> {
    let new = plan.diagnostics.iter().filter(|it| !it.is_error() && !of_source.contains(it));
    new.cloned().collect()
}

/// What a plan that nobody asked for does.
fn unattended(settings: &Settings) -> (PlanOptions, Policy) {
    let allow_unplaced = settings.unplaced == Unplaced::Wait;
    let options = PlanOptions { allow_unplaced, ..PlanOptions::default() };
    let Settings { prune, self_heal, .. } = *settings;
    (options, Policy { prune, self_heal, held: Vec::new() })
}
