//! The search for the best placement.
//!
//! Knows which method is tried when. Refuses to say why a result is what it is.

pub mod construct;
pub mod ejection_chain;
pub mod fixpoint;
pub mod large_neighborhood;
pub mod local;
pub mod rebalance;
pub mod retention;
pub mod strategy;
