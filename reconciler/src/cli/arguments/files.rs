//! The arguments of the commands that write files: `fmt`, `convert` and `init`, and of `validate`.
//!
//! Knows flags. Refuses to act on them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use devnet_schema::{file::tree::Form, name::ClusterName};

use super::Configuration;

/// Arguments of `fmt`.
#[derive(Debug, Args)]
pub(crate) struct Fmt {
    /// Files, directories, or `-` for standard input; else the cluster file here and what it
    /// includes.
    #[arg(value_name = "FILE|DIR")]
    pub targets: Vec<PathBuf>,
    /// This cluster file and what it includes.
    #[arg(short = 'f', long = "file", value_name = "FILE", conflicts_with = "targets")]
    pub file: Option<PathBuf>,
    /// Write nothing; exit 3 when a file is not formatted.
    #[arg(long)]
    pub check: bool,
    /// Print what changes, as a unified diff.
    #[arg(long)]
    pub diff: bool,
    /// Directories with all directories in them; alone, the working directory.
    #[arg(long, short = 'r', conflicts_with = "file")]
    pub recursive: bool,
    /// Whether files are written; false only names them.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub write: bool,
    /// Raise or lower a limit of the language, like services=20000 [env: DEVNET_LIMITS].
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub limits: Vec<String>,
}

/// A form of the cluster file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum To {
    /// KDL 2.
    Kdl,
    /// YAML 1.2.
    #[value(alias = "yml")]
    Yaml,
}

impl From<To> for Form {
    fn from(to: To) -> Self {
        match to {
            To::Kdl => Self::Kdl,
            To::Yaml => Self::Yaml,
        }
    }
}

/// Arguments of `convert`.
#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// The file, or `-` for standard input; else cluster.kdl, cluster.yaml or cluster.yml here.
    pub file: Option<PathBuf>,
    /// The form to write; else the other one.
    #[arg(long, value_enum)]
    pub to: Option<To>,
    /// Write to a file instead of standard output.
    #[arg(long, short = 'o', value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The file of -out may be there already.
    #[arg(long, requires = "out")]
    pub force: bool,
    /// Raise or lower a limit of the language, like services=20000 [env: DEVNET_LIMITS].
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub limits: Vec<String>,
}

/// Where a repository's jobs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ci {
    /// GitHub Actions.
    Github,
    /// Gitea Actions.
    Gitea,
    /// Forgejo Actions.
    Forgejo,
    /// GitLab CI/CD.
    Gitlab,
    /// No workflow: the control plane applies commits by itself.
    None,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The repository's directory; made if it is not there.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// What the cluster is called; else like the directory.
    #[arg(long)]
    pub name: Option<ClusterName>,
    /// Write a workflow that plans merge requests and applies the main branch.
    #[arg(long, value_enum, default_value = "none")]
    pub ci: Ci,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Which cluster file.
    #[command(flatten)]
    pub configuration: Configuration,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}
