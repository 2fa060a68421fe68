//! End to end: the real binaries on real hosts, as a person uses them.

mod main_job;
