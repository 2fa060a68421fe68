//! `devnet validate`: every problem of the cluster file at once.
//!
//! Knows its output and exit codes. Refuses to ask a control plane: a file is valid or not.

use devnet_schema::{diagnostic::Diagnostic, validate::unchecked_secrets};

use super::{arguments, checkout::Checkout, failure::CommandError, terminal::Terminal};
use crate::{config::Environment, view::diagnostics};

/// `devnet validate`.
pub(super) fn run(
    args: &arguments::Validate,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let checkout = match Checkout::open(&args.configuration, env) {
        Ok(checkout) => checkout,
        Err(failure) if args.json => return Ok(unreadable(&failure, terminal)),
        Err(failure) => return Err(failure),
    };
    let mut loaded = checkout.load();
    // Nobody is asked whether they are set, so that has to be said.
    loaded.diagnostics.extend(unchecked_secrets(&loaded.secrets));
    loaded.diagnostics.sort_by(|a, b| a.at.cmp(&b.at));
    let errors = loaded.diagnostics.iter().filter(|found| found.is_error()).count();
    let valid = errors == 0 && loaded.desired.is_some();
    if args.json {
        let document =
            diagnostics::validate_document(&loaded.diagnostics, &|file| checkout.text(file));
        terminal.out(&format!("{document}\n"));
        return Ok(u8::from(!valid));
    }
    terminal.diagnostics(&loaded.diagnostics, &|file| checkout.text(file));
    if valid {
        terminal
            .out(&format!("{} The configuration is valid.\n", terminal.style.green("Success!")));
        Ok(0)
    } else {
        terminal.note(&format!("{}\n", checkout.counted(&loaded.diagnostics)));
        Ok(1)
    }
}

/// A script that asked for JSON gets it, too, when there is no configuration to check: a finding
/// without a code, as it is about flags or files and not about what one says.
fn unreadable(failure: &CommandError, terminal: &Terminal) -> u8 {
    let found = Diagnostic::error("", None, format!("{:#}", failure.error));
    let found = found.help(failure.hints.join(" "));
    let document = diagnostics::validate_document(&[found], &|_| None);
    terminal.out(&format!("{document}\n"));
    failure.code()
}
