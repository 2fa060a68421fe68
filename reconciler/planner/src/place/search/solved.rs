//! The best placement of a finished search, and what is known about better ones.
//!
//! Knows one placement and three bounds. Refuses to know how they were found.
//!
//! It is what the search hands up: explanations say of each level whether its bound is met, and a
//! bound that is met is a proof.

use crate::place::model::partial::PartialPlacement;

/// The best placement found, and what is known about better ones.
pub(crate) struct Solved<'f> {
    pub partial: PartialPlacement<'f>,
    /// Of each level: no placement that places as much above places more here.
    pub bounds: Vec<u32>,
    /// No placement that places as much has a lower migration cost.
    pub migration_bound: u64,
    /// No placement that places as much with as few moves has a lower score.
    pub score_bound: u64,
}
