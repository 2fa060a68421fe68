//! `devnet watch`: what the control plane does, as it does it: events, plans, steps.
//!
//! Knows how events become lines. Refuses to cause any.

use std::collections::BTreeSet;

use devnet_schema::plan::Plan;

use super::{
    apply, arguments::Cli, client::Client, failure::CommandError, follow, terminal::Terminal,
};
use crate::{
    api::{Deployment, DeploymentState, Event},
    config::Environment,
    view::{plan_text, status_text, style::printable},
};

/// `devnet watch`.
pub(super) fn run(cli: &Cli, env: &Environment, terminal: &Terminal) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    let mut told = Told::default();
    follow::again(terminal, |connected| {
        told.follow(&client, apply::RETRIES, terminal, connected).map(|()| true)
    })?;
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
    Told::default().follow(client, retries, terminal, &mut || ())
}

/// What was told already, so that a stream that breaks goes on where it was.
#[derive(Default)]
struct Told {
    last: Option<u64>,
    deployments: BTreeSet<String>,
}

impl Told {
    fn follow(
        &mut self,
        client: &Client,
        retries: u32,
        terminal: &Terminal,
        opened: &mut dyn FnMut(),
    ) -> Result<(), CommandError> {
        let after = self.last.map(|last| format!("&after={last}")).unwrap_or_default();
        let path = format!("/api/v1/events?follow=true{after}");
        client.stream_in_groups(&path, "following events", opened, |event: Option<Event>| {
            if let Some(event) = event {
                self.tell(event, client, retries, terminal);
            }
            true
        })
    }

    fn tell(&mut self, event: Event, client: &Client, retries: u32, terminal: &Terminal) {
        self.last = Some(event.seq);
        if event.kind != "apply" {
            let Event { seq: _, at, kind, subject, message } = event;
            // Other messages say by themselves what they are about.
            let about = if kind == "instance" { format!(" {subject}") } else { String::new() };
            terminal.note(&format!("{at} {kind}{about}: {}\n", printable(&message)));
        } else if self.deployments.insert(event.subject.clone())
            && let Err(failure) = deployment(&event.subject, retries, client, terminal)
        {
            terminal.error(&failure);
        }
    }
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
