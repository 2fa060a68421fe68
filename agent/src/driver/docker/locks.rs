//! Locks by name, for what several steps of one node share: networks, volumes, images, instances.
//!
//! Knows names. Refuses to know what is behind them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Locks of one kind of thing, by name. Whoever makes, changes or removes a thing has it alone;
/// whoever uses it shares it with others who use it.
#[derive(Default)]
pub(super) struct Locks(Mutex<BTreeMap<String, Arc<RwLock<()>>>>);

/// Held by whoever uses a thing.
pub(super) type Using = OwnedRwLockReadGuard<()>;
/// Held by whoever makes, changes or removes it.
pub(super) type Making = OwnedRwLockWriteGuard<()>;

impl Locks {
    fn of(&self, name: &str) -> Arc<RwLock<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Names that nobody holds or waits for are forgotten: there is no end to names.
        all.retain(|_, lock| Arc::strong_count(lock) > 1);
        all.entry(name.to_owned()).or_default().clone()
    }

    /// Waits until nobody changes it.
    pub(super) async fn using(&self, name: &str) -> Using {
        self.of(name).read_owned().await
    }

    /// Waits until nobody uses or changes it.
    pub(super) async fn making(&self, name: &str) -> Making {
        self.of(name).write_owned().await
    }

    /// The same, unless somebody uses or changes it now.
    pub(super) fn making_now(&self, name: &str) -> Option<Making> {
        self.of(name).try_write_owned().ok()
    }
}

/// Locks of every kind of thing of an engine.
#[derive(Default)]
pub(super) struct Shared {
    /// Networks by name.
    pub networks: Locks,
    /// Volumes by name.
    pub volumes: Locks,
    /// Images by reference.
    pub images: Locks,
    /// Instances: held by whoever replaces, removes or puts right the containers of one.
    pub instances: Locks,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thing_is_made_by_one_and_used_by_many_and_forgotten_when_nobody_does() {
        let locks = Locks::default();
        let making = locks.making("a").await;
        assert!(locks.making_now("a").is_none());
        assert!(locks.making_now("b").is_some(), "another name is another thing");
        let using = making.downgrade();
        let also = locks.using("a").await;
        assert!(locks.making_now("a").is_none());
        drop((using, also));
        assert!(locks.making_now("a").is_some());
        drop(locks.making_now("c"));
        assert_eq!(locks.0.lock().unwrap().len(), 1, "only the last name that was asked for");
    }
}
