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

/// `GET /api/v1/apikeys`: the admin's, then newest first, without those that were revoked.
pub(super) async fn list(
    State(app): State<App>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<DetailedKey>>, Failure> {
    let mut page = app.plane.api_keys(paging.cursor.as_deref(), paging.limit())?;
    // It is in a file and not on record, so it is on the first page whatever that holds.
    if paging.cursor.is_none() {
        let row = app.admin_row();
        page.items.insert(0, DetailedKey { row, last_used_at: None, expires_at: None });
    }
    Ok(Json(page))
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
    if app.admin_row().id == id {
        let title = "this is the control plane's own key, which is in its admin.key";
        return Err(Failure::new(StatusCode::CONFLICT, "own-key", title).detail(
            "to have a new one made, move admin.key and client.yaml in its data directory away, \
             and start it again: this one is worth nothing from then on",
        ));
    }
    if app.plane.revoke_api_key(&id, &who.label())? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Failure::not_found("there is no such key"))
    }
}
