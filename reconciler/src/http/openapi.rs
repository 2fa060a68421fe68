//! The API's own description, OpenAPI 3.1.
//!
//! Made of the table of rights, so that a route cannot be there without being described. Knows one
//! sentence and the document of each route. Refuses to describe documents field by field: their
//! types are in `api` and docs/api.md.

use serde_json::{Map, Value, json};

use crate::{
    api::Role,
    auth::{Access, COOKIE, ROUTES, Route},
};

/// Method, pattern, what it does, body, answer.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

const SUMMARIES: &[Row] = &[
    ("GET", "/healthz", "The process answers", "", "text"),
    ("GET", "/", "The web UI's page", "", "text"),
    ("GET", "/assets/{*path}", "Its files", "", "text"),
    ("GET", "/ui/{*path}", "Its other files", "", "text"),
    ("GET", "/api/v1/about", "What anybody may know", "", "About"),
    ("GET", "/api/v1/auth/oidc/login", "Log in by an identity provider (501)", "", ""),
    ("GET", "/api/v1/auth/oidc/callback", "Back from an identity provider (501)", "", ""),
    ("POST", "/api/v1/session", "Log a browser in", "LoginRequest", "Session"),
    ("GET", "/api/v1/session", "One's own session", "", "Session"),
    ("DELETE", "/api/v1/session", "Log out", "", ""),
    ("POST", "/api/v1/session/codes", "Make a one-time code", "", "NewLoginCode"),
    ("GET", "/api/v1/sessions", "Sessions", "", "Page<SessionRow>"),
    ("DELETE", "/api/v1/sessions/{id}", "End a session", "", ""),
    ("GET", "/api/v1/watch", "What changed, by name", "", "Change*"),
    ("GET", "/readyz", "The loop has looked at everything once", "", "text"),
    ("GET", "/metrics", "Figures for Prometheus", "", "text"),
    ("GET", "/api/v1/ca", "The CA's certificate, PEM", "", "text"),
    ("GET", "/api/v1/openapi.json", "This document", "", "OpenApi"),
    ("GET", "/api/v1/whoami", "What the key may do", "", "Whoami"),
    ("GET", "/api/v1/status", "Source, nodes, services, newest deployment", "", "DetailedStatus"),
    ("GET", "/api/v1/fleet", "A snapshot for `devnet plan --fleet`", "", "FleetSnapshot"),
    ("GET", "/api/v1/services", "Services", "", "Listed<DetailedService>"),
    ("GET", "/api/v1/services/{name}", "One service", "", "DetailedService"),
    ("GET", "/api/v1/services/{name}/logs", "Lines of all its logs", "", "InstanceLine*"),
    ("GET", "/api/v1/instances", "Instances", "", "Listed<InstanceRow>"),
    ("GET", "/api/v1/instances/{id}", "One instance with its spec", "", "ObservedInstance"),
    ("GET", "/api/v1/instances/{id}/compose", "Its unit as text", "", "UnitText"),
    ("GET", "/api/v1/instances/{id}/logs", "Lines of its log", "", "InstanceLine*"),
    ("GET", "/api/v1/events", "What happened, newest first", "", "Page<Event>"),
    ("GET", "/api/v1/templates", "Components of the catalog", "", "Page<ComponentSignature>"),
    ("GET", "/api/v1/revisions", "Revisions of the source", "", "Page<RevisionRow>"),
    ("GET", "/api/v1/plans", "Saved plans", "", "Page<DetailedPlan>"),
    ("POST", "/api/v1/plans", "Plan and save the plan", "PlanRequest", "Plan"),
    ("GET", "/api/v1/plans/{id}", "One plan", "", "Plan"),
    ("GET", "/api/v1/plans/{id}/stale", "What it was made from and moved", "", "Staleness"),
    ("POST", "/api/v1/plans/{id}/apply", "Apply a saved plan", "ApplyRequest", "Deployment"),
    ("POST", "/api/v1/whatif", "Plan what has not happened", "WhatIfRequest", "WhatIf"),
    ("GET", "/api/v1/services/{name}/explain", "Why it is where it is", "", "Explanation"),
    ("GET", "/api/v1/source", "Files of the configuration", "", "SourceFiles"),
    ("POST", "/api/v1/drafts", "Edit the cluster file", "DraftRequest", "Draft"),
    ("GET", "/api/v1/drafts/{id}", "A draft of one's own", "", "Draft"),
    ("PATCH", "/api/v1/drafts/{id}", "Edit it otherwise", "DraftRequest", "Draft"),
    ("DELETE", "/api/v1/drafts/{id}", "Forget it", "", ""),
    ("POST", "/api/v1/drafts/{id}/commit", "Commit it", "CommitRequest", "Committed"),
    ("GET", "/api/v1/suspensions", "What the loop leaves alone", "", "Suspension[]"),
    ("POST", "/api/v1/suspensions", "Suspend", "SuspensionRequest", "Suspension"),
    ("DELETE", "/api/v1/suspensions", "Resume", "", ""),
    ("GET", "/api/v1/deployments", "Runs of plans", "", "Page<Deployment>"),
    ("GET", "/api/v1/deployments/{id}", "One run of a plan", "", "Deployment"),
    ("GET", "/api/v1/deployments/{id}/logs", "Its lines", "", "DeploymentLine*"),
    ("GET", "/api/v1/deployments/{id}/steps", "How far each step is", "", "StepRow[]"),
    ("GET", "/api/v1/deployments/{id}/units", "Units that it starts", "", "UnitText[]"),
    ("POST", "/api/v1/deployments/{id}/cancel", "Cut it short", "", "Deployment"),
    ("GET", "/ws/logs", "The same over a WebSocket", "", "DeploymentLine*"),
    ("POST", "/api/v1/sync", "Look at the source now", "", ""),
    ("GET", "/api/v1/nodes", "Nodes", "", "Listed<DetailedNode>"),
    ("GET", "/api/v1/nodes/{id}", "One node, by name or id", "", "Node"),
    ("DELETE", "/api/v1/nodes/{id}", "Take a node out of the cluster", "", ""),
    (
        "POST",
        "/api/v1/nodes/{id}/deploy",
        "Run a Compose file on it",
        "DeployRequest",
        "Deployment",
    ),
    ("POST", "/api/v1/nodes/{id}/cordon", "Forbid new instances", "", ""),
    ("POST", "/api/v1/nodes/{id}/uncordon", "Allow new instances, and end a drain", "", ""),
    ("POST", "/api/v1/nodes/{id}/drain", "Have a node give up what can move", "", ""),
    ("POST", "/api/v1/nodes/{id}/adopt", "Take over what it runs", "", ""),
    ("POST", "/api/v1/nodes/tokens", "Make a join token", "JoinTokenRequest", "NewJoinCommand"),
    ("GET", "/api/v1/nodes/tokens", "Join tokens that may be used", "", "Page<JoinTokenRow>"),
    ("DELETE", "/api/v1/nodes/tokens/{id}", "Withdraw a join token", "", ""),
    ("POST", "/api/v1/nodes/register", "Join", "RegisterRequest", "RegisterResponse"),
    ("POST", "/api/v1/nodes/{id}/heartbeat", "A node is there", "HeartbeatRequest", ""),
    ("GET", "/api/v1/agent", "An agent's session (WebSocket)", "", "ControlMessage*"),
    ("GET", "/api/v1/audit", "Who asked for what", "", "Page<AuditRow>"),
    ("GET", "/api/v1/config", "How the control plane runs", "", "Config"),
    ("GET", "/api/v1/users", "Users (501)", "", ""),
    ("POST", "/api/v1/users", "Make a user (501)", "", ""),
    ("PATCH", "/api/v1/users/{id}", "Change a user (501)", "", ""),
    ("DELETE", "/api/v1/users/{id}", "Remove a user (501)", "", ""),
    ("GET", "/api/v1/nodes/{id}/usage", "What is used of it (501)", "", ""),
    ("GET", "/api/v1/instances/{id}/usage", "What it uses (501)", "", ""),
    ("GET", "/api/v1/models", "Models that are loaded (501)", "", ""),
    ("POST", "/api/v1/models/fit", "Would a model fit (501)", "", ""),
    ("PUT", "/api/v1/instances/{id}/models/{name}", "Upload a model (501)", "", ""),
    ("POST", "/api/v1/instances/{id}/models/{name}/load", "Load a model (501)", "", ""),
    ("POST", "/api/v1/instances/{id}/models/{name}/unload", "Unload a model (501)", "", ""),
    ("GET", "/ws/exec", "A shell in an instance (501)", "", ""),
    ("GET", "/api/v1/secrets", "Names and versions of secrets", "", "Page<SecretRow>"),
    ("PUT", "/api/v1/secrets/{name}", "Set a secret; the body is its value", "text", "SecretRow"),
    ("DELETE", "/api/v1/secrets/{name}", "Remove a secret", "", ""),
    ("GET", "/api/v1/apikeys", "API keys", "", "Page<DetailedKey>"),
    ("POST", "/api/v1/apikeys", "Make an API key", "ApiKeyRequest", "NewApiKey"),
    ("DELETE", "/api/v1/apikeys/{id}", "Revoke an API key", "", ""),
];

/// The document.
pub(super) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let described =
            SUMMARIES.iter().find(|row| row.0 == route.method && row.1 == route.pattern);
        let entry = paths.entry(route.pattern).or_insert_with(|| json!({}));
        entry[route.method.to_ascii_lowercase()] = operation(route, described);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "devnet control plane", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"securitySchemes": {
            "key": {"type": "http", "scheme": "bearer"},
            "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            "node": {"type": "mutualTLS"},
        }},
    })
}

fn operation(route: &Route, described: Option<&Row>) -> Value {
    let (_, _, summary, body, answer) = described.copied().unwrap_or(("", "", "", "", ""));
    let person = json!([{"key": []}, {"session": []}]);
    let (security, role) = match route.access {
        Access::Open => (json!([]), "anyone"),
        Access::JoinToken => (json!([]), "holders of a join token"),
        Access::Login => (json!([]), "holders of a key or a one-time code"),
        Access::NodeSelf => (json!([{"node": []}]), "the node itself"),
        Access::Role(Role::Viewer) => (person, "viewer"),
        Access::Role(Role::Planner) => (person, "planner"),
        Access::Role(Role::Editor) => (person, "editor"),
        Access::Role(Role::Admin) => (person, "admin"),
    };
    let parameters: Vec<Value> = route
        .pattern
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.trim_start_matches('*'))
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    let mut operation = json!({
        "summary": summary,
        "security": security,
        "x-role": role,
        "parameters": parameters,
        "responses": {
            "2XX": {"description": described_as(answer)},
            "default": {"description": "a problem document (application/problem+json)"},
        },
    });
    if !body.is_empty() {
        let kind = if body == "text" { "text/plain" } else { "application/json" };
        let schema = json!({"title": body});
        operation["requestBody"] = json!({"content": {(kind): {"schema": schema}}});
    }
    operation
}

fn described_as(answer: &str) -> String {
    match answer {
        "" => "no body".to_owned(),
        "text" => "text".to_owned(),
        lines if lines.ends_with('*') => {
            format!("{}, one JSON document a line", lines.trim_end_matches('*'))
        }
        document => document.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_of_the_table_is_described_and_nothing_else_is() {
        let table: BTreeSet<_> = ROUTES.iter().map(|r| (r.method, r.pattern)).collect();
        let described: BTreeSet<_> = SUMMARIES.iter().map(|row| (row.0, row.1)).collect();
        assert_eq!(table, described);
        let document = document();
        for (method, pattern) in table {
            let operation = &document["paths"][pattern][method.to_ascii_lowercase()];
            assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{pattern}");
        }
    }
}
