//! Whether changes are seen to help.
//!
//! Knows how they are tried: all of a small problem is placed again, of a larger one the nodes that
//! they are about. Refuses to believe an answer of a part before the verifier has seen the whole.
//!
//! A trial takes milliseconds and a plan may take seconds, so only what a trial shows is confirmed.

use std::collections::BTreeSet;

use super::{
    budget::{ILPS, SEARCH_NODES},
    case::{Case, Kind, Trial},
    change::{self, Change},
    remedy::CandidateRemedy,
};
use crate::place::{
    effort::spent::Spent, ix::ServiceIx, problem::InstanceKey, search::trial::tried,
};

impl Case<'_, '_> {
    pub(super) fn tried(&self, remedy: &CandidateRemedy, spent: &mut Spent<'_>) -> Option<Trial> {
        match self.whole() {
            true => self.try_whole(&remedy.changes, spent),
            false => self.try_part(remedy, spent),
        }
    }

    /// Plans all again, quickly and with the others that wait left out, but for those that the
    /// changes are about.
    pub(crate) fn try_whole(&self, changes: &[Change], spent: &mut Spent<'_>) -> Option<Trial> {
        let Self { indexed, partial, service, .. } = *self;
        let name = &indexed.services[service].input.name;
        let mut alone = self.changed(self.under_way(), changes);
        let limits = &mut alone.limits;
        limits.suggestions = 0;
        limits.ilps = limits.ilps.min(ILPS);
        limits.search_nodes = limits.search_nodes.min(SEARCH_NODES);
        let company = change::company(changes);
        let left_out: BTreeSet<ServiceIx> = indexed
            .services
            .positions()
            .filter(|other| {
                *other != service && partial.missing(*other) > 0 && !company.contains(other)
            })
            .collect();
        for &other in &left_out {
            let input = indexed.services[other].input;
            let others = alone.services.iter_mut().filter(|it| it.name == input.name);
            others.for_each(|it| it.limit(partial.total[other]));
        }
        let (placed, left) = spent.aside(|spent| tried(&alone, spent));
        let count = placed.keys().filter(|instance| instance.service == *name).count() as u32;
        let gained = count.saturating_sub(partial.total[service]);
        let left_before =
            |other: ServiceIx| if left_out.contains(&other) { 0 } else { partial.missing(other) };
        let left =
            |other: ServiceIx| left.get(&indexed.services[other].input.name).copied().unwrap_or(0);
        let harmless = indexed
            .services
            .positions()
            .all(|other| other == service || left(other) <= left_before(other));
        let (changes, kind) = (changes.to_vec(), Kind::Whole(placed));
        (gained > 0).then_some(Trial { changes, gained, harmless, kind })
    }

    /// Plans the nodes again that it is about. Also says how many instances get a node.
    fn try_part(&self, remedy: &CandidateRemedy, spent: &mut Spent<'_>) -> Option<Trial> {
        let Self { indexed, places, service, .. } = *self;
        let CandidateRemedy { changes, nodes, crowded, aim } = remedy;
        let subproblem = (changes.as_slice(), nodes.as_slice(), *aim);
        let replanned = spent.aside(|spent| places.replan(indexed, service, subproblem, spent))?;
        let name = &indexed.services[service].input.name;
        let own = |(instance, _): &(&InstanceKey, _)| instance.service == *name;
        if let Some(node_ix) = crowded {
            // Where it fits on another node, the changes are not what helped.
            let node = &indexed.nodes[*node_ix].input.name;
            let there = replanned.placed.iter().filter(own).any(|(_, place)| place.node == *node);
            if !there && !changes.is_empty() {
                return None;
            }
        }
        let gained = if change::is_for_one(changes) { 1 } else { replanned.gained };
        let changes = self.named(changes.clone(), &replanned.placed, false)?;
        let found = self.seen((&changes, gained), &replanned.placed)?;
        let kind = Kind::Part(found);
        Some(Trial { changes, gained, harmless: true, kind })
    }
}
