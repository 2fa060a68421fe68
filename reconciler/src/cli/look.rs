//! `devnet status`, `get`, `logs` and `fleet snapshot`: looking, without changing anything.
//!
//! Knows lists and logs. Refuses to guess: what the control plane does not know is shown as
//! unknown.

use devnet_schema::{fleet::FleetSnapshot, name::InstanceId, wire::LogLine};
use serde_json::json;

use super::{
    arguments::{self, Cli, FleetCommand, Kind},
    client::Client,
    failure::CommandError,
    terminal::Terminal,
};
use crate::{
    api::{Deployment, Event, ServiceRow, Status},
    config::Environment,
    view::{status_text, style::printable},
};

/// `devnet status`.
pub fn status(
    args: &arguments::Output,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let status: Status = Client::new(cli, env)?.get("/api/v1/status", "asking for the status")?;
    if args.json {
        terminal.out(&format!("{}\n", json!(status)));
    } else {
        terminal.out(&status_text::status(&status, terminal.style));
    }
    Ok(0)
}

/// `devnet get KIND`.
pub fn get(
    args: &arguments::Get,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    let (document, text) = match args.kind {
        Kind::Nodes => {
            let rows = client.list("/api/v1/nodes", "listing nodes")?;
            (json!(rows), status_text::nodes(&rows))
        }
        Kind::Services => {
            let rows: Vec<ServiceRow> = client.list("/api/v1/services", "listing services")?;
            (json!(rows), status_text::services(&rows))
        }
        Kind::Instances => {
            let rows: Vec<ServiceRow> = client.list("/api/v1/services", "listing instances")?;
            let all: Vec<_> = rows.iter().flat_map(|service| &service.instances).collect();
            (json!(all), status_text::instances(&rows))
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

/// `devnet logs SERVICE|INSTANCE`.
pub fn logs(
    args: &arguments::Logs,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    let instances = subjects(&args.subject, &client)?;
    if args.follow && instances.len() > 1 {
        return Err(CommandError::usage(format!(
            "{} has {} instances: follow one of them",
            args.subject,
            instances.len()
        ))
        .hint(format!("For example: devnet logs -f {}", instances[0])));
    }
    for instance in &instances {
        let prefix = if instances.len() > 1 { format!("{instance} | ") } else { String::new() };
        let path = format!(
            "/api/v1/instances/{}/logs?tail={}&follow={}",
            instance.slug(),
            args.tail,
            args.follow
        );
        client.stream(&path, "reading the log", |line: LogLine| {
            let at = if args.timestamps { format!("{} ", line.at) } else { String::new() };
            terminal.out(&format!("{prefix}{at}{}\n", printable(&line.text)));
            true
        })?;
    }
    Ok(0)
}

/// The instances that a word names: one, or all of a service.
fn subjects(subject: &str, client: &Client) -> Result<Vec<InstanceId>, CommandError> {
    if subject.ends_with(']') {
        let id = subject.parse().map_err(|error: devnet_schema::name::InstanceIdError| {
            CommandError::usage(error.to_string())
        })?;
        return Ok(vec![id]);
    }
    let name = subject.strip_prefix("service.").unwrap_or(subject);
    let services: Vec<ServiceRow> = client.list("/api/v1/services", "listing services")?;
    let known = || {
        let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let service =
        services.iter().find(|service| service.name.as_str() == name).ok_or_else(|| {
            CommandError::usage(format!("there is no service `{}`", printable(name)))
                .hint(format!("Services: {}", known()))
        })?;
    if service.instances.is_empty() {
        return Err(CommandError::usage(format!("service {name} has no instance")));
    }
    Ok(service.instances.iter().map(|row| row.id.clone()).collect())
}

/// `devnet fleet snapshot`.
pub fn fleet(
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
