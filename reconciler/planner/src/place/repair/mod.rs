//! Remedies for what does not fit: a few changes each, tried by placing again.
//!
//! Knows in which order changes are tried, and when enough is known. Refuses to suggest what it has
//! not seen work.
//!
//! An error that only says "does not fit" leaves the work to the reader. For each service that
//! waits, candidates are read off from what speaks against each node, tried, confirmed by a plan,
//! and worded: `free 2GiB of memory on n1`.

pub(super) mod apply;
pub(super) mod budget;
pub(super) mod candidates;
pub(super) mod case;
pub(super) mod change;
pub(super) mod combined;
pub(super) mod confirm;
pub(super) mod crew;
pub(super) mod cut;
pub(super) mod destinations;
pub(super) mod effect;
pub(super) mod headroom;
pub(super) mod lifting;
pub(super) mod minimize;
pub(super) mod multi_node;
pub(super) mod new_gpus;
pub(super) mod new_node;
pub(super) mod new_node_wording;
pub(super) mod new_nodes;
pub(super) mod new_zones;
pub(super) mod remedy;
pub(super) mod room_wording;
pub(super) mod seen;
pub(super) mod subproblem;
pub(super) mod trial;
pub(super) mod wording;

use devnet_schema::placement::{NodeViolations, Suggestion, Unplaceable};

use crate::place::{
    effort::spent::Spent,
    explain::violation,
    ix::{PerNode, ServiceIx},
    model::{partial::PartialPlacement, retained},
    outcome::Outcome,
    problem::InstanceKey,
};
use budget::Budget;
use case::Case;
use case::Kind;
use case::Remedy;
use case::Trial;
use remedy::CandidateRemedy;

/// What did not fit, with every node's reasons and the remedies.
pub(super) fn remedies(
    partial: &PartialPlacement<'_>,
    outcome: &Outcome<InstanceKey>,
    spent: &mut Spent<'_>,
) -> Vec<Unplaceable> {
    let indexed = partial.indexed;
    let places = cut::PlacedByNode::of(outcome);
    let short = |service: &ServiceIx| {
        partial.missing(*service) > 0 && !indexed.services[*service].is_retained()
    };
    let mut list: Vec<ServiceIx> = indexed.services.positions().filter(short).collect();
    list.sort_by_key(|&service| (indexed.services[service].level, service));
    let mut budget = budget::Budget::of(indexed, list.len());
    list.into_iter()
        .map(|service| {
            let input = indexed.services[service].input;
            let nodes = indexed.nodes.enumerate().map(|(node_ix, node)| NodeViolations {
                node: node.input.name.clone(),
                violations: violation::violations(
                    &retained::without_one(partial, service, node_ix),
                    service,
                    node_ix,
                ),
            });
            let nodes: PerNode<NodeViolations> = nodes.collect();
            let partial = &*retained::without_own(partial, service);
            let case = case::Case { indexed, partial, outcome, places: &places, service };
            let suggestions = case.remedies(&nodes, (&mut budget, spent));
            Unplaceable {
                service: input.name.declared().clone(),
                at: input.at.clone(),
                unplaced: partial.missing(service),
                nodes: nodes.into_iter().collect(),
                suggestions,
            }
        })
        .collect()
}

/// Tries that are kept for new nodes where several instances wait.
const NEW_NODES: u32 = 5;

/// Remedies that are told of one service at most, those with new nodes not counted.
const TOLD: usize = 6;

impl Case<'_, '_> {
    /// The remedies out, cheapest first, each seen to place more; whom of others that costs a node,
    /// or gives one first, it says as far as the plan with it was made. `nodes` says what speaks
    /// against each node. The last tries are kept for new nodes.
    pub(super) fn remedies(
        &self,
        nodes: &PerNode<NodeViolations>,
        (budget, spent): (&mut Budget, &mut Spent<'_>),
    ) -> Vec<Suggestion> {
        if budget.each == 0 {
            return Vec::new();
        }
        budget.next_service();
        let mut list = candidates::remedies(self.partial, self.service, nodes);
        // What can be had by moves alone, a small problem has already.
        list.retain(|remedy| !self.solved_whole() || !remedy.changes.is_empty());
        if self.whole() {
            list.dedup_by(|a, b| a.changes == b.changes);
        }
        let kept = if self.missing() > 1 { NEW_NODES } else { 1 };
        list.truncate(budget.each.saturating_sub(kept).max(budget.each / 2) as usize);
        let mut found = self.first_of((list, 1), budget, spent);
        // Of one on each node, a new node asks for one more.
        let each = self.indexed.services[self.service].input.numbers.is_some();
        if !each {
            found.extend(self.new_nodes(budget, spent));
        }
        for alone in [false, true] {
            if found.is_empty() && !each {
                budget.once_more();
                let list = combined::remedies(self.partial, self.service, alone);
                found = self.first_of((list, 0), budget, spent);
            }
        }
        let size = |way: &Remedy| {
            let new = new_node_wording::size_of(self.indexed, self.service, &way.changes);
            new.saturating_add(remedy::amount(self.partial, &way.changes))
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
            if found.len() >= TOLD || !budget.may_try() || !spent.go_on(self.partial.placed()) {
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

    /// Whether a remedy that is known makes it needless to try this one.
    fn spares(&self, way: &Remedy, remedy: &CandidateRemedy) -> bool {
        let part = || way.changes.iter().all(|change| remedy.changes.contains(change));
        let enough = way.harmless && way.gained >= self.missing();
        let all = enough && !way.changes.is_empty() && part();
        // Less of the same, for fewer of them.
        let fewer = remedy.aim < self.missing() && remedy.aim <= way.gained;
        all || (fewer && remedy::kinds(&way.changes) == remedy::kinds(&remedy.changes))
    }

    /// What is told of a trial: what the plan makes of it, while plans are left of which `kept` are
    /// for others, and else what was seen.
    pub(super) fn confirmed(
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
}
