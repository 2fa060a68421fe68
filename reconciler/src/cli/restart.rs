//! `devnet restart`: run again what runs, as it is declared.
//!
//! Knows that this is a plan like any other, of what is in force, which changes nothing else.
//! Refuses to restart what is not there, and to bring in what is not in force yet: another commit,
//! or files that nobody committed.

use devnet_schema::name::{InstanceId, ServiceName};

use super::{
    apply,
    arguments::{self, Cli},
    client::Client,
    failure::CommandError,
    terminal::Terminal,
};
use crate::{
    api::{ServiceRow, Status},
    config::Environment,
    view::style::printable,
};

/// `devnet restart SERVICE|INSTANCE…`.
pub(super) fn run(
    args: &arguments::Restart,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    let status: Status = client.get("/api/v1/status", "asking what runs")?;
    let addresses = args
        .subjects
        .iter()
        .map(|subject| address(subject, &status.services))
        .collect::<Result<Vec<_>, _>>()?;
    let rev = match &status.source {
        None => None,
        Some(source) => Some(source.applied.clone().ok_or_else(|| {
            CommandError::usage("nothing of what this control plane follows is applied yet")
                .hint("`devnet status` says what it waits for.")
        })?),
    };
    let planning = arguments::Planning {
        configuration: args.configuration.clone(),
        rev,
        target: addresses.clone(),
        restart: addresses,
        input: true,
        ..arguments::Planning::default()
    };
    let (auto_approve, parallelism) = (args.auto_approve, 10);
    let apply = arguments::Apply { planning, plan: None, auto_approve, parallelism, force: false };
    apply::run(&apply, cli, env, terminal)
}

/// The address of what a word names, where it runs.
fn address(subject: &str, services: &[ServiceRow]) -> Result<String, CommandError> {
    let word = subject.strip_prefix("service.").unwrap_or(subject);
    let row = |name: &ServiceName| services.iter().find(|row| row.name == *name);
    if let Ok(name) = word.parse::<ServiceName>()
        && row(&name).is_some_and(|row| !row.instances.is_empty())
    {
        return Ok(format!("service.{name}"));
    }
    if let Ok(id) = word.parse::<InstanceId>()
        && row(&id.service).is_some_and(|row| row.instances.iter().any(|it| it.id == id))
    {
        return Ok(id.address());
    }
    let what = format!("nothing called `{}` runs", printable(subject));
    Err(CommandError::usage(what).hint(
        "`devnet get instances` lists what does; name a service (`web`) or one of its \
               instances (`web[0]`).",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_named_as_people_write_it() {
        let services: Vec<ServiceRow> = serde_json::from_value(serde_json::json!([{
            "name": "web", "desired": 2, "healthy": 1, "instances": [{
                "id": "web[0]", "node": "n1", "state": "running", "health": "healthy",
                "address": null, "message": null,
            }],
        }, {"name": "idle", "desired": 1, "healthy": 0, "instances": []}]))
        .unwrap();
        for (word, told) in [
            ("web", Some("service.web")),
            ("service.web", Some("service.web")),
            ("web[0]", Some("service.web[0]")),
            ("web[1]", None),
            ("idle", None),
            ("we b", None),
        ] {
            assert_eq!(address(word, &services).ok().as_deref(), told, "{word}");
        }
    }
}
