//! How much may be spent on looking for remedies.
//!
//! Knows counts, shared fairly among the services that wait. Refuses to know a clock, and what is
//! tried.
//!
//! Hundreds of services may wait at once, and a plan must still end. Eight services get twelve
//! tries each, and what one leaves is for the others.

use crate::place::model::index::{IndexedProblem, SMALL};

/// Services for which as much is tried as is allowed for one.
const SERVICES: u32 = 8;

/// Pairs of a service and a node that may be planned to confirm what was found: a plan of a
/// small problem takes no time, one of a larger one does.
const PAIRS: usize = 700;

/// Plans that are made to confirm, at least and at most.
const PLANS: (usize, usize) = (6, 200);

/// What may still be tried.
pub(crate) struct Budget {
    /// Quick tries for one service.
    pub each: u32,
    tries: u32,
    tries_here: u32,
    shrinks_here: u32,
    plans: u32,
    plans_here: u32,
    services: u32,
    /// A quick try takes no time.
    small: bool,
}

impl Budget {
    /// Twelve tries for each of eight services, as the limits are by default, where so many wait.
    pub(crate) fn of(indexed: &IndexedProblem<'_>, services: usize) -> Self {
        let each = indexed.problem.limits.suggestions;
        let plans = (PAIRS / indexed.pairs().max(1)).clamp(PLANS.0, PLANS.1);
        Self {
            each,
            tries: SERVICES * each,
            tries_here: 0,
            shrinks_here: 0,
            plans: plans as u32,
            plans_here: 0,
            services: services as u32,
            small: indexed.pairs() <= SMALL,
        }
    }

    /// What one more service may have; what those before it left is for all that follow.
    pub(crate) fn next_service(&mut self) {
        self.tries_here = self.each;
        self.shrinks_here = if self.small { self.each } else { 0 };
        self.plans_here = self.plans.div_ceil(self.services.max(1));
        self.services = self.services.saturating_sub(1);
    }

    /// Whether one more smaller amount may be tried.
    pub(crate) fn may_shrink(&mut self) -> bool {
        let left = self.shrinks_here > 0;
        self.shrinks_here = self.shrinks_here.saturating_sub(1);
        left
    }

    /// The same service gets as many quick tries again.
    pub(crate) fn once_more(&mut self) {
        self.tries_here = self.each;
    }

    /// Whether one more quick try may be made.
    pub(crate) fn may_try(&mut self) -> bool {
        take(&mut self.tries, &mut self.tries_here)
    }

    /// Whether one more plan may be made; `kept` are for later.
    pub(crate) fn may_plan(&mut self, kept: u32) -> bool {
        self.plans_here > kept && take(&mut self.plans, &mut self.plans_here)
    }
}

fn take(all: &mut u32, here: &mut u32) -> bool {
    let left = *all > 0 && *here > 0;
    if left {
        *all -= 1;
        *here -= 1;
    }
    left
}

/// Integer programs of one plan at most, and their nodes of branch and bound: what is only found
/// with more is not told.
pub(crate) const ILPS: u32 = 2;

/// Nodes of branch and bound of one plan at most.
pub(crate) const SEARCH_NODES: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_service_leaves_is_for_the_others() {
        let (tries, tries_here, plans_here) = (20, 0, 0);
        let (shrinks_here, small) = (0, true);
        let mut budget = Budget {
            each: 12,
            tries,
            tries_here,
            shrinks_here,
            plans: 5,
            plans_here,
            services: 2,
            small,
        };
        budget.next_service();
        let tried = (0..20).filter(|_| budget.may_try()).count();
        assert_eq!((tried, budget.may_plan(2), budget.may_plan(2)), (12, true, false));
        budget.next_service();
        let tried = (0..20).filter(|_| budget.may_try()).count();
        let planned = (0..20).filter(|_| budget.may_plan(0)).count();
        assert_eq!((tried, planned), (8, 4));
    }
}
