//! A bound on wrong credentials: a bucket of tries for each address, or each account.
//!
//! Pure: the time is an argument. Knows who failed lately and forgets the oldest when
//! there are too many. Refuses to be asked about right credentials.

use std::{collections::BTreeMap, time::Duration};

/// Tries that one has before it must wait.
const BURST: f64 = 20.0;
/// Tries that come back each second.
const REFILL: f64 = 0.5;
/// How many are remembered at most.
const MOST: usize = 4096;

/// Who failed lately.
#[derive(Debug)]
pub(super) struct Failures<K> {
    buckets: BTreeMap<K, Bucket>,
}

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Self { buckets: BTreeMap::new() }
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Duration,
}

impl Bucket {
    fn refilled(self, now: Duration) -> f64 {
        let gained = now.saturating_sub(self.at).as_secs_f64() * REFILL;
        (self.left + gained).min(BURST)
    }
}

impl<K: Ord + Clone> Failures<K> {
    /// A credential from `from` was wrong: whether it had a try left.
    pub(super) fn failed(&mut self, from: K, now: Duration) -> bool {
        if self.buckets.len() >= MOST && !self.buckets.contains_key(&from) {
            self.buckets.retain(|_, bucket| bucket.refilled(now) < BURST);
            if self.buckets.len() >= MOST {
                let oldest =
                    self.buckets.iter().min_by_key(|(_, b)| b.at).map(|(who, _)| who.clone());
                oldest.map(|who| self.buckets.remove(&who));
            }
        }
        let bucket = self.buckets.entry(from).or_insert(Bucket { left: BURST, at: now });
        let had = bucket.refilled(now);
        *bucket = Bucket { left: if had >= 1.0 { had - 1.0 } else { had }, at: now };
        had >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(n))
    }

    #[test]
    fn an_address_that_fails_too_often_waits_and_others_do_not() {
        let mut failures = Failures::default();
        let now = Duration::from_secs(100);
        for _ in 0..20 {
            assert!(failures.failed(ip(1), now));
        }
        assert!(!failures.failed(ip(1), now));
        assert!(failures.failed(ip(2), now));
        assert!(!failures.failed(ip(1), now + Duration::from_secs(1)));
        assert!(failures.failed(ip(1), now + Duration::from_secs(2)));
    }

    #[test]
    fn the_table_is_bounded_and_keeps_those_who_failed_last() {
        let mut failures = Failures::default();
        for n in 0..10_000 {
            failures.failed(ip(n), Duration::from_millis(u64::from(n)));
        }
        assert!(failures.buckets.len() <= MOST);
        assert!(failures.buckets.contains_key(&ip(9_999)));
    }
}
