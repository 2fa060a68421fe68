//! `devnet deployment cancel`: cut a run of a plan short.
//!
//! Knows which one runs, and waits for its end. Refuses to decide what of it is finished: the
//! control plane does.

use super::{
    apply,
    arguments::{self, Cli, DeploymentCommand},
    client::Client,
    failure::CommandError,
    terminal::Terminal,
};
use crate::{
    api::{Deployment, DeploymentState, Status},
    config::Environment,
    view::{status_text, style::printable},
};

/// `devnet deployment cancel [ID]`.
pub(super) fn run(
    args: &arguments::Deployment,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    let DeploymentCommand::Cancel { id } = &args.command;
    let id = match id {
        Some(id) => id.clone(),
        None => running(&client)?,
    };
    let asked: Deployment =
        client.tell(&format!("/api/v1/deployments/{id}/cancel"), "cancelling the deployment")?;
    let ended = apply::follow(&asked.id, false, apply::RETRIES, &client, terminal)?;
    if ended.state == DeploymentState::Cancelled {
        terminal.out(&format!("Deployment {id} is cancelled.\n"));
        for error in &ended.errors {
            terminal.note(&format!("  {}\n", printable(error)));
        }
        return Ok(0);
    }
    let word = status_text::ending(ended.state);
    let failure = CommandError::usage(format!("deployment {id} {word} before it was cut short"));
    Err(ended.errors.into_iter().fold(failure, CommandError::hint))
}

/// The deployment that runs.
fn running(client: &Client) -> Result<String, CommandError> {
    let status: Status = client.get("/api/v1/status", "asking which deployment runs")?;
    let running = status.deployment.filter(|it| it.state == DeploymentState::Running);
    running.map(|deployment| deployment.id).ok_or_else(|| {
        CommandError::usage("no deployment is running")
            .hint("`devnet get deployments` lists those that have ended")
    })
}
