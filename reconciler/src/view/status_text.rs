//! The status of a cluster as text.
//!
//! Knows tables. Refuses to hide what is unknown: it says so.

use devnet_schema::{
    fleet::NodeStatus,
    observed::{HealthState, InstanceState},
};

use super::style::{Style, printable};
use crate::api::{DeploymentState, InstanceRow, NodeRow, ServiceRow, SourceStatus, Status};

/// Rows as columns that line up, the first row being the heads.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            format!("{}\n", cells.join("  ").trim_end())
        })
        .collect()
}

/// Everything `devnet status` prints.
pub fn status(status: &Status, style: Style) -> String {
    let cluster = status.cluster.as_deref().unwrap_or("(no configuration yet)");
    let mut out = format!("{}\n", style.bold(&format!("Cluster {cluster}")));
    if let Some(source) = &status.source {
        out.push_str(&self::source(source, style));
    }
    if let Some(deployment) = &status.deployment {
        let word = ending(deployment.state);
        out.push_str(&format!("Deployment {} {word}\n", deployment.id));
        for error in &deployment.errors {
            out.push_str(&format!("  {}\n", style.red(&printable(error))));
        }
    }
    for problem in &status.problems {
        out.push_str(&format!("{}\n", style.red(&printable(problem))));
    }
    out.push('\n');
    out.push_str(&nodes(&status.nodes));
    out.push('\n');
    out.push_str(&instances(&status.services));
    out
}

/// How far a deployment is, as a clause about it.
pub fn ending(state: DeploymentState) -> &'static str {
    match state {
        DeploymentState::Running => "is running",
        DeploymentState::Succeeded => "succeeded",
        DeploymentState::Incomplete => "is done, and not all of it is there",
        DeploymentState::Failed => "failed",
        DeploymentState::Cancelled => "was cancelled",
        DeploymentState::Interrupted => "was interrupted",
    }
}

fn source(source: &SourceStatus, style: Style) -> String {
    let short = |id: &Option<String>| {
        id.as_deref().map_or("nothing".to_owned(), |id| id.chars().take(12).collect())
    };
    let mut out = format!(
        "Follows {} ({}): seen {}, applied {}\n",
        printable(&source.location),
        printable(&source.branch),
        short(&source.seen),
        short(&source.applied)
    );
    if let Some(problem) = &source.problem {
        out.push_str(&format!("  {}\n", style.red(&printable(problem))));
    }
    for diagnostic in &source.diagnostics {
        out.push_str(&format!("  {}\n", printable(&diagnostic.to_string())));
    }
    out
}

/// The nodes.
pub fn nodes(nodes: &[NodeRow]) -> String {
    let mut rows = vec![heads(&["NODE", "STATUS", "ADDRESS", "INSTANCES", "LAST SEEN"])];
    let mut problems = String::new();
    for NodeRow { name, status, ip, instances, last_seen, problem, cordoned } in nodes {
        let status = match status {
            NodeStatus::Online => "online",
            NodeStatus::Offline => "offline",
            NodeStatus::Lost => "lost",
        };
        let cordoned = if *cordoned { ", cordoned" } else { "" };
        rows.push(vec![
            name.to_string(),
            format!("{status}{cordoned}"),
            printable(ip),
            instances.to_string(),
            last_seen.clone(),
        ]);
        if let Some(problem) = problem {
            problems.push_str(&format!("  {name}: {}\n", printable(problem)));
        }
    }
    table(&rows) + &problems
}

/// The services.
pub fn services(services: &[ServiceRow]) -> String {
    let mut rows = vec![heads(&["SERVICE", "HEALTHY", "WANTED"])];
    for ServiceRow { name, desired, healthy, instances: _ } in services {
        rows.push(vec![name.to_string(), healthy.to_string(), desired.to_string()]);
    }
    table(&rows)
}

/// The instances of all services.
pub fn instances(services: &[ServiceRow]) -> String {
    let mut rows = vec![heads(&["INSTANCE", "NODE", "STATE", "HEALTH", "ADDRESS", "NOTE"])];
    for row in services.iter().flat_map(|service| &service.instances) {
        let InstanceRow { id, node, state, health, address, message, stranger } = row;
        let note = match stranger {
            true => format!("nobody ordered it here: `devnet node adopt {node}`"),
            false => message.as_deref().map(printable).unwrap_or_default(),
        };
        let state = match state {
            InstanceState::Running => "running",
            InstanceState::Starting => "starting",
            InstanceState::Exited => "exited",
            InstanceState::Completed => "completed",
            InstanceState::Scheduled => "scheduled",
            InstanceState::Unknown => "unknown",
        };
        let health = match health {
            HealthState::Healthy => "healthy",
            HealthState::Unhealthy => "unhealthy",
            HealthState::Starting => "starting",
            HealthState::Unknown => "unknown",
        };
        rows.push(vec![
            id.to_string(),
            node.to_string(),
            state.to_owned(),
            health.to_owned(),
            address.clone().unwrap_or_default(),
            note,
        ]);
    }
    table(&rows)
}

fn heads(heads: &[&str]) -> Vec<String> {
    heads.iter().map(|head| (*head).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cordon_and_what_nobody_ordered_are_shown() {
        let node = NodeRow {
            name: "n1".parse().unwrap(),
            status: NodeStatus::Online,
            ip: "10.0.0.1".to_owned(),
            instances: 1,
            last_seen: "now".to_owned(),
            problem: None,
            cordoned: true,
        };
        let text = nodes(&[NodeRow { cordoned: false, ..node.clone() }, node]);
        let status: Vec<&str> = text.lines().map(|line| line[6..22].trim()).collect();
        assert_eq!(status, ["STATUS", "online", "online, cordoned"], "{text}");
        let row = InstanceRow {
            id: "store[0]".parse().unwrap(),
            node: "b".parse().unwrap(),
            state: InstanceState::Running,
            health: HealthState::Healthy,
            address: None,
            message: Some("what its node says".to_owned()),
            stranger: true,
        };
        let name = "store".parse().unwrap();
        let service = ServiceRow { name, desired: 1, healthy: 0, instances: vec![row] };
        let text = instances(&[service]);
        assert!(text.ends_with("nobody ordered it here: `devnet node adopt b`\n"), "{text}");
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![heads(&["A", "LONG"]), heads(&["value", "x"])];
        assert_eq!(table(&rows), "A      LONG\nvalue  x\n");
    }
}
