//! A few nodes cut out as a problem of their own.
//!
//! Knows which instances and services belong to the part. Refuses to solve it.
//!
//! Others come before the service in question, so that none of them loses its node. What is spread
//! over nodes outside stays where it is.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    apply,
    budget::{ILPS, SEARCH_NODES},
    change::{self, Change},
};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::index::IndexedProblem,
    outcome::{Assignment, Outcome},
    problem::{Current, InstanceKey, PlacementProblem, ServiceInput, ServiceKey},
};

/// What is placed, by node.
pub(crate) struct PlacedByNode<'a> {
    pub(super) outcome: &'a Outcome<InstanceKey>,
    pub(super) on_node: BTreeMap<&'a str, Vec<&'a InstanceKey>>,
}

/// Some nodes with what is placed there, and which instance is which.
pub(crate) struct Cutout {
    pub(super) problem: PlacementProblem,
    pub(super) instances: BTreeMap<ServiceKey, Vec<InstanceKey>>,
}

impl<'a> PlacedByNode<'a> {
    pub(crate) fn of(outcome: &'a Outcome<InstanceKey>) -> Self {
        let mut on_node: BTreeMap<&str, Vec<&InstanceKey>> = BTreeMap::new();
        for (instance, place) in &outcome.assignments {
            on_node.entry(place.node.as_str()).or_default().push(instance);
        }
        Self { outcome, on_node }
    }

    pub(super) fn of_service(
        &self,
        name: &ServiceKey,
    ) -> impl Iterator<Item = (&'a InstanceKey, &'a Assignment)> {
        let first = InstanceKey { service: name.clone(), index: 0 };
        let name = name.clone();
        let all = self.outcome.assignments.range(first..);
        all.take_while(move |(instance, _)| instance.service == name)
    }

    /// What of other services has its data on one of the nodes and waits: were there room, it would
    /// stay, and that before anything else is placed.
    pub(super) fn waiting_data<'f>(
        &self,
        indexed: &IndexedProblem<'f>,
        service_ix: ServiceIx,
        nodes: &[NodeIx],
    ) -> Vec<(&'f ServiceInput, &'f Current)> {
        let names: BTreeSet<_> =
            nodes.iter().map(|&node| &indexed.nodes[node].input.name).collect();
        let own = &indexed.services[service_ix].input.name;
        let inputs = indexed.services.iter().map(|service| service.input);
        let data = inputs.filter(|input| !input.movable && input.name != *own);
        let waiting = data.flat_map(|input| {
            input.existing().map(move |(&index, current)| (input.instance(index), input, current))
        });
        waiting
            .filter(|(id, _, current)| {
                names.contains(&current.node) && !self.outcome.assignments.contains_key(id)
            })
            .map(|(_, input, current)| (input, current))
            .collect()
    }

    /// The nodes with the changes made, and with so many of the service's waiting instances.
    pub(super) fn cut(
        &self,
        indexed: &IndexedProblem<'_>,
        service_ix: ServiceIx,
        (changes, nodes): (&[Change], &[NodeIx]),
        most: u32,
    ) -> Cutout {
        let own = &indexed.services[service_ix].input.name;
        let mut instances: BTreeMap<ServiceKey, Vec<InstanceKey>> = BTreeMap::new();
        instances.insert(own.clone(), Vec::new());
        for &node in nodes {
            let here = self.on_node.get(indexed.nodes[node].input.name.as_str());
            // What is kept of the service itself gives way to it.
            let others =
                |key: &&&InstanceKey| key.service.retained().is_none_or(|id| *own != id.service);
            for &instance in here.into_iter().flatten().filter(others) {
                instances.entry(instance.service.clone()).or_default().push(instance.clone());
                // Who needs company asks for its service.
                if let Some(id) = instance.service.retained() {
                    instances.entry(ServiceKey::Declared(id.service.clone())).or_default();
                }
            }
        }
        let all = indexed.services[service_ix].input.wanted();
        let all = all.map(|index| InstanceKey { service: own.clone(), index });
        let waiting = all.filter(|instance| !self.outcome.assignments.contains_key(instance));
        instances.entry(own.clone()).or_default().extend(waiting.take(most as usize));
        // One of each that is placed with it.
        for other in change::company(changes) {
            let name = &indexed.services[other].input.name;
            let all = indexed.services[other].input.wanted();
            let mut all = all.map(|index| InstanceKey { service: name.clone(), index });
            let first = all.find(|id| !self.outcome.assignments.contains_key(id));
            instances.entry(name.clone()).or_default().extend(first);
        }
        let inputs = indexed.services.iter().map(|service| service.input);
        let services = inputs
            .filter_map(|input| Some(self.part_of(input, own, instances.get(&input.name)?)))
            .collect();
        let mut limits = indexed.problem.limits.clone();
        limits.rebalance = false;
        limits.ilps = limits.ilps.min(ILPS);
        limits.search_nodes = limits.search_nodes.min(SEARCH_NODES);
        let nodes = nodes.iter().map(|&node| indexed.nodes[node].input.clone()).collect();
        let objective = indexed.problem.objective;
        let leaving = BTreeSet::new();
        let mut problem = PlacementProblem { nodes, services, leaving, objective, limits };
        apply::make(indexed, service_ix, changes, &mut problem);
        hold_spread(indexed, &mut problem);
        Cutout { problem, instances }
    }

    /// A service with these instances only. All others come before the one in question: none of
    /// them may lose its node.
    pub(super) fn part_of(
        &self,
        input: &ServiceInput,
        own: &ServiceKey,
        instances: &[InstanceKey],
    ) -> ServiceInput {
        let current = |(index, instance): (usize, &InstanceKey)| {
            let was = input.current.get(&instance.index);
            let Some(place) = self.outcome.assignments.get(instance) else {
                // Data that waits may stay where it is, once something makes that possible.
                return was.filter(|_| !input.movable).map(|it| (index as u32, it.clone()));
            };
            let runs = was.is_some_and(|it| it.node == place.node);
            let held = runs && was.is_some_and(|it| it.held);
            let current = Current { node: place.node.clone(), gpus: place.gpus.clone(), held };
            (input.movable || runs).then_some((index as u32, current))
        };
        ServiceInput {
            replicas: instances.len() as u32,
            numbers: None,
            priority: u8::from(input.name != *own),
            current: instances.iter().enumerate().filter_map(current).collect(),
            holdings: BTreeMap::new(),
            ..input.clone()
        }
    }
}

pub(crate) fn input_of<'f>(
    indexed: &IndexedProblem<'f>,
    name: &ServiceKey,
) -> Option<&'f ServiceInput> {
    number_of(indexed, name).map(|service| indexed.services[service].input)
}

pub(crate) fn number_of(indexed: &IndexedProblem<'_>, name: &ServiceKey) -> Option<ServiceIx> {
    indexed.services.search(|service| service.input.name.cmp(name))
}

/// A part knows nothing of the domains outside: what is spread stays where it is, and for what is
/// placed of it the verifier decides.
fn hold_spread(indexed: &IndexedProblem<'_>, problem: &mut PlacementProblem) {
    let spread = |input: &ServiceInput| {
        input_of(indexed, &input.name).is_some_and(|whole| !whole.spread.is_empty())
    };
    for input in problem.services.iter_mut().filter(|input| spread(input)) {
        input.movable = false;
        input.spread.clear();
    }
}
