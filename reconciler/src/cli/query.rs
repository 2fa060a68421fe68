//! `devnet status`, `get` and `fleet snapshot`: looking, without changing anything.
//!
//! Knows lists. Refuses to guess: what the control plane does not know is shown as
//! unknown.

use devnet_schema::fleet::FleetSnapshot;
use serde_json::json;

use super::{
    arguments::{self, Cli, FleetCommand, Kind},
    client::Client,
    failure::CommandError,
    terminal::Terminal,
};
use crate::{
    api::{Deployment, Event, ServiceRow, detail::DetailedStatus},
    clock,
    config::Environment,
    view::{status_text, style::printable},
};

/// `devnet status`.
pub(super) fn status(
    args: &arguments::Output,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let status: DetailedStatus =
        Client::new(cli, env)?.get("/api/v1/status", "asking for the status")?;
    if args.json {
        terminal.out(&format!("{}\n", json!(status)));
    } else {
        terminal.out(&status_text::status(&status, terminal.style, clock::now()));
    }
    Ok(0)
}

/// `devnet get KIND`.
pub(super) fn get(
    args: &arguments::Get,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let (client, now) = (Client::new(cli, env)?, clock::now());
    let (document, text) = match args.kind {
        Kind::Nodes => {
            let rows = client.list("/api/v1/nodes", "listing nodes")?;
            (json!(rows), status_text::nodes(&rows, now))
        }
        Kind::Services => {
            let rows: Vec<ServiceRow> = client.list("/api/v1/services", "listing services")?;
            (json!(rows), status_text::services(&rows, now))
        }
        Kind::Instances => {
            let rows: Vec<ServiceRow> = client.list("/api/v1/services", "listing instances")?;
            let all: Vec<_> = rows.iter().flat_map(|service| &service.instances).collect();
            (json!(all), status_text::instances(&rows, now))
        }
        Kind::Deployments => {
            let rows: Vec<Deployment> =
                client.list("/api/v1/deployments", "listing deployments")?;
            (json!(rows), deployments(&rows))
        }
        Kind::Events => {
            let rows: Vec<Event> = client.list("/api/v1/events", "listing events")?;
            (json!(rows), events(&rows))
        }
    };
    terminal.out(&if args.output.json { format!("{document}\n") } else { text });
    Ok(0)
}

fn deployments(rows: &[Deployment]) -> String {
    let heads = ["DEPLOYMENT", "STATE", "REVISION", "BY", "STARTED"].map(str::to_owned).to_vec();
    let mut table = vec![heads];
    for row in rows {
        let state = format!("{:?}", row.state).to_lowercase();
        let revision = row.revision.chars().take(12).collect();
        let by = printable(&row.by);
        table.push(vec![row.id.clone(), state, revision, by, row.started_at.clone()]);
    }
    status_text::table(&table)
}

fn events(rows: &[Event]) -> String {
    rows.iter()
        .map(|event| {
            let Event { seq: _, at, kind, subject, message } = event;
            format!("{at}  {kind:8}  {}  {}\n", printable(subject), printable(message))
        })
        .collect()
}

/// `devnet fleet snapshot`.
pub(super) fn fleet(
    args: &arguments::Fleet,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let FleetCommand::Snapshot = args.command;
    let snapshot: FleetSnapshot =
        Client::new(cli, env)?.get("/api/v1/fleet", "asking for the fleet")?;
    let text = serde_json::to_string_pretty(&snapshot)
        .map_err(|error| CommandError::from(anyhow::Error::from(error)))?;
    terminal.out(&format!("{text}\n"));
    Ok(0)
}
