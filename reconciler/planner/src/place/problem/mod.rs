//! The placement problem, as plain data.
//!
//! Knows what can be asked: integers in base units, lists in any order. Refuses to know files,
//! agents, or how an answer is found.
//!
//! Whoever wants a placement builds one of these: the planner from a cluster file and a fleet, a
//! bench from a recorded trace. The order of nodes and services has no effect.

mod constraint;
mod key;
mod lines;
mod node;
mod service;
mod written;

use std::collections::BTreeSet;

use devnet_schema::name::InstanceId;
pub use devnet_schema::placement::{
    Edit, GpuUse, NodeViolations, Objective, PlacementStatus, PriorityLevel, Suggestion,
    Unplaceable, Violation,
};

pub use constraint::Constraint;
pub use key::{InstanceKey, ServiceKey};
pub use lines::*;
pub use node::*;
pub use service::*;

/// Everything a placement depends on. The order of nodes and services does not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacementProblem {
    /// The machines; names are unique.
    pub nodes: Vec<NodeInput>,
    /// What is to run; names are unique.
    pub services: Vec<ServiceInput>,
    /// Who is not kept as it is, for others came for its room to a node that has too little: found
    /// while placing, and empty before.
    pub leaving: BTreeSet<InstanceId>,
    /// What makes one complete placement better than another.
    pub objective: Objective,
    /// How much work may be spent.
    pub limits: Limits,
}

/// How much work may be spent. There is no clock among them, so that the same problem has the
/// same answer on every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Put the score before the number of moves.
    pub rebalance: bool,
    /// Integer programs of one search at most, those for suggestions and for column generation not
    /// counted. Where something is left without a proof, the search is made again from its own
    /// answer until nothing more is placed: an unchanged problem keeps its placement.
    pub ilps: u32,
    /// Branch-and-bound nodes of one integer program.
    pub search_nodes: u32,
    /// Problems with at most this many pairs of service and node are solved whole, with a proof.
    pub whole_pairs: usize,
    /// How many remedies are tried for each service that does not fit; 0 to look for none.
    pub suggestions: u32,
    /// Which solver answers.
    pub solver: SolverChoice,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rebalance: false,
            ilps: 60,
            search_nodes: 5_000,
            whole_pairs: 600,
            suggestions: 12,
            solver: SolverChoice::Auto,
        }
    }
}

/// Which solver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SolverChoice {
    /// microlp for small models, HiGHS for the others where it is built in.
    #[default]
    Auto,
    /// HiGHS; falls back to microlp in a build without it.
    Highs,
    /// microlp.
    Microlp,
}
