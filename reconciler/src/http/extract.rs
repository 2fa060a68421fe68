//! What handlers take from a request: JSON bodies, query parameters, and who asks.
//!
//! Knows how to refuse what cannot be read, as a problem document, and how large bodies may be.
//! Refuses to read more than that, and to read it for ever.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::{FromRequest, FromRequestParts, MatchedPath, Query, Request},
    http::{Extensions, StatusCode, request::Parts},
};
use futures_util::StreamExt;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{App, problem::Failure};
use crate::{
    api::{MAX_PAGE, Page},
    auth::Principal,
};

/// The largest body of most routes, in bytes.
const SMALL: usize = 64 << 10;
/// The largest of those that take files. Those of nodes are small: each could take all of the room.
const LARGE: usize = 8 << 20;
/// What all large bodies together may take while they are read, in KiB.
const ROOM: u32 = 64 << 10;
/// So much more than is allowed is read and forgotten: who still writes would not hear the answer.
const FORGOTTEN: u64 = 1 << 20;

/// How much is read of bodies, and for how long.
#[derive(Clone)]
pub(super) struct Intake {
    /// For a small body, from its head to its end.
    patience: Duration,
    room: Arc<Semaphore>,
}

impl Intake {
    /// Small bodies within `patience`, large ones within six times that.
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, room: Arc::new(Semaphore::new(ROOM as usize)) }
    }

    /// Reads `body`, of a route that takes `most` bytes.
    async fn read(
        &self,
        body: Body,
        declared: Option<u64>,
        most: usize,
    ) -> Result<Vec<u8>, Failure> {
        let large = || {
            Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large")
                .detail(format!("it may hold at most {} KiB", most >> 10))
        };
        if declared.is_some_and(|bytes| bytes > most as u64) {
            if declared.is_some_and(|bytes| bytes <= most as u64 + FORGOTTEN) {
                self.discard(body).await;
            }
            return Err(large());
        }
        // Small ones are bounded by the number of connections.
        let wanted = declared.map_or(most, |bytes| bytes as usize);
        let _held = if wanted <= SMALL { None } else { Some(self.hold(wanted).await?) };
        let mut whole = Vec::new();
        let mut pieces = body.into_data_stream();
        let limit = self.patience * if wanted <= SMALL { 1 } else { 6 };
        let read = async {
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|_| Failure::bad_request("the body broke off"))?;
                if whole.len() + piece.len() > most {
                    return Err(large());
                }
                whole.extend_from_slice(&piece);
            }
            Ok(())
        };
        let read = tokio::time::timeout(limit, read).await;
        read.map_err(|_| {
            let text = format!("the body did not come within {} s", limit.as_secs_f64());
            Failure::new(StatusCode::REQUEST_TIMEOUT, "too-slow", text)
        })??;
        Ok(whole)
    }

    /// Reads a body and forgets it.
    pub(super) async fn discard(&self, body: Body) {
        let mut pieces = body.into_data_stream();
        let all = async { while let Some(Ok(_)) = pieces.next().await {} };
        let _ = tokio::time::timeout(self.patience, all).await;
    }

    /// Room for a large body.
    async fn hold(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Failure> {
        let wanted = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(ROOM).min(ROOM);
        let held = Arc::clone(&self.room).acquire_many_owned(wanted);
        match tokio::time::timeout(self.patience, held).await {
            Ok(Ok(held)) => Ok(held),
            _ => Err(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "too many large requests are being read: try again",
            )),
        }
    }
}

/// How large a body the route of this request takes, in bytes.
fn most(parts: &Extensions) -> usize {
    match parts.get::<MatchedPath>().map(MatchedPath::as_str) {
        Some("/api/v1/plans" | "/api/v1/whatif" | "/api/v1/nodes/{id}/deploy") => LARGE,
        _ => SMALL,
    }
}

/// A body as it is.
pub(super) struct Raw(pub Vec<u8>);

impl FromRequest<App> for Raw {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let most = most(request.extensions());
        let declared = request.body().size_hint().exact();
        app.intake.read(request.into_body(), declared, most).await.map(Self)
    }
}

/// A JSON body. An empty one reads as `{}`.
pub(super) struct Document<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Document<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let Raw(bytes) = Raw::from_request(request, app).await?;
        let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
        // A list would be read as the fields in their order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Failure::bad_request("the body is not as expected: it is no JSON object"));
        }
        serde_json::from_slice(bytes)
            .map(Self)
            .map_err(|error| Failure::bad_request(format!("the body is not as expected: {error}")))
    }
}

/// Query parameters.
pub(super) struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(params)| Self(params))
            .map_err(|rejection| Failure::bad_request(rejection.body_text()))
    }
}

/// Who asks; the guard put it there.
pub(super) struct Who(pub Principal);

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts
            .extensions
            .get::<Principal>()
            .cloned()
            .map(Self)
            .ok_or_else(|| Failure::new(StatusCode::UNAUTHORIZED, "unauthenticated", "nobody asks"))
    }
}

/// Where a page begins and how long it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Paging {
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// At most so many items.
    pub limit: Option<u32>,
}

impl Paging {
    /// The limit, 100 where none is asked for.
    pub(super) fn limit(&self) -> u32 {
        self.limit.unwrap_or(100).clamp(1, MAX_PAGE)
    }

    /// A page of a list that is whole in memory and sorted by `key`; cursors are keys.
    pub(super) fn page<T>(&self, items: Vec<T>, key: impl Fn(&T) -> String) -> Page<T> {
        let begin = match &self.cursor {
            None => 0,
            Some(after) => {
                items.iter().position(|item| key(item) == *after).map_or(items.len(), |at| at + 1)
            }
        };
        let mut items: Vec<T> = items.into_iter().skip(begin).collect();
        let limit = self.limit() as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(key);
        Page { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_and_end() {
        let all: Vec<u32> = (0..5).collect();
        let mut paging = Paging { cursor: None, limit: Some(2) };
        let mut seen = Vec::new();
        loop {
            let page = paging.page(all.clone(), u32::to_string);
            seen.extend(page.items);
            match page.next {
                Some(next) => paging.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, all);
        let gone = Paging { cursor: Some("x".into()), limit: None };
        assert!(gone.page(all, u32::to_string).items.is_empty());
    }
}
