//! The guard: every request passes here first. Who asks, and may they?
//!
//! Knows credentials and the one table of rights. Refuses whatever the table does not name, and
//! never says which part of a credential was wrong.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use devnet_schema::secret::Sensitive;
use tracing::warn;

use super::{App, limit::Failures, peer::Peer, problem::Failure};
use crate::{
    api::Role,
    auth::{Access, ApiKey, Denied, Principal, ROUTES, authorise},
};

/// How long a handler may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Keys that are not on record but in a file: the admin's.
pub struct Keys {
    /// The admin key's public part and its hash.
    admin: (String, String),
    failures: Mutex<Failures>,
}

impl Keys {
    /// Keys where `admin` is the admin's.
    pub fn new(admin: &ApiKey) -> Self {
        Self { admin: (admin.id.clone(), admin.hash()), failures: Mutex::default() }
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// Whether an address may try a credential.
    ///
    /// # Errors
    /// 429 when too many from there were wrong.
    pub(super) fn may_try(&self, from: Option<IpAddr>) -> Result<(), Failure> {
        let now = self.plane.since_start();
        if from.is_none_or(|from| self.keys.failures().may_try(from, now)) {
            return Ok(());
        }
        Err(Failure::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-failures",
            "too many wrong credentials came from this address: wait a few seconds",
        ))
    }

    /// A credential from this address was wrong.
    pub(super) fn failed(&self, from: Option<IpAddr>) {
        if let Some(from) = from {
            self.keys.failures().failed(from, self.plane.since_start());
        }
        self.plane.metrics.refused();
    }
}

/// Lets a request through, with its [`Principal`] in its extensions, or answers it.
pub async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let who = match principal(&app, &request) {
        Ok(who) => who,
        Err(failure) => return failure.into_response(),
    };
    if let Err(denied) = allowed(&request, &who) {
        return Failure::from(denied).into_response();
    }
    request.extensions_mut().insert(who);
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "the control plane did not answer in time",
        )
        .into_response(),
    }
}

fn pattern(request: &Request) -> Option<String> {
    request.extensions().get::<MatchedPath>().map(|matched| matched.as_str().to_owned())
}

fn allowed(request: &Request, who: &Principal) -> Result<(), Denied> {
    let pattern = pattern(request).ok_or(Denied::Unknown)?;
    authorise(request.method().as_str(), &pattern, who)
}

/// Whether the route wants no credential: then a wrong one is not even looked at.
fn is_open(request: &Request) -> bool {
    let Some(pattern) = pattern(request) else {
        return true;
    };
    let method = request.method().as_str();
    ROUTES
        .iter()
        .find(|route| route.pattern == pattern && route.method == method)
        .is_none_or(|route| matches!(route.access, Access::Open | Access::JoinToken))
}

fn address(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

/// Who asks. A key in the header wins over the connection's certificate.
fn principal(app: &App, request: &Request) -> Result<Principal, Failure> {
    if is_open(request) {
        return Ok(Principal::Anonymous);
    }
    let from = address(request);
    if let Some(header) = request.headers().get(header::AUTHORIZATION) {
        app.may_try(from)?;
        let text = header.to_str().ok().and_then(bearer);
        let who = match text {
            Some(text) => key(app, &text)?,
            None => None,
        };
        return who.ok_or_else(|| {
            app.failed(from);
            Failure::new(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "the API key is not one of this control plane, or was revoked",
            )
        });
    }
    match request.extensions().get::<Peer>() {
        Some(Peer::Node(node)) => match app.plane.admit(&node.name, &node.id)? {
            Ok(()) => Ok(Principal::Node { name: node.name.clone(), id: node.id.clone() }),
            Err(reason) => {
                app.plane.metrics.refused();
                warn!(node = %node.name, reason, "a node was refused");
                Err(Failure::new(StatusCode::FORBIDDEN, "node-refused", reason))
            }
        },
        Some(Peer::Stranger(error)) => {
            Err(Failure::new(StatusCode::UNAUTHORIZED, "unauthenticated", error.to_string()))
        }
        Some(Peer::Nobody) | None => Ok(Principal::Anonymous),
    }
}

fn bearer(header: &str) -> Option<Sensitive<String>> {
    let (scheme, text) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Sensitive::new(text.trim().to_owned()))
}

fn key(app: &App, text: &Sensitive<String>) -> Result<Option<Principal>, Failure> {
    let Ok(key) = ApiKey::parse(text.expose()) else {
        return Ok(None);
    };
    let (id, hash) = &app.keys.admin;
    if key.id == *id {
        let admin = Principal::Key { id: id.clone(), name: "admin".to_owned(), role: Role::Admin };
        return Ok(key.verify(hash).then_some(admin));
    }
    let record = app.plane.store.api_key(&key.id)?;
    Ok(record
        .filter(|record| record.revoked_at.is_none() && key.verify(&record.hash))
        .map(|record| Principal::Key { id: record.id, name: record.name, role: record.role }))
}
