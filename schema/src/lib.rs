//! The words of devnet: what people write, what planners decide, what agents are told and report.
//!
//! Knows types, their text forms and their invariants. Refuses to know time, files, networks,
//! randomness and order of hashing: everything here is a pure function of its arguments.

pub mod container;
pub mod diagnostic;
pub mod digest;
pub mod fleet;
pub mod instance;
pub mod name;
pub mod observed;
pub mod order;
pub mod placement;
pub mod plan;
pub mod plan_options;
pub mod quantity;
pub mod schedule;
pub mod secret;
pub mod step;
pub mod wire;

#[cfg(feature = "language")]
pub mod component;
#[cfg(feature = "language")]
pub mod compose;
#[cfg(feature = "language")]
pub mod desired;
#[cfg(feature = "language")]
pub mod file;
#[cfg(feature = "language")]
pub mod model;
#[cfg(feature = "language")]
pub mod overrides;
#[cfg(feature = "language")]
pub mod replicas;
#[cfg(feature = "language")]
pub mod template;
#[cfg(feature = "language")]
pub mod validate;
