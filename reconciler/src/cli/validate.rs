//! `devnet validate`: every problem of the cluster file at once.
//!
//! Knows its output and exit codes. Refuses to ask a control plane: a file is valid or not.

use super::{arguments, checkout::Checkout, failure::CommandError, terminal::Terminal};
use crate::{config::Environment, view::diagnostics};

/// `devnet validate`.
pub fn run(
    args: &arguments::Validate,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let checkout = Checkout::open(&args.configuration, env)?;
    let loaded = checkout.load();
    let errors = loaded.diagnostics.iter().filter(|found| found.is_error()).count();
    let valid = errors == 0 && loaded.desired.is_some();
    if args.json {
        terminal.out(&format!("{}\n", diagnostics::validate_document(&loaded.diagnostics)));
        return Ok(u8::from(!valid));
    }
    terminal.diagnostics(&loaded.diagnostics, &|file| checkout.text(file));
    if valid {
        terminal
            .out(&format!("{} The configuration is valid.\n", terminal.style.green("Success!")));
        Ok(0)
    } else {
        let noun = if errors == 1 { "error" } else { "errors" };
        terminal.note(&format!("{errors} {noun} in {}\n", checkout.root()));
        Ok(1)
    }
}
