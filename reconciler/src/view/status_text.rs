//! The status of a cluster as text.
//!
//! Knows tables. Refuses to hide what is unknown: it says so.

use devnet_schema::observed::{HealthState, InstanceState};

use jiff::Timestamp;

use super::{
    age::ago,
    list_text,
    style::{Style, printable},
};
use crate::api::{DeploymentState, SourceStatus, detail::DetailedStatus};

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
        let at = deployment.ended_at.unwrap_or(deployment.started_at);
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
    out.push_str(&list_text::plain_nodes(&status.nodes, now).text());
    out.push('\n');
    out.push_str(&list_text::instances(&status.services, now).text());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["A", "LONG"], ["value", "x"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "A      LONG\nvalue  x\n");
    }
}
