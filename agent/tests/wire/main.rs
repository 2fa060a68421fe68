//! The agent against a control plane of a few lines: joining, and everything said afterwards.

#![allow(unreachable_pub, reason = "modules of a test are seen by that test alone")]

mod join;
mod plane;
mod session;
