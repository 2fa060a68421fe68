//! How many instances a service has, and which numbers they have.
//!
//! Knows counts and numbers. Refuses to know which nodes there are: a planner finds the numbers of
//! a service that has one instance on each node.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::name::NodeName;

/// How many instances a service has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replicas {
    /// So many, numbered from 0.
    Count(u32),
    /// One on each eligible node.
    PerNode(PerNode),
}

/// The instances of a service that has one on each eligible node. As a file is read there are none
/// yet: which nodes there are, a planner knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PerNode {
    /// Their numbers. A number stays with its node, so some may be missing between others.
    pub numbers: BTreeSet<u32>,
    /// Nodes where some of it runs or has data that are none of its nodes any more, and why.
    pub left: BTreeMap<NodeName, String>,
}

impl Replicas {
    /// Whether the instance of that number is wanted.
    pub fn wants(&self, index: u32) -> bool {
        match self {
            Self::Count(count) => index < *count,
            Self::PerNode(all) => all.numbers.contains(&index),
        }
    }

    /// How many are wanted.
    pub fn count(&self) -> u32 {
        match self {
            Self::Count(count) => *count,
            Self::PerNode(all) => all.numbers.len() as u32,
        }
    }

    /// The numbers of those that are wanted, in order.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        let (count, own) = match self {
            Self::Count(count) => (*count, None),
            Self::PerNode(all) => (0, Some(&all.numbers)),
        };
        (0..count).chain(own.into_iter().flatten().copied())
    }

    /// Whether there is one on each eligible node.
    pub fn is_per_node(&self) -> bool {
        matches!(self, Self::PerNode(_))
    }

    /// Whether there may be more than one, as far as a file says.
    pub fn may_be_several(&self) -> bool {
        match self {
            Self::Count(count) => *count > 1,
            Self::PerNode(_) => true,
        }
    }

    /// Whether none is wanted, whatever nodes there are.
    pub fn is_none(&self) -> bool {
        *self == Self::Count(0)
    }
}

impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::PerNode(_) => f.write_str("per-node"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_first_ones_or_those_of_the_nodes() {
        let counted = Replicas::Count(2);
        assert_eq!(counted.numbers().collect::<Vec<_>>(), [0, 1]);
        assert!(counted.wants(1) && !counted.wants(2));
        let numbers = BTreeSet::from([1, 4]);
        let each = Replicas::PerNode(PerNode { numbers, left: BTreeMap::new() });
        assert_eq!(each.numbers().collect::<Vec<_>>(), [1, 4]);
        assert!(each.wants(4) && !each.wants(0));
        assert_eq!(each.count(), 2);
    }
}
