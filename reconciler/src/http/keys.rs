//! Routes about API keys.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use devnet_schema::secret::InTransit;

use super::{
    App,
    extract::{Document, Paging, Params, Who},
    problem::Failure,
};
use crate::api::{ApiKeyRequest, NewApiKey, Page, audit::DetailedKey};

/// The longest name of a key, in characters.
const LONGEST_NAME: usize = 100;

/// `GET /api/v1/apikeys`: newest first, without those that were revoked.
pub(super) async fn list(
    State(app): State<App>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<DetailedKey>>, Failure> {
    Ok(Json(app.plane.api_keys(paging.cursor.as_deref(), paging.limit())?))
}

/// `POST /api/v1/apikeys`: 201 and the key, this once.
pub(super) async fn make(
    State(app): State<App>,
    Who(who): Who,
    Document(request): Document<ApiKeyRequest>,
) -> Result<(StatusCode, Json<NewApiKey>), Failure> {
    let length = request.name.chars().count();
    if length == 0 || length > LONGEST_NAME || request.name.chars().any(char::is_control) {
        return Err(Failure::bad_request(
            "a key's name has 1 to 100 characters and no control characters",
        ));
    }
    let (row, text) = app.plane.make_api_key(request, &who.label())?;
    let key = InTransit::new(text.expose().clone());
    Ok((StatusCode::CREATED, Json(NewApiKey { row, key })))
}

/// `DELETE /api/v1/apikeys/{id}`: 204.
pub(super) async fn revoke(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    if app.plane.revoke_api_key(&id, &who.label())? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Failure::not_found("there is no such key"))
    }
}
