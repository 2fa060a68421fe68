//! The stages that make fewer instances move.
//!
//! Knows the methods for the level of moves. Refuses to give up anything placed.
//!
//! Most placements reach the bound by bringing instances back home; a program is solved only where
//! that does not do. What cannot stay anywhere is the bound.

use crate::place::program::formulation::Goal;

use super::{
    large_neighborhood, shift,
    state::Search,
    whole::{floors, run_whole, whole},
};

/// Gives instances the devices that they had, where that restarts fewer.
pub(crate) fn keep_devices(search: &mut Search<'_, '_, '_>) {
    search.migration_bound = search.indexed().forced().1;
    search.best.keep_devices();
}

/// Whether the moves could be cheaper, as far as is known.
pub(crate) fn is_open(search: &Search<'_, '_, '_>) -> bool {
    search.best.moves().1 != search.migration_bound
}

/// Brings instances back to where they ran, and sends away those for whom others would restart.
pub(crate) fn back_home(search: &mut Search<'_, '_, '_>) {
    let mut partial = search.best.clone();
    shift::return_home(&mut partial);
    shift::leave_in_peace(&mut partial);
    if partial.rank().beats(&search.best.rank()) {
        search.best = partial;
    }
}

pub(crate) fn wants_program(search: &Search<'_, '_, '_>) -> bool {
    is_open(search) && whole(search.indexed())
}

/// One integer program of all moves, with a proof; where the score comes first, none is lost of it.
pub(crate) fn program(search: &mut Search<'_, '_, '_>) {
    let all = floors(&search.best.placed(), search.indexed().levels.len());
    let score_cap = search.score_first().then(|| search.best.score());
    let found = run_whole(&search.best, Goal::Moves, all, (None, score_cap), search.spent);
    let Some(found) = found else { return };
    if found.partial.rank().beats(&search.best.rank()) {
        search.best = found.partial;
    }
    // A cost is a whole number, and the relaxation may be just below one.
    let least = (found.bound - 1e-4).ceil().max(0.0) as u64;
    if found.proven {
        search.migration_bound = search.migration_bound.max(least).min(search.best.moves().1);
    }
}

pub(crate) fn wants_neighborhoods(search: &Search<'_, '_, '_>) -> bool {
    is_open(search) && !whole(search.indexed()) && !search.score_first()
}

/// Programs of a few nodes each.
pub(crate) fn neighborhoods(search: &mut Search<'_, '_, '_>) {
    large_neighborhood::move_less(&mut search.best, search.migration_bound, search.spent);
}
