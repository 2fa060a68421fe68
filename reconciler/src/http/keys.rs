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
use crate::{
    api::{ApiKeyRequest, ApiKeyRow, NewApiKey, Page},
    store::ApiKeyRecord,
};

/// The longest name of a key, in characters.
const LONGEST_NAME: usize = 100;

fn row(record: ApiKeyRecord) -> ApiKeyRow {
    let ApiKeyRecord { id, hash: _, name, role, created_at, revoked_at: _ } = record;
    ApiKeyRow { id, name, role, created_at }
}

/// `GET /api/v1/apikeys`: newest first, without those that were revoked.
pub async fn list(
    State(app): State<App>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<ApiKeyRow>>, Failure> {
    let page = app.plane.store.api_keys(paging.cursor.as_deref(), paging.limit())?;
    Ok(Json(Page { items: page.items.into_iter().map(row).collect(), next: page.next }))
}

/// `POST /api/v1/apikeys`: 201 and the key, this once.
pub async fn make(
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
    let (record, text) = app.plane.make_api_key(request, &who.label())?;
    let key = InTransit::new(text.expose().clone());
    Ok((StatusCode::CREATED, Json(NewApiKey { row: row(record), key })))
}

/// `DELETE /api/v1/apikeys/{id}`: 204.
pub async fn revoke(
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
