//! The gate: whether a plan that nobody asked for may be applied now, and which of its changes.
//!
//! Pure: the time is an argument. Knows the settings of the cluster file, what was tried before,
//! and who serves. Refuses to apply anything in a tight loop, and to touch an instance that is well
//! while another one of its service fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use devnet_planner::DISPUTED;
use devnet_schema::{
    desired::DesiredState,
    fleet::FleetSnapshot,
    name::{InstanceId, NodeName, ServiceName},
    observed::{HealthState, InstanceState, ObservedInstance},
    order::OrderBook,
    plan::{Action, Change, Plan},
    step::Act,
};

use super::suspend::Suspended;
use super::tries::{Failing, LONGEST_DELAY, TRIES, Tries, When};

/// What to do with an unattended plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It changes nothing.
    Nothing,
    /// Apply it.
    Apply,
    /// Apply it without these: their time has not come.
    Without(Vec<InstanceId>, Duration, String),
    /// Not now, and look again after this long.
    Later(Duration, String),
    /// Not until something changes.
    Hold(String),
}

/// What is looked at.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What it was made for.
    pub desired: &'a DesiredState,
    /// What it was made from.
    pub fleet: &'a FleetSnapshot,
    /// What was tried before.
    pub tries: &'a Tries,
    /// What somebody suspended.
    pub suspended: &'a Suspended,
    /// Since the start.
    pub now: Duration,
}

/// Who of each service is as declared, as far as the plan leaves it so, and does not serve.
pub(super) fn unsettled(plan: &Plan, fleet: &FleetSnapshot) -> BTreeMap<ServiceName, InstanceId> {
    let changes: BTreeMap<&InstanceId, &Change> =
        plan.changes.iter().map(|it| (&it.instance, it)).collect();
    let serves = |seen: &ObservedInstance| match seen.state {
        InstanceState::Running | InstanceState::Completed => seen.health == HealthState::Healthy,
        // Whether its last run failed is told; the next one is not waited for.
        InstanceState::Scheduled => true,
        _ => false,
    };
    let declared = |seen: &ObservedInstance| {
        let id = seen.instance();
        let mut assignments = plan.placement.assignments.iter();
        let same = |change: &&Change| {
            change.after.as_ref().is_some_and(|spec| spec.digest() == seen.digest)
        };
        changes.get(&id).is_none_or(same)
            && assignments.any(|it| it.instance == id && it.node == seen.node)
    };
    let known = |seen: &&ObservedInstance| seen.state != InstanceState::Unknown;
    let waiting = fleet.instances.iter().filter(known).filter(|seen| !serves(seen));
    let waiting = waiting.filter(|seen| declared(seen));
    // The first by name, whatever the order of the snapshot.
    let mut found = BTreeMap::new();
    for id in waiting.map(ObservedInstance::instance) {
        let first = found.entry(id.service.clone()).or_insert_with(|| id.clone());
        if id < *first {
            *first = id;
        }
    }
    found
}

/// Decides. `deploying` says whether another deployment runs.
pub(super) fn decide(scene: Scene<'_>, deploying: bool) -> Decision {
    let Scene { plan, desired, .. } = scene;
    if let Some(error) = plan.diagnostics.iter().find(|finding| finding.is_error()) {
        return Decision::Hold(error.message.clone());
    }
    if plan.steps.is_empty() && plan.placement.unplaced > 0 {
        return Decision::Hold(format!(
            "instances that wait for a node with room for them: {}",
            plan.placement.unplaced
        ));
    }
    if let Some(disputed) = plan.diagnostics.iter().find(|it| it.code == DISPUTED)
        && plan.steps.is_empty()
    {
        return Decision::Hold(disputed.message.clone());
    }
    if plan.steps.is_empty() {
        return Decision::Nothing;
    }
    if !desired.settings.auto {
        return Decision::Hold("`sync auto=#false`: apply it with `devnet apply`".to_owned());
    }
    if deploying {
        return Decision::Hold("another deployment is running".to_owned());
    }
    if let Some((why, left)) = &scene.suspended.all {
        return left.map_or(Decision::Hold(why.clone()), |left| Decision::Later(left, why.clone()));
    }
    let Held { who, wait, reasons, .. } = held(scene);
    let why = reasons.into_iter().collect::<Vec<_>>().join("; ");
    let all = plan.changes.iter().all(|change| who.contains(&change.instance));
    match wait {
        _ if who.is_empty() => Decision::Apply,
        Some(wait) if all => Decision::Later(wait, why),
        None if all => Decision::Hold(why),
        wait => Decision::Without(who.into_iter().collect(), wait.unwrap_or(LONGEST_DELAY), why),
    }
}

/// Which changes of a plan are not made now.
pub(super) fn held(scene: Scene<'_>) -> Held {
    let mut held = Held::default();
    scene.hold_suspended(&mut held);
    scene.hold_claimed(&mut held);
    scene.hold_services(&mut held);
    scene.hold_dependents(&mut held);
    held
}

/// What is not changed now.
#[derive(Debug, Default)]
pub(super) struct Held {
    who: BTreeSet<InstanceId>,
    /// The shortest time after which that may be otherwise.
    wait: Option<Duration>,
    reasons: BTreeSet<String>,
    /// The first reason of each.
    why: BTreeMap<InstanceId, String>,
    /// Those that are tried again by themselves, and after how long.
    retries: BTreeMap<InstanceId, Duration>,
}

impl Held {
    /// Why an instance is not changed now.
    pub(super) fn reason(&self, id: &InstanceId) -> Option<&str> {
        self.why.get(id).map(String::as_str)
    }

    /// After how long it is tried again by itself.
    pub(super) fn retries(&self, id: &InstanceId) -> Option<Duration> {
        self.retries.get(id).copied()
    }

    /// The reason of these where each is shown by itself.
    fn tell(&mut self, who: &[&InstanceId], why: &str) {
        self.why.extend(who.iter().map(|&id| (id.clone(), why.to_owned())));
    }

    fn retry(&mut self, who: &[&InstanceId], left: Duration) {
        self.retries.extend(who.iter().map(|&id| (id.clone(), left)));
    }

    fn add(&mut self, who: &[&InstanceId], wait: Option<Duration>, reason: String) {
        self.who.extend(who.iter().map(|&id| id.clone()));
        for &id in who {
            self.why.entry(id.clone()).or_insert_with(|| reason.clone());
        }
        self.wait = match (self.wait, wait) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.reasons.insert(reason);
    }
}

impl Scene<'_> {
    /// Holds whatever is of a service that somebody suspended.
    fn hold_suspended(&self, held: &mut Held) {
        for change in &self.plan.changes {
            if let Some((why, left)) = self.suspended.hold(change) {
                held.add(&[&change.instance], *left, why.clone());
            }
        }
    }

    /// Holds the end of what a node only claims: the records were lost or are older, and so may be
    /// what is declared. A person may end it.
    fn hold_claimed(&self, held: &mut Held) {
        let book = OrderBook::of(self.fleet);
        let ends = self.plan.changes.iter().filter(|change| change.action == Action::Delete);
        let claimed = ends.filter(|change| {
            let id = change.before.as_ref().map_or(&change.instance, |spec| &spec.id);
            book.claimed(id, &change.node).is_some()
        });
        for change in claimed {
            let Change { instance, node, .. } = change;
            let reason = format!(
                "{instance} runs on {node}, which the records do not know: it is ended with \
                 `devnet apply`, or stays where it is declared"
            );
            held.add(&[instance], None, reason);
        }
    }

    /// Holds what was tried too often or too lately, and of a service that fails whoever is well.
    fn hold_services(&self, held: &mut Held) {
        let unsettled = unsettled(self.plan, self.fleet);
        let mut of_service: BTreeMap<&ServiceName, Vec<&Change>> = BTreeMap::new();
        for change in &self.plan.changes {
            of_service.entry(&change.instance.service).or_default().push(change);
        }
        for (service, changes) in of_service {
            for change in &changes {
                if let Some(why) = self.tries.why_put_off(self.plan, change, self.is_there(change))
                {
                    let reason = format!(
                        "{service} was {why}; what runs of it already is put right, and the rest \
                         goes on when its declaration changes, or with `devnet apply`"
                    );
                    held.add(&[&change.instance], None, reason);
                }
            }
            let failing = self.tries.failing(self.plan, service, self.now);
            if let Some(failing) = failing
                && self.waits(failing, service, &changes, held)
            {
                continue;
            }
            self.hold_who_is_well(failing, unsettled.get(service), &changes, held);
            for change in changes {
                if let When::In(left) = self.tries.again(change, self.now) {
                    let reason =
                        format!("{} was changed before and does not hold", change.instance);
                    held.add(&[&change.instance], Some(left), reason);
                    held.retry(&[&change.instance], left);
                }
            }
        }
    }

    /// Whether the unit that a change makes is seen where it makes it.
    fn is_there(&self, change: &Change) -> bool {
        let Some(after) = &change.after else { return false };
        let here = |seen: &&ObservedInstance| {
            seen.node == change.node && seen.instance() == change.instance
        };
        self.fleet.instances.iter().find(here).is_some_and(|seen| seen.digest == after.digest())
    }

    /// Whether the time of a service that failed has not come; then all of it is held.
    fn waits(
        &self,
        failing: &Failing,
        service: &ServiceName,
        changes: &[&Change],
        held: &mut Held,
    ) -> bool {
        let who: Vec<&InstanceId> = changes.iter().map(|change| &change.instance).collect();
        let Failing { failures, why, .. } = failing;
        match failing.next(self.plan, self.now) {
            When::Now => return false,
            When::In(left) => {
                let pause = failing.pause().as_secs();
                let reason = format!(
                    "{service} failed {failures} of {TRIES} times ({why}); next try {pause}s after \
                     the last"
                );
                held.tell(&who, why);
                held.add(&who, Some(left), reason);
                held.retry(&who, left);
            }
            When::Never => {
                let reason = format!(
                    "{service} failed {failures} times ({why}); it is tried again when its \
                     declaration, a secret or a node changes, or with `devnet apply`"
                );
                let own = format!(
                    "{why}; it is tried again when its declaration, a secret or a node changes, or \
                     with `devnet apply`"
                );
                held.tell(&who, &own);
                held.add(&who, None, reason);
            }
        }
        true
    }

    /// While an instance that is as declared does not serve, no other one that is well is touched:
    /// a bad version takes one instance, and not each in turn. Where the last try left nothing that
    /// runs as declared, the next one is made with the same instance alone.
    fn hold_who_is_well(
        &self,
        failing: Option<&Failing>,
        unsettled: Option<&InstanceId>,
        changes: &[&Change],
        held: &mut Held,
    ) {
        let mut well: Vec<&InstanceId> = changes
            .iter()
            .filter(|change| change.touches_what_stays(&self.plan.placement))
            .filter(|change| self.is_well(change))
            .map(|change| &change.instance)
            .collect();
        let first = match (unsettled, failing) {
            (Some(first), _) => first,
            (None, Some(failing)) => {
                let tried = well.iter().position(|&id| failing.who.contains(id));
                // Those that failed are broken, and tried as such.
                let broken = changes.iter().find(|it| failing.who.contains(&it.instance));
                match (tried, broken) {
                    (None, Some(broken)) => &broken.instance,
                    (tried, _) if !well.is_empty() => well.remove(tried.unwrap_or(0)),
                    _ => return,
                }
            }
            (None, None) => return,
        };
        if !well.is_empty() {
            let names = well.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(", ");
            let reason = format!("{names}: nothing is changed until {first} serves as declared");
            held.add(&well, Some(LONGEST_DELAY), reason);
        }
    }

    /// Whether the unit that a change takes away or replaces is not known to have failed.
    fn is_well(&self, change: &Change) -> bool {
        let id = change.before.as_ref().map_or(&change.instance, |spec| &spec.id);
        let node: &NodeName = change.from.as_ref().unwrap_or(&change.node);
        let here = |seen: &&ObservedInstance| seen.node == *node && seen.instance() == *id;
        let failed = |seen: &ObservedInstance| {
            matches!(seen.state, InstanceState::Exited | InstanceState::Unknown)
                || seen.health == HealthState::Unhealthy
        };
        self.fleet.instances.iter().find(here).is_some_and(|seen| !failed(seen))
    }

    /// Holds what depends on something that is held, but for what ran and has to be put right.
    fn hold_dependents(&self, held: &mut Held) {
        let mut waited_for: BTreeSet<&ServiceName> =
            held.who.iter().map(|id| &id.service).collect();
        let mut found: BTreeMap<InstanceId, ServiceName> = BTreeMap::new();
        loop {
            let before = waited_for.len();
            for service in self.desired.services.values() {
                let needs = service.depends_on.iter().map(|it| &it.value);
                let Some(needed) = needs.into_iter().find(|name| waited_for.contains(name)) else {
                    continue;
                };
                let own = self.plan.changes.iter().filter(|it| it.instance.service == service.name);
                for change in own.filter(|change| !self.puts_right(change)) {
                    found.insert(change.instance.clone(), needed.clone());
                    waited_for.insert(&service.name);
                }
            }
            if waited_for.len() == before {
                break;
            }
        }
        for (id, needed) in found {
            held.add(&[&id], None, format!("{} waits for {needed}", id.service));
        }
    }

    /// Whether a change brings back what is down.
    fn puts_right(&self, change: &Change) -> bool {
        let ran = |step: &devnet_schema::step::Step| {
            step.instance == change.instance
                && step.generation > 1
                && matches!(step.act, Act::Ensure { .. })
        };
        match change.action {
            Action::Create => self.plan.steps.iter().any(ran),
            Action::Update | Action::Replace | Action::Move => !self.is_well(change),
            Action::Delete | Action::Noop | Action::Forget => false,
        }
    }
}

#[cfg(test)]
mod tests;
