//! The HTTP API: routes, and who may use them.
//!
//! Knows requests and documents. Refuses to decide anything, and to know records, secrets and
//! nodes: it asks `cycle`. Every request passes `guard`, which denies what the table in `auth` does
//! not name.

mod agent;
mod assets;
mod browser;
mod connections;
mod deployments;
mod extract;
mod guard;
mod headers;
mod keys;
mod limit;
mod logs;
mod manual;
mod meta;
mod nodes;
mod openapi;
mod paced;
mod peer;
mod permit;
mod plans;
mod problem;
mod query;
mod secrets;
mod serve;
mod session;
mod stream;
mod ui;
mod watch;

use axum::{
    Router, middleware,
    routing::{delete, get, post, put},
};

pub use connections::Bounds;
pub use guard::App;
pub use paced::Patience;
pub use serve::{Listener, serve};

/// Every route, behind the guard.
pub fn router(app: App) -> Router {
    Router::new()
        .merge(about())
        .merge(browsing())
        .merge(looking())
        .merge(changing())
        .merge(of_nodes())
        .fallback(ui::fallback)
        .method_not_allowed_fallback(problem::no_such_route)
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

fn about() -> Router<App> {
    Router::new()
        .route("/healthz", get(meta::healthz))
        .route("/readyz", get(meta::readyz))
        .route("/metrics", get(meta::metrics))
        .route("/api/v1/ca", get(meta::ca))
        .route("/api/v1/openapi.json", get(meta::openapi))
        .route("/api/v1/whoami", get(meta::whoami))
}

fn browsing() -> Router<App> {
    Router::new()
        .route("/", get(ui::page))
        .route("/assets/{*path}", get(ui::asset))
        .route("/ui/{*path}", get(ui::other))
        .route("/api/v1/about", get(session::about))
        .route("/api/v1/auth/oidc/login", get(session::no_provider))
        .route("/api/v1/auth/oidc/callback", get(session::no_provider))
        .route("/api/v1/session", get(session::look).post(session::log_in).delete(session::log_out))
        .route("/api/v1/session/codes", post(session::make_code))
        .route("/api/v1/sessions", get(session::list))
        .route("/api/v1/sessions/{id}", delete(session::end))
        .route("/api/v1/watch", get(watch::watch))
}

fn looking() -> Router<App> {
    Router::new()
        .route("/api/v1/status", get(query::status))
        .route("/api/v1/fleet", get(query::fleet))
        .route("/api/v1/services", get(query::services))
        .route("/api/v1/services/{name}", get(query::service))
        .route("/api/v1/services/{name}/logs", get(logs::service))
        .route("/api/v1/instances", get(query::instances))
        .route("/api/v1/instances/{id}", get(query::instance))
        .route("/api/v1/instances/{id}/logs", get(logs::instance))
        .route("/api/v1/events", get(query::events))
        .route("/api/v1/templates", get(query::templates))
        .route("/api/v1/revisions", get(query::revisions))
}

fn changing() -> Router<App> {
    Router::new()
        .route("/api/v1/plans", get(plans::list).post(plans::make))
        .route("/api/v1/plans/{id}", get(plans::one))
        .route("/api/v1/plans/{id}/apply", post(plans::apply))
        .route("/api/v1/deployments", get(deployments::list))
        .route("/api/v1/deployments/{id}", get(deployments::one))
        .route("/api/v1/deployments/{id}/logs", get(deployments::logs))
        .route("/api/v1/deployments/{id}/cancel", post(deployments::cancel))
        .route("/ws/logs", get(deployments::socket))
        .route("/api/v1/sync", post(plans::sync))
        .route("/api/v1/secrets", get(secrets::list))
        .route("/api/v1/secrets/{name}", put(secrets::set).delete(secrets::remove))
        .route("/api/v1/apikeys", get(keys::list).post(keys::make))
        .route("/api/v1/apikeys/{id}", delete(keys::revoke))
}

fn of_nodes() -> Router<App> {
    Router::new()
        .route("/api/v1/nodes", get(nodes::list))
        .route("/api/v1/nodes/tokens", post(nodes::token))
        .route("/api/v1/nodes/register", post(nodes::register))
        .route("/api/v1/nodes/{id}", get(nodes::one).delete(nodes::remove))
        .route("/api/v1/nodes/{id}/cordon", post(nodes::cordon))
        .route("/api/v1/nodes/{id}/uncordon", post(nodes::uncordon))
        .route("/api/v1/nodes/{id}/adopt", post(nodes::adopt))
        .route("/api/v1/nodes/{id}/heartbeat", post(nodes::heartbeat))
        .route("/api/v1/nodes/{id}/deploy", post(manual::deploy))
        .route(devnet_schema::wire::AGENT_PATH, get(agent::connect))
}
