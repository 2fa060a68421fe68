//! Everything a plan depends on.
//!
//! Knows what is given. Refuses to fetch anything: time, revision and secrets' versions are told.

use std::collections::BTreeMap;

use devnet_catalog::Catalog;
use devnet_schema::{
    desired::DesiredState, fleet::FleetSnapshot, instance::Generation, name::InstanceId,
};

use crate::place::Limits;

/// Everything a plan depends on. The same input gives the same plan, byte for byte; the order of
/// nodes and instances in the snapshot has no effect.
#[derive(Debug, Clone)]
pub struct PlanInput<'a> {
    /// What is wanted.
    pub desired: &'a DesiredState,
    /// What components are.
    pub catalog: &'a Catalog,
    /// What there is. Instances of nodes that are offline or lost stand in it as they were last
    /// seen: without them the planner would start them a second time. A node that could not be
    /// read in full is given as offline, for the same reason. Where it tells orders, what nobody
    /// ordered where it is seen is a stranger: nothing is done to it or because of it.
    pub fleet: &'a FleetSnapshot,
    /// The commit, or the digest of files that are no commit.
    pub revision: &'a str,
    /// The highest generation that was ever given out, by instance. What agents report counts too,
    /// within a bound, so an empty map after a loss of records is fine.
    pub generations: &'a BTreeMap<InstanceId, Generation>,
    /// What to plan.
    pub options: Options,
    /// RFC 3339; copied into the plan.
    pub created_at: &'a str,
}

/// What to plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Destroy what runs and is not declared. Off, it stays and a warning names it. A plan made by
    /// hand has it on; an unattended one follows `sync prune=`.
    pub prune: bool,
    /// Put right what changed by itself. Off, it is reported as drift only. A plan made by hand has
    /// it on; an unattended one follows `sync self-heal=`.
    pub self_heal: bool,
    /// Destroy everything.
    pub destroy: bool,
    /// Only these addresses (`service.db`, `service.api[2]`, `node.atlas`) and what they depend on;
    /// when destroying, and what depends on them. Empty means everything.
    pub target: Vec<String>,
    /// Not these addresses, nor what depends on them.
    pub exclude: Vec<String>,
    /// Not these instances; what depends on them is the caller's to name.
    pub held: Vec<InstanceId>,
    /// Destroy and create these even when nothing changed.
    pub replace: Vec<String>,
    /// What does not fit is a warning and the rest is planned.
    pub allow_unplaced: bool,
    /// Report drift, change nothing.
    pub refresh_only: bool,
    /// Moves beyond the needed ones, at most, where they make the cluster more even
    /// ([`crate::place::rebalance`]).
    pub extra_moves: u32,
    /// How much work placement may spend.
    pub limits: Limits,
}

impl Default for Options {
    /// What a plan made by hand does.
    fn default() -> Self {
        Self {
            prune: true,
            self_heal: true,
            destroy: false,
            target: Vec::new(),
            exclude: Vec::new(),
            held: Vec::new(),
            replace: Vec::new(),
            allow_unplaced: false,
            refresh_only: false,
            extra_moves: 0,
            limits: Limits::default(),
        }
    }
}
