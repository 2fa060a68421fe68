//! The binary `devnet`: reads arguments and environment, runs one command, exits with its code.
//!
//! Knows nothing else: `cli` does the work.

use std::process::ExitCode;

use devnet_reconciler::{cli, config::Environment};

fn main() -> ExitCode {
    cli::main(std::env::args().collect(), Environment::of_process())
}
