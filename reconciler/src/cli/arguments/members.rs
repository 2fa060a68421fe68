//! The arguments of `node` and `apikey`: who may join, and who may call.
//!
//! Knows flags. Refuses to act on them.

use clap::{Args, Subcommand};
use devnet_schema::{name::NodeName, quantity::Period};

use crate::api;

/// Arguments of `node`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Node {
    /// What to do.
    #[command(subcommand)]
    pub command: NodeCommand,
}

/// What to do with nodes.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum NodeCommand {
    /// Print a one-use token for `devnet-agent join`.
    Token {
        /// How long it may be used, at most 7d.
        #[arg(long, default_value = "1h")]
        ttl: Period,
        /// Only a node of this name may use it.
        #[arg(long)]
        node: Option<NodeName>,
        /// It may take over the name of a known node.
        #[arg(long)]
        replace: bool,
    },
    /// The nodes.
    List(super::Output),
    /// Let no new instances come to a node.
    Cordon {
        /// Its name.
        name: NodeName,
    },
    /// Have a node give up what can move, and take nothing new.
    Drain {
        /// Its name.
        name: NodeName,
        /// Wait until nothing is left on it; exit 1 when that takes longer.
        #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "10m")]
        wait: Option<Period>,
    },
    /// Let new instances come again, and end a drain.
    Uncordon {
        /// Its name.
        name: NodeName,
    },
    /// Take over what a node runs and nobody else was told to run.
    Adopt {
        /// Its name.
        name: NodeName,
        /// Also what others were told to run: their copies go, and volumes stay.
        #[arg(long)]
        instead: bool,
    },
    /// Drain a node, wait until nothing is left on it, and remove it.
    Leave {
        /// Its name.
        name: NodeName,
        /// How long to wait.
        #[arg(long, value_name = "TIME", default_value = "10m")]
        timeout: Period,
    },
    /// Remove a node; its certificate is worth nothing from then on.
    Rm {
        /// Its name.
        name: NodeName,
        /// Do not ask, whatever is left on it.
        #[arg(long, short = 'y', visible_alias = "yes")]
        auto_approve: bool,
    },
}

/// Arguments of `apikey`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Apikey {
    /// What to do.
    #[command(subcommand)]
    pub command: ApikeyCommand,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ApikeyCommand {
    /// Make a key and print it once.
    Create {
        /// What it is for.
        name: String,
        /// What it may do: viewer, planner, editor or admin.
        #[arg(long, value_parser = role)]
        role: api::Role,
    },
    /// The keys, without their secret part.
    List(super::Output),
    /// Revoke one.
    Rm {
        /// The id that `list` shows.
        id: String,
    },
}

fn role(text: &str) -> Result<api::Role, String> {
    match text {
        "viewer" => Ok(api::Role::Viewer),
        "planner" => Ok(api::Role::Planner),
        "editor" => Ok(api::Role::Editor),
        "admin" => Ok(api::Role::Admin),
        _ => Err("write viewer, planner, editor or admin".to_owned()),
    }
}
