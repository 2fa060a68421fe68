//! Remedies for what does not fit.
//!
//! Knows which changes a person could make. Refuses to suggest what was not seen to work.

pub mod budget;
pub mod candidates;
pub mod combined;
pub mod confirm;
pub mod edit;
pub mod headroom;
pub mod minimize;
pub mod multi_node;
pub mod new_node;
pub mod subproblem;
pub mod suggest;
pub mod wording;
