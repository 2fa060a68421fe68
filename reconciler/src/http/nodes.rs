//! Routes about nodes.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use devnet_schema::{
    fleet::Node,
    wire::{RegisterRequest, RegisterResponse},
};
use serde::Deserialize;

use super::{
    App,
    extract::{Document, Params, Who},
    lists::{ListParams, Row, word},
    problem::Failure,
};
use crate::{
    api::{HeartbeatRequest, NODE_IN_USE, detail::DetailedNode},
    auth::Principal,
    cycle::{Cordon, JoinRefusal, List, RegisterError, node_digests},
};

/// `GET /api/v1/nodes`.
pub(super) async fn list(
    State(app): State<App>,
    Params(params): Params<ListParams>,
    asked: HeaderMap,
) -> Result<Response, Failure> {
    let fleet = app.plane.shown()?;
    let rows = app.plane.detailed_nodes(&fleet, app.plane.node_rows(&fleet));
    params.answer(&app, List::Nodes, node_digests(&rows), rows, &asked)
}

impl Row for DetailedNode {
    fn key(&self) -> String {
        self.row.name.to_string()
    }

    fn texts(&self) -> Vec<&str> {
        let gpus = self.gpus.iter().map(|gpu| gpu.model.as_str());
        let own = [self.row.name.as_str(), &self.row.ip, &self.os, &self.arch];
        let zone = self.zone.as_deref();
        own.into_iter()
            .chain(zone)
            .chain(self.tags.iter().map(String::as_str))
            .chain(gpus)
            .collect()
    }

    fn nodes(&self) -> Vec<&str> {
        vec![self.row.name.as_str()]
    }

    fn service(&self) -> Option<&str> {
        None
    }

    fn states(&self) -> Vec<String> {
        let cordoned = self.row.cordoned.then(|| "cordoned".to_owned());
        [word(&self.row.status)].into_iter().chain(cordoned).collect()
    }
}

/// `GET /api/v1/nodes/{id}`, by name or id.
pub(super) async fn one(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Node>, Failure> {
    let name = app.plane.find_node(&id)?;
    let node = app.plane.shown()?.nodes.into_iter().find(|node| node.name == name);
    // A node that registered and never connected is on record and not in the fleet.
    node.map(Json).ok_or_else(|| Failure::not_found(format!("node {name} never connected")))
}

/// Parameters of a removal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Removal {
    /// Also where something is left on the node.
    force: bool,
}

/// `DELETE /api/v1/nodes/{id}`: 204. Its certificate is worth nothing from now on. Where something
/// is left on it, 409 says what, unless `force` is given.
pub(super) async fn remove(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
    Params(removal): Params<Removal>,
) -> Result<StatusCode, Failure> {
    let name = app.plane.find_node(&id)?;
    let left = if removal.force { None } else { Some(app.plane.left_on(&name)?) };
    if let Some(left) = left.filter(|left| !left.is_nothing()) {
        let title = format!("{name} is in use");
        return Err(
            Failure::new(StatusCode::CONFLICT, NODE_IN_USE, title).detail(left.told().join("\n"))
        );
    }
    app.plane.remove_node(&name, &who.label())?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/nodes/{id}/cordon`: 204.
pub(super) async fn cordon(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    let name = app.plane.find_node(&id)?;
    app.plane.cordon(&name, Cordon::Cordoned, &who.label())?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/nodes/{id}/drain`: 204.
pub(super) async fn drain(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    let name = app.plane.find_node(&id)?;
    app.plane.cordon(&name, Cordon::Drained, &who.label())?;
    Ok(StatusCode::NO_CONTENT)
}

/// Parameters of a takeover.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Takeover {
    /// Also in the place of other nodes.
    instead: bool,
}

/// `POST /api/v1/nodes/{id}/adopt`: 204; 409 says what is ordered on other nodes, unless `instead`
/// is given.
pub(super) async fn adopt(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
    Params(takeover): Params<Takeover>,
) -> Result<StatusCode, Failure> {
    let name = app.plane.find_node(&id)?;
    app.plane.adopt_node(&name, takeover.instead, &who.label())?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/nodes/{id}/uncordon`: 204.
pub(super) async fn uncordon(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    let name = app.plane.find_node(&id)?;
    app.plane.cordon(&name, Cordon::Lifted, &who.label())?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/nodes/register`: 201. The token in the body is the credential.
pub(super) async fn register(
    State(app): State<App>,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    Document(request): Document<RegisterRequest>,
) -> Result<(StatusCode, Json<RegisterResponse>), Failure> {
    let from = peer.map(|info| info.0.0.ip());
    let answer = app.plane.register(&request);
    if let Err(RegisterError::Refused(JoinRefusal::Token)) = &answer {
        app.failed(from, "a join token")?;
    }
    Ok((StatusCode::CREATED, Json(answer?)))
}

/// `POST /api/v1/nodes/{id}/heartbeat`: 204. Agents of ours send theirs over the WebSocket; this
/// is for others, with the node's own certificate.
pub(super) async fn heartbeat(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
    Document(request): Document<HeartbeatRequest>,
) -> Result<StatusCode, Failure> {
    let Principal::Node { name, id: own } = who else {
        return Err(crate::auth::Denied::NodesOnly.into());
    };
    // Another node's name and no node's name look the same to whoever asks.
    if id != own && id != name.as_str() {
        return Err(Failure::not_found("there is no such node"));
    }
    app.plane.heartbeat(&name, request.facts)?;
    Ok(StatusCode::NO_CONTENT)
}
