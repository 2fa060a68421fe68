//! Why a new instance is where it is, and what drove a moved one away, in a few words.
//!
//! Knows the finished placement, and what would fit on it if one instance were not there. Refuses
//! to solve anything, and to look at more than so many nodes in all: beyond that it says no more
//! than what is always so.
//!
//! People ask of every new instance why there. `the only node with room for it`, `pinned to n1`,
//! `most room left: 40% of memory`.

pub(crate) mod away;
pub(crate) mod here;
pub(crate) mod obstacle;
pub(crate) mod taker;
pub(crate) mod takers;

use std::{cell::Cell as Counter, collections::BTreeMap};

use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{indices::Assignments, partial::PartialPlacement},
    outcome::{Assignment, Displaced, Reason},
    problem::{InstanceKey, ServiceKey},
};
use taker::{Taker, taker};

/// Looks at one service on one node, a spread line counted as one for each node of the service.
const LOOKS: u32 = 1_000_000;

/// Where no single thing decides.
pub(crate) const WHOLE: &str = "part of the best placement found";

/// Gives every new and every moved instance its reason. Returns what runs and has no place, with
/// who took it.
pub(crate) fn tell(
    partial: &PartialPlacement<'_>,
    assignments: &mut Assignments,
) -> BTreeMap<InstanceKey, Displaced> {
    let mut explainer = Explainer::new(partial, assignments);
    let mut known: BTreeMap<(ServiceIx, NodeIx, Option<NodeIx>), Reason> = BTreeMap::new();
    for (instance, place) in assignments.iter_mut() {
        let Some((service, node)) = explainer.position(instance, place) else { continue };
        let from = match &place.reason {
            Reason::New { .. } => None,
            Reason::Moves { from, .. } => match explainer.nodes.get(from.as_str()) {
                Some(&old) => Some(old),
                None => continue,
            },
            _ => continue,
        };
        let reason = known
            .entry((service, node, from))
            .or_insert_with(|| explainer.reason(service, node, from));
        place.reason = reason.clone();
    }
    explainer.displaced(assignments)
}

pub(crate) struct Explainer<'b, 'f> {
    partial: &'b PartialPlacement<'f>,
    /// A copy to take instances from and put them back.
    bench: PartialPlacement<'f>,
    nodes: BTreeMap<&'f str, NodeIx>,
    services: BTreeMap<&'f ServiceKey, ServiceIx>,
    /// By node, the highest priority first.
    takers: BTreeMap<NodeIx, Vec<Taker>>,
    looks: Counter<u32>,
}

impl<'b, 'f> Explainer<'b, 'f> {
    pub(super) fn new(partial: &'b PartialPlacement<'f>, assignments: &Assignments) -> Self {
        let indexed = partial.indexed;
        let nodes = indexed.nodes.enumerate().map(|(node, it)| (it.input.name.as_str(), node));
        let services = indexed.services.enumerate().map(|(service, it)| (&it.input.name, service));
        let mut explainer = Self {
            partial,
            bench: partial.clone(),
            nodes: nodes.collect(),
            services: services.collect(),
            takers: BTreeMap::new(),
            looks: Counter::new(LOOKS),
        };
        for (instance, place) in assignments {
            let Some((service, node)) = explainer.position(instance, place) else { continue };
            let came = matches!(place.reason, Reason::New { .. } | Reason::Moves { .. });
            if let Some(taker) = taker(&indexed.services[service], (instance, service), came) {
                explainer.takers.entry(node).or_default().push(taker);
            }
        }
        for here in explainer.takers.values_mut() {
            here.sort_by_key(|it| indexed.services[it.service].level);
        }
        explainer
    }

    pub(super) fn position(
        &self,
        instance: &InstanceKey,
        place: &Assignment,
    ) -> Option<(ServiceIx, NodeIx)> {
        let service = self.services.get(&instance.service)?;
        Some((*service, *self.nodes.get(place.node.as_str())?))
    }

    pub(super) fn reason(
        &mut self,
        service: ServiceIx,
        node: NodeIx,
        from: Option<NodeIx>,
    ) -> Reason {
        match from {
            None => Reason::New { why: self.here(service, node) },
            Some(old) => {
                let from = self.partial.indexed.nodes[old].input.name.clone();
                Reason::Moves { from, because: self.away(service, node, old) }
            }
        }
    }

    /// What `look` sees on the placement without one instance of the service on the node.
    pub(super) fn without<T>(
        &mut self,
        service: ServiceIx,
        node: NodeIx,
        look: impl FnOnce(&Self, &PartialPlacement<'f>) -> T,
    ) -> T {
        let devices = self.bench.devices(node);
        self.bench.remove(service, node);
        let seen = look(self, &self.bench);
        self.bench.add(service, node);
        // Given back, they would be arranged anew.
        self.bench.set_devices(node, devices);
        seen
    }
}
