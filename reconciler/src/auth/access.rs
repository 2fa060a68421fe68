//! The one table of routes and rights. What is not in it is denied.
//!
//! Knows route patterns as the router writes them. Refuses to know requests: the caller passes the
//! pattern that matched and who asks, and everything else about a node's own objects is checked
//! where the object is loaded.

use crate::api::Role;

use super::Principal;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Open,
    /// Holders of a key with this role or a higher one.
    Role(Role),
    /// Agents with a certificate, for what is their own.
    NodeSelf,
    /// Whoever holds a join token; the handler checks it, for it is in the body.
    JoinToken,
    /// Whoever shows a key or a one-time code in the body; the handler checks it.
    Login,
}

/// A method and a pattern, as the router writes them (`/api/v1/plans/{id}`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// The pattern.
    pub pattern: &'static str,
    /// Who may use it.
    pub access: Access,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// 401: nobody known asks, and the route wants someone.
    #[error("this needs an API key or a session: pass a key with --token-file or in DEVNET_TOKEN")]
    Unauthenticated,
    /// 403: someone known asks who may not.
    #[error("this key may not do that: it needs the role {}", role_word(*.0))]
    Role(Role),
    /// 403: the route is for agents only.
    #[error("only an agent with its own certificate may do that")]
    NodesOnly,
    /// 403: an agent asks for what is for people and jobs.
    #[error("an agent may not do that")]
    NotForNodes,
    /// 404: there is no such route in the table, so nobody may use it.
    #[error("there is no such route")]
    Unknown,
}

impl Denied {
    /// The HTTP status that says so.
    pub fn status(self) -> u16 {
        match self {
            Self::Unauthenticated => 401,
            Self::Role(_) | Self::NodesOnly | Self::NotForNodes => 403,
            Self::Unknown => 404,
        }
    }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Planner => "planner",
        Role::Editor => "editor",
        Role::Admin => "admin",
    }
}

const fn route(method: &'static str, pattern: &'static str, access: Access) -> Route {
    Route { method, pattern, access }
}

const VIEW: Access = Access::Role(Role::Viewer);
const PLAN: Access = Access::Role(Role::Planner);
const EDIT: Access = Access::Role(Role::Editor);
const ADMIN: Access = Access::Role(Role::Admin);

/// Every route there is, and who may use it.
pub const ROUTES: &[Route] = &[
    route("GET", "/healthz", Access::Open),
    // The web UI: files without any fact of the cluster.
    route("GET", "/", Access::Open),
    route("GET", "/assets/{*path}", Access::Open),
    route("GET", "/ui/{*path}", Access::Open),
    route("GET", "/api/v1/about", Access::Open),
    route("GET", "/api/v1/ca", Access::Open),
    // Before anybody is known; nothing but a page of a problem yet.
    route("GET", "/api/v1/auth/oidc/login", Access::Open),
    route("GET", "/api/v1/auth/oidc/callback", Access::Open),
    route("POST", "/api/v1/session", Access::Login),
    // One's own: a session is looked at and ended by whoever is in it.
    route("GET", "/api/v1/session", VIEW),
    route("DELETE", "/api/v1/session", VIEW),
    route("POST", "/api/v1/session/codes", VIEW),
    route("GET", "/api/v1/sessions", ADMIN),
    route("DELETE", "/api/v1/sessions/{id}", ADMIN),
    route("GET", "/api/v1/watch", VIEW),
    route("GET", "/readyz", VIEW),
    route("GET", "/metrics", VIEW),
    route("GET", "/api/v1/openapi.json", VIEW),
    route("GET", "/api/v1/whoami", VIEW),
    route("GET", "/api/v1/status", VIEW),
    route("GET", "/api/v1/fleet", VIEW),
    route("GET", "/api/v1/services", VIEW),
    route("GET", "/api/v1/services/{name}", VIEW),
    // Logs of services hold what services print; looking at the cluster does not include them.
    route("GET", "/api/v1/services/{name}/logs", PLAN),
    route("GET", "/api/v1/instances", VIEW),
    route("GET", "/api/v1/instances/{id}", VIEW),
    route("GET", "/api/v1/instances/{id}/logs", PLAN),
    route("GET", "/api/v1/instances/{id}/compose", VIEW),
    route("GET", "/api/v1/events", VIEW),
    route("GET", "/api/v1/templates", VIEW),
    route("GET", "/api/v1/revisions", VIEW),
    route("GET", "/api/v1/plans", VIEW),
    route("POST", "/api/v1/plans", PLAN),
    route("GET", "/api/v1/plans/{id}", VIEW),
    route("GET", "/api/v1/plans/{id}/stale", VIEW),
    route("POST", "/api/v1/plans/{id}/apply", EDIT),
    route("POST", "/api/v1/whatif", PLAN),
    route("GET", "/api/v1/services/{name}/explain", VIEW),
    // Files of the source hold more than the API tells of them.
    route("GET", "/api/v1/source", PLAN),
    route("POST", "/api/v1/drafts", PLAN),
    route("GET", "/api/v1/drafts/{id}", PLAN),
    route("PATCH", "/api/v1/drafts/{id}", PLAN),
    route("DELETE", "/api/v1/drafts/{id}", PLAN),
    route("POST", "/api/v1/drafts/{id}/commit", EDIT),
    route("GET", "/api/v1/suspensions", VIEW),
    route("POST", "/api/v1/suspensions", EDIT),
    route("DELETE", "/api/v1/suspensions", EDIT),
    route("GET", "/api/v1/deployments", VIEW),
    route("GET", "/api/v1/deployments/{id}", VIEW),
    route("GET", "/api/v1/deployments/{id}/logs", VIEW),
    route("GET", "/api/v1/deployments/{id}/steps", VIEW),
    route("GET", "/api/v1/deployments/{id}/units", VIEW),
    route("POST", "/api/v1/deployments/{id}/cancel", EDIT),
    route("GET", "/ws/logs", VIEW),
    route("POST", "/api/v1/sync", EDIT),
    route("GET", "/api/v1/nodes", VIEW),
    route("GET", "/api/v1/nodes/{id}", VIEW),
    route("POST", "/api/v1/nodes/{id}/deploy", EDIT),
    route("POST", "/api/v1/nodes/{id}/cordon", ADMIN),
    route("POST", "/api/v1/nodes/{id}/uncordon", ADMIN),
    route("POST", "/api/v1/nodes/{id}/drain", ADMIN),
    route("POST", "/api/v1/nodes/{id}/adopt", ADMIN),
    route("DELETE", "/api/v1/nodes/{id}", ADMIN),
    route("GET", "/api/v1/nodes/tokens", ADMIN),
    route("POST", "/api/v1/nodes/tokens", ADMIN),
    route("DELETE", "/api/v1/nodes/tokens/{id}", ADMIN),
    route("POST", "/api/v1/nodes/register", Access::JoinToken),
    route("POST", "/api/v1/nodes/{id}/heartbeat", Access::NodeSelf),
    route("GET", "/api/v1/agent", Access::NodeSelf),
    route("GET", "/api/v1/audit", ADMIN),
    route("GET", "/api/v1/config", ADMIN),
    // What a later version does; until then each answers that it is not there.
    route("GET", "/api/v1/users", ADMIN),
    route("POST", "/api/v1/users", ADMIN),
    route("PATCH", "/api/v1/users/{id}", ADMIN),
    route("DELETE", "/api/v1/users/{id}", ADMIN),
    route("GET", "/api/v1/nodes/{id}/usage", VIEW),
    route("GET", "/api/v1/instances/{id}/usage", VIEW),
    route("GET", "/api/v1/models", VIEW),
    route("POST", "/api/v1/models/fit", PLAN),
    route("PUT", "/api/v1/instances/{id}/models/{name}", ADMIN),
    route("POST", "/api/v1/instances/{id}/models/{name}/load", EDIT),
    route("POST", "/api/v1/instances/{id}/models/{name}/unload", EDIT),
    route("GET", "/ws/exec", ADMIN),
    route("GET", "/api/v1/secrets", VIEW),
    route("PUT", "/api/v1/secrets/{name}", ADMIN),
    route("DELETE", "/api/v1/secrets/{name}", ADMIN),
    route("GET", "/api/v1/apikeys", ADMIN),
    route("POST", "/api/v1/apikeys", ADMIN),
    route("DELETE", "/api/v1/apikeys/{id}", ADMIN),
];

/// The route of a method and a pattern. Axum answers HEAD with the GET handler, so it is the same
/// route.
///
/// # Errors
/// When it is not in [`ROUTES`].
pub fn route_of(method: &str, pattern: &str) -> Result<&'static Route, Denied> {
    let method = if method == "HEAD" { "GET" } else { method };
    ROUTES
        .iter()
        .find(|route| route.method == method && route.pattern == pattern)
        .ok_or(Denied::Unknown)
}

/// Whether `who` may use the route. `NodeSelf` says only that an agent asks: the handler compares
/// the node it asks about with the node that asks.
///
/// # Errors
/// When it may not, or the route is not in [`ROUTES`].
pub fn authorise(method: &str, pattern: &str, who: &Principal) -> Result<(), Denied> {
    let route = route_of(method, pattern)?;
    match (route.access, who) {
        (Access::Open | Access::JoinToken | Access::Login, _) => Ok(()),
        (Access::Role(_) | Access::NodeSelf, Principal::Anonymous) => Err(Denied::Unauthenticated),
        (Access::Role(least), Principal::Key { role, .. }) if *role >= least => Ok(()),
        (Access::Role(least), Principal::Key { .. }) => Err(Denied::Role(least)),
        (Access::Role(_), Principal::Node { .. }) => Err(Denied::NotForNodes),
        (Access::NodeSelf, Principal::Key { .. }) => Err(Denied::NodesOnly),
        (Access::NodeSelf, Principal::Node { .. }) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn everyone() -> Vec<Principal> {
        let key = |role| Principal::Key { id: "k".into(), name: "k".into(), role };
        vec![
            Principal::Anonymous,
            Principal::Node { name: "n1".parse().unwrap(), id: "x".into() },
            key(Role::Viewer),
            key(Role::Planner),
            key(Role::Editor),
            key(Role::Admin),
        ]
    }

    /// Who passes, one letter each: nobody known, node, viewer, planner, editor, admin.
    fn passes(route: &Route) -> String {
        everyone()
            .iter()
            .zip("_nvpea".chars())
            .filter(|(who, _)| authorise(route.method, route.pattern, who).is_ok())
            .map(|(_, letter)| letter)
            .collect()
    }

    #[test]
    fn each_route_lets_in_exactly_whom_its_access_names() {
        for route in ROUTES {
            let expected = match route.access {
                Access::Open | Access::JoinToken | Access::Login => "_nvpea",
                Access::NodeSelf => "n",
                Access::Role(Role::Viewer) => "vpea",
                Access::Role(Role::Planner) => "pea",
                Access::Role(Role::Editor) => "ea",
                Access::Role(Role::Admin) => "a",
            };
            assert_eq!(passes(route), expected, "{} {}", route.method, route.pattern);
        }
    }

    #[test]
    fn nothing_that_is_open_tells_of_the_cluster_and_only_joining_and_login_need_no_credential() {
        let without: Vec<_> = ROUTES
            .iter()
            .filter(|route| authorise(route.method, route.pattern, &Principal::Anonymous).is_ok())
            .map(|route| route.pattern)
            .collect();
        let expected = [
            "/healthz",
            "/",
            "/assets/{*path}",
            "/ui/{*path}",
            "/api/v1/about",
            "/api/v1/ca",
            "/api/v1/auth/oidc/login",
            "/api/v1/auth/oidc/callback",
            "/api/v1/session",
            "/api/v1/nodes/register",
        ];
        assert_eq!(without, expected);
    }

    #[test]
    fn whatever_changes_something_needs_more_than_looking() {
        // A session of one's own is no part of the cluster.
        let own = ["/api/v1/session", "/api/v1/session/codes"];
        let others = ROUTES.iter().filter(|route| !own.contains(&route.pattern));
        for route in others.filter(|route| route.method != "GET") {
            assert_ne!(route.access, VIEW, "{} {}", route.method, route.pattern);
            assert_ne!(route.access, Access::Open, "{} {}", route.method, route.pattern);
        }
    }

    #[test]
    fn no_route_is_in_the_table_twice() {
        let all: BTreeSet<_> = ROUTES.iter().map(|r| (r.method, r.pattern)).collect();
        assert_eq!(all.len(), ROUTES.len());
    }

    #[test]
    fn what_is_not_in_the_table_is_denied_to_all() {
        for who in everyone() {
            for (method, pattern) in [
                ("POST", "/"),
                ("GET", "/nodes"),
                ("GET", "/api/v1/nothing"),
                ("DELETE", "/healthz"),
                ("POST", "/api/v1/nodes/n1/deploy"),
                ("get", "/healthz"),
            ] {
                assert_eq!(authorise(method, pattern, &who), Err(Denied::Unknown));
            }
        }
    }
}
