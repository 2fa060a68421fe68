//! The wall clock of this machine.
//!
//! Knows how it is read. Refuses to be read by `rules`, `ledger` and `validity`, which take the
//! time as an argument. Intervals are measured with a clock that never goes back (`Instant`), where
//! they are waited for.

use jiff::Timestamp;

/// What it says.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The same in milliseconds since 1970.
pub fn now_millis() -> i64 {
    now().as_millisecond()
}

/// The same in seconds since 1970.
pub fn now_seconds() -> i64 {
    now().as_second()
}
