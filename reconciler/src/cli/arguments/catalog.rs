//! Arguments of `devnet catalog`.

use clap::{Args, Subcommand};

use super::Configuration;

/// Arguments of `catalog`.
#[derive(Debug, Args)]
pub(crate) struct Catalog {
    /// What to do.
    #[command(subcommand)]
    pub action: CatalogAction,
}

/// What `catalog` does.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogAction {
    /// List the components: the built-in ones, and those of the cluster file here.
    List {
        /// Which cluster file.
        #[command(flatten)]
        configuration: Configuration,
    },
    /// All that a component takes, offers and needs.
    Show {
        /// Which.
        name: String,
        /// Which cluster file.
        #[command(flatten)]
        configuration: Configuration,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Check a component of your own by the rules of the catalog; exit 1 when it misses one.
    Lint {
        /// Its directory.
        dir: String,
    },
    /// What a service of a component becomes, and where each value comes from.
    Render(Render),
}

/// Arguments of `catalog render`.
#[derive(Debug, Args)]
pub(crate) struct Render {
    /// Which component.
    pub name: String,
    /// Which cluster file.
    #[command(flatten)]
    pub configuration: Configuration,
    /// The version; the component's first when absent.
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// Set a parameter.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// How many instances.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub replicas: u32,
    /// What runs it.
    #[arg(long, value_name = "RUNTIME", default_value = "docker")]
    pub runtime: String,
}
