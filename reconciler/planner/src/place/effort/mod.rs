//! What a search may spend, and who may end it.
//!
//! Knows counts of work and the watch. Refuses to know what the work is for.

pub mod interrupt;
pub mod spent;
