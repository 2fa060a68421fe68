//! Logs of this process: lines on standard error, for people or as JSON.
//!
//! Knows the subscriber. Refuses to read the environment: the filter is an argument.

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
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
    let registry = tracing_subscriber::registry().with(filter);
    let begun = match form {
        Form::Text => {
            registry.with(fmt::layer().with_writer(std::io::stderr).with_target(false)).try_init()
        }
        Form::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
    };
    // Another subscriber is there already, in tests for instance: it does as well.
    drop(begun);
}
