//! Routes about secrets. Values go in and never come out.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use devnet_schema::{name::SecretName, secret::Sensitive};

use super::{
    App,
    extract::{Paging, Params, Raw, Who},
    problem::Failure,
};
use crate::api::{Page, SecretRow};

fn name(text: &str) -> Result<SecretName, Failure> {
    text.parse()
        .map_err(|error: devnet_schema::name::NameError| Failure::bad_request(error.to_string()))
}

/// `GET /api/v1/secrets`: names and versions.
pub(super) async fn list(
    State(app): State<App>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<SecretRow>>, Failure> {
    let rows = app.plane.secret_rows()?;
    Ok(Json(paging.page(rows, |row| row.name.to_string())))
}

/// `PUT /api/v1/secrets/{name}`: the body is the value. Answers its row; the version is the same
/// as before when the value is.
pub(super) async fn set(
    State(app): State<App>,
    Who(who): Who,
    Path(text): Path<String>,
    Raw(body): Raw,
) -> Result<Json<SecretRow>, Failure> {
    let name = name(&text)?;
    let value = String::from_utf8(body)
        .map_err(|_| Failure::bad_request("a secret is UTF-8 text; encode other data as base64"))?;
    Ok(Json(app.plane.set_secret(&name, &Sensitive::new(value), &who.label())?))
}

/// `DELETE /api/v1/secrets/{name}`: 204.
pub(super) async fn remove(
    State(app): State<App>,
    Who(who): Who,
    Path(text): Path<String>,
) -> Result<StatusCode, Failure> {
    let name = name(&text)?;
    if app.plane.remove_secret(&name, &who.label())? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Failure::not_found(format!("there is no secret {name}")))
    }
}
