//! The command line and the environment: the one place that reads them.
//!
//! Knows flags, variables and defaults. Refuses to act on them.

use std::{env, fs, io::Read, net::IpAddr, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use devnet_schema::name::NodeName;

use crate::{
    address::ServerAddress, driver::process::BaseEnv, join::JoinRequest, token::JoinToken,
};

/// The devnet node agent: one outgoing connection to the control plane, and the drivers that run
/// what it says.
#[derive(Debug, Parser)]
#[command(name = "devnet-agent", version, max_term_width = 80)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What to log: error, warn, info, debug, trace, or a filter as in `info,devnet_agent=debug`;
    /// libraries say nothing below info, whatever it asks for.
    #[arg(long, global = true, env = "DEVNET_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
}

/// What the agent can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Join a cluster, once.
    Join {
        /// Where it keeps its things.
        #[command(flatten)]
        place: Place,
        /// Which control plane it joins, and by what right.
        #[command(flatten)]
        join: JoinArgs,
    },
    /// Run the agent of a node that has joined.
    Run {
        /// Where it keeps its things.
        #[command(flatten)]
        place: Place,
        /// How it runs.
        #[command(flatten)]
        run: RunArgs,
    },
    /// Join when this node has not joined yet, then run.
    Up {
        /// Where it keeps its things.
        #[command(flatten)]
        place: Place,
        /// Which control plane it joins, and by what right.
        #[command(flatten)]
        join: JoinArgs,
        /// How it runs.
        #[command(flatten)]
        run: RunArgs,
    },
    /// Completions for a shell.
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The version.
    Version,
    /// Print what this machine has, as JSON.
    Facts {
        /// Where it keeps its things.
        #[command(flatten)]
        place: Place,
        /// What may run units.
        #[command(flatten)]
        drivers: DriverArgs,
    },
}

/// Where the agent keeps its things, and how it is reached.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Where identity, ledger, volumes and logs are kept [default: /var/lib/devnet-agent for root,
    /// else ~/.local/share/devnet-agent]
    #[arg(long, env = "DEVNET_AGENT_DATA", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The address other nodes reach this one by [default: this machine's address on the
    /// connection to the control plane]
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<IpAddr>,
}

/// How to join.
#[derive(Debug, Clone, Args)]
pub struct JoinArgs {
    /// The control plane
    #[arg(long, env = "DEVNET_ADDR", value_name = "https://HOST:PORT")]
    pub server: Option<ServerAddress>,
    /// The join token; better given by --token-file or DEVNET_TOKEN, because other users of this
    /// machine can read command lines
    #[arg(long, env = "DEVNET_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A file with the join token; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// What the node is called [default: the machine's host name]
    #[arg(long)]
    pub name: Option<NodeName>,
    /// Take the place of a node of that name; the token must allow it
    #[arg(long)]
    pub replace: bool,
}

/// How to run.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// What may run units.
    #[command(flatten)]
    pub drivers: DriverArgs,
    /// End everything this node runs when the agent ends, or when the process that started it does
    #[arg(long)]
    pub stop_on_exit: bool,
}

/// What may run units.
#[derive(Debug, Clone, Args)]
pub struct DriverArgs {
    /// The container engine's socket, as unix:///PATH [default: DOCKER_HOST, then the usual places
    /// of Docker and Podman]
    #[arg(long, value_name = "unix:///PATH")]
    pub docker_host: Option<String>,
    /// Run no containers
    #[arg(long)]
    pub no_docker: bool,
    /// Run no native processes
    #[arg(long)]
    pub no_process: bool,
}

impl Place {
    /// The data directory.
    ///
    /// # Errors
    /// When there is no home directory to put it in.
    pub fn data_dir(&self) -> Result<PathBuf> {
        let chosen = match (&self.data_dir, is_root(), env::var_os("HOME")) {
            (Some(dir), _, _) => dir.clone(),
            (None, true, _) => PathBuf::from("/var/lib/devnet-agent"),
            (None, false, Some(home)) => PathBuf::from(home).join(".local/share/devnet-agent"),
            (None, false, None) => {
                bail!("there is no HOME; say where to keep data: --data-dir DIR")
            }
        };
        std::path::absolute(&chosen).with_context(|| format!("finding {}", chosen.display()))
    }
}

/// Whether this process is root.
pub fn is_root() -> bool {
    // SAFETY: plain system call without arguments.
    unsafe { libc::geteuid() == 0 }
}

impl JoinArgs {
    /// The request to join.
    ///
    /// # Errors
    /// When something is missing; the text says which flag gives it.
    pub fn request(&self, place: &Place) -> Result<JoinRequest> {
        let Some(server) = self.server.clone() else {
            bail!("say which control plane to join: --server https://HOST:PORT");
        };
        let token: JoinToken = self.read_token()?.parse()?;
        Ok(JoinRequest {
            server,
            token,
            name: self.name()?,
            ip: place.ip.map(|ip| ip.to_string()),
            replace: self.replace,
        })
    }

    /// The file wins: the variable may be set for another program.
    fn read_token(&self) -> Result<String> {
        match (&self.token_file, &self.token) {
            (Some(path), _) if path.as_os_str() == "-" => {
                let mut token = String::new();
                std::io::stdin()
                    .take(4096)
                    .read_to_string(&mut token)
                    .context("reading the token from standard input")?;
                Ok(token)
            }
            (Some(path), _) => fs::read_to_string(path)
                .with_context(|| format!("reading the token from {}", path.display())),
            (None, Some(token)) => Ok(token.clone()),
            (None, None) => bail!(
                "a join token is needed: make one with `devnet node token`, and give it with \
                 --token-file FILE (`-` reads standard input) or in DEVNET_TOKEN"
            ),
        }
    }

    fn name(&self) -> Result<NodeName> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let host = fs::read_to_string("/proc/sys/kernel/hostname")
            .context("reading this machine's host name; give one with --name")?;
        let label = host.trim().split('.').next().unwrap_or_default().to_ascii_lowercase();
        label.parse().context("this machine's host name cannot name a node; give one with --name")
    }
}

impl DriverArgs {
    /// The sockets to look for a container engine at, in order; none when containers are off.
    ///
    /// # Errors
    /// When the flag names something that is no socket.
    pub fn sockets(&self) -> Result<Option<Vec<PathBuf>>> {
        if self.no_docker {
            return Ok(None);
        }
        if let Some(host) = &self.docker_host {
            let Some(path) = host.strip_prefix("unix://") else {
                bail!("--docker-host takes unix:///PATH; other connections are not supported");
            };
            return Ok(Some(vec![PathBuf::from(path)]));
        }
        let named = env::var("DOCKER_HOST").ok();
        let named = named.as_deref().and_then(|host| host.strip_prefix("unix://"));
        let mut sockets: Vec<PathBuf> = named.into_iter().map(PathBuf::from).collect();
        sockets.extend(
            ["/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"]
                .map(PathBuf::from),
        );
        if let Some(runtime) = env::var_os("XDG_RUNTIME_DIR") {
            sockets.push(PathBuf::from(runtime).join("podman/podman.sock"));
        }
        Ok(Some(sockets))
    }
}

/// What native processes get of this process's environment.
pub fn base_env() -> BaseEnv {
    let get = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    BaseEnv {
        path: get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        home: get("HOME", "/"),
        lang: get("LANG", "C.UTF-8"),
    }
}

/// The Kubernetes configuration of this node, where there is one.
pub fn kubeconfig() -> Option<PathBuf> {
    let named = env::var_os("KUBECONFIG").map(PathBuf::from);
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    let usual = ["/etc/rancher/k3s/k3s.yaml", "/etc/kubernetes/admin.conf"].map(PathBuf::from);
    named.into_iter().chain(home).chain(usual).find(|path| path.is_file())
}
