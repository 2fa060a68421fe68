//! What an earlier agent left running: found by records and badges, taken over, finished or ended.
//!
//! Knows that nothing is started before this was looked at. Refuses to guess: where a record cannot
//! be read, its unit is unknown, and neither started nor ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use devnet_schema::{digest::Digest, instance::Runtime, name::InstanceId, observed::InstanceState};
use tokio::sync::Mutex as AsyncMutex;

use super::{
    ProcessDriver,
    badge::{Badge, Issuer},
    child::{self, Running},
    members::{self, Process, Traces},
    record::{self, Damage, Record},
};
use crate::{
    clock,
    driver::{DriverError, Owner, Unit},
};

/// What was found so far.
#[derive(Default)]
pub(super) struct Found {
    /// Whether everything was found and reads: then there is nothing more to look for.
    whole: AsyncMutex<bool>,
    /// Units whose records do not read, with what is to be said of each.
    damaged: Mutex<BTreeMap<InstanceId, String>>,
}

impl Found {
    fn damaged(&self) -> MutexGuard<'_, BTreeMap<InstanceId, String>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProcessDriver {
    /// Looks for what runs, unless that was done. A record that could not be read is tried again
    /// each time, so that it counts as soon as somebody has put it right.
    pub(super) async fn adopted(&self) -> Result<(), DriverError> {
        let mut whole = self.found.whole.lock().await;
        if *whole {
            return Ok(());
        }
        // Processes first: whichever of ours is among them was written down before it was started.
        let running = members::all(&self.setting.issuer).map_err(|error| {
            DriverError::NotKnown(format!(
                "it cannot be seen which processes run: {error}; check that the agent may read \
                 /proc"
            ))
        })?;
        let found = record::load_all(&self.setting.ground.data_dir)?;
        let mut starts = BTreeSet::new();
        let mut damaged = BTreeMap::new();
        for one in found {
            match one {
                record::Found::Damaged(damage) => {
                    damaged.insert(damage.id.clone(), words(&damage, &running));
                }
                record::Found::Whole(record) => match self.foreign(&record) {
                    Some(why) => drop(damaged.insert(record.spec.id.clone(), why)),
                    None => {
                        starts.extend(badge(&record));
                        self.take(record, &running);
                    }
                },
            }
        }
        *whole = damaged.is_empty();
        self.note_damage(damaged);
        let stray = |badge: &Badge| !starts.contains(badge);
        self.end_in_background(running.iter().filter_map(|one| one.badge.clone()).filter(stray));
        Ok(())
    }

    /// Takes over the unit of a record: its process where it runs, else its being started.
    fn take(&self, record: Record, running: &[Process]) {
        let spec = record.spec.clone();
        if self.slot(&spec.id).is_some() {
            return;
        }
        if record.ending {
            self.endings.begin(self.setting.clone(), record);
            return;
        }
        let (record, process) = self.find(record, running);
        let found = if process.is_some() { "adopting" } else { "starting" };
        if let (None, Some(pids)) = (&process, closed(running)) {
            tracing::warn!(
                instance = %spec.id, pids,
                "these processes of this user may not be looked into; whether one of them is of \
                 the unit is not known"
            );
        }
        tracing::info!(instance = %spec.id, "{found} a process that should run");
        self.begin(record, process);
    }

    /// The process of a record: the one that it names, or, when an agent was killed before it could
    /// write that down, the one that carries its badge and leads.
    fn find(&self, record: Record, running: &[Process]) -> (Record, Option<Running>) {
        let traces = self.setting.traces(&record);
        if let Some(mark) = &record.process {
            let process = child::adopt(mark, traces);
            return (record, process);
        }
        let Some(mark) = leader(&record, running)
            .and_then(|process| child::mark_of(process, clock::now_millis()).ok())
        else {
            return (record, None);
        };
        let process = child::adopt(&mark, traces);
        let record = Record { process: process.is_some().then_some(mark), ..record };
        if let Err(error) = self.home(&record.spec.id).save(&record, &*self.setting.watcher) {
            // It is found by its badge once more.
            tracing::warn!(instance = %record.spec.id, %error, "writing a record failed");
        }
        (record, process)
    }

    /// What is to be said of a record of another node: this machine joined under another name and
    /// kept the data directory. Its processes may run, on the data that a second copy would use.
    fn foreign(&self, record: &Record) -> Option<String> {
        let (spec, ground) = (&record.spec, &self.setting.ground);
        let other = Owner { cluster: spec.cluster.clone(), node: spec.node.clone() };
        if other == ground.owner {
            return None;
        }
        let running = members::all(&Issuer::of(&other, &ground.data_dir)).unwrap_or_default();
        let Owner { cluster, node } = &ground.owner;
        Some(format!(
            "it is not known what runs of {id}: {home} has it as a unit of node {} of cluster {}, \
             and this is {node} of {cluster}; {runs}; nothing of it is started or ended here: join \
             under the old name again, or end what runs of it and remove {home}",
            other.node,
            other.cluster,
            id = spec.id,
            home = self.home(&spec.id).path().display(),
            runs = runs(&spec.id, &running),
        ))
    }

    /// The record that was found, if it is one of this node's.
    pub(super) fn own(&self, found: record::Found) -> Result<Record, DriverError> {
        let why = match found {
            record::Found::Damaged(damage) => {
                words(&damage, &members::all(&self.setting.issuer).unwrap_or_default())
            }
            record::Found::Whole(record) => match self.foreign(&record) {
                Some(why) => why,
                None => return Ok(record),
            },
        };
        Err(DriverError::NotKnown(why))
    }

    fn note_damage(&self, damaged: BTreeMap<InstanceId, String>) {
        let mut known = self.found.damaged();
        for (id, why) in damaged.iter().filter(|(id, why)| known.get(*id) != Some(*why)) {
            tracing::error!(instance = %id, "{why}");
        }
        *known = damaged;
    }

    /// Units of which it is not known what runs.
    pub(super) fn unreadable(&self) -> Vec<Unit> {
        let damaged = self.found.damaged();
        let unknown = |(id, why): (&InstanceId, &String)| Unit {
            id: id.clone(),
            generation: 0,
            digest: Digest::from(String::new()),
            spec: None,
            runtime: Runtime::Process,
            state: InstanceState::Unknown,
            ending: false,
            restarts: 0,
            message: Some(why.clone()),
            address: None,
            run: String::new(),
            started_at: 0,
        };
        damaged.iter().map(unknown).collect()
    }

    /// Whether it is known what runs of an instance.
    pub(super) async fn readable(&self, id: &InstanceId) -> Result<(), DriverError> {
        self.adopted().await?;
        match self.found.damaged().get(id) {
            Some(why) => Err(DriverError::NotKnown(why.clone())),
            None => Ok(()),
        }
    }

    /// Processes that carry our badge and are of no record: nobody wants them, nobody would ever
    /// end them, and they may hold what their successors need.
    fn end_in_background(&self, strays: impl Iterator<Item = Badge>) {
        let damaged = self.found.damaged();
        let unknown: BTreeSet<String> = damaged.keys().map(InstanceId::slug).collect();
        drop(damaged);
        let strays: BTreeSet<Badge> = strays.filter(|one| !unknown.contains(&one.slug)).collect();
        for badge in strays {
            tracing::warn!(unit = badge.slug, "ending a process of which there is no record");
            let traces = self.stray(badge);
            let changed = self.setting.ground.changed.clone();
            tokio::spawn(async move {
                end_stray(&traces).await;
                changed.notify_one();
            });
        }
    }

    /// Ends every process that carries a wanted badge of ours, and returns when that is over.
    pub(super) async fn end_strays(&self, wanted: impl Fn(&Badge) -> bool) {
        let Ok(running) = members::all(&self.setting.issuer) else { return };
        let badges: BTreeSet<Badge> = running.into_iter().filter_map(|one| one.badge).collect();
        let strays: Vec<Traces> =
            badges.into_iter().filter(wanted).map(|badge| self.stray(badge)).collect();
        futures_util::future::join_all(strays.iter().map(end_stray)).await;
    }

    fn stray(&self, badge: Badge) -> Traces {
        Traces {
            issuer: self.setting.issuer.clone(),
            slug: badge.slug,
            nonce: Some(badge.nonce),
            leader: None,
            cgroup: None,
        }
    }
}

/// How long a process of which nothing is written down may take to end.
const STRAY_GRACE: std::time::Duration = std::time::Duration::from_secs(10);

async fn end_stray(traces: &Traces) {
    match traces.end(Some((libc::SIGTERM, STRAY_GRACE))).await {
        Ok(left) if left.is_empty() => {}
        Ok(left) => tracing::error!(unit = traces.slug, ?left, "killed processes are still there"),
        Err(error) => tracing::error!(unit = traces.slug, %error, "it cannot be seen what runs"),
    }
}

fn badge(record: &Record) -> Option<Badge> {
    Some(Badge { slug: record.spec.id.slug(), nonce: record.nonce.clone()? })
}

/// The process that leads a start of which only the intent was written down. Where it is not
/// certain which one it is, there is none, and all of them end before the unit is started.
fn leader<'a>(record: &Record, running: &'a [Process]) -> Option<&'a Process> {
    let badge = badge(record)?;
    let ours: Vec<&Process> =
        running.iter().filter(|one| one.badge.as_ref() == Some(&badge)).collect();
    let begun = |one: &&Process| one.leads() && !ours.iter().any(|it| it.pid == one.parent);
    let mut leaders = ours.iter().copied().filter(|one| begun(one));
    leaders.next().filter(|_| leaders.next().is_none())
}

fn words(damage: &Damage, running: &[Process]) -> String {
    let Damage { id, path, why } = damage;
    format!(
        "it is not known what runs of {id}: the record {} cannot be read ({why}), and {}; \
         restore the file, or end what runs of it and remove the file",
        path.display(),
        runs(id, running)
    )
}

/// What is to be seen of an instance, as a clause.
fn runs(id: &InstanceId, running: &[Process]) -> String {
    let slug = id.slug();
    let ours = |one: &&Process| one.badge.as_ref().is_some_and(|badge| badge.slug == slug);
    let marked = match pids(running.iter().filter(ours)) {
        None => "no process is marked as its own".to_owned(),
        Some(pids) => format!("these processes are marked as its own: {pids}"),
    };
    match closed(running) {
        None => marked,
        Some(pids) => format!("{marked}, and these of this user may not be looked into: {pids}"),
    }
}

/// The processes of this user of which it cannot be seen what they carry.
fn closed(running: &[Process]) -> Option<String> {
    pids(running.iter().filter(|one| one.closed))
}

fn pids<'a>(processes: impl Iterator<Item = &'a Process>) -> Option<String> {
    let pids: Vec<String> = processes.map(|one| one.pid.to_string()).collect();
    (!pids.is_empty()).then(|| pids.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{driver::Progress, sample};

    fn process(pid: i32, parent: i32, session: i32, nonce: &str) -> Process {
        let badge = Badge { slug: "web-0".into(), nonce: nonce.into() };
        let badge = Some(badge);
        Process { pid, start: 1, parent, group: session, session, badge, closed: false }
    }

    #[test]
    fn a_process_that_may_not_be_looked_into_is_named_and_not_taken_for_nobodys() {
        let id = "web[0]".parse().unwrap();
        let own = process(10, 1, 10, "n");
        let closed = Process { badge: None, closed: true, ..process(11, 1, 11, "n") };
        assert_eq!(runs(&id, &[]), "no process is marked as its own");
        let said = runs(&id, &[own, closed.clone()]);
        assert!(said.contains("marked as its own: 10, and these"), "{said}");
        assert!(said.ends_with("of this user may not be looked into: 11"), "{said}");
        assert_eq!(super::closed(&[closed]).unwrap(), "11");
    }

    #[test]
    fn who_leads_is_certain_or_nobody_does() {
        let spec = std::sync::Arc::new(sample::process(&["a"]));
        let digest = spec.digest();
        let job = crate::driver::Job { spec, generation: 1, digest, progress: Progress::none() };
        let record = Record { nonce: Some("n".into()), ..Record::of(&job) };
        let find = |running: &[Process]| leader(&record, running).map(|one| one.pid);
        let leads = process(10, 1, 10, "n");
        assert_eq!(find(std::slice::from_ref(&leads)), Some(10));
        let daemon = process(11, 10, 11, "n");
        let worker = process(12, 1, 10, "n");
        let other = process(13, 1, 13, "m");
        assert_eq!(find(&[leads.clone(), daemon, worker.clone(), other]), Some(10));
        assert_eq!(find(&[leads, process(11, 1, 11, "n")]), None, "two could be it");
        assert_eq!(find(&[worker]), None, "it ended, and left something");
        assert_eq!(leader(&Record::of(&job), &[process(10, 1, 10, "")]), None);
    }
}
