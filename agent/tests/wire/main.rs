//! The agent against a control plane of a few lines: joining, and everything said afterwards.

mod join;
mod plane;
mod session;
