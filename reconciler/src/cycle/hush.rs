//! What repeats is told once and then counted, so that nobody can fill the journal.
//!
//! Pure: the time is an argument. Knows keys and counts. Refuses to remember more keys than it was
//! given room for: what is beyond them is counted together.

use std::{collections::BTreeMap, time::Duration};

/// Tells one thing of a kind in each stretch of time.
#[derive(Debug)]
pub(super) struct Hush<K> {
    every: Duration,
    most: usize,
    told: BTreeMap<K, Since>,
    /// Of keys there was no room for.
    others: u64,
}

#[derive(Debug, Clone, Copy)]
struct Since {
    at: Duration,
    left_out: u64,
}

impl<K: Ord + Clone> Hush<K> {
    /// One of a kind every so long, and at most so many kinds at once.
    pub(super) fn new(every: Duration, most: usize) -> Self {
        Self { every, most, told: BTreeMap::new(), others: 0 }
    }

    /// Something of kind `key` happened: whether it is to be told now.
    pub(super) fn happened(&mut self, key: K, now: Duration) -> bool {
        if let Some(since) = self.told.get_mut(&key) {
            since.left_out += 1;
            return false;
        }
        if self.told.len() >= self.most {
            self.others += 1;
            return false;
        }
        self.told.insert(key, Since { at: now, left_out: 0 });
        true
    }

    /// What was left out and is to be told now, and how often it happened; `None` stands for all
    /// that there was no room for. What did not happen again is forgotten.
    pub(super) fn due(&mut self, now: Duration) -> Vec<(Option<K>, u64)> {
        let mut due = Vec::new();
        let over = |since: &Since| now.saturating_sub(since.at) >= self.every;
        let had_room = self.told.values().any(over);
        self.told.retain(|key, since| {
            if now.saturating_sub(since.at) < self.every {
                return true;
            }
            if since.left_out == 0 {
                return false;
            }
            due.push((Some(key.clone()), since.left_out));
            *since = Since { at: now, left_out: 0 };
            true
        });
        if self.others > 0 && had_room {
            due.push((None, std::mem::take(&mut self.others)));
        }
        due
    }

    /// Whether nothing is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty() && self.others == 0
    }
}

/// So many at once and so many a second; the rest is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    left: f64,
    at: Duration,
    left_out: u64,
}

impl Flow {
    /// Told at once, at most.
    pub(super) const BURST: f64 = 300.0;
    /// Told each second, in the long run.
    pub(super) const RATE: f64 = 1.0;

    /// With all of its room at `now`.
    pub(super) fn new(now: Duration) -> Self {
        Self { left: Self::BURST, at: now, left_out: 0 }
    }

    fn refill(&mut self, now: Duration) {
        let gained = now.saturating_sub(self.at).as_secs_f64() * Self::RATE;
        self.left = (self.left + gained).min(Self::BURST);
        self.at = now;
    }

    /// Something happened: whether it is to be told now.
    pub(super) fn happened(&mut self, now: Duration) -> bool {
        self.refill(now);
        if self.left < 1.0 {
            self.left_out += 1;
            return false;
        }
        self.left -= 1.0;
        true
    }

    /// How many were left out since this was asked last.
    pub(super) fn due(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// Whether nothing was told for so long that it need not be remembered.
    pub(super) fn is_full(&mut self, now: Duration) -> bool {
        self.refill(now);
        self.left >= Self::BURST && self.left_out == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_flood_is_told_once_and_counted_once_a_minute() {
        let mut hush = Hush::new(MINUTE, 10);
        let told = (0..6000_u64)
            .filter(|n| hush.happened("n1", Duration::from_millis(n * 10)))
            .collect::<Vec<_>>();
        assert_eq!(told, [0]);
        assert_eq!(hush.due(Duration::from_secs(59)), []);
        assert_eq!(hush.due(MINUTE), [(Some("n1"), 5999)]);
        assert!(!hush.happened("n1", MINUTE + Duration::from_secs(1)));
        assert_eq!(hush.due(MINUTE * 2), [(Some("n1"), 1)]);
        assert_eq!(hush.due(MINUTE * 3), []);
        assert!(hush.is_empty());
        assert!(hush.happened("n1", MINUTE * 3));
    }

    #[test]
    fn keys_that_somebody_makes_up_are_counted_together() {
        let mut hush = Hush::new(MINUTE, 10);
        let told = (0..1000).filter(|n| hush.happened(*n, Duration::from_millis(*n))).count();
        assert_eq!(told, 10);
        assert_eq!(hush.due(MINUTE * 2), [(None, 990)]);
        assert!(hush.is_empty());
    }

    #[test]
    fn a_flow_has_a_burst_and_then_a_rate() {
        let mut flow = Flow::new(Duration::ZERO);
        let told = (0..1000).filter(|_| flow.happened(Duration::ZERO)).count();
        assert_eq!((told, flow.due(), flow.due()), (300, 700, 0));
        assert!(flow.happened(Duration::from_secs(1)));
        assert!(!flow.happened(Duration::from_secs(1)));
        assert!(!flow.is_full(Duration::from_secs(2)));
        flow.due();
        assert!(flow.is_full(Duration::from_secs(1000)));
    }
}
