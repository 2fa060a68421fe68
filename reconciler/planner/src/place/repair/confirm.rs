//! What the plan makes of a remedy: the problem with its changes, planned as `plan` would.
//!
//! Knows what is told of that plan: how many of the service it places, and who else would then wait
//! or move. Refuses to tell of a remedy by which nothing more is placed.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    name::{InstanceId, ServiceName},
    placement::{Edit, Suggestion},
};

use super::{
    edit::{self, Change},
    suggest::{Case, Remedy},
    wording::listed,
};
use crate::place::{
    Assignments,
    effort::spent::Spent,
    planned,
    problem::{Current, PlacementProblem},
    search::retention,
};

/// Instances of others that are named; of more only their number is told.
const NAMED: usize = 3;

/// What the plan with a remedy does.
struct Effect {
    placed: Assignments,
    /// Waiting instances of the service that get a node.
    gained: u32,
    /// The same of the other services.
    others: BTreeMap<ServiceName, u32>,
    /// Instances of others that wait then.
    displaced: Vec<InstanceId>,
    /// Instances that run as they are now and stop then.
    stopped: Vec<InstanceId>,
}

impl Case<'_, '_> {
    /// What is told of changes by which a try gives so many instances more a node, by the moves
    /// given. Nothing where the plan does not place more, of this service or of
    /// those that it gives what is gained first.
    pub fn confirm(
        &self,
        (changes, hoped): (Vec<Change>, u32),
        moved: Vec<Edit>,
        spent: &mut Spent<'_>,
    ) -> Option<Remedy> {
        let by_hand = match changes[..] {
            [Change::LetMove { .. }] => self.worded(&changes, moved, 1)?.edits,
            _ => Vec::new(),
        };
        let problem = self.problem_with(&changes, &by_hand);
        let (answer, whole) = spent.aside(|spent| {
            let answer = planned(&problem, spent);
            (answer, !spent.cut_short)
        });
        let effect = self.effect(&problem, answer).filter(|_| whole)?;
        let (said, gained) = match effect.gained {
            0 => (self.missing(), hoped),
            gained => (gained, gained),
        };
        let changes = self.named(changes, &effect.placed, true)?;
        let found = self.worded(&changes, by_hand, said)?;
        let suggestion = self.with_effect(found, &effect);
        let harmless = effect.displaced.is_empty() && effect.stopped.is_empty();
        Some(Remedy { changes, gained, harmless, suggestion })
    }

    /// The problem with the changes made; what is moved by hand runs there then.
    fn problem_with(&self, changes: &[Change], by_hand: &[Edit]) -> PlacementProblem {
        let mut problem = self.indexed.problem.clone();
        retention::released(&mut problem, |_| true);
        problem.leaving.clear();
        if by_hand.is_empty() {
            return self.changed(problem, changes);
        }
        for edit in by_hand {
            let Edit::Move { instance, to, .. } = edit else {
                continue;
            };
            let own = problem.services.iter_mut().filter(|it| it.name == instance.service);
            for input in own {
                let place = Current { node: to.clone(), gpus: Vec::new(), held: false };
                input.current.insert(instance.index, place);
                input.holdings.remove(&instance.index);
            }
        }
        problem
    }

    /// Nothing where no more is placed than before, by priority and in all, or less of the service.
    fn effect(
        &self,
        problem: &PlacementProblem,
        (placed, missing): (Assignments, BTreeMap<ServiceName, u32>),
    ) -> Option<Effect> {
        let Self { indexed, partial, s, .. } = *self;
        let own = &indexed.services[s].input.name;
        let asked = problem.services.iter().find(|it| it.name == *own).map_or(0, |it| it.replicas);
        let left_out = indexed.services[s].input.replicas - asked;
        let (mut levels, mut gained) = (vec![0i64; indexed.levels.len()], 0);
        let (mut others, mut displaced) = (BTreeMap::new(), Vec::new());
        let mut stopped = Vec::new();
        for (t, service) in indexed.services.iter().enumerate() {
            let name = &service.input.name;
            if let Some(id) = name.lone_instance() {
                let kept = InstanceId { service: name.clone(), index: 0 };
                let runs = |of: &Assignments| of.contains_key(&id) || of.contains_key(&kept);
                if runs(&self.outcome.assignments) && !runs(&placed) {
                    levels[service.level] -= 1;
                    stopped.push(id);
                }
                continue;
            }
            let left = missing[name] + if t == s { left_out } else { 0 };
            let more = i64::from(partial.missing(t)) - i64::from(left);
            levels[service.level] += more;
            let count = u32::try_from(more).unwrap_or(0);
            match (t == s, more) {
                (true, ..0) => return None,
                (true, _) => gained = count,
                (false, 1..) => drop(others.insert(name.clone(), count)),
                (false, 0) => {}
                (false, _) => displaced.extend(self.waiting(name, &placed, more.unsigned_abs())),
            }
        }
        let better = levels.iter().find(|more| **more != 0).is_some_and(|more| *more > 0);
        let more = better && levels.iter().sum::<i64>() > 0;
        more.then_some(Effect { placed, gained, others, displaced, stopped })
    }

    /// So many instances of a service that had a node and have none.
    fn waiting(&self, name: &ServiceName, placed: &Assignments, count: u64) -> Vec<InstanceId> {
        let before = self.outcome.assignments.keys().filter(|it| it.service == *name);
        before.filter(|it| !placed.contains_key(it)).take(count as usize).cloned().collect()
    }

    /// Running instances that would be elsewhere, which no edit says and the plan as it is leaves
    /// where they are. That data would be left behind is told in other words.
    fn moved(&self, found: &Suggestion, effect: &Effect) -> Vec<String> {
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
            input.current.range(..input.replicas).map(|(&index, current)| {
                (InstanceId { service: input.name.clone(), index }, &current.node)
            })
        });
        running
            .filter_map(|(id, from)| {
                let kept = InstanceId { service: id.alone(), index: 0 };
                let before = &self.outcome.assignments;
                let own = id.service == self.indexed.services[self.s].input.name;
                let before = before.get(&id).or_else(|| before.get(&kept).filter(|_| !own));
                let stays = before?.node == *from;
                let to = &effect.placed.get(&id)?.node;
                (stays && to != from && !told.contains(&id))
                    .then(|| format!("{id} from {from} to {to}"))
            })
            .collect()
    }

    /// Says what the plan does beside what the remedy says.
    fn with_effect(&self, found: Suggestion, effect: &Effect) -> Suggestion {
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
                found.cost += edit::cost_of_waiting(missing);
            }
            (gained, false) if gained < missing => {
                found.text.push_str(&format!(" and {} that {}", listed(&others), who(all)));
            }
            _ => {}
        }
        if !effect.displaced.is_empty() {
            let names: Vec<String> = effect.displaced.iter().map(ToString::to_string).collect();
            found.text.push_str(&format!("; {} would then wait", some_of(&names)));
            found.cost += edit::cost_of_waiting(names.len() as u32);
        }
        if !effect.stopped.is_empty() {
            let names: Vec<String> = effect.stopped.iter().map(ToString::to_string).collect();
            found.text.push_str(&format!("; {} would then stop", some_of(&names)));
            found.cost += edit::cost_of_waiting(names.len() as u32);
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
