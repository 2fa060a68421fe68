//! Logs of this process: lines on standard error, for people or as JSON.
//!
//! Knows the subscriber. Refuses to read the environment: the filter is an argument; what libraries
//! say in detail, whatever the filter asks for: they print what passes through them, and that is
//! frames with secrets in them; and a line break within a line: what a node says would look like
//! lines of ours.

use std::io::{self, Write};

use tracing::{Level, Metadata, Subscriber, subscriber::Interest};
use tracing_subscriber::{EnvFilter, Layer, fmt, layer::Context, prelude::*};

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// For people at a terminal: with colours.
    Coloured,
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to write logs. `filter` is in the form of `tracing`: `info`, `devnet=debug,warn`; what
/// cannot be read counts as `info`. A second call changes nothing.
pub fn begin(filter: Option<&str>, form: Form) {
    let filter = filter.and_then(|text| text.parse::<EnvFilter>().ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter).with(Quiet);
    let begun = match form {
        Form::Text | Form::Coloured => {
            let lines = fmt::layer().with_ansi(form == Form::Coloured).with_target(false);
            registry.with(lines.with_writer(|| OneLine(io::stderr()))).try_init()
        }
        Form::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
    };
    // Another subscriber is there already, in tests for instance: it does as well.
    drop(begun);
}

/// Writes each line as one: a line break in it is shown as `\n`.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    /// `bytes` is a whole line.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let mut text = Vec::with_capacity(bytes.len());
        for (at, part) in line.split(|byte| matches!(byte, b'\n' | b'\r')).enumerate() {
            text.extend_from_slice(if at == 0 { b"" } else { b"\\n" });
            text.extend_from_slice(part);
        }
        text.extend_from_slice(&bytes[line.len()..]);
        self.0.write_all(&text).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Keeps the details of libraries out. `devnet-agent` has the same for itself: all that the two
/// programs share is the schema, which knows nothing of logs.
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn details_of_libraries_are_kept_out_whatever_the_filter_says() {
        let page = Page::default();
        let writer = page.clone();
        let lines = fmt::layer().with_writer(move || writer.clone());
        let filter = EnvFilter::new("trace,tungstenite::protocol=trace");
        let subscriber = tracing_subscriber::registry().with(filter).with(Quiet).with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "tungstenite::protocol", "c4n4ry");
            tracing::debug!(target: "hyper_util::client", "c4n4ry");
            tracing::info!(target: "rustls", "one that may be said");
            tracing::trace!(target: "devnet_reconciler::fleet", "one of our own");
        });
        let written = page.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let written = String::from_utf8(written).unwrap();
        assert!(!written.contains("c4n4ry"), "{written}");
        for kept in ["one that may be said", "one of our own"] {
            assert!(written.contains(kept), "{kept}: {written}");
        }
    }

    #[test]
    fn what_somebody_else_says_makes_no_line_of_its_own() {
        let page = Page::default();
        let writer = page.clone();
        let lines = fmt::layer().with_ansi(false).with_writer(move || OneLine(writer.clone()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::info!(reason = "x\r\nINFO of a field", "n1 says: a\n  INFO forged");
            tracing::info!("the next");
        });
        let written = page.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let written = String::from_utf8(written).unwrap();
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines.len(), 2, "{written}");
        assert!(lines[0].contains(r"n1 says: a\n  INFO forged"), "{written}");
        assert!(written.ends_with("the next\n"), "{written}");
    }
}
