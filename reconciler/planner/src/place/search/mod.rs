//! The search for the best placement.
//!
//! Knows which method is tried when. Refuses to say why a result is what it is.
//!
//! Quick methods come first and dear ones only where a bound says that more could be placed. An
//! empty fleet of five nodes is placed by one greedy run and proven by one program.

pub(super) mod beside;
pub(super) mod construct;
pub(super) mod displaced;
pub(super) mod ejection_chain;
pub(super) mod fixpoint;
pub(super) mod large_neighborhood;
pub(super) mod level;
pub(super) mod local;
pub(super) mod locks;
pub(super) mod migration;
pub(super) mod rebalance;
pub(super) mod retention;
pub(super) mod score;
pub(super) mod shift;
pub(super) mod solved;
pub(super) mod stage;
pub(super) mod start;
pub(super) mod state;
pub(super) mod strategy;
pub(super) mod style;
pub(super) mod swap;
pub(super) mod trial;
pub(super) mod whole;
