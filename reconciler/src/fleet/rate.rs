//! How much an agent may say in a second.
//!
//! Pure: the time is an argument. Knows a budget that refills. Refuses to drop anything: whoever
//! says too much is read more slowly, and waits.

use std::time::Duration;

/// Frames of up to [`FRAME`] bytes that may come at once.
const BURST: f64 = 1000.0;
/// The same, each second in the long run.
const RATE: f64 = 200.0;
/// What counts as one frame; a longer one counts for several.
const FRAME: usize = 64 << 10;

/// One agent's budget.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    left: f64,
    at: Duration,
}

impl Rate {
    /// The whole budget at `now`.
    pub(super) fn new(now: Duration) -> Self {
        Self { left: BURST, at: now }
    }

    /// Counts a frame of so many bytes. Gives how long to wait before the next one is read.
    pub(super) fn heard(&mut self, bytes: usize, now: Duration) -> Duration {
        let gained = now.saturating_sub(self.at).as_secs_f64() * RATE;
        self.left = (self.left + gained).min(BURST) - (1 + bytes / FRAME) as f64;
        self.at = now;
        Duration::from_secs_f64((-self.left / RATE).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_slowed_to_the_rate_and_an_honest_agent_never() {
        let mut rate = Rate::new(Duration::ZERO);
        let mut now = Duration::ZERO;
        for _ in 0..11_000 {
            now += rate.heard(200, now);
        }
        assert_eq!(now.as_secs(), 50);
        let mut rate = Rate::new(Duration::ZERO);
        for second in 0..100 {
            for _ in 0..150 {
                assert_eq!(rate.heard(4000, Duration::from_secs(second)), Duration::ZERO);
            }
        }
    }

    #[test]
    fn long_frames_count_for_several() {
        let mut rate = Rate::new(Duration::ZERO);
        let waits: Duration = (0..20).map(|_| rate.heard(8 << 20, Duration::ZERO)).sum();
        assert!(waits > Duration::from_secs(8), "{waits:?}");
    }
}
