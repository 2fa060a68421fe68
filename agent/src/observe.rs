//! What this node sees, in the words of the wire. Pure.
//!
//! Knows how drivers' units, the ledger and health become one report. Refuses to let silence look
//! like emptiness: a driver that could not be asked makes the report incomplete.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    instance::Runtime,
    name::InstanceId,
    observed::{HealthState, InstanceState, ObservedInstance, ObservedNode},
    order::MAX_GENERATION,
};

use crate::{
    driver::{DriverError, Owner, Unit, Volumes},
    health::Verdict,
    ledger::{Content, Ledger},
    schedule::Timetable,
};

/// One look at this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// As it is reported.
    pub observed: ObservedNode,
    /// As the drivers said it.
    pub units: Vec<Unit>,
}

impl Sight {
    /// Nothing was looked at yet.
    pub fn nothing() -> Self {
        let observed = ObservedNode {
            complete: false,
            problem: Some("the agent has just started".to_owned()),
            instances: Vec::new(),
            accepted: BTreeMap::new(),
            receipts: BTreeMap::new(),
            volumes: Vec::new(),
            shared: Vec::new(),
            volumes_of: Vec::new(),
        };
        Self { observed, units: Vec::new() }
    }
}

/// Puts one look together.
pub fn gather(
    owner: &Owner,
    listed: &BTreeMap<Runtime, Result<Vec<Unit>, DriverError>>,
    ledger: &Ledger,
    verdict: impl Fn(&Unit) -> Verdict,
) -> Sight {
    let mut units: Vec<Unit> = listed.values().flatten().flatten().cloned().collect();
    units.sort_by(|a, b| (&a.id, a.runtime).cmp(&(&b.id, b.runtime)));
    let instances = units.iter().map(|unit| instance(owner, unit, ledger, verdict(unit))).collect();
    let silent = listed
        .iter()
        .filter_map(|(runtime, result)| Some((runtime, result.as_ref().err()?)))
        .filter(|(runtime, error)| matters(**runtime, error, ledger))
        .map(|(_, error)| error.to_string());
    let unread = units.iter().filter(|unit| unit.state == InstanceState::Unknown).map(|unit| {
        unit.message.clone().unwrap_or_else(|| format!("it is not known what {} does", unit.id))
    });
    let problems: Vec<String> = silent.chain(unread).collect();
    let observed = ObservedNode {
        complete: problems.is_empty(),
        problem: (!problems.is_empty()).then(|| problems.join("; ")),
        instances,
        accepted: ledger.entries().map(|(id, entry)| (id.clone(), entry.generation)).collect(),
        receipts: ledger.receipts().clone(),
        volumes: Vec::new(),
        shared: Vec::new(),
        volumes_of: Vec::new(),
    };
    Sight { observed, units }
}

/// Adds the volumes that are kept here. Where they cannot be listed, the report is incomplete: data
/// might be there of which nobody knows.
pub fn with_volumes(
    observed: &mut ObservedNode,
    listed: BTreeMap<Runtime, Result<Volumes, DriverError>>,
) {
    for (runtime, result) in listed {
        match result {
            Ok(Volumes { own, shared }) => {
                observed.volumes.extend(own);
                observed.shared.extend(shared);
                observed.volumes_of.push(runtime);
            }
            Err(error) => {
                observed.complete = false;
                let said = observed.problem.take().into_iter().chain([error.to_string()]);
                observed.problem = Some(said.collect::<Vec<_>>().join("; "));
            }
        }
    }
    observed.volumes.sort();
    observed.shared.sort();
}

/// What runs at certain times is there between its runs, too: it waits for the next one, and is
/// unhealthy where the last one failed. Of drivers that do not answer, nothing is said.
pub fn with_schedules(
    observed: &mut ObservedNode,
    owner: &Owner,
    (ledger, table): (&Ledger, &Timetable),
    answers: impl Fn(Runtime) -> bool,
) {
    for (id, entry) in ledger.entries() {
        let Content::Present { digest, spec: Some(spec) } = &entry.content else { continue };
        let runtime = spec.workload.runtime();
        if spec.schedule.is_none() || spec.node != owner.node || !answers(runtime) {
            continue;
        }
        let (failure, next) = table.says(id);
        let at = observed.instances.iter().position(|one| one.instance() == *id);
        let Some(at) = at else {
            observed.instances.push(ObservedInstance {
                id: id.slug(),
                service: id.service.clone(),
                index: id.index,
                node: owner.node.clone(),
                generation: entry.generation,
                digest: digest.clone(),
                state: InstanceState::Scheduled,
                health: healthy_unless(failure.is_some()),
                restarts: 0,
                message: Some(said(failure, &next)),
                runtime: Some(runtime),
                spec: None,
            });
            continue;
        };
        let one = &mut observed.instances[at];
        let ended = matches!(one.state, InstanceState::Exited | InstanceState::Completed);
        if ended && one.digest == *digest {
            let failed = one.state == InstanceState::Exited || failure.is_some();
            let why = failure.or(one.message.as_deref().filter(|_| failed));
            one.message = Some(said(why, &next));
            (one.state, one.health) = (InstanceState::Scheduled, healthy_unless(failed));
        }
    }
    observed.instances.sort_by_key(ObservedInstance::instance);
}

fn healthy_unless(failed: bool) -> HealthState {
    if failed { HealthState::Unhealthy } else { HealthState::Healthy }
}

fn said(failure: Option<&str>, next: &str) -> String {
    failure.map_or_else(|| next.to_owned(), |why| format!("{why}; {next}"))
}

/// What is being replaced or stopped because it was ordered stays as it was seen last, so that its
/// planned end does not read as an accident. The step tells how it goes.
pub fn keep_ordered(now: &mut ObservedNode, before: &ObservedNode, ordered: &BTreeSet<InstanceId>) {
    for one in now.instances.iter_mut().filter(|one| ordered.contains(&one.instance())) {
        let id = one.instance();
        // What was not there before, or is of a later order, is what the order makes.
        let ends = |old: &&ObservedInstance| {
            old.instance() == id && old.digest == one.digest && one.generation <= old.generation
        };
        if let Some(old) = before.instances.iter().find(ends) {
            (one.state, one.health) = (old.state, old.health);
            one.message = Some(BY_ORDER.to_owned());
        }
    }
}

/// Said of what is being replaced or stopped.
const BY_ORDER: &str = "it is being changed by order";

/// A node without a container engine runs no containers, unless the ledger remembers some.
fn matters(runtime: Runtime, error: &DriverError, ledger: &Ledger) -> bool {
    let expected = ledger.entries().any(|(_, entry)| match &entry.content {
        Content::Present { spec: Some(spec), .. } => spec.workload.runtime() == runtime,
        // Only a container's label can have been too small for its spec.
        Content::Present { spec: None, .. } => runtime == Runtime::Docker,
        Content::Removed { .. } => false,
    });
    expected || !matches!(error, DriverError::Unavailable(_))
}

fn instance(owner: &Owner, unit: &Unit, ledger: &Ledger, verdict: Verdict) -> ObservedInstance {
    let known = ledger.get(&unit.id);
    let unread = unit.state == InstanceState::Unknown;
    // An unchanged unit keeps the label of the generation it was created as, although a later one
    // said the same again.
    let generation = known
        .filter(|entry| {
            matches!(&entry.content, Content::Present { digest, .. }
                if *digest == unit.digest || unread)
        })
        .map_or(unit.generation, |entry| entry.generation.max(unit.generation));
    // Of one that cannot be read, what was ordered is the best that is known.
    let ordered = known.filter(|_| unread).and_then(|entry| match &entry.content {
        Content::Present { digest, .. } => Some(digest.clone()),
        Content::Removed { .. } => None,
    });
    let digest = ordered.unwrap_or_else(|| unit.digest.clone());
    ObservedInstance {
        id: unit.id.slug(),
        service: unit.id.service.clone(),
        index: unit.id.index,
        node: owner.node.clone(),
        generation,
        digest,
        state: unit.state,
        health: verdict.state,
        restarts: unit.restarts,
        message: too_high(unit).or_else(|| unit.message.clone()).or(verdict.message),
        runtime: Some(unit.runtime),
        // The digest says what runs; the rest is told to who asks.
        spec: None,
    }
}

/// What is to be said of a generation that no control plane counts to.
fn too_high(unit: &Unit) -> Option<String> {
    (unit.generation > MAX_GENERATION).then(|| {
        format!(
            "its label says generation {}, which is higher than any can be; it does not count, and \
             the next step for {} replaces the unit",
            unit.generation, unit.id
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ledger::Entry, sample};

    fn owner() -> Owner {
        Owner { cluster: "home".parse().unwrap(), node: "n1".parse().unwrap() }
    }

    fn healthy(_: &Unit) -> Verdict {
        Verdict { state: HealthState::Healthy, message: None }
    }

    #[test]
    fn a_driver_that_does_not_answer_makes_the_report_incomplete() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path()).unwrap();
        let failed = |error| BTreeMap::from([(Runtime::Docker, Err(error))]);
        let down = failed(DriverError::failed("listing", "no answer", "look"));
        let sight = gather(&owner(), &down, &ledger, healthy);
        assert!(!sight.observed.complete);
        let none = failed(DriverError::Unavailable("no engine".into()));
        assert!(gather(&owner(), &none, &ledger, healthy).observed.complete);
        let spec = sample::process(&["a"]);
        let content = Content::Present { digest: spec.digest(), spec: None };
        ledger.put(spec.id.clone(), Entry { generation: 1, content }, 0).unwrap();
        let sight = gather(&owner(), &none, &ledger, healthy);
        assert!(!sight.observed.complete, "a container is remembered, so an engine was there");
        assert!(sight.observed.problem.unwrap().contains("no engine"));
    }

    #[test]
    fn an_unchanged_unit_has_the_newest_generation_that_wanted_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path()).unwrap();
        let spec = sample::process(&["a"]);
        let content = |spec: &devnet_schema::instance::InstanceSpec| Content::Present {
            digest: spec.digest(),
            spec: Some(Box::new(spec.clone())),
        };
        let unit = sample::unit(&spec, 2, InstanceState::Running);
        let listed = BTreeMap::from([(Runtime::Process, Ok(vec![unit]))]);
        let entry = Entry { generation: 5, content: content(&spec) };
        ledger.put(spec.id.clone(), entry, 0).unwrap();
        let sight = gather(&owner(), &listed, &ledger, healthy);
        assert_eq!(sight.observed.instances[0].generation, 5);
        let entry = Entry { generation: 6, content: content(&sample::process(&["b"])) };
        ledger.put(spec.id.clone(), entry, 0).unwrap();
        let sight = gather(&owner(), &listed, &ledger, healthy);
        assert_eq!(sight.observed.instances[0].generation, 2, "generation 6 does not run");
        assert_eq!(sight.observed.instances[0].digest, spec.digest());
        assert_eq!(sight.observed.accepted[&spec.id], 6, "and nothing older is accepted");
    }

    #[test]
    fn a_unit_that_cannot_be_read_is_unknown_and_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path()).unwrap();
        let spec = sample::process(&["a"]);
        let content =
            Content::Present { digest: spec.digest(), spec: Some(Box::new(spec.clone())) };
        ledger.put(spec.id.clone(), Entry { generation: 5, content }, 0).unwrap();
        let mut other = sample::process(&["b"]);
        other.id = "db[0]".parse().unwrap();
        let unknown = Unit {
            digest: devnet_schema::digest::Digest::from(String::new()),
            message: Some("the record cannot be read; restore it".into()),
            spec: None,
            ..sample::unit(&spec, 0, InstanceState::Unknown)
        };
        let units = vec![unknown, sample::unit(&other, 1, InstanceState::Running)];
        let listed = BTreeMap::from([(Runtime::Process, Ok(units))]);
        let sight = gather(&owner(), &listed, &ledger, healthy);
        assert!(!sight.observed.complete);
        assert_eq!(sight.observed.problem.unwrap(), "the record cannot be read; restore it");
        let [other, unknown] = &sight.observed.instances[..] else { panic!("two") };
        assert_eq!((&*other.id, other.state), ("db-0", InstanceState::Running));
        assert_eq!((unknown.generation, unknown.state), (5, InstanceState::Unknown));
        assert_eq!(unknown.digest, spec.digest(), "what was ordered is the best that is known");
    }
}
