//! The HTTP API: routes, and who may use them.
//!
//! Knows requests and documents. Refuses to decide anything, and to know records, secrets and
//! nodes: it asks `cycle`. Every request passes `guard`, which denies what the table in `auth` does
//! not name.

mod agent;
mod assets;
mod audit;
mod browser;
mod connections;
mod deployments;
mod drafts;
mod extract;
mod guard;
mod headers;
mod keys;
mod limit;
mod lists;
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
mod suspensions;
mod tokens;
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
        .merge(supposing())
        .merge(watching_over())
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
        .route("/api/v1/instances/{id}/compose", get(query::unit))
        .route("/api/v1/events", get(query::events))
        .route("/api/v1/templates", get(query::templates))
        .route("/api/v1/revisions", get(query::revisions))
}

fn changing() -> Router<App> {
    Router::new()
        .route("/api/v1/plans", get(plans::list).post(plans::make))
        .route("/api/v1/plans/{id}", get(plans::one))
        .route("/api/v1/plans/{id}/apply", post(plans::apply))
        .route("/api/v1/plans/{id}/stale", get(plans::stale))
        .route(
            "/api/v1/suspensions",
            get(suspensions::list).post(suspensions::suspend).delete(suspensions::resume),
        )
        .route("/api/v1/deployments", get(deployments::list))
        .route("/api/v1/deployments/{id}", get(deployments::one))
        .route("/api/v1/deployments/{id}/logs", get(deployments::logs))
        .route("/api/v1/deployments/{id}/steps", get(deployments::steps))
        .route("/api/v1/deployments/{id}/units", get(deployments::units))
        .route("/api/v1/deployments/{id}/cancel", post(deployments::cancel))
        .route("/ws/logs", get(deployments::socket))
        .route("/api/v1/sync", post(plans::sync))
        .route("/api/v1/secrets", get(secrets::list))
        .route("/api/v1/secrets/{name}", put(secrets::set).delete(secrets::remove))
        .route("/api/v1/apikeys", get(keys::list).post(keys::make))
        .route("/api/v1/apikeys/{id}", delete(keys::revoke))
}

fn supposing() -> Router<App> {
    Router::new()
        .route("/api/v1/whatif", post(drafts::what_if))
        .route("/api/v1/services/{name}/explain", get(drafts::explain))
        .route("/api/v1/source", get(drafts::source))
        .route("/api/v1/drafts", post(drafts::make))
        .route("/api/v1/drafts/{id}", get(drafts::one).patch(drafts::change).delete(drafts::remove))
        .route("/api/v1/drafts/{id}/commit", post(drafts::commit))
}

fn watching_over() -> Router<App> {
    Router::new()
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/config", get(audit::config))
        .route("/api/v1/users", get(audit::not_yet).post(audit::not_yet))
        .route("/api/v1/users/{id}", delete(audit::not_yet).patch(audit::not_yet))
        .route("/api/v1/nodes/{id}/usage", get(audit::not_yet))
        .route("/api/v1/instances/{id}/usage", get(audit::not_yet))
        .route("/api/v1/models", get(audit::not_yet))
        .route("/api/v1/models/fit", post(audit::not_yet))
        .route("/api/v1/instances/{id}/models/{name}", put(audit::not_yet))
        .route("/api/v1/instances/{id}/models/{name}/load", post(audit::not_yet))
        .route("/api/v1/instances/{id}/models/{name}/unload", post(audit::not_yet))
        .route("/ws/exec", get(audit::not_yet))
}

fn of_nodes() -> Router<App> {
    Router::new()
        .route("/api/v1/nodes", get(nodes::list))
        .route("/api/v1/nodes/tokens", get(tokens::list).post(tokens::make))
        .route("/api/v1/nodes/tokens/{id}", delete(tokens::withdraw))
        .route("/api/v1/nodes/register", post(nodes::register))
        .route("/api/v1/nodes/{id}", get(nodes::one).delete(nodes::remove))
        .route("/api/v1/nodes/{id}/cordon", post(nodes::cordon))
        .route("/api/v1/nodes/{id}/uncordon", post(nodes::uncordon))
        .route("/api/v1/nodes/{id}/drain", post(nodes::drain))
        .route("/api/v1/nodes/{id}/adopt", post(nodes::adopt))
        .route("/api/v1/nodes/{id}/heartbeat", post(nodes::heartbeat))
        .route("/api/v1/nodes/{id}/deploy", post(manual::deploy))
        .route(devnet_schema::wire::AGENT_PATH, get(agent::connect))
}
