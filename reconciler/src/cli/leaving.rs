//! `devnet node drain` and the first half of `leave`: a node gives up what can move.
//!
//! Knows how to wait for that and what to say of what stays. Refuses to move anything itself: the
//! control plane plans it, like everything else.

use std::{
    thread,
    time::{Duration, Instant},
};

use devnet_schema::{name::NodeName, quantity::Period};

use super::{client::Client, failure::CommandError, terminal::Terminal};
use crate::{
    api::{ServiceRow, Status},
    view::style::printable,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);
/// Between two notes about what is waited for.
const NOTE: Duration = Duration::from_secs(10);

/// Drains a node, and waits until nothing is left on it, where that is asked for.
pub(super) fn drain(
    name: &NodeName,
    wait: Option<Period>,
    client: &Client,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    client.order(&format!("/api/v1/nodes/{name}/drain"), "draining the node")?;
    let Some(wait) = wait else {
        let status: Status = client.get("/api/v1/status", "asking what is on the node")?;
        let next = match &status.source {
            Some(_) => "the control plane moves what can move",
            None => "`devnet apply` moves what can move",
        };
        terminal.out(&format!(
            "{name} takes no new instances; {next}. `devnet node uncordon {name}` ends that.\n"
        ));
        return Ok(());
    };
    empty(name, wait, client, terminal)?;
    terminal.out(&format!("{name} takes no new instances, and nothing is left on it\n"));
    Ok(())
}

fn empty(
    name: &NodeName,
    wait: Period,
    client: &Client,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    let limit: Duration = wait.into();
    let (begun, mut noted) = (Instant::now(), Duration::ZERO);
    loop {
        let status: Status = client.get("/api/v1/status", "asking what is on the node")?;
        let left = left(name, &status.services);
        if left.is_empty() {
            return Ok(());
        }
        let passed = begun.elapsed();
        if passed >= limit {
            let what = format!("something is still on {name} after {wait}; it stays drained");
            let failure = left.into_iter().fold(CommandError::usage(what), CommandError::hint);
            let failure = match status.source {
                Some(_) => failure,
                None => failure.hint("`devnet apply` moves what can move: nothing is followed."),
            };
            return Err(failure.hint(format!(
                "`devnet plan` says what keeps it there; `devnet node uncordon {name}` ends the \
                 drain, `devnet node rm {name}` takes the node out with what is on it."
            )));
        }
        if passed >= noted + NOTE {
            noted = passed;
            let seconds = passed.as_secs();
            terminal.note(&format!("Still waiting ({seconds}s): {}\n", left.join("; ")));
        }
        thread::sleep(PAUSE.min(limit.saturating_sub(passed)));
    }
}

/// What is on the node, with the reason where one is known.
fn left(name: &NodeName, services: &[ServiceRow]) -> Vec<String> {
    let here = services.iter().flat_map(|row| &row.instances).filter(|it| it.node == *name);
    let told = |it: &crate::api::InstanceRow| match (it.stranger, &it.outdated) {
        (true, _) => format!("{}: nobody ordered it there", it.id),
        (false, Some(why)) => format!("{}: {}", it.id, printable(why)),
        (false, None) => it.id.to_string(),
    };
    here.map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_on_a_node_is_told_with_its_reason() {
        let row = |id: &str, node: &str, outdated: Option<&str>, stranger: bool| {
            serde_json::json!({
                "id": id, "node": node, "state": "running", "health": "healthy",
                "address": null, "message": null, "outdated": outdated, "stranger": stranger,
            })
        };
        let services: Vec<ServiceRow> = serde_json::from_value(serde_json::json!([{
            "name": "db", "desired": 2, "healthy": 2, "instances": [
                row("db[0]", "n1", Some("its data cannot follow it"), false),
                row("db[1]", "n2", None, false), row("db[2]", "n1", None, true),
            ],
        }]))
        .unwrap();
        assert_eq!(
            left(&"n1".parse().unwrap(), &services),
            ["db[0]: its data cannot follow it", "db[2]: nobody ordered it there"]
        );
        assert!(left(&"n3".parse().unwrap(), &services).is_empty());
    }
}
