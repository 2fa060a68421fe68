//! How often a test that can be tried often is tried.
//!
//! Knows one variable. Refuses to let two tests count in two ways.

use std::env;

/// `quick` times in `make test`; `thorough` times in `make soak`, which sets `DEVNET_SOAK=full`, or
/// as often as `DEVNET_SOAK` says.
///
/// # Panics
/// When `DEVNET_SOAK` is neither `full` nor a number above zero.
pub fn times(quick: u32, thorough: u32) -> u32 {
    match env::var("DEVNET_SOAK") {
        Err(_) => quick,
        Ok(word) if word == "full" => thorough,
        Ok(word) => match word.parse() {
            Ok(times) if times > 0 => times,
            _ => panic!("DEVNET_SOAK is `{word}`: it is `full` or a number above zero"),
        },
    }
}
