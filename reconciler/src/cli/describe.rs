//! `devnet describe KIND NAME`: everything that is known of one thing, and what happened to it
//! lately.
//!
//! Knows where the API tells it, and how a document becomes text for people. Refuses to leave
//! anything of it out.

use serde_json::Value;

use super::{
    arguments::{self, Cli, Described},
    client::Client,
    failure::CommandError,
    terminal::Terminal,
};
use crate::{
    api::{Event, Page},
    config::Environment,
    view::style::printable,
};

/// So many of the newest events are shown.
const EVENTS: u32 = 10;

/// `devnet describe KIND NAME`.
pub(super) fn run(
    args: &arguments::Describe,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let arguments::Describe { kind, name, output } = args;
    let client = Client::new(cli, env)?;
    let list = match kind {
        Described::Node => "nodes",
        Described::Service => "services",
        Described::Instance => "instances",
        Described::Deployment => "deployments",
    };
    let name = path_segment(name);
    let document: Value = client.get(&format!("/api/v1/{list}/{name}"), "asking for it")?;
    if output.json {
        terminal.out(&format!("{document}\n"));
        return Ok(0);
    }
    terminal.out(&text(&document, 0));
    let path = format!("/api/v1/events?limit={EVENTS}&subject={name}");
    let events: Page<Event> = client.get(&path, "asking for its events")?;
    if !events.items.is_empty() {
        terminal.out("\nEvents, the newest first:\n");
    }
    for Event { at, kind, subject, message, .. } in &events.items {
        let (subject, message) = (printable(subject), printable(message));
        terminal.out(&format!("  {at}  {kind:8}  {subject}  {message}\n"));
    }
    Ok(0)
}

/// A name as a part of an address: whatever is no letter, digit or one of `-_.` is encoded.
fn path_segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// A document as text: a field a line, what is within it further in; what is empty is left out.
fn text(document: &Value, depth: usize) -> String {
    let space = "  ".repeat(depth);
    match document {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !is_empty(value))
            .map(|(name, value)| match value {
                Value::Object(_) | Value::Array(_) => {
                    format!("{space}{}:\n{}", printable(name), text(value, depth + 1))
                }
                scalar => format!("{space}{}: {}\n", printable(name), word(scalar)),
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::Object(_) | Value::Array(_) => {
                    let inner = text(item, depth + 1);
                    format!("{space}- {}", inner.trim_start())
                }
                scalar => format!("{space}- {}\n", word(scalar)),
            })
            .collect(),
        scalar => format!("{space}{}\n", word(scalar)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn word(scalar: &Value) -> String {
    scalar.as_str().map_or_else(|| scalar.to_string(), printable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_told_field_by_field_and_what_is_empty_is_not() {
        let document = json!({
            "name": "web", "desired": 2, "at": null, "tags": [], "facts": {"gpus": []},
            "instances": [{"id": "web[0]", "said": "a\u{1b}[31mb"}, {"id": "web[1]"}],
            "ports": [80, 443],
        });
        let told = text(&document, 0);
        let lines: Vec<&str> = told.lines().collect();
        for line in ["desired: 2", "instances:", "name: web", "ports:", "  - 80", "  - 443"] {
            assert!(lines.contains(&line), "{line}: {told}");
        }
        assert!(
            told.contains("  - id: web[0]\n    said: a") && told.contains("\n  - id: web[1]\n")
        );
        assert!(!told.contains('\u{1b}') && !told.contains("tags") && !told.contains("facts"));
        assert_eq!(path_segment("web[0]/../x"), "web%5B0%5D%2F..%2Fx");
    }
}
