//! A service that waits, and what was tried for it.
//!
//! Knows the problem with changes made. Refuses to judge a trial.
//!
//! Every step of a repair is about one such case. The problem is the one that runs: what is placed
//! counts as running, so that a trial repairs it and does not start anew.

use std::collections::BTreeMap;

use devnet_schema::placement::{Edit, Suggestion};

use super::{
    apply,
    change::{self, Change},
    cut::PlacedByNode,
    headroom,
};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{
        index::{self, IndexedProblem},
        indices::Assignments,
        partial::PartialPlacement,
        retained,
    },
    outcome::Outcome,
    problem::{Current, InstanceKey, PlacementProblem},
};

/// A service without a node, and what is known of it.
pub(crate) struct Case<'a, 'f> {
    pub indexed: &'f IndexedProblem<'f>,
    pub partial: &'a PartialPlacement<'f>,
    pub outcome: &'a Outcome<InstanceKey>,
    pub places: &'a PlacedByNode<'a>,
    pub service: ServiceIx,
}

/// A set of changes that a quick plan was seen to be helped by.
#[derive(Clone)]
pub(crate) struct Trial {
    pub changes: Vec<Change>,
    /// Waiting instances that get a node, those of others left out.
    pub gained: u32,
    /// Nobody else loses its node.
    pub(super) harmless: bool,
    pub kind: Kind,
}

/// How it was tried.
#[derive(Clone)]
pub(crate) enum Kind {
    /// On all of a small problem: what is placed. The plan that follows says the rest.
    Whole(Assignments),
    /// On a part of a large one: what is told of it.
    Part(Suggestion),
}

/// A set of changes that is told.
pub(crate) struct Remedy {
    pub changes: Vec<Change>,
    /// Waiting instances that get a node, or that would, were it not for others that wait.
    pub gained: u32,
    /// Nobody else would wait.
    pub harmless: bool,
    pub suggestion: Suggestion,
}

impl Case<'_, '_> {
    pub(crate) fn missing(&self) -> u32 {
        self.partial.missing(self.service)
    }

    /// Whether the plan is an integer program of everything.
    pub(super) fn solved_whole(&self) -> bool {
        self.indexed.pairs() <= self.indexed.problem.limits.whole_pairs
    }

    /// Whether a try is a plan of everything.
    pub(super) fn whole(&self) -> bool {
        self.solved_whole() && self.indexed.pairs() <= index::SMALL
    }

    /// The problem with the changes made.
    pub(crate) fn changed(
        &self,
        mut problem: PlacementProblem,
        changes: &[Change],
    ) -> PlacementProblem {
        let Self { indexed, partial, service, .. } = *self;
        let mut whom = change::company(changes);
        whom.insert(service);
        // What is kept of them as it is gives way to them.
        retained::released(&mut problem, |name| {
            whom.iter().any(|&other| indexed.services[other].input.name == *name)
        });
        apply::make(indexed, service, changes, &mut problem);
        if change::is_for_one(changes) {
            let name = &indexed.services[service].input.name;
            let services = problem.services.iter_mut().filter(|input| input.name == *name);
            services.for_each(|input| input.limit(partial.total[service] + 1));
        }
        problem
    }

    /// The whole problem with what is placed running, but for data that is not there yet: planned
    /// again, it is repaired.
    pub(super) fn under_way(&self) -> PlacementProblem {
        let mut problem = self.indexed.problem.clone();
        for input in &mut problem.services {
            for index in input.wanted().collect::<Vec<_>>() {
                let instance = input.instance(index);
                let Some(place) = self.outcome.assignments.get(&instance) else {
                    continue;
                };
                let before = input.current.get(&index).filter(|it| it.node == place.node);
                if input.movable || before.is_some() {
                    let held = before.is_some_and(|it| it.held);
                    let gpus = place.gpus.clone();
                    let current = Current { node: place.node.clone(), gpus, held };
                    input.current.insert(index, current);
                }
            }
        }
        problem
    }

    /// The changes as they must be called where these are placed so: all that are, or those that
    /// are elsewhere than they were.
    pub(crate) fn named(
        &self,
        changes: Vec<Change>,
        placed: &Assignments,
        all: bool,
    ) -> Option<Vec<Change>> {
        let Self { indexed, service, outcome, .. } = *self;
        if !changes.iter().any(change::frees) {
            return Some(changes);
        }
        let there = |node_ix: NodeIx| {
            let node = &indexed.nodes[node_ix].input.name;
            let before =
                outcome.assignments.iter().filter(|(id, _)| !all && !placed.contains_key(id));
            let here = placed.iter().chain(before).filter(|(_, place)| place.node == *node);
            let mut counts: BTreeMap<ServiceIx, u32> = BTreeMap::new();
            for (id, _) in here {
                let other = indexed.services.position(|it| it.input.name == id.service);
                other.into_iter().for_each(|other| *counts.entry(other).or_insert(0) += 1);
            }
            counts.into_iter().collect()
        };
        headroom::named_for(indexed, service, &changes, &there)
    }

    pub(crate) fn moves(&self, placed: &Assignments) -> Vec<Edit> {
        let moved = placed.iter().filter_map(|(instance, place)| {
            // One that is retained has a key of its own.
            let retained = InstanceKey::retained(instance.instance());
            let before = &self.outcome.assignments;
            let from = before.get(instance).or_else(|| before.get(&retained))?.node.clone();
            let to = place.node.clone();
            (from != to).then(|| Edit::Move { instance: instance.instance(), from, to })
        });
        moved.collect()
    }
}
