//! What a plan with a remedy does beside what the remedy says, in words.
//!
//! Knows who gains, waits, stops and moves. Refuses to name more than three.
//!
//! `; web[2] would then wait`. Each that waits makes the remedy dearer.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    name::{InstanceId, ServiceName},
    placement::{Edit, Suggestion},
};

use super::{case::Case, change};
use crate::place::{explain::amount::listed, model::indices::Assignments, problem::InstanceKey};

/// Instances of others that are named; of more only their number is told.
const NAMED: usize = 3;

/// What the plan with a remedy does.
pub(crate) struct Effect {
    pub(super) placed: Assignments,
    /// Waiting instances of the service that get a node.
    pub(super) gained: u32,
    /// The same of the other services.
    pub(super) others: BTreeMap<ServiceName, u32>,
    /// Instances of others that wait then.
    pub(super) displaced: Vec<InstanceId>,
    /// Instances that run as they are now and stop then.
    pub(super) stopped: Vec<InstanceId>,
}

impl Case<'_, '_> {
    /// Running instances that would be elsewhere, which no edit says and the plan as it is leaves
    /// where they are. That data would be left behind is told in other words.
    pub(super) fn moved(&self, found: &Suggestion, effect: &Effect) -> Vec<String> {
        let told: BTreeSet<&InstanceId> = found
            .edits
            .iter()
            .filter_map(|edit| match edit {
                Edit::Move { instance, .. } => Some(instance),
                _ => None,
            })
            .collect();
        let inputs = self.indexed.services.iter().map(|it| it.input).filter(|it| it.movable);
        let running = inputs.flat_map(|input| {
            input.existing().map(|(&index, current)| (input.instance(index), &current.node))
        });
        running
            .filter_map(|(id, from)| {
                let retained = InstanceKey::retained(id.instance());
                let before = &self.outcome.assignments;
                let own = id.service == self.indexed.services[self.service].input.name;
                let before = before.get(&id).or_else(|| before.get(&retained).filter(|_| !own));
                let stays = before?.node == *from;
                let to = &effect.placed.get(&id)?.node;
                (stays && to != from && !told.contains(&id.instance()))
                    .then(|| format!("{id} from {from} to {to}"))
            })
            .collect()
    }

    /// Says what the plan does beside what the remedy says.
    pub(super) fn with_effect(&self, found: Suggestion, effect: &Effect) -> Suggestion {
        let moved = self.moved(&found, effect);
        let mut found = self.with_data(found, &effect.placed);
        let who = |count: u32| if count == 1 { "waits" } else { "wait" };
        let others: Vec<String> =
            effect.others.iter().map(|(name, count)| format!("{count} of {name}")).collect();
        let all = effect.others.values().sum();
        let missing = self.missing();
        match (effect.gained, others.is_empty()) {
            (0, _) => {
                let (whom, who) = (listed(&others), who(all));
                found.text.push_str(&format!("; the plan gives it to {whom}, which {who}, too"));
                found.cost += change::cost_of_waiting(missing);
            }
            (gained, false) if gained < missing => {
                found.text.push_str(&format!(" and {} that {}", listed(&others), who(all)));
            }
            _ => {}
        }
        if !effect.displaced.is_empty() {
            let names: Vec<String> = effect.displaced.iter().map(ToString::to_string).collect();
            found.text.push_str(&format!("; {} would then wait", some_of(&names)));
            found.cost += change::cost_of_waiting(names.len() as u32);
        }
        if !effect.stopped.is_empty() {
            let names: Vec<String> = effect.stopped.iter().map(ToString::to_string).collect();
            found.text.push_str(&format!("; {} would then stop", some_of(&names)));
            found.cost += change::cost_of_waiting(names.len() as u32);
        }
        if !moved.is_empty() {
            found.text.push_str(&format!("; moves {}", some_of(&moved)));
        }
        found
    }
}

/// The first of them and how many more.
fn some_of(names: &[String]) -> String {
    match names.len().saturating_sub(NAMED) {
        0 => listed(names),
        more => format!("{} and {more} more", names[..NAMED].join(", ")),
    }
}
