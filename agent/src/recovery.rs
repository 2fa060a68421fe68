//! Whether it is known what runs: one standing for each driver, and who waits for it.
//!
//! Knows that nothing may be started, or be taken for gone, before its driver has said what is
//! there. Refuses to ask the drivers: `node` does.

use std::{collections::BTreeMap, time::Duration};

use devnet_schema::instance::Runtime;
use tokio::sync::watch;

use crate::driver::DriverError;

/// What is known of one driver's units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It was not asked yet, or has not answered yet.
    Unasked,
    /// What it runs is known and was put right.
    Known,
    /// It could not say. It is asked again after a pause.
    Failed {
        /// There is nothing on this node that could run such units.
        unavailable: bool,
        /// Why, for people.
        why: String,
    },
}

/// The standing of every driver of this node.
pub struct Recovery {
    standing: watch::Sender<BTreeMap<Runtime, Standing>>,
}

impl Recovery {
    /// None of these was asked yet.
    pub fn new(runtimes: impl Iterator<Item = Runtime>) -> Self {
        let standing = runtimes.map(|runtime| (runtime, Standing::Unasked)).collect();
        Self { standing: watch::Sender::new(standing) }
    }

    /// A driver said what it runs.
    pub fn known(&self, runtime: Runtime) {
        self.set(runtime, Standing::Known);
    }

    /// A driver could not say what it runs, or says it no more. Returns whether that is news.
    pub fn failed(&self, runtime: Runtime, error: &DriverError) -> bool {
        let unavailable = matches!(error, DriverError::Unavailable(_));
        self.set(runtime, Standing::Failed { unavailable, why: error.to_string() })
    }

    fn set(&self, runtime: Runtime, now: Standing) -> bool {
        self.standing.send_if_modified(|all| {
            let news = all.get(&runtime) != Some(&now);
            all.insert(runtime, now);
            news
        })
    }

    /// Whether it is known what a driver runs.
    ///
    /// # Errors
    /// When it is not; the text says why.
    pub fn check(&self, runtime: Runtime) -> Result<(), DriverError> {
        verdict(runtime, self.standing.borrow().get(&runtime))
    }

    /// As [`Recovery::check`], for somebody who can wait for `patience` where the driver has not
    /// answered yet.
    ///
    /// # Errors
    /// As there.
    pub async fn decided(&self, runtime: Runtime, patience: Duration) -> Result<(), DriverError> {
        let mut standing = self.standing.subscribe();
        let asked = standing.wait_for(|all| all.get(&runtime) != Some(&Standing::Unasked));
        // Without an answer in time, the check below says that there is none.
        let _ = tokio::time::timeout(patience, asked).await.map(drop);
        self.check(runtime)
    }

    /// Returns when what a driver runs is not known any more.
    pub async fn lost(&self, runtime: Runtime) {
        let mut standing = self.standing.subscribe();
        let lost = standing.wait_for(|all| all.get(&runtime) != Some(&Standing::Known));
        // The sender lives as long as this value.
        let _ = lost.await.map(drop);
    }
}

fn verdict(runtime: Runtime, standing: Option<&Standing>) -> Result<(), DriverError> {
    match standing {
        Some(Standing::Known) => Ok(()),
        Some(Standing::Failed { unavailable: true, why }) => {
            Err(DriverError::Unavailable(why.clone()))
        }
        Some(Standing::Failed { unavailable: false, why }) => Err(DriverError::NotKnown(format!(
            "it is not known what the {} driver runs: {why}; nothing is started before it is; \
             the agent asks again",
            runtime.as_str()
        ))),
        Some(Standing::Unasked) | None => Err(DriverError::NotKnown(format!(
            "it is not known yet what the {} driver runs; nothing is started before it is; when \
             this lasts, look at the container engine and the agent's log on the node",
            runtime.as_str()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_known_before_a_driver_has_said_it() {
        let recovery = Recovery::new([Runtime::Docker, Runtime::Process].into_iter());
        let error = recovery.check(Runtime::Docker).unwrap_err().to_string();
        assert!(error.contains("not known yet what the docker driver runs"), "{error}");
        let at_once = Duration::ZERO;
        assert!(recovery.decided(Runtime::Docker, at_once).await.is_err());
        recovery.failed(Runtime::Docker, &DriverError::failed("listing", "no answer", "look"));
        let error = recovery.check(Runtime::Docker).unwrap_err().to_string();
        assert!(error.contains("listing: no answer; look"), "{error}");
        assert!(recovery.check(Runtime::Process).is_err(), "each has a standing of its own");
        recovery.failed(Runtime::Docker, &DriverError::Unavailable("no engine".into()));
        let none = recovery.check(Runtime::Docker);
        assert!(matches!(none, Err(DriverError::Unavailable(why)) if why == "no engine"));
        let (decided, ()) =
            tokio::join!(recovery.decided(Runtime::Process, Duration::from_secs(60)), async {
                recovery.known(Runtime::Process)
            },);
        decided.unwrap();
        let lost = recovery.lost(Runtime::Process);
        let failed = DriverError::failed("listing", "no answer", "look");
        tokio::join!(lost, async { recovery.failed(Runtime::Process, &failed) });
    }
}
