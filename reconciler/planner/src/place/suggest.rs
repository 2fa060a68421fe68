//! Ways out for a service that does not fit: a few changes each, tried by placing again.
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
    Assignments,
    board::Board,
    budget::{self, Budget},
    change::{self, Change},
    cutout::Places,
    field::Field,
    newcomer,
    outcome::Outcome,
    phrase,
    problem::{Current, PlacementProblem},
    remedy::{self, Remedy},
    room, standing, together, tried,
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

/// Ways out that are told of one service at most, those with new nodes not counted.
const TOLD: usize = 6;

/// A service without a node, and what is known of it.
pub struct Case<'a, 'f> {
    pub field: &'f Field<'f>,
    pub board: &'a Board<'f>,
    pub outcome: &'a Outcome,
    pub places: &'a Places<'a>,
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
pub struct Way {
    pub changes: Vec<Change>,
    /// Waiting instances that get a node, or that would, were it not for others that wait.
    pub gained: u32,
    /// Nobody else would wait.
    pub harmless: bool,
    pub suggestion: Suggestion,
}

impl Case<'_, '_> {
    /// The ways out, cheapest first, each seen to place more; whom of others that costs a node, or
    /// gives one first, it says as far as the plan with it was made. `nodes` says what speaks
    /// against each node. The last tries are kept for new nodes.
    pub fn ways_out(
        &self,
        nodes: &[NodeViolations],
        (budget, work): (&mut Budget, &mut Work<'_>),
    ) -> Vec<Suggestion> {
        if budget.each == 0 {
            return Vec::new();
        }
        budget.next_service();
        let mut list = remedy::remedies(self.board, self.s, nodes);
        // What can be had by moves alone, a small problem has already.
        list.retain(|remedy| !self.solved_whole() || !remedy.changes.is_empty());
        if self.whole() {
            list.dedup_by(|a, b| a.changes == b.changes);
        }
        let kept = if self.missing() > 1 { NEW_NODES } else { 1 };
        list.truncate(budget.each.saturating_sub(kept).max(budget.each / 2) as usize);
        let mut found = self.first_of((list, 1), budget, work);
        found.extend(self.new_nodes(budget, work));
        for alone in [false, true] {
            if found.is_empty() {
                budget.once_more();
                let list = together::remedies(self.board, self.s, alone);
                found = self.first_of((list, 0), budget, work);
            }
        }
        let size = |way: &Way| {
            let new = newcomer::size_of(self.field, self.s, &way.changes);
            new.saturating_add(remedy::amount(self.board, &way.changes))
        };
        found.sort_by(|a, b| {
            a.suggestion.cost.total_cmp(&b.suggestion.cost).then_with(|| size(a).cmp(&size(b)))
        });
        found.into_iter().map(|way| way.suggestion).collect()
    }

    /// The first of the remedies that are seen to help; so many plans are kept for others.
    fn first_of(
        &self,
        (list, kept): (Vec<Remedy>, u32),
        budget: &mut Budget,
        work: &mut Work<'_>,
    ) -> Vec<Way> {
        let mut found: Vec<Way> = Vec::new();
        for remedy in list {
            if found.iter().any(|way| self.spares(way, &remedy)) {
                continue;
            }
            if found.len() >= TOLD || !budget.may_try() || !work.go_on(self.board) {
                break;
            }
            let trial = self.tried(&remedy, work);
            let way = trial.and_then(|trial| self.confirmed(trial, (budget, kept), work));
            // Two that may move for it may come to the same moves.
            let told = |way: &Way| found.iter().any(|it| it.suggestion.text == way.suggestion.text);
            found.extend(way.filter(|way| !told(way)));
        }
        found
    }

    pub fn missing(&self) -> u32 {
        self.board.missing(self.s)
    }

    /// Whether the plan is an integer program of everything.
    fn solved_whole(&self) -> bool {
        self.field.pairs() <= self.field.problem.limits.whole_pairs
    }

    /// Whether a try is a plan of everything.
    fn whole(&self) -> bool {
        self.solved_whole() && self.field.pairs() <= budget::SMALL
    }

    /// Whether a way out that is known makes it needless to try this one.
    fn spares(&self, way: &Way, remedy: &Remedy) -> bool {
        let part = || way.changes.iter().all(|change| remedy.changes.contains(change));
        let enough = way.harmless && way.gained >= self.missing();
        let all = enough && !way.changes.is_empty() && part();
        // Less of the same, for fewer of them.
        let fewer = remedy.aim < self.missing() && remedy.aim <= way.gained;
        all || (fewer && remedy::kinds(&way.changes) == remedy::kinds(&remedy.changes))
    }

    fn tried(&self, remedy: &Remedy, work: &mut Work<'_>) -> Option<Trial> {
        match self.whole() {
            true => self.try_whole(&remedy.changes, work),
            false => self.try_part(remedy, work),
        }
    }

    /// What is told of a trial: what the plan makes of it, while plans are left of which `kept` are
    /// for others, and else what was seen.
    fn confirmed(
        &self,
        trial: Trial,
        (budget, kept): (&mut Budget, u32),
        work: &mut Work<'_>,
    ) -> Option<Way> {
        let less = self.shrunk(trial.clone(), budget, work);
        let less = (less.changes != trial.changes).then_some(less);
        let mut last = None;
        for Trial { changes, gained, kind, harmless } in less.into_iter().chain([trial]) {
            let moved = || match &kind {
                Kind::Part(found) => found.edits.clone(),
                Kind::Whole(placed) => self.moves(placed),
            };
            let way = if self.solved_whole() && budget.may_plan(kept) {
                let moved = moved();
                self.confirm((changes, gained), moved, work)
            } else {
                let suggestion = match kind {
                    Kind::Part(suggestion) => Some(suggestion),
                    Kind::Whole(placed) => self
                        .named(changes.clone(), &placed, true)
                        .and_then(|changes| self.seen((&changes, gained), &placed)),
                };
                suggestion.map(|suggestion| Way { changes, gained, harmless, suggestion })
            };
            if way.as_ref().is_some_and(|way| way.harmless) {
                return way;
            }
            last = last.or(way);
        }
        last
    }

    /// One node for all that wait, and equal nodes, as few as will do.
    fn new_nodes(&self, budget: &mut Budget, work: &mut Work<'_>) -> Vec<Way> {
        let missing = self.missing();
        let most = newcomer::most_on_one(self.field, self.s).min(missing);
        let small = missing.div_ceil(MOST_NODES);
        let mut ways = Vec::new();
        if missing > 1 && most == missing {
            ways.extend(self.few_nodes((missing, 1), budget, work));
        }
        if small <= most {
            let few = self.few_nodes((small, MOST_NODES), budget, work);
            // A smaller one that does as much.
            let one = |way: &Way| way.gained >= missing && added(&way.changes) == 1;
            if few.as_ref().is_some_and(one) {
                ways.clear();
            }
            ways.extend(few);
        }
        ways
    }

    /// The least number of equal nodes, of `most` at most, that places all; else that places most.
    fn few_nodes(
        &self,
        (each, most): (u32, u32),
        budget: &mut Budget,
        work: &mut Work<'_>,
    ) -> Option<Way> {
        let start = self.missing().div_ceil(each).min(most);
        let mut best: Option<Trial> = None;
        let (mut count, mut down) = (start, false);
        for _ in 0..COUNTS {
            if !budget.may_try() || !work.go_on(self.board) {
                break;
            }
            let trial = self.nodes_somewhere((each, count), budget, work);
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
        best.and_then(|trial| self.confirmed(trial, (budget, 0), work))
    }

    /// So many nodes where the service is best spread, or else in one of the zones.
    fn nodes_somewhere(
        &self,
        (each, count): (u32, u32),
        budget: &mut Budget,
        work: &mut Work<'_>,
    ) -> Option<Trial> {
        let aim = self.missing();
        let mut tried = |zones: Vec<Option<usize>>| {
            let changes = vec![Change::AddNodes { each, with: Vec::new(), zones }];
            self.tried(&Remedy { changes, nodes: Vec::new(), crowded: None, aim }, work)
        };
        let mut best = tried(newcomer::zones(self.board, self.s, each, count));
        for zones in newcomer::other_zones(self.board, self.s, count) {
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
    pub fn try_whole(&self, changes: &[Change], work: &mut Work<'_>) -> Option<Trial> {
        let Self { field, board, s, .. } = *self;
        let name = &field.services[s].input.name;
        let mut alone = self.changed(self.under_way(), changes);
        let limits = &mut alone.limits;
        limits.suggestions = 0;
        limits.ilps = limits.ilps.min(ILPS);
        limits.search_nodes = limits.search_nodes.min(SEARCH_NODES);
        let company = change::company(changes);
        let left_out: BTreeSet<usize> = (0..field.services.len())
            .filter(|t| *t != s && board.missing(*t) > 0 && !company.contains(t))
            .collect();
        for &t in &left_out {
            let input = field.services[t].input;
            let others = alone.services.iter_mut().filter(|it| it.name == input.name);
            others.for_each(|it| it.replicas = board.total[t]);
        }
        let (placed, left) = work.aside(|work| tried(&alone, work));
        let count = placed.keys().filter(|instance| instance.service == *name).count() as u32;
        let gained = count.saturating_sub(board.total[s]);
        let left_before = |t: usize| if left_out.contains(&t) { 0 } else { board.missing(t) };
        let left = |t: usize| left.get(&field.services[t].input.name).copied().unwrap_or(0);
        let harmless = (0..field.services.len()).all(|t| t == s || left(t) <= left_before(t));
        let (changes, kind) = (changes.to_vec(), Kind::Whole(placed));
        (gained > 0).then_some(Trial { changes, gained, harmless, kind })
    }

    /// The problem with the changes made.
    pub fn changed(&self, mut problem: PlacementProblem, changes: &[Change]) -> PlacementProblem {
        let Self { field, board, s, .. } = *self;
        let mut whom = change::company(changes);
        whom.insert(s);
        // What is kept of them as it is gives way to them.
        standing::released(&mut problem, |name| {
            whom.iter().any(|&t| field.services[t].input.name == *name)
        });
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
    fn try_part(&self, remedy: &Remedy, work: &mut Work<'_>) -> Option<Trial> {
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
        let Self { field, s, outcome, .. } = *self;
        if !changes.iter().any(change::frees) {
            return Some(changes);
        }
        let there = |n: usize| {
            let node = &field.nodes[n].input.name;
            let before =
                outcome.assignments.iter().filter(|(id, _)| !all && !placed.contains_key(id));
            let here = placed.iter().chain(before).filter(|(_, place)| place.node == *node);
            let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
            for (id, _) in here {
                let t = field.services.iter().position(|it| it.input.name == id.service);
                t.into_iter().for_each(|t| *counts.entry(t).or_insert(0) += 1);
            }
            counts.into_iter().collect()
        };
        room::named_for(field, s, &changes, &there)
    }

    /// What is told of a try that no plan confirms.
    fn seen(
        &self,
        (changes, gained): (&[Change], u32),
        placed: &Assignments,
    ) -> Option<Suggestion> {
        let Self { field, s, .. } = *self;
        let found = self.worded(changes, self.moves(placed), gained)?;
        let found = self.with_data(found, placed);
        // It was made without them. Data that may stay after all comes before any priority.
        let waits = |t: usize| t != s && self.board.missing(t) > 0 && !field.services[t].keeps();
        let sooner = |t: usize| {
            let other = &field.services[t];
            other.level <= field.services[s].level || (!other.input.movable && other.running() > 0)
        };
        let rivals = (0..field.services.len()).any(|t| waits(t) && sooner(t));
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
    pub fn with_data(&self, mut found: Suggestion, placed: &Assignments) -> Suggestion {
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
