//! Routes about join tokens.
//!
//! Knows the line that a new node runs. Refuses to show a token a second time.

use axum::{
    Json,
    extract::{FromRequest, Path, Request, State},
    http::StatusCode,
};
use devnet_schema::secret::InTransit;

use super::{
    App, browser,
    extract::{Document, Paging, Params, Who},
    problem::Failure,
};
use crate::api::{
    JoinTokenRequest, LONGEST_TTL, Page,
    detail::{JoinTokenRow, NewJoinCommand},
};

/// `GET /api/v1/nodes/tokens`: those that may still be used, newest first.
pub(super) async fn list(
    State(app): State<App>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<JoinTokenRow>>, Failure> {
    let rows = app.plane.join_token_rows()?;
    Ok(Json(paging.page(rows, |row| row.id.clone())))
}

/// `POST /api/v1/nodes/tokens`: 201 and the token, this once.
pub(super) async fn make(
    State(app): State<App>,
    Who(who): Who,
    request: Request,
) -> Result<(StatusCode, Json<NewJoinCommand>), Failure> {
    let asked = browser::authority(&request).map(str::to_owned);
    let Document(request) = Document::<JoinTokenRequest>::from_request(request, &app).await?;
    if request.ttl_seconds > LONGEST_TTL {
        return Err(Failure::bad_request("a join token is good for seven days at most")
            .detail("ask for `--ttl 7d` or less, and make a new one when it is over"));
    }
    let (token, expires_at) = app.plane.make_join_token(&request, &who.label())?;
    let server = format!("https://{}", asked.unwrap_or_default());
    let name = request.node.as_ref().map_or_else(String::new, |name| format!(" --name {name}"));
    let replace = if request.replace { " --replace" } else { "" };
    let text = token.expose();
    // By standard input: other users of the machine see the arguments of programs.
    let command = format!(
        "echo {text} | devnet-agent join --server {server}{name}{replace} --token-file - && \
         devnet-agent run"
    );
    let made = NewJoinCommand {
        id: text.split('.').nth(2).unwrap_or_default().to_owned(),
        token: InTransit::new(text.clone()),
        expires_at,
        server,
        command: InTransit::new(command),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// `DELETE /api/v1/nodes/tokens/{id}`: 204.
pub(super) async fn withdraw(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    if app.plane.withdraw_join_token(&id, &who.label())? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Failure::not_found("there is no such join token, or it was used"))
    }
}
