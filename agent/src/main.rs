//! The entry point of `devnet-agent`. Knows how to say that something failed. Refuses everything
//! else: the library does it.

use std::{io::Write, process::ExitCode, sync::Arc};

use clap::Parser;
use devnet_agent::{config::Cli, secrets::Secrets, telemetry};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let secrets = Arc::new(Secrets::default());
    telemetry::begin(&cli.log, secrets.clone());
    match run(cli, secrets.clone()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = secrets.hide(&format!("Error: {error:#}"));
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, secrets: Arc<Secrets>) -> anyhow::Result<()> {
    // The one TLS provider there is; an error says that it is in place already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread does all: an idle agent should cost next to nothing.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(devnet_agent::start(cli, secrets))
}
