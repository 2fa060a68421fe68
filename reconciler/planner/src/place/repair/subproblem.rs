//! A few nodes of a large fleet planned again, everything else left as it is.
//!
//! Knows how an answer is put back into the whole. Refuses to believe it: the verifier, which
//! shares nothing with the search, has to find no fault.
//!
//! Planning two hundred nodes for each try would take minutes. Nobody else may lose a node by it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    apply,
    change::Change,
    cut::{Cutout, PlacedByNode, input_of, number_of},
};
use crate::place::{
    effort::spent::Spent,
    ix::{NodeIx, ServiceIx},
    model::{index::IndexedProblem, indices::Assignments},
    outcome::Assignment,
    problem::{InstanceKey, PlacementProblem, ServiceKey},
    search::{locks::settled, shift, strategy},
    verify::breaches,
};

/// What came of a part, in the whole.
pub(crate) struct Replanned {
    /// Instances that are elsewhere than before, or had no node.
    pub placed: Assignments,
    /// Instances of the service that have a node beyond those that had one.
    pub gained: u32,
}

impl<'a> PlacedByNode<'a> {
    /// Plans some nodes again, the rest as it is, with the changes made: nothing of another
    /// service loses its node, and as much of service `s` as can be gets one, of so many instances
    /// at most. Nothing where no more of it does, or where the verifier finds a fault in the whole.
    pub(crate) fn replan(
        &self,
        indexed: &IndexedProblem<'_>,
        service: ServiceIx,
        (changes, nodes, most): (&[Change], &[NodeIx], u32),
        spent: &mut Spent<'_>,
    ) -> Option<Replanned> {
        let name = &indexed.services[service].input.name;
        let part = self.cut(indexed, service, (changes, nodes), most);
        let solved = settled(&part.problem);
        let mut partial = strategy::placed(&solved, spent);
        let before = partial.clone();
        shift::return_home(&mut partial);
        let partial = if partial.sound() { partial } else { before };
        let wanting = |other: &ServiceIx| solved.services[*other].input.name != *name;
        if solved.services.positions().filter(wanting).any(|other| partial.missing(other) > 0) {
            return None;
        }
        let answer = crate::place::model::indices::assign(&partial);
        let whole: Assignments = answer
            .into_iter()
            .filter_map(|(id, place)| {
                let instance = part.instances.get(&id.service)?.get(id.index as usize)?;
                Some((instance.clone(), place))
            })
            .collect();
        let has = |instance: &InstanceKey| self.outcome.assignments.get(instance);
        let fresh = whole.keys().filter(|id| id.service == *name && has(id).is_none());
        let gained = fresh.count() as u32;
        if gained == 0 || !self.holds(indexed, service, changes, &whole) {
            return None;
        }
        let elsewhere = |(instance, place): &(InstanceKey, Assignment)| {
            has(instance).is_none_or(|before| before.node != place.node)
        };
        let placed: Assignments = whole.into_iter().filter(elsewhere).collect();
        let silent = placed
            .keys()
            .any(|id| self.has_data_here(indexed, id) && !let_go(indexed, changes, id));
        let helps = !silent && self.hurts_none(indexed, service, (changes, nodes), spent);
        helps.then_some(Replanned { placed, gained })
    }

    /// Whether all others keep a node when all that wait of the service are placed by its priority:
    /// what a plan does, however few of them the changes are meant for.
    fn hurts_none(
        &self,
        indexed: &IndexedProblem<'_>,
        service_ix: ServiceIx,
        (changes, nodes): (&[Change], &[NodeIx]),
        spent: &mut Spent<'_>,
    ) -> bool {
        // Its own data, too, may stay where it is once a line is dropped.
        let own = indexed.services[service_ix].input;
        let data = own.current.values().filter(|_| !own.movable);
        let data = data.filter_map(|it| indexed.nodes.position(|node| node.input.name == it.node));
        let nodes: BTreeSet<NodeIx> = nodes.iter().copied().chain(data).collect();
        let nodes: Vec<NodeIx> = nodes.into_iter().collect();
        let Cutout { mut problem, .. } = self.cut(indexed, service_ix, (changes, &nodes), u32::MAX);
        let mut may_miss: BTreeMap<&ServiceKey, u32> = BTreeMap::new();
        for (input, current) in self.waiting_data(indexed, service_ix, &nodes) {
            *may_miss.entry(&input.name).or_insert(0) += 1;
            let known = problem.services.iter().position(|it| it.name == input.name);
            let at = known.unwrap_or_else(|| {
                problem.services.push(self.part_of(input, &input.name, &[]));
                problem.services.len() - 1
            });
            let again = &mut problem.services[at];
            again.current.insert(again.replicas, current.clone());
            again.replicas += 1;
        }
        for input in &mut problem.services {
            input.priority = input_of(indexed, &input.name).map_or(0, |whole| whole.priority);
        }
        let solved = settled(&problem);
        let partial = strategy::placed(&solved, spent);
        solved.services.enumerate().all(|(other, service)| {
            let name = &service.input.name;
            let may_miss = may_miss.get(name).copied().unwrap_or(0);
            *name == indexed.services[service_ix].input.name || partial.missing(other) <= may_miss
        })
    }

    /// Whether an instance with data runs where it was placed.
    fn has_data_here(&self, indexed: &IndexedProblem<'_>, instance: &InstanceKey) -> bool {
        let place = self.outcome.assignments.get(instance);
        let input = input_of(indexed, &instance.service).filter(|input| !input.movable);
        input.zip(place).is_some_and(|(input, place)| {
            input.current.get(&instance.index).is_some_and(|it| it.node == place.node)
        })
    }

    /// Whether the verifier finds no fault in the whole with the changes made. It is shown every
    /// instance on the nodes that changed, all of those services elsewhere, and all that is spread.
    pub(super) fn holds(
        &self,
        indexed: &IndexedProblem<'_>,
        service_ix: ServiceIx,
        changes: &[Change],
        new: &Assignments,
    ) -> bool {
        let mut names: BTreeSet<&ServiceKey> = new.keys().map(|it| &it.service).collect();
        // A node that is new or larger may be one more to be spread over.
        if changes.iter().any(Change::is_about_nodes) {
            let inputs = indexed.services.iter().map(|service| service.input);
            names.extend(inputs.filter(|it| !it.spread.is_empty()).map(|it| &it.name));
        }
        let mut open: Vec<&ServiceKey> = names.iter().copied().collect();
        // The company that they need, too.
        while let Some(name) = open.pop() {
            let needed = number_of(indexed, name).into_iter().flat_map(|service_ix| {
                let near = indexed.services[service_ix].near.iter();
                near.flat_map(|&other| {
                    indexed.services[other].counterparts.iter().copied().chain([other])
                })
            });
            let needed = needed.map(|other| &indexed.services[other].input.name);
            open.extend(needed.filter(|name| names.insert(name)));
        }
        let services = names.iter().filter_map(|name| input_of(indexed, name));
        let mut problem = PlacementProblem {
            nodes: indexed.nodes.iter().map(|node| node.input.clone()).collect(),
            services: services.cloned().collect(),
            leaving: BTreeSet::new(),
            objective: indexed.problem.objective,
            limits: indexed.problem.limits.clone(),
        };
        apply::make(indexed, service_ix, changes, &mut problem);
        let mut all: Assignments = BTreeMap::new();
        for name in names {
            all.extend(self.of_service(name).map(|(id, place)| (id.clone(), place.clone())));
        }
        all.extend(new.iter().map(|(id, place)| (id.clone(), place.clone())));
        breaches(&problem, all.iter().map(|(key, place)| (key.clone(), place))).is_empty()
    }
}

/// Whether the changes say that the data of this instance may move.
fn let_go(indexed: &IndexedProblem<'_>, changes: &[Change], instance: &InstanceKey) -> bool {
    let of = |change: &Change| match *change {
        Change::LetMove { service, .. } => indexed.services[service].input.name == instance.service,
        _ => false,
    };
    changes.iter().any(of)
}
