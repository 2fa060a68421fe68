//! What a request was let in by, for as long as its answer goes on.
//!
//! Knows how to ask again: at once when a key is revoked, and every few seconds in any case.
//! Refuses to let an answer outlive what it was given for.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{App, problem::Failure};
use crate::auth::{Principal, Route, authorise};

/// How often the records are asked again whether a key still stands.
const AGAIN: Duration = Duration::from_secs(5);

/// Why an answer broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key that asked for this was revoked or may no longer read it")]
pub(super) struct Revoked;

/// The right to one answer.
#[derive(Clone)]
pub(super) struct Permit {
    app: App,
    who: Principal,
    route: &'static Route,
    revoked: watch::Receiver<u64>,
    again: Instant,
}

impl Permit {
    /// The right of `who` to use `route`, which was just checked. `revoked` was subscribed before
    /// that.
    pub(super) fn new(
        app: App,
        who: Principal,
        route: &'static Route,
        revoked: watch::Receiver<u64>,
    ) -> Self {
        Self { app, who, route, revoked, again: Instant::now() + AGAIN }
    }

    /// Whether it is time to ask the records.
    fn is_due(&self) -> bool {
        self.revoked.has_changed().unwrap_or(true) || Instant::now() >= self.again
    }

    /// Asks the records. A key that cannot be read does not stand.
    fn stands(&mut self) -> bool {
        // Before asking: what is revoked meanwhile moves it again.
        self.revoked.mark_unchanged();
        self.again = Instant::now() + AGAIN;
        let Principal::Key { id, .. } = &self.who else {
            return true;
        };
        match self.app.holder(id) {
            Ok(Some(who)) => authorise(self.route.method, self.route.pattern, &who).is_ok(),
            Ok(None) | Err(_) => false,
        }
    }

    /// Completes when it ends. Nothing is revoked of those without a key here: what an agent is
    /// given in its session is checked there.
    pub(super) async fn ends(&mut self) {
        loop {
            if self.is_due() && !self.stands() {
                return;
            }
            tokio::select! {
                // The sender lives as long as the control plane.
                _ = self.revoked.changed() => self.revoked.mark_changed(),
                () = sleep_until(self.again) => {}
            }
        }
    }

    /// `lines`, until they end or the permit does, which breaks the answer off: what was cut short
    /// must not look like all there is.
    pub(super) fn lines<S>(self, lines: S) -> impl Stream<Item = Result<Bytes, Revoked>> + Send
    where
        S: Stream<Item = Bytes> + Send + 'static,
    {
        let state = Some((Box::pin(lines), self));
        stream::unfold(state, |state| async move {
            let (mut lines, mut permit) = state?;
            // Where lines come without a pause, the wait below never completes.
            if permit.is_due() && !permit.stands() {
                return Some((Err(Revoked), None));
            }
            tokio::select! {
                biased;
                line = lines.next() => line.map(|line| (Ok(line), Some((lines, permit)))),
                () = permit.ends() => Some((Err(Revoked), None)),
            }
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Permit {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let found = parts.extensions.get::<Self>().cloned();
        found
            .ok_or_else(|| Failure::new(StatusCode::UNAUTHORIZED, "unauthenticated", "nobody asks"))
    }
}
