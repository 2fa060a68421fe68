//! The problem in numbers, and a placement under construction.
//!
//! Knows exactly what fits where, in integers. Refuses to know what would be good, and any search.
//!
//! Names are turned into positions once, so that the storeys above compare numbers and the order of
//! the input has no effect. Whoever wants to know whether `db` fits on `n1` asks
//! `PartialPlacement::fits`, and nobody else computes it.

pub mod build;
pub mod filter;
pub mod first_reason;
pub mod gpu_allocation;
pub mod gpu_bound;
pub mod gpu_claim;
pub mod gpu_packing;
pub mod gpu_patterns;
pub mod gpu_request;
pub mod gpu_search;
pub mod index;
pub mod indices;
pub mod links;
pub mod node;
pub mod overcommit;
pub mod partial;
pub mod placed_instance;
pub mod retained;
pub mod service;
