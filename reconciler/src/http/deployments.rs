//! Routes about deployments and their lines.

use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use devnet_schema::name::ServiceName;
use futures_util::StreamExt;
use serde::Deserialize;

use super::{
    App,
    extract::{Paging, Params, Who},
    permit::Permit,
    problem::Failure,
    stream::{Records, follow, line, ndjson},
};
use crate::api::{
    Deployment, DeploymentLine, Page,
    detail::{StepRow, UnitText},
};

/// Parameters of `GET /api/v1/deployments`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListParams {
    service: Option<ServiceName>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// `GET /api/v1/deployments`: newest first; with `service`, those that had a step of it.
pub(super) async fn list(
    State(app): State<App>,
    Params(ListParams { service, cursor, limit }): Params<ListParams>,
) -> Result<Json<Page<Deployment>>, Failure> {
    let paging = Paging { cursor, limit };
    let cursor = paging.cursor.as_deref();
    Ok(Json(app.plane.deployments(service.as_ref(), cursor, paging.limit())?))
}

fn find(app: &App, id: &str) -> Result<Deployment, Failure> {
    app.plane.deployment(id)?.ok_or_else(|| Failure::not_found("there is no such deployment"))
}

/// `GET /api/v1/deployments/{id}`.
pub(super) async fn one(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Deployment>, Failure> {
    find(&app, &id).map(Json)
}

/// `GET /api/v1/deployments/{id}/steps`: in the plan's order.
pub(super) async fn steps(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Vec<StepRow>>, Failure> {
    Ok(Json(app.plane.step_rows(&find(&app, &id)?)?))
}

/// `GET /api/v1/deployments/{id}/units`: the units that it starts, as text.
pub(super) async fn units(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Vec<UnitText>>, Failure> {
    Ok(Json(app.plane.unit_texts(&find(&app, &id)?)?))
}

/// `POST /api/v1/deployments/{id}/cancel`: 202 and the deployment, which ends when what runs of it
/// has; 409 when it has ended.
pub(super) async fn cancel(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let deployment = app.plane.cancel(&id, &who.label())?;
    Ok((StatusCode::ACCEPTED, Json(deployment)).into_response())
}

/// The lines of one deployment; the `end` line is the last.
struct Lines {
    app: App,
    deployment: String,
    after: u64,
}

impl Records for Lines {
    async fn more(&mut self) -> (Vec<Bytes>, bool) {
        let found = self.app.plane.lines_after(&self.deployment, self.after);
        let Ok(lines) = found else {
            return (Vec::new(), true);
        };
        if let Some((last, _)) = lines.last() {
            self.after = *last;
        }
        let ended = lines.iter().any(|(_, one)| matches!(one, DeploymentLine::End { .. }));
        (lines.iter().map(|(_, one)| line(one)).collect(), ended)
    }
}

/// Parameters of `GET /api/v1/deployments/{id}/logs`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LogParams {
    follow: bool,
}

/// `GET /api/v1/deployments/{id}/logs`: newline-delimited JSON from its first line; with
/// `follow=true` until its end.
pub(super) async fn logs(
    State(app): State<App>,
    permit: Permit,
    Path(id): Path<String>,
    Params(params): Params<LogParams>,
) -> Result<Response, Failure> {
    let deployment = find(&app, &id)?.id;
    let moved = params.follow.then(|| app.plane.follow_lines());
    Ok(ndjson(permit, follow(Lines { app, deployment, after: 0 }, moved)))
}

/// Parameters of `/ws/logs`.
#[derive(Debug, Deserialize)]
pub(super) struct SocketParams {
    deployment: String,
}

/// `GET /ws/logs?deployment=ID` (WebSocket): the same lines, one a frame, until the end.
pub(super) async fn socket(
    State(app): State<App>,
    permit: Permit,
    Params(params): Params<SocketParams>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Failure> {
    let deployment = find(&app, &params.deployment)?.id;
    Ok(upgrade.on_upgrade(move |socket| send_lines(app, permit, socket, deployment)))
}

async fn send_lines(app: App, permit: Permit, mut socket: WebSocket, deployment: String) {
    let moved = app.plane.follow_lines();
    let lines = permit.lines(follow(Lines { app, deployment, after: 0 }, Some(moved)));
    let mut lines = std::pin::pin!(lines);
    loop {
        tokio::select! {
            next = lines.next() => {
                let bytes = match next {
                    Some(Ok(bytes)) => bytes,
                    Some(Err(revoked)) => {
                        let frame = CloseFrame {
                            code: close_code::POLICY,
                            reason: revoked.to_string().into(),
                        };
                        let _ = socket.send(Message::Close(Some(frame))).await;
                        return;
                    }
                    None => break,
                };
                let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                let sent = socket.send(Message::Text(text.into()));
                let sent = tokio::time::timeout(std::time::Duration::from_secs(10), sent).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
            }
            // A reader that goes away is noticed here, and pings are answered.
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
    let _ = socket.send(Message::Close(None)).await;
}
