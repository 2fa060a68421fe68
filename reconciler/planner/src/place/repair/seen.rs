//! How a remedy is told.
//!
//! Knows text, edits and cost of one set of changes. Refuses to try anything.
//!
//! Moves that the planner makes by itself are not told; moves of data are. Where fewer are placed
//! than wait, it says how many.

use devnet_schema::{
    name::InstanceId,
    placement::{Edit, Suggestion},
};

use super::{
    case::Case,
    change::{self, Change},
    wording,
};
use crate::place::{ix::ServiceIx, model::indices::Assignments, problem::ServiceKey};

/// Moves that one remedy may need beside its changes; more is a new placement.
const MOVES: usize = 3;

impl Case<'_, '_> {
    /// What is told of a try that no plan confirms.
    pub(super) fn seen(
        &self,
        (changes, gained): (&[Change], u32),
        placed: &Assignments,
    ) -> Option<Suggestion> {
        let Self { indexed, service, .. } = *self;
        let found = self.worded(changes, self.moves(placed), gained)?;
        let found = self.with_data(found, placed);
        // It was made without them. Data that may stay after all comes before any priority.
        let waits = |other_ix: ServiceIx| {
            other_ix != service
                && self.partial.missing(other_ix) > 0
                && !indexed.services[other_ix].is_retained()
        };
        let sooner = |other_ix: ServiceIx| {
            let other = &indexed.services[other_ix];
            other.level <= indexed.services[service].level
                || (!other.input.movable && other.running() > 0)
        };
        let rivals =
            indexed.services.positions().any(|other_ix| waits(other_ix) && sooner(other_ix));
        Some(if rivals { with_rivals(found) } else { found })
    }

    /// Of the moves, only those are told that the planner would not make by itself: of what has
    /// data, and all of them where nothing else is changed.
    pub(crate) fn worded(
        &self,
        changes: &[Change],
        moved: Vec<Edit>,
        gained: u32,
    ) -> Option<Suggestion> {
        let Self { indexed, partial, service: service_ix, .. } = *self;
        let (mut text, mut edits) = wording::words(partial, service_ix, changes);
        let mut cost = change::cost(changes);
        let data = match changes {
            [Change::LetMove { service, .. }] => Some(&indexed.services[*service].input.name),
            [] => None,
            _ => return Some(self.with_rest(text, edits, cost, gained)),
        };
        edits = moved;
        edits.retain(|edit| data.is_none_or(|name| moves(edit, name)));
        if edits.is_empty() || edits.len() > MOVES || !edits.iter().all(|edit| self.runs(edit)) {
            return None;
        }
        let price = |edit: &Edit| {
            let moving = indexed.services.iter().find(|it| moves(edit, &it.input.name));
            moving.map_or(1, |it| it.migration_cost)
        };
        cost = cost.max(change::cost_of_moves(edits.iter().map(price).sum()));
        let parts: Vec<String> = edits.iter().filter_map(move_words).collect();
        text = parts.join(" and ");
        if data.is_some() {
            text.push_str("; its data must be moved with it");
        }
        Some(self.with_rest(text, edits, cost, gained))
    }

    /// Says whose data stays behind on a node that it leaves by this remedy, unless that is what
    /// the remedy is about.
    pub(crate) fn with_data(&self, mut found: Suggestion, placed: &Assignments) -> Suggestion {
        let told = |id: &InstanceId| {
            found
                .edits
                .iter()
                .any(|edit| matches!(edit, Edit::Move { instance, .. } if instance == id))
        };
        let mut left = Vec::new();
        for input in self.indexed.services.iter().map(|it| it.input).filter(|it| !it.movable) {
            for (&index, current) in input.existing() {
                let instance = input.instance(index);
                let place = |of: &Assignments| of.get(&instance).map(|place| place.node.clone());
                let after = place(placed).filter(|node| *node != current.node);
                if after.is_some()
                    && after != place(&self.outcome.assignments)
                    && !told(&instance.instance())
                {
                    left.push(format!("; {instance} leaves its data on {}", current.node));
                }
            }
        }
        found.text.push_str(&left.concat());
        found
    }

    fn with_rest(&self, mut text: String, edits: Vec<Edit>, cost: f64, gained: u32) -> Suggestion {
        let missing = self.missing();
        let left = missing.saturating_sub(gained);
        if left > 0 {
            let name = &self.indexed.services[self.service].input.name;
            text.push_str(&format!("; places {gained} of the {missing} of {name} that wait"));
        }
        let cost = cost + change::cost_of_waiting(left);
        Suggestion { text, cost, verified: true, edits }
    }

    /// Whether the instance runs where it is to be moved from: what is not there yet is placed, and
    /// not moved.
    fn runs(&self, edit: &Edit) -> bool {
        let Edit::Move { instance, from, .. } = edit else {
            return false;
        };
        let services = self.indexed.services.iter();
        let mut own = services.filter(|service| service.input.name == instance.service);
        own.any(|service| {
            service.input.current.get(&instance.index).is_some_and(|it| it.node == *from)
        })
    }
}

/// Others wait as well, and the plan may give them what is gained.
fn with_rivals(mut found: Suggestion) -> Suggestion {
    found.text.push_str("; others that wait may take it first");
    found
}

fn moves(edit: &Edit, name: &ServiceKey) -> bool {
    matches!(edit, Edit::Move { instance, .. } if *name == instance.service)
}

fn move_words(edit: &Edit) -> Option<String> {
    match edit {
        Edit::Move { instance, from, to } => {
            Some(format!("move {} from {from} to {to}", instance.address()))
        }
        _ => None,
    }
}
