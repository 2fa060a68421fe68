//! A bound on wrong credentials: a bucket of tries for each address.
//!
//! Pure: the time is an argument. Knows addresses that failed lately and forgets the oldest when
//! there are too many. Refuses to be asked about right credentials.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Tries that an address has before it must wait.
const BURST: f64 = 20.0;
/// Tries that come back each second.
const REFILL: f64 = 0.5;
/// Addresses remembered at most.
const MOST: usize = 4096;

/// Who failed lately.
#[derive(Debug, Default)]
pub(super) struct Failures {
    buckets: BTreeMap<IpAddr, Bucket>,
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

impl Failures {
    /// A credential from `from` was wrong: whether it had a try left.
    pub(super) fn failed(&mut self, from: IpAddr, now: Duration) -> bool {
        if self.buckets.len() >= MOST && !self.buckets.contains_key(&from) {
            self.buckets.retain(|_, bucket| bucket.refilled(now) < BURST);
            if self.buckets.len() >= MOST {
                let oldest = self.buckets.iter().min_by_key(|(_, b)| b.at).map(|(ip, _)| *ip);
                oldest.map(|ip| self.buckets.remove(&ip));
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
    use std::net::Ipv4Addr;

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
