//! What happens to every instance, and why.
//!
//! Knows one instance at a time: what is wanted of it and what was seen. Refuses to know in which
//! order things happen.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    diagnostic::Diagnostic,
    fleet::NodeStatus,
    instance::{Generation, InstanceSpec},
    name::{InstanceId, NodeName, ServiceName},
    observed::HealthState,
    order::MAX_GENERATION,
    plan::{Action, Change, Drift},
    replicas::Replicas,
};

use crate::{
    assignment::{Assignment, Assignments, Wait, Why},
    condition::{Starting, broken, differs, drift, starting},
    data_notice,
    diff::{self, DEVICES, Difference},
    hold::Hold,
    input::PlanInput,
    notice,
    observations::Observations,
    observed::Observed,
    place::Reason,
    reference,
    render::Specs,
    report::moved,
    scope::Scope,
    volume_names::{drops_data, goes_on},
};

/// Why something changes that is as declared.
const REPLACE: &str = "its replacement was asked for with -replace";
const RESTART: &str = "its restart was asked for";

/// A change, and what the order of steps needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedAction {
    /// The change.
    pub change: Change,
    /// The unit that has to be removed by a step of its own.
    pub leaves: Option<Leaving>,
    /// Whether that one has to be gone before the new one starts.
    pub stop_first: bool,
    /// Whether it is down already.
    pub broken: bool,
    /// Generation of the new unit.
    pub generation: Generation,
}

/// A unit that is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaving {
    /// The name it runs under.
    pub id: InstanceId,
    /// Where.
    pub node: NodeName,
    /// Generation of the removal.
    pub generation: Generation,
}

/// What happens to everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlannedActions {
    /// What changes, sorted by instance, action and node.
    pub list: Vec<PlannedAction>,
    /// How many instances stay as they are.
    pub unchanged: u32,
    /// Those of them that run as declared and do not serve yet.
    pub starting: Vec<Starting>,
    /// What is not as it was left.
    pub drift: Vec<Drift>,
    /// What is declared and stays as it is because its node cannot be reached.
    pub unreached: Vec<Drift>,
    /// What someone should know, and what forbids the plan.
    pub diagnostics: Vec<Diagnostic>,
}

/// What the deciding functions look at.
struct Scene<'a, 'b> {
    input: &'b PlanInput<'a>,
    observations: &'b Observations<'a>,
    scope: &'b Scope,
    assignments: &'b Assignments,
    by_word: BTreeSet<&'b ServiceName>,
}

/// Decides what happens to every instance that is wanted or was seen.
pub(crate) fn decide(
    input: &PlanInput<'_>,
    observations: &Observations<'_>,
    scope: &Scope,
    assignments: &Assignments,
    specs: &Specs,
) -> PlannedActions {
    let by_word = assignments.by_word(observations);
    let scene = Scene { input, observations, scope, assignments, by_word };
    let mut planned = PlannedActions::default();
    let everyone: BTreeSet<&InstanceId> =
        specs.keys().chain(observations.observed.keys()).collect();
    let mut undeclared: BTreeMap<&ServiceName, u32> = BTreeMap::new();
    for id in everyone {
        let group = observations.observed.get(id).map_or(&[][..], Vec::as_slice);
        if let Some(name) = scene.spent(id, group) {
            planned.diagnostics.push(notice::spent(&name));
            planned.unchanged += 1;
            continue;
        }
        match (assignments.by_instance.get(id), specs.get(id)) {
            (Some(assignment), Some(spec)) => {
                scene.wanted(id, assignment, spec, group, &mut planned)
            }
            _ => {
                for unit in group {
                    if !scene.unwanted(id, unit, &mut planned) {
                        *undeclared.entry(&id.service).or_insert(0) += 1;
                    }
                }
            }
        }
    }
    for (id, node) in &assignments.stranded {
        planned.unreached.extend(scene.waits_for_data(id, node, &Wait::Away));
    }
    let left =
        undeclared.into_iter().map(|(service, count)| match observations.protects(service) {
            true => notice::still_protected(service, count),
            false => notice::undeclared(service, count),
        });
    planned.diagnostics.extend(left);
    planned.list.sort_by(|a, b| {
        let key = |action: &PlannedAction| (action.change.instance.clone(), action.change.action);
        key(a).cmp(&key(b)).then_with(|| a.change.node.cmp(&b.change.node))
    });
    planned
}

impl Scene<'_, '_> {
    fn wanted(
        &self,
        id: &InstanceId,
        assignment: &Assignment,
        spec: &InstanceSpec,
        group: &[Observed<'_>],
        planned: &mut PlannedActions,
    ) {
        planned.drift.extend(group.iter().filter_map(|unit| drift(id, unit)));
        let here = self.assignments.unit(self.observations, id);
        let unknown = here.filter(|unit| !unit.is_known());
        if let Some(unit) = unknown {
            let held = !matches!(assignment.why, Why::OutOfScope);
            planned.unreached.extend(self.unreached(id, unit, Some(spec)).filter(|_| held));
        }
        if matches!(assignment.why, Why::Unknown | Why::OutOfScope) {
            planned.unchanged += 1;
            return;
        }
        let waits = match &assignment.why {
            Why::WaitsForData(wait) => Some(wait),
            _ => None,
        };
        if let Some(wait) = waits.filter(|_| unknown.is_none()) {
            planned.unreached.extend(self.waits_for_data(id, &assignment.node, wait));
        }
        if waits.is_some() || group.is_empty() && !self.scope.holds(id, &[&assignment.node]) {
            return;
        }
        if unknown.is_some() {
            planned.unchanged += 1;
            return;
        }
        if self.assignments.holds.get(id).is_some_and(Hold::decides_nothing) {
            planned.unreached.extend(self.undecided(id, assignment));
            planned.unchanged += 1;
            return;
        }
        if self.is_misled(id, &assignment.node, planned) {
            planned.unchanged += u32::from(here.is_some());
            return;
        }
        let unplaced = matches!(assignment.why, Why::Kept(_) | Why::KeptAsIs(_));
        if let Some(unit) = here.filter(|unit| unplaced && unit.claimed) {
            planned.unreached.push(notice::only_claimed(id, unit.node()));
        }
        let main = match here {
            Some(unit) if matches!(assignment.why, Why::KeptAsIs(_)) => self.kept(id, unit, spec),
            Some(unit) => self.stays(id, unit, spec),
            None => Some(self.arrives(id, assignment, spec, group)),
        };
        let from = main.as_ref().and_then(|action| action.leaves.clone());
        match main {
            Some(action) => self.admit(action, planned),
            None => {
                planned.unchanged += 1;
                let as_declared = !matches!(assignment.why, Why::KeptAsIs(_));
                planned.starting.extend(here.filter(|_| as_declared).and_then(starting));
            }
        }
        for unit in group {
            let gone =
                from.as_ref().is_some_and(|it| it.node == *unit.node() && it.id == unit.runs_as());
            let kept = here.is_some_and(|here| std::ptr::eq(here, unit));
            if !gone && !kept && unit.is_known() {
                self.second(id, unit, (assignment, spec), planned);
            }
        }
    }

    /// Another copy of what has its place. One that ran under the old name of a service whose new
    /// one ran already is no copy, and protected as what it was.
    fn second(
        &self,
        id: &InstanceId,
        unit: &Observed<'_>,
        (assignment, spec): (&Assignment, &InstanceSpec),
        planned: &mut PlannedActions,
    ) {
        let old = unit.runs_as();
        let other = old != *id && !goes_on(spec, unit);
        if other && was_protected(self.input, unit) {
            planned.diagnostics.push(notice::still_protected(&old.service, 1));
            planned.unchanged += 1;
            return;
        }
        let reason = match old == *id {
            true => format!("it runs on {} too, where it belongs", assignment.node),
            false => {
                format!("it ran as {old} here, and runs on {} by its new name", assignment.node)
            }
        };
        planned.list.push(self.delete(id, unit, reason));
    }

    /// Whether an instance names the address of a service that is where it is by the word of a node
    /// alone: it would be told to go there, with what it says to it. So it waits.
    fn is_misled(&self, id: &InstanceId, node: &NodeName, planned: &mut PlannedActions) -> bool {
        let Some(service) = self.input.desired.services.get(&id.service) else { return false };
        let mut others = self.by_word.iter().copied().filter(|other| **other != id.service);
        let Some(other) = others.find(|other| reference::names(service, other)) else {
            return false;
        };
        let at = Some(service.at.clone());
        planned.diagnostics.push(notice::undecided(&service.name, at, other));
        planned.unreached.push(notice::waits_for(id, node, other));
        true
    }

    /// What runs and is left alone, because it is not known which data it is to go on with or that
    /// data cannot be had.
    fn undecided(&self, id: &InstanceId, assignment: &Assignment) -> Option<Drift> {
        let what = "it is left as it is: its newest data is in doubt, or out of reach".to_owned();
        let told = self.scope.holds(id, &[&assignment.node]);
        told.then(|| Drift { instance: id.clone(), node: assignment.node.clone(), what })
    }

    /// What does not run until its data can be had.
    fn waits_for_data(&self, id: &InstanceId, node: &NodeName, wait: &Wait) -> Option<Drift> {
        let service = self.input.desired.services.get(&id.service)?;
        let what = format!("it {}", data_notice::waiting(id, node, service, wait));
        let told = !self.input.options.destroy && self.scope.holds(id, &[node]);
        told.then(|| Drift { instance: id.clone(), node: node.clone(), what })
    }

    /// What cannot be asked and so stays as it is, where the plan may touch it. Without `spec` it
    /// has no place.
    fn unreached(
        &self,
        id: &InstanceId,
        unit: &Observed<'_>,
        spec: Option<&InstanceSpec>,
    ) -> Option<Drift> {
        if self.input.options.destroy || !self.scope.holds(id, &[unit.node()]) {
            return None;
        }
        let why = unit.why_unknown();
        let what = match spec.map(|spec| differs(unit, spec)) {
            Some(None) => format!("{why}; what it was told last is what is declared"),
            Some(Some(it)) if it.reason.is_empty() => format!("{why}; it stays as it is"),
            Some(Some(it)) => format!("{why}; it stays as it is, though {}", it.reason),
            None => format!("{why}; nothing is decided about it"),
        };
        Some(Drift { instance: id.clone(), node: unit.node().clone(), what })
    }

    fn why(&self, id: &InstanceId) -> Option<&Why> {
        self.assignments.by_instance.get(id).map(|assignment| &assignment.why)
    }

    /// Something is seen where it belongs: `None` when it runs as declared.
    fn stays(
        &self,
        id: &InstanceId,
        unit: &Observed<'_>,
        spec: &InstanceSpec,
    ) -> Option<PlannedAction> {
        let differs = differs(unit, spec);
        let broken = broken(unit).filter(|_| self.input.policy.self_heal);
        let replaced = self.scope.replaces(id, unit.node());
        let asked = self.scope.restarts(id, unit.node());
        let restart = asked || differs.is_none() && unit.seen.health == HealthState::Unhealthy;
        let (action, reason, difference) = match (replaced, differs, broken) {
            (true, difference, _) => {
                (Action::Replace, REPLACE.to_owned(), difference.unwrap_or_default())
            }
            (false, Some(difference), _) => {
                let mut reason = difference.reason.clone();
                if let Some(Why::Placed(Reason::ChangesDevices { why })) = self.why(id) {
                    reason = reason.replacen(DEVICES, &format!("{DEVICES} ({why})"), 1);
                }
                let forced = !difference.forces_replacement.is_empty();
                (if forced { Action::Replace } else { Action::Update }, reason, difference)
            }
            (false, None, _) if asked => {
                (Action::Update, RESTART.to_owned(), Difference::default())
            }
            (false, None, Some(reason)) => (Action::Update, reason, Difference::default()),
            (false, None, None) => match self.mark(id, unit, spec) {
                Some(reason) => (Action::Update, reason.to_owned(), Difference::default()),
                None if !unit.renamed => return None,
                None => (Action::Update, String::new(), Difference::default()),
            },
        };
        let reason = match (unit.renamed, reason.is_empty()) {
            (true, _) => renamed(unit, &reason),
            (false, true) => "its declaration changed in form".to_owned(),
            (false, false) => reason,
        };
        // Ensure leaves a unit with the right digest alone while it runs, healthy or not.
        let remove = unit.renamed || action == Action::Replace || restart;
        Some(self.again(id, unit, spec, (action, reason, difference), remove))
    }

    /// What is kept as it is: it is started again where it ended, and told what it is protected
    /// from, both by the name that it runs under. Nothing else of it changes, and nothing at all of
    /// what only its node says it was told to run: that node says what it runs with, too.
    fn kept(
        &self,
        id: &InstanceId,
        unit: &Observed<'_>,
        spec: &InstanceSpec,
    ) -> Option<PlannedAction> {
        unit.spec().filter(|_| !unit.claimed)?;
        let broken = broken(unit).filter(|_| self.input.policy.self_heal);
        let restart = broken.is_some() && unit.seen.health == HealthState::Unhealthy;
        let told = || self.mark(id, unit, spec).map(str::to_owned);
        let what = (Action::Update, broken.or_else(told)?, Difference::default());
        Some(self.again(&unit.runs_as(), unit, spec, what, restart))
    }

    /// A unit that is told again where it is, and removed before that if need be.
    fn again(
        &self,
        id: &InstanceId,
        unit: &Observed<'_>,
        spec: &InstanceSpec,
        (action, reason, difference): (Action, String, Difference),
        remove: bool,
    ) -> PlannedAction {
        let generation = self.next(id);
        let leaves = remove.then(|| self.leaving(unit));
        // The ledger takes one content a generation, so a unit that is removed and made again under
        // the same name on the same node needs two.
        let second = leaves.as_ref().is_some_and(|leaving| leaving.id == *id);
        PlannedAction {
            change: Change {
                instance: id.clone(),
                action,
                node: spec.node.clone(),
                from: None,
                reason,
                forces_replacement: difference.forces_replacement,
                diff: difference.text,
                before: unit.seen.spec.clone(),
                after: Some(Box::new(spec.clone())),
            },
            stop_first: leaves.is_some(),
            broken: broken(unit).is_some(),
            leaves,
            generation: generation + u64::from(second),
        }
    }

    /// What changes of it when only its protection does: it is told, and runs on. Its own order
    /// counts, not that of a copy elsewhere.
    fn mark(
        &self,
        id: &InstanceId,
        unit: &Observed<'_>,
        spec: &InstanceSpec,
    ) -> Option<&'static str> {
        let told = unit.spec().map(|told| told.protect);
        match (told.unwrap_or_else(|| self.observations.protected.contains(id)), spec.protect) {
            (false, true) => Some("it is protected from now on, and runs on as it is"),
            (true, false) => Some("it is protected no longer, and runs on as it is"),
            _ => None,
        }
    }

    /// Nothing is seen where it belongs: it is new there.
    fn arrives(
        &self,
        id: &InstanceId,
        assignment: &Assignment,
        spec: &InstanceSpec,
        group: &[Observed<'_>],
    ) -> PlannedAction {
        let known = group.iter().find(|unit| unit.is_known());
        let before = known.or_else(|| group.iter().find(|unit| unit.status == NodeStatus::Lost));
        let difference = before.and_then(Observed::spec).map(|old| diff::between(old, spec));
        let action = if before.is_some() { Action::Move } else { Action::Create };
        let reason = match (before, &assignment.why) {
            (None, why) => {
                let what = if self.next(id) > 1 { "it does not run" } else { "it is new" };
                let service = self.input.desired.services.get(&id.service);
                let home = service.and_then(|service| self.observations.home(service, id));
                match why {
                    _ if home.is_some_and(|home| home.is_at(service, &assignment.node)) => {
                        format!("it does not run; its data is on {}", assignment.node)
                    }
                    Why::Placed(Reason::New { why }) => format!("{what}; {why}"),
                    _ => what.to_owned(),
                }
            }
            (Some(_), Why::Placed(Reason::Moves { because, .. })) => {
                moved(self.input.desired.services.get(&id.service), because)
            }
            (Some(unit), _) => format!("it belongs on {}, not on {}", assignment.node, unit.node()),
        };
        let service = self.input.desired.services.get(&id.service);
        let home = service.and_then(|service| self.observations.home(service, id));
        let reason = match home.filter(|home| *home.node != assignment.node) {
            Some(home) => format!("{reason}; it leaves its data on {}", home.node),
            None => reason,
        };
        let reason = match before.filter(|unit| unit.renamed) {
            Some(unit) => renamed(unit, &reason),
            None => reason,
        };
        PlannedAction {
            change: Change {
                instance: id.clone(),
                action,
                node: assignment.node.clone(),
                from: before.map(|unit| unit.node().clone()),
                reason,
                forces_replacement: Vec::new(),
                diff: difference.map_or(String::new(), |it| it.text),
                before: before.and_then(|unit| unit.seen.spec.clone()),
                after: Some(Box::new(spec.clone())),
            },
            leaves: known.map(|unit| self.leaving(unit)),
            stop_first: !spec.volumes.is_empty(),
            broken: known.is_none_or(|unit| broken(unit).is_some()),
            generation: self.next(id),
        }
    }

    /// Not wanted here. False when nobody declares it and it stays all the same.
    fn unwanted(&self, id: &InstanceId, unit: &Observed<'_>, planned: &mut PlannedActions) -> bool {
        let service = self.input.desired.services.get(&id.service);
        let waits =
            self.assignments.blocked.contains_key(&id.service) && !self.input.options.destroy;
        if !unit.is_known() || waits {
            planned.drift.extend(drift(id, unit));
            let wanted = service.is_some_and(|service| service.replicas.wants(id.index));
            if wanted && !unit.is_known() {
                planned.unreached.extend(self.unreached(id, unit, None));
            }
            planned.unchanged += 1;
            return true;
        }
        if !self.scope.removes(self.input, self.observations, (id, unit)) {
            planned.unchanged += 1;
            return service.is_some() || !self.scope.holds(id, &[unit.node()]);
        }
        let reason = match service {
            _ if self.input.options.destroy => "its destruction was asked for".to_owned(),
            None => "it is not declared any more".to_owned(),
            Some(service) if !service.replicas.wants(id.index) => match &service.replicas {
                Replicas::Count(count) => format!("replicas is {count} now"),
                Replicas::PerNode(all) => {
                    let why = all.left.get(unit.node()).cloned();
                    why.unwrap_or_else(|| format!("{} has another one of it", unit.node()))
                }
            },
            Some(_) => match self.assignments.evicted.get(id) {
                Some(why) => format!("it {}", why.text()),
                None => "no node has room for it".to_owned(),
            },
        };
        let action = self.delete(id, unit, reason);
        self.admit(action, planned);
        true
    }

    fn delete(&self, id: &InstanceId, unit: &Observed<'_>, reason: String) -> PlannedAction {
        let leaving = self.leaving(unit);
        PlannedAction {
            change: Change {
                instance: id.clone(),
                action: Action::Delete,
                node: unit.node().clone(),
                from: None,
                reason,
                forces_replacement: Vec::new(),
                diff: String::new(),
                before: unit.seen.spec.clone(),
                after: None,
            },
            stop_first: true,
            broken: false,
            generation: leaving.generation,
            leaves: Some(leaving),
        }
    }

    /// Takes a action up, unless `protect` forbids it.
    fn admit(&self, action: PlannedAction, planned: &mut PlannedActions) {
        let change = &action.change;
        let service = self.input.desired.services.get(&change.instance.service);
        // One that is changed where it is may get a volume there whose data is elsewhere.
        let starts = change.after.is_some();
        let home = service.filter(|_| starts).and_then(|service| {
            let home = self.observations.home(service, &change.instance)?;
            let starts = matches!(change.action, Action::Create | Action::Move);
            let lost = !home.lost(service).is_empty();
            let chosen = starts && (lost || !home.settled_by.is_empty());
            (*home.node != change.node || chosen).then_some((service, home))
        });
        let dropped = drops_data(change);
        let destroyed = matches!(change.action, Action::Delete | Action::Replace);
        let line = service.and_then(|service| service.protect.as_ref());
        let protected = line.is_some() || self.observations.protects(&change.instance.service);
        if protected && (destroyed || dropped || home.is_some()) {
            let declared = service.map(|service| &service.at);
            planned.diagnostics.push(notice::protected(change, line, declared));
        } else if let Some((service, home)) = home {
            planned.diagnostics.push(data_notice::left(change, service, home));
        } else if let Some(service) = service.filter(|_| dropped) {
            planned.diagnostics.push(data_notice::dropped(change, service));
        } else if let Some(service) = service {
            planned.diagnostics.extend(data_notice::exchanged(change, service));
        }
        planned.list.push(action);
    }

    fn leaving(&self, unit: &Observed<'_>) -> Leaving {
        let id = unit.runs_as();
        Leaving { generation: self.next(&id), id, node: unit.node().clone() }
    }

    fn next(&self, id: &InstanceId) -> Generation {
        self.observations.generations.get(id).copied().unwrap_or(0).saturating_add(1)
    }

    /// The first name of those that an instance has or had under which it can be told nothing more:
    /// its numbers are used up.
    fn spent(&self, id: &InstanceId, group: &[Observed<'_>]) -> Option<InstanceId> {
        let names = std::iter::once(id.clone()).chain(group.iter().map(Observed::runs_as));
        // A unit that is removed and made again needs two.
        let mut names = names.filter(|name| self.next(name) >= MAX_GENERATION);
        names.next()
    }
}

/// Whether a unit was protected by the name it runs under.
fn was_protected(input: &PlanInput<'_>, unit: &Observed<'_>) -> bool {
    unit.spec().is_some_and(|spec| spec.protect)
        || input.fleet.protected.iter().any(|id| id.service == unit.seen.service)
}

fn renamed(unit: &Observed<'_>, more: &str) -> String {
    let old = unit.runs_as();
    if more.is_empty() {
        format!("renamed from {old}")
    } else {
        format!("renamed from {old}; {more}")
    }
}
