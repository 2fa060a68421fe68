//! Why things are where they are.
//!
//! Knows a finished placement. Refuses to change it.

pub mod reason;
pub mod verdict;
pub mod violation;
