//! Integer and linear programs: how constraints become rows, and what a solver makes of them.
//!
//! Knows bounds and optima. Refuses to know which method is tried when.
//!
//! The search above asks for one program at a time, with some nodes in it and a goal. A problem of
//! up to 600 pairs of service and node is one program with a proof; a larger one is many small
//! ones.

pub mod answer;
pub mod by_highs;
pub mod by_microlp;
pub mod column_generation;
pub mod formulation;
pub mod linear_model;
pub mod lp_form;
pub mod mip_start;
pub mod refine;
pub mod relaxation;
pub mod scaling;
pub mod solver;
