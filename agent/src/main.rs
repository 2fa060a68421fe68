//! The entry point of `devnet-agent`. Knows how to say that something failed. Refuses everything
//! else: the library does it.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use clap::Parser;
use devnet_agent::config::Cli;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_new(&cli.log).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    // The one TLS provider there is; an error says that it is in place already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread does all: an idle agent should cost next to nothing.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(devnet_agent::start(cli))
}
