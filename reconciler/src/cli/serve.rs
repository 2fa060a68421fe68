//! `devnet serve`: the control plane in the foreground, until it is told to stop.
//!
//! Knows flags and signals. Refuses to wire anything: `app` does.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::{arguments, failure::CommandError, terminal::Terminal};
use crate::{
    api::audit::{Config, Setting},
    app::{self, ServeConfig, SourceSpec},
    config::Environment,
    telemetry::{self, Form},
};

/// Threads that answer requests. The loop is one task and agents send little, so two do.
const WORKERS: usize = 2;

/// `devnet serve`.
pub(super) fn run(
    args: &arguments::Serve,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    // SAFETY: a plain system call without arguments.
    let is_root = unsafe { libc::geteuid() } == 0;
    let data_dir = args.data_dir.clone().or_else(|| env.data_dir(is_root)).ok_or_else(|| {
        CommandError::usage("no place for data: pass --data-dir DIR or set DEVNET_DATA_DIR")
    })?;
    let form = match env.get("DEVNET_LOG_FORMAT") {
        Some("json") => Form::Json,
        // What is written into a file has no colours.
        _ if terminal.note_style().colour => Form::Coloured,
        _ => Form::Text,
    };
    telemetry::begin(env.get("DEVNET_LOG"), form);
    let config = ServeConfig {
        listen: args.listen,
        names: args.names.clone(),
        cluster: args.cluster.clone(),
        source: args.source.clone().map(|location| SourceSpec {
            location,
            branch: args.branch.clone(),
            path: args.path.clone(),
            plain: false,
            login_file: args.source_login.clone(),
            ca_file: args.source_ca.clone(),
        }),
        poll: args.poll.into(),
        heartbeat: args.heartbeat.into(),
        adoption_grace: args.adoption_grace.into(),
        key_file: args.key_file.clone(),
        limits: env.limits(&args.limits)?,
        source_write: args.source_write,
        settings: Config { settings: settings(args), links: args.links() },
        ..ServeConfig::new(data_dir)
    };
    let runtime = runtime()?;
    runtime.block_on(async {
        let asked = asked_to_stop()?;
        let running = app::start(config).await?;
        terminal.note(&format!(
            "devnet serves https://{} (export DEVNET_CONFIG={} to use it)\n",
            running.addr(),
            running.client_file().display()
        ));
        until_stopped(running, asked, std::future::ready(())).await
    })?;
    Ok(0)
}

/// How it runs, flag by flag, and what set each.
fn settings(args: &arguments::Serve) -> Vec<Setting> {
    let own =
        |value: &Option<std::path::PathBuf>| value.as_ref().map(|path| path.display().to_string());
    let usual = |value: String, usual: &str| (value.clone(), value != usual);
    let given = |value: Option<String>| (value.clone().unwrap_or_default(), value.is_some());
    let many = |values: &[String]| (values.join(" "), !values.is_empty());
    let all = [
        ("--data-dir", given(own(&args.data_dir))),
        ("--listen", usual(args.listen.to_string(), "0.0.0.0:7443")),
        ("--name", many(&args.names)),
        ("--cluster", given(args.cluster.as_ref().map(ToString::to_string))),
        ("--source", given(args.source.clone())),
        ("--branch", given(args.branch.clone())),
        ("--path", usual(args.path.clone(), "")),
        ("--source-login", given(own(&args.source_login))),
        ("--source-ca", given(own(&args.source_ca))),
        ("--source-write", (args.source_write.to_string(), args.source_write)),
        ("--poll", usual(args.poll.to_string(), "30s")),
        ("--heartbeat", usual(args.heartbeat.to_string(), "2s")),
        ("--adoption-grace", usual(args.adoption_grace.to_string(), "10s")),
        ("--key-file", given(own(&args.key_file))),
        ("--limit", many(&args.limits)),
    ];
    let setting = |(name, (value, set)): (&str, (String, bool))| Setting {
        name: name.to_owned(),
        value,
        source: if set { "flag" } else { "default" }.to_owned(),
    };
    all.into_iter().map(setting).collect()
}

/// The runtime of a control plane.
///
/// # Errors
/// When threads cannot be started.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .context("starting the runtime")
}

/// Completes at the first Ctrl-C, SIGTERM or SIGHUP. The handlers stand before this returns.
///
/// # Errors
/// When signals cannot be watched.
pub(super) fn asked_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let watch = |kind| signal(kind).context("watching for signals");
    let mut interrupt = watch(SignalKind::interrupt())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut hangup = watch(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Runs until `asked`, or until the listener fails; then waits for `farewell` while the control
/// plane is still there, and stops.
///
/// # Errors
/// Why the listener failed.
pub(super) async fn until_stopped(
    mut running: app::Running,
    asked: impl Future<Output = ()>,
    farewell: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let ended = tokio::select! {
        () = asked => Ok(()),
        failed = running.failed() => failed,
    };
    farewell.await;
    running.stop().await;
    ended
}
