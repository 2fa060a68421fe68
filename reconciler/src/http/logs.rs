//! Routes that read what services print.
//!
//! Knows batches of lines and how they end. Refuses to read ahead of whoever asked: a batch is
//! taken when the one before was written to the client.

use std::collections::BTreeSet;

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use devnet_schema::{
    name::{InstanceId, NodeName},
    observed::ObservedInstance,
    wire::{LogBatch, LogEndReason, LogLine},
};
use futures_util::stream::{self, SelectAll, StreamExt};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{App, extract::Params, permit::Permit, problem::Failure, stream::ndjson};
use crate::{
    api::{InstanceEnd, InstanceLine},
    cycle::{AdapterError, ordered},
};

/// Parameters of both routes.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct LogParams {
    #[serde(deserialize_with = "tail")]
    tail: u32,
    follow: bool,
}

impl Default for LogParams {
    fn default() -> Self {
        Self { tail: 100, follow: false }
    }
}

/// A number, or `all`.
fn tail<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match String::deserialize(from)?.as_str() {
        "all" => Ok(u32::MAX),
        text => text.parse().map_err(|_| de::Error::custom("`tail` is a number, or `all`")),
    }
}

/// `GET /api/v1/instances/{id}/logs`: newline-delimited JSON.
pub(super) async fn instance(
    State(app): State<App>,
    permit: Permit,
    Path(id): Path<String>,
    Params(params): Params<LogParams>,
) -> Result<Response, Failure> {
    let id: InstanceId = id.parse().map_err(|_| Failure::not_found("there is no such instance"))?;
    answer(&app, permit, params, |seen| seen.instance() == id).await
}

/// `GET /api/v1/services/{name}/logs`: of all its instances, as lines come.
pub(super) async fn service(
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
        match app.plane.read_logs(&node, instance.clone(), tail, follow).await {
            Ok(batches) => {
                lines.push(batches.map(move |batch| written(&instance, batch)).boxed());
            }
            Err(error) if one => return Err(error.into()),
            // The others may still be read.
            Err(error) => {
                let end = LogBatch::end(reason(&error), error.to_string());
                lines.push(stream::iter([written(&instance, end)]).boxed());
            }
        }
    }
    Ok(ndjson(permit, lines))
}

fn reason(error: &AdapterError) -> LogEndReason {
    match error {
        AdapterError::Unreachable(_) => LogEndReason::Disconnected,
        AdapterError::Busy(_) => LogEndReason::Busy,
        _ => LogEndReason::Failed,
    }
}

/// A batch as lines of JSON, in one piece.
fn written(instance: &InstanceId, batch: LogBatch) -> Bytes {
    let mut text = Vec::with_capacity(batch.weight());
    let LogBatch { lines, position: _, end } = batch;
    let mut written = InstanceLine { instance: instance.clone(), line: LogLine::default() };
    for line in lines {
        written.line = line;
        put(&mut text, &written);
    }
    if let Some(end) = end {
        put(&mut text, &InstanceEnd { instance: instance.clone(), end });
    }
    text.into()
}

fn put<T: Serialize>(text: &mut Vec<u8>, value: &T) {
    // Neither these documents nor memory can refuse.
    let _ = serde_json::to_writer(&mut *text, value);
    text.push(b'\n');
}
