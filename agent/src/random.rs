//! Randomness, for nonces and pauses.
//!
//! Knows that it comes from the operating system. Refuses to be asked by `rules`, which take it as
//! an argument.

use std::io;

/// Fills `bytes`.
///
/// # Errors
/// When the operating system gives none.
pub fn try_fill(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(io::Error::other)
}

/// A number for a pause. Without randomness, every pause is the longest: slow, and never wrong.
pub fn number() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}
