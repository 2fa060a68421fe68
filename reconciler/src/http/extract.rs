//! What handlers take from a request: JSON bodies, query parameters, and who asks.
//!
//! Knows how to refuse what cannot be read, as a problem document. Refuses to read more than the
//! body limit of the router.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};

use super::problem::Failure;
use crate::{api::Page, auth::Principal};

/// A body as it is.
pub struct Raw(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| {
            let status = rejection.status();
            let kind = match status {
                StatusCode::PAYLOAD_TOO_LARGE => "too-large",
                _ => "bad-request",
            };
            Failure::new(status, kind, "the body could not be read")
                .detail("it may hold at most 8 MiB")
        })
    }
}

/// A JSON body. An empty one reads as `{}`.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let Raw(bytes) = Raw::from_request(request, state).await?;
        let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
        serde_json::from_slice(bytes)
            .map(Self)
            .map_err(|error| Failure::bad_request(format!("the body is not as expected: {error}")))
    }
}

/// Query parameters.
pub struct Params<T>(pub T);

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
pub struct Who(pub Principal);

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
pub struct Paging {
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// At most so many items.
    pub limit: Option<u32>,
}

impl Paging {
    /// The limit, 100 where none is asked for.
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(100).clamp(1, crate::store::MAX_PAGE)
    }

    /// A page of a list that is whole in memory and sorted by `key`; cursors are keys.
    pub fn page<T>(&self, items: Vec<T>, key: impl Fn(&T) -> String) -> Page<T> {
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
