//! Routes that read what services print.
//!
//! Knows batches of lines and how they end. Refuses to read ahead of whoever asked: a batch is
//! taken when the one before was written to the client.

use std::collections::BTreeSet;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::Response,
};
use devnet_schema::{
    name::{InstanceId, NodeName},
    observed::ObservedInstance,
    wire::{LogBatch, LogEnd, LogEndReason, LogLine, REMARK},
};
use futures_util::stream::{self, SelectAll, StreamExt};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{App, extract::Params, permit::Permit, problem::Failure, stream::ndjson};
use crate::{
    api::{InstanceEnd, InstanceLine},
    cycle::{AdapterError, ordered},
};

/// Times of lines are told to this.
const MILLISECOND: SignedDuration = SignedDuration::from_millis(1);

/// Parameters of both routes.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct LogParams {
    #[serde(deserialize_with = "tail")]
    tail: u32,
    follow: bool,
    #[serde(deserialize_with = "moment")]
    since: Option<Timestamp>,
    #[serde(deserialize_with = "moment")]
    until: Option<Timestamp>,
    #[serde(deserialize_with = "moment")]
    before: Option<Timestamp>,
    q: String,
    stream: String,
    download: bool,
}

impl Default for LogParams {
    fn default() -> Self {
        Self {
            tail: 100,
            follow: false,
            since: None,
            until: None,
            before: None,
            q: String::new(),
            stream: String::new(),
            download: false,
        }
    }
}

/// A time, RFC 3339.
fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(from)?;
    let wrong = || de::Error::custom("a time is written like 2026-12-01T12:00:00Z");
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| wrong()) }
}

/// Which lines are asked for.
#[derive(Debug, Clone, Default)]
struct Wanted {
    since: Option<Timestamp>,
    /// Before this time.
    before: Option<Timestamp>,
    /// A part of the text, in small letters.
    text: String,
    stream: String,
}

impl Wanted {
    /// Remarks of devnet are always told; a line of no known time is of any time.
    fn admits(&self, line: &LogLine) -> bool {
        if line.stream == REMARK {
            return true;
        }
        let in_time = match line.at.parse::<Timestamp>() {
            Ok(at) => {
                self.since.is_none_or(|since| at >= since)
                    && self.before.is_none_or(|before| at < before)
            }
            Err(_) => true,
        };
        in_time
            && (self.stream.is_empty() || line.stream == self.stream)
            && (self.text.is_empty() || line.text.to_lowercase().contains(&self.text))
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
    let LogParams { tail, follow, since, until, before, q, stream, download } = params;
    // Until and with the last millisecond of it.
    let until = until.map(|until| until.checked_add(MILLISECOND).unwrap_or(until));
    let before = before.into_iter().chain(until).min();
    let wanted_lines = Wanted { since, before, text: q.to_lowercase(), stream };
    let form = if download { Form::Text } else { Form::Json };
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
                let wanted = wanted_lines.clone();
                let write = move |batch| written(&instance, batch, &wanted, form, one);
                lines.push(batches.map(write).boxed());
            }
            Err(error) if one => return Err(error.into()),
            // The others may still be read.
            Err(error) => {
                let end = LogBatch::end(reason(&error), error.to_string());
                let end = written(&instance, end, &wanted_lines, form, one);
                lines.push(stream::iter([end]).boxed());
            }
        }
    }
    let mut response = ndjson(permit, lines);
    if download {
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, kind);
        let kept = HeaderValue::from_static("attachment; filename=\"devnet.log\"");
        headers.insert(header::CONTENT_DISPOSITION, kept);
    }
    Ok(response)
}

fn reason(error: &AdapterError) -> LogEndReason {
    match error {
        AdapterError::Unreachable(_) => LogEndReason::Disconnected,
        AdapterError::Busy(_) => LogEndReason::Busy,
        _ => LogEndReason::Failed,
    }
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One JSON document a line.
    Json,
    /// As a person keeps them: time, instance where there are several, text.
    Text,
}

/// What is wanted of a batch, as lines in one piece.
fn written(
    instance: &InstanceId,
    batch: LogBatch,
    wanted: &Wanted,
    form: Form,
    one: bool,
) -> Bytes {
    let mut text = Vec::with_capacity(batch.weight());
    let LogBatch { lines, position: _, end } = batch;
    let mut written = InstanceLine { instance: instance.clone(), line: LogLine::default() };
    for line in lines.into_iter().filter(|line| wanted.admits(line)) {
        if form == Form::Text {
            let LogLine { at, text: said, .. } = &line;
            let who = if one { String::new() } else { format!("{instance} ") };
            let blank = if at.is_empty() { "" } else { " " };
            text.extend_from_slice(format!("{at}{blank}{who}{said}\n").as_bytes());
            continue;
        }
        written.line = line;
        put(&mut text, &written);
    }
    match (end, form) {
        (Some(end), Form::Json) => {
            put(&mut text, &InstanceEnd { instance: instance.clone(), end });
        }
        (Some(LogEnd { reason, message }), Form::Text) if reason != LogEndReason::Complete => {
            let said = format!("-- {instance}: the log breaks off here: {message}\n");
            text.extend_from_slice(said.as_bytes());
        }
        _ => {}
    }
    text.into()
}

fn put<T: Serialize>(text: &mut Vec<u8>, value: &T) {
    // Neither these documents nor memory can refuse.
    let _ = serde_json::to_writer(&mut *text, value);
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: &str, stream: &str, text: &str) -> LogLine {
        LogLine { at: at.into(), stream: stream.into(), text: text.into(), ..LogLine::default() }
    }

    #[test]
    fn lines_are_found_by_time_stream_and_text() {
        let at = |second: u8| format!("2026-12-01T12:00:{second:02}.500Z");
        let lines = [
            line(&at(1), "stdout", "GET /a"),
            line(&at(2), "stderr", "failed"),
            line(&at(3), "stdout", "get /b"),
            line("", "stdout", "of no known time"),
            line(&at(9), "devnet", "lines were rotated away"),
        ];
        let found = |wanted: &Wanted| {
            let here = lines.iter().enumerate().filter(|(_, line)| wanted.admits(line));
            here.map(|(number, _)| number).collect::<Vec<_>>()
        };
        let time = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let all = Wanted::default();
        assert_eq!(found(&all), [0, 1, 2, 3, 4]);
        assert_eq!(found(&Wanted { text: "get".into(), ..all.clone() }), [0, 2, 4]);
        assert_eq!(found(&Wanted { stream: "stderr".into(), ..all.clone() }), [1, 4]);
        // Compared as times, whatever zone they are written in.
        let since = Wanted { since: time("2026-12-01T13:00:02.500+01:00"), ..all.clone() };
        assert_eq!(found(&since), [1, 2, 3, 4]);
        let before = Wanted { before: time("2026-12-01T12:00:02.500Z"), ..all };
        assert_eq!(found(&before), [0, 3, 4]);
    }

    #[test]
    fn a_log_to_keep_is_text_and_says_where_it_breaks_off() {
        let id: InstanceId = "web[1]".parse().unwrap();
        let end = LogEnd { reason: LogEndReason::Disconnected, message: "n1 is away".into() };
        let batch = LogBatch { end: Some(end), ..LogBatch::default() };
        let batch = LogBatch { lines: vec![line("12:00", "stdout", "hello")], ..batch };
        let text = written(&id, batch.clone(), &Wanted::default(), Form::Text, false);
        let expected = "12:00 web[1] hello\n-- web[1]: the log breaks off here: n1 is away\n";
        assert_eq!(text, expected.as_bytes());
        let json = written(&id, batch, &Wanted::default(), Form::Json, true);
        assert_eq!(json.iter().filter(|byte| **byte == b'\n').count(), 2);
    }
}
