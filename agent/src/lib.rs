//! The devnet agent: runs on every node, does what the control plane's plans say, and reports.
//!
//! Knows this one machine. Refuses to plan, and to know the other nodes.

pub mod address;
pub mod clock;
pub mod config;
pub mod connection;
pub mod driver;
pub mod execute;
pub mod health;
pub mod identity;
pub mod inventory;
pub mod join;
pub mod ledger;
pub mod logs;
pub mod node;
pub mod observe;
mod origin;
pub mod outbox;
pub mod random;
mod receipts;
pub mod recovery;
pub mod redaction;
pub mod report;
pub mod rules;
pub mod schedule;
pub mod secrets;
pub mod session;
pub mod telemetry;
pub mod token;
pub mod trust;
pub mod validity;

#[cfg(test)]
mod sample;

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use tokio::sync::{Notify, watch};

use crate::{
    config::{Cli, Command, DriverArgs, Place, RunArgs},
    driver::{
        Driver, Ground, Owner,
        docker::DockerDriver,
        process::{self, ProcessDriver},
    },
    identity::Identity,
    inventory::{Facts, Inventory},
    ledger::Ledger,
    node::Node,
    outbox::Outbox,
    schedule::Timetable,
    secrets::Secrets,
    session::Agent,
};

/// How often the machine is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Does what the command line says. `secrets` is where values will be; the log hides them.
///
/// # Errors
/// Whatever keeps it from that, in words for the person who typed it.
pub async fn start(cli: Cli, secrets: Arc<Secrets>) -> Result<()> {
    match cli.command {
        Command::Join { place, join } => {
            do_join(&place, &join).await?;
            tracing::info!("now run `{}`: nothing runs here before", run_line(&place));
            Ok(())
        }
        Command::Run { place, run } => do_run(&place, &run, secrets).await,
        Command::Up { place, join, run } => {
            if !identity::exists(&place.data_dir()?) {
                do_join(&place, &join).await?;
            }
            do_run(&place, &run, secrets).await
        }
        Command::Completions { shell } => {
            let mut definition = Cli::command();
            clap_complete::generate(shell, &mut definition, "devnet-agent", &mut io::stdout());
            Ok(())
        }
        Command::Version => {
            writeln!(io::stdout(), "devnet-agent {}", env!("CARGO_PKG_VERSION"))?;
            Ok(())
        }
        Command::Facts { place, drivers } => print_facts(&place, &drivers).await,
    }
}

/// What to type after joining, so that the agent finds what it joined with.
fn run_line(place: &Place) -> String {
    match &place.data_dir {
        Some(dir) => format!("devnet-agent run --data-dir {}", dir.display()),
        None => "devnet-agent run".to_owned(),
    }
}

async fn do_join(place: &Place, args: &config::JoinArgs) -> Result<()> {
    let data_dir = place.data_dir()?;
    let request = args.request(place)?;
    if identity::exists(&data_dir) && !request.replace {
        let known = identity::load(&data_dir)?.profile;
        bail!(
            "this machine is node {} of cluster {} already; use --replace to join again, or \
             another --data-dir",
            known.node,
            known.cluster
        );
    }
    let profile = join::join(&data_dir, request).await?;
    tracing::info!(node = %profile.node, cluster = %profile.cluster, "joined");
    Ok(())
}

async fn do_run(place: &Place, args: &RunArgs, secrets: Arc<Secrets>) -> Result<()> {
    let data_dir = place.data_dir()?;
    let identity = identity::load(&data_dir)?;
    let _lock = lock(&data_dir)?;
    let end = end(args.stop_on_exit)?;
    let ip = match (place.ip, &identity.profile.ip) {
        (Some(ip), _) => Some(ip),
        (None, Some(ip)) => Some(ip.parse().context("reading the stored address of this node")?),
        (None, None) => None,
    };
    let node = build(&data_dir, &identity, args, secrets)?;
    let (facts, look) = (watch::Sender::new(None), Arc::new(Notify::new()));
    let agent = Agent {
        node: node.clone(),
        outbox: Arc::new(Outbox::default()),
        identity,
        data_dir,
        ip,
        facts: facts.subscribe(),
        look: look.clone(),
    };
    let inventory = Inventory::new(node.drivers.clone(), config::kubeconfig());
    let watching = tokio::spawn(node.clone().watch());
    let looking = tokio::spawn(keep_looking(inventory, facts, look));
    session::run(agent, end).await;
    watching.abort();
    looking.abort();
    if args.stop_on_exit {
        tracing::info!("ending what runs here");
        node.retire().await;
    }
    Ok(())
}

/// One agent a data directory. The lock goes with the process, however that ends.
fn lock(data_dir: &Path) -> Result<File> {
    let path = data_dir.join("lock");
    // On a disk that is read-only by now, the one of an earlier agent does.
    let file = File::create(&path).or_else(|error| File::open(&path).map_err(|_| error));
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    // SAFETY: plain system call on a descriptor that is open.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        bail!("another agent uses {}; give each its own --data-dir", data_dir.display());
    }
    Ok(file)
}

fn build(
    data_dir: &Path,
    identity: &Identity,
    args: &RunArgs,
    secrets: Arc<Secrets>,
) -> Result<Arc<Node>> {
    let profile = &identity.profile;
    let owner = Owner { cluster: profile.cluster.clone(), node: profile.node.clone() };
    let changed = Arc::new(Notify::new());
    let ground = Ground {
        owner: owner.clone(),
        data_dir: data_dir.to_owned(),
        volatile_dir: volatile_dir(data_dir, &owner),
        secrets: secrets.clone(),
        changed: changed.clone(),
        stop_on_exit: args.stop_on_exit,
    };
    let mut drivers: Vec<Arc<dyn Driver>> = Vec::new();
    if let Some(sockets) = args.drivers.sockets()? {
        let docker = DockerDriver::new(ground.clone(), sockets);
        tokio::spawn(docker.clone().watch());
        drivers.push(docker);
    }
    if !args.drivers.no_process {
        drivers.push(Arc::new(ProcessDriver::new(ground, config::base_env())));
    }
    let ledger = Ledger::open(data_dir)?;
    let table = Timetable::open(data_dir)?;
    let node = Node::new(owner, drivers, (ledger, table), secrets, changed);
    if origin::is_elsewhere(data_dir) {
        tracing::warn!(
            "{} is a copy, or was used on another machine before: nothing is started here until \
             the control plane lets this one in",
            data_dir.display()
        );
        node.hold_back();
    }
    Ok(node)
}

/// For files that hold secrets: in memory, where the system has a place for root.
fn volatile_dir(data_dir: &Path, owner: &Owner) -> PathBuf {
    if config::is_root() && Path::new("/run").is_dir() {
        return Path::new("/run/devnet-agent").join(format!("{}.{}", owner.cluster, owner.node));
    }
    data_dir.join("secret-files")
}

async fn keep_looking(
    mut inventory: Inventory,
    facts: watch::Sender<Option<Facts>>,
    look: Arc<Notify>,
) {
    loop {
        let seen = Some(inventory.look().await);
        facts.send_if_modified(|known| {
            let news = *known != seen;
            *known = seen;
            news
        });
        tokio::select! {
            () = look.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Ready when the agent should end: a signal, or the end of whoever started it.
fn end(with_parent: bool) -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for signals")?;
    let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap_or(0);
    let orphaned = async move {
        if !with_parent || process::wait_for_end(parent).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("ending: told to by SIGTERM"),
            _ = interrupt.recv() => tracing::info!("ending: told to by SIGINT"),
            () = orphaned => tracing::info!("ending: the process that started this one ended"),
        }
    })
}

async fn print_facts(place: &Place, args: &DriverArgs) -> Result<()> {
    let owner = Owner { cluster: "none".parse()?, node: "this".parse()? };
    let ground = Ground {
        owner: owner.clone(),
        data_dir: place.data_dir()?,
        volatile_dir: place.data_dir()?,
        secrets: Arc::new(Secrets::default()),
        changed: Arc::new(Notify::new()),
        stop_on_exit: false,
    };
    let mut drivers: Vec<Arc<dyn Driver>> = Vec::new();
    if let Some(sockets) = args.sockets()? {
        drivers.push(DockerDriver::new(ground.clone(), sockets));
    }
    if !args.no_process {
        drivers.push(Arc::new(ProcessDriver::new(ground, config::base_env())));
    }
    let drivers = drivers.into_iter().map(|driver| (driver.runtime(), driver)).collect();
    let facts = Inventory::new(drivers, config::kubeconfig()).look().await;
    let ip = place.ip.unwrap_or(std::net::Ipv4Addr::LOCALHOST.into());
    let facts = facts.seen_at(ip, &driver::ports::Held::new());
    println!("{}", serde_json::to_string_pretty(&facts).context("writing facts as JSON")?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_run_after_joining_finds_what_was_joined_with() {
        let place = |data_dir: Option<&str>| Place { data_dir: data_dir.map(Into::into), ip: None };
        assert_eq!(run_line(&place(None)), "devnet-agent run");
        assert_eq!(run_line(&place(Some("/data/n1"))), "devnet-agent run --data-dir /data/n1");
    }
}
