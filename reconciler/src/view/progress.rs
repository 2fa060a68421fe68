//! What an apply is doing, a line at a time.
//!
//! Knows sentences. Refuses to know how lines arrive.

use devnet_schema::step::StepState;

use super::style::{Style, printable};
use crate::api::DeploymentLine;

/// `service.db[0]: start on atlas: pulling postgres:16`; nothing for the end of a deployment.
pub fn line(entry: &DeploymentLine, style: Style) -> Option<String> {
    let DeploymentLine::Step { at: _, instance, node, report } = entry else {
        return None;
    };
    let act = report.step.rsplit_once('/').map_or(report.step.as_str(), |(_, act)| act);
    let head = style.bold(&format!("{}: {act} on {node}", instance.address()));
    Some(match &report.state {
        StepState::Running { message } if message.is_empty() => format!("{head}..."),
        StepState::Running { message } => format!("{head}: {}", printable(message)),
        StepState::Succeeded { message } if message.is_empty() => format!("{head}: done"),
        StepState::Succeeded { message } => format!("{head}: done, {}", printable(message)),
        StepState::Failed { error } => {
            format!("{head}: {}", style.red(&format!("failed: {}", printable(error))))
        }
    })
}
