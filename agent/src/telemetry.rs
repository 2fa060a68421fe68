//! The log of this process: lines on standard error, without the values of secrets.
//!
//! Knows the subscriber. Refuses what libraries say in detail, whatever the filter asks for: they
//! print what passes through them, and that is frames with secrets in them; and a line break within
//! a line: what an engine or a control plane says would look like lines of ours.

use std::{
    io::{self, IsTerminal, Write},
    sync::Arc,
};

use tracing::{Level, Metadata, Subscriber, subscriber::Interest};
use tracing_subscriber::{
    EnvFilter, Layer, fmt,
    fmt::MakeWriter,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::secrets::Secrets;

/// Begins to write the log. `filter` is in the form of `tracing`: `info`, or
/// `devnet_agent=debug,warn`; what cannot be read counts as `info`. A second call changes nothing.
pub fn begin(filter: &str, secrets: Arc<Secrets>) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = fmt::layer()
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(Hiding(secrets));
    let begun = tracing_subscriber::registry().with(filter).with(Quiet).with(lines).try_init();
    // Another subscriber is there already, in tests for instance: it does as well.
    drop(begun);
}

/// Keeps the details of libraries out. `devnet` has the same for itself: all that the two programs
/// share is the schema, which knows nothing of logs.
struct Quiet;

/// Whether it is said by devnet itself, or no detail.
fn may_be_said(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with("devnet")
}

impl<S: Subscriber> Layer<S> for Quiet {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // What comes through the `log` crate has one callsite for all; each line is asked about.
        match may_be_said(metadata) || metadata.target() == "log" {
            true => Interest::sometimes(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        may_be_said(metadata)
    }
}

/// Writes lines without the values of secrets.
struct Hiding(Arc<Secrets>);

/// One line; it is written at once.
struct Line<'a>(&'a Secrets);

impl<'a> MakeWriter<'a> for Hiding {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(&self.0)
    }
}

/// A line, in which a line break is shown as `\n`.
fn one_line(text: &str) -> String {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let end = &text[line.len()..];
    line.split(['\n', '\r']).collect::<Vec<_>>().join("\\n") + end
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = self.0.hide(&String::from_utf8_lossy(bytes));
        io::stderr().write_all(one_line(&text).as_bytes()).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn what_somebody_else_says_makes_no_line_of_its_own() {
        assert_eq!(
            one_line("WARN it says: a\n  INFO forged\n"),
            "WARN it says: a\\n  INFO forged\n"
        );
        assert_eq!(one_line("a\r\nb\rc"), r"a\n\nb\nc");
        for plain in ["", "\n", "a", "a\n"] {
            assert_eq!(one_line(plain), plain);
        }
    }
}
