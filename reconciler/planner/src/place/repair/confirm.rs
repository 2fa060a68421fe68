//! What the plan makes of a remedy: the problem with its changes, planned as `plan` would.
//!
//! Knows what that plan places, and who else would wait or stop. Refuses to tell of a remedy by
//! which nothing more is placed.
//!
//! A trial looks at one service; a plan goes by priority and may give the room to another. Then the
//! remedy says so.

use std::collections::BTreeMap;

use devnet_schema::{name::InstanceId, placement::Edit};

use super::{
    case::{Case, Remedy},
    change::Change,
    effect::Effect,
};
use crate::place::{
    effort::spent::Spent,
    model::{indices::Assignments, retained},
    problem::{Current, InstanceKey, PlacementProblem, ServiceKey},
    search::trial::planned,
};

impl Case<'_, '_> {
    /// What is told of changes by which a try gives so many instances more a node, by the moves
    /// given. Nothing where the plan does not place more, of this service or of
    /// those that it gives what is gained first.
    pub(crate) fn confirm(
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
        retained::released(&mut problem, |_| true);
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
        (placed, missing): (Assignments, BTreeMap<ServiceKey, u32>),
    ) -> Option<Effect> {
        let Self { indexed, partial, service: service_ix, .. } = *self;
        let own = &indexed.services[service_ix].input.name;
        let asked = problem.services.iter().find(|it| it.name == *own).map_or(0, |it| it.replicas);
        let left_out = indexed.services[service_ix].input.replicas - asked;
        let (mut levels, mut gained) = (vec![0i64; indexed.levels.len()], 0);
        let (mut others, mut displaced) = (BTreeMap::new(), Vec::new());
        let mut stopped = Vec::new();
        for (other, service) in indexed.services.enumerate() {
            let name = &service.input.name;
            if let Some(id) = name.retained() {
                let declared = InstanceKey::declared(id.clone());
                let retained = service.input.instance(0);
                let runs =
                    |of: &Assignments| of.contains_key(&declared) || of.contains_key(&retained);
                if runs(&self.outcome.assignments) && !runs(&placed) {
                    levels[service.level] -= 1;
                    stopped.push(id.clone());
                }
                continue;
            }
            let left = missing[name] + if other == service_ix { left_out } else { 0 };
            let more = i64::from(partial.missing(other)) - i64::from(left);
            levels[service.level] += more;
            let count = u32::try_from(more).unwrap_or(0);
            match (other == service_ix, more) {
                (true, ..0) => return None,
                (true, _) => gained = count,
                (false, 1..) => drop(others.insert(name.declared().clone(), count)),
                (false, 0) => {}
                (false, _) => displaced.extend(self.waiting(name, &placed, more.unsigned_abs())),
            }
        }
        let better = levels.iter().find(|more| **more != 0).is_some_and(|more| *more > 0);
        let more = better && levels.iter().sum::<i64>() > 0;
        more.then_some(Effect { placed, gained, others, displaced, stopped })
    }

    /// So many instances of a service that had a node and have none.
    fn waiting(&self, name: &ServiceKey, placed: &Assignments, count: u64) -> Vec<InstanceId> {
        let before = self.outcome.assignments.keys().filter(|it| it.service == *name);
        before
            .filter(|it| !placed.contains_key(it))
            .take(count as usize)
            .map(InstanceKey::instance)
            .collect()
    }
}
