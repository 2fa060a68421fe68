//! The search for the best placement.
//!
//! Knows which method is tried when. Refuses to say why a result is what it is.
//!
//! Quick methods come first and dear ones only where a bound says that more could be placed. An
//! empty fleet of five nodes is placed by one greedy run and proven by one program.

pub mod beside;
pub mod construct;
pub mod displaced;
pub mod ejection_chain;
pub mod fixpoint;
pub mod large_neighborhood;
pub mod level;
pub mod local;
pub mod locks;
pub mod migration;
pub mod rebalance;
pub mod retention;
pub mod score;
pub mod shift;
pub mod solved;
pub mod stage;
pub mod start;
pub mod state;
pub mod strategy;
pub mod style;
pub mod swap;
pub mod trial;
pub mod whole;
