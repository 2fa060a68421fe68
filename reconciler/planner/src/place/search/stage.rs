//! One stage of a search, and the report of what it improved.
//!
//! Knows when a stage is made and how it is told of. Refuses to know what a stage does.
//!
//! A search is a table of stages and not a page of conditions, so that `plan -explain-search` can
//! say which of them was worth its time. A stage that does not apply leaves no report: `ejection
//! chains` does not where a level has reached its bound.

use crate::place::{
    effort::trace::{StageReport, Standing},
    model::index::Level,
};

use super::state::Search;

/// One stage.
pub(crate) struct Stage {
    /// For people.
    pub name: &'static str,
    /// What it may spend, for people.
    pub effort: &'static str,
    /// Whether it is made although the search was stopped: it is quick, and no answer should be
    /// without it.
    pub always: bool,
    pub applies: fn(&Search<'_, '_, '_>) -> bool,
    pub run: fn(&mut Search<'_, '_, '_>),
}

/// Makes the stages that apply, one after the other.
pub(crate) fn run_all(stages: &[Stage], search: &mut Search<'_, '_, '_>, level: Option<Level>) {
    for stage in stages {
        if (stage.applies)(search) && (stage.always || search.may_go_on()) {
            reported(stage, search, level);
        }
    }
}

fn reported(stage: &Stage, search: &mut Search<'_, '_, '_>, level: Option<Level>) {
    if !search.spent.traces {
        return (stage.run)(search);
    }
    let (before, programs) = (standing(search), search.spent.ilps);
    (stage.run)(search);
    let (after, programs) = (standing(search), search.spent.ilps - programs);
    let level = level.map(|level| (level.priority.0, level.retained));
    search.spent.trace.push(StageReport {
        round: search.spent.round,
        stage: stage.name,
        effort: stage.effort,
        level,
        programs,
        before,
        after,
    });
}

/// How good the best placement is, and what is known of better ones.
fn standing(search: &Search<'_, '_, '_>) -> Standing {
    let rank = search.best.rank();
    Standing {
        placed: rank.placed.iter().sum(),
        bound: search.bounds.iter().sum(),
        migration_cost: rank.migration_cost,
        score: rank.score,
    }
}
