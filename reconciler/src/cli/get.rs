//! `devnet get KIND`: lists, in the form that a person or a program wants, once or as they change.
//!
//! Knows forms and what makes a row another one. Refuses to guess: JSON and YAML are what the
//! control plane says, with nothing taken out.

use std::collections::BTreeMap;

use anyhow::Context;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    arguments::{self, Cli, Kind, ListForm},
    client::Client,
    failure::CommandError,
    follow,
    terminal::Terminal,
};
use crate::{
    api::{Deployment, Event, InstanceRow, ServiceRow},
    clock,
    config::Environment,
    view::list_text::{self, List},
};

/// `devnet get KIND`.
pub(super) fn run(
    args: &arguments::Get,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    let form = if args.json { ListForm::Json } else { args.output };
    let rows = rows(args.kind, &client)?;
    terminal.out(&whole(args.kind, form, &rows)?);
    if args.watch {
        let (mut known, topic) = (keyed(args.kind, rows), topic(args.kind));
        follow::changes(&client, topic, terminal, || {
            let rows = self::rows(args.kind, &client)?;
            let now = keyed(args.kind, rows);
            let text = news(args.kind, form, &known, &now)?;
            known = now;
            Ok(terminal.try_out(&text).is_ok())
        })?;
    }
    Ok(0)
}

/// Where a list is, and the topic that says that it changed.
fn topic(kind: Kind) -> &'static str {
    match kind {
        Kind::Nodes => "nodes",
        Kind::Services => "services",
        Kind::Instances => "instances",
        Kind::Deployments => "deployments",
        Kind::Events => "events",
    }
}

/// The rows as the control plane gives them. Instances are those of services, and so are those that
/// are not there.
fn rows(kind: Kind, client: &Client) -> Result<Vec<Value>, CommandError> {
    let act = match kind {
        Kind::Nodes => "listing nodes",
        Kind::Services => "listing services",
        Kind::Instances => "listing instances",
        Kind::Deployments => "listing deployments",
        Kind::Events => "listing events",
    };
    let list = if kind == Kind::Instances { "services" } else { topic(kind) };
    client.list(&format!("/api/v1/{list}"), act)
}

/// A list in its form.
fn whole(kind: Kind, form: ListForm, rows: &[Value]) -> Result<String, CommandError> {
    Ok(match form {
        ListForm::Json => format!("{}\n", Value::from(documents(kind, rows.to_vec()))),
        ListForm::Yaml => {
            let documents = Value::from(documents(kind, rows.to_vec()));
            serde_yaml::to_string(&documents).context("writing the list as YAML")?
        }
        ListForm::Name => names(kind, rows)?,
        ListForm::Text => text(kind, false, rows, clock::now())?.text(),
        ListForm::Wide => text(kind, true, rows, clock::now())?.text(),
    })
}

/// What programs are given: of instances those that are there, and those that wait.
fn documents(kind: Kind, rows: Vec<Value>) -> Vec<Value> {
    if kind != Kind::Instances {
        return rows;
    }
    let of = |mut service: Value, field: &str| match service.get_mut(field).map(Value::take) {
        Some(Value::Array(all)) => all,
        _ => Vec::new(),
    };
    rows.into_iter().flat_map(|service| of(service, "instances")).collect()
}

fn typed<T: DeserializeOwned>(rows: &[Value]) -> Result<Vec<T>, CommandError> {
    let all: Result<_, _> = rows.iter().map(|row| T::deserialize(row)).collect();
    Ok(all.context("a row of the list is not what this version of devnet expects")?)
}

fn text(kind: Kind, wide: bool, rows: &[Value], now: Timestamp) -> Result<List, CommandError> {
    Ok(match kind {
        Kind::Nodes => list_text::nodes(&typed(rows)?, wide, now),
        Kind::Services => list_text::services(&typed(rows)?, wide, now),
        Kind::Instances => list_text::instances(&typed::<ServiceRow>(rows)?, now),
        Kind::Deployments => list_text::deployments(&typed::<Deployment>(rows)?, wide, now),
        Kind::Events => list_text::events(&typed::<Event>(rows)?, wide, now),
    })
}

/// A name a line, as other commands take them.
fn names(kind: Kind, rows: &[Value]) -> Result<String, CommandError> {
    let field = |name: &'static str| {
        move |row: &Value| match &row[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    };
    let all: Vec<String> = match kind {
        Kind::Nodes | Kind::Services => rows.iter().map(field("name")).collect(),
        Kind::Deployments => rows.iter().map(field("id")).collect(),
        Kind::Events => rows.iter().map(field("seq")).collect(),
        Kind::Instances => {
            let all: Vec<InstanceRow> = typed(&documents(kind, rows.to_vec()))?;
            all.into_iter().map(|row| row.id.to_string()).collect()
        }
    };
    Ok(all.into_iter().map(|name| format!("{name}\n")).collect())
}

/// Rows of services as one of each instance, of those that are there and of those that wait.
fn single(service: Value) -> Vec<Value> {
    let all = |field: &str| service[field].as_array().cloned().unwrap_or_default();
    let of = |there: &[Value], waiting: &[Value]| {
        let mut one = service.clone();
        (one["instances"], one["waiting"]) = (there.into(), waiting.into());
        // What the service has besides is no news of the instance.
        (one["desired"], one["healthy"]) = (0.into(), 0.into());
        one
    };
    let there = all("instances").into_iter().map(|it| of(&[it], &[]));
    let waiting = all("waiting").into_iter().map(|it| of(&[], &[it]));
    there.chain(waiting).collect()
}

/// Rows by what tells them apart.
fn keyed(kind: Kind, rows: Vec<Value>) -> BTreeMap<String, Value> {
    let rows = match kind {
        Kind::Instances => rows.into_iter().flat_map(single).collect(),
        _ => rows,
    };
    let key = |row: &Value| match kind {
        Kind::Nodes | Kind::Services => row["name"].to_string(),
        Kind::Instances => match row["instances"].get(0) {
            // One may be seen on two nodes.
            Some(there) => format!("{} on {}", there["id"], there["node"]),
            None => row["waiting"][0]["instance"].to_string(),
        },
        Kind::Deployments => row["id"].to_string(),
        Kind::Events => format!("{:>20}", row["seq"].to_string()),
    };
    rows.into_iter().map(|row| (key(&row), row)).collect()
}

/// The rows that are new or others than before, without heads. What went away is told in words,
/// where people read.
fn news(
    kind: Kind,
    form: ListForm,
    before: &BTreeMap<String, Value>,
    now: &BTreeMap<String, Value>,
) -> Result<String, CommandError> {
    let changed: Vec<Value> = now
        .iter()
        .filter(|(key, row)| before.get(*key) != Some(row))
        .map(|(_, row)| row.clone())
        .collect();
    let each = || documents(kind, changed.clone()).into_iter();
    Ok(match form {
        ListForm::Json => each().map(|row| format!("{row}\n")).collect(),
        ListForm::Yaml => {
            let one = |row: Value| {
                let text = serde_yaml::to_string(&row).context("writing a row as YAML")?;
                Ok::<_, CommandError>(format!("---\n{text}"))
            };
            each().map(one).collect::<Result<String, _>>()?
        }
        ListForm::Name => names(kind, &changed)?,
        ListForm::Text | ListForm::Wide => {
            let list = text(kind, form == ListForm::Wide, &changed, clock::now())?;
            let gone = before.keys().filter(|key| !now.contains_key(*key));
            let gone = gone.filter(|_| !matches!(kind, Kind::Deployments | Kind::Events));
            let gone: String =
                gone.map(|key| format!("{} is gone\n", key.replace('"', ""))).collect();
            list.rows_alone() + &gone
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(name: &str, healthy: u32) -> Value {
        json!({
            "name": name, "desired": 2, "healthy": healthy, "newer": "field",
            "instances": [{"id": format!("{name}[0]"), "node": "n1", "state": "running",
                "health": "healthy", "address": null, "message": null}],
            "waiting": [{"instance": format!("{name}[1]"), "reason": "no node has room"}],
        })
    }

    #[test]
    fn programs_get_what_the_control_plane_says_and_people_all_that_is_declared() {
        let rows = [service("web", 1)];
        let json = whole(Kind::Services, ListForm::Json, &rows).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), json!(rows));
        assert!(whole(Kind::Services, ListForm::Yaml, &rows).unwrap().contains("newer: field"));
        assert_eq!(whole(Kind::Services, ListForm::Name, &rows).unwrap(), "web\n");
        assert_eq!(whole(Kind::Instances, ListForm::Name, &rows).unwrap(), "web[0]\n");
        let text = whole(Kind::Instances, ListForm::Text, &rows).unwrap();
        assert!(text.contains("web[1]    -     waiting"), "{text}");
    }

    #[test]
    fn only_what_changed_is_told_again() {
        let before =
            keyed(Kind::Services, vec![service("api", 1), service("db", 0), service("web", 1)]);
        let now = keyed(Kind::Services, vec![service("api", 1), service("db", 1)]);
        let text = news(Kind::Services, ListForm::Text, &before, &now).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("db ") && lines[1] == "web is gone" && lines.len() == 2,
            "{text}"
        );
        let (before, now) = (vec![service("web", 1)], vec![service("web", 0)]);
        let (before, mut now) = (keyed(Kind::Instances, before), keyed(Kind::Instances, now));
        assert_eq!(news(Kind::Instances, ListForm::Text, &before, &now).unwrap(), "");
        now.remove("\"web[0]\" on \"n1\"");
        let text = news(Kind::Instances, ListForm::Text, &before, &now).unwrap();
        assert_eq!(text, "web[0] on n1 is gone\n");
        let before =
            keyed(Kind::Services, vec![service("api", 1), service("db", 0), service("web", 1)]);
        let now = keyed(Kind::Services, vec![service("api", 1), service("db", 1)]);
        let json = news(Kind::Services, ListForm::Json, &before, &now).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["name"], "db");
        assert_eq!(news(Kind::Services, ListForm::Text, &now, &now).unwrap(), "");
    }
}
