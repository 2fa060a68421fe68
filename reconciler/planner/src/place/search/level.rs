//! The stages that place more instances.
//!
//! Knows what each method needs and takes what it finds. Refuses to touch what a higher level has,
//! and to know which stage comes when: [`super::strategy`] does.
//!
//! Most levels of most plans are full after the first greedy run, and no stage applies. Of a fleet
//! that lost a node, the quick chains place what ran there.

use crate::place::{
    model::partial::PartialPlacement,
    program::relaxation::{self, Relaxation},
};

use super::{
    construct, ejection_chain, large_neighborhood, local,
    start::{take_better, try_styles},
    state::{Search, cold_start},
    style::{self, REPAIRS},
    whole::{place_whole, whole},
};

/// Pairs above which the relaxation guides a greedy run: with many nodes of few kinds it knows
/// well what goes where.
const GUIDED_PAIRS: usize = 20_000;

pub(crate) fn wants_guide(search: &Search<'_, '_, '_>) -> bool {
    search.best.placed() != search.bounds
        && search.indexed().pairs() > GUIDED_PAIRS
        && cold_start(&search.best)
}

/// What a relaxation that places as much as can be, and that evenly, comes to when it is rounded:
/// in a large fleet with few kinds of nodes and services little is lost by that.
pub(crate) fn guided(search: &mut Search<'_, '_, '_>) {
    if let Some(partial) = rounded(search) {
        take_better(&mut search.best, partial);
    }
}

fn rounded<'f>(search: &mut Search<'f, '_, '_>) -> Option<PartialPlacement<'f>> {
    let indexed = search.indexed();
    let (best, spent) = (&search.best, &mut *search.spent);
    let mut relaxed = Relaxation::new(indexed, false);
    let levels = 0..indexed.levels.len();
    for level in levels.clone() {
        let most = relaxed.most_placed(level, spent)?;
        relaxed.floor(level, most);
    }
    relaxed.least_score(spent)?;
    let mut partial = construct::guided(indexed, &relaxed.shares());
    for round in 0..2 {
        for level in levels.clone() {
            ejection_chain::place_more(&mut partial, level, ejection_chain::THOROUGH, &mut |_| {
                spent.go_on(best.placed())
            });
        }
        if round == 0 {
            local::improve(&mut partial, true);
            let order = style::order(indexed, style::Order::LargestFirst);
            construct::fill(&mut partial, &order, REPAIRS[1]);
        }
    }
    Some(partial)
}

/// A few ejection chains for every level that is not full.
pub(crate) fn quick_chains(search: &mut Search<'_, '_, '_>) {
    for level in 0..search.bounds.len() {
        search.level = level;
        if search.is_open() {
            chain_more(search, ejection_chain::BRIEF);
        }
    }
}

/// The greedy repairs that were not tried yet.
pub(crate) fn other_repairs(search: &mut Search<'_, '_, '_>) {
    let untried = search.take_untried();
    try_styles(search, untried);
}

/// A bound of the level from the nodes alone where it is short.
pub(crate) fn nearby_bound(search: &mut Search<'_, '_, '_>) {
    if let Some(most) = relaxation::nearby(&search.best, search.level, search.spent) {
        search.lower_bound(most);
    }
}

/// A bound of the level from all nodes.
pub(crate) fn relaxed_bound(search: &mut Search<'_, '_, '_>) {
    let (indexed, level, placed) = (search.indexed(), search.level, search.best.placed());
    let relaxed = search.relaxation.get_or_insert_with(|| Relaxation::new(indexed, false));
    (0..level).for_each(|above| relaxed.floor(above, placed[above]));
    if let Some(most) = relaxed.most_placed(level, search.spent) {
        search.lower_bound(most);
    }
}

/// Places what the best mix of whole patterns comes to, rounded.
pub(crate) fn column_generation(search: &mut Search<'_, '_, '_>) {
    let Some(mut columns) = search.columns.take() else { return };
    columns.learn(&search.best);
    let (level, placed) = (search.level, search.best.placed());
    if let Some(most) = columns.generate(level, &placed, search.spent) {
        search.lower_bound(most);
    }
    let mixed = match search.is_open() && search.may_go_on() {
        true => columns.partial(level, &search.best, search.spent),
        false => None,
    };
    search.columns = Some(columns);
    let Some(mut partial) = mixed else { return };
    construct::tidy(&mut partial);
    for order in [style::Order::LargestOfAll, style::Order::LargestFirst] {
        construct::fill(&mut partial, &style::order(search.indexed(), order), REPAIRS[1]);
    }
    construct::tidy(&mut partial);
    let (best, spent) = (&search.best, &mut *search.spent);
    for level in 0..=level {
        ejection_chain::place_more(&mut partial, level, ejection_chain::THOROUGH, &mut |_| {
            spent.go_on(best.placed())
        });
    }
    take_better(&mut search.best, partial);
}

/// Makes room for what the level misses.
pub(crate) fn chains(search: &mut Search<'_, '_, '_>) {
    let repair = !cold_start(&search.best) && search.indexed().forced().0 == 0;
    chain_more(search, if repair { ejection_chain::REPAIR } else { ejection_chain::THOROUGH });
}

fn chain_more(search: &mut Search<'_, '_, '_>, steps: u32) {
    let Search { best, bounds, level, spent, .. } = search;
    let (before, level) = (best.clone(), *level);
    let mut go_on = |partial: &PartialPlacement<'_>| {
        partial.placed()[level] < bounds[level] && spent.go_on(partial.placed())
    };
    ejection_chain::place_more(best, level, steps, &mut go_on);
    if !best.sound() {
        *best = before;
    }
}

pub(crate) fn wants_program(search: &Search<'_, '_, '_>) -> bool {
    search.is_open() && whole(search.indexed())
}

/// One integer program of all nodes, with a proof.
pub(crate) fn whole_program(search: &mut Search<'_, '_, '_>) {
    let Search { best, bounds, level, spent, .. } = search;
    place_whole(best, *level, &mut bounds[*level], spent);
}

pub(crate) fn wants_neighborhoods(search: &Search<'_, '_, '_>) -> bool {
    let indexed = search.indexed();
    search.is_open() && !whole(indexed) && indexed.pairs() <= GUIDED_PAIRS
}

/// Programs of a few nodes each.
pub(crate) fn neighborhoods(search: &mut Search<'_, '_, '_>) {
    let Search { best, bounds, level, spent, .. } = search;
    large_neighborhood::place_more(best, *level, bounds[*level], spent);
}
