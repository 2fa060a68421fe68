//! Integer and linear programs: how constraints become rows, and what a solver makes of them.
//!
//! Knows bounds and optima. Refuses to know which method is tried when.

pub mod column_generation;
pub mod formulation;
pub mod mip_start;
pub mod relaxation;
pub mod scaling;
pub mod solver;
