//! Whether whoever opened a session still answers.
//!
//! Knows how to ask, and signs of life. Refuses to end anything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};

/// One session's signs of life.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    ask: Arc<Notify>,
    signs: Arc<watch::Sender<u64>>,
    over: Arc<AtomicBool>,
}

impl Default for Pulse {
    fn default() -> Self {
        let signs = Arc::new(watch::Sender::new(0));
        Self { ask: Arc::default(), signs, over: Arc::default() }
    }
}

impl Pulse {
    /// Something came.
    pub(super) fn sign(&self) {
        self.signs.send_modify(|count| *count += 1);
    }

    /// The session has ended.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.sign();
    }

    /// Ready when someone wants to know whether it is alive.
    pub(super) async fn asked(&self) {
        self.ask.notified().await;
    }

    /// Asks, and waits so long for a sign.
    pub(super) async fn answers(&self, patience: Duration) -> bool {
        let mut signs = self.signs.subscribe();
        self.ask.notify_one();
        let sign = tokio::time::timeout(patience, signs.changed()).await;
        sign.is_ok() && !self.over.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn who_answers_is_alive_and_who_is_silent_or_over_is_not() {
        let pulse = Pulse::default();
        assert!(!pulse.answers(Duration::ZERO).await, "nobody answers");
        let peer = pulse.clone();
        tokio::spawn(async move {
            peer.asked().await;
            peer.sign();
        });
        assert!(pulse.answers(LONG).await);
        let peer = pulse.clone();
        tokio::spawn(async move { peer.end() });
        assert!(!pulse.answers(LONG).await, "its end is no answer");
    }
}
