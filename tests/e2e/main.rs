//! End to end: the real binaries on real hosts, as a person uses them.

#![allow(unreachable_pub, reason = "modules of a test are seen by that test alone")]

mod bad_version;
mod by_hand;
mod logs;
mod machines;
mod main_job;
mod restarts;
mod run_once;
mod stack;
