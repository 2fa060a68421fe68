//! Waiting for what happens, never for time to pass.
//!
//! Knows deadlines. Refuses to say what is waited for: the caller's closure does.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Asks `probe` until it answers, and gives the answer.
///
/// # Panics
/// When it has not answered within `limit`; the message holds `what` and the last refusal.
pub fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match probe() {
            Ok(answer) => return answer,
            Err(why) if Instant::now() > deadline => {
                panic!("{what} did not happen within {limit:?}: {why}")
            }
            // The pause only keeps the probes from starving what they wait for.
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}
