//! Routes about the control plane itself.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{App, extract::Who, openapi::document, problem::Failure};
use crate::{
    api::{NOT_READY, Role, Whoami},
    auth::Principal,
};

/// `GET /healthz`: the process answers. It says nothing more, for it says it to anyone.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the loop has looked at everything once.
pub(super) async fn readyz(State(app): State<App>) -> Response {
    if app.plane.is_ready() {
        return "ok\n".into_response();
    }
    let title = "the control plane waits for agents to connect";
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, NOT_READY, title).into_response()
}

/// `GET /metrics`: OpenMetrics text.
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, Failure> {
    let text = app
        .plane
        .metrics
        .text()
        .map_err(|error| Failure::internal("writing the metrics", &error))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// `GET /api/v1/ca`: the CA's certificate, PEM.
pub(super) async fn ca(State(app): State<App>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/x-pem-file")];
    (kind, app.plane.authority.ca_pem().to_owned()).into_response()
}

/// `GET /api/v1/openapi.json`.
pub(super) async fn openapi() -> axum::Json<serde_json::Value> {
    axum::Json(document())
}

/// `GET /api/v1/whoami`: what the key may do.
pub(super) async fn whoami(Who(who): Who) -> axum::Json<Whoami> {
    let role = match &who {
        Principal::Key { role, .. } => *role,
        // The table lets only keys in here; whoever else comes may do least.
        Principal::Anonymous | Principal::Node { .. } => Role::Viewer,
    };
    axum::Json(Whoami { name: who.label(), role })
}
