//! Following the control plane for as long as a person watches: its stream of what changed, begun
//! again whenever it breaks.
//!
//! Knows pauses. Refuses to end by itself, but where the control plane was never there or refuses
//! what is asked.

use std::{thread, time::Duration};

use serde::Deserialize;

use super::{client::Client, failure::CommandError, terminal::Terminal};

/// Before the first and the longest pause between two tries.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// A line of `GET /api/v1/watch`; a beat has no changes.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    changed: Vec<String>,
}

/// Calls `look` whenever something of `topic` may have changed, until it says that nobody reads any
/// more.
///
/// # Errors
/// When the control plane refuses the stream or what `look` asks. That it is away is no error.
pub(super) fn changes(
    client: &Client,
    topic: &str,
    terminal: &Terminal,
    mut look: impl FnMut() -> Result<bool, CommandError>,
) -> Result<(), CommandError> {
    again(terminal, |connected| {
        let mut ended = Ok(true);
        // What changed before the stream was there is seen by looking once.
        let mut first = true;
        let followed = client.stream("/api/v1/watch", "watching", |line: Line| {
            connected();
            let moved =
                std::mem::replace(&mut first, false) || line.changed.iter().any(|it| it == topic);
            if moved {
                ended = look();
            }
            matches!(ended, Ok(true))
        });
        match ended {
            Ok(true) => followed.map(|()| true),
            ended => ended,
        }
    })
}

/// Does `part` again and again, with pauses that grow while it fails at once; it ends when `part`
/// says false, or is refused. `part` is given what to call once it is connected.
///
/// # Errors
/// When the control plane was never there, or refuses.
pub(super) fn again(
    terminal: &Terminal,
    mut part: impl FnMut(&mut dyn FnMut()) -> Result<bool, CommandError>,
) -> Result<(), CommandError> {
    let (mut pause, mut away, mut was_there) = (FIRST, false, false);
    loop {
        let mut connected = || {
            pause = FIRST;
            was_there = true;
            if std::mem::replace(&mut away, false) {
                terminal.note("-- connected again\n");
            }
        };
        match part(&mut connected) {
            Ok(false) => return Ok(()),
            // What was never there may have a wrong address.
            Err(failure) if failure.is_refusal() || !was_there => return Err(failure),
            ended => {
                if !std::mem::replace(&mut away, true) {
                    let why = ended.err().map_or(String::new(), |it| format!(": {:#}", it.error));
                    terminal.note(&format!("-- the connection ended{why}; trying again\n"));
                }
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST);
            }
        }
    }
}
