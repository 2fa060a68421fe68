//! Why things are where they are.
//!
//! Knows a finished placement. Refuses to change it.
//!
//! A search keeps no reasons, since most of what it tries is thrown away; they are found out for
//! the one placement that is answered. The words stand in one place each, so that `plan`, `explain`
//! and errors say the same.

pub(super) mod amount;
pub(super) mod gain;
pub(super) mod held;
pub(super) mod levels;
pub(super) mod outcome;
pub(super) mod overfull;
pub(super) mod reason;
pub(super) mod reclaimable;
pub(super) mod retained;
pub(super) mod verdict;
pub(super) mod violation;
