//! Newline-delimited JSON that goes on as things happen.
//!
//! Knows how to read records again whenever their count moves. Refuses to hold more than one page
//! of them for a slow reader.

use std::{collections::VecDeque, future::Future};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::watch;

use super::permit::Permit;

/// One line of a stream.
pub(super) fn line<T: Serialize>(value: &T) -> Bytes {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// A response of newline-delimited JSON, which ends with the permit of whoever asked for it.
pub(super) fn ndjson<S>(permit: Permit, lines: S) -> Response
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    let body = Body::from_stream(permit.lines(lines));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// Records that are read in pages by number, from the oldest.
pub(super) trait Records: Send + 'static {
    /// The records after the one last given, at most a page; and whether none will ever follow.
    fn more(&mut self) -> impl Future<Output = (Vec<Bytes>, bool)> + Send;
}

/// The lines of `records`; after the last one waits until `moved` counts on, when it is given.
pub(super) fn follow<R: Records>(
    records: R,
    moved: Option<watch::Receiver<u64>>,
) -> impl Stream<Item = Bytes> + Send {
    let state = (records, moved, VecDeque::new(), false);
    stream::unfold(state, |(mut records, mut moved, mut ready, mut done)| async move {
        loop {
            if let Some(line) = ready.pop_front() {
                return Some((line, (records, moved, ready, done)));
            }
            if done {
                return None;
            }
            if let Some(moved) = &mut moved {
                // Before reading: what is written while we read moves it again.
                moved.mark_unchanged();
            }
            let (lines, last) = records.more().await;
            done = last;
            if !lines.is_empty() {
                ready.extend(lines);
                continue;
            }
            match &mut moved {
                Some(moved) if !done => {
                    if moved.changed().await.is_err() {
                        return None;
                    }
                }
                _ => return None,
            }
        }
    })
}
