//! What drove an instance away from its node, and why one that runs has no place.
//!
//! Knows what speaks against where it was. Refuses to guess where nothing does.
//!
//! `makes room for service.db[0]`, or what a line says against the node.

use std::collections::BTreeMap;

use devnet_schema::{name::InstanceId, placement::Violation};

use super::{Assignments, Explainer, taker::Taker};
use crate::place::{explain::violation, outcome::Displaced};

impl<'b, 'f> Explainer<'b, 'f> {
    /// What drove one away from a node.
    pub(super) fn away(&mut self, s: usize, n: usize, old: usize) -> String {
        self.without(s, n, |explainer, partial| {
            let against = violation::of_move(explainer.partial, partial, s, old);
            let displaced =
                |found: &Violation| explainer.displacer(partial, s, old, found).is_some();
            if let Some(found) = against.iter().find(|found| !displaced(found)) {
                return found.text.clone();
            }
            if let Some(first) = against.first()
                && let Some(other) = explainer.displacer(partial, s, old, first)
            {
                return format!("makes room for {}", other.address());
            }
            let company = |t: &&usize| partial.count(**t, n) > 0 && partial.count(s, n) == 0;
            match partial.indexed.services[s].supports.iter().find(company) {
                Some(&t) => {
                    let name = &partial.indexed.services[t].input.name;
                    format!("service.{name} must run near it")
                }
                None => "the placement as a whole is better so".to_owned(),
            }
        })
    }

    /// Why each instance that runs and has no place is not where it runs.
    pub(super) fn displaced(&self, assignments: &Assignments) -> BTreeMap<InstanceId, Displaced> {
        let mut known: BTreeMap<(usize, usize), Displaced> = BTreeMap::new();
        let mut all = BTreeMap::new();
        for (s, service) in self.partial.indexed.services.iter().enumerate() {
            for (&index, current) in service.input.current.range(..service.input.replicas) {
                let instance = InstanceId { service: service.input.name.clone(), index };
                let kept = InstanceId { service: instance.alone(), index: 0 };
                let has = assignments.contains_key(&instance) || assignments.contains_key(&kept);
                let node = self.nodes.get(current.node.as_str());
                if let Some(&n) = node.filter(|_| !has) {
                    let why = known.entry((s, n)).or_insert_with(|| self.gone(s, n));
                    all.insert(instance, why.clone());
                }
            }
        }
        all
    }

    /// Why a service has no place on a node where it runs.
    fn gone(&self, s: usize, n: usize) -> Displaced {
        let mut found = violation::violations(self.partial, s, n);
        let taker = |it: &Violation| {
            let first = |taker: &Taker| taker.came && self.comes_first(taker, s);
            let grew = |taker: &Taker| !taker.came;
            self.took((self.partial, s, n), it, &first)
                .or_else(|| self.occupant(s, n, it))
                .or_else(|| self.took((self.partial, s, n), it, &grew))
                .or_else(|| self.took((self.partial, s, n), it, &|it| first(it) || grew(it)))
        };
        let by = found.iter().find_map(taker);
        found.retain(|it| taker(it).is_none());
        let priority = |id: &InstanceId| {
            let service = self.services.get(id.service.as_str());
            service.map_or(0, |&t| self.partial.indexed.services[t].input.priority)
        };
        Displaced {
            by: by.map(|id| (id.clone(), priority(id))),
            against: found.into_iter().map(|found| found.text).collect(),
        }
    }
}
