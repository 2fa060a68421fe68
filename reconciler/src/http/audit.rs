//! The audit log: what is written into it, and who reads it; and how the control plane runs.
//!
//! Knows requests that change something. Refuses to look into their bodies.

use axum::{
    Json,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    response::Response,
};
use serde::Deserialize;

use super::{App, extract::Params, guard::address, problem::Failure};
use crate::{
    api::{
        Page,
        audit::{AuditRow, Config},
    },
    auth::Principal,
    time::Time,
};

/// What is known of a request before it is answered.
pub(super) struct Entry {
    action: String,
    subject: String,
    from: String,
}

/// The entry of a request that may change something. Heartbeats and plans of what has not happened
/// are none.
pub(super) fn entry(request: &Request) -> Option<Entry> {
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    let looks = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if looks || route.ends_with("/heartbeat") || route == "/api/v1/whatif" {
        return None;
    }
    let from = address(request).map_or_else(|| "?".to_owned(), |ip| ip.to_string());
    Some(Entry {
        action: format!("{} {route}", request.method()),
        subject: request.uri().path().chars().take(300).collect(),
        from,
    })
}

impl App {
    /// Writes what became of a request. Those of nobody known are told as events: there may be any
    /// number of them.
    pub(super) fn audited(&self, entry: Option<Entry>, who: Option<&Principal>, answer: &Response) {
        let (Some(Entry { action, subject, from }), Some(who)) = (entry, who) else { return };
        let role = match who {
            Principal::Key { role, .. } => Some(*role),
            Principal::Anonymous | Principal::Node { .. } => None,
        };
        let outcome = answer.status().as_u16();
        self.plane.audited(AuditRow {
            seq: 0,
            // The loop says when.
            at: Time::EPOCH,
            actor: who.label(),
            role,
            from,
            action,
            subject,
            outcome,
        });
    }
}

/// Parameters of `GET /api/v1/audit`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AuditParams {
    cursor: Option<String>,
    limit: Option<u32>,
    q: String,
}

/// `GET /api/v1/audit`: newest first.
pub(super) async fn list(
    State(app): State<App>,
    Params(params): Params<AuditParams>,
) -> Result<Json<Page<AuditRow>>, Failure> {
    let AuditParams { cursor, limit, q } = params;
    Ok(Json(app.plane.audit(cursor.as_deref(), limit.unwrap_or(100), &q)?))
}

/// `GET /api/v1/config`: how the control plane runs, and what set it.
pub(super) async fn config(State(app): State<App>) -> Json<Config> {
    Json(Config::clone(&app.settings))
}

/// What agents of this version do not tell, or do not do, and a later one will.
pub(super) async fn not_yet(request: Request) -> Failure {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let (title, detail) = match route.unwrap_or_default() {
        path if path.ends_with("/usage") => (
            "agents of this version do not report what is used",
            "what is placed and reserved is in the lists of nodes and services",
        ),
        path if path.starts_with("/ws/") => (
            "agents of this version open no shells",
            "log in to the node, and use its container engine there",
        ),
        path if path.contains("/users") => (
            "this devnet knows API keys, and no users yet",
            "make a key for each person: `devnet apikey create NAME --role ROLE`",
        ),
        _ => (
            "agents of this version do not report which models are loaded",
            "what is declared of models, and what each takes, is in the plan",
        ),
    };
    Failure::new(StatusCode::NOT_IMPLEMENTED, "not-implemented", title).detail(detail)
}
