//! Tries: how often a change was made and a service failed lately, and when the next may be made.
//!
//! Pure: the time is an argument. A service's tries are counted for what is wanted of it, whatever
//! revision says so; a change of that begins again. Refuses to decide what is tried.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use devnet_schema::{
    digest::Digest,
    name::{InstanceId, NodeName, ServiceName},
    plan::{Change, Plan},
};

use crate::store::PutOffRecord;

/// After the first failure.
const FIRST_DELAY: Duration = Duration::from_secs(5);
/// The longest time between two tries.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(180);
/// What failed this often is not tried again until something moves.
pub(super) const TRIES: u32 = 5;
/// What was tried longer ago than this counts no more.
pub(super) const MEMORY: Duration = Duration::from_secs(1800);

/// What was tried lately.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Changes that were made, by what they do: one that comes back does not hold.
    made: BTreeMap<Digest, Made>,
    /// Services whose last try failed.
    failing: BTreeMap<ServiceName, Failing>,
    /// Services whose change somebody cut short.
    put_off: BTreeMap<ServiceName, PutOff>,
}

/// What is wanted of each instance of a service, by where.
type Wanted = BTreeMap<(InstanceId, NodeName), Digest>;

/// A change that somebody cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PutOff {
    why: String,
    wanted: Wanted,
}

#[derive(Debug, Clone, Copy)]
struct Made {
    times: u32,
    ended: Duration,
}

/// A service whose last try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failing {
    /// In a row; a success begins again.
    pub failures: u32,
    /// Who failed in the last try.
    pub who: BTreeSet<InstanceId>,
    /// What the last failure said.
    pub why: String,
    /// What was wanted of its instances, by where.
    wanted: Wanted,
    /// The nodes and the secrets as they were.
    ground: Digest,
    ended: Duration,
}

/// When something may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Now.
    Now,
    /// After so long.
    In(Duration),
    /// When something moves.
    Never,
}

impl Tries {
    /// The run of a plan has ended: `failed` says whose step failed and why, `complete` whose
    /// steps are all done. What was not begun was not tried.
    pub(super) fn ended(
        &mut self,
        plan: &Plan,
        failed: &BTreeMap<InstanceId, String>,
        complete: &BTreeSet<InstanceId>,
        now: Duration,
    ) {
        self.count(plan, failed, complete, now);
        self.taken_up(plan, complete);
    }

    /// Counts a run of before this start, as if it had ended with it. What is put off is on record
    /// by itself: an older run takes up nothing of it.
    pub(super) fn recount(
        &mut self,
        plan: &Plan,
        failed: &BTreeMap<InstanceId, String>,
        complete: &BTreeSet<InstanceId>,
    ) {
        self.count(plan, failed, complete, Duration::ZERO);
    }

    fn count(
        &mut self,
        plan: &Plan,
        failed: &BTreeMap<InstanceId, String>,
        complete: &BTreeSet<InstanceId>,
        now: Duration,
    ) {
        self.made.retain(|_, made| now.saturating_sub(made.ended) < MEMORY);
        self.failing.retain(|_, failing| now.saturating_sub(failing.ended) < MEMORY);
        for change in plan.changes.iter().filter(|it| complete.contains(&it.instance)) {
            let made = self.made.entry(key(change)).or_insert(Made { times: 0, ended: now });
            made.times += 1;
            made.ended = now;
        }
        let services: BTreeSet<&ServiceName> =
            plan.changes.iter().map(|change| &change.instance.service).collect();
        for service in services {
            let mut own = failed.iter().filter(|(id, _)| id.service == *service);
            let who: BTreeSet<InstanceId> = own.clone().map(|(id, _)| id.clone()).collect();
            if let Some((_, why)) = own.next_back() {
                let known = self.failing(plan, service, now);
                let mut all = known.map(|known| known.wanted.clone()).unwrap_or_default();
                all.extend(wanted(plan, service));
                let failing = Failing {
                    failures: known.map_or(0, |known| known.failures) + 1,
                    who,
                    why: why.clone(),
                    wanted: all,
                    ground: ground(plan),
                    ended: now,
                };
                self.failing.insert(service.clone(), failing);
            } else if complete.iter().any(|id| id.service == *service) {
                self.failing.remove(service);
            }
        }
    }

    /// What was put off is put off no longer once a part of it was done.
    fn taken_up(&mut self, plan: &Plan, complete: &BTreeSet<InstanceId>) {
        let done = plan.changes.iter().filter(|it| complete.contains(&it.instance));
        for change in done.filter(|change| !change.repairs()) {
            let place = (change.instance.clone(), change.node.clone());
            let service = &change.instance.service;
            if self.put_off.get(service).is_some_and(|it| it.wanted.contains_key(&place)) {
                self.put_off.remove(service);
            }
        }
    }

    /// Somebody cut the run of a plan short, and means it: what of it is not complete is not begun
    /// again until something else is wanted of its service.
    pub(super) fn put_off(&mut self, plan: &Plan, complete: &BTreeSet<InstanceId>, why: &str) {
        for service in plan.changes.iter().map(|change| &change.instance.service) {
            let mut left = wanted(plan, service);
            left.retain(|(id, _), _| !complete.contains(id));
            if !left.is_empty() {
                let put_off = PutOff { why: why.to_owned(), wanted: left };
                self.put_off.insert(service.clone(), put_off);
            }
        }
    }

    /// Something else is wanted of a service than what was put off: that is over, and does not come
    /// back with the declaration.
    pub(super) fn declared(&mut self, plan: &Plan) {
        self.put_off.retain(|service, put_off| is_same(&put_off.wanted, plan, service));
    }

    /// What is put off, as it is kept on disk.
    pub(super) fn kept(&self) -> Vec<PutOffRecord> {
        let record = |(service, PutOff { why, wanted }): (&ServiceName, &PutOff)| {
            let wanted = wanted.iter();
            let wanted =
                wanted.map(|((id, node), digest)| (id.clone(), node.clone(), digest.clone()));
            PutOffRecord { service: service.clone(), why: why.clone(), wanted: wanted.collect() }
        };
        self.put_off.iter().map(record).collect()
    }

    /// Takes what is put off from the disk.
    pub(super) fn recall(&mut self, kept: Vec<PutOffRecord>) {
        for PutOffRecord { service, why, wanted } in kept {
            let wanted = wanted.into_iter();
            let wanted = wanted.map(|(id, node, digest)| ((id, node), digest)).collect();
            self.put_off.insert(service, PutOff { why, wanted });
        }
    }

    /// Why a change of `plan` is put off, where it is: somebody cut it short, and nothing else is
    /// wanted of its service by now.
    ///
    /// What ran so already and has stopped, or does not serve, is made again all the same:
    /// `is_there` says that the unit that the change makes is seen.
    pub(super) fn why_put_off(&self, plan: &Plan, change: &Change, is_there: bool) -> Option<&str> {
        let put_off = self.put_off.get(&change.instance.service)?;
        let known = put_off.wanted.contains_key(&(change.instance.clone(), change.node.clone()));
        let same = is_same(&put_off.wanted, plan, &change.instance.service);
        (known && same && !(is_there && change.repairs())).then_some(put_off.why.as_str())
    }

    /// The failures of a service that still speak against what `plan` wants of it.
    pub(super) fn failing(
        &self,
        plan: &Plan,
        service: &ServiceName,
        now: Duration,
    ) -> Option<&Failing> {
        let failing = self.failing.get(service)?;
        let same = is_same(&failing.wanted, plan, service);
        (same && now.saturating_sub(failing.ended) < MEMORY).then_some(failing)
    }

    /// When a change may be made again that was made before and came back.
    pub(super) fn again(&self, change: &Change, now: Duration) -> When {
        match self.made.get(&key(change)) {
            Some(made) => left(pause(made.times), made.ended, now),
            None => When::Now,
        }
    }
}

impl Failing {
    /// When the service may be tried again. What failed too often waits until the nodes or the
    /// secrets are others, and then no less than the longest pause.
    pub(super) fn next(&self, plan: &Plan, now: Duration) -> When {
        if self.failures < TRIES {
            return left(self.pause(), self.ended, now);
        }
        if self.ground == ground(plan) {
            return When::Never;
        }
        left(LONGEST_DELAY, self.ended, now)
    }

    /// How long the pause after the last failure is.
    pub(super) fn pause(&self) -> Duration {
        pause(self.failures)
    }
}

/// Twice as long each time, up to the longest.
fn pause(times: u32) -> Duration {
    let doubled = FIRST_DELAY * 2u32.saturating_pow(times.saturating_sub(1).min(10));
    doubled.min(LONGEST_DELAY)
}

/// What is left of a pause that began at `since`.
fn left(pause: Duration, since: Duration, now: Duration) -> When {
    match pause.saturating_sub(now.saturating_sub(since)) {
        Duration::ZERO => When::Now,
        left => When::In(left),
    }
}

/// What a change would do, apart from numbers that go up with each try.
fn key(change: &Change) -> Digest {
    let after = change.after.as_ref().map(|spec| spec.digest());
    Digest::of(&(&change.instance, change.action, &change.node, after))
}

/// Whether nothing that `plan` wants of a service is known to have been wanted otherwise.
fn is_same(known: &Wanted, plan: &Plan, service: &ServiceName) -> bool {
    wanted(plan, service)
        .iter()
        .all(|(place, digest)| known.get(place).is_none_or(|known| known == digest))
}

fn wanted(plan: &Plan, service: &ServiceName) -> Wanted {
    let own = plan.changes.iter().filter(|change| change.instance.service == *service);
    own.map(|change| {
        let digest = match &change.after {
            Some(spec) => spec.digest(),
            None => Digest::from(String::new()),
        };
        ((change.instance.clone(), change.node.clone()), digest)
    })
    .collect()
}

fn ground(plan: &Plan) -> Digest {
    Digest::of(&(&plan.basis.inventory, &plan.basis.secrets))
}
