//! Routes about plans.

use axum::{
    Json,
    extract::{FromRequest, Path, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use devnet_schema::plan::Plan;

use super::{
    App,
    extract::{Document, Paging, Params, Who},
    problem::Failure,
};
use crate::{
    api::{
        ApplyRequest, Page, PlanRequest,
        detail::{DetailedPlan, Staleness},
    },
    cycle::RequestError,
};

/// `POST /api/v1/plans`: 201, the plan, and its place. A plan with errors is a plan too.
pub(super) async fn make(
    State(app): State<App>,
    Who(who): Who,
    request: Request,
) -> Result<Response, Failure> {
    if !app.plane.can_plan() {
        // Unread, it could take the answer with it; kept, it would take room for nothing.
        app.intake.discard(request.into_body()).await;
        return Err(RequestError::TooMany.into());
    }
    let Document(request) = Document::<PlanRequest>::from_request(request, &app).await?;
    let plan = app.plane.plan_request(request, &who.label()).await?;
    let place = format!("/api/v1/plans/{}", plan.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(plan)).into_response())
}

/// `GET /api/v1/plans`: newest first.
pub(super) async fn list(
    State(app): State<App>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<DetailedPlan>>, Failure> {
    Ok(Json(app.plane.plans(paging.cursor.as_deref(), paging.limit())?))
}

/// `GET /api/v1/plans/{id}`.
pub(super) async fn one(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Plan>, Failure> {
    let saved = app.plane.saved_plan(&id)?;
    saved.map(Json).ok_or_else(|| Failure::not_found("there is no such plan"))
}

/// `POST /api/v1/plans/{id}/apply`: 202, the deployment that begins, and its place; 204 where it
/// was only asked whether it could.
pub(super) async fn apply(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
    Document(request): Document<ApplyRequest>,
) -> Result<Response, Failure> {
    let begun = app.plane.apply_request(&id, &request, &who.label()).await?;
    let Some(deployment) = begun else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let place = format!("/api/v1/deployments/{}", deployment.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], Json(deployment)).into_response())
}

/// `GET /api/v1/plans/{id}/stale`: what it was made from and is no longer as it was.
pub(super) async fn stale(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Staleness>, Failure> {
    Ok(Json(app.plane.staleness(&id).await?))
}

/// `POST /api/v1/sync`: look at the source and the nodes now. 202, no body.
pub(super) async fn sync(State(app): State<App>) -> StatusCode {
    app.plane.look_again();
    StatusCode::ACCEPTED
}
