//! The arguments of `serve`.
//!
//! Knows flags. Refuses to act on them.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use devnet_schema::{name::ClusterName, quantity::Period};

use crate::api::audit::Links;

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    /// Where to keep data [env: DEVNET_DATA_DIR; default /var/lib/devnet as root].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where to listen.
    #[arg(long, default_value = "0.0.0.0:7443", value_name = "IP:PORT")]
    pub listen: SocketAddr,
    /// A name or address that clients and agents use; may be given more than once.
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// What the cluster is called; else its first configuration says. No node can join before.
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<ClusterName>,
    /// What to follow: a repository's path or URL, or a plain directory.
    #[arg(long, value_name = "PATH|URL")]
    pub source: Option<String>,
    /// The branch to follow; else the repository's own.
    #[arg(long)]
    pub branch: Option<String>,
    /// The directory of the cluster file within the source.
    #[arg(long, default_value = "", value_name = "DIR")]
    pub path: String,
    /// The file with the login for an https source: a token, or username= and password= lines.
    #[arg(long, value_name = "FILE", requires = "source")]
    pub source_login: Option<PathBuf>,
    /// The only CA (PEM) that an https source's certificate may come from; else the system's.
    #[arg(long, value_name = "FILE", requires = "source")]
    pub source_ca: Option<PathBuf>,
    /// Let drafts of the web UI be committed to the source: a git repository on this machine, and
    /// a branch that is not checked out there.
    #[arg(long, requires = "source")]
    pub source_write: bool,
    /// A Grafana that the web UI leads to.
    #[arg(long, value_name = "URL")]
    pub link_grafana: Option<String>,
    /// Documentation that the web UI leads to.
    #[arg(long, value_name = "URL")]
    pub link_docs: Option<String>,
    /// Look at the source at least this often.
    #[arg(long, default_value = "30s")]
    pub poll: Period,
    /// Agents say that they are there this often.
    #[arg(long, default_value = "2s")]
    pub heartbeat: Period,
    /// After a start, wait this long for known agents before anything is created.
    #[arg(long, default_value = "10s")]
    pub adoption_grace: Period,
    /// The key that secrets are stored under; else secrets/key in the data directory.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Raise or lower a limit of the language, like services=20000 [env: DEVNET_LIMITS].
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub limits: Vec<String>,
}

impl Serve {
    /// Where else the web UI leads to.
    pub(in crate::cli) fn links(&self) -> Links {
        Links { grafana: self.link_grafana.clone(), docs: self.link_docs.clone() }
    }
}
