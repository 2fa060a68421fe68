//! `devnet dev`: a control plane and agents on this machine, for a first try.
//!
//! Knows how they are started together and ended together. Refuses to be anything else than the
//! real ones: the agents are the same binary, joined over the same TLS.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use devnet_schema::{file::Limits, name::NodeName};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use super::{arguments, client::Client, failure::CommandError, serve, terminal::Terminal, watch};
use crate::{
    app::{self, Running, ServeConfig, SourceSpec},
    config::Environment,
    random,
    source::{LocalGit, Source, SourceError},
    telemetry::{self, Form},
    view::style::printable,
};

/// How long the agents may take to stop what they run.
const FAREWELL: Duration = Duration::from_secs(20);
/// Between two looks whether the cluster has its name.
const LOOK: Duration = Duration::from_millis(100);

/// `devnet dev [DIR]`.
pub(super) fn run(
    args: &arguments::Dev,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    telemetry::begin(Some(env.get("DEVNET_LOG").unwrap_or("warn")), Form::Text);
    let agent = agent_binary()?;
    let dir = args.dir.canonicalize().with_context(|| format!("opening {}", args.dir.display()))?;
    // Held to the end: dropping it removes the directory.
    let temporary;
    let data_dir = match &args.data_dir {
        Some(path) => std::path::absolute(path).context("finding the data directory")?,
        None => {
            temporary = Temporary::new()?;
            temporary.0.clone()
        }
    };
    let limits = env.limits(&[])?;
    serve::runtime()?.block_on(session(args, &dir, &data_dir, &agent, limits, terminal))?;
    Ok(0)
}

async fn session(
    args: &arguments::Dev,
    dir: &Path,
    data_dir: &Path,
    agent: &Path,
    limits: Limits,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    let asked = serve::asked_to_stop()?;
    let mut config = ServeConfig::new(data_dir.to_path_buf());
    config.limits = limits;
    config.listen = args.listen;
    config.names = vec!["127.0.0.1".to_owned()];
    config.heartbeat = Duration::from_secs(1);
    config.adoption_grace = Duration::from_secs(3);
    config.source = Some(source(dir, args));
    if config.source.as_ref().is_some_and(|source| source.plain) {
        terminal.out(&format!(
            "{} has no commit yet: its files are taken as they are, and followed. Once they are \
             committed, start this again to follow commits.\n",
            dir.display()
        ));
    }
    let running = app::start(config).await?;
    terminal.out(&format!(
        "devnet serves https://127.0.0.1:{}\n  export DEVNET_CONFIG={}\n",
        running.addr().port(),
        running.client_file().display()
    ));
    // Events are followed by a client like any other; it ends with the server, which does not come
    // back. The client blocks, and may not even be made on a thread of the runtime.
    let (context, screen) = (running.context().clone(), terminal.clone());
    let stopping = Arc::new(AtomicBool::new(false));
    let ending = Arc::clone(&stopping);
    let follower = thread::spawn(move || {
        let followed = Client::of(context).and_then(|client| watch::follow(&client, 1, &screen));
        if let (Err(failure), false) = (followed, ending.load(Ordering::Acquire)) {
            screen.error(&failure);
        }
    });
    let mut asked = Box::pin(asked);
    let is_named = tokio::select! {
        () = named(&running, terminal) => true,
        () = &mut asked => false,
    };
    let mut agents = Vec::new();
    for number in 1..=if is_named { args.nodes } else { 0 } {
        agents.push(start_agent(number, agent, data_dir, &running).await?);
    }
    let asked = async move {
        if is_named {
            asked.await;
        }
    };
    let farewell = async move {
        stopping.store(true, Ordering::Release);
        stop_agents(agents).await;
    };
    let ended = serve::until_stopped(running, asked, farewell).await;
    let _ = follower.join();
    ended.map_err(CommandError::from)
}

/// Waits until the cluster has its name, which its first configuration gives it: no node can join
/// before. What keeps it from one is told, each time it is something else.
async fn named(running: &Running, terminal: &Terminal) {
    let plane = running.plane();
    let mut told = None;
    while plane.cluster().is_none() {
        let problem = plane.source_status().and_then(|status| status.problem);
        if let Some(problem) = problem.filter(|it| told.as_ref() != Some(it)) {
            terminal.note(&format!(
                "Nodes start once there is a configuration. Until then: {}\n",
                printable(&problem)
            ));
            told = Some(problem);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The directory, as a git repository when it is the top of one. A directory within a checkout is
/// taken as it is, so that the examples of this repository can be tried without committing to it;
/// and so is a repository that has no commit yet, as `devnet init` leaves it.
fn source(dir: &Path, args: &arguments::Dev) -> SourceSpec {
    let begun = || {
        LocalGit::open(dir, None, "")
            .is_ok_and(|git| !matches!(git.head(), Err(SourceError::RefMissing { .. })))
    };
    SourceSpec {
        location: dir.display().to_string(),
        branch: args.branch.clone(),
        plain: args.branch.is_none() && dir.join(".git").exists() && !begun(),
        ..SourceSpec::default()
    }
}

/// The agent stands beside this binary.
fn agent_binary() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe().context("finding this program")?;
    let agent = here.with_file_name("devnet-agent");
    if !agent.is_file() {
        bail!(
            "devnet dev needs devnet-agent at {}: build it with `cargo build -p devnet-agent`",
            agent.display()
        );
    }
    Ok(agent)
}

/// Every node has a loopback address of its own, so that all can use the same ports. One of them
/// drives the container engine of this machine: three nodes that share an engine would fight over
/// the names of its containers.
async fn start_agent(
    number: u8,
    agent: &Path,
    data_dir: &Path,
    running: &Running,
) -> anyhow::Result<Child> {
    let name: NodeName = format!("node-{number}").parse()?;
    let dir = data_dir.join("agents").join(name.as_str());
    let mut command = Command::new(agent);
    command
        .arg("up")
        .args(["--server", &format!("https://127.0.0.1:{}", running.addr().port())])
        .args(["--name", name.as_str(), "--ip", &format!("127.0.0.{number}")])
        .args(["--token-file", "-", "--stop-on-exit"])
        .arg("--data-dir")
        .arg(&dir)
        .stdin(Stdio::piped())
        // Ctrl-C in the terminal is for this process: it ends the agents in order.
        .process_group(0)
        .kill_on_drop(true);
    if number > 1 {
        command.arg("--no-docker");
    }
    let mut child = command.spawn().with_context(|| format!("starting {}", agent.display()))?;
    let token = running.join_token(Some(name))?;
    let mut stdin = child.stdin.take().context("opening the agent's standard input")?;
    // An agent that has joined before does not read it, which is no error.
    let _ = stdin.write_all(format!("{}\n", token.expose()).as_bytes()).await;
    Ok(child)
}

/// Asks every agent to end with all that it runs, and waits for it.
async fn stop_agents(agents: Vec<Child>) {
    for agent in &agents {
        if let Some(pid) = agent.id().and_then(|pid| i32::try_from(pid).ok()) {
            // SAFETY: a plain system call; the process is our child and not yet waited for.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
    }
    for mut agent in agents {
        // Past the limit it is killed when dropped.
        let _ = tokio::time::timeout(FAREWELL, agent.wait()).await;
    }
}

/// A directory of our own that goes away at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> anyhow::Result<Self> {
        let mut bytes = [0; 8];
        random::try_fill(&mut bytes)?;
        let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = std::env::temp_dir().join(format!("devnet-dev-{name}"));
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
