//! `devnet context` and `devnet config show`: which control plane commands speak to, and why.
//!
//! Knows names, files and sources. Refuses to show a key: its public part tells which one it is.

use std::path::Path;

use super::{
    arguments::{self, Cli, ConfigCommand, ContextCommand},
    failure::CommandError,
    terminal::Terminal,
};
use crate::{
    config::{self, Environment, contexts::ChosenFile},
    view::{status_text, style::printable},
};

/// `devnet context …`.
pub(super) fn run(
    args: &arguments::Context,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    match &args.command {
        ContextCommand::List => terminal.out(&list(env)?),
        ContextCommand::Use { name } => {
            let path = env.context_file(name)?;
            if !path.exists() {
                return Err(unknown(name, env));
            }
            env.use_context(name)?;
            terminal.out(&format!("commands speak to {name} from now on\n"));
            let over =
                ["DEVNET_CONFIG", "DEVNET_CONTEXT"].into_iter().find(|it| env.get(it).is_some());
            if let Some(over) = over {
                terminal.note(&format!("{over} is set here, and counts more.\n"));
            }
        }
        ContextCommand::Add { name, file } => {
            let text = config::read_private(file).map_err(|error| {
                CommandError::usage(format!("reading {}: {error}", file.display()))
            })?;
            config::read_context(file)?;
            env.add_context(name, &text)?;
            terminal.out(&format!("context {name} is there: devnet context use {name}\n"));
        }
    }
    Ok(0)
}

fn unknown(name: &str, env: &Environment) -> CommandError {
    let known = env.contexts().unwrap_or_default();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    CommandError::usage(format!("there is no context `{}`", printable(name)))
        .hint(format!("Contexts: {known}. `devnet context add NAME client.yaml` adds one."))
}

fn list(env: &Environment) -> Result<String, CommandError> {
    let current = env.chosen_file()?;
    let mut table = vec![["", "NAME", "ADDRESS", "FILE"].map(str::to_owned).to_vec()];
    let mut row = |name: String, path: &Path| {
        let here = current.as_ref().is_some_and(|it| it.path == path);
        let addr = match config::read_context(path) {
            Ok(context) => printable(&context.addr),
            Err(error) => {
                format!("(cannot be read: {})", printable(&error.root_cause().to_string()))
            }
        };
        let mark = if here { "*" } else { "" };
        table.push(vec![mark.to_owned(), name, addr, path.display().to_string()]);
    };
    for name in env.contexts()? {
        let path = env.context_file(&name)?;
        row(name, &path);
    }
    if let Some(ChosenFile { path, context: None, .. }) = &current {
        row("(DEVNET_CONFIG)".to_owned(), path);
    }
    Ok(status_text::table(&table))
}

/// `devnet config show`.
pub(super) fn config(
    args: &arguments::Config,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let ConfigCommand::Show = args.command;
    let chosen = env.chosen_file()?;
    let file = match &chosen {
        Some(it) if it.path.exists() => Some(config::read_context(&it.path)?),
        _ => None,
    };
    let mut rows = vec![["SETTING", "VALUE", "FROM"].map(str::to_owned).to_vec()];
    let mut add = |name: &str, value: String, from: &str| {
        rows.push(vec![name.to_owned(), printable(&value), from.to_owned()]);
    };
    let unset = || ("not set".to_owned(), "-");
    let of_file = |value: Option<String>| value.map_or_else(unset, |value| (value, "the file"));
    let of_env = |name: &'static str| env.get(name).map(|value| (value.to_owned(), name));
    match &chosen {
        Some(it) => {
            let there = if it.path.exists() { "" } else { " (not there)" };
            add("file", format!("{}{there}", it.path.display()), it.named_by);
            if let Some(context) = &it.context {
                add("context", context.clone(), it.named_by);
            }
        }
        None => add("file", "not set".to_owned(), "-"),
    }
    let addr = cli.addr.clone().map(|value| (value, "--addr")).or_else(|| of_env("DEVNET_ADDR"));
    let (value, from) = addr.unwrap_or_else(|| of_file(file.as_ref().map(|it| it.addr.clone())));
    add("address", value, from);
    let key =
        cli.token_file.as_ref().map(|path| (format!("in {}", path.display()), "--token-file"));
    let key = key.or_else(|| Some((public_part(env.get("DEVNET_TOKEN")?), "DEVNET_TOKEN")));
    let of_key = || of_file(file.as_ref().map(|it| public_part(it.token.expose())));
    let (value, from) = key.unwrap_or_else(of_key);
    add("key", value, from);
    let ca = cli.ca_file.as_ref().map(|path| (path.display().to_string(), "--ca-file"));
    let ca = ca.or_else(|| of_env("DEVNET_CA_FILE"));
    let (value, from) =
        ca.unwrap_or_else(|| of_file(file.as_ref().map(|_| "kept there".to_owned())));
    add("CA", value, from);
    let limits = of_env("DEVNET_LIMITS").unwrap_or_else(|| ("the usual".to_owned(), "default"));
    add("limits", limits.0, limits.1);
    let asks = if env.forbids_input() { ("no", "DEVNET_INPUT") } else { ("yes", "default") };
    add("asks", asks.0.to_owned(), asks.1);
    let colour = match (cli.no_color, env.forbids_colour(), env.get("NO_COLOR").is_some()) {
        (true, _, _) => ("no", "--no-color"),
        (false, true, true) => ("no", "NO_COLOR"),
        (false, true, false) => ("no", "TERM"),
        (false, false, _) => ("on terminals", "default"),
    };
    add("colours", colour.0.to_owned(), colour.1);
    for (name, value) in env.vars() {
        add(&format!("variable {name}"), value, "DEVNET_VAR_…");
    }
    for name in env.names("DEVNET_CLI_ARGS") {
        add("flags added", env.get(&name).unwrap_or_default().to_owned(), &name);
    }
    terminal.out(&status_text::table(&rows));
    Ok(0)
}

/// What of a key may be shown: `dnk_ID_…`.
fn public_part(key: &str) -> String {
    match key.splitn(3, '_').collect::<Vec<_>>()[..] {
        ["dnk", id, _] => format!("dnk_{id}_…"),
        _ => "set, and of a form that no key has".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_key_only_the_public_part_is_shown() {
        assert_eq!(public_part("dnk_ab12_s3cr_et"), "dnk_ab12_…");
        for key in ["dnk_s3cret", "s3cret", "", "x_s3cret_y"] {
            assert!(!public_part(key).contains("s3cret"), "{key}");
        }
    }
}
