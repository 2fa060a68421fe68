//! Why things are where they are.
//!
//! Knows a finished placement. Refuses to change it.
//!
//! A search keeps no reasons, since most of what it tries is thrown away; they are found out for
//! the one placement that is answered. The words stand in one place each, so that `plan`, `explain`
//! and errors say the same.

pub mod amount;
pub mod gain;
pub mod held;
pub mod levels;
pub mod outcome;
pub mod overfull;
pub mod reason;
pub mod reclaimable;
pub mod retained;
pub mod verdict;
pub mod violation;
