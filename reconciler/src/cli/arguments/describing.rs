//! Arguments of `devnet describe`.

use clap::{Args, ValueEnum};

use super::Output;

/// What `describe` tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Described {
    /// A node, by name or id.
    Node,
    /// A service.
    Service,
    /// An instance, as `web[0]`.
    Instance,
    /// A run of a plan, by its id.
    Deployment,
}

/// Arguments of `describe`.
#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// Of what.
    #[arg(value_enum)]
    pub kind: Described,
    /// Which.
    pub name: String,
    /// How to print it.
    #[command(flatten)]
    pub output: Output,
}
