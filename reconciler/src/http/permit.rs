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

/// The last line of a stream whose session has ended.
const SESSION_ENDED: &[u8] = b"{\"error\":\"session-ended\"}\n";

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
    /// The session that it was asked in.
    session: Option<String>,
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
        session: Option<String>,
    ) -> Self {
        Self { app, who, route, revoked, session, again: Instant::now() + AGAIN }
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
        let Principal::Key { id, role, .. } = &self.who else {
            return true;
        };
        if let Some(session) = &self.session {
            // A role that changed ends it: its page shows what the old one may do.
            let stands =
                self.app.plane.session_stands(session).is_ok_and(|it| {
                    it.is_some_and(|holder| holder.key == *id && holder.role == *role)
                });
            let known = self.app.session_principal(id, *role);
            return stands && known.is_ok_and(|who| who.is_some());
        }
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
    /// must not look like all there is. Whoever is in a session is told so by a last line, for a
    /// browser shows its scripts no reason of a connection's end.
    pub(super) fn lines<S>(self, lines: S) -> impl Stream<Item = Result<Bytes, Revoked>> + Send
    where
        S: Stream<Item = Bytes> + Send + 'static,
    {
        let state = Some((Box::pin(lines), self));
        stream::unfold(state, |state| async move {
            let (mut lines, mut permit) = state?;
            // Where lines come without a pause, the wait below never completes.
            let ended = match permit.session {
                Some(_) => Ok(Bytes::from_static(SESSION_ENDED)),
                None => Err(Revoked),
            };
            if permit.is_due() && !permit.stands() {
                return Some((ended, None));
            }
            tokio::select! {
                biased;
                line = lines.next() => line.map(|line| (Ok(line), Some((lines, permit)))),
                () = permit.ends() => Some((ended, None)),
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
