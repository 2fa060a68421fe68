//! `devnet status` and `fleet snapshot`: looking, without changing anything.
//!
//! Knows what is well. Refuses to guess: what the control plane does not know is shown as
//! unknown.

use devnet_schema::{fleet::FleetSnapshot, observed::InstanceState};
use serde_json::json;

use super::{
    arguments::{self, Cli, FleetCommand},
    client::Client,
    failure::CommandError,
    terminal::Terminal,
};
use crate::{
    api::{InstanceRow, ServiceRow, Status, detail::DetailedStatus},
    clock,
    config::Environment,
    view::status_text,
};

/// `devnet status`.
pub(super) fn status(
    args: &arguments::Status,
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
    Ok(if args.check { check(&status.status) } else { 0 })
}

/// How well everything is, as an exit code: 0 where all that is declared serves, 2 where something
/// does not, 3 where that is not known of something.
fn check(status: &Status) -> u8 {
    let unknown = |row: &InstanceRow| row.state == InstanceState::Unknown && !row.stranger;
    let is_unknown =
        |service: &ServiceRow| !service.undeclared && service.instances.iter().any(unknown);
    let lacks = |service: &ServiceRow| {
        let known = service.instances.iter().filter(|row| !unknown(row));
        let waits = known.filter(|row| row.waiting.is_some()).count() + service.waiting.len();
        let unknown = service.instances.iter().filter(|row| unknown(row)).count() as u32;
        waits > 0 || service.healthy.saturating_add(unknown) < service.desired
    };
    let behind = status
        .source
        .as_ref()
        .is_some_and(|source| source.problem.is_some() && !status.services.iter().any(is_unknown));
    if behind || status.services.iter().any(lacks) {
        2
    } else if status.services.iter().any(is_unknown) || status.cluster.is_none() {
        3
    } else {
        0
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(instances: serde_json::Value, waiting: serde_json::Value) -> u8 {
        let status = json!({
            "cluster": "lab", "source": null, "nodes": [], "deployment": null,
            "services": [{"name": "web", "desired": 2, "healthy": 1, "waiting": waiting,
                "instances": instances}],
        });
        check(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn what_is_unknown_is_told_from_what_does_not_serve() {
        let row = |id: &str, state: &str, waits: bool| {
            let mut row = json!({"id": id, "node": "n1", "state": state, "health": "healthy",
                "address": null, "message": null});
            if waits {
                row["waiting"] = json!({"instance": id, "reason": "n1 does not answer"});
            }
            row
        };
        let well = row("web[0]", "running", false);
        assert_eq!(judged(json!([well, row("web[1]", "unknown", true)]), json!([])), 3);
        let absent = json!([{"instance": "web[1]", "reason": "no node has room"}]);
        assert_eq!(judged(json!([well]), absent), 2);
        assert_eq!(judged(json!([well, row("web[1]", "running", true)]), json!([])), 2);
        assert_eq!(judged(json!([well, row("web[1]", "exited", false)]), json!([])), 2);
    }
}
