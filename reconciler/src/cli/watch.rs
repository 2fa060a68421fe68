//! `devnet watch`: what the control plane does, as it does it: events, plans, steps.
//!
//! Knows how events become lines. Refuses to cause any.

use std::collections::BTreeSet;

use devnet_schema::plan::Plan;

use super::{apply, arguments::Cli, client::Client, failure::CommandError, terminal::Terminal};
use crate::{
    api::{Deployment, DeploymentState, Event},
    config::Environment,
    view::{plan_text, status_text, style::printable},
};

/// `devnet watch`.
pub(super) fn run(cli: &Cli, env: &Environment, terminal: &Terminal) -> Result<u8, CommandError> {
    follow(&Client::new(cli, env)?, apply::RETRIES, terminal)?;
    Ok(0)
}

/// Prints what happens until the control plane ends the stream.
///
/// # Errors
/// When it cannot be reached.
pub(super) fn follow(
    client: &Client,
    retries: u32,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    let mut shown = BTreeSet::new();
    client.stream("/api/v1/events?follow=true", "following events", |event: Event| {
        if event.kind != "apply" {
            let Event { seq: _, at, kind, subject, message } = event;
            // Other messages say by themselves what they are about.
            let about = if kind == "instance" { format!(" {subject}") } else { String::new() };
            terminal.note(&format!("{at} {kind}{about}: {}\n", printable(&message)));
        } else if shown.insert(event.subject.clone())
            && let Err(failure) = deployment(&event.subject, retries, client, terminal)
        {
            terminal.error(&failure);
        }
        true
    })
}

/// A deployment from its plan to its end.
fn deployment(
    id: &str,
    retries: u32,
    client: &Client,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    let started: Deployment =
        client.get(&format!("/api/v1/deployments/{id}"), "reading the deployment")?;
    if let Ok(plan) = client.get::<Plan>(&format!("/api/v1/plans/{}", started.plan), "the plan") {
        terminal.out(&format!("\n{}\n", plan_text::plan(&plan, terminal.style)));
    }
    let ended = apply::follow(id, false, retries, client, terminal)?;
    match ended.state {
        DeploymentState::Succeeded => {
            terminal.out(&format!("\n{}\n\n", plan_text::applied(&ended.summary)));
        }
        _ => {
            terminal.note(&format!("\nThe apply {}:\n", status_text::ending(ended.state)));
            for error in &ended.errors {
                terminal.note(&format!("  {}\n", printable(error)));
            }
        }
    }
    Ok(())
}
