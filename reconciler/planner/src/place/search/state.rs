//! What a search knows at one moment: the best placement so far, and bounds of better ones.
//!
//! Knows what every stage may use and change. Refuses to know the stages.
//!
//! A stage takes the whole of it, improves the placement or a bound, and leaves the rest alone. At
//! the end it is what the storeys above are told: 23 of 24 placed at priority 50, and 23 proven.

use std::mem;

use crate::place::{
    effort::spent::Spent,
    model::{index::IndexedProblem, partial::PartialPlacement},
    program::{column_generation::Columns, relaxation::Relaxation, relaxation::alone::alone},
};

use super::{
    construct,
    solved::Solved,
    style::{REPAIRS, Style},
};

/// What part of all instances, one in so many, is missing where a large fleet is placed anew and
/// not repaired.
const REPAIRABLE: u32 = 10;

/// A search under way.
pub(crate) struct Search<'f, 's, 'w> {
    pub best: PartialPlacement<'f>,
    /// Of each level: no placement that places as much above places more here.
    pub bounds: Vec<u32>,
    /// The bounds come from an earlier search: nothing is spent on better ones.
    pub bounded: bool,
    /// The level that is filled; stages outside of levels do not look at it.
    pub level: usize,
    /// Greedy runs that were not tried yet.
    pub untried: &'static [Style],
    pub relaxation: Option<Relaxation<'f>>,
    pub columns: Option<Columns<'f>>,
    /// No placement that places as much has a lower migration cost.
    pub migration_bound: u64,
    /// What the moves may cost while the score is improved; nothing where the score comes first.
    pub migration_cap: Option<u64>,
    /// Nothing moves that could stay, as the score is begun with.
    pub forced_only: bool,
    /// No placement that places as much with as few moves has a lower score.
    pub score_bound: u64,
    /// The score cannot be better.
    pub score_proven: bool,
    pub spent: &'s mut Spent<'w>,
}

impl<'f, 's, 'w> Search<'f, 's, 'w> {
    /// A search that begins with what runs, repaired by the gentlest greedy run. Of each level,
    /// `known` instances at most can be placed.
    pub(crate) fn begin(
        indexed: &'f IndexedProblem<'f>,
        known: Option<Vec<u32>>,
        spent: &'s mut Spent<'w>,
    ) -> Self {
        spent.round += 1;
        Self {
            best: construct::run(indexed, REPAIRS[0]),
            bounded: known.is_some(),
            bounds: known.unwrap_or_else(|| alone(indexed)),
            level: 0,
            untried: &[],
            relaxation: None,
            columns: None,
            migration_bound: 0,
            migration_cap: None,
            forced_only: false,
            score_bound: 0,
            score_proven: false,
            spent,
        }
    }

    pub(crate) fn indexed(&self) -> &'f IndexedProblem<'f> {
        self.best.indexed
    }

    /// Whether the score comes before the moves.
    pub(crate) fn score_first(&self) -> bool {
        self.indexed().problem.limits.rebalance
    }

    /// Whether more could be placed at the level, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        self.best.placed()[self.level] < self.bounds[self.level]
    }

    /// Takes a bound of the level over where it is better than the one known.
    pub(crate) fn lower_bound(&mut self, most: u32) {
        let placed = self.best.placed()[self.level];
        let bound = &mut self.bounds[self.level];
        *bound = (*bound).min(most).max(placed);
    }

    /// Gets ready to fill the levels.
    pub(crate) fn prepare_levels(&mut self) {
        self.columns = if self.bounded { None } else { Columns::new(self.indexed()) };
        let all_tried = cold_start(&self.best) || self.score_first();
        self.untried = if all_tried { &[] } else { &REPAIRS[1..] };
    }

    /// The greedy runs that are left, which are then tried.
    pub(crate) fn take_untried(&mut self) -> &'static [Style] {
        mem::take(&mut self.untried)
    }

    /// Tells of the best placement and asks whether to go on.
    pub(crate) fn may_go_on(&mut self) -> bool {
        self.spent.go_on(self.best.placed())
    }

    pub(crate) fn finish(self) -> Solved<'f> {
        let Self { best, bounds, migration_bound, score_bound, .. } = self;
        Solved { partial: best, bounds, migration_bound, score_bound }
    }
}

/// Whether anything of it runs.
pub(crate) fn runs(indexed: &IndexedProblem<'_>) -> bool {
    indexed.services.iter().any(|service| service.running() > 0)
}

/// Whether so little runs that there is nothing to repair.
pub(crate) fn cold_start(best: &PartialPlacement<'_>) -> bool {
    let wanted: u32 = best.indexed.wanted().iter().sum();
    let missing = wanted - best.placed().iter().sum::<u32>();
    !runs(best.indexed) || missing > wanted / REPAIRABLE
}
