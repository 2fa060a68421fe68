//! What comes out of an engine: the output of commands, and events.
//!
//! Knows the engine's streams. Refuses to keep anything.

use std::{collections::HashMap, time::Duration};

use bollard::{
    errors::Error,
    exec::{CreateExecOptions, StartExecResults},
    query_parameters::EventsOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::sync::Notify;

use super::{create::label, engine::Engine};
use crate::driver::Owner;

/// How much of what a health command writes is read, in bytes. Much less of it is shown: whatever
/// stands in it is looked through for secrets before it is cut.
const EXEC_OUTPUT: usize = 64 << 10;

/// How long the event stream is left alone after it ended.
const EVENTS_PAUSE: Duration = Duration::from_secs(2);

/// The events after which something may look different. Health commands make `exec_` events all
/// the time, which say nothing new.
const EVENTS: [&str; 9] =
    ["create", "start", "die", "stop", "destroy", "pause", "unpause", "oom", "rename"];

/// Runs a command in a container: exit code and the beginning of its output, as it came.
///
/// # Errors
/// When the engine cannot run it.
pub(super) async fn exec(
    engine: &Engine,
    container: &str,
    argv: &[String],
) -> Result<(i64, Vec<u8>), Error> {
    let options = CreateExecOptions {
        cmd: Some(argv.to_vec()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let exec = engine.client.create_exec(container, options).await?;
    let mut kept = Vec::new();
    if let StartExecResults::Attached { mut output, .. } =
        engine.client.start_exec(&exec.id, None).await?
    {
        while let Some(chunk) = output.next().await {
            let bytes = chunk?.into_bytes();
            kept.extend_from_slice(&bytes[..bytes.len().min(EXEC_OUTPUT - kept.len())]);
        }
    }
    let code = engine.client.inspect_exec(&exec.id).await?.exit_code.unwrap_or(-1);
    Ok((code, kept))
}

/// Rings `changed` whenever a container of the owner's changes, until the stream ends. It also
/// rings at the beginning: whatever happened before was not heard.
///
/// # Errors
/// When the engine goes away.
pub(super) async fn events(engine: &Engine, owner: &Owner, changed: &Notify) -> Result<(), Error> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let filters = HashMap::from([
        ("type".to_owned(), words(&["container"])),
        ("event".to_owned(), words(&EVENTS)),
        ("label".to_owned(), vec![format!("{}={}", label::CLUSTER, owner.cluster)]),
    ]);
    let options = EventsOptionsBuilder::new().filters(&filters).build();
    let mut stream = std::pin::pin!(engine.client.events(Some(options)));
    changed.notify_one();
    while let Some(event) = stream.next().await {
        event?;
        changed.notify_one();
    }
    Ok(())
}

/// Pause between two looks at the event stream.
pub(super) async fn rest() {
    tokio::time::sleep(EVENTS_PAUSE).await;
}
