//! Randomness, for keys, tokens, nonces, ids and serial numbers.
//!
//! Knows that it comes from the operating system. Refuses to be asked by whoever makes something of
//! it (`auth`, `secrets`): they take it as an argument, so that a test can say what it is.

use anyhow::anyhow;
use uuid::Uuid;

/// Fills `bytes`. `app` does so before anything else, and a system that gave randomness once goes
/// on giving it; from then on [`fill`] does.
///
/// # Errors
/// When the operating system gives none: nothing that is made without it would be safe.
pub fn try_fill(bytes: &mut [u8]) -> anyhow::Result<()> {
    getrandom::fill(bytes).map_err(|error| anyhow!("asking the system for randomness: {error}"))
}

/// Fills `bytes`.
///
/// # Panics
/// When the operating system gives none; [`try_fill`] has found that out before.
pub fn fill(bytes: &mut [u8]) {
    // Cannot fail: see above.
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// A new id: a UUID of version 7, so that ids sort by when they were made.
pub fn id() -> String {
    Uuid::now_v7().to_string()
}
