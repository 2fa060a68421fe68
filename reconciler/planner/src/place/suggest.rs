//! Ways out for a service that does not fit: one change each, or two, tried by placing again.
//!
//! Knows how a change is tried: by planning all of a small problem again, and of a large one the
//! nodes that it is about, which the verifier then holds against the whole. Refuses to suggest
//! what it has not seen work.

use std::collections::BTreeMap;

use devnet_schema::{
    name::{InstanceId, ServiceName},
    placement::{Edit, NodeViolations, Suggestion},
};

use super::{
    Assignments,
    board::Board,
    change::{self, Change},
    cutout::Places,
    field::Field,
    planned,
    problem::{Outcome, PlacementProblem},
    remedy::{self, Remedy},
    tried,
    work::Work,
};

/// Moves that one way out may need beside its changes; more is a new placement.
const MOVES: usize = 3;

/// How many changes may still be tried, over all services.
pub struct Budget {
    each: u32,
    all: u32,
}

impl Budget {
    /// Twelve for each of eight services, as the limits are by default.
    pub fn of(field: &Field<'_>) -> Self {
        let each = field.problem.limits.suggestions;
        Self { each, all: 8 * each }
    }

    fn take(&mut self, spent: &mut u32) -> bool {
        let left = self.all > 0 && *spent < self.each;
        if left {
            self.all -= 1;
            *spent += 1;
        }
        left
    }
}

/// A service without a node, and what is known of it.
pub struct Case<'a, 'f> {
    pub field: &'f Field<'f>,
    pub board: &'a Board<'f>,
    pub outcome: &'a Outcome,
    pub places: &'a Places<'a>,
    pub s: usize,
}

impl Case<'_, '_> {
    /// The ways out, cheapest first, each seen to place more of the service and no less of anything
    /// else. `nodes` says what speaks against each node. The last try is kept for a new node.
    pub fn ways_out(
        &self,
        nodes: &[NodeViolations],
        (budget, work): (&mut Budget, &mut Work<'_>),
    ) -> Vec<Suggestion> {
        if budget.each == 0 {
            return Vec::new();
        }
        let whole = self.field.pairs() <= self.field.problem.limits.whole_pairs;
        let mut list = remedy::remedies(self.board, self.s, nodes);
        // What can be had by moves alone, a small problem has already.
        list.retain(|remedy| !whole || !remedy.changes.is_empty());
        if whole {
            list.dedup_by(|a, b| a.changes == b.changes);
        }
        list.truncate(budget.each.saturating_sub(1) as usize);
        list.push(Remedy { changes: vec![Change::AddNode], nodes: Vec::new(), crowded: None });
        let mut found: Vec<(Vec<Change>, Suggestion)> = Vec::new();
        let mut spent = 0;
        for remedy in list {
            let changes = &remedy.changes;
            let enough = |(known, _): &(Vec<Change>, Suggestion)| {
                !known.is_empty() && known.iter().all(|change| changes.contains(change))
            };
            if found.iter().any(enough) {
                continue;
            }
            if !budget.take(&mut spent) || !work.go_on(self.board) {
                break;
            }
            let tried =
                if whole { self.try_whole(changes, work) } else { self.try_part(&remedy, work) };
            found.extend(tried.map(|suggestion| (remedy.changes, suggestion)));
        }
        found.sort_by(|a, b| a.1.cost.total_cmp(&b.1.cost));
        found.into_iter().map(|(_, suggestion)| suggestion).collect()
    }

    /// Plans all again.
    fn try_whole(&self, changes: &[Change], work: &mut Work<'_>) -> Option<Suggestion> {
        let Self { field, board, outcome, s, .. } = *self;
        let mut problem: PlacementProblem = field.problem.clone();
        problem.limits.suggestions = 0;
        problem.limits.ilps = problem.limits.ilps.min(12);
        let name = &field.services[s].input.name;
        change::make(field, s, changes, &mut problem);
        if change::is_for_one(changes) {
            let services = problem.services.iter_mut().filter(|input| input.name == *name);
            services.for_each(|input| input.replicas = board.total[s] + 1);
        }
        let gained = |(after, missing): &Answer, may_miss: &dyn Fn(usize) -> u32| {
            let harmless = (0..field.services.len())
                .all(|t| missing[&field.services[t].input.name] <= may_miss(t));
            let placed = after.keys().filter(|instance| instance.service == *name).count() as u32;
            Some(placed.saturating_sub(board.total[s])).filter(|more| harmless && *more > 0)
        };
        // First with the others that wait left out: most changes do not help even then.
        let waits = |t: usize| t != s && board.missing(t) > 0;
        let mut alone = problem.clone();
        let left_out: Vec<usize> = (0..field.services.len()).filter(|t| waits(*t)).collect();
        for &t in &left_out {
            let input = field.services[t].input;
            let others = alone.services.iter_mut().filter(|it| it.name == input.name);
            others.for_each(|it| it.replicas = board.total[t]);
        }
        let of_rest = |t: usize| if waits(t) { 0 } else { board.missing(t) };
        let first = work.aside(|work| tried(&alone, work));
        let first_gained = gained(&first, &of_rest)?;
        let planned = work.aside(|work| planned(&problem, work));
        let (answer, gained, rivals) = match gained(&planned, &|t| board.missing(t)) {
            Some(gained) => (planned, gained, false),
            None if left_out.is_empty() => return None,
            None => (first, first_gained, true),
        };
        let moved = answer.0.iter().filter_map(|(instance, place)| {
            let old = outcome.assignments.get(instance)?;
            let (from, to) = (old.node.clone(), place.node.clone());
            (from != to).then(|| Edit::Move { instance: instance.clone(), from, to })
        });
        let found = self.worded(changes, moved.collect(), gained)?;
        Some(if rivals { with_rivals(found) } else { found })
    }

    /// Plans the nodes again that it is about.
    fn try_part(&self, remedy: &Remedy, work: &mut Work<'_>) -> Option<Suggestion> {
        let Self { field, places, s, .. } = *self;
        let Remedy { changes, nodes, crowded } = remedy;
        let replanned = work.aside(|work| places.replan(field, s, (changes, nodes), work))?;
        let name = &field.services[s].input.name;
        let own = |(instance, _): &(&InstanceId, _)| instance.service == *name;
        if let Some(n) = crowded {
            // Where it fits on another node, the changes are not what helped.
            let node = &field.nodes[*n].input.name;
            let there = replanned.placed.iter().filter(own).any(|(_, place)| place.node == *node);
            if !there && !changes.is_empty() {
                return None;
            }
        }
        let gained = if change::is_for_one(changes) { 1 } else { replanned.gained };
        let found = self.worded(changes, self.moves(&replanned.placed), gained)?;
        // A part is planned without them.
        let mut others =
            (0..field.services.len()).filter(|t| *t != s && self.board.missing(*t) > 0);
        let rivals = others.any(|t| field.services[t].level <= field.services[s].level);
        Some(if rivals { with_rivals(found) } else { found })
    }

    fn moves(&self, placed: &Assignments) -> Vec<Edit> {
        let moved = placed.iter().filter_map(|(instance, place)| {
            let from = self.outcome.assignments.get(instance)?.node.clone();
            Some(Edit::Move { instance: instance.clone(), from, to: place.node.clone() })
        });
        moved.collect()
    }

    /// Of the moves, only those are told that the planner would not make by itself: of what has
    /// data, and all of them where nothing else is changed.
    fn worded(&self, changes: &[Change], moved: Vec<Edit>, gained: u32) -> Option<Suggestion> {
        let Self { field, s, .. } = *self;
        let (mut text, mut edits) = change::words(field, s, changes);
        let mut cost = change::cost(changes);
        let data = match changes {
            [Change::LetMove { service, .. }] => Some(&field.services[*service].input.name),
            [] => None,
            _ => return Some(self.with_rest(text, edits, cost, gained)),
        };
        edits = moved;
        edits.retain(|edit| data.is_none_or(|name| moves(edit, name)));
        if edits.is_empty() || edits.len() > MOVES || !edits.iter().all(|edit| self.runs(edit)) {
            return None;
        }
        let price = |edit: &Edit| {
            let moving = field.services.iter().find(|it| moves(edit, &it.input.name));
            moving.map_or(1, |it| it.price)
        };
        cost = cost.max(change::cost_of_moves(edits.iter().map(price).sum()));
        let parts: Vec<String> = edits.iter().filter_map(move_words).collect();
        text = parts.join(" and ");
        if data.is_some() {
            text.push_str("; its data must be moved with it");
        }
        Some(self.with_rest(text, edits, cost, gained))
    }

    fn with_rest(&self, mut text: String, edits: Vec<Edit>, cost: f64, gained: u32) -> Suggestion {
        let left = self.board.missing(self.s).saturating_sub(gained);
        if left > 0 {
            let name = &self.field.services[self.s].input.name;
            text.push_str(&format!("; {left} instance(s) of {name} would still wait"));
        }
        Suggestion { text, cost, verified: true, edits }
    }

    /// Whether the instance runs where it is to be moved from: what is not there yet is placed, and
    /// not moved.
    fn runs(&self, edit: &Edit) -> bool {
        let Edit::Move { instance, from, .. } = edit else {
            return false;
        };
        let services = self.field.services.iter();
        let mut own = services.filter(|service| service.input.name == instance.service);
        own.any(|service| {
            service.input.current.get(&instance.index).is_some_and(|it| it.node == *from)
        })
    }
}

/// What is placed by a plan, and how many instances of each service are not.
type Answer = (Assignments, BTreeMap<ServiceName, u32>);

/// Others wait as well, and the plan may give them what is gained.
fn with_rivals(mut found: Suggestion) -> Suggestion {
    found.text.push_str("; others that wait may take it first");
    found
}

fn moves(edit: &Edit, name: &ServiceName) -> bool {
    matches!(edit, Edit::Move { instance, .. } if instance.service == *name)
}

fn move_words(edit: &Edit) -> Option<String> {
    match edit {
        Edit::Move { instance, from, to } => {
            Some(format!("move {} from {from} to {to}", instance.address()))
        }
        _ => None,
    }
}
