//! Routes about what the loop leaves alone.

use axum::{Json, extract::State, http::StatusCode};
use devnet_schema::name::ServiceName;
use serde::Deserialize;

use super::{
    App,
    extract::{Document, Params, Who},
    problem::Failure,
};
use crate::api::{Suspension, SuspensionRequest};

/// `GET /api/v1/suspensions`.
pub(super) async fn list(State(app): State<App>) -> Result<Json<Vec<Suspension>>, Failure> {
    Ok(Json(app.plane.suspensions()?))
}

/// `POST /api/v1/suspensions`: in the place of an earlier one of the same service.
pub(super) async fn suspend(
    State(app): State<App>,
    Who(who): Who,
    Document(request): Document<SuspensionRequest>,
) -> Result<Json<Suspension>, Failure> {
    Ok(Json(app.plane.suspend(request, &who.label())?))
}

/// Parameters of `DELETE /api/v1/suspensions`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Of {
    service: Option<ServiceName>,
}

/// `DELETE /api/v1/suspensions?service=`: 204; 404 where it is not suspended.
pub(super) async fn resume(
    State(app): State<App>,
    Who(who): Who,
    Params(Of { service }): Params<Of>,
) -> Result<StatusCode, Failure> {
    app.plane.resume(service.as_ref(), &who.label())?;
    Ok(StatusCode::NO_CONTENT)
}
