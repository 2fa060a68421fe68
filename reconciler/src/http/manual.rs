//! The seed's deploy route: a rendered Compose file, put on one node by hand.

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    App,
    extract::{Document, Who},
    problem::Failure,
};
use crate::api::DeployRequest;

/// `POST /api/v1/nodes/{id}/deploy`: 202, the deployment that begins, and its place.
pub(super) async fn deploy(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
    Document(request): Document<DeployRequest>,
) -> Result<Response, Failure> {
    let node = app.plane.find_node(&id)?;
    let deployment = app.plane.deploy_by_hand(&node, &request, &who.label())?;
    let place = format!("/api/v1/deployments/{}", deployment.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], Json(deployment)).into_response())
}
