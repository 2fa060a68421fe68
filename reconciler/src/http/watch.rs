//! The stream that says what changed, and nothing of it.
//!
//! Knows how often a line may come. Refuses to carry data: whoever shows something reads it again.

use std::time::Duration;

use axum::{body::Bytes, extract::State, response::Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::{
    App,
    extract::Params,
    permit::Permit,
    problem::Failure,
    stream::{line, ndjson},
};

/// The least time between two lines.
const PAUSE: Duration = Duration::from_millis(250);
/// A line comes at least so often, so that a dead stream is noticed.
const BEAT: Duration = Duration::from_secs(15);

/// Parameters of `GET /api/v1/watch`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WatchParams {
    since: Option<u64>,
}

/// What changed up to a number.
#[derive(Debug, Serialize)]
struct Changed {
    seq: u64,
    changed: Vec<String>,
}

/// Nothing did.
#[derive(Debug, Serialize)]
struct Beat {
    beat: u64,
}

struct Following {
    app: App,
    moved: watch::Receiver<u64>,
    seen: u64,
    /// When the next line may be sent; `None` before the first.
    next: Option<Instant>,
}

impl Following {
    async fn line(&mut self) -> Option<Bytes> {
        let Some(next) = self.next.replace(Instant::now() + PAUSE) else {
            return Some(self.changed());
        };
        sleep_until(next).await;
        let moved = timeout(BEAT, self.moved.changed()).await;
        self.next = Some(Instant::now() + PAUSE);
        match moved {
            Ok(Ok(())) => Some(self.changed()),
            // The control plane is gone.
            Ok(Err(_)) => None,
            Err(_) => Some(line(&Beat { beat: self.seen })),
        }
    }

    fn changed(&mut self) -> Bytes {
        self.moved.mark_unchanged();
        let (seq, changed) = self.app.plane.changed_after(self.seen);
        self.seen = seq;
        line(&Changed { seq, changed })
    }
}

/// `GET /api/v1/watch`: newline-delimited JSON. The first line says what changed after `since`, or
/// nothing; then a line whenever something does, four a second at most, and a beat where nothing
/// does.
pub(super) async fn watch(
    State(app): State<App>,
    permit: Permit,
    Params(params): Params<WatchParams>,
) -> Result<Response, Failure> {
    let moved = app.plane.follow_changes()?;
    let seen = params.since.unwrap_or_else(|| *moved.borrow());
    let following = Following { app, moved, seen, next: None };
    let lines = stream::unfold(following, |mut following| async move {
        let line = following.line().await?;
        Some((line, following))
    });
    Ok(ndjson(permit, lines))
}
