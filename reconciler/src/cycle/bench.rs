//! Seats for requests that compute: so many at once, so that they cannot take the loop's threads.
//!
//! Knows how many there are of each kind. Refuses to queue plans: who asks is told to come again.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Plans that are made for requests at once.
const PLANS: usize = 2;
/// Saved plans that are compared with what is now at once.
const APPLIES: usize = 2;

/// What a seat is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Making a plan.
    Plan,
    /// Applying one.
    Apply,
}

/// Kept as long as a thread computes for a request; the last of its clones gives it back.
#[derive(Debug, Clone)]
pub struct Seat {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// All seats.
#[derive(Debug)]
pub(super) struct Bench {
    plans: Arc<Semaphore>,
    applies: Arc<Semaphore>,
}

impl Default for Bench {
    fn default() -> Self {
        Self { plans: Arc::new(Semaphore::new(PLANS)), applies: Arc::new(Semaphore::new(APPLIES)) }
    }
}

impl Bench {
    fn of(&self, work: Work) -> &Arc<Semaphore> {
        match work {
            Work::Plan => &self.plans,
            Work::Apply => &self.applies,
        }
    }

    /// Whether a seat is free now.
    pub(super) fn has_seat(&self, work: Work) -> bool {
        self.of(work).available_permits() > 0
    }

    /// A seat, when one is free.
    pub(super) fn seat(&self, work: Work) -> Option<Seat> {
        Arc::clone(self.of(work))
            .try_acquire_owned()
            .ok()
            .map(|permit| Seat { _permit: Arc::new(permit) })
    }

    /// A seat, as soon as one is free.
    pub(super) async fn wait(&self, work: Work) -> Seat {
        let permit = Arc::clone(self.of(work)).acquire_owned().await;
        Seat { _permit: Arc::new(permit.expect("seats are never taken away")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn plans_are_two_at_once_and_leave_room_to_apply() {
        let bench = Bench::default();
        let first = bench.seat(Work::Plan).unwrap();
        let second = bench.seat(Work::Plan).unwrap();
        assert!(bench.seat(Work::Plan).is_none() && !bench.has_seat(Work::Plan));
        drop(bench.wait(Work::Apply).await);
        let also_first = first.clone();
        drop(first);
        assert!(!bench.has_seat(Work::Plan), "its thread still computes");
        drop(also_first);
        assert!(bench.has_seat(Work::Plan));
        drop(second);
    }
}
