//! Ctrl-C and SIGTERM while the control plane runs something that a command began.
//!
//! Knows that the first cuts the deployment short and the second leaves it. Refuses to leave
//! without a word: what goes on is said.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    thread,
};

use devnet_schema::step::{StepReport, StepState};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::{client::Client, failure::CommandError, terminal::Terminal};
use crate::api::{Deployment, DeploymentLine};

/// What leaving early exits with.
const LEFT: i32 = 1;

/// What is known of the deployment while it is followed.
#[derive(Default)]
pub(super) struct Following {
    id: watch::Sender<Option<String>>,
    running: Mutex<BTreeSet<String>>,
}

impl Following {
    /// The control plane has begun it.
    pub(super) fn begun(&self, id: &str) {
        self.id.send_replace(Some(id.to_owned()));
    }

    /// A line of it.
    pub(super) fn line(&self, line: &DeploymentLine) {
        let DeploymentLine::Step { node, report, .. } = line else { return };
        let StepReport { deployment: _, step, state } = report;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{step} on {node}");
        match state {
            StepState::Running { .. } => running.insert(name),
            StepState::Succeeded { .. } | StepState::Failed { .. } => running.remove(&name),
        };
    }

    fn running(&self) -> String {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().cloned().collect::<Vec<_>>().join(", ")
    }
}

/// Does `work`, and meanwhile takes Ctrl-C and SIGTERM for the deployment that it follows.
///
/// # Errors
/// Those of `work`, and when signals cannot be watched.
pub(super) fn guarded<T: Send>(
    client: &Client,
    terminal: &Terminal,
    work: impl FnOnce(&Following) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let following = Following::default();
    let (end, ended) = watch::channel(());
    let mut signals = Signals::new().map_err(|error| {
        CommandError::from(anyhow::Error::from(error).context("watching for signals"))
    })?;
    thread::scope(|scope| {
        scope.spawn(|| attend(&mut signals, ended, &following, client, terminal));
        let done = work(&following);
        drop(end);
        done
    })
}

/// Waits for the first signal, cuts the deployment short, waits for the second, and leaves. Returns
/// when `ended` has no sender any more.
fn attend(
    signals: &mut Signals,
    mut ended: watch::Receiver<()>,
    following: &Following,
    client: &Client,
    terminal: &Terminal,
) {
    if !signals.next(&mut ended) {
        return;
    }
    terminal.note(
        "\nStopping: what runs is finished, nothing more begins. Once more to leave it to the \
         control plane.\n",
    );
    let Some(id) = signals.known(&mut ended, following) else { return };
    let cut: Result<Deployment, _> =
        client.tell(&format!("/api/v1/deployments/{id}/cancel"), "stopping the deployment");
    if let Err(failure) = &cut {
        terminal.error(failure);
    }
    if !signals.next(&mut ended) {
        return;
    }
    let going = following.running();
    let word = if cut.is_ok() { "is being cancelled" } else { "goes on" };
    terminal.note(&format!("\nDeployment {id} {word} on the control plane.\n"));
    if !going.is_empty() {
        terminal.note(&format!("  Running: {going}\n"));
    }
    terminal.note(&format!(
        "  `devnet get deployments` says how it ends; `devnet deployment cancel {id}` cuts it \
         short.\n"
    ));
    std::process::exit(LEFT);
}

/// Ctrl-C and SIGTERM, from the moment this is made.
struct Signals {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        drop(entered);
        Ok(Self { runtime, interrupt, terminate })
    }

    /// Waits for one. False when the work has ended.
    fn next(&mut self, ended: &mut watch::Receiver<()>) -> bool {
        let Self { runtime, interrupt, terminate } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => true,
                _ = terminate.recv() => true,
                _ = ended.changed() => false,
            }
        })
    }

    /// Waits until the deployment has a name; `None` when the work has ended before. A second
    /// signal leaves at once.
    fn known(&mut self, ended: &mut watch::Receiver<()>, following: &Following) -> Option<String> {
        let Self { runtime, interrupt, terminate } = self;
        let mut id = following.id.subscribe();
        runtime.block_on(async {
            tokio::select! {
                found = id.wait_for(Option::is_some) => found.ok().and_then(|id| id.clone()),
                _ = ended.changed() => None,
                _ = interrupt.recv() => std::process::exit(LEFT),
                _ = terminate.recv() => std::process::exit(LEFT),
            }
        })
    }
}
