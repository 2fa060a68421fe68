//! The planner: from what is wanted and what there is to one plan that leaves nothing to decide.
//!
//! Knows the whole pipeline, on this page. Refuses to wait: no clock, file, network, thread or
//! randomness, so the same input gives the same plan, byte for byte.
//!
//! observations (what runs, renames applied) → scope (what may be touched) → problem → [`place`] →
//! assignments (who is held where it is) → ports → render → action (what happens, and why) → order
//! (the step graph) → check (what must hold of any plan).

mod action;
mod asis;
mod assignment;
mod assignments;
mod basis;
mod blocked;
mod check;
mod condition;
mod data;
mod data_notice;
pub mod diff;
mod graph;
mod hold;
mod input;
mod message_size;
mod models;
mod notice;
mod observations;
mod observed;
mod order;
mod per_node;
pub mod place;
mod ports;
mod problem;
mod reference;
mod renames;
mod render;
mod report;
mod retained;
mod scope;
pub mod suppose;
pub mod unit;
mod upgrade;
mod volume_names;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use devnet_schema::{
    desired::DesiredState,
    diagnostic::{Diagnostic, Severity},
    digest::Digest,
    fleet::FleetSnapshot,
    instance::Generation,
    name::InstanceId,
    order::OrderBook,
    placement::PlacementStatus,
    plan::{Action, Plan},
};

pub use basis::now as basis_now;
pub use input::{PlanInput, Policy};
pub use notice::{DISPUTED, LEAVES_DATA, cut_short};
pub use ports::RANGE as PORT_RANGE;

use action::PlannedActions;
use observations::Observations;
use place::{Gain, Outcome, Pace, PlacementProblem, Rebalanced, StageReport, Watch};
use render::Specs;
use scope::Scope;

/// The highest generation of each instance that was given out, or that a node reports and is
/// believed to have been told: whatever is told next is above it.
pub fn known_generations(
    given_out: &BTreeMap<InstanceId, Generation>,
    fleet: &FleetSnapshot,
) -> BTreeMap<InstanceId, Generation> {
    observations::generations(given_out, fleet, &OrderBook::of(fleet)).0
}

/// Makes the plan. Whatever is wrong stands in its diagnostics; with an error among them it has no
/// steps and must not be applied ([`Plan::is_applicable`]).
pub fn plan(input: &PlanInput<'_>) -> Plan {
    plan_paced(input, &mut |_| Pace::Free)
}

/// The same under a watch that may stop placement ([`place::place_paced`]), for those who want a
/// limit of time. Where that ended the search, the plan says so in a warning.
pub fn plan_paced(input: &PlanInput<'_>, watch: Watch<'_>) -> Plan {
    let desired = per_node::resolved(input);
    let input = &with(input, desired.as_ref());
    let mut draft = Draft::empty(input);
    if let Err(errors) = draft.fill(input, watch) {
        draft.refuse(errors);
    }
    let mut plan = draft.plan;
    if plan.is_applicable() {
        let placed = draft.placed.as_ref().map(|(problem, outcome)| (problem, outcome));
        plan.diagnostics.extend(check::breaches(input, placed, &draft.specs, &plan));
    }
    if !plan.is_applicable() {
        plan.steps.clear();
    }
    seal(plan)
}

/// The placement problem that [`plan`] would solve, for those who ask why.
///
/// # Errors
/// Addresses in the options that name nothing.
pub fn placement_problem(input: &PlanInput<'_>) -> Result<PlacementProblem, Vec<Diagnostic>> {
    let desired = per_node::resolved(input);
    let input = &with(input, desired.as_ref());
    let observations = Observations::of(input);
    let scope = Scope::of(input, &observations)?;
    let blocked = assignments::disputed(input, &observations);
    let holds = hold::known(input, &observations, &scope, &blocked);
    Ok(problem::build(input, &observations, &scope, (&blocked, &holds)))
}

/// The input with the instances of services that have one on each node.
fn with<'a>(input: &PlanInput<'a>, desired: Option<&'a DesiredState>) -> PlanInput<'a> {
    PlanInput { desired: desired.unwrap_or(input.desired), ..input.clone() }
}

/// A plan on its way.
struct Draft {
    plan: Plan,
    specs: Specs,
    placed: Option<(PlacementProblem, Outcome)>,
}

impl Draft {
    fn empty(input: &PlanInput<'_>) -> Self {
        let plan = Plan::empty(input.desired.cluster.clone(), input.created_at.to_owned());
        Self { plan, specs: Specs::new(), placed: None }
    }

    /// The pipeline.
    fn fill(&mut self, input: &PlanInput<'_>, watch: Watch<'_>) -> Result<(), Vec<Diagnostic>> {
        self.plan.basis = basis::of(input, std::iter::empty());
        stop(notice::refusals(input))?;
        let observations = Observations::of(input);
        let scope = Scope::of(input, &observations)?;
        // Whoever restarts something asked for nothing else.
        let whole = scope.is_whole() || !input.options.restart.is_empty();
        self.plan.diagnostics = notice::remarks(input, &observations, whole);
        let assignments = if input.options.destroy {
            assignment::Assignments::default()
        } else {
            self.place(input, &observations, &scope, watch)?
        };
        let ports = ports::allocate(input, &observations, &assignments)?;
        self.specs = render::specs(input, &observations, &assignments, &ports)?;
        stop(message_size::refusals(input, &self.specs))?;
        stop(renames::taken(input, &observations, &self.specs))?;
        self.plan.basis = basis::of(input, self.specs.values());
        let mut planned = action::decide(input, &observations, &scope, &assignments, &self.specs);
        let changes = planned.list.iter_mut().map(|action| &mut action.change);
        changes.for_each(|change| models::tell(input.desired, change));
        self.plan.diagnostics.append(&mut planned.diagnostics);
        self.plan.diagnostics.extend(renames::idle(input));
        let changes = planned.list.iter().map(|action| &action.change);
        self.plan.diagnostics.extend(renames::unwritten(input, changes.clone()));
        self.plan.diagnostics.extend(upgrade::refusals(input, changes));
        self.plan.drift = std::mem::take(&mut planned.drift);
        self.plan.unreached = std::mem::take(&mut planned.unreached);
        if input.options.refresh_only {
            return Ok(());
        }
        message_size::whole(planned.list.iter().map(|action| &action.change))?;
        self.plan.steps = order::steps(input.desired, &planned.list, &planned.starting);
        self.take(planned);
        Ok(())
    }

    /// Places everything and settles who is held where it is. Where that leaves services blocked,
    /// the others are placed again without them: they get the room, and what runs of those that
    /// wait keeps its own. So it is where it leaves something held as it is by its data, that was
    /// counted otherwise.
    fn place(
        &mut self,
        input: &PlanInput<'_>,
        observations: &Observations<'_>,
        scope: &Scope,
        watch: Watch<'_>,
    ) -> Result<assignment::Assignments, Vec<Diagnostic>> {
        let lenient = input.options.allow_unplaced || input.options.refresh_only;
        let severity = if lenient { Severity::Warning } else { Severity::Error };
        let mut blocked = assignments::disputed(input, observations);
        let mut holds = hold::known(input, observations, scope, &blocked);
        loop {
            let problem = problem::build(input, observations, scope, (&blocked, &holds));
            let most = input.options.max_moves;
            let Rebalanced { gains, outcome } = place::rebalance_paced(&problem, most, &mut *watch);
            let known = (blocked.len(), holds.len());
            let assignments = assignments::settle(
                input,
                observations,
                scope,
                (blocked, holds),
                (&problem, &outcome),
            );
            if (assignments.blocked.len(), assignments.holds.len()) != known {
                (blocked, holds) = (assignments.blocked, assignments.holds);
                continue;
            }
            let mut report = outcome.report();
            report::tell(input.desired, observations, &assignments, &mut report);
            let made = gains.iter().filter(|gain| assignments.puts(&gain.instance, &gain.to));
            report.gains = made.map(Gain::document).collect();
            if input.options.explain_search {
                report.search = outcome.search.iter().map(StageReport::document).collect();
            }
            let mut notices =
                notice::placement(input.desired, observations, &assignments, &outcome, severity);
            // What does not fit is refused only here, so that it is placed and told in the same
            // way whether it is refused or not.
            let refused = !lenient && report.status == PlacementStatus::Infeasible;
            self.plan.placement = report;
            if refused {
                return Err(notices);
            }
            self.plan.diagnostics.append(&mut notices);
            self.placed = Some((problem, outcome));
            return Ok(assignments);
        }
    }

    fn take(&mut self, planned: PlannedActions) {
        self.plan.unchanged = planned.unchanged;
        self.plan.changes = planned.list.into_iter().map(|action| action.change).collect();
        for change in &self.plan.changes {
            let summary = &mut self.plan.summary;
            match change.action {
                Action::Create => summary.add += 1,
                Action::Update => summary.change += 1,
                Action::Delete => summary.destroy += 1,
                Action::Move => summary.moved += 1,
                Action::Forget => summary.forget += 1,
                Action::Noop => {}
                Action::Replace => {
                    summary.add += 1;
                    summary.destroy += 1;
                }
            }
        }
    }

    fn refuse(&mut self, errors: Vec<Diagnostic>) {
        self.plan.diagnostics.extend(errors);
    }
}

fn stop(errors: Vec<Diagnostic>) -> Result<(), Vec<Diagnostic>> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Sorts the diagnostics by severity and place, and gives the plan its id: the digest of all of it
/// but the id, the time it was made at, how long the solver took, and what its search is said to
/// have done: who asks for that gets the same plan.
fn seal(mut plan: Plan) -> Plan {
    plan.diagnostics.sort_by(|a, b| {
        (a.severity, &a.at, &a.code, &a.message).cmp(&(b.severity, &b.at, &b.code, &b.message))
    });
    plan.diagnostics.dedup();
    let created_at = std::mem::take(&mut plan.created_at);
    let seconds = plan.placement.seconds.take();
    let search = std::mem::take(&mut plan.placement.search);
    plan.id = Digest::from(String::new());
    plan.id = Digest::of(&plan);
    plan.placement.seconds = seconds;
    plan.placement.search = search;
    plan.created_at = created_at;
    plan
}
