//! The agent's behaviour, as pure functions: a step and what is known, and what follows from them.
//!
//! Knows when a step is refused, when nothing is to be done, how long to wait before trying again,
//! and when a unit counts as healthy. Refuses to do anything: `execute`, `health` and the drivers
//! do. Time and randomness are arguments.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use devnet_schema::{
    digest::Digest,
    instance::{HealthSpec, InstanceSpec},
    observed::{HealthState, InstanceState},
    quantity::Period,
    step::{Act, Step},
};

use crate::{
    driver::{Owner, Unit},
    ledger::{Content, Entry, fence},
};

/// What a step asks for. Waiting and changing are decided each by a function of its own, so that
/// neither can answer with what only the other does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// Wait until the instance is healthy, that long.
    Wait(Period),
    /// Change what runs of it.
    Change(Change<'a>),
}

/// A change of what runs of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Get ready for this.
    Prepare(&'a InstanceSpec),
    /// Have this run, and nothing else of the instance.
    Ensure(&'a InstanceSpec),
    /// Have nothing run.
    Remove,
}

impl<'a> Change<'a> {
    /// What is to run.
    pub fn spec(self) -> Option<&'a InstanceSpec> {
        match self {
            Change::Prepare(spec) | Change::Ensure(spec) => Some(spec),
            Change::Remove => None,
        }
    }
}

/// What an act asks for.
pub fn asked(act: &Act) -> Asked<'_> {
    match act {
        Act::Prepare { spec } => Asked::Change(Change::Prepare(spec)),
        Act::Ensure { spec } => Asked::Change(Change::Ensure(spec)),
        Act::Remove => Asked::Change(Change::Remove),
        Act::AwaitHealthy { timeout } => Asked::Wait(*timeout),
    }
}

/// What follows from a step that asks for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'a> {
    /// Exactly this runs already.
    RunsAlready,
    /// Get ready.
    Prepare(&'a InstanceSpec),
    /// Create or replace; the ledger takes the entry first.
    Ensure(&'a InstanceSpec),
    /// Stop and remove whatever runs.
    Remove,
}

/// Decides about a step that asks for `change`.
///
/// `known` is the ledger's entry, `units` what runs of this instance (of any runtime), `now` is in
/// seconds since 1970.
///
/// # Errors
/// Why it is not done, for people.
pub fn decide<'a>(
    step: &Step,
    change: Change<'a>,
    me: &Owner,
    known: Option<&Entry>,
    units: &[&Unit],
    now: i64,
) -> Result<Decision<'a>, String> {
    for_this_node(step, me)?;
    let digest = change.spec().map(InstanceSpec::digest);
    if let Some(spec) = change.spec() {
        directed(spec, step, me)?;
    }
    fence(&step.instance, known, step.generation, digest.as_ref(), now)
        .map_err(|fenced| fenced.to_string())?;
    if let Some(unit) = units.iter().find(|unit| unit.state == InstanceState::Unknown) {
        let why = unit.message.as_deref().unwrap_or("its state cannot be read");
        return Err(format!("it is not known what {} runs: {why}", step.instance));
    }
    Ok(match change {
        Change::Prepare(_) | Change::Ensure(_) if serves(units, digest.as_ref()) => {
            Decision::RunsAlready
        }
        Change::Prepare(spec) => Decision::Prepare(spec),
        Change::Ensure(spec) => Decision::Ensure(spec),
        Change::Remove => Decision::Remove,
    })
}

/// Whether a step may wait for its instance to become healthy.
///
/// # Errors
/// Why it may not, for people.
pub fn may_wait(step: &Step, me: &Owner, known: Option<&Entry>, now: i64) -> Result<(), String> {
    for_this_node(step, me)?;
    fence(&step.instance, known, step.generation, None, now)
        .map_err(|fenced| fenced.to_string())?;
    match known {
        Some(Entry { generation, content: Content::Present { .. } })
            if *generation == step.generation =>
        {
            Ok(())
        }
        Some(Entry { generation, content: Content::Present { .. } }) => Err(format!(
            "generation {} of {} was to become healthy, and generation {generation} runs; plan \
             again",
            step.generation, step.instance
        )),
        _ => Err(format!(
            "{} was to become healthy, and nothing of it was started here; plan again",
            step.instance
        )),
    }
}

fn for_this_node(step: &Step, me: &Owner) -> Result<(), String> {
    if step.node != me.node {
        return Err(format!(
            "the step is for node {}, and this is {}; plan again",
            step.node, me.node
        ));
    }
    Ok(())
}

/// Refuses a spec that contradicts its step, or belongs elsewhere.
fn directed(spec: &InstanceSpec, step: &Step, me: &Owner) -> Result<(), String> {
    if spec.cluster != me.cluster {
        return Err(format!(
            "the unit belongs to cluster {}, and this node to {}",
            spec.cluster, me.cluster
        ));
    }
    if spec.id != step.instance || spec.node != step.node {
        return Err(format!(
            "the step is about {} on {}, and its unit is {} on {}; this is a defect of the plan",
            step.instance, step.node, spec.id, spec.node
        ));
    }
    Ok(())
}

/// Whether exactly the wanted thing runs.
fn serves(units: &[&Unit], digest: Option<&Digest>) -> bool {
    let [unit] = units else { return false };
    Some(&unit.digest) == digest
        && !unit.ending
        && matches!(
            unit.state,
            InstanceState::Running | InstanceState::Starting | InstanceState::Completed
        )
}

/// How long to wait before dialling again after `failures` failures in a row: full jitter over an
/// exponential bound of 1 s to 30 s. `random` is uniform over its range.
pub fn dial_pause(failures: u32, random: u32) -> Duration {
    let bound = 1000u64 << failures.saturating_sub(1).min(5);
    Duration::from_millis(bound.min(30_000) * u64::from(random) / u64::from(u32::MAX))
}

/// How long to wait before starting a process again that ended by itself for the `ends`th time in
/// a row: half a second, doubling, at most half a minute.
pub fn restart_pause(ends: u32) -> Duration {
    Duration::from_millis(500u64 << ends.saturating_sub(1).min(6)).min(Duration::from_secs(30))
}

/// How long to wait before a driver that could not say what runs is asked again for the
/// `failures`th time in a row: a quarter of a second, doubling, at most five seconds.
pub fn recover_pause(failures: u32) -> Duration {
    Duration::from_millis(250u64 << failures.saturating_sub(1).min(5)).min(Duration::from_secs(5))
}

/// A run of this length ends a row of crashes.
pub const STEADY: Duration = Duration::from_secs(60);

/// Without a probe, a unit counts as healthy once it ran for this long: one that cannot read its
/// own arguments is gone by then.
pub const SETTLED: Duration = Duration::from_secs(1);

/// Where a probe of `port` of the unit goes: to its own address where it has one, else to where
/// the node answers for it.
pub fn target(spec: &InstanceSpec, own: Option<IpAddr>, port: u16) -> Option<SocketAddr> {
    if let Some(ip) = own {
        return Some(SocketAddr::new(ip, port));
    }
    let published = spec.ports.iter().find(|one| one.container == port)?;
    let ip = match published.bind.parse().ok()? {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    Some(SocketAddr::new(ip, published.host))
}

/// What the probes of one run of a unit said so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Track {
    /// Whether any succeeded.
    succeeded: bool,
    /// How many failed since.
    failures: u32,
    /// How many there were.
    tries: u32,
}

impl Track {
    /// Takes the outcome of a probe that ended `since_start` after the unit started.
    pub fn record(&mut self, success: bool, since_start: Duration, spec: &HealthSpec) {
        self.tries = self.tries.saturating_add(1);
        if success {
            self.succeeded = true;
            self.failures = 0;
        } else if self.succeeded || since_start >= self.due(spec) {
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// From when on the next failure counts while nothing has succeeded. A unit that is starting is
    /// asked more often than its interval, and must not be given up any sooner for that.
    fn due(&self, spec: &HealthSpec) -> Duration {
        let interval = Duration::from(spec.interval);
        let failed = interval.saturating_mul(self.failures.saturating_add(1));
        Duration::from(spec.start_period).saturating_add(failed)
    }

    /// Whether the unit serves.
    pub fn state(&self, spec: &HealthSpec) -> HealthState {
        if self.failures > 0 && self.failures >= spec.retries {
            HealthState::Unhealthy
        } else if self.succeeded {
            HealthState::Healthy
        } else {
            HealthState::Starting
        }
    }

    /// How long until the next probe. Somebody waits for a unit that is just starting, so it is
    /// asked more often: after a tenth of a second at first, and never later than the interval.
    pub fn pause(&self, spec: &HealthSpec) -> Duration {
        let interval = Duration::from(spec.interval).max(Duration::from_millis(100));
        if self.state(spec) != HealthState::Starting {
            return interval;
        }
        interval.min(Duration::from_millis(100u64 << self.tries.saturating_sub(1).min(4)))
    }
}

/// The units of each instance, in order, so that one which two drivers run is seen.
pub fn by_instance(units: &[Unit]) -> BTreeMap<&devnet_schema::name::InstanceId, Vec<&Unit>> {
    let mut map: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for unit in units {
        map.entry(&unit.id).or_default().push(unit);
    }
    map
}

#[cfg(test)]
mod tests;
