//! What was placed at each priority, and what could be.
//!
//! Knows bounds and what they rest on. Refuses to call a bound absolute that rests on data staying.
//!
//! A bound may hold only because nobody moves data. Such a level says what it assumes, so that a
//! person knows what could be changed.

use devnet_schema::placement::PriorityLevel;

use crate::place::{
    effort::spent::Spent,
    model::{
        index::{self, IndexedProblem},
        partial::PartialPlacement,
        retained,
    },
    program::relaxation::alone,
    search::strategy,
};

pub(crate) fn levels(
    partial: &PartialPlacement<'_>,
    bounds: &[u32],
    spent: &mut Spent<'_>,
) -> Vec<PriorityLevel> {
    let (wanted, placed) = (partial.indexed.wanted(), partial.placed());
    let counts = wanted.into_iter().zip(placed).zip(bounds);
    let levels = partial.indexed.levels.iter().zip(counts).filter(|(level, _)| !level.retained);
    let told = levels.map(|(level, ((wanted, placed), &bound))| PriorityLevel {
        priority: level.priority.0,
        wanted,
        placed,
        bound,
        proven: placed == bound,
        ..PriorityLevel::default()
    });
    let mut levels: Vec<PriorityLevel> = told.collect();
    assume(partial.indexed, &mut levels, spent);
    levels
}

/// Says of the bounds that rest on it that data stays where it is, or what is kept as it is: more
/// could be placed if someone moved it. What does not fit either way is kept out all the same: a
/// small problem is solved without the locks to know, in a larger one that is seen of what no node
/// could hold.
fn assume(indexed: &IndexedProblem<'_>, levels: &mut [PriorityLevel], spent: &mut Spent<'_>) {
    let short = levels.iter().any(|level| level.bound < level.wanted);
    let is_retained = retained::retained_services(indexed).next().is_some();
    let what = match (indexed.holds_data(), is_retained) {
        (false, false) => return,
        (true, false) => "data stays where it is",
        (false, true) => "what runs as it is keeps what it has",
        (true, true) => "data stays where it is, and what runs as it is keeps what it has",
    };
    if !short {
        return;
    }
    let mut open = indexed.problem.clone();
    retained::released(&mut open, |_| true);
    let mut free = IndexedProblem::new(&open);
    free.services.enumerate_mut().for_each(|(_, service)| service.unlock());
    let most = match free.pairs() <= index::SMALL {
        true => spent.aside(|spent| strategy::solve(&free, None, spent).bounds),
        false => alone::alone(&free),
    };
    for (level, most) in levels.iter_mut().zip(most) {
        if level.bound < level.wanted.min(most) {
            level.assumes = Some(what.to_owned());
        }
    }
}
