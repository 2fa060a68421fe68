//! Reads the log of a container: the last lines, then new ones as they come, across its restarts
//! and replacements.
//!
//! Knows where in the log a reader is, by the last line it was given. Refuses to trust that a
//! stream of the engine has everything: while nobody reads it, the engine may rotate two files away
//! and go on with the third; and when Docker 20.10 rotates just as a stream begins, it stays with
//! the old file for ever, or gives the new one twice. Whoever is behind is given what the engine
//! kept, from its files, and then the stream again.

use std::{task::Poll, time::Duration};

use bollard::{
    container::LogOutput, errors::Error, models::ContainerStateStatusEnum as Status,
    query_parameters::LogsOptionsBuilder,
};
use devnet_schema::{
    name::InstanceId,
    wire::{LogEndReason, LogLine},
};
use futures_util::{FutureExt, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::{
    engine::{self, Engine},
    seek::{Given, Look, Message, Seek},
    view,
};
use crate::{
    clock,
    driver::Owner,
    driver::logs::{self, Chunk, Closed, PIECE, Query, Sink},
    logs::lost,
};

/// Whoever reads new lines that are older than this, or waits longer than this for room, is behind.
/// An engine that writes 40 MB a second needs longer to fill a file of its log.
const BEHIND: Duration = Duration::from_millis(750);

/// Lines that come within this time are given away together: an engine sends each by itself, and
/// giving away costs more than a line.
const TOGETHER: Duration = Duration::from_millis(10);

/// When a stream gave nothing for so long, the log is asked for its last line.
const QUIET: Duration = Duration::from_secs(2);

/// How often a container that does not run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// So many lines are read again to find the last one that was given.
const NEAR: &str = "20000";

/// How far a reader is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// In the log of which container, by the engine's id.
    container: String,
    /// What was given of it.
    given: Given,
}

/// How a pass over a log ended.
#[derive(Debug, PartialEq, Eq)]
enum Pass {
    /// At its end.
    Over,
    /// Where the reader was too slow to go on with the stream.
    Behind,
    /// Nobody reads any more.
    Closed,
}

impl From<Closed> for Pass {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// Writes the log of the container that is the instance's unit into `sink` as `query` says.
///
/// # Errors
/// When the engine has none.
pub(super) async fn send(
    engine: &Engine,
    owner: &Owner,
    query: &Query,
    sink: &Sink,
) -> Result<LogEndReason, Error> {
    let after = query.after.as_deref().and_then(|after| serde_json::from_str(after).ok());
    let position: Position = after.unwrap_or_default();
    let resumed = !position.container.is_empty();
    let mut reader = Reader {
        engine,
        sink,
        position,
        muted: false,
        behind: false,
        chunk: Chunk::default(),
        due: None,
    };
    let run = find(engine, owner, &query.id).await?;
    let tail = query.tail;
    let number = if tail == u32::MAX { "all".to_owned() } else { tail.max(1).to_string() };
    if reader.enter(&run) || resumed {
        reader.pass("all", false).await?;
    } else {
        // Even who wants no old line must know the last one, to go on behind it.
        reader.muted = tail == 0;
        reader.pass(&number, false).await?;
        reader.muted = false;
    }
    if !query.follow {
        return Ok(LogEndReason::Complete);
    }
    reader.follow(owner, query, run).await
}

/// One run of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    container: String,
    started_at: String,
    /// Whether something may still be written.
    live: bool,
}

async fn find(engine: &Engine, owner: &Owner, id: &InstanceId) -> Result<Run, Error> {
    let current = view::roles(engine, owner).await?.remove(id).and_then(|roles| roles.current);
    // Nothing is asked for by its name: what has that name may be somebody else's.
    let Some(found) = current else { return Err(no_container(id)) };
    let seen = view::inspect(engine, &found.container).await?;
    let state = seen.state.unwrap_or_default();
    Ok(Run {
        container: seen.id.unwrap_or_default(),
        started_at: state.started_at.unwrap_or_default(),
        live: matches!(state.status, Some(Status::RUNNING | Status::PAUSED)),
    })
}

/// As the engine says it of a container that is not there.
fn no_container(id: &InstanceId) -> Error {
    Error::DockerResponseServerError {
        status_code: 404,
        message: format!("there is no container of {id} on this node"),
    }
}

struct Reader<'a> {
    engine: &'a Engine,
    sink: &'a Sink,
    position: Position,
    /// Lines are only noticed, not given away.
    muted: bool,
    /// There may be more in the log than was given.
    behind: bool,
    chunk: Chunk,
    /// When to give the chunk away at the latest, where its lines wait for more.
    due: Option<Instant>,
}

impl Reader<'_> {
    /// Turns to the log of this container; whether that is another one than before.
    fn enter(&mut self, run: &Run) -> bool {
        let another = self.position.container != run.container;
        let before = !self.position.container.is_empty();
        if another {
            self.position = Position { container: run.container.clone(), given: Given::default() };
            if before {
                self.chunk.push(LogLine::remark("its container was replaced by a new one"));
            }
        }
        another && before
    }

    async fn follow(
        &mut self,
        owner: &Owner,
        query: &Query,
        mut run: Run,
    ) -> Result<LogEndReason, Error> {
        loop {
            let ended = match self.follow_stream().await {
                Ok(Pass::Closed) => return Ok(LogEndReason::Complete),
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            match &ended {
                Ok(()) => {}
                Err(error) if engine::is_missing(error) => {
                    // The container went away while its reader was behind.
                    self.behind.then(|| self.chunk.push(lost(None)));
                }
                Err(error) => {
                    let words = engine::words(error);
                    let text = format!("the container engine gives no log: {words}; waiting");
                    self.chunk.push(LogLine::remark(text));
                }
            }
            run = match self.next_run(owner, query, run, ended.is_err()).await {
                Ok(Some(run)) => run,
                Ok(None) => return Ok(LogEndReason::Gone),
                Err(Closed) => return Ok(LogEndReason::Complete),
            };
            self.enter(&run);
        }
    }

    /// Stays with the log of a container until its stream ends.
    async fn follow_stream(&mut self) -> Result<Pass, Error> {
        loop {
            let tail = if self.position.given.last.is_some() { NEAR } else { "all" };
            match self.pass(tail, true).await? {
                Pass::Behind => self.behind = true,
                other => return Ok(other),
            }
            loop {
                let before = self.position.clone();
                if self.pass("all", false).await? == Pass::Closed {
                    return Ok(Pass::Closed);
                }
                if self.position == before || !self.is_late() {
                    break;
                }
            }
            self.behind = false;
        }
    }

    /// Waits for another run, or for the engine; nothing when the instance is not of this node any
    /// more.
    async fn next_run(
        &mut self,
        owner: &Owner,
        query: &Query,
        run: Run,
        failed: bool,
    ) -> Result<Option<Run>, Closed> {
        self.flush().await?;
        loop {
            tokio::select! {
                () = self.sink.closed() => return Err(Closed),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            match find(self.engine, owner, &query.id).await {
                Ok(next) if next != run || failed || next.live => return Ok(Some(next)),
                Err(error) if engine::is_missing(&error) && !(query.here)() => return Ok(None),
                _ => {}
            }
        }
    }

    /// Reads the log once, the last `tail` lines of it, and gives away what follows the present
    /// position. With `follow` it stays until the stream ends.
    async fn pass(&mut self, tail: &str, follow: bool) -> Result<Pass, Error> {
        let mut seek = Seek::behind(self.position.given.last.clone());
        let options = options(tail).follow(follow).since(seek.since()).build();
        let container = self.position.container.clone();
        let mut stream = std::pin::pin!(self.engine.client.logs(&container, Some(options)));
        loop {
            let item = match self.at_once(&mut stream).await {
                Poll::Ready(item) => item,
                Poll::Pending => {
                    let slow = match self.flush().await {
                        Err(Closed) => return Ok(Pass::Closed),
                        Ok(slow) => slow,
                    };
                    if follow && (slow || seek.is_lost()) {
                        return Ok(Pass::Behind);
                    }
                    match self.wait(&mut stream, follow).await? {
                        Waited::Item(item) => item,
                        Waited::For(pass) => return Ok(pass),
                    }
                }
            };
            let Some(output) = item else { break };
            let Some(message) = message(output?) else { continue };
            let given = match seek.look(message) {
                Look::Skip => Ok(false),
                Look::Give(message) if follow && self.position.given.is_behind(&message) => {
                    return Ok(Pass::Behind);
                }
                Look::Give(message) => self.give(&message).await,
                Look::Lost if follow => return Ok(Pass::Behind),
                Look::Lost => self.give_up(&mut seek).await,
            };
            match given {
                Err(Closed) => return Ok(Pass::Closed),
                Ok(slow) if slow && follow => return Ok(Pass::Behind),
                Ok(_) => {}
            }
        }
        if seek.is_lost() {
            if follow {
                return Ok(Pass::Behind);
            }
            if self.give_up(&mut seek).await.is_err() {
                return Ok(Pass::Closed);
            }
        }
        Ok(self.flush().await.map_or_else(Pass::from, |_| Pass::Over))
    }

    /// The next thing that a stream gives, where it comes before what was gathered has to go.
    async fn at_once<S>(&mut self, stream: &mut S) -> Poll<Option<S::Item>>
    where
        S: Stream + Unpin,
    {
        if let Some(item) = stream.next().now_or_never() {
            return Poll::Ready(item);
        }
        if self.chunk.lines.is_empty() {
            return Poll::Pending;
        }
        let due = *self.due.get_or_insert_with(|| Instant::now() + TOGETHER);
        timeout_at(due, stream.next()).await.map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits for the next thing that a stream gives. One that gives nothing while the log grows has
    /// lost its file.
    async fn wait<S>(&self, stream: &mut S, follow: bool) -> Result<Waited, Error>
    where
        S: Stream<Item = Result<LogOutput, Error>> + Unpin,
    {
        loop {
            tokio::select! {
                item = stream.next() => return Ok(Waited::Item(item)),
                () = self.sink.closed() => return Ok(Waited::For(Pass::Closed)),
                () = tokio::time::sleep(QUIET), if follow => {}
            }
            if !self.has_more().await? {
                continue;
            }
            // It may be on its way.
            return Ok(match tokio::time::timeout(BEHIND, stream.next()).await {
                Ok(item) => Waited::Item(item),
                Err(_) => Waited::For(Pass::Behind),
            });
        }
    }

    /// Whether the last line of the log is another than was given.
    async fn has_more(&self) -> Result<bool, Error> {
        let options = options("1").build();
        let mut stream =
            std::pin::pin!(self.engine.client.logs(&self.position.container, Some(options)));
        let mut newest = Given::default();
        while let Some(output) = stream.next().await {
            if let Some(message) = message(output?) {
                newest.advance(&message);
            }
        }
        let given = &self.position.given.last;
        Ok(newest.last.is_some_and(|newest| {
            given.as_ref().is_none_or(|given| !given.is_at_the_time_of(&newest))
        }))
    }

    /// The place is not in the log any more: what is there follows it.
    async fn give_up(&mut self, seek: &mut Seek) -> Result<bool, Closed> {
        self.chunk.push(lost(None));
        for message in seek.give_up() {
            self.give(&message).await?;
        }
        Ok(false)
    }

    /// Gives a message away; whether the reader is too slow for the stream.
    async fn give(&mut self, message: &Message) -> Result<bool, Closed> {
        let Message { stream, at, text, open } = message;
        let mut slow = false;
        let mut rest = &text[..];
        loop {
            let (piece, behind) = rest.split_at(rest.len().min(PIECE));
            let last = behind.is_empty();
            if !self.muted {
                let lines = logs::lines(at, stream, piece, *open || !last);
                lines.into_iter().for_each(|line| self.chunk.push(line));
            }
            if last {
                self.position.given.advance(message);
            }
            if self.chunk.is_full() {
                slow |= self.flush().await? || self.is_late();
            }
            if last {
                return Ok(slow);
            }
            rest = behind;
        }
    }

    /// Whether the last line is an old one by now.
    fn is_late(&self) -> bool {
        self.position.given.last.as_ref().is_some_and(|last| last.age(clock::now()) > BEHIND)
    }

    /// Gives away what was gathered; whether that took too long.
    async fn flush(&mut self) -> Result<bool, Closed> {
        let mut chunk = std::mem::take(&mut self.chunk);
        self.due = None;
        chunk.position = serde_json::to_string(&self.position).unwrap_or_default();
        let began = Instant::now();
        self.sink.put(chunk).await?;
        Ok(began.elapsed() > BEHIND)
    }
}

/// What waiting for a stream came to.
enum Waited {
    /// What it gave; nothing at its end.
    Item(Option<Result<LogOutput, Error>>),
    /// There is no more waiting: so the pass ends.
    For(Pass),
}

/// Both streams, with times.
fn options(tail: &str) -> LogsOptionsBuilder {
    LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).tail(tail)
}

/// What the engine gives, as a message; it puts the time before each.
fn message(output: LogOutput) -> Option<Message> {
    match output {
        LogOutput::StdErr { message } => Some(Message::of("stderr", &message)),
        LogOutput::StdOut { message } | LogOutput::Console { message } => {
            Some(Message::of("stdout", &message))
        }
        LogOutput::StdIn { .. } => None,
    }
}
