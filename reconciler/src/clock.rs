//! The two clocks of the control plane: one that never goes back, and one for people.
//!
//! Knows how they are read. Refuses to be read by what keeps records or decides about them (`auth`,
//! `store`, `secrets`): they take the time as an argument, so that a test can say what it is.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::time::Time;

/// What the wall clock says.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The same, as records hold it.
pub fn wall() -> Time {
    now().into()
}

/// A time that never goes back, and the wall clock's at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Since the control plane started: for intervals.
    pub since_start: Duration,
    /// For people and records.
    pub wall: Time,
}

/// Started with the process.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that reads zero now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Since the start.
    pub fn since_start(&self) -> Duration {
        self.started.elapsed()
    }

    /// Now.
    pub fn now(&self) -> Moment {
        Moment { since_start: self.since_start(), wall: wall() }
    }
}
