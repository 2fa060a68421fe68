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
    newcomer, phrase, planned,
    problem::{Current, Outcome, PlacementProblem},
    remedy::{self, Remedy},
    tried,
    work::Work,
};

/// Moves that one way out may need beside its changes; more is a new placement.
const MOVES: usize = 3;

/// Tries that are kept for new nodes where several instances wait.
const NEW_NODES: u32 = 5;

/// Equal new nodes of one way out at most.
const MOST_NODES: u32 = 8;

/// Integer programs of one plan at most, and their nodes of branch and bound: what is only found
/// with more is not told.
pub const ILPS: u32 = 2;
pub const SEARCH_NODES: u32 = 200;

/// Numbers of equal new nodes that are tried.
const COUNTS: u32 = 4;

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

/// A set of changes that was seen to help.
struct Way {
    changes: Vec<Change>,
    /// Waiting instances that get a node.
    gained: u32,
    suggestion: Suggestion,
}

impl Case<'_, '_> {
    /// The ways out, cheapest first, each seen to place more of the service and no less of anything
    /// else. `nodes` says what speaks against each node. The last tries are kept for new nodes.
    pub fn ways_out(
        &self,
        nodes: &[NodeViolations],
        (budget, work): (&mut Budget, &mut Work<'_>),
    ) -> Vec<Suggestion> {
        if budget.each == 0 {
            return Vec::new();
        }
        let mut list = remedy::remedies(self.board, self.s, nodes);
        // What can be had by moves alone, a small problem has already.
        list.retain(|remedy| !self.whole() || !remedy.changes.is_empty());
        if self.whole() {
            list.dedup_by(|a, b| a.changes == b.changes);
        }
        let kept = if self.missing() > 1 { NEW_NODES } else { 1 };
        list.truncate(budget.each.saturating_sub(kept).max(budget.each / 2) as usize);
        let mut found: Vec<Way> = Vec::new();
        let mut spent = 0;
        for remedy in list {
            if found.iter().any(|way| self.spares(way, &remedy)) {
                continue;
            }
            if !budget.take(&mut spent) || !work.go_on(self.board) {
                break;
            }
            found.extend(self.tried(&remedy, work));
        }
        found.extend(self.new_nodes((budget, &mut spent), work));
        found.sort_by(|a, b| a.suggestion.cost.total_cmp(&b.suggestion.cost));
        found.into_iter().map(|way| way.suggestion).collect()
    }

    fn missing(&self) -> u32 {
        self.board.missing(self.s)
    }

    fn whole(&self) -> bool {
        self.field.pairs() <= self.field.problem.limits.whole_pairs
    }

    /// Whether a way out that is known makes it needless to try this one.
    fn spares(&self, way: &Way, remedy: &Remedy) -> bool {
        let part = || way.changes.iter().all(|change| remedy.changes.contains(change));
        let all = way.gained >= self.missing() && !way.changes.is_empty() && part();
        // Less of the same, for fewer of them.
        let fewer = remedy.aim < self.missing() && remedy.aim <= way.gained;
        all || (fewer && remedy::kinds(&way.changes) == remedy::kinds(&remedy.changes))
    }

    fn tried(&self, remedy: &Remedy, work: &mut Work<'_>) -> Option<Way> {
        let (suggestion, gained) = match self.whole() {
            true => self.try_whole(&remedy.changes, work)?,
            false => self.try_part(remedy, work)?,
        };
        Some(Way { changes: remedy.changes.clone(), gained, suggestion })
    }

    /// One node for all that wait, and equal nodes, as few as will do.
    fn new_nodes(&self, (budget, spent): (&mut Budget, &mut u32), work: &mut Work<'_>) -> Vec<Way> {
        let missing = self.missing();
        let most = newcomer::most_on_one(self.field, self.s).min(missing);
        let small = missing.div_ceil(MOST_NODES);
        let mut ways = Vec::new();
        if missing > 1 && most == missing {
            ways.extend(self.few_nodes((missing, 1), (budget, spent), work));
        }
        if small <= most {
            ways.extend(self.few_nodes((small, MOST_NODES), (budget, spent), work));
        }
        ways
    }

    /// The least number of equal nodes, of `most` at most, that places all; else that places most.
    fn few_nodes(
        &self,
        (each, most): (u32, u32),
        (budget, spent): (&mut Budget, &mut u32),
        work: &mut Work<'_>,
    ) -> Option<Way> {
        let start = self.missing().div_ceil(each).min(most);
        let mut best: Option<Way> = None;
        let (mut count, mut down) = (start, false);
        for _ in 0..COUNTS {
            if !budget.take(spent) || !work.go_on(self.board) {
                break;
            }
            let zones = newcomer::zones(self.board, self.s, each, count);
            let changes = vec![Change::AddNodes { each, zones }];
            let aim = self.missing();
            let way = self.tried(&Remedy { changes, nodes: Vec::new(), crowded: None, aim }, work);
            let gained = way.as_ref().map_or(0, |way| way.gained);
            let all = gained == self.missing();
            let before = best.as_ref().map_or(0, |way| way.gained);
            if gained > before || (gained == before && down) {
                best = way.or(best);
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
        best
    }

    /// Plans all again. Also says how many instances get a node.
    fn try_whole(&self, changes: &[Change], work: &mut Work<'_>) -> Option<(Suggestion, u32)> {
        let Self { field, board, outcome, s, .. } = *self;
        let name = &field.services[s].input.name;
        let problem = self.changed(field.problem.clone(), changes);
        let gained = |(after, missing): &Answer, may_miss: &dyn Fn(usize) -> u32| {
            let harmless = (0..field.services.len())
                .all(|t| missing[&field.services[t].input.name] <= may_miss(t));
            let placed = after.keys().filter(|instance| instance.service == *name).count() as u32;
            Some(placed.saturating_sub(board.total[s])).filter(|more| harmless && *more > 0)
        };
        // First with the others that wait left out: most changes do not help even then.
        let waits = |t: usize| t != s && board.missing(t) > 0;
        let mut alone = self.changed(self.under_way(), changes);
        let left_out: Vec<usize> = (0..field.services.len()).filter(|t| waits(*t)).collect();
        for &t in &left_out {
            let input = field.services[t].input;
            let others = alone.services.iter_mut().filter(|it| it.name == input.name);
            others.for_each(|it| it.replicas = board.total[t]);
        }
        let of_rest = |t: usize| if waits(t) { 0 } else { board.missing(t) };
        let first = work.aside(|work| tried(&alone, work));
        let first_gained = gained(&first, &of_rest)?;
        let (planned, rivals) = work.aside(|work| planned(&problem, name, work));
        let with_all = gained(&planned, &|t| board.missing(t));
        let (answer, gained, rivals) = match with_all.filter(|gained| *gained >= first_gained) {
            Some(gained) => (planned, gained, rivals),
            None if left_out.is_empty() => (planned, with_all?, false),
            // Where none of those that wait gains by it, it is no way out for this one either.
            None if !self.more_placed(&planned.1) => return None,
            // Nor where those would take what it has.
            None if planned.1[name] > self.missing() => return None,
            None => (first, first_gained, true),
        };
        let moved = answer.0.iter().filter_map(|(instance, place)| {
            let old = outcome.assignments.get(instance)?;
            let (from, to) = (old.node.clone(), place.node.clone());
            (from != to).then(|| Edit::Move { instance: instance.clone(), from, to })
        });
        let found = self.worded(changes, moved.collect(), gained)?;
        let found = self.with_data(found, &answer.0);
        Some((if rivals { with_rivals(found) } else { found }, gained))
    }

    /// A problem with the changes made, to be planned quickly.
    fn changed(&self, mut problem: PlacementProblem, changes: &[Change]) -> PlacementProblem {
        let Self { field, board, s, .. } = *self;
        let limits = &mut problem.limits;
        limits.suggestions = 0;
        limits.ilps = limits.ilps.min(ILPS);
        limits.search_nodes = limits.search_nodes.min(SEARCH_NODES);
        change::make(field, s, changes, &mut problem);
        if change::is_for_one(changes) {
            let name = &field.services[s].input.name;
            let services = problem.services.iter_mut().filter(|input| input.name == *name);
            services.for_each(|input| input.replicas = board.total[s] + 1);
        }
        problem
    }

    /// The whole problem with what is placed running, but for data that is not there yet: planned
    /// again, it is repaired.
    fn under_way(&self) -> PlacementProblem {
        let mut problem = self.field.problem.clone();
        for input in &mut problem.services {
            for index in 0..input.replicas {
                let instance = InstanceId { service: input.name.clone(), index };
                let Some(place) = self.outcome.assignments.get(&instance) else {
                    continue;
                };
                let runs = input.current.get(&index).is_some_and(|it| it.node == place.node);
                if input.movable || runs {
                    let current = Current { node: place.node.clone(), gpus: place.gpus.clone() };
                    input.current.insert(index, current);
                }
            }
        }
        problem
    }

    /// Whether a plan that leaves so many without a node is better than the one that is.
    fn more_placed(&self, missing: &BTreeMap<ServiceName, u32>) -> bool {
        let mut levels = vec![(0, 0); self.field.levels.len()];
        for (t, service) in self.field.services.iter().enumerate() {
            let (after, before) = &mut levels[service.level];
            *after += missing[&service.input.name];
            *before += self.board.missing(t);
        }
        let changed = levels.iter().find(|(after, before)| after != before);
        changed.is_some_and(|(after, before)| after < before)
    }

    /// Plans the nodes again that it is about. Also says how many instances get a node.
    fn try_part(&self, remedy: &Remedy, work: &mut Work<'_>) -> Option<(Suggestion, u32)> {
        let Self { field, places, s, .. } = *self;
        let Remedy { changes, nodes, crowded, aim } = remedy;
        let scope = (changes.as_slice(), nodes.as_slice(), *aim);
        let replanned = work.aside(|work| places.replan(field, s, scope, work))?;
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
        let found = self.with_data(found, &replanned.placed);
        // A part is planned without them. Data that may stay after all comes before any priority.
        let waits = |t: usize| t != s && self.board.missing(t) > 0;
        let sooner = |t: usize| {
            let other = &field.services[t];
            other.level <= field.services[s].level || (!other.input.movable && other.running() > 0)
        };
        let rivals = (0..field.services.len()).any(|t| waits(t) && sooner(t));
        Some((if rivals { with_rivals(found) } else { found }, gained))
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
        let Self { field, board, s, .. } = *self;
        let (mut text, mut edits) = phrase::words(board, s, changes);
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

    /// Says whose data stays behind on a node that it leaves by this way out, unless that is what
    /// the way out is about.
    fn with_data(&self, mut found: Suggestion, placed: &Assignments) -> Suggestion {
        let told = |id: &InstanceId| {
            found
                .edits
                .iter()
                .any(|edit| matches!(edit, Edit::Move { instance, .. } if instance == id))
        };
        let mut left = Vec::new();
        for input in self.field.services.iter().map(|it| it.input).filter(|it| !it.movable) {
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
            let name = &self.field.services[self.s].input.name;
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
        let services = self.field.services.iter();
        let mut own = services.filter(|service| service.input.name == instance.service);
        own.any(|service| {
            service.input.current.get(&instance.index).is_some_and(|it| it.node == *from)
        })
    }
}

/// What is placed by a plan, and how many instances of each service are not.
type Answer = (Assignments, BTreeMap<ServiceName, u32>);

/// Whether others of no lower priority than service `s` wait that some node could run, if it were
/// empty: those that none could run take nothing.
pub fn has_rivals(board: &Board<'_>, s: usize) -> bool {
    let services = &board.field.services;
    let sooner = |t: usize| t != s && services[t].level <= services[s].level;
    (0..services.len()).any(|t| sooner(t) && board.missing(t) > 0 && !services[t].cells.is_empty())
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
