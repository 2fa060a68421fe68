//! Routes that only look.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use devnet_schema::{
    component::ComponentSignature, fleet::FleetSnapshot, name::InstanceId,
    observed::ObservedInstance,
};
use serde::Deserialize;

use super::{
    App,
    extract::{Paging, Params},
    permit::Permit,
    problem::Failure,
    stream::{Records, follow, line, ndjson},
};
use crate::{
    api::{Event, InstanceRow, Page, RevisionRow, ServiceRow, Status},
    cycle::{instance_rows, ordered},
};

/// `GET /api/v1/status`.
pub(super) async fn status(State(app): State<App>) -> Result<Json<Status>, Failure> {
    Ok(Json(app.plane.status()?))
}

/// `GET /api/v1/fleet`: a snapshot that `devnet plan --fleet` takes.
pub(super) async fn fleet(State(app): State<App>) -> Result<Json<FleetSnapshot>, Failure> {
    Ok(Json(app.plane.shown()?))
}

/// `GET /api/v1/services`.
pub(super) async fn services(
    State(app): State<App>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<ServiceRow>>, Failure> {
    let rows = app.plane.service_rows(&app.plane.shown()?);
    Ok(Json(paging.page(rows, |row| row.name.to_string())))
}

/// `GET /api/v1/services/{name}`.
pub(super) async fn service(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<ServiceRow>, Failure> {
    app.plane
        .service_rows(&app.plane.shown()?)
        .into_iter()
        .find(|row| row.name.as_str() == name)
        .map(Json)
        .ok_or_else(|| Failure::not_found("there is no such service"))
}

/// `GET /api/v1/instances`.
pub(super) async fn instances(
    State(app): State<App>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<InstanceRow>>, Failure> {
    let rows = instance_rows(&app.plane.shown()?);
    // An instance that moves is on two nodes for a while.
    Ok(Json(paging.page(rows, |row: &InstanceRow| format!("{}@{}", row.id, row.node))))
}

/// `GET /api/v1/instances/{id}`: what the agent reports, its spec with secrets as references.
pub(super) async fn instance(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<ObservedInstance>, Failure> {
    let id: InstanceId = id.parse().map_err(|_| Failure::not_found("there is no such instance"))?;
    let fleet = app.plane.shown()?;
    let seen = ordered(&fleet).into_iter().find(|seen| seen.instance() == id);
    seen.or_else(|| fleet.instances.iter().find(|seen| seen.instance() == id))
        .cloned()
        .map(Json)
        .ok_or_else(|| Failure::not_found(format!("{id} runs nowhere")))
}

/// Parameters of `GET /api/v1/events`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EventParams {
    follow: bool,
    after: Option<u64>,
    #[serde(flatten)]
    paging: EventPaging,
}

/// Query parameters arrive as texts, and a flattened struct does not turn them into numbers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EventPaging {
    cursor: Option<String>,
    limit: Option<String>,
}

struct Events {
    app: App,
    after: u64,
}

impl Records for Events {
    async fn more(&mut self) -> (Vec<Bytes>, bool) {
        let Ok(events) = self.app.plane.events_after(self.after) else {
            return (Vec::new(), true);
        };
        if let Some(last) = events.last() {
            self.after = last.seq;
        }
        (events.iter().map(line).collect(), false)
    }
}

/// `GET /api/v1/events`: newest first; with `follow=true` newline-delimited JSON, oldest first, of
/// what comes after event `after`, or from now on.
pub(super) async fn events(
    State(app): State<App>,
    permit: Permit,
    Params(params): Params<EventParams>,
) -> Result<Response, Failure> {
    let EventParams { follow: following, after, paging } = params;
    if following {
        let moved = app.plane.follow_events();
        let newest = || -> Result<u64, Failure> {
            let page: Page<Event> = app.plane.events(None, 1)?;
            Ok(page.items.first().map_or(0, |event| event.seq))
        };
        let after = after.map_or_else(newest, Ok)?;
        let records = Events { app: app.clone(), after };
        return Ok(ndjson(permit, follow(records, Some(moved))));
    }
    let limit = match paging.limit {
        None => 100,
        Some(text) => {
            text.parse().map_err(|_| Failure::bad_request("`limit` is a number from 1 to 500"))?
        }
    };
    let page = app.plane.events(paging.cursor.as_deref(), limit)?;
    Ok(Json(page).into_response())
}

/// `GET /api/v1/templates`: the components of the catalog that is in use.
pub(super) async fn templates(
    State(app): State<App>,
    Params(paging): Params<Paging>,
) -> Json<Page<ComponentSignature>> {
    let rows = app.plane.components();
    Json(paging.page(rows, |component| component.name.clone()))
}

/// `GET /api/v1/revisions`: newest first.
pub(super) async fn revisions(
    State(app): State<App>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<RevisionRow>>, Failure> {
    Ok(Json(app.plane.revisions(paging.cursor.as_deref(), paging.limit())?))
}
