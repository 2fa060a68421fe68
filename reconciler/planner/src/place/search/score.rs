//! The stages that improve the score.
//!
//! Knows the methods for the last level. Refuses to move what may stay, unless the score comes
//! first.
//!
//! The last per mille of the score costs the most time and is worth the least, so it gets a small
//! part of the search. Nothing is free where everything stays: then the score is proven as it is.

use crate::place::{
    effort::spent::Spent,
    ix::ServiceIx,
    model::partial::PartialPlacement,
    problem::Objective,
    program::{formulation::Goal, relaxation::Relaxation},
};

use super::{
    ejection_chain, local,
    state::Search,
    whole::{floors, run_whole, whole},
};

/// Pairs above which the score is not left to an integer program: its relaxation is weak, and
/// single shifts come as close.
const SCORE_PAIRS: usize = 400;

/// Settles what the moves may cost meanwhile, and whether anything is free to improve the score.
pub(crate) fn settle(search: &mut Search<'_, '_, '_>) {
    let best = &search.best;
    search.migration_cap = (!search.score_first()).then(|| best.moves().1);
    search.forced_only = best.moves().1 == best.indexed.forced().1;
    let stays = |service: ServiceIx| {
        best.of_service[service].iter().all(|(&node, &count)| best.staying(service, node) == count)
    };
    let nothing_free = best.indexed.services.positions().all(stays);
    let hold = search.migration_cap.is_some();
    search.score_proven = hold && nothing_free && search.forced_only && best.missing_none();
    if search.score_proven {
        search.score_bound = best.score();
    }
}

/// Empties nodes where few are to be in use; then shifts and swaps, as long as the moves do not
/// become dearer.
pub(crate) fn polish(search: &mut Search<'_, '_, '_>) {
    let Search { best, spent, migration_cap, .. } = search;
    let (before, hold) = (best.clone(), migration_cap.is_some());
    if best.indexed.problem.objective == Objective::Pack {
        ejection_chain::vacate(best, hold);
    }
    local::polish(best, hold, &mut |partial| spent.go_on(partial.placed()));
    best.keep_devices();
    if migration_cap.is_some_and(|cap| best.moves().1 > cap) {
        *best = before;
    }
}

pub(crate) fn wants_program(search: &Search<'_, '_, '_>) -> bool {
    let indexed = search.indexed();
    !search.score_proven && whole(indexed) && indexed.pairs() <= SCORE_PAIRS
}

/// One integer program of the score.
pub(crate) fn program(search: &mut Search<'_, '_, '_>) {
    let all = floors(&search.best.placed(), search.indexed().levels.len());
    let caps = (search.migration_cap, None);
    let Some(found) = run_whole(&search.best, Goal::Score, all, caps, search.spent) else {
        return;
    };
    if found.partial.rank().beats(&search.best.rank()) {
        search.best = found.partial;
    }
    search.score_proven = found.proven;
    search.score_bound = match found.proven {
        true => search.best.score(),
        // Every node's score is rounded down twice.
        false => {
            let rounding = 2 * search.indexed().nodes.len() as u64;
            ((found.bound * 1e6).max(0.0) as u64).saturating_sub(rounding)
        }
    };
}

/// A bound of the score from the relaxation.
pub(crate) fn bound(search: &mut Search<'_, '_, '_>) {
    let keep = search.migration_cap.is_some() && search.forced_only;
    let least = relaxed_score(&search.best, keep, search.spent);
    search.score_bound = least.max(search.score_bound).min(search.best.score());
}

/// No placement that places as much has a lower score, whatever moves.
pub(crate) fn least_score(best: &PartialPlacement<'_>, spent: &mut Spent<'_>) -> u64 {
    relaxed_score(best, false, spent).min(best.score())
}

fn relaxed_score(best: &PartialPlacement<'_>, keep: bool, spent: &mut Spent<'_>) -> u64 {
    if !spent.go_on(best.placed()) {
        return 0;
    }
    let mut relaxed = Relaxation::new(best.indexed, keep);
    for (level, placed) in best.placed().into_iter().enumerate() {
        relaxed.floor(level, placed);
    }
    relaxed.least_score(spent).unwrap_or(0)
}
