//! What does not serve, as the status shows it: what the newest plan said of it, brought up to date
//! with what runs now.
//!
//! Knows the state of the loop. Refuses to guess: where no plan has spoken, the row says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use devnet_schema::{
    desired::Service,
    name::{InstanceId, NodeName, ServiceName},
};
use jiff::{SignedDuration, Timestamp, Unit};

use super::counted;
use crate::{
    api::{InstanceRow, ServiceRow, WaitingRow},
    clock,
    cycle::{ControlPlane, State, deploy::short, query::serves, tries::TRIES},
    time::Time,
};

impl ControlPlane {
    /// Adds to every service what of it is not there as declared, and says which services nobody
    /// declares.
    pub(in crate::cycle) fn add_waiting(&self, rows: &mut BTreeMap<ServiceName, ServiceRow>) {
        let wall = Wall { now: clock::now(), since_start: self.fleet.now().since_start };
        let state = self.state();
        if let Some(current) = &state.current {
            let under_way = Bringing::of(&state);
            for row in rows.values_mut() {
                let service = current.desired.services.get(&row.name);
                row.undeclared = service.is_none();
                Told { state: &state, under_way: under_way.as_ref(), wall }.tell(row, service);
            }
        }
        add_candidate(&state, rows);
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy)]
struct Wall {
    now: Timestamp,
    since_start: Duration,
}

impl Wall {
    /// A time since the start as one of the wall clock, to the second.
    fn at(self, since_start: Duration) -> Option<Time> {
        let left = since_start.saturating_sub(self.since_start);
        let at = self.now.checked_add(SignedDuration::try_from(left).ok()?).ok()?;
        at.round(Unit::Second).ok().map(Time::from)
    }
}

/// What the deployment that runs brings, and where.
struct Bringing {
    deployment: String,
    to: BTreeMap<InstanceId, NodeName>,
}

impl Bringing {
    fn of(state: &State) -> Option<Self> {
        let running = state.deploying.as_ref()?;
        let brought = running.plan.changes.iter().filter(|change| change.after.is_some());
        let to = brought.map(|change| (change.instance.clone(), change.node.clone())).collect();
        Some(Self { deployment: running.id.clone(), to })
    }
}

/// What is known of what waits.
struct Told<'a> {
    state: &'a State,
    under_way: Option<&'a Bringing>,
    wall: Wall,
}

impl Told<'_> {
    /// Tells it of one service: of what is there in its row, of the rest in a row of its own.
    fn tell(&self, row: &mut ServiceRow, service: Option<&Service>) {
        let of_service = |id: &&InstanceId| id.service == row.name;
        let mut all: BTreeSet<InstanceId> = service.into_iter().flat_map(counted).collect();
        all.extend(self.state.waiting.keys().filter(of_service).cloned());
        let brought = self.under_way.into_iter().flat_map(|it| it.to.keys());
        all.extend(brought.filter(of_service).cloned());
        for id in all {
            let there = row.instances.iter_mut().find(|it| it.id == id && !it.stranger);
            match (self.of(&id, there.as_deref()), there) {
                (Some(waiting), Some(there)) => {
                    there.outdated = Some(sentence(&waiting));
                    there.waiting = Some(waiting);
                }
                (Some(waiting), None) => row.waiting.push(waiting),
                (None, _) => {}
            }
        }
    }

    fn of(&self, id: &InstanceId, there: Option<&InstanceRow>) -> Option<WaitingRow> {
        let known = self.state.waiting.get(id);
        if let Some(under_way) = self.under_way
            && let Some(node) = under_way.to.get(id)
        {
            let reason = format!("deployment {} is bringing it there", under_way.deployment);
            let tries = known.and_then(|it| tries(it.failures));
            let node = Some(node.clone());
            return Some(row(id, node, reason, tries, None));
        }
        match (known, there) {
            // What serves by now waits only where something else is declared of it.
            (Some(known), Some(there)) if serves(there) && !known.changes => None,
            (Some(known), _) => {
                let next = known.next.and_then(|next| self.wall.at(next));
                let tries = tries(known.failures);
                Some(row(id, known.node.clone(), known.reason.clone(), tries, next))
            }
            // Its own row says how it is.
            (None, Some(_)) => None,
            (None, None) => Some(row(id, None, unplanned(self.state), None, None)),
        }
    }
}

fn tries(failures: u32) -> Option<u32> {
    (failures > 0).then_some(failures)
}

fn row(
    id: &InstanceId,
    node: Option<NodeName>,
    reason: String,
    tries: Option<u32>,
    next_try: Option<Time>,
) -> WaitingRow {
    WaitingRow { instance: id.clone(), node, reason, of: tries.map(|_| TRIES), tries, next_try }
}

/// The whole of it in words, for those who read no parts.
fn sentence(waiting: &WaitingRow) -> String {
    let mut text = waiting.reason.clone();
    if let Some(tries) = waiting.tries {
        text.push_str(&format!("; failed {tries} of {TRIES} times"));
    }
    if let Some(next) = &waiting.next_try {
        text.push_str(&format!("; next try at {next}"));
    }
    text
}

/// Why no plan has spoken of something yet.
fn unplanned(state: &State) -> String {
    match &state.held {
        _ if !state.settled => {
            "agents are waited for after a start of the control plane".to_owned()
        }
        Some(held) => held.clone(),
        None => "it is not planned yet".to_owned(),
    }
}

/// The services of a newer revision that cannot be planned.
fn add_candidate(state: &State, rows: &mut BTreeMap<ServiceName, ServiceRow>) {
    let Some(candidate) = &state.candidate else { return };
    let configuration = &candidate.configuration;
    let problem = state.source.as_ref().and_then(|source| source.problem.clone());
    let reason = problem.unwrap_or_else(|| {
        format!("revision {} is not planned yet", short(&configuration.revision))
    });
    for service in configuration.desired.services.values() {
        if rows.contains_key(&service.name) {
            continue;
        }
        let waiting = counted(service).map(|id| row(&id, None, reason.clone(), None, None));
        let row = ServiceRow {
            name: service.name.clone(),
            desired: service.replicas.count(),
            healthy: 0,
            instances: Vec::new(),
            waiting: waiting.collect(),
            undeclared: false,
        };
        rows.insert(service.name.clone(), row);
    }
}
