//! What drove an instance away from its node, and why one that runs has no place.
//!
//! Knows what speaks against where it was. Refuses to guess where nothing does.
//!
//! `makes room for service.db[0]`, or what a line says against the node.

use std::collections::BTreeMap;

use devnet_schema::placement::Violation;

use super::{Explainer, taker::Taker};
use crate::place::{
    explain::violation,
    ix::{NodeIx, ServiceIx},
    model::indices::Assignments,
    outcome::Displaced,
    problem::InstanceKey,
};

impl<'b, 'f> Explainer<'b, 'f> {
    /// What drove one away from a node.
    pub(super) fn away(&mut self, service: ServiceIx, node: NodeIx, old: NodeIx) -> String {
        self.without(service, node, |explainer, partial| {
            let against = violation::of_move(explainer.partial, partial, service, old);
            let displaced =
                |found: &Violation| explainer.displacer(partial, service, old, found).is_some();
            if let Some(found) = against.iter().find(|found| !displaced(found)) {
                return found.text.clone();
            }
            if let Some(first) = against.first()
                && let Some(other) = explainer.displacer(partial, service, old, first)
            {
                return format!("makes room for {}", other.instance().address());
            }
            let company = |other_ix: &&ServiceIx| {
                partial.count(**other_ix, node) > 0 && partial.count(service, node) == 0
            };
            match partial.indexed.services[service].supports.iter().find(company) {
                Some(&other_ix) => {
                    let name = &partial.indexed.services[other_ix].input.name;
                    format!("service.{name} must run near it")
                }
                None => "the placement as a whole is better so".to_owned(),
            }
        })
    }

    /// Why each instance that runs and has no place is not where it runs.
    pub(super) fn displaced(&self, assignments: &Assignments) -> BTreeMap<InstanceKey, Displaced> {
        let mut known: BTreeMap<(ServiceIx, NodeIx), Displaced> = BTreeMap::new();
        let mut all = BTreeMap::new();
        for (service_ix, service) in self.partial.indexed.services.enumerate() {
            for (&index, current) in service.input.existing() {
                let instance = service.input.instance(index);
                let retained = InstanceKey::retained(instance.instance());
                let has =
                    assignments.contains_key(&instance) || assignments.contains_key(&retained);
                let node = self.nodes.get(current.node.as_str());
                if let Some(&node_ix) = node.filter(|_| !has) {
                    let why = known
                        .entry((service_ix, node_ix))
                        .or_insert_with(|| self.gone(service_ix, node_ix));
                    all.insert(instance, why.clone());
                }
            }
        }
        all
    }

    /// Why a service has no place on a node where it runs.
    fn gone(&self, service_ix: ServiceIx, node: NodeIx) -> Displaced {
        let mut found = violation::violations(self.partial, service_ix, node);
        let taker = |it: &Violation| {
            let first = |taker: &Taker| taker.came && self.comes_first(taker, service_ix);
            let grew = |taker: &Taker| !taker.came;
            self.took((self.partial, service_ix, node), it, &first)
                .or_else(|| self.occupant(service_ix, node, it))
                .or_else(|| self.took((self.partial, service_ix, node), it, &grew))
                .or_else(|| {
                    self.took((self.partial, service_ix, node), it, &|it| first(it) || grew(it))
                })
        };
        let by = found.iter().find_map(taker);
        found.retain(|it| taker(it).is_none());
        let priority = |id: &InstanceKey| {
            let service = self.services.get(&id.service);
            service.map_or(0, |&other| self.partial.indexed.services[other].input.priority)
        };
        Displaced {
            by: by.map(|id| (id.instance(), priority(id))),
            against: found.into_iter().map(|found| found.text).collect(),
        }
    }
}
