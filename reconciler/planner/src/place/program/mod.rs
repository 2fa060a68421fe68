//! Integer and linear programs: how constraints become rows, and what a solver makes of them.
//!
//! Knows bounds and optima. Refuses to know which method is tried when.
//!
//! The search above asks for one program at a time, with some nodes in it and a goal. A problem of
//! up to 600 pairs of service and node is one program with a proof; a larger one is many small
//! ones.

pub(super) mod answer;
pub(super) mod by_highs;
pub(super) mod by_microlp;
pub(super) mod column_generation;
pub(super) mod formulation;
pub(super) mod linear_model;
pub(super) mod lp_form;
pub(super) mod mip_start;
pub(super) mod refine;
pub(super) mod relaxation;
pub(super) mod scaling;
pub(super) mod solver;
