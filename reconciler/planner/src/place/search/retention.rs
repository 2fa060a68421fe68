//! Placement with what has no place kept running as it is, unless a higher priority needs its room.
//!
//! Knows when a problem is solved again, and with which instances retained. Refuses to let a
//! retained instance stand in the way of what is placed as it is declared and is as important.
//!
//! A running instance whose new spec no longer fits keeps its old spec in place. The problem is
//! solved without that first; a fleet in which everything fits pays nothing.

use std::{borrow::Cow, collections::BTreeSet};

use devnet_schema::name::InstanceId;

use super::{
    beside::{in_order, take_better, with_all},
    displaced::{gone, homeless, nobody_stops, others, presses},
    fixpoint,
    locks::settled,
    solved::Solved,
};
use crate::place::{
    effort::spent::Spent,
    model::{index, retained::staged, service::Service},
    problem::PlacementProblem,
};

/// Integer programs of a large problem that is solved again, at most: what was placed before, with
/// what is kept beside it, is there already.
const ILPS: u32 = 12;

/// Rounds of keeping what the round before displaced.
const ROUNDS: u32 = 4;

/// The best placement of a problem, with what has no place in it kept as it is where that can be:
/// `then` is shown it.
///
/// On a node that has less than what runs there, less is counted of some. Where that made room for
/// others when the rest went away, it is solved again without those that did.
pub(crate) fn solved<R>(
    problem: &PlacementProblem,
    spent: &mut Spent<'_>,
    then: impl FnOnce(Solved<'_>, &mut Spent<'_>) -> R,
) -> R {
    let (mut problem, mut then) = (Cow::Borrowed(problem), then);
    let mut rounds = 0;
    loop {
        rounds += 1;
        let look = |solved: Solved<'_>, spent: &mut Spent<'_>| {
            let gone = gone(&solved.partial);
            match gone.is_empty() || rounds > ROUNDS {
                true => Ok(then(solved, spent)),
                false => Err((gone, then)),
            }
        };
        match spent.nested(|spent| attempt(&problem, spent, look)) {
            Ok(answer) => return answer,
            Err((gone, again)) => {
                problem.to_mut().leaving.extend(gone);
                then = again;
            }
        }
    }
}

/// The same, with what is counted of each as it stands.
fn attempt<R>(
    problem: &PlacementProblem,
    spent: &mut Spent<'_>,
    then: impl FnOnce(Solved<'_>, &mut Spent<'_>) -> R,
) -> R {
    let indexed = settled(problem);
    let first = fixpoint::solve(&indexed, spent);
    let (mut staying, as_declared) = homeless(&first.partial);
    let stopping: BTreeSet<InstanceId> = staying.union(&as_declared).cloned().collect();
    let stops = !stopping.is_empty();
    let loose = indexed.services.iter().any(Service::loose);
    let pressing = loose || presses(&first.partial);
    // Of two that cannot both be, one may do with what it has, or where it is.
    let others = match stops || pressing {
        true => others(&first.partial, &stopping, loose),
        false => BTreeSet::new(),
    };
    if staying.is_empty() && others.is_empty() {
        return then(first, spent);
    }
    // A small problem is solved again for the proof of its score.
    let small = indexed.pairs() <= index::SMALL;
    if !small && !pressing && (as_declared.is_empty() || others.is_empty()) {
        let staged = staged(problem, &staying);
        let indexed = settled(&staged);
        if let Some(solved) = with_all(&indexed, &first, spent) {
            return then(solved, spent);
        }
    }
    if small && !pressing && stops {
        let staged = staged(problem, &stopping);
        let indexed = settled(&staged);
        let mut solved = spent.nested(|spent| fixpoint::solve(&indexed, spent));
        if nobody_stops(&solved.partial) {
            in_order(&mut solved.partial);
            return then(solved, spent);
        }
    }
    staying.extend(others);
    let mut rounds = 0;
    loop {
        let mut staged = staged(problem, &staying);
        if indexed.pairs() > problem.limits.whole_pairs {
            staged.limits.ilps = staged.limits.ilps.min(ILPS);
        }
        let indexed = settled(&staged);
        let mut solved = spent.nested(|spent| fixpoint::solve(&indexed, spent));
        take_better(&mut solved, &first.partial, spent);
        let (mut more, _) = homeless(&solved.partial);
        more.retain(|id| !staying.contains(id));
        rounds += 1;
        if more.is_empty() || rounds >= ROUNDS {
            in_order(&mut solved.partial);
            return then(solved, spent);
        }
        staying.extend(more);
    }
}
