//! From an indexed problem to its best placement, one level of the objective at a time.
//!
//! Knows the stages, their order, and what each may spend: the tables below are the strategy.
//! Refuses to weigh one level against another, and to call anything proven that a bound does not
//! prove.
//!
//! Each stage starts from what the one before left, and none gives up anything placed. With
//! everything placed by the first greedy run, only moves and score are left to improve.

use crate::place::{
    effort::spent::Spent,
    model::{index::IndexedProblem, partial::PartialPlacement},
};

use super::{
    construct, level, migration, score,
    solved::Solved,
    stage::{Stage, run_all},
    start,
    state::{Search, cold_start},
    style::{self, REPAIRS},
};

/// The first placement, before any level.
const START: [Stage; 2] = [
    Stage {
        name: "other greedy runs",
        effort: "four greedy runs",
        always: false,
        applies: start::wants_more,
        run: start::other_runs,
    },
    Stage {
        name: "rounded relaxation",
        effort: "a linear program for each level",
        always: false,
        applies: level::wants_guide,
        run: level::guided,
    },
];

/// Where little is missing, making room is quicker than knowing how much there could be, and no
/// level waits for the bound of another.
const WARM: [Stage; 1] = [Stage {
    name: "quick ejection chains",
    effort: "2,000 steps for each level",
    always: false,
    applies: |search| !cold_start(&search.best),
    run: level::quick_chains,
}];

/// Placing more at one level, from the quickest way to the dearest, until its bound is met.
const LEVEL: [Stage; 7] = [
    Stage {
        name: "rougher repair",
        effort: "one greedy run",
        always: false,
        applies: |search| search.is_open() && !search.untried.is_empty(),
        run: level::other_repairs,
    },
    Stage {
        name: "bound of the nodes nearby",
        effort: "one linear program",
        always: false,
        applies: |search| search.is_open() && !search.bounded,
        run: level::nearby_bound,
    },
    Stage {
        name: "bound of all nodes",
        effort: "one linear program",
        always: false,
        applies: |search| search.is_open() && !search.bounded,
        run: level::relaxed_bound,
    },
    Stage {
        name: "column generation",
        effort: "80 rounds, 2,000 small programs",
        always: false,
        applies: |search| search.is_open() && search.columns.is_some(),
        run: level::column_generation,
    },
    Stage {
        name: "ejection chains",
        effort: "30,000 steps of a repair, 300,000 of a cold start",
        always: false,
        applies: |search| search.is_open(),
        run: level::chains,
    },
    Stage {
        name: "one program of everything",
        effort: "5,000 nodes of branch and bound",
        always: false,
        applies: level::wants_program,
        run: level::whole_program,
    },
    Stage {
        name: "large neighborhoods",
        effort: "programs of four nodes, 24 without a gain",
        always: false,
        applies: level::wants_neighborhoods,
        run: level::neighborhoods,
    },
];

/// Moving as little as possible, with as much placed.
const MOVES: [Stage; 4] = [
    Stage {
        name: "devices from before",
        effort: "20,000 steps for each node",
        always: true,
        applies: |_| true,
        run: migration::keep_devices,
    },
    Stage {
        name: "back home",
        effort: "one shift for each instance that moved",
        always: true,
        applies: |search| migration::is_open(search) && !search.score_first(),
        run: migration::back_home,
    },
    Stage {
        name: "one program of all moves",
        effort: "5,000 nodes of branch and bound",
        always: false,
        applies: migration::wants_program,
        run: migration::program,
    },
    Stage {
        name: "large neighborhoods of moves",
        effort: "programs of four nodes, 8 without a gain",
        always: false,
        applies: migration::wants_neighborhoods,
        run: migration::neighborhoods,
    },
];

/// The best score, with as much placed and, unless it comes first, with moves as cheap.
const SCORE: [Stage; 4] = [
    Stage {
        name: "nothing is free",
        effort: "none",
        always: true,
        applies: |_| true,
        run: score::settle,
    },
    Stage {
        name: "shifts and swaps",
        effort: "20 rounds, 5,000,000 pairs",
        always: true,
        applies: |search| !search.score_proven,
        run: score::polish,
    },
    Stage {
        name: "one program of the score",
        effort: "250 nodes of branch and bound",
        always: false,
        applies: score::wants_program,
        run: score::program,
    },
    Stage {
        name: "bound of the score",
        effort: "one linear program",
        always: true,
        applies: |search| !search.score_proven,
        run: score::bound,
    },
];

/// What moved for the score may have left room; filling it breaks no bound.
const END: [Stage; 1] = [Stage {
    name: "filled again",
    effort: "one greedy run",
    always: true,
    applies: |search| !search.best.missing_none(),
    run: fill_again,
}];

/// Solves an indexed problem whose locks are settled. Of each level, `known` instances at most can
/// be placed.
pub(crate) fn solve<'f>(
    indexed: &'f IndexedProblem<'f>,
    known: Option<Vec<u32>>,
    spent: &mut Spent<'_>,
) -> Solved<'f> {
    let mut search = Search::begin(indexed, known, spent);
    fill_levels(&mut search);
    let orders = match search.score_first() {
        true => [SCORE.as_slice(), &MOVES],
        false => [MOVES.as_slice(), &SCORE],
    };
    for stages in orders {
        run_all(stages, &mut search, None);
    }
    run_all(&END, &mut search, None);
    search.finish()
}

/// The same without a thought for moves and score: enough to see what can be placed.
pub(crate) fn placed<'f>(
    indexed: &'f IndexedProblem<'f>,
    spent: &mut Spent<'_>,
) -> PartialPlacement<'f> {
    let mut search = Search::begin(indexed, None, spent);
    fill_levels(&mut search);
    search.best
}

/// Places as much as possible, level by level.
fn fill_levels(search: &mut Search<'_, '_, '_>) {
    run_all(&START, search, None);
    search.prepare_levels();
    run_all(&WARM, search, None);
    for (at, level) in search.indexed().levels.iter().enumerate() {
        search.level = at;
        run_all(&LEVEL, search, Some(*level));
    }
}

fn fill_again(search: &mut Search<'_, '_, '_>) {
    let order = style::order(search.indexed(), style::Order::FewestCandidates);
    construct::fill(&mut search.best, &order, REPAIRS[0]);
}
