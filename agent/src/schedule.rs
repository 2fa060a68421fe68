//! When units that run at certain times run: which is due, and since when the next run counts.
//!
//! Knows times by instance, kept in a file beside the ledger, so that a run which was missed while
//! the agent was away is made up for once. Refuses to read a clock, and to start anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use devnet_schema::{digest::Digest, instance::InstanceSpec, name::InstanceId, schedule::Timing};
use jiff::{
    Timestamp,
    tz::{Offset, TimeZone},
};
use serde::{Deserialize, Serialize};

use crate::identity::write_atomic;

/// What is known of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// What it was told to run, and so when.
    digest: Digest,
    timing: Timing,
    /// From here on the next run counts: when it was told, or when it last ran or was passed over.
    since: Timestamp,
    /// Why the last run could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// The times of this node's units, and their file.
pub struct Timetable {
    path: PathBuf,
    known: BTreeMap<InstanceId, Known>,
}

impl Timetable {
    /// Reads the file; an absent one is empty, and so is one that cannot be read as what it is:
    /// then every unit counts from now on.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join("schedules.json");
        let known = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "{} is damaged: runs are counted anew", path.display());
                BTreeMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", path.display()));
            }
        };
        Ok(Self { path, known })
    }

    /// Takes in what this node is to run at certain times; of what is new, or is to run otherwise
    /// by now, runs count from `now` on.
    pub fn told<'s>(&mut self, specs: impl Iterator<Item = &'s InstanceSpec>, now: Timestamp) {
        let before = self.known.clone();
        let mut wanted = BTreeSet::new();
        for spec in specs {
            let Some(timing) = &spec.schedule else { continue };
            wanted.insert(spec.id.clone());
            let digest = spec.digest();
            let same = |known: &Known| known.digest == digest;
            if !self.known.get(&spec.id).is_some_and(same) {
                let known = Known { digest, timing: timing.clone(), since: now, failure: None };
                self.known.insert(spec.id.clone(), known);
            }
        }
        self.known.retain(|id, _| wanted.contains(id));
        if self.known != before {
            self.save();
        }
    }

    /// Who is due, each once however many runs were missed, and when the next one after these is.
    pub fn due(&self, now: Timestamp) -> (Vec<InstanceId>, Option<Timestamp>) {
        let (mut due, mut next) = (Vec::new(), None::<Timestamp>);
        for (id, known) in &self.known {
            match next_run(&known.timing, known.since) {
                Ok(Some(at)) if at <= now => due.push(id.clone()),
                Ok(Some(at)) => next = Some(next.map_or(at, |next| next.min(at))),
                Ok(None) | Err(_) => {}
            }
        }
        (due, next)
    }

    /// It runs now, or is passed over because it still ran.
    pub fn ran(&mut self, id: &InstanceId, now: Timestamp) {
        if let Some(known) = self.known.get_mut(id) {
            (known.since, known.failure) = (now.max(known.since), None);
            self.save();
        }
    }

    /// Its run could not be started.
    pub fn failed(&mut self, id: &InstanceId, why: &str) {
        if let Some(known) = self.known.get_mut(id) {
            known.failure = Some(why.to_owned());
            self.save();
        }
    }

    /// Why the last run of an instance could not be started, and when the next one is, for people.
    pub fn says(&self, id: &InstanceId) -> (Option<&str>, String) {
        let Some(known) = self.known.get(id) else { return (None, String::new()) };
        let next = match next_run(&known.timing, known.since) {
            Ok(Some(at)) => match zone(&known.timing) {
                Ok(zone) => at.to_zoned(zone).strftime("next run at %F %H:%M %Z").to_string(),
                Err(why) => why,
            },
            Ok(None) => "no next run".to_owned(),
            Err(why) => why,
        };
        (known.failure.as_deref(), next)
    }

    /// What cannot be written is known as long as the agent lives.
    fn save(&self) {
        let json = serde_json::to_vec(&self.known).unwrap_or_default();
        if let Err(error) = write_atomic(&self.path, &json, 0o600) {
            tracing::error!(error = format!("{error:#}"), "writing the times of runs failed");
        }
    }
}

/// The time zone of a schedule.
///
/// # Errors
/// When this machine knows none of that name, for people.
pub fn zone(timing: &Timing) -> Result<TimeZone, String> {
    if timing.timezone == devnet_schema::schedule::UTC {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(&timing.timezone).map_err(|_| {
        format!(
            "this node knows no time zone `{}`: correct its name, or install the time zone \
             database (tzdata) there",
            timing.timezone
        )
    })
}

/// The first run after a moment. A time that a clock set forward skips is taken as much later; one
/// that a clock set back repeats, once. What runs in every hour goes by the hours that pass.
///
/// # Errors
/// When this machine does not know the time zone.
fn next_run(timing: &Timing, after: Timestamp) -> Result<Option<Timestamp>, String> {
    let zone = zone(timing)?;
    if timing.cron.is_every_hour() {
        let by = |offset: Offset| {
            let next = timing.cron.next(offset.to_datetime(after));
            next.and_then(|next| offset.to_timestamp(next).ok())
        };
        let at = by(zone.to_offset(after));
        // Where the clock changes before it, by the clock as it is then.
        return Ok(at.and_then(|at| by(zone.to_offset(at))));
    }
    let mut from = zone.to_datetime(after);
    loop {
        let Some(next) = timing.cron.next(from) else { return Ok(None) };
        match zone.to_timestamp(next) {
            Ok(at) if at > after => return Ok(Some(at)),
            Ok(_) => from = next,
            Err(_) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn spec(cron: &str, timezone: &str) -> InstanceSpec {
        let schedule = Timing { cron: cron.parse().unwrap(), timezone: timezone.to_owned() };
        InstanceSpec { run_once: true, schedule: Some(schedule), ..sample::process(&["true"]) }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_missed_is_made_up_for_once_and_a_change_counts_from_its_own_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = Timetable::open(dir.path()).unwrap();
        let daily = spec("0 3 * * *", "UTC");
        table.told([&daily].into_iter(), at("2026-12-01T04:00:00Z"));
        let three = Some(at("2026-12-02T03:00:00Z"));
        assert_eq!(table.due(at("2026-12-02T02:59:59Z")), (vec![], three));
        assert_eq!(table.due(at("2026-12-02T03:00:00Z")), (vec![daily.id.clone()], None));
        // The agent was away for three nights, and reads what the one before it wrote.
        let mut table = Timetable::open(dir.path()).unwrap();
        table.told([&daily].into_iter(), at("2026-12-05T12:00:00Z"));
        let now = at("2026-12-05T12:00:00Z");
        assert_eq!(table.due(now).0, std::slice::from_ref(&daily.id));
        table.ran(&daily.id, now);
        assert_eq!(table.due(now), (vec![], Some(at("2026-12-06T03:00:00Z"))));
        assert_eq!(table.says(&daily.id), (None, "next run at 2026-12-06 03:00 UTC".to_owned()));
        table.failed(&daily.id, "no image");
        assert_eq!(table.says(&daily.id).0, Some("no image"));
        let other = spec("0 4 * * *", "UTC");
        table.told([&other].into_iter(), at("2026-12-08T05:00:00Z"));
        assert_eq!(table.due(at("2026-12-08T05:00:00Z")).0, []);
        table.told([].into_iter(), now);
        assert_eq!(table.due(at("2027-01-01T00:00:00Z")), (vec![], None));
    }

    #[test]
    fn a_damaged_file_runs_nothing_at_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("schedules.json"), "{").unwrap();
        let mut table = Timetable::open(dir.path()).unwrap();
        table.told([&spec("* * * * *", "UTC")].into_iter(), at("2026-12-01T04:00:30Z"));
        let next = Some(at("2026-12-01T04:01:00Z"));
        assert_eq!(table.due(at("2026-12-01T04:00:59Z")), (vec![], next));
    }

    #[test]
    fn clocks_that_are_set_forward_or_back_lose_and_repeat_no_run() {
        let berlin = |cron: &str, after: &str| {
            let timing = spec(cron, "Europe/Berlin").schedule.unwrap();
            next_run(&timing, at(after)).unwrap().unwrap().to_string()
        };
        // On 2027-03-28 it is never 02:30; on 2026-10-25 it is twice.
        assert_eq!(berlin("30 2 * * *", "2027-03-28T00:00:00Z"), "2027-03-28T01:30:00Z");
        assert_eq!(berlin("30 2 * * *", "2026-10-25T00:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(berlin("30 2 * * *", "2026-10-25T00:30:00Z"), "2026-10-26T01:30:00Z");
        assert_eq!(berlin("0 * * * *", "2026-10-25T00:00:00Z"), "2026-10-25T01:00:00Z");
        assert_eq!(berlin("0 * * * *", "2026-10-25T01:00:00Z"), "2026-10-25T02:00:00Z");
        assert_eq!(berlin("0 3 * * *", "2026-12-01T00:00:00Z"), "2026-12-01T02:00:00Z");
        let unknown = spec("0 3 * * *", "Moon/Base").schedule.unwrap();
        let error = next_run(&unknown, at("2026-12-01T00:00:00Z")).unwrap_err();
        assert!(error.contains("`Moon/Base`") && error.contains("tzdata"), "{error}");
    }
}
