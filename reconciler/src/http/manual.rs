//! The seed's deploy route: a rendered Compose file, put on one node by hand.

use axum::{
    extract::{Path, State},
    response::Response,
};

use super::{
    App,
    extract::{Body, Who},
    problem::Failure,
};
use crate::api::DeployRequest;

/// `POST /api/v1/nodes/{id}/deploy`: 202 and the deployment that begins.
pub async fn deploy(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
    Body(request): Body<DeployRequest>,
) -> Result<Response, Failure> {
    let name = app.plane.find_node(&id)?;
    let _ = (who, request, name);
    Err(Failure::not_found("not yet"))
}
