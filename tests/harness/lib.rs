//! What the tests that cross crates stand on: the source tree, real binaries, real hosts.
//!
//! Knows how to start and stop things. Refuses to assert: the tests do.

pub mod bed;
pub mod fleet;
pub mod oracles;
pub mod plane;
pub mod process;
pub mod repo;
pub mod soak;
pub mod tree;
pub mod wait;
