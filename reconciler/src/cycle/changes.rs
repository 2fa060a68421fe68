//! What has changed, by name: for those who show the cluster and read again what they show.
//!
//! Knows digests of rows and the number at which each changed last. Refuses to carry what changed:
//! a number that moves only says "look again".

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use devnet_schema::{digest::Digest, fleet::NodeStatus};
use serde::Serialize;
use tokio::sync::watch;
use tracing::warn;

use super::{ControlPlane, instance_rows};
use crate::api::{
    DeploymentState, InstanceRow,
    detail::{DetailedNode, DetailedService},
};

/// How often it is looked whether something changed, while somebody follows.
const LOOK: Duration = Duration::from_millis(250);
/// How often everything is compared, even where nothing says that it moved: time alone makes a node
/// that is silent an offline one.
const COMPARE: Duration = Duration::from_secs(2);
/// Rows that went away and are still told to those who come back.
const GONE: usize = 10_000;
/// Deployments that are looked at, from the newest.
const DEPLOYMENTS: u32 = 20;

/// A list whose changes are told row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// Nodes, by name.
    Nodes,
    /// Services, by name.
    Services,
    /// Instances, by `db[0]@node`.
    Instances,
}

impl List {
    /// The word in `/watch`.
    fn topic(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Services => "services",
            Self::Instances => "instances",
        }
    }
}

/// What of a list changed after a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// The number now.
    pub serial: u64,
    /// The rows that changed, and those that went away; `None` where it is not known any more, and
    /// the whole list has to be read.
    pub changed: Option<(BTreeSet<String>, Vec<String>)>,
}

/// One row of anything, with the number at which it changed.
#[derive(Debug, Default)]
struct Rows {
    known: bool,
    rows: BTreeMap<String, (Digest, u64)>,
    gone: VecDeque<(String, u64)>,
    /// What went away up to this number is not known any more.
    forgotten: u64,
}

impl Rows {
    /// Takes the rows as they are now. The names of those that changed, and went away.
    fn take(&mut self, now: BTreeMap<String, Digest>, number: u64) -> BTreeSet<String> {
        let first = !std::mem::replace(&mut self.known, true);
        let mut changed = BTreeSet::new();
        for name in self.rows.keys().filter(|name| !now.contains_key(*name)) {
            self.gone.push_back((name.clone(), number));
            changed.insert(name.clone());
        }
        self.rows.retain(|name, _| now.contains_key(name));
        while self.gone.len() > GONE {
            self.forgotten = self.gone.pop_front().map_or(self.forgotten, |(_, number)| number);
        }
        for (name, digest) in now {
            if self.rows.get(&name).is_some_and(|(known, _)| *known == digest) {
                continue;
            }
            // It may be back.
            self.gone.retain(|(gone, _)| *gone != name);
            changed.insert(name.clone());
            self.rows.insert(name, (digest, number));
        }
        if first { BTreeSet::new() } else { changed }
    }
}

/// What moves when something may have changed.
type Stamp = [u64; 5];

#[derive(Debug, Default)]
struct Known {
    /// The number of the start: no other start of a control plane has it.
    began: u64,
    number: u64,
    topics: BTreeMap<String, u64>,
    rows: BTreeMap<&'static str, Rows>,
    stamp: Option<(Stamp, Instant)>,
}

impl Known {
    /// Takes the rows of a topic as they are now. The names of those that changed.
    fn take(&mut self, topic: &'static str, now: BTreeMap<String, Digest>) -> BTreeSet<String> {
        self.topics.entry(topic.to_owned()).or_insert(self.began);
        let next = self.number + 1;
        let rows = self.rows.entry(topic).or_default();
        let begun = rows.known;
        let changed = rows.take(now, if begun { next } else { self.number });
        if !changed.is_empty() {
            self.number = next;
            self.topics.insert(topic.to_owned(), next);
        }
        changed
    }

    fn since(&self, topic: &'static str, after: u64) -> Since {
        let serial = self.number;
        let Some(rows) = self.rows.get(topic) else { return Since { serial, changed: None } };
        let known = (self.began.max(rows.forgotten)..=serial).contains(&after);
        let changed = known.then(|| {
            let newer = rows.rows.iter().filter(|(_, (_, number))| *number > after);
            let gone = rows.gone.iter().filter(|(_, number)| *number > after);
            (
                newer.map(|(name, _)| name.clone()).collect(),
                gone.map(|(name, _)| name.clone()).collect(),
            )
        });
        Since { serial, changed }
    }
}

/// What is known of changes, and whom to tell.
#[derive(Debug)]
pub(super) struct Changes {
    known: Mutex<Known>,
    /// The number of the newest change.
    moved: watch::Sender<u64>,
    /// Counts turns of the loop.
    turns: watch::Sender<u64>,
}

impl Changes {
    /// None yet. `began` is a number that no start before had, and grows with time.
    pub(super) fn new(began: u64) -> Self {
        let known = Known { began, number: began, ..Known::default() };
        Self {
            known: Mutex::new(known),
            moved: watch::Sender::new(began),
            turns: watch::Sender::new(0),
        }
    }

    /// The loop has looked at everything.
    pub(super) fn turned(&self) {
        self.turns.send_modify(|turns| *turns += 1);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic elsewhere leaves what was found last, which the next look finds again.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        let number = self.known().number;
        self.moved.send_if_modified(|told| std::mem::replace(told, number) != number);
    }
}

/// Looks for changes while somebody follows them, until it is stopped.
pub async fn look_for_changes(plane: Arc<ControlPlane>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => return,
        }
        if plane.changes.moved.receiver_count() > 0
            && let Err(error) = plane.compare()
        {
            warn!(error = format!("{error:#}"), "looking for changes");
        }
    }
}

impl ControlPlane {
    /// The number of the newest change, as it goes up: of all that changes from now on.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn follow_changes(&self) -> anyhow::Result<watch::Receiver<u64>> {
        let moved = self.changes.moved.subscribe();
        // While nobody follows, nothing is compared: what there is now is what changes are told
        // against.
        self.compare()?;
        Ok(moved)
    }

    /// The newest number, and what changed after `after`: all there is where that is not known.
    pub fn changed_after(&self, after: u64) -> (u64, Vec<String>) {
        let known = self.changes.known();
        let sure = (known.began..=known.number).contains(&after);
        let newer = known.topics.iter().filter(|(_, number)| !sure || **number > after);
        (known.number, newer.map(|(topic, _)| topic.clone()).collect())
    }

    /// What of a list changed after a number; the list's rows as they are now come along.
    pub fn since(&self, list: List, rows: BTreeMap<String, Digest>, after: Option<u64>) -> Since {
        let topic = list.topic();
        let since = {
            let mut known = self.changes.known();
            known.take(topic, rows);
            let serial = known.number;
            after.map_or(Since { serial, changed: None }, |after| known.since(topic, after))
        };
        self.changes.tell();
        since
    }

    /// Compares everything with what it was, when something says that it moved.
    fn compare(&self) -> anyhow::Result<()> {
        let stamp = [
            self.fleet.serial(),
            *self.journal.follow().borrow(),
            *self.lines.borrow(),
            *self.keys_revoked.borrow(),
            *self.changes.turns.borrow(),
        ];
        {
            let mut known = self.changes.known();
            let same = known.stamp.is_some_and(|(of, at)| of == stamp && at.elapsed() < COMPARE);
            if same {
                return Ok(());
            }
            known.stamp = Some((stamp, Instant::now()));
        }
        let [_, events, lines, ..] = stamp;
        let fleet = self.shown()?;
        let nodes = node_digests(&self.detailed_nodes(&fleet, self.node_rows(&fleet)));
        let services = service_digests(&self.detailed_services(self.service_rows(&fleet)));
        let instances = instance_digests(&instance_rows(&fleet));
        let newest = self.store.deployments(None, DEPLOYMENTS)?.items;
        let deployments = newest.iter().map(|it| {
            let running = (it.state == DeploymentState::Running).then_some(lines);
            (it.id.clone(), Digest::of(&(it, running)))
        });
        let deployments: BTreeMap<_, _> = deployments.collect();
        let source = self.source_status();
        let status = one(&(&source, self.held(), self.warnings(), newest.first(), self.problems()));
        let revisions = one(&source.as_ref().map(|it| (&it.seen, &it.applied, &it.problem)));
        let plans = one(&self.store.plans(None, 5)?.items);
        let keys = one(&self.store.api_keys(None, crate::api::MAX_PAGE)?.items.len());
        let sessions = self.store.sessions(None, crate::api::MAX_PAGE)?.items;
        let sessions = one(&sessions.iter().map(|it| &it.id).collect::<Vec<_>>());
        let tokens = one(&self.join_token_rows()?);
        let revision = self.state().current.as_ref().map(|it| it.revision.clone());
        let all = [
            ("nodes", nodes),
            ("services", services),
            ("instances", instances),
            ("status", status),
            ("events", one(&events)),
            ("plans", plans),
            ("revisions", revisions),
            ("secrets", one(&fleet.secrets)),
            ("apikeys", keys),
            ("sessions", sessions),
            ("tokens", tokens),
            ("templates", one(&revision)),
        ];
        {
            let mut known = self.changes.known();
            for (topic, rows) in all {
                known.take(topic, rows);
            }
            let moved = known.take("deployments", deployments);
            let number = known.number;
            // Told by name, too; those who look at one need not look at all.
            known.topics.retain(|topic, _| !topic.starts_with("deployment:"));
            let told = moved.into_iter().map(|id| (format!("deployment:{id}"), number));
            known.topics.extend(told);
        }
        self.changes.tell();
        Ok(())
    }
}

fn one<T: Serialize + ?Sized>(value: &T) -> BTreeMap<String, Digest> {
    BTreeMap::from([(String::new(), Digest::of(value))])
}

/// Nodes by name. When a node that is online was last heard of is no change: it is, all the time.
pub fn node_digests(rows: &[DetailedNode]) -> BTreeMap<String, Digest> {
    let digest = |node: &DetailedNode| match node.row.status {
        NodeStatus::Online => {
            let mut still = node.clone();
            still.row.last_seen = None;
            Digest::of(&still)
        }
        NodeStatus::Offline | NodeStatus::Lost => Digest::of(node),
    };
    rows.iter().map(|node| (node.row.name.to_string(), digest(node))).collect()
}

/// Services by name.
pub fn service_digests(rows: &[DetailedService]) -> BTreeMap<String, Digest> {
    rows.iter().map(|service| (service.row.name.to_string(), Digest::of(service))).collect()
}

/// Instances by name and node: one that moves is on two for a while.
pub fn instance_digests(rows: &[InstanceRow]) -> BTreeMap<String, Digest> {
    rows.iter().map(|row| (instance_key(row), Digest::of(row))).collect()
}

/// What tells a row of instances from any other.
pub fn instance_key(row: &InstanceRow) -> String {
    format!("{}@{}", row.id, row.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(all: &[(&str, u8)]) -> BTreeMap<String, Digest> {
        all.iter().map(|(name, value)| ((*name).to_owned(), Digest::of(value))).collect()
    }

    fn names(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_changed_after_a_number_is_told_row_by_row() {
        let mut known = Known { began: 100, number: 100, ..Known::default() };
        assert!(known.take("nodes", rows(&[("a", 1), ("b", 1)])).is_empty(), "the first look");
        let since = |known: &Known, after| known.since("nodes", after);
        assert_eq!(since(&known, 100).changed, Some((names(&[]), vec![])));
        assert_eq!(known.take("nodes", rows(&[("a", 2), ("c", 1)])), names(&["a", "b", "c"]));
        assert_eq!(known.number, 101);
        assert_eq!(since(&known, 100).changed, Some((names(&["a", "c"]), vec!["b".to_owned()])));
        assert_eq!(since(&known, 101).changed, Some((names(&[]), vec![])));
        assert!(known.take("nodes", rows(&[("a", 2), ("c", 1)])).is_empty());
        assert_eq!(known.number, 101, "nothing changed, and nothing is counted");
        known.take("nodes", rows(&[("a", 2), ("b", 1), ("c", 1)]));
        assert_eq!(
            since(&known, 100).changed,
            Some((names(&["a", "b", "c"]), vec![])),
            "it is back"
        );
        // Of another start, or of none.
        for other in [0, 99, 103] {
            assert_eq!(since(&known, other), Since { serial: 102, changed: None }, "{other}");
        }
    }

    #[test]
    fn what_went_away_long_ago_is_told_by_the_whole_list() {
        let mut known = Known { began: 0, number: 0, ..Known::default() };
        let many: Vec<String> = (0..=GONE).map(|number| format!("n{number:05}")).collect();
        let all = many.iter().map(|name| (name.clone(), Digest::of(&1))).collect();
        known.take("nodes", all);
        known.take("nodes", rows(&[("n00001", 1)]));
        known.take("nodes", rows(&[("n00001", 2)]));
        known.take("nodes", rows(&[("other", 1)]));
        assert_eq!(known.since("nodes", 0).changed, None);
        assert!(known.since("nodes", 1).changed.is_some());
    }
}
