//! The first placements of a search.
//!
//! Knows the greedy runs and takes the best of them. Refuses to prove anything.
//!
//! While something runs, only repairs of it are tried, since anything from nothing moves nearly all
//! of it. A cold start, where little runs, tries them all.

use crate::place::model::partial::PartialPlacement;

use super::{
    construct, shift,
    state::{Search, cold_start, runs},
    style::{REPAIRS, STYLES, Style},
};

/// Whether the gentlest repair is not enough: the score comes first, or much is missing. Where
/// little is missing, making room mostly does for that.
pub(crate) fn wants_more(search: &Search<'_, '_, '_>) -> bool {
    let complete = || search.indexed().wanted() == search.best.placed();
    search.score_first() || (!complete() && cold_start(&search.best))
}

/// The best of the other greedy runs; among equals the one that moves least.
pub(crate) fn other_runs(search: &mut Search<'_, '_, '_>) {
    let others: &[Style] = if runs(search.indexed()) { &REPAIRS[1..] } else { &STYLES };
    try_styles(search, others);
}

/// Takes what is better of these greedy runs.
pub(crate) fn try_styles(search: &mut Search<'_, '_, '_>, styles: &[Style]) {
    for style in styles {
        if !search.may_go_on() {
            return;
        }
        let partial = construct::run(search.indexed(), *style);
        take_better(&mut search.best, partial);
    }
}

/// Takes a placement where it is sound and better, with what can be back home brought there.
pub(crate) fn take_better<'f>(best: &mut PartialPlacement<'f>, mut partial: PartialPlacement<'f>) {
    shift::return_home(&mut partial);
    if partial.sound() && partial.rank().beats(&best.rank()) {
        *best = partial;
    }
}
