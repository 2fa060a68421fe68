//! Routes that read what services print.

use std::collections::BTreeSet;

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use devnet_schema::{
    name::{InstanceId, NodeName},
    observed::ObservedInstance,
};
use futures_util::stream::{self, SelectAll, Stream, StreamExt};
use serde::Deserialize;

use super::{
    App,
    extract::Params,
    permit::Permit,
    problem::Failure,
    stream::{line, ndjson},
};
use crate::{
    api::{InstanceLine, LogEnd},
    cycle::ordered,
    fleet::LogStream,
};

/// The most old lines of one instance.
const MOST_LINES: u32 = 10_000;

/// Parameters of both routes.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct LogParams {
    tail: u32,
    follow: bool,
}

impl Default for LogParams {
    fn default() -> Self {
        Self { tail: 100, follow: false }
    }
}

/// `GET /api/v1/instances/{id}/logs`: newline-delimited JSON.
pub async fn instance(
    State(app): State<App>,
    permit: Permit,
    Path(id): Path<String>,
    Params(params): Params<LogParams>,
) -> Result<Response, Failure> {
    let id: InstanceId = id.parse().map_err(|_| Failure::not_found("there is no such instance"))?;
    answer(&app, permit, params, |seen| seen.instance() == id).await
}

/// `GET /api/v1/services/{name}/logs`: of all its instances, as lines come.
pub async fn service(
    State(app): State<App>,
    permit: Permit,
    Path(name): Path<String>,
    Params(params): Params<LogParams>,
) -> Result<Response, Failure> {
    answer(&app, permit, params, |seen| seen.service.as_str() == name).await
}

async fn answer(
    app: &App,
    permit: Permit,
    params: LogParams,
    wanted: impl Fn(&ObservedInstance) -> bool,
) -> Result<Response, Failure> {
    let LogParams { tail, follow } = params;
    // What nobody ordered speaks for no service.
    let places: BTreeSet<(InstanceId, NodeName)> = ordered(&app.plane.shown()?)
        .into_iter()
        .filter(|seen| wanted(seen))
        .map(|seen| (seen.instance(), seen.node.clone()))
        .collect();
    if places.is_empty() {
        return Err(Failure::not_found("it runs nowhere"));
    }
    let one = places.len() == 1;
    let mut lines = SelectAll::new();
    for (instance, node) in places {
        match app.plane.read_logs(&node, &instance, tail.min(MOST_LINES), follow).await {
            Ok(stream) => lines.push(of_instance(instance, stream).boxed()),
            Err(error) if one => return Err(error.into()),
            // The others may still be read.
            Err(error) => {
                let end = LogEnd { instance, error: error.to_string() };
                lines.push(stream::iter([line(&end)]).boxed());
            }
        }
    }
    Ok(ndjson(permit, lines))
}

fn of_instance(instance: InstanceId, stream: LogStream) -> impl Stream<Item = Bytes> + Send {
    let batches = stream::unfold(Some((instance, stream)), |state| async move {
        let (instance, mut stream) = state?;
        let Some(batch) = stream.next().await else {
            let error = "the connection to its agent ended, or lines came faster than they were \
                         read";
            let end = LogEnd { instance, error: error.to_owned() };
            return Some((vec![line(&end)], None));
        };
        let mut lines: Vec<Bytes> = batch
            .lines
            .into_iter()
            .map(|text| line(&InstanceLine { instance: instance.clone(), line: text }))
            .collect();
        if let Some(error) = batch.error {
            lines.push(line(&LogEnd { instance: instance.clone(), error }));
        }
        Some((lines, (!batch.end).then_some((instance, stream))))
    });
    batches.flat_map(stream::iter)
}
