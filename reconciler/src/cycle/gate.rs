//! The gate: whether a plan that nobody asked for may be applied now.
//!
//! Pure: the time is an argument. Knows the settings of the cluster file and how often the same
//! change was tried. Refuses to apply anything in a tight loop.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use devnet_schema::{
    desired::Settings,
    digest::Digest,
    fleet::FleetSnapshot,
    name::{InstanceId, ServiceName},
    observed::{HealthState, InstanceState, ObservedInstance},
    plan::{Action, Change, Plan, PlanBasis},
};

/// After the first failure.
const FIRST_DELAY: Duration = Duration::from_secs(5);
/// The longest time between two attempts.
const LONGEST_DELAY: Duration = Duration::from_secs(180);
/// The same change that failed this often is not tried again until something moves.
const ATTEMPTS: u32 = 5;
/// What was tried longer ago than this counts no more.
const MEMORY: Duration = Duration::from_secs(1800);

/// What to do with an unattended plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It changes nothing.
    Nothing,
    /// Apply it.
    Apply,
    /// Apply it without these: they were tried before and their time has not come.
    Without(Vec<InstanceId>, Duration, String),
    /// Not now, and look again after this long.
    Later(Duration, String),
    /// Not until something changes.
    Hold(String),
}

/// Names each change of a plan by what it would do, apart from numbers that go up with each
/// attempt.
pub fn change_keys(plan: &Plan) -> Vec<(InstanceId, Digest)> {
    let PlanBasis { revision, catalog, inventory, observed: _, secrets } = &plan.basis;
    let of = |change: &Change| {
        let after = change.after.as_ref().map(|spec| spec.digest());
        let what = (&change.instance, change.action, &change.node, after);
        Digest::of(&(revision, catalog, inventory, secrets, what))
    };
    plan.changes.iter().map(|change| (change.instance.clone(), of(change))).collect()
}

/// How often each change was tried lately.
#[derive(Debug, Default)]
pub struct Attempts {
    tried: BTreeMap<Digest, Attempt>,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    /// In a row; a success begins again.
    failures: u32,
    /// Also counts successes: a change that comes back although it succeeded does not hold.
    times: u32,
    ended: Duration,
}

impl Attempts {
    /// An attempt has ended.
    pub fn ended(&mut self, key: Digest, succeeded: bool, now: Duration) {
        self.tried.retain(|_, attempt| now.saturating_sub(attempt.ended) < MEMORY);
        let attempt =
            self.tried.entry(key).or_insert(Attempt { failures: 0, times: 0, ended: now });
        attempt.failures = if succeeded { 0 } else { attempt.failures + 1 };
        attempt.times += 1;
        attempt.ended = now;
    }

    /// How long to wait before this change is tried again; `None` when it failed too often.
    fn delay(&self, key: &Digest, now: Duration) -> Option<Duration> {
        let Some(attempt) = self.tried.get(key) else {
            return Some(Duration::ZERO);
        };
        let age = now.saturating_sub(attempt.ended);
        if age >= MEMORY {
            return Some(Duration::ZERO);
        }
        if attempt.failures >= ATTEMPTS {
            return None;
        }
        let doubled = FIRST_DELAY * 2u32.saturating_pow(attempt.times.saturating_sub(1).min(10));
        Some(doubled.min(LONGEST_DELAY).saturating_sub(age))
    }
}

/// Services of which an instance that is as declared does not serve. Unattended, nothing more of
/// them is replaced until it does: a bad version takes one step, and not every replica in turn.
pub fn unsettled(plan: &Plan, fleet: &FleetSnapshot) -> BTreeSet<ServiceName> {
    let changes: BTreeSet<&InstanceId> = plan.changes.iter().map(|it| &it.instance).collect();
    let serves = |seen: &ObservedInstance| {
        seen.state == InstanceState::Running && seen.health == HealthState::Healthy
    };
    let declared = |seen: &ObservedInstance| {
        let id = seen.instance();
        let mut assignments = plan.placement.assignments.iter();
        !changes.contains(&id) && assignments.any(|it| it.instance == id && it.node == seen.node)
    };
    let known = |seen: &&ObservedInstance| seen.state != InstanceState::Unknown;
    let waiting = fleet.instances.iter().filter(known).filter(|seen| !serves(seen));
    waiting.filter(|seen| declared(seen)).map(|seen| seen.service.clone()).collect()
}

/// Decides. `unsettled` are services that must serve before more of them is replaced, `deploying`
/// says whether another deployment runs.
pub fn decide(
    plan: &Plan,
    settings: &Settings,
    attempts: &Attempts,
    unsettled: &BTreeSet<ServiceName>,
    deploying: bool,
    now: Duration,
) -> Decision {
    if let Some(error) = plan.diagnostics.iter().find(|finding| finding.is_error()) {
        return Decision::Hold(error.message.clone());
    }
    if plan.steps.is_empty() && plan.placement.unplaced > 0 {
        return Decision::Hold(format!(
            "instances that wait for a node with room for them: {}",
            plan.placement.unplaced
        ));
    }
    if plan.steps.is_empty() {
        return Decision::Nothing;
    }
    if !settings.auto {
        return Decision::Hold("`sync auto=#false`: apply it with `devnet apply`".to_owned());
    }
    if deploying {
        return Decision::Hold("another deployment is running".to_owned());
    }
    let mut held = Vec::new();
    let mut wait: Option<Duration> = None;
    let mut why = "it was tried before and does not hold";
    let replaced = |instance: &InstanceId| {
        let replaces = |action| matches!(action, Action::Update | Action::Replace | Action::Move);
        plan.changes.iter().any(|it| it.instance == *instance && replaces(it.action))
    };
    for (instance, key) in change_keys(plan) {
        if unsettled.contains(&instance.service) && replaced(&instance) {
            why = "another instance of the service does not serve yet";
            wait = Some(wait.map_or(LONGEST_DELAY, |shortest| shortest.min(LONGEST_DELAY)));
            held.push(instance);
            continue;
        }
        match attempts.delay(&key, now) {
            Some(Duration::ZERO) => {}
            Some(left) => {
                wait = Some(wait.map_or(left, |shortest| shortest.min(left)));
                held.push(instance);
            }
            None => held.push(instance),
        }
    }
    let all = held.len() == plan.changes.len();
    let names = held.iter().map(InstanceId::to_string).collect::<Vec<_>>().join(", ");
    match (held.is_empty(), wait) {
        (true, _) => Decision::Apply,
        (false, Some(wait)) if all => Decision::Later(wait, format!("{names}: {why}")),
        (false, None) if all => Decision::Hold(format!(
            "{names} failed {ATTEMPTS} times; it is tried again when the configuration, a secret \
             or a node changes, or with `devnet apply`"
        )),
        (false, wait) => {
            Decision::Without(held, wait.unwrap_or(LONGEST_DELAY), format!("{names}: {why}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use devnet_schema::{
        diagnostic::Diagnostic,
        placement::{Assignment, PlacementReport},
        plan::{FORMAT_VERSION, Summary},
        step::{Act, Step},
    };

    use super::*;

    const NONE: BTreeSet<ServiceName> = BTreeSet::new();

    fn change(instance: &str) -> Change {
        Change {
            instance: instance.parse().unwrap(),
            action: Action::Delete,
            node: "n1".parse().unwrap(),
            from: None,
            reason: String::new(),
            forces_replacement: Vec::new(),
            diff: String::new(),
            before: None,
            after: None,
        }
    }

    fn key(plan: &Plan) -> Digest {
        change_keys(plan).remove(0).1
    }

    fn plan(revision: &str) -> Plan {
        Plan {
            format_version: FORMAT_VERSION.to_owned(),
            id: Digest::of_bytes(revision.as_bytes()),
            cluster: "lab".parse().unwrap(),
            created_at: String::new(),
            basis: PlanBasis { revision: revision.to_owned(), ..PlanBasis::default() },
            changes: vec![change("db[0]")],
            unchanged: 0,
            drift: Vec::new(),
            steps: vec![Step {
                id: "db[0]/remove".to_owned(),
                instance: "db[0]".parse().unwrap(),
                node: "n1".parse().unwrap(),
                generation: 1,
                act: Act::Remove,
                after: Vec::new(),
            }],
            placement: PlacementReport::nothing(),
            summary: Summary::default(),
            diagnostics: Vec::new(),
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_rolling_change_waits_for_its_first_instance() {
        let (settings, attempts) = (Settings::default(), Attempts::default());
        let assigned = |instance: &str| Assignment {
            instance: instance.parse().unwrap(),
            node: "n1".parse().unwrap(),
            gpus: Vec::new(),
            reason: String::new(),
        };
        let mut next = plan("a");
        next.changes = vec![change("web[1]")];
        next.changes[0].action = Action::Update;
        next.placement.assignments = vec![assigned("web[0]"), assigned("web[1]")];
        let fleet = |state: &str, health: &str| -> FleetSnapshot {
            serde_json::from_value(serde_json::json!({"nodes": [], "instances": [
                {"id": "web-0", "service": "web", "node": "n1", "state": state, "health": health},
                {"id": "web-1", "service": "web", "node": "n1", "state": "exited"},
            ]}))
            .unwrap()
        };
        let decided = |plan: &Plan, fleet: &FleetSnapshot| {
            decide(plan, &settings, &attempts, &unsettled(plan, fleet), false, at(0))
        };
        for (state, health) in [("starting", "starting"), ("running", "unhealthy")] {
            let decision = decided(&next, &fleet(state, health));
            let Decision::Later(_, why) = decision else { panic!("{decision:?}") };
            assert!(why.starts_with("web[1]: another instance"), "{why}");
        }
        assert_eq!(decided(&next, &fleet("running", "healthy")), Decision::Apply);
        // What cannot be seen holds nothing up, and what is new takes nothing away.
        assert_eq!(decided(&next, &fleet("unknown", "unknown")), Decision::Apply);
        next.changes[0].action = Action::Create;
        assert_eq!(decided(&next, &fleet("starting", "starting")), Decision::Apply);
    }

    #[test]
    fn a_plan_is_applied_unless_something_speaks_against_it() {
        let (settings, attempts) = (Settings::default(), Attempts::default());
        let mut one = plan("a");
        assert_eq!(decide(&one, &settings, &attempts, &NONE, false, at(0)), Decision::Apply);
        assert!(matches!(
            decide(&one, &settings, &attempts, &NONE, true, at(0)),
            Decision::Hold(_)
        ));
        let by_hand = Settings { auto: false, ..Settings::default() };
        assert!(matches!(
            decide(&one, &by_hand, &attempts, &NONE, false, at(0)),
            Decision::Hold(_)
        ));
        one.diagnostics.push(Diagnostic::error("DN-E0001", None, "it does not fit"));
        assert_eq!(
            decide(&one, &settings, &attempts, &NONE, false, at(0)),
            Decision::Hold("it does not fit".into())
        );
        one.diagnostics.clear();
        one.steps.clear();
        one.placement.unplaced = 2;
        assert!(matches!(
            decide(&one, &settings, &attempts, &NONE, false, at(0)),
            Decision::Hold(_)
        ));
        one.placement.unplaced = 0;
        assert_eq!(decide(&one, &by_hand, &attempts, &NONE, false, at(0)), Decision::Nothing);
    }

    #[test]
    fn a_failing_change_is_tried_ever_later_then_not_at_all_until_something_moves() {
        let settings = Settings::default();
        let mut attempts = Attempts::default();
        let key = key(&plan("a"));
        let mut waits = Vec::new();
        let mut now = at(100);
        for _ in 0..4 {
            attempts.ended(key.clone(), false, now);
            let Decision::Later(wait, _) =
                decide(&plan("a"), &settings, &attempts, &NONE, false, now)
            else {
                panic!("it must wait")
            };
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(
                decide(&plan("a"), &settings, &attempts, &NONE, false, now),
                Decision::Apply
            );
        }
        assert_eq!(waits, [5, 10, 20, 40]);
        attempts.ended(key, false, now);
        let decision = decide(&plan("a"), &settings, &attempts, &NONE, false, now + at(600));
        assert!(matches!(decision, Decision::Hold(_)), "{decision:?}");
        assert_eq!(decide(&plan("b"), &settings, &attempts, &NONE, false, now), Decision::Apply);
    }

    #[test]
    fn a_change_that_does_not_hold_is_not_repeated_in_a_tight_loop() {
        let mut attempts = Attempts::default();
        attempts.ended(key(&plan("a")), true, at(10));
        let decision = decide(&plan("a"), &Settings::default(), &attempts, &NONE, false, at(11));
        assert!(matches!(decision, Decision::Later(wait, _) if wait == at(4)), "{decision:?}");
    }

    #[test]
    fn what_fails_does_not_hold_up_the_rest() {
        let mut attempts = Attempts::default();
        attempts.ended(key(&plan("a")), false, at(10));
        let mut both = plan("a");
        both.changes.push(change("web[0]"));
        let decision = decide(&both, &Settings::default(), &attempts, &NONE, false, at(11));
        let Decision::Without(held, wait, _) = decision else { panic!("{decision:?}") };
        assert_eq!((held, wait), (vec!["db[0]".parse().unwrap()], at(4)));
    }
}
