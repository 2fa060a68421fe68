//! Permits for requests that compute: so many at once, so that they cannot take the loop's threads.
//!
//! Knows how many there are of each kind. Refuses to queue plans: who asks is told to come again.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Plans that are made for requests at once.
const PLANS: usize = 2;
/// Saved plans that are compared with what is now at once.
const APPLIES: usize = 2;

/// What a permit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Making a plan.
    Plan,
    /// Applying one.
    Apply,
}

/// Kept as long as a thread computes for a request; the last of its clones gives it back.
#[derive(Debug, Clone)]
pub struct Permit {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// All permits.
#[derive(Debug)]
pub(super) struct Permits {
    plans: Arc<Semaphore>,
    applies: Arc<Semaphore>,
}

impl Default for Permits {
    fn default() -> Self {
        Self { plans: Arc::new(Semaphore::new(PLANS)), applies: Arc::new(Semaphore::new(APPLIES)) }
    }
}

impl Permits {
    fn of(&self, work: Work) -> &Arc<Semaphore> {
        match work {
            Work::Plan => &self.plans,
            Work::Apply => &self.applies,
        }
    }

    /// Whether a permit is free now.
    pub(super) fn has_permit(&self, work: Work) -> bool {
        self.of(work).available_permits() > 0
    }

    /// A permit, when one is free.
    pub(super) fn permit(&self, work: Work) -> Option<Permit> {
        Arc::clone(self.of(work))
            .try_acquire_owned()
            .ok()
            .map(|permit| Permit { _permit: Arc::new(permit) })
    }

    /// A permit, as soon as one is free.
    pub(super) async fn wait(&self, work: Work) -> Permit {
        let permit = Arc::clone(self.of(work)).acquire_owned().await;
        // Cannot fail: that happens where a semaphore is closed, and nobody closes these.
        Permit { _permit: Arc::new(permit.expect("permits are never taken away")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn plans_are_two_at_once_and_leave_room_to_apply() {
        let permits = Permits::default();
        let first = permits.permit(Work::Plan).unwrap();
        let second = permits.permit(Work::Plan).unwrap();
        assert!(permits.permit(Work::Plan).is_none() && !permits.has_permit(Work::Plan));
        drop(permits.wait(Work::Apply).await);
        let also_first = first.clone();
        drop(first);
        assert!(!permits.has_permit(Work::Plan), "its thread still computes");
        drop(also_first);
        assert!(permits.has_permit(Work::Plan));
        drop(second);
    }
}
