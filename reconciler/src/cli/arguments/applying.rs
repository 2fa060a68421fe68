//! The arguments of the commands that begin and end runs of plans.
//!
//! Knows flags. Refuses to act on them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Configuration, Planning};

/// Arguments of `apply` and `destroy`.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// What to plan.
    #[command(flatten)]
    pub planning: Planning,
    /// A plan saved by `devnet plan -out=FILE`; applied without asking.
    pub plan: Option<PathBuf>,
    /// Do not ask.
    #[arg(long, short = 'y', visible_alias = "yes")]
    pub auto_approve: bool,
    /// How many steps run at once.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub parallelism: u32,
    /// Even though the control plane follows a source by itself and undoes it.
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `restart`.
#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Services (`web`) or instances (`web[2]`).
    #[arg(required = true, value_name = "SERVICE|INSTANCE")]
    pub subjects: Vec<String>,
    /// Which cluster file, where the control plane follows no source.
    #[command(flatten)]
    pub configuration: Configuration,
    /// Do not ask.
    #[arg(long, short = 'y', visible_alias = "yes")]
    pub auto_approve: bool,
}

/// Arguments of `deployment`.
#[derive(Debug, Args)]
pub(crate) struct Deployment {
    /// What to do.
    #[command(subcommand)]
    pub command: DeploymentCommand,
}

/// What to do with a run of a plan.
#[derive(Debug, Subcommand)]
pub(crate) enum DeploymentCommand {
    /// Cut one short: what runs is finished, nothing more begins. Exit 0 when it was.
    Cancel {
        /// Which; else the one that runs.
        id: Option<String>,
    },
}
