//! The status of a cluster as text.
//!
//! Knows tables. Refuses to hide what is unknown: it says so.

use devnet_schema::{
    fleet::NodeStatus,
    observed::{HealthState, InstanceState},
};

use jiff::Timestamp;

use super::{
    age::{ago, until},
    style::{Style, printable},
};
use crate::api::{
    DeploymentState, InstanceRow, NodeRow, ServiceRow, SourceStatus, WaitingRow,
    detail::DetailedStatus,
};

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
pub fn status(status: &DetailedStatus, style: Style, now: Timestamp) -> String {
    let DetailedStatus { status, held, following, warnings, .. } = status;
    let cluster = status.cluster.as_deref().unwrap_or("(no configuration yet)");
    let mut out = format!("{}\n", style.bold(&format!("Cluster {cluster}")));
    if let Some(source) = &status.source {
        out.push_str(&self::source(source, style));
    }
    if let Some(deployment) = &status.deployment {
        let word = ending(deployment.state);
        let at = deployment.ended_at.as_ref().unwrap_or(&deployment.started_at);
        out.push_str(&format!("Deployment {} {word}, {}\n", deployment.id, ago(at, now)));
        for error in &deployment.errors {
            out.push_str(&format!("  {}\n", style.red(&printable(error))));
        }
    }
    for problem in &status.problems {
        out.push_str(&format!("{}\n", style.red(&printable(problem))));
    }
    if following.state == "waiting" {
        out.push_str("Agents are waited for after a start: nothing is planned before\n");
    }
    // The source says it, too, where the loop follows one.
    let told = status.source.as_ref().and_then(|source| source.problem.as_ref());
    if let Some(held) = held.as_ref().filter(|held| told != Some(*held)) {
        out.push_str(&format!("Held: {}\n", printable(held)));
    }
    for warning in warnings {
        out.push_str(&format!("{}\n", style.yellow(&printable(&warning.to_string()))));
    }
    out.push('\n');
    out.push_str(&nodes(&status.nodes, now));
    out.push('\n');
    out.push_str(&instances(&status.services, now));
    let undeclared: Vec<&str> =
        status.services.iter().filter(|it| it.undeclared).map(|it| it.name.as_str()).collect();
    if !undeclared.is_empty() {
        out.push_str(&format!(
            "\nNot declared, and still there: {}. `devnet plan` says what would become of that.\n",
            undeclared.join(", ")
        ));
    }
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
pub fn nodes(nodes: &[NodeRow], now: Timestamp) -> String {
    let mut rows = vec![heads(&["NODE", "STATUS", "ADDRESS", "INSTANCES", "LAST SEEN"])];
    let mut remarks = String::new();
    for row in nodes {
        let NodeRow { name, ip, instances, last_seen, problem, drained, .. } = row;
        rows.push(vec![
            name.to_string(),
            node_state(row),
            printable(ip),
            instances.to_string(),
            ago(last_seen, now),
        ]);
        if *drained && *instances > 0 {
            let still = if *instances == 1 { "instance is" } else { "instances are" };
            remarks.push_str(&format!(
                "  {name}: it is drained, and {instances} {still} still there: see below, or \
                 `devnet plan`\n"
            ));
        }
        if let Some(problem) = problem {
            remarks.push_str(&format!("  {name}: {}\n", printable(problem)));
        }
    }
    table(&rows) + &remarks
}

/// How a node is, in a few words.
fn node_state(node: &NodeRow) -> String {
    let status = match node.status {
        _ if node.never_connected => "joined",
        NodeStatus::Online => "online",
        NodeStatus::Offline => "offline",
        NodeStatus::Lost => "lost",
    };
    let word = match (node.drained, node.cordoned || node.shut) {
        (true, _) => ", drained",
        (false, true) => ", cordoned",
        (false, false) => "",
    };
    format!("{status}{word}")
}

/// The services.
pub fn services(services: &[ServiceRow], now: Timestamp) -> String {
    let mut rows = vec![heads(&["SERVICE", "HEALTHY", "WANTED", "NOTE"])];
    for service in services {
        let note = service_note(service, now);
        rows.push(vec![
            service.name.to_string(),
            service.healthy.to_string(),
            service.desired.to_string(),
            note,
        ]);
    }
    table(&rows)
}

/// What is worth saying of a service: the first thing that waits, and how many more do.
fn service_note(service: &ServiceRow, now: Timestamp) -> String {
    if service.undeclared {
        return "not declared, and still there".to_owned();
    }
    let there = service.instances.iter().filter_map(|row| row.waiting.as_ref());
    let mut all = service.waiting.iter().chain(there);
    let Some(first) = all.next() else { return String::new() };
    let more = match all.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    format!("{}: {}{more}", first.instance, waits(first, now))
}

/// What an instance waits for, and when it is tried again.
pub fn waits(waiting: &WaitingRow, now: Timestamp) -> String {
    let WaitingRow { reason, tries, of, next_try, .. } = waiting;
    let mut text = printable(reason);
    match (tries, of) {
        (Some(tries), Some(of)) => text.push_str(&format!("; failed {tries} of {of} times")),
        (Some(tries), None) => text.push_str(&format!("; failed {tries} times")),
        (None, _) => {}
    }
    if let Some(next) = next_try {
        text.push_str(&format!("; next try {}", until(next, now)));
    }
    text
}

/// The instances of all services, those that are not there among them.
pub fn instances(services: &[ServiceRow], now: Timestamp) -> String {
    let mut rows = vec![heads(&["INSTANCE", "NODE", "STATE", "HEALTH", "ADDRESS", "NOTE"])];
    for service in services {
        rows.extend(service.instances.iter().map(|row| instance(row, now)));
        rows.extend(service.waiting.iter().map(|waiting| {
            let node = waiting.node.as_ref().map_or("-".to_owned(), ToString::to_string);
            let dash = || "-".to_owned();
            let id = waiting.instance.to_string();
            vec![id, node, "waiting".to_owned(), dash(), dash(), waits(waiting, now)]
        }));
    }
    table(&rows)
}

fn instance(row: &InstanceRow, now: Timestamp) -> Vec<String> {
    let InstanceRow { id, node, state, health, address, message, stranger, waiting, .. } = row;
    let note = match (stranger, waiting) {
        (true, _) => format!("nobody ordered it here: `devnet node adopt {node}`"),
        (false, Some(waiting)) => waits(waiting, now),
        (false, None) => message.as_deref().map(printable).unwrap_or_default(),
    };
    vec![
        id.to_string(),
        node.to_string(),
        state_word(*state).to_owned(),
        health_word(*health).to_owned(),
        address.clone().unwrap_or_default(),
        note,
    ]
}

/// The word for a state, as in JSON.
pub fn state_word(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Running => "running",
        InstanceState::Starting => "starting",
        InstanceState::Exited => "exited",
        InstanceState::Completed => "completed",
        InstanceState::Scheduled => "scheduled",
        InstanceState::Unknown => "unknown",
    }
}

/// The word for a health, as in JSON.
pub fn health_word(health: HealthState) -> &'static str {
    match health {
        HealthState::Healthy => "healthy",
        HealthState::Unhealthy => "unhealthy",
        HealthState::Starting => "starting",
        HealthState::Unknown => "unknown",
    }
}

fn heads(heads: &[&str]) -> Vec<String> {
    heads.iter().map(|head| (*head).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:01:00Z".parse().unwrap()
    }

    fn node(name: &str) -> NodeRow {
        NodeRow {
            name: name.parse().unwrap(),
            status: NodeStatus::Online,
            ip: "10.0.0.1".to_owned(),
            instances: 2,
            last_seen: "2026-01-01T00:00:30Z".to_owned(),
            problem: None,
            cordoned: false,
            drained: false,
            shut: false,
            joined_at: None,
            never_connected: false,
        }
    }

    fn there(id: &str, waiting: Option<WaitingRow>) -> InstanceRow {
        InstanceRow {
            id: id.parse().unwrap(),
            node: "b".parse().unwrap(),
            state: InstanceState::Running,
            health: HealthState::Healthy,
            address: None,
            message: Some("what its node says".to_owned()),
            stranger: false,
            outdated: None,
            waiting,
        }
    }

    fn waiting(id: &str, tries: Option<u32>) -> WaitingRow {
        WaitingRow {
            instance: id.parse().unwrap(),
            node: None,
            reason: "no node has room".to_owned(),
            tries,
            of: tries.map(|_| 5),
            next_try: tries.map(|_| "2026-01-01T00:01:20Z".to_owned()),
        }
    }

    fn service(instances: Vec<InstanceRow>, waiting: Vec<WaitingRow>) -> ServiceRow {
        let name = "store".parse().unwrap();
        ServiceRow { name, desired: 3, healthy: 1, instances, waiting, undeclared: false }
    }

    #[test]
    fn what_is_said_of_a_node_is_shown_and_what_stays_on_one_that_is_drained() {
        let all = [
            node("n1"),
            NodeRow { cordoned: true, ..node("n2") },
            NodeRow { shut: true, ..node("n3") },
            NodeRow { drained: true, shut: true, ..node("n4") },
            NodeRow {
                never_connected: true,
                last_seen: String::new(),
                status: NodeStatus::Offline,
                problem: Some("it joined".to_owned()),
                ..node("n5")
            },
        ];
        let text = nodes(&all, now());
        let column = |from: usize, to: usize| -> Vec<&str> {
            text.lines().take(6).map(|line| line[from..to.min(line.len())].trim()).collect()
        };
        let status = [
            "STATUS",
            "online",
            "online, cordoned",
            "online, cordoned",
            "online, drained",
            "joined",
        ];
        assert_eq!(column(6, 22), status, "{text}");
        assert_eq!(
            column(45, 60),
            ["LAST SEEN", "30s ago", "30s ago", "30s ago", "30s ago", "never"]
        );
        assert!(text.contains("n4: it is drained, and 2 instances are still there"), "{text}");
        assert!(text.ends_with("  n5: it joined\n"), "{text}");
    }

    #[test]
    fn what_should_run_and_does_not_has_a_row_with_its_reason_and_its_next_try() {
        let stranger = InstanceRow { stranger: true, ..there("store[0]", None) };
        let text = instances(&[service(vec![stranger], Vec::new())], now());
        assert!(text.ends_with("nobody ordered it here: `devnet node adopt b`\n"), "{text}");
        let old = there("store[0]", Some(waiting("store[0]", Some(3))));
        let store = service(vec![old], vec![waiting("store[1]", None)]);
        let text = instances(std::slice::from_ref(&store), now());
        let lines: Vec<&str> = text.lines().collect();
        let failed = "no node has room; failed 3 of 5 times; next try in 20s";
        assert!(lines[1].starts_with("store[0]  b ") && lines[1].ends_with(failed), "{text}");
        assert!(lines[2].starts_with("store[1]  -     waiting"), "{text}");
        let text = services(&[store], now());
        assert!(text.contains("store[1]: no node has room (and 1 more)"), "{text}");
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![heads(&["A", "LONG"]), heads(&["value", "x"])];
        assert_eq!(table(&rows), "A      LONG\nvalue  x\n");
    }
}
