//! Remedies for a service that does not fit: a few changes each, tried by placing again.
//!
//! Knows how a change is tried: by planning all of a small problem again, and of a larger one the
//! nodes that it is about, which the verifier then holds against the whole. Refuses to suggest
//! what it has not seen work; [`super::confirm`] has the last word, unless that takes too long.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    name::{InstanceId, ServiceName},
    placement::{Edit, NodeViolations, Suggestion},
};

use super::{
    budget::{self, Budget},
    candidates::{self, CandidateRemedy},
    combined,
    edit::{self, Change},
    headroom, new_node,
    subproblem::PlacedByNode,
    wording,
};
use crate::place::{
    Assignments,
    effort::spent::Spent,
    model::{index::IndexedProblem, partial::PartialPlacement},
    outcome::Outcome,
    problem::{Current, PlacementProblem},
    search::retention,
    tried,
};

/// Moves that one remedy may need beside its changes; more is a new placement.
const MOVES: usize = 3;

/// Tries that are kept for new nodes where several instances wait.
const NEW_NODES: u32 = 5;

/// Equal new nodes of one remedy at most.
const MOST_NODES: u32 = 8;

/// Integer programs of one plan at most, and their nodes of branch and bound: what is only found
/// with more is not told.
pub const ILPS: u32 = 2;
pub const SEARCH_NODES: u32 = 200;

/// Numbers of equal new nodes that are tried.
const COUNTS: u32 = 4;

/// Remedies that are told of one service at most, those with new nodes not counted.
const TOLD: usize = 6;

/// A service without a node, and what is known of it.
pub struct Case<'a, 'f> {
    pub indexed: &'f IndexedProblem<'f>,
    pub partial: &'a PartialPlacement<'f>,
    pub outcome: &'a Outcome,
    pub places: &'a PlacedByNode<'a>,
    pub s: usize,
}

/// A set of changes that a quick plan was seen to be helped by.
#[derive(Clone)]
pub struct Trial {
    pub changes: Vec<Change>,
    /// Waiting instances that get a node, those of others left out.
    pub gained: u32,
    /// Nobody else loses its node.
    harmless: bool,
    pub kind: Kind,
}

/// How it was tried.
#[derive(Clone)]
pub enum Kind {
    /// On all of a small problem: what is placed. The plan that follows says the rest.
    Whole(Assignments),
    /// On a part of a large one: what is told of it.
    Part(Suggestion),
}

/// A set of changes that is told.
pub struct Remedy {
    pub changes: Vec<Change>,
    /// Waiting instances that get a node, or that would, were it not for others that wait.
    pub gained: u32,
    /// Nobody else would wait.
    pub harmless: bool,
    pub suggestion: Suggestion,
}

impl Case<'_, '_> {
    /// The remedies out, cheapest first, each seen to place more; whom of others that costs a node,
    /// or gives one first, it says as far as the plan with it was made. `nodes` says what speaks
    /// against each node. The last tries are kept for new nodes.
    pub fn remedies(
        &self,
        nodes: &[NodeViolations],
        (budget, spent): (&mut Budget, &mut Spent<'_>),
    ) -> Vec<Suggestion> {
        if budget.each == 0 {
            return Vec::new();
        }
        budget.next_service();
        let mut list = candidates::remedies(self.partial, self.s, nodes);
        // What can be had by moves alone, a small problem has already.
        list.retain(|remedy| !self.solved_whole() || !remedy.changes.is_empty());
        if self.whole() {
            list.dedup_by(|a, b| a.changes == b.changes);
        }
        let kept = if self.missing() > 1 { NEW_NODES } else { 1 };
        list.truncate(budget.each.saturating_sub(kept).max(budget.each / 2) as usize);
        let mut found = self.first_of((list, 1), budget, spent);
        found.extend(self.new_nodes(budget, spent));
        for alone in [false, true] {
            if found.is_empty() {
                budget.once_more();
                let list = combined::remedies(self.partial, self.s, alone);
                found = self.first_of((list, 0), budget, spent);
            }
        }
        let size = |way: &Remedy| {
            let new = new_node::size_of(self.indexed, self.s, &way.changes);
            new.saturating_add(candidates::amount(self.partial, &way.changes))
        };
        found.sort_by(|a, b| {
            a.suggestion.cost.total_cmp(&b.suggestion.cost).then_with(|| size(a).cmp(&size(b)))
        });
        found.into_iter().map(|way| way.suggestion).collect()
    }

    /// The first of the remedies that are seen to help; so many plans are kept for others.
    fn first_of(
        &self,
        (list, kept): (Vec<CandidateRemedy>, u32),
        budget: &mut Budget,
        spent: &mut Spent<'_>,
    ) -> Vec<Remedy> {
        let mut found: Vec<Remedy> = Vec::new();
        for remedy in list {
            if found.iter().any(|way| self.spares(way, &remedy)) {
                continue;
            }
            if found.len() >= TOLD || !budget.may_try() || !spent.go_on(self.partial) {
                break;
            }
            let trial = self.tried(&remedy, spent);
            let way = trial.and_then(|trial| self.confirmed(trial, (budget, kept), spent));
            // Two that may move for it may come to the same moves.
            let told =
                |way: &Remedy| found.iter().any(|it| it.suggestion.text == way.suggestion.text);
            found.extend(way.filter(|way| !told(way)));
        }
        found
    }

    pub fn missing(&self) -> u32 {
        self.partial.missing(self.s)
    }

    /// Whether the plan is an integer program of everything.
    fn solved_whole(&self) -> bool {
        self.indexed.pairs() <= self.indexed.problem.limits.whole_pairs
    }

    /// Whether a try is a plan of everything.
    fn whole(&self) -> bool {
        self.solved_whole() && self.indexed.pairs() <= budget::SMALL
    }

    /// Whether a remedy that is known makes it needless to try this one.
    fn spares(&self, way: &Remedy, remedy: &CandidateRemedy) -> bool {
        let part = || way.changes.iter().all(|change| remedy.changes.contains(change));
        let enough = way.harmless && way.gained >= self.missing();
        let all = enough && !way.changes.is_empty() && part();
        // Less of the same, for fewer of them.
        let fewer = remedy.aim < self.missing() && remedy.aim <= way.gained;
        all || (fewer && candidates::kinds(&way.changes) == candidates::kinds(&remedy.changes))
    }

    fn tried(&self, remedy: &CandidateRemedy, spent: &mut Spent<'_>) -> Option<Trial> {
        match self.whole() {
            true => self.try_whole(&remedy.changes, spent),
            false => self.try_part(remedy, spent),
        }
    }

    /// What is told of a trial: what the plan makes of it, while plans are left of which `kept` are
    /// for others, and else what was seen.
    fn confirmed(
        &self,
        trial: Trial,
        (budget, kept): (&mut Budget, u32),
        spent: &mut Spent<'_>,
    ) -> Option<Remedy> {
        let less = self.shrunk(trial.clone(), budget, spent);
        let less = (less.changes != trial.changes).then_some(less);
        let mut last = None;
        for Trial { changes, gained, kind, harmless } in less.into_iter().chain([trial]) {
            let moved = || match &kind {
                Kind::Part(found) => found.edits.clone(),
                Kind::Whole(placed) => self.moves(placed),
            };
            let way = if self.solved_whole() && budget.may_plan(kept) {
                let moved = moved();
                self.confirm((changes, gained), moved, spent)
            } else {
                let suggestion = match kind {
                    Kind::Part(suggestion) => Some(suggestion),
                    Kind::Whole(placed) => self
                        .named(changes.clone(), &placed, true)
                        .and_then(|changes| self.seen((&changes, gained), &placed)),
                };
                suggestion.map(|suggestion| Remedy { changes, gained, harmless, suggestion })
            };
            if way.as_ref().is_some_and(|way| way.harmless) {
                return way;
            }
            last = last.or(way);
        }
        last
    }

    /// One node for all that wait, and equal nodes, as few as will do.
    fn new_nodes(&self, budget: &mut Budget, spent: &mut Spent<'_>) -> Vec<Remedy> {
        let missing = self.missing();
        let most = new_node::most_on_one(self.indexed, self.s).min(missing);
        let small = missing.div_ceil(MOST_NODES);
        let mut remedies = Vec::new();
        if missing > 1 && most == missing {
            remedies.extend(self.few_nodes((missing, 1), budget, spent));
        }
        if small <= most {
            let few = self.few_nodes((small, MOST_NODES), budget, spent);
            // A smaller one that does as much.
            let one = |way: &Remedy| way.gained >= missing && added(&way.changes) == 1;
            if few.as_ref().is_some_and(one) {
                remedies.clear();
            }
            remedies.extend(few);
        }
        remedies
    }

    /// The least number of equal nodes, of `most` at most, that places all; else that places most.
    fn few_nodes(
        &self,
        (each, most): (u32, u32),
        budget: &mut Budget,
        spent: &mut Spent<'_>,
    ) -> Option<Remedy> {
        let start = self.missing().div_ceil(each).min(most);
        let mut best: Option<Trial> = None;
        let (mut count, mut down) = (start, false);
        for _ in 0..COUNTS {
            if !budget.may_try() || !spent.go_on(self.partial) {
                break;
            }
            let trial = self.nodes_somewhere((each, count), budget, spent);
            let gained = trial.as_ref().map_or(0, |trial| trial.gained);
            let all = gained == self.missing();
            let before = best.as_ref().map_or(0, |trial| trial.gained);
            if gained > before || (gained == before && down) {
                best = trial.or(best);
            }
            // One node fewer as long as that does for all; else more, while that helps.
            down = all;
            count = match (all, count < start) {
                (true, _) => count - 1,
                (false, true) => break,
                (false, false) => count + 1,
            };
            if count == 0 || count > most {
                break;
            }
        }
        best.and_then(|trial| self.confirmed(trial, (budget, 0), spent))
    }

    /// So many nodes where the service is best spread, or else in one of the zones.
    fn nodes_somewhere(
        &self,
        (each, count): (u32, u32),
        budget: &mut Budget,
        spent: &mut Spent<'_>,
    ) -> Option<Trial> {
        let aim = self.missing();
        let mut tried = |zones: Vec<Option<usize>>| {
            let changes = vec![Change::AddNodes { each, with: Vec::new(), zones }];
            self.tried(&CandidateRemedy { changes, nodes: Vec::new(), crowded: None, aim }, spent)
        };
        let mut best = tried(new_node::zones(self.partial, self.s, each, count));
        for zones in new_node::other_zones(self.partial, self.s, count) {
            let rank = |trial: &Trial| (trial.harmless, trial.gained);
            let before = best.as_ref().map(rank);
            if before == Some((true, aim)) || !budget.may_try() {
                break;
            }
            let trial = tried(zones);
            best = trial.filter(|trial| Some(rank(trial)) > before).or(best);
        }
        best
    }

    /// Plans all again, quickly and with the others that wait left out, but for those that the
    /// changes are about.
    pub fn try_whole(&self, changes: &[Change], spent: &mut Spent<'_>) -> Option<Trial> {
        let Self { indexed, partial, s, .. } = *self;
        let name = &indexed.services[s].input.name;
        let mut alone = self.changed(self.under_way(), changes);
        let limits = &mut alone.limits;
        limits.suggestions = 0;
        limits.ilps = limits.ilps.min(ILPS);
        limits.search_nodes = limits.search_nodes.min(SEARCH_NODES);
        let company = edit::company(changes);
        let left_out: BTreeSet<usize> = (0..indexed.services.len())
            .filter(|t| *t != s && partial.missing(*t) > 0 && !company.contains(t))
            .collect();
        for &t in &left_out {
            let input = indexed.services[t].input;
            let others = alone.services.iter_mut().filter(|it| it.name == input.name);
            others.for_each(|it| it.replicas = partial.total[t]);
        }
        let (placed, left) = spent.aside(|spent| tried(&alone, spent));
        let count = placed.keys().filter(|instance| instance.service == *name).count() as u32;
        let gained = count.saturating_sub(partial.total[s]);
        let left_before = |t: usize| if left_out.contains(&t) { 0 } else { partial.missing(t) };
        let left = |t: usize| left.get(&indexed.services[t].input.name).copied().unwrap_or(0);
        let harmless = (0..indexed.services.len()).all(|t| t == s || left(t) <= left_before(t));
        let (changes, kind) = (changes.to_vec(), Kind::Whole(placed));
        (gained > 0).then_some(Trial { changes, gained, harmless, kind })
    }

    /// The problem with the changes made.
    pub fn changed(&self, mut problem: PlacementProblem, changes: &[Change]) -> PlacementProblem {
        let Self { indexed, partial, s, .. } = *self;
        let mut whom = edit::company(changes);
        whom.insert(s);
        // What is kept of them as it is gives way to them.
        retention::released(&mut problem, |name| {
            whom.iter().any(|&t| indexed.services[t].input.name == *name)
        });
        edit::make(indexed, s, changes, &mut problem);
        if edit::is_for_one(changes) {
            let name = &indexed.services[s].input.name;
            let services = problem.services.iter_mut().filter(|input| input.name == *name);
            services.for_each(|input| input.replicas = partial.total[s] + 1);
        }
        problem
    }

    /// The whole problem with what is placed running, but for data that is not there yet: planned
    /// again, it is repaired.
    fn under_way(&self) -> PlacementProblem {
        let mut problem = self.indexed.problem.clone();
        for input in &mut problem.services {
            for index in 0..input.replicas {
                let instance = InstanceId { service: input.name.clone(), index };
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

    /// Plans the nodes again that it is about. Also says how many instances get a node.
    fn try_part(&self, remedy: &CandidateRemedy, spent: &mut Spent<'_>) -> Option<Trial> {
        let Self { indexed, places, s, .. } = *self;
        let CandidateRemedy { changes, nodes, crowded, aim } = remedy;
        let subproblem = (changes.as_slice(), nodes.as_slice(), *aim);
        let replanned = spent.aside(|spent| places.replan(indexed, s, subproblem, spent))?;
        let name = &indexed.services[s].input.name;
        let own = |(instance, _): &(&InstanceId, _)| instance.service == *name;
        if let Some(n) = crowded {
            // Where it fits on another node, the changes are not what helped.
            let node = &indexed.nodes[*n].input.name;
            let there = replanned.placed.iter().filter(own).any(|(_, place)| place.node == *node);
            if !there && !changes.is_empty() {
                return None;
            }
        }
        let gained = if edit::is_for_one(changes) { 1 } else { replanned.gained };
        let changes = self.named(changes.clone(), &replanned.placed, false)?;
        let found = self.seen((&changes, gained), &replanned.placed)?;
        let kind = Kind::Part(found);
        Some(Trial { changes, gained, harmless: true, kind })
    }

    /// The changes as they must be called where these are placed so: all that are, or those that
    /// are elsewhere than they were.
    pub fn named(
        &self,
        changes: Vec<Change>,
        placed: &Assignments,
        all: bool,
    ) -> Option<Vec<Change>> {
        let Self { indexed, s, outcome, .. } = *self;
        if !changes.iter().any(edit::frees) {
            return Some(changes);
        }
        let there = |n: usize| {
            let node = &indexed.nodes[n].input.name;
            let before =
                outcome.assignments.iter().filter(|(id, _)| !all && !placed.contains_key(id));
            let here = placed.iter().chain(before).filter(|(_, place)| place.node == *node);
            let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
            for (id, _) in here {
                let t = indexed.services.iter().position(|it| it.input.name == id.service);
                t.into_iter().for_each(|t| *counts.entry(t).or_insert(0) += 1);
            }
            counts.into_iter().collect()
        };
        headroom::named_for(indexed, s, &changes, &there)
    }

    /// What is told of a try that no plan confirms.
    fn seen(
        &self,
        (changes, gained): (&[Change], u32),
        placed: &Assignments,
    ) -> Option<Suggestion> {
        let Self { indexed, s, .. } = *self;
        let found = self.worded(changes, self.moves(placed), gained)?;
        let found = self.with_data(found, placed);
        // It was made without them. Data that may stay after all comes before any priority.
        let waits =
            |t: usize| t != s && self.partial.missing(t) > 0 && !indexed.services[t].is_retained();
        let sooner = |t: usize| {
            let other = &indexed.services[t];
            other.level <= indexed.services[s].level
                || (!other.input.movable && other.running() > 0)
        };
        let rivals = (0..indexed.services.len()).any(|t| waits(t) && sooner(t));
        Some(if rivals { with_rivals(found) } else { found })
    }

    pub fn moves(&self, placed: &Assignments) -> Vec<Edit> {
        let moved = placed.iter().filter_map(|(instance, place)| {
            // One that is kept as it is has a name of its own.
            let kept = InstanceId { service: instance.alone(), index: 0 };
            let before = &self.outcome.assignments;
            let from = before.get(instance).or_else(|| before.get(&kept))?.node.clone();
            let to = place.node.clone();
            (from != to).then(|| Edit::Move { instance: instance.clone(), from, to })
        });
        moved.collect()
    }

    /// Of the moves, only those are told that the planner would not make by itself: of what has
    /// data, and all of them where nothing else is changed.
    pub fn worded(&self, changes: &[Change], moved: Vec<Edit>, gained: u32) -> Option<Suggestion> {
        let Self { indexed, partial, s, .. } = *self;
        let (mut text, mut edits) = wording::words(partial, s, changes);
        let mut cost = edit::cost(changes);
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
        cost = cost.max(edit::cost_of_moves(edits.iter().map(price).sum()));
        let parts: Vec<String> = edits.iter().filter_map(move_words).collect();
        text = parts.join(" and ");
        if data.is_some() {
            text.push_str("; its data must be moved with it");
        }
        Some(self.with_rest(text, edits, cost, gained))
    }

    /// Says whose data stays behind on a node that it leaves by this remedy, unless that is what
    /// the remedy is about.
    pub fn with_data(&self, mut found: Suggestion, placed: &Assignments) -> Suggestion {
        let told = |id: &InstanceId| {
            found
                .edits
                .iter()
                .any(|edit| matches!(edit, Edit::Move { instance, .. } if instance == id))
        };
        let mut left = Vec::new();
        for input in self.indexed.services.iter().map(|it| it.input).filter(|it| !it.movable) {
            for (&index, current) in input.current.range(..input.replicas) {
                let instance = InstanceId { service: input.name.clone(), index };
                let place = |of: &Assignments| of.get(&instance).map(|place| place.node.clone());
                let after = place(placed).filter(|node| *node != current.node);
                if after.is_some() && after != place(&self.outcome.assignments) && !told(&instance)
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
            let name = &self.indexed.services[self.s].input.name;
            text.push_str(&format!("; places {gained} of the {missing} of {name} that wait"));
        }
        let cost = cost + edit::cost_of_waiting(left);
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

/// How many nodes join by the changes.
fn added(changes: &[Change]) -> usize {
    let of = |change: &Change| match change {
        Change::AddNodes { zones, .. } => zones.len(),
        _ => 0,
    };
    changes.iter().map(of).sum()
}

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
