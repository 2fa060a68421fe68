//! The plan: one document that the terminal, CI, the API and the web UI all print.
//!
//! Knows what will change, why, and in which order, and leaves nothing to decide. Refuses to hold
//! a secret's value, a clock reading that it was not given, or anything that depends on order of
//! hashing: the same input gives the same bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    diagnostic::Diagnostic,
    digest::Digest,
    instance::InstanceSpec,
    name::{ClusterName, InstanceId, NodeName},
    placement::PlacementReport,
    step::Step,
};

/// The version of this document's shape.
pub const FORMAT_VERSION: &str = "1.0";

/// What a plan was made from. Apply refuses when a part has moved, and names it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanBasis {
    /// The commit, or the digest of files that are no commit.
    pub revision: String,
    /// Digest of the catalog.
    pub catalog: String,
    /// Digest of the nodes: names, facts that placement reads, tags and status.
    pub inventory: String,
    /// Digest of what was observed: instances, nodes, generations, digests and states.
    pub observed: String,
    /// Versions of the secrets that the plan refers to.
    pub secrets: BTreeMap<String, u64>,
}

/// What [`PlanBasis::moved`] calls the instances that were seen.
pub const WHAT_RUNS: &str = "what runs";

impl PlanBasis {
    /// The parts of `self` that differ in `now`, by the names people know them by.
    pub fn moved(&self, now: &Self) -> Vec<&'static str> {
        let Self { revision, catalog, inventory, observed, secrets } = self;
        [
            (*revision != now.revision, "the configuration"),
            (*catalog != now.catalog, "the catalog"),
            (*inventory != now.inventory, "the nodes"),
            (*observed != now.observed, WHAT_RUNS),
            (*secrets != now.secrets, "the secrets"),
        ]
        .into_iter()
        .filter_map(|(moved, name)| moved.then_some(name))
        .collect()
    }
}

/// What happens to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It starts for the first time.
    Create,
    /// Its unit is made anew on the same node with other content.
    Update,
    /// It is destroyed and created because a change cannot be made in place.
    Replace,
    /// It goes to another node.
    Move,
    /// It goes away.
    Delete,
    /// It runs as declared.
    Noop,
    /// It no longer belongs to devnet but is left running.
    Forget,
}

/// One instance and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which instance.
    pub instance: InstanceId,
    /// What happens.
    pub action: Action,
    /// Where it will be; where it was, for a deletion.
    pub node: NodeName,
    /// Where it was, for a move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<NodeName>,
    /// Why, as a clause: `the image changed`, `atlas is drained`.
    pub reason: String,
    /// The fields that force a replacement, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forces_replacement: Vec<String>,
    /// Unified diff of the rendered unit; empty when nothing is known of what ran before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
    /// What runs, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<InstanceSpec>>,
    /// What will run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Box<InstanceSpec>>,
}

impl Change {
    /// Whether it takes away or replaces an instance of a service that stays. The end of a second
    /// copy, whose instance has a place in `placement`, takes nothing away; and where the whole
    /// service goes, nothing of it is spared.
    pub fn touches_what_stays(&self, placement: &PlacementReport) -> bool {
        let placed = || placement.assignments.iter().map(|it| &it.instance);
        match self.action {
            Action::Update | Action::Replace | Action::Move => true,
            Action::Delete => {
                placed().any(|it| it.service == self.instance.service)
                    && !placed().any(|it| *it == self.instance)
            }
            Action::Create | Action::Noop | Action::Forget => false,
        }
    }

    /// Whether it makes again what should run already: the content does not change.
    pub fn repairs(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => self.action == Action::Update && before == after,
            _ => false,
        }
    }
}

/// Something that is not as it was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Which instance.
    pub instance: InstanceId,
    /// Where.
    pub node: NodeName,
    /// What is different: `exited with code 137`, `state unknown: gamma is offline`.
    pub what: String,
}

/// How many instances each action is for. A replacement counts in `add` and in `destroy`; a move
/// counts in `moved` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Created, replacements included.
    pub add: u32,
    /// Updated in place.
    pub change: u32,
    /// Destroyed, replacements included.
    pub destroy: u32,
    /// Moved.
    pub moved: u32,
    /// Forgotten.
    pub forget: u32,
}

impl Summary {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT_VERSION`].
    pub format_version: String,
    /// Digest of everything else in it; what `apply` is asked to run.
    pub id: Digest,
    /// Which cluster.
    pub cluster: ClusterName,
    /// RFC 3339, given by the caller; no part of `id`.
    #[serde(default)]
    pub created_at: String,
    /// What it was made from.
    pub basis: PlanBasis,
    /// Every instance with an action other than `Noop`, sorted by instance.
    pub changes: Vec<Change>,
    /// Instances that stay as they are.
    pub unchanged: u32,
    /// What is not as it was left.
    pub drift: Vec<Drift>,
    /// What is declared, would be looked after by this plan, and stays as it is because its node
    /// cannot be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreached: Vec<Drift>,
    /// In an order that respects `after`.
    pub steps: Vec<Step>,
    /// Where everything goes.
    pub placement: PlacementReport,
    /// How many of each.
    pub summary: Summary,
    /// Warnings, and errors when it must not be applied.
    pub diagnostics: Vec<Diagnostic>,
}

impl Plan {
    /// One that changes nothing and knows nothing yet; `id` is the digest of the empty text.
    #[must_use]
    pub fn empty(cluster: ClusterName, created_at: String) -> Self {
        Self {
            format_version: FORMAT_VERSION.to_owned(),
            id: Digest::from(String::new()),
            cluster,
            created_at,
            basis: PlanBasis::default(),
            changes: Vec::new(),
            unchanged: 0,
            drift: Vec::new(),
            unreached: Vec::new(),
            steps: Vec::new(),
            placement: PlacementReport::nothing(),
            summary: Summary::default(),
            diagnostics: Vec::new(),
        }
    }

    /// What is declared and is not there as declared even once this plan was applied, a clause
    /// each: out of reach, not put right, or without a place. Empty when all is.
    pub fn missing(&self) -> Vec<String> {
        let told =
            |one: &Drift| format!("{} on {}: {}", one.instance.address(), one.node, one.what);
        let mut missing: Vec<String> = self.unreached.iter().map(told).collect();
        let left = |one: &&Drift| {
            let same = |other: &Drift| other.instance == one.instance && other.node == one.node;
            !self.changes.iter().any(|change| change.instance == one.instance)
                && !self.unreached.iter().any(same)
                && self
                    .placement
                    .assignments
                    .iter()
                    .any(|it| it.instance == one.instance && it.node == one.node)
        };
        missing.extend(self.drift.iter().filter(left).map(told));
        let unplaced = self.placement.unplaced;
        if unplaced > 0 {
            missing.push(format!("instances that no node has room for: {unplaced}"));
        }
        let levels = self.placement.levels.iter();
        let waiting: u32 = levels.map(|level| level.waiting_for_service).sum();
        if waiting > 0 {
            // Of an instance that several nodes claim nothing is decided: nor of its service.
            let disputed = self.diagnostics.iter().any(|it| it.code == "DN-W0612");
            let or = if disputed { " or whose node is in doubt (DN-W0612)" } else { "" };
            missing
                .push(format!("instances that wait for a service without a place{or}: {waiting}"));
        }
        missing
    }

    /// Whether it may be applied: nothing in it is an error.
    pub fn is_applicable(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}
