//! `devnet secret`: values go in through standard input and never come out.
//!
//! Knows how a value is read. Refuses to take one as an argument: arguments are seen by everyone.

use std::io::{IsTerminal, Read};

use anyhow::Context;
use devnet_schema::name::SecretName;

use super::{
    arguments::{self, Cli, SecretCommand},
    client::Client,
    failure::CommandError,
    terminal::Terminal,
};
use crate::{api::SecretRow, config::Environment, view::status_text};

/// The largest value, in bytes.
const MAX_VALUE: u64 = 64 << 10;

/// `devnet secret …`.
pub(super) fn run(
    args: &arguments::Secret,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    match &args.command {
        SecretCommand::Set { name } => {
            let name = parse(name)?;
            let value = read_value(terminal)?;
            let row: SecretRow =
                client.put(&format!("/api/v1/secrets/{name}"), value, "setting the secret")?;
            terminal.out(&format!("{} is set, version {}\n", row.name, row.version));
        }
        SecretCommand::List(output) => {
            let rows: Vec<SecretRow> = client.list("/api/v1/secrets", "listing secrets")?;
            if output.json {
                terminal.out(&format!("{}\n", serde_json::json!(rows)));
            } else {
                let mut table = vec![vec!["SECRET".into(), "VERSION".into(), "UPDATED".into()]];
                table.extend(rows.into_iter().map(|row| {
                    vec![row.name.to_string(), row.version.to_string(), row.updated_at.to_string()]
                }));
                terminal.out(&status_text::table(&table));
            }
        }
        SecretCommand::Rm { name } => {
            let name = parse(name)?;
            client.delete(&format!("/api/v1/secrets/{name}"), "removing the secret")?;
            terminal.out(&format!("{name} is removed\n"));
        }
    }
    Ok(0)
}

fn parse(name: &str) -> Result<SecretName, CommandError> {
    name.parse()
        .map_err(|error: devnet_schema::name::NameError| CommandError::usage(error.to_string()))
}

/// All of standard input, less one line end, which `echo` adds and nobody means.
fn read_value(terminal: &Terminal) -> Result<String, CommandError> {
    let mut stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        terminal
            .note("Type the value, then Ctrl-D on a line of its own (it is shown as you type):\n");
    }
    let mut bytes = Vec::new();
    stdin
        .by_ref()
        .take(MAX_VALUE + 2)
        .read_to_end(&mut bytes)
        .context("reading the value from standard input")?;
    let mut value = String::from_utf8(bytes).map_err(|_| {
        CommandError::usage("the value is not UTF-8 text").hint("Encode it, e.g. as base64.")
    })?;
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    if value.is_empty() {
        return Err(CommandError::usage("standard input holds no value")
            .hint("For example: printf %s \"$PASSWORD\" | devnet secret set NAME"));
    }
    if value.len() as u64 > MAX_VALUE {
        return Err(CommandError::usage("a secret has at most 64 KiB"));
    }
    Ok(value)
}
