//! What drivers and readers of logs have in common: what is wanted, chunks of lines, and where they
//! go.
//!
//! Knows how bytes become lines. Refuses to know where they come from and who reads them.

use std::sync::Arc;

use devnet_schema::{
    name::InstanceId,
    wire::{LogLine, MAX_LOG_BATCH, MAX_LOG_TEXT},
};
use tokio::sync::mpsc;

/// A chunk is given away when it weighs this much, in bytes.
const CHUNK: usize = 32 << 10;

/// So many bytes are made into lines together. As text they may be four times as many, and a chunk
/// that is nearly full must have room for them within a batch.
pub const PIECE: usize = MAX_LOG_TEXT;
const _: () = assert!(CHUNK + 4 * PIECE + 8 * 128 + 256 <= MAX_LOG_BATCH);

/// So many chunks wait between a driver and a reader.
const WAITING: usize = 2;

/// What is wanted of a log.
#[derive(Clone)]
pub struct Query {
    /// Whose.
    pub id: InstanceId,
    /// At most so many old lines; `u32::MAX` means all.
    pub tail: u32,
    /// Whether to go on as new ones come.
    pub follow: bool,
    /// Go on behind this position, which a chunk had; `tail` does not count then.
    pub after: Option<String>,
    /// Whether the instance still belongs on this node. One that does may be about to start.
    pub here: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Lines that a driver gives away together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Oldest first.
    pub lines: Vec<LogLine>,
    /// Their weight, in bytes.
    pub weight: usize,
    /// How to go on behind the last of them.
    pub position: String,
}

impl Chunk {
    /// Adds a line.
    pub fn push(&mut self, line: LogLine) {
        self.weight += line.weight();
        self.lines.push(line);
    }

    /// Whether it is time to give it away.
    pub fn is_full(&self) -> bool {
        self.weight >= CHUNK
    }
}

/// Where a driver puts chunks.
#[derive(Debug, Clone)]
pub struct Sink(mpsc::Sender<Chunk>);

/// Nobody reads any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl Sink {
    /// A sink and where its chunks come out.
    pub fn new() -> (Self, mpsc::Receiver<Chunk>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Gives a chunk away; waits until there is room for it. An empty one is nothing.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn put(&self, chunk: Chunk) -> Result<(), Closed> {
        if chunk.lines.is_empty() {
            return if self.0.is_closed() { Err(Closed) } else { Ok(()) };
        }
        self.0.send(chunk).await.map_err(|_| Closed)
    }

    /// Returns when nobody reads any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// The lines that `bytes`, at most [`PIECE`] of one line without its end, become: one, or several
/// where it is too long as text. `open` says that the line goes on behind `bytes`.
pub fn lines(at: &str, stream: &str, bytes: &[u8], open: bool) -> Vec<LogLine> {
    let text = shown(bytes);
    let mut rest = text.as_str();
    let mut lines = Vec::new();
    loop {
        let (head, tail) = rest.split_at(rest.floor_char_boundary(MAX_LOG_TEXT));
        let continued = open || !tail.is_empty();
        let (at, stream) = (at.to_owned(), stream.to_owned());
        lines.push(LogLine { at, stream, text: head.to_owned(), continued });
        if tail.is_empty() {
            return lines;
        }
        rest = tail;
    }
}

/// Bytes as text. What is no UTF-8 is shown as `\xNN`, so that nothing is lost.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_split_between_characters_and_marked() {
        let text = "ä".repeat(MAX_LOG_TEXT);
        let parts = lines("now", "stdout", text.as_bytes(), false);
        let joined: String = parts.iter().map(|line| line.text.as_str()).collect();
        assert_eq!((joined, parts.len()), (text, 2));
        assert_eq!(parts.iter().map(|line| line.continued).collect::<Vec<_>>(), [true, false]);
        let odd = format!("x{}", "ä".repeat(MAX_LOG_TEXT / 2));
        let parts = lines("", "stdout", odd.as_bytes(), true);
        assert_eq!(parts.iter().map(|line| line.text.len()).collect::<Vec<_>>(), [16383, 2]);
        assert!(parts.iter().all(|line| line.continued), "the line is not over");
        assert_eq!(
            lines("", "stdout", b"", false),
            [LogLine { stream: "stdout".to_owned(), ..LogLine::default() }]
        );
    }

    #[test]
    fn what_is_no_text_is_shown() {
        let parts = lines("", "stderr", b"a\xff\xc3(\xe2\x82 b\0", false);
        assert_eq!(parts[0].text, "a\\xff\\xc3(\\xe2\\x82 b\0");
    }
}
