//! The problem in numbers, and a placement under construction.
//!
//! Knows exactly what fits where, in integers. Refuses to know what would be good, and any search.
//!
//! Names are turned into positions once, so that the storeys above compare numbers and the order of
//! the input has no effect. Whoever wants to know whether `db` fits on `n1` asks
//! `PartialPlacement::fits`, and nobody else computes it.

pub(super) mod build;
pub(super) mod filter;
pub(super) mod first_reason;
pub(super) mod gpu_allocation;
pub(super) mod gpu_bound;
pub(super) mod gpu_claim;
pub(super) mod gpu_packing;
pub(super) mod gpu_patterns;
pub(super) mod gpu_request;
pub(super) mod gpu_search;
pub(super) mod index;
pub(super) mod indices;
pub(super) mod links;
pub(super) mod node;
pub(super) mod overcommit;
pub(super) mod partial;
pub(super) mod placed_instance;
pub(super) mod retained;
pub(super) mod service;
