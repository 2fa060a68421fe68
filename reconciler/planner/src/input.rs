//! Everything a plan depends on.
//!
//! Knows what is given. Refuses to fetch anything: time, revision and secrets' versions are told.

use std::collections::BTreeMap;

use devnet_catalog::Catalog;
use devnet_schema::{
    desired::DesiredState, fleet::FleetSnapshot, instance::Generation, name::InstanceId,
    plan_options::PlanOptions,
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
    /// What was asked for. Its limit of time is the caller's to keep ([`crate::plan_paced`]).
    pub options: PlanOptions,
    /// What is done unasked.
    pub policy: Policy,
    /// How much work placement may spend.
    pub limits: Limits,
    /// RFC 3339; copied into the plan.
    pub created_at: &'a str,
}

/// What is done without having been asked for, and what is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Destroy what runs and is not declared. Off, it stays and a warning names it. A plan made by
    /// hand has it on; an unattended one follows `sync prune=`.
    pub prune: bool,
    /// Put right what changed by itself. Off, it is reported as drift only. A plan made by hand has
    /// it on; an unattended one follows `sync self-heal=`.
    pub self_heal: bool,
    /// Not these instances; what depends on them is the caller's to name.
    pub held: Vec<InstanceId>,
}

impl Default for Policy {
    /// That of a plan made by hand.
    fn default() -> Self {
        Self { prune: true, self_heal: true, held: Vec::new() }
    }
}
