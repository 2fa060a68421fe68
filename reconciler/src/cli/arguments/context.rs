//! The arguments of `context` and `config`.
//!
//! Knows flags. Refuses to act on them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `context`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Context {
    /// What to do.
    #[command(subcommand)]
    pub command: ContextCommand,
}

/// What to do with contexts.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ContextCommand {
    /// The contexts there are; the one in use has a *.
    List,
    /// Speak to this one from now on [env: DEVNET_CONTEXT counts more].
    Use {
        /// Its name; `default` is client.yaml.
        name: String,
    },
    /// Keep a client.yaml under a name.
    Add {
        /// What to call it.
        name: String,
        /// The client.yaml of a control plane.
        file: PathBuf,
    },
}

/// Arguments of `config`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Config {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with the configuration of commands.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfigCommand {
    /// Print each value and what set it; of the key only the public part.
    Show,
}
