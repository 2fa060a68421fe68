//! The problem in numbers: nodes, services, where each may be, and a placement under construction.
//!
//! Knows exactly what fits. Refuses to know what would be good, and any search.

pub mod filter;
pub mod gpu_allocation;
pub mod gpu_packing;
pub mod gpu_patterns;
pub mod index;
pub mod indices;
pub mod overcommit;
pub mod partial;
