//! Suspending: the loop leaves a service, or everything, as it is until somebody resumes it.
//!
//! Knows who said so and until when. Refuses to hold up people: what is applied by hand is applied.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use devnet_schema::{
    name::{InstanceId, ServiceName},
    plan::{Change, Plan},
};
use jiff::{SignedDuration, Timestamp, Unit};

use super::{AdapterError, ControlPlane, WATCH};
use crate::{
    api::{Suspension, SuspensionRequest},
    clock,
    store::{SUSPENSION, StoreError},
    time::Time,
};

/// The longest reason, in bytes.
const MAX_REASON: usize = 500;
/// The longest time that something is suspended for.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What holds everything where a record cannot be read.
const UNREAD: &str = "a record of what is suspended cannot be read, so everything stays as it is; \
                      `devnet resume` forgets it";

/// What is left alone now: the reason, and for how long still where that is known.
pub(super) type Pause = (String, Option<Duration>);

/// What the gate holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Suspended {
    /// Everything.
    pub all: Option<Pause>,
    /// Services.
    pub services: BTreeMap<ServiceName, Pause>,
}

impl Suspended {
    /// Of what is on record, what has not ended.
    fn of(all: Vec<Suspension>, now: Timestamp) -> Self {
        let mut suspended = Self::default();
        for suspension in all.into_iter().filter(|it| is_in_force(it, now)) {
            let pause = (sentence(&suspension), left(&suspension, now));
            match suspension.service {
                None => suspended.all = Some(pause),
                Some(service) => drop(suspended.services.insert(service, pause)),
            }
        }
        suspended
    }

    /// What keeps a change from being made: its service is suspended, by the name that it has from
    /// now on or by the one that it runs under.
    pub(super) fn hold(&self, change: &Change) -> Option<&Pause> {
        let of_service = |id: &InstanceId| self.services.get(&id.service);
        let before = change.before.as_ref().and_then(|spec| of_service(&spec.id));
        of_service(&change.instance).or(before)
    }

    /// Why a plan of the loop may not go on.
    fn stops(&self, plan: &Plan) -> Option<&Pause> {
        self.all.as_ref().or_else(|| plan.changes.iter().find_map(|change| self.hold(change)))
    }
}

/// How long one goes on; nothing where it has no end.
fn left(suspension: &Suspension, now: Timestamp) -> Option<Duration> {
    let until = suspension.until?.timestamp();
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

fn is_in_force(suspension: &Suspension, now: Timestamp) -> bool {
    left(suspension, now).is_none_or(|left| !left.is_zero())
}

/// `web is suspended by ada until 2026-01-01T00:00:00Z: the disk is exchanged`.
fn sentence(suspension: &Suspension) -> String {
    let Suspension { service, until, reason, by, at: _ } = suspension;
    let what = service.as_ref().map_or("everything", ServiceName::as_str);
    let until = until.map(|it| format!(" until {:.0}", it.timestamp())).unwrap_or_default();
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("{what} is suspended by {by}{until}{why}")
}

impl ControlPlane {
    /// What is suspended now, that of everything first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn suspensions(&self) -> Result<Vec<Suspension>, AdapterError> {
        let now = clock::now();
        let mut all = self.store.suspensions()?;
        all.retain(|it| is_in_force(it, now));
        Ok(all)
    }

    /// The same, a sentence each.
    pub(super) fn suspended_sentences(&self) -> Vec<String> {
        let all = self.suspensions().unwrap_or_default();
        let unread = self.has_unread_suspensions().then(|| UNREAD.to_owned());
        let told = all.iter().map(|it| format!("{}; `devnet resume` ends that", sentence(it)));
        unread.into_iter().chain(told).collect()
    }

    /// The same, as the gate reads it.
    pub(super) fn suspended(&self) -> Result<Suspended, StoreError> {
        let suspended = Suspended::of(self.store.suspensions()?, clock::now());
        Ok(match self.has_unread_suspensions() {
            true => Suspended { all: Some((UNREAD.to_owned(), None)), ..suspended },
            false => suspended,
        })
    }

    /// Whether a record of what is suspended cannot be read: of which service it is, is not known.
    fn has_unread_suspensions(&self) -> bool {
        self.store.unread().iter().any(|row| row.kind == SUSPENSION)
    }

    /// From now on the loop leaves it as it is.
    ///
    /// # Errors
    /// When no such service is declared or runs, the reason or the time is too long, or it cannot
    /// be written down.
    pub fn suspend(
        &self,
        request: SuspensionRequest,
        by: &str,
    ) -> Result<Suspension, AdapterError> {
        let SuspensionRequest { service, r#for, reason } = request;
        if let Some(service) = &service {
            self.is_known(service)?;
        }
        if reason.len() > MAX_REASON {
            let long = reason.len();
            return Err(AdapterError::Asked(format!(
                "the reason has {long} bytes, and at most {MAX_REASON} are kept: shorten it"
            )));
        }
        if reason.chars().any(char::is_control) {
            let text = "the reason has a line break or another control character: write one line";
            return Err(AdapterError::Asked(text.to_owned()));
        }
        let (now, r#for) = (clock::now(), r#for.map(Duration::from));
        if r#for.is_some_and(|it| it.is_zero() || it > LONGEST) {
            let text = "suspend it for a second at least and a year at most, or leave the time out";
            return Err(AdapterError::Asked(text.to_owned()));
        }
        let until = r#for.and_then(|it| SignedDuration::try_from(it).ok());
        let until = until.and_then(|it| now.checked_add(it).ok()?.round(Unit::Second).ok());
        let suspension = Suspension {
            service,
            until: until.map(Time::from),
            reason,
            by: by.to_owned(),
            at: clock::wall(),
        };
        self.store.suspend(&suspension)?;
        let subject = suspension.service.as_ref().map_or("everything", ServiceName::as_str);
        self.journal.write("sync", subject, &sentence(&suspension));
        self.stop_suspended()?;
        self.wake();
        Ok(suspension)
    }

    /// Cuts short what the loop is doing where something of it is suspended: a step that runs is
    /// finished, and what else is to do is planned anew.
    pub(super) fn stop_suspended(&self) -> Result<(), StoreError> {
        let suspended = self.suspended()?;
        let under_way = {
            let state = self.state();
            let of_loop = state.deploying.as_ref().filter(|it| it.by == WATCH);
            of_loop.map(|it| (it.id.clone(), Arc::clone(&it.plan)))
        };
        if let Some((id, plan)) = under_way
            && let Some((why, _)) = suspended.stops(&plan)
        {
            self.cut_short(&id, why.clone());
        }
        Ok(())
    }

    /// The loop looks after it again.
    ///
    /// # Errors
    /// When it is not suspended, or that cannot be written down.
    pub fn resume(&self, service: Option<&ServiceName>, by: &str) -> Result<(), AdapterError> {
        let what = service.map_or("everything", ServiceName::as_str);
        let now = clock::now();
        let all = self.store.suspensions()?;
        let was = all.iter().any(|it| it.service.as_ref() == service && is_in_force(it, now));
        let unread = service.is_none() && self.store.forget_unread_suspensions()?;
        // One whose time is over is forgotten, too, and was no suspension any more.
        self.store.resume(service)?;
        if !(was || unread) {
            return Err(AdapterError::Missing(format!("{what} is not suspended")));
        }
        self.journal.write("sync", what, &format!("{what} was resumed by {by}"));
        self.wake();
        Ok(())
    }

    fn is_known(&self, service: &ServiceName) -> Result<(), AdapterError> {
        let current = self.state().current.clone();
        let declared = current.is_some_and(|it| it.desired.services.contains_key(service));
        let fleet = self.shown().map_err(|error| AdapterError::Failed {
            act: "looking what runs",
            source: error.into(),
        })?;
        if declared || fleet.instances.iter().any(|it| it.service == *service) {
            return Ok(());
        }
        Err(AdapterError::Missing(format!(
            "there is no service {service}: `devnet get services` lists those there are"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_holds_nothing_and_the_rest_says_who_and_until_when() {
        let of = |service: Option<&str>, until: Option<&str>| Suspension {
            service: service.map(|name| name.parse().unwrap()),
            until: until.map(|it| it.parse().unwrap()),
            reason: "a disk".to_owned(),
            by: "ada".to_owned(),
            at: Time::EPOCH,
        };
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let all = vec![
            of(Some("db"), Some("2026-01-01T00:01:00Z")),
            of(Some("old"), Some("2026-01-01T00:00:00Z")),
            of(Some("web"), None),
        ];
        let suspended = Suspended::of(all, now);
        assert_eq!(suspended.all, None);
        let told: Vec<_> = suspended.services.values().cloned().collect();
        let db = "db is suspended by ada until 2026-01-01T00:01:00Z: a disk".to_owned();
        let web = "web is suspended by ada: a disk".to_owned();
        assert_eq!(told, [(db, Some(Duration::from_secs(60))), (web, None)]);
        let everything = Suspension { reason: String::new(), ..of(None, None) };
        let all = Suspended::of(vec![everything], now).all.unwrap();
        assert_eq!(all, ("everything is suspended by ada".to_owned(), None));
    }
}
