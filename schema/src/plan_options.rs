//! What one may ask of a plan.
//!
//! Knows the flags of `plan` and `apply`, as the command line, the API and the planner spell them,
//! and their bounds. Refuses to know what an unattended plan does: the planner's policy says that.

use serde::{Deserialize, Serialize};

/// The flags of `plan` and `apply` that change the plan itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanOptions {
    /// Plan the destruction of everything.
    pub destroy: bool,
    /// Only these addresses (`service.db`, `service.api[2]`, `node.atlas`) and what they depend on;
    /// when destroying, and what depends on them. Empty means everything.
    pub target: Vec<String>,
    /// Not these addresses, nor what depends on them.
    pub exclude: Vec<String>,
    /// Destroy and create these even when nothing changed.
    pub replace: Vec<String>,
    /// Stop and start these again, as they are declared.
    pub restart: Vec<String>,
    /// What does not fit is a warning and the rest is planned.
    pub allow_unplaced: bool,
    /// Report drift, change nothing.
    pub refresh_only: bool,
    /// Moves beyond the needed ones, at most, that make the cluster more even; at most
    /// [`MAX_MOVES`].
    pub max_moves: u32,
    /// Report what each stage of the search for a placement did.
    pub explain_search: bool,
    /// End the search for a placement after so many milliseconds, at most [`MAX_SOLVE_LIMIT_MS`];
    /// the answer may then depend on the machine. [`SOLVE_LIMIT_MS`] without it.
    pub solve_limit_ms: Option<u64>,
}

/// The most moves beyond the needed ones that are looked for at once.
pub const MAX_MOVES: u32 = 1000;

/// The limit of a search for a placement that nobody set one for: a minute, in milliseconds.
pub const SOLVE_LIMIT_MS: u64 = 60_000;

/// The longest limit of a search for a placement: an hour, in milliseconds.
pub const MAX_SOLVE_LIMIT_MS: u64 = 3_600_000;
