//! How a program is to be solved, and what came of it.
//!
//! Knows limits and answers. Refuses to know a solver.
//!
//! An answer says whether it is proven, what bounds it, and whether a clock ended it. With a gap of
//! 0.99 an objective of whole numbers is proven as soon as nothing can be better by one.

use crate::place::problem::SolverChoice;

/// How to solve.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub solver: SolverChoice,
    /// Branch-and-bound nodes.
    pub nodes: u32,
    /// What is within so much of the best is as good as it, see [`WHOLE`] and [`EXACT`].
    #[cfg_attr(not(feature = "highs"), expect(dead_code, reason = "microlp proves exactly"))]
    pub gap: f64,
    /// Wall-clock limit. It makes the answer depend on the machine.
    pub seconds: Option<f64>,
}

/// The gap of an objective that takes whole numbers only: what is less than 1 apart is the same.
pub(crate) const WHOLE: f64 = 0.99;

/// The gap of any other objective.
pub(crate) const EXACT: f64 = 1e-6;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// A solution.
    Found(Found),
    /// There is none.
    Infeasible,
    /// The search ended, or failed, without one.
    Stopped {
        /// A clock ended it.
        late: bool,
    },
}

impl Answer {
    /// Whether a clock ended the search: another run may answer otherwise.
    pub(crate) fn is_late(&self) -> bool {
        match self {
            Self::Found(found) => found.late,
            Self::Infeasible => false,
            Self::Stopped { late } => *late,
        }
    }

    /// The same after another search, which a clock may have ended.
    pub(super) fn after(mut self, other: &Self) -> Self {
        match &mut self {
            Self::Found(Found { late, .. }) | Self::Stopped { late } => *late |= other.is_late(),
            Self::Infeasible => {}
        }
        self
    }
}

/// A solution.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// One value a column.
    pub values: Vec<f64>,
    /// Nothing is better.
    pub optimal: bool,
    /// No solution has a lower objective than this.
    pub bound: f64,
    /// Who found it.
    pub by: &'static str,
    /// A clock ended the search.
    pub late: bool,
}

/// The optimum of a linear program, with duals.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LinearOptimum {
    /// One value a column.
    pub values: Vec<f64>,
    /// By how much the objective grows for one more of each row's limit: at most 0 for `at_most`,
    /// at least 0 for a lower limit.
    pub duals: Vec<f64>,
    /// The objective there.
    pub objective: f64,
}

/// There is no optimum with duals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoDuals {
    /// A clock ended the search.
    pub late: bool,
}
