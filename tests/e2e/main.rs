//! End to end: the real binaries on real hosts, as a person uses them.

mod by_hand;
mod main_job;
