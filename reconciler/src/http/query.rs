//! Routes that only look.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::HeaderMap,
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
    lists::{ListParams, Row, tagged, word},
    permit::Permit,
    problem::Failure,
    stream::{Records, follow, line, ndjson},
};
use crate::{
    api::{
        Event, InstanceRow, Page, RevisionRow,
        detail::{DetailedService, UnitText},
    },
    cycle::{
        EventFilter, List, instance_digests, instance_key, instance_rows, ordered, service_digests,
        unit_text,
    },
};

/// `GET /api/v1/status`.
pub(super) async fn status(State(app): State<App>, asked: HeaderMap) -> Result<Response, Failure> {
    Ok(tagged(&asked, &app.plane.detailed_status(app.plane.status()?)))
}

/// `GET /api/v1/fleet`: a snapshot that `devnet plan --fleet` takes.
pub(super) async fn fleet(State(app): State<App>) -> Result<Json<FleetSnapshot>, Failure> {
    Ok(Json(app.plane.shown()?))
}

/// `GET /api/v1/services`.
pub(super) async fn services(
    State(app): State<App>,
    Params(params): Params<ListParams>,
    asked: HeaderMap,
) -> Result<Response, Failure> {
    let rows = app.plane.service_rows(&app.plane.shown()?);
    let rows = app.plane.detailed_services(rows);
    params.answer(&app, List::Services, service_digests(&rows), rows, &asked)
}

impl Row for DetailedService {
    fn key(&self) -> String {
        self.row.name.to_string()
    }

    fn texts(&self) -> Vec<&str> {
        let declared = self.declared.iter();
        let form = declared.flat_map(|it| [it.component.as_deref(), it.version.as_deref()]);
        form.flatten().chain([self.row.name.as_str()]).collect()
    }

    fn nodes(&self) -> Vec<&str> {
        self.row.instances.iter().map(|it| it.node.as_str()).collect()
    }

    fn service(&self) -> Option<&str> {
        Some(self.row.name.as_str())
    }

    fn states(&self) -> Vec<String> {
        let well = self.row.healthy >= self.row.desired;
        let words = self.row.instances.iter().flat_map(|it| [word(&it.health), word(&it.state)]);
        [if well { "healthy" } else { "degraded" }.to_owned()].into_iter().chain(words).collect()
    }
}

/// `GET /api/v1/services/{name}`.
pub(super) async fn service(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<DetailedService>, Failure> {
    let rows = app.plane.service_rows(&app.plane.shown()?);
    let one = rows.into_iter().filter(|row| row.name.as_str() == name).collect();
    let mut one = app.plane.detailed_services(one);
    one.pop().map(Json).ok_or_else(|| Failure::not_found("there is no such service"))
}

/// `GET /api/v1/instances`.
pub(super) async fn instances(
    State(app): State<App>,
    Params(params): Params<ListParams>,
    asked: HeaderMap,
) -> Result<Response, Failure> {
    let rows = instance_rows(&app.plane.shown()?);
    params.answer(&app, List::Instances, instance_digests(&rows), rows, &asked)
}

impl Row for InstanceRow {
    fn key(&self) -> String {
        instance_key(self)
    }

    fn texts(&self) -> Vec<&str> {
        let Self { node, address, message, id, .. } = self;
        let some = [address.as_deref(), message.as_deref()].into_iter().flatten();
        some.chain([node.as_str(), id.service.as_str()]).collect()
    }

    fn nodes(&self) -> Vec<&str> {
        vec![self.node.as_str()]
    }

    fn service(&self) -> Option<&str> {
        Some(self.id.service.as_str())
    }

    fn states(&self) -> Vec<String> {
        vec![word(&self.health), word(&self.state)]
    }
}

/// `GET /api/v1/instances/{id}/compose`: its unit as text.
pub(super) async fn unit(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<UnitText>, Failure> {
    let id: InstanceId = id.parse().map_err(|_| Failure::not_found("there is no such instance"))?;
    let fleet = app.plane.shown()?;
    let seen = ordered(&fleet).into_iter().find(|seen| seen.instance() == id);
    let spec = seen.and_then(|seen| seen.spec.as_deref());
    spec.map(|spec| Json(unit_text(spec)))
        .ok_or_else(|| Failure::not_found(format!("{id} runs nowhere")))
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
    cursor: Option<String>,
    limit: Option<u32>,
    kind: String,
    subject: String,
    q: String,
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
    let EventParams { follow: following, after, cursor, limit, kind, subject, q } = params;
    if following {
        let moved = app.plane.follow_events();
        let newest = || -> Result<u64, Failure> {
            let page: Page<Event> = app.plane.events(None, 1, &EventFilter::default())?;
            Ok(page.items.first().map_or(0, |event| event.seq))
        };
        let after = after.map_or_else(newest, Ok)?;
        let records = Events { app: app.clone(), after };
        return Ok(ndjson(permit, follow(records, Some(moved))));
    }
    let filter = EventFilter { kind, subject, text: q };
    let page = app.plane.events(cursor.as_deref(), limit.unwrap_or(100), &filter)?;
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
