//! `devnet suspend` and `resume`: whether the control plane looks after a service by itself.
//!
//! Knows what to say of it. Refuses to decide anything.

use super::{
    arguments::{self, Cli},
    client::Client,
    failure::CommandError,
    terminal::Terminal,
};
use crate::{
    api::{Suspension, SuspensionRequest},
    config::Environment,
};

/// `devnet suspend [SERVICE]`.
pub(super) fn suspend(
    args: &arguments::Suspend,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let arguments::Suspend { service, r#for, reason } = args;
    let request =
        SuspensionRequest { service: service.clone(), r#for: *r#for, reason: reason.clone() };
    let client = Client::new(cli, env)?;
    let made: Suspension = client.post("/api/v1/suspensions", &request, "suspending it")?;
    let (what, again) = match service {
        Some(service) => (format!("service.{service}"), format!("devnet resume {service}")),
        None => ("Everything".to_owned(), "devnet resume".to_owned()),
    };
    let until = made.until.map_or(format!("`{again}`"), |until| format!("{until} or `{again}`"));
    terminal.out(&format!(
        "{what} stays as it is until {until}. A step that runs is finished; what is applied by \
         hand is applied all the same.\n"
    ));
    Ok(0)
}

/// `devnet resume [SERVICE]`.
pub(super) fn resume(
    args: &arguments::Resume,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    let of = args.service.as_ref().map(|name| format!("?service={name}")).unwrap_or_default();
    client.delete(&format!("/api/v1/suspensions{of}"), "resuming it")?;
    let what = args.service.as_ref().map_or("Everything".to_owned(), |it| format!("service.{it}"));
    terminal.out(&format!("{what} is looked after again.\n"));
    Ok(0)
}
