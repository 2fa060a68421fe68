//! The two clocks of the control plane: one that never goes back, and one for people.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Moment;

/// RFC 3339 in UTC, always with milliseconds: comparing two texts compares the times.
pub fn wall() -> String {
    format!("{:.3}", Timestamp::now())
}

/// The same in milliseconds since 1970.
pub fn wall_millis() -> i64 {
    Timestamp::now().as_millisecond()
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
