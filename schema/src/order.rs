//! What nodes were told to run, in the form that plans read.
//!
//! Knows which of the units that agents report somebody ordered. Refuses to know how that came to
//! be on record, and never takes a report for an order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    fleet::FleetSnapshot,
    instance::Generation,
    name::{InstanceId, NodeName},
};

/// The highest generation there can be: above it, numbers are not the same in every program that
/// reads JSON, and none was ever given out.
pub const MAX_GENERATION: Generation = 1 << 53;

/// How far above what was given out a reported generation is believed. A database that was put
/// back, or lost, lags behind what runs by less; and no node can use numbers up by claiming them.
pub const BELIEVED_ABOVE: Generation = 1 << 20;

/// Whether a generation that a node reports is believed where `issued` is the highest on record.
pub fn is_believed(issued: Generation, reported: Generation) -> bool {
    reported <= issued.saturating_add(BELIEVED_ABOVE) && reported < MAX_GENERATION
}

/// One instance that a node was told to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which.
    pub instance: InstanceId,
    /// Where.
    pub node: NodeName,
    /// As of which generation.
    pub generation: Generation,
    /// Nobody has a record of it: the node itself said so when the records were lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claimed: bool,
    /// It is claimed, and the node has the receipt that came with the order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shown: bool,
}

/// A generation that a node has written down, and below which it refuses every step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Where.
    pub node: NodeName,
    /// Of which instance.
    pub instance: InstanceId,
    /// Which.
    pub generation: Generation,
}

/// What a unit on a node is to the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It was ordered there, as of this generation.
    Ordered(Generation),
    /// The records were lost, and the node says that it was ordered.
    Claimed,
    /// Nobody ordered it there.
    Stranger,
}

/// The orders of a snapshot, by instance and node.
#[derive(Debug, Clone)]
pub struct OrderBook<'a> {
    orders: Option<BTreeMap<(&'a InstanceId, &'a NodeName), &'a Order>>,
    /// The highest generation that any node was told, by instance.
    ordered: BTreeMap<&'a InstanceId, Generation>,
}

impl<'a> OrderBook<'a> {
    /// Of a snapshot. One that does not tell orders is all there is to know, so what stands in it
    /// is taken to have been ordered.
    pub fn of(fleet: &'a FleetSnapshot) -> Self {
        let mut ordered = BTreeMap::new();
        for order in fleet.orders.iter().flatten().filter(|order| !order.claimed) {
            let highest = ordered.entry(&order.instance).or_insert(0);
            *highest = order.generation.max(*highest);
        }
        let by_place = |all: &'a Vec<Order>| {
            all.iter().map(|order| ((&order.instance, &order.node), order)).collect()
        };
        Self { orders: fleet.orders.as_ref().map(by_place), ordered }
    }

    /// What a unit is that a node reports as of `generation`.
    pub fn standing(
        &self,
        instance: &InstanceId,
        node: &NodeName,
        generation: Generation,
    ) -> Standing {
        let Some(orders) = &self.orders else { return Standing::Ordered(generation) };
        match orders.get(&(instance, node)) {
            Some(order) if order.claimed => Standing::Claimed,
            Some(order) => Standing::Ordered(order.generation),
            None => Standing::Stranger,
        }
    }

    /// As of which generation a node claims the instance, since the records were lost or put back.
    pub fn claimed(&self, instance: &InstanceId, node: &NodeName) -> Option<Generation> {
        let order = self.orders.as_ref()?.get(&(instance, node))?;
        order.claimed.then_some(order.generation)
    }

    /// Whether the node that claims the instance has the receipt that came with the order.
    pub fn is_shown(&self, instance: &InstanceId, node: &NodeName) -> bool {
        let orders = self.orders.as_ref();
        orders.and_then(|orders| orders.get(&(instance, node))).is_some_and(|order| order.shown)
    }

    /// Where the instance was ordered as of the highest generation on record.
    pub fn ordered_on(&self, instance: &InstanceId) -> Option<&'a NodeName> {
        let highest = self.ordered(instance)?;
        let all = self.orders.iter().flatten();
        let mut here = all.filter(|((id, _), it)| *id == instance && !it.claimed);
        here.find(|(_, it)| it.generation == highest).map(|((_, node), _)| *node)
    }

    /// The highest generation that any node is on record as told to run the instance; `None` where
    /// none is.
    pub fn ordered(&self, instance: &InstanceId) -> Option<Generation> {
        self.ordered.get(instance).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reported_number_is_believed_within_a_bound_that_never_ends_the_numbers() {
        assert!(is_believed(0, 0));
        assert!(is_believed(7, 7 + BELIEVED_ABOVE));
        assert!(!is_believed(7, 8 + BELIEVED_ABOVE));
        assert!(!is_believed(u64::MAX, u64::MAX));
        assert!(!is_believed(MAX_GENERATION, MAX_GENERATION));
    }
}
