//! How often the certificates of nodes are renewed.
//!
//! Pure: the time is an argument. Knows when each node was given its last ones. Refuses what no
//! agent of ours asks for: one renews at half of a certificate's life, and tries again an hour
//! later.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use devnet_schema::name::NodeName;

/// So many certificates a node is given within [`WITHIN`].
pub(super) const MOST: usize = 4;

/// The time in which they are counted.
pub(super) const WITHIN: Duration = Duration::from_secs(3600);

/// When certificates were given, by node.
#[derive(Debug, Default)]
pub(super) struct Renewals(BTreeMap<NodeName, VecDeque<Duration>>);

impl Renewals {
    /// Whether a node may have one now; counts it when it may.
    pub(super) fn grant(&mut self, node: &NodeName, now: Duration) -> bool {
        let given = self.0.entry(node.clone()).or_default();
        while given.front().is_some_and(|at| now.saturating_sub(*at) >= WITHIN) {
            given.pop_front();
        }
        if given.len() >= MOST {
            return false;
        }
        given.push_back(now);
        true
    }

    /// A node was removed.
    pub(super) fn forget(&mut self, node: &NodeName) {
        self.0.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_an_hour_are_given_to_each_node_and_no_more() {
        let (n1, n2) = ("n1".parse().unwrap(), "n2".parse().unwrap());
        let mut renewals = Renewals::default();
        let granted = |renewals: &mut Renewals, node: &NodeName, from: u64| {
            let asked =
                (0..1000u32).map(|number| Duration::from_secs(from) + WITHIN * number / 1000);
            asked.filter(|now| renewals.grant(node, *now)).count()
        };
        assert_eq!(granted(&mut renewals, &n1, 0), MOST);
        assert_eq!(granted(&mut renewals, &n2, 0), MOST, "one node costs another nothing");
        // Each of the first hour's makes room for one of the second's.
        assert_eq!(granted(&mut renewals, &n1, 3600), MOST);
        renewals.forget(&n1);
        assert!(renewals.grant(&n1, Duration::from_secs(7200)));
    }
}
