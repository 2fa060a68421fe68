//! Who came to a node, or takes more of it than before.
//!
//! Knows what each takes that it had not. Refuses to blame one that only fills what is left.
//!
//! An instance that stops wants to know for whom. Where there would be enough without all who came,
//! the most important of them is named.

use devnet_schema::placement::Violation;

use super::{Explainer, taker::Taker};
use crate::place::{
    explain::amount,
    ix::{NodeIx, ServiceIx},
    model::partial::PartialPlacement,
    problem::{Constraint, InstanceKey},
};

impl<'b, 'f> Explainer<'b, 'f> {
    /// Whether one may take the room of a service: the others only fill what is left.
    pub(super) fn comes_first(&self, taker: &Taker, service: ServiceIx) -> bool {
        let services = &self.partial.indexed.services;
        services[taker.service].level <= services[service].level
            || !services[taker.service].input.movable
    }

    /// Who came and is what a line or a port forbids beside the service; a port may be new of one
    /// that stays.
    pub(super) fn occupant(
        &self,
        service: ServiceIx,
        node: NodeIx,
        found: &Violation,
    ) -> Option<&InstanceKey> {
        let services = &self.partial.indexed.services;
        let constraint = Constraint::of(found);
        let forbids = |other: ServiceIx| match constraint {
            Some(Constraint::ApartFrom) => services[service].apart.contains(&other),
            Some(Constraint::Port) => {
                services[other].ports.iter().any(|port| services[service].ports.contains(port))
            }
            _ => false,
        };
        let took = |it: &&Taker| it.came || constraint == Some(Constraint::Port);
        let mut here = self.takers.get(&node)?.iter().filter(took);
        let first = |it: &&Taker| {
            it.service != service && self.comes_first(it, service) && forbids(it.service)
        };
        here.find(first).map(|it| &it.instance)
    }

    /// Who came and took what is short, where there would be enough without all who came.
    pub(super) fn displacer(
        &self,
        partial: &PartialPlacement<'_>,
        service: ServiceIx,
        old: NodeIx,
        found: &Violation,
    ) -> Option<&InstanceKey> {
        self.took((partial, service, old), found, &|it| it.came)
    }

    /// Who of these took what is short of a service on a node, where there would be enough without
    /// what all of them take.
    pub(super) fn took(
        &self,
        (partial, service, node): (&PartialPlacement<'_>, ServiceIx, NodeIx),
        found: &Violation,
        who: &dyn Fn(&Taker) -> bool,
    ) -> Option<&InstanceKey> {
        let indexed = partial.indexed;
        let mut here = self.takers.get(&node)?.iter().filter(|it| who(it));
        if Constraint::of(found) == Some(Constraint::Gpu) {
            let took = here.find(|it| it.devices)?;
            return found.need.zip(found.whole).filter(|(a, b)| a <= b).map(|_| &took.instance);
        }
        let resource = room(found)?;
        let first = here.find(|it| it.more[resource] > 0)?;
        // What only fills what is left is in nobody's way.
        let takes =
            self.takers[&node].iter().filter(|it| who(it) || !self.comes_first(it, service));
        let taken = takes.map(|it| it.more[resource]).fold(0, u64::saturating_add);
        let before = partial.used[node][resource].saturating_sub(taken);
        let fits = before.saturating_add(indexed.services[service].need[resource])
            <= indexed.nodes[node].capacity[resource];
        fits.then_some(&first.instance)
    }
}

/// Of what a node has too little.
fn room(found: &Violation) -> Option<usize> {
    let short = Constraint::of(found)?;
    amount::RESOURCES.iter().position(|it| *it == short)
}
