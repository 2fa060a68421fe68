//! Apply: a plan's steps, in the order of its graph, on the agents that own them.
//!
//! Knows when a step may be sent, what its end means for the others, and how long to wait for an
//! agent. Refuses to decide anything that the plan left open: it left nothing open.

mod frontier;
mod walk;

pub use frontier::{Frontier, Progress};
pub use walk::{Evidence, Limits, Outcome, Progression, Stop, spared, walk};
