//! How solving is watched and stopped from outside.
//!
//! Knows what the watch is told and what it may answer. Refuses to know a clock: who asks has one.
//!
//! The planner itself must not read a clock, and a person still wants `-solve-limit=10s`. The
//! command line passes a closure that holds the clock and answers `Pace::Within`, `Pace::Free` or
//! `Pace::Stop`.

use std::time::Duration;

/// What is known at one moment of solving.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Placed at each level by the best placement so far, highest priority first.
    pub placed: &'a [u32],
    /// Integer programs solved so far.
    pub ilps: u32,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As long as the limits of the problem allow: the same answer everywhere.
    Free,
    /// At most so long. Integer programs are told to end in time; the answer may depend on the
    /// machine.
    Within(Duration),
    /// Not any more: the best placement so far is the answer.
    Stop,
}

impl Pace {
    /// What is left of a limit of time, if there is one, once `elapsed` has gone by.
    #[must_use]
    pub fn left(limit: Option<Duration>, elapsed: Duration) -> Self {
        match limit.map(|limit| limit.saturating_sub(elapsed)) {
            None => Self::Free,
            Some(Duration::ZERO) => Self::Stop,
            Some(rest) => Self::Within(rest),
        }
    }
}

/// Asked again and again while solving.
pub type Watch<'w> = &'w mut dyn FnMut(&Progress<'_>) -> Pace;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_runs_out_and_no_limit_never_does() {
        let [one, two, nine] = [1, 2, 9].map(Duration::from_secs);
        assert_eq!(Pace::left(None, nine), Pace::Free);
        assert_eq!(Pace::left(Some(two), one), Pace::Within(one));
        assert_eq!(Pace::left(Some(two), two), Pace::Stop);
        assert_eq!(Pace::left(Some(two), nine), Pace::Stop);
    }
}
