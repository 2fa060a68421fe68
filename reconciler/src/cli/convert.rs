//! `devnet convert`: a cluster file in the other form.
//!
//! Knows where it is read from and written to. Refuses to merge what a file includes: each file is
//! converted by itself.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use devnet_schema::file::{self, RewriteError, tree::Form};

use super::{
    arguments::{self, Configuration},
    checkout::Checkout,
    failure::CommandError,
    terminal::Terminal,
    text_file::{self, STDIN},
};
use crate::config::Environment;

/// `devnet convert`.
pub(super) fn run(
    args: &arguments::Convert,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => {
            let limits = args.limits.clone();
            let configuration = Configuration { limits, ..Configuration::default() };
            PathBuf::from(Checkout::open(&configuration, env)?.root())
        }
    };
    let limits = env.limits(&args.limits)?;
    let (from, to) = forms(&path, args)?;
    let bytes = text_file::read(&path)?;
    let name = text_file::shown(&path);
    let converted = match file::convert(&name, bytes.clone(), from, to, &limits) {
        Ok(converted) => converted,
        Err(RewriteError::Invalid(found)) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            terminal.diagnostics(&found, &|_| Some(text.clone()));
            return Err(CommandError::usage(format!("{name} cannot be converted as it is")));
        }
        Err(error) => {
            return Err(CommandError::usage(format!("{name} was not converted: {error}")));
        }
    };
    match &args.out {
        None => terminal.out(&converted.text),
        Some(out) => write(out, &converted.text, args.force)?,
    }
    if converted.comments {
        let note =
            "the comments of the file were not carried over: write them anew where they help";
        terminal.note(&format!("Note: {note}\n"));
    }
    Ok(0)
}

/// What it is in, and what it is to be in.
fn forms(path: &Path, args: &arguments::Convert) -> Result<(Form, Form), CommandError> {
    let other = |form| match form {
        Form::Kdl => Form::Yaml,
        Form::Yaml => Form::Kdl,
    };
    let named = |path: &Path| {
        Form::of(&path.to_string_lossy()).ok_or_else(|| {
            CommandError::usage(format!("{} is neither KDL nor YAML", path.display()))
                .hint("name it ….kdl, ….yaml or ….yml")
        })
    };
    let out = args.out.as_deref().map(named).transpose()?;
    let to = args.to.map(Form::from);
    if let (Some(to), Some(out), Some(path)) = (to, out, &args.out)
        && to != out
    {
        let message = format!("-to and the name of {} say different things", path.display());
        return Err(CommandError::usage(message));
    }
    let to = to.or(out);
    match (path.as_os_str() == STDIN, to) {
        (true, Some(to)) => Ok((other(to), to)),
        (true, None) => Err(CommandError::usage("standard input has no name: add -to kdl or yaml")),
        (false, to) => {
            let from = named(path)?;
            Ok((from, to.unwrap_or(other(from))))
        }
    }
}

fn write(out: &Path, text: &str, force: bool) -> Result<(), CommandError> {
    if force && out.exists() {
        return Ok(text_file::replace(out, text)?);
    }
    text_file::create(out, text).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            CommandError::usage(format!("{} is there already; nothing was written", out.display()))
                .hint("name another file, or add -force")
        }
        _ => CommandError::usage(format!("writing {}: {error}", out.display())),
    })
}
