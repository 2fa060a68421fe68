//! The arguments of `status`, `get` and `wait`.
//!
//! Knows flags. Refuses to act on them.

use clap::{Args, ValueEnum};
use devnet_schema::{name::ServiceName, quantity::Period};

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Status {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Exit 2 when something declared does not serve, 3 when that is not known of something.
    #[arg(long)]
    pub check: bool,
}

/// What `get` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Kind {
    /// Nodes.
    #[value(alias = "node", alias = "no")]
    Nodes,
    /// Services.
    #[value(alias = "service", alias = "svc")]
    Services,
    /// Instances.
    #[value(alias = "instance", alias = "pods", alias = "po")]
    Instances,
    /// Runs of plans.
    #[value(alias = "deployment", alias = "deploy")]
    Deployments,
    /// What happened.
    #[value(alias = "event", alias = "ev")]
    Events,
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(in crate::cli) enum ListForm {
    /// A table.
    #[default]
    Text,
    /// A table with more columns.
    Wide,
    /// What the control plane says, as JSON.
    Json,
    /// The same as YAML.
    Yaml,
    /// A name a line.
    Name,
}

/// Arguments of `get`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Get {
    /// What to list.
    #[arg(value_enum)]
    pub kind: Kind,
    /// How to print it.
    #[arg(short = 'o', long, value_enum, default_value = "text", value_name = "FORM")]
    pub output: ListForm,
    /// As -o json.
    #[arg(long, conflicts_with = "output")]
    pub json: bool,
    /// Go on, and print each row again when it changes.
    #[arg(short = 'w', long)]
    pub watch: bool,
}

/// Arguments of `wait`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Wait {
    /// Services of which every instance has to serve as declared.
    #[arg(value_name = "SERVICE", required_unless_present = "rev")]
    pub services: Vec<ServiceName>,
    /// A revision that has to be applied: HEAD of the checkout here, or a commit's id.
    #[arg(long, value_name = "REV", conflicts_with = "services")]
    pub rev: Option<String>,
    /// How long at most.
    #[arg(long, default_value = "5m", value_name = "TIME")]
    pub timeout: Period,
}
