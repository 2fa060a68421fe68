//! `devnet fmt`: KDL files in their canonical form.
//!
//! Knows which files are meant, and its exit codes. Refuses to know layout: the schema's formatter
//! does, and it never changes what a file says. YAML is checked and left as it is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use devnet_schema::{
    diagnostic::Diagnostic,
    file::{Limits, RewriteError, format_kdl, is_yaml, tree::Form},
};
use similar::TextDiff;

use super::{
    arguments::{self, Configuration},
    checkout::Checkout,
    failure::CommandError,
    terminal::Terminal,
    text_file::{self, STDIN},
};
use crate::config::Environment;

/// Something failed: a file that is not valid, or cannot be read or written.
const FAILED: u8 = 2;
/// `-check` found a file that is not formatted.
const UNFORMATTED: u8 = 3;

/// What became of one file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Formatted,
    Unformatted,
    Failed,
}

/// `devnet fmt`.
pub(super) fn run(
    args: &arguments::Fmt,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let limits = env.limits(&args.limits)?;
    let targets = targets(args, env)?;
    let mut worst = Outcome::Formatted;
    for (path, form) in &targets {
        worst = worst.max(match form {
            Form::Kdl => kdl(path, args, &limits, terminal),
            Form::Yaml => yaml(path, &limits, terminal),
        });
    }
    Ok(match worst {
        Outcome::Failed => FAILED,
        Outcome::Unformatted if args.check => UNFORMATTED,
        _ => 0,
    })
}

/// The files that are meant. Each is known to be KDL or YAML before any is written.
fn targets(args: &arguments::Fmt, env: &Environment) -> Result<Vec<(PathBuf, Form)>, CommandError> {
    let mut found = Vec::new();
    if args.targets.is_empty() && !args.recursive {
        let configuration = Configuration {
            file: args.file.clone(),
            limits: args.limits.clone(),
            ..Configuration::default()
        };
        let checkout = Checkout::open(&configuration, env).map_err(|e| e.with_code(FAILED))?;
        for path in checkout.cluster_files() {
            found.extend(Form::of(&path.to_string_lossy()).map(|form| (path, form)));
        }
        return Ok(found);
    }
    let here = [PathBuf::from(".")];
    let given = if args.targets.is_empty() { &here[..] } else { &args.targets };
    for target in given {
        if target.as_os_str() == STDIN {
            if given.len() > 1 {
                return Err(CommandError::usage("`-` is standard input, and goes with no file"));
            }
            found.push((target.clone(), Form::Kdl));
        } else if target.is_dir() {
            let mut files = Vec::new();
            in_directory(target, args.recursive, &mut files)
                .map_err(|error| CommandError::from(error).with_code(FAILED))?;
            files.sort();
            found.extend(files.into_iter().map(|file| (file, Form::Kdl)));
        } else {
            let form = Form::of(&target.to_string_lossy()).ok_or_else(|| {
                CommandError::usage(format!("{} is neither KDL nor YAML", target.display()))
                    .hint("fmt takes files named ….kdl, ….yaml or ….yml, directories, or `-`")
            })?;
            found.push((target.clone(), form));
        }
    }
    Ok(found)
}

/// The KDL files of a directory. Links and hidden names are passed over.
fn in_directory(dir: &Path, recursive: bool, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let act = || format!("listing {}", dir.display());
    for entry in fs::read_dir(dir).with_context(act)? {
        let entry = entry.with_context(act)?;
        let (name, kind) = (entry.file_name(), entry.file_type().with_context(act)?);
        let name = name.to_string_lossy();
        // `./a.kdl` reads worse than `a.kdl`.
        let path = if dir == Path::new(".") { PathBuf::from(&*name) } else { entry.path() };
        if name.starts_with('.') {
            continue;
        }
        if kind.is_dir() && recursive && name != "target" {
            in_directory(&path, recursive, found)?;
        } else if kind.is_file() && Form::of(&name) == Some(Form::Kdl) {
            found.push(path);
        }
    }
    Ok(())
}

fn failed(error: anyhow::Error, terminal: &Terminal) -> Outcome {
    terminal.error(&error.into());
    Outcome::Failed
}

fn invalid(found: &[Diagnostic], bytes: &[u8], terminal: &Terminal) -> Outcome {
    let text = String::from_utf8_lossy(bytes).into_owned();
    terminal.diagnostics(found, &|_| Some(text.clone()));
    Outcome::Failed
}

fn kdl(path: &Path, args: &arguments::Fmt, limits: &Limits, terminal: &Terminal) -> Outcome {
    let bytes = match text_file::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return failed(error, terminal),
    };
    let input = path.as_os_str() == STDIN;
    let name = text_file::shown(path);
    let formatted = match format_kdl(&name, bytes.clone(), limits) {
        Ok(formatted) => formatted,
        Err(RewriteError::Invalid(found)) => return invalid(&found, &bytes, terminal),
        Err(error) => {
            return failed(anyhow::anyhow!("{name} was left as it is: {error}"), terminal);
        }
    };
    let original = String::from_utf8_lossy(&bytes);
    let same = formatted == original;
    if args.diff && !same {
        terminal.out(&diff(&name, &original, &formatted));
    }
    if input {
        if !args.check && !args.diff {
            terminal.out(&formatted);
        }
    } else if !same {
        if !args.diff {
            terminal.out(&format!("{name}\n"));
        }
        if !args.check
            && args.write
            && let Err(error) = text_file::replace(path, &formatted)
        {
            return failed(error, terminal);
        }
    }
    if same { Outcome::Formatted } else { Outcome::Unformatted }
}

fn diff(name: &str, original: &str, formatted: &str) -> String {
    TextDiff::from_lines(original, formatted)
        .unified_diff()
        .context_radius(3)
        .header(&format!("old/{name}"), &format!("new/{name}"))
        .to_string()
}

/// YAML has formatters of its own, and what they would make of it is a matter of taste.
fn yaml(path: &Path, limits: &Limits, terminal: &Terminal) -> Outcome {
    let name = path.display().to_string();
    let bytes = match text_file::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return failed(error, terminal),
    };
    if let Err(found) = is_yaml(&name, bytes.clone(), limits) {
        return invalid(&found, &bytes, terminal);
    }
    terminal.note(&format!("{name}: left as it is: devnet formats KDL, and only reads YAML\n"));
    Outcome::Formatted
}
