//! Placement as a document: where every instance goes, how good that is, and why what did not fit
//! did not. The JSON form is the one other programs rely on (docs/cli.md).
//!
//! Knows answers. Refuses to know how they were found.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use crate::{
    name::{InstanceId, NodeName, ServiceName},
    quantity::Bytes,
};

/// What an instance uses of one GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpuUse {
    /// UUID of the device.
    pub id: String,
    /// Thousandths of the device; 1000 is the whole of it. 0 for a memory slice.
    pub share_milli: u32,
    /// Memory slice; zero for whole devices and shares.
    #[serde(default)]
    pub memory: Bytes,
}

impl Eq for GpuUse {}

/// One instance and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Which instance.
    pub instance: InstanceId,
    /// Where.
    pub node: NodeName,
    /// On which devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuUse>,
    /// Why here, in a few words.
    pub reason: String,
}

/// How far the answer is known to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlacementStatus {
    /// Proven: no placement is better at any level.
    Optimal,
    /// Everything is placed; a better score may exist.
    Feasible,
    /// Something did not fit.
    Infeasible,
}

/// What makes one complete placement better than another, and so what the score measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Even use of cpu and memory over the nodes.
    #[default]
    Balance,
    /// As few nodes as possible.
    Pack,
}

/// One priority level of the objective. What is neither placed nor waits has no node: `unplaced`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorityLevel {
    /// The priority, 0 to 100.
    pub priority: u8,
    /// Instances asked for, those that wait among them.
    #[serde(default)]
    pub wanted: u32,
    /// Instances placed.
    pub placed: u32,
    /// Of those that are not placed, the ones that keep running where they are all the same.
    #[serde(default)]
    pub kept: u32,
    /// Instances whose data is on a node that is lost.
    #[serde(default)]
    pub waiting_for_data: u32,
    /// Instances of services that depend on one without any place.
    #[serde(default)]
    pub waiting_for_service: u32,
    /// No placement places more than this.
    pub bound: u32,
    /// Whether `placed` is proven to be the most possible.
    pub proven: bool,
    /// What `bound` takes for granted though a person could change it, as `data stays where it
    /// is`; absent where nothing of the kind matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assumes: Option<String>,
}

/// A running instance that stops because no node has room for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eviction {
    /// Which.
    pub instance: InstanceId,
    /// Where it runs until then.
    pub node: NodeName,
    /// Who takes its room there, where that is one instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<InstanceId>,
    /// Why, in a few words: `makes room for service.p[0] (priority 90)`.
    pub reason: String,
}

/// The answer of the solver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacementReport {
    /// How far it is known to be right.
    pub status: PlacementStatus,
    /// Instances that no node has room for, the evicted and the kept among them.
    pub unplaced: u32,
    /// Running instances that change node.
    pub moves: u32,
    /// Running instances that stop because no node has room for them.
    #[serde(default)]
    pub evicted: u32,
    /// Running instances that no node has room for and that keep running where they are, since
    /// stopping them would make room for nothing.
    #[serde(default)]
    pub kept: u32,
    /// Of what does not stay placed where it runs, so many no placement can avoid.
    #[serde(default)]
    pub moves_bound: u32,
    /// Instances that stay on their node and restart, on other GPUs, to make room there.
    #[serde(default)]
    pub restarts: u32,
    /// The price of what does not stay placed where it runs, moved, evicted or kept, and of what
    /// restarts: 1 each, 100 where data is left behind.
    #[serde(default)]
    pub move_cost: u64,
    /// No placement that places as much has a lower price.
    #[serde(default)]
    pub move_cost_bound: u64,
    /// Whether the price is proven to be the lowest, that of the moves in `gains`, which were
    /// asked for, left aside.
    #[serde(default)]
    pub moves_proven: bool,
    /// What the score measures.
    #[serde(default)]
    pub objective: Objective,
    /// The score reached (lower is better).
    pub cost: f64,
    /// No placement that places as much and moves as little has a lower score than this.
    pub bound: f64,
    /// `(cost - bound) / cost`, 0 when proven.
    pub gap: f64,
    /// Whether the score is proven to be the best.
    #[serde(default)]
    pub score_proven: bool,
    /// Wall time of the solver; absent until someone with a clock measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The limit of time that was asked for, in seconds; absent where there was none. Set by
    /// whoever held the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solve_limit: Option<f64>,
    /// Whether that limit ended the search: made again, the placement may differ.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
    /// Which solver answered.
    pub solver: String,
    /// Every placed instance, sorted.
    pub assignments: Vec<Assignment>,
    /// Highest priority first.
    pub levels: Vec<PriorityLevel>,
    /// Every eviction, sorted by instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evictions: Vec<Eviction>,
    /// What did not fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub infeasible: Vec<Unplaceable>,
    /// Moves beyond the needed ones that were asked for, in the order in which they were chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gains: Vec<Gain>,
    /// What each stage of the search did, in order; empty unless it was asked for. It is no part of
    /// what a plan's id is made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<SearchStage>,
}

/// What one stage of the search for a placement did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchStage {
    /// The search that it belongs to, from 1: a problem is searched again where running instances
    /// keep what they have, or where more could be placed from the answer before.
    pub round: u32,
    /// Its name: `ejection chains`, `one program of everything`.
    pub stage: String,
    /// What it may spend, for people: `5,000 nodes of branch and bound`.
    pub effort: String,
    /// The priority that it was about; absent where it is about all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Whether it was about what keeps running without a place at that priority.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retained: bool,
    /// Integer programs that it solved.
    pub programs: u32,
    /// Before it.
    pub before: SearchStanding,
    /// After it.
    pub after: SearchStanding,
}

/// How good the best placement is at one moment of the search. What is retained is counted as
/// placed, and has a migration cost until it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SearchStanding {
    /// Instances placed.
    pub placed: u32,
    /// No placement places more, as far as is known.
    pub bound: u32,
    /// The price of the moves.
    pub move_cost: u64,
    /// The score; lower is better.
    pub score: f64,
}

/// A move that nothing forces: it makes the score better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// Who moves.
    pub instance: InstanceId,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// By how much the score falls with it.
    pub gain: f64,
    /// The part of that which comes from `prefer` lines; the rest is evenness, or nodes in use.
    /// Negative where the move meets fewer of them.
    #[serde(default)]
    pub from_prefer: f64,
    /// The score before it.
    pub before: f64,
    /// The score after it; lower is better.
    pub after: f64,
}

impl PlacementReport {
    /// The report of a plan for which nothing was solved: nothing is claimed to be proven.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            status: PlacementStatus::Feasible,
            unplaced: 0,
            moves: 0,
            evicted: 0,
            restarts: 0,
            kept: 0,
            moves_bound: 0,
            move_cost: 0,
            move_cost_bound: 0,
            moves_proven: false,
            objective: Objective::default(),
            cost: 0.0,
            bound: 0.0,
            gap: 0.0,
            score_proven: false,
            seconds: None,
            solve_limit: None,
            cut_short: false,
            solver: "none".to_owned(),
            assignments: Vec::new(),
            levels: Vec::new(),
            evictions: Vec::new(),
            infeasible: Vec::new(),
            gains: Vec::new(),
            search: Vec::new(),
        }
    }
}

/// A service that did not fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unplaceable {
    /// Which service.
    pub service: ServiceName,
    /// Where it is declared, `file:line:column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// How many of its instances have no node.
    pub unplaced: u32,
    /// Every node, and everything that speaks against it.
    pub nodes: Vec<NodeViolations>,
    /// Remedies, cheapest first.
    pub suggestions: Vec<Suggestion>,
}

/// Up to so many nodes, people are told what speaks against each of them; of more, what speaks
/// against how many.
const TOLD_ONE_BY_ONE: usize = 8;

/// One reason, and the nodes that it speaks against.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedViolation<'a> {
    /// The reason; of several that differ by their numbers, that of the first node.
    pub violation: &'a Violation,
    /// In the order of the list, one at least.
    pub nodes: Vec<&'a NodeName>,
    /// Whether the text is the same for all of them.
    pub same: bool,
}

impl SharedViolation<'_> {
    /// `172 nodes (n1, n2, n3, …): requires tag `nvme``, or with the first node's numbers
    /// `27 nodes, n7 for one: needs 6GiB of memory, 4GiB free: 2GiB short`.
    pub fn text(&self) -> String {
        let (count, first, text) = (self.nodes.len(), self.nodes[0], &self.violation.text);
        if count == 1 {
            return format!("{first}: {text}");
        }
        if !self.same {
            return format!("{count} nodes, {first} for one: {text}");
        }
        let named: Vec<&str> = self.nodes.iter().take(3).map(|node| node.as_str()).collect();
        let more = if count > named.len() { ", …" } else { "" };
        format!("{count} nodes ({}{more}): {text}", named.join(", "))
    }
}

impl Unplaceable {
    /// What speaks against how many nodes, the commonest first, where there are too many nodes to
    /// tell of each: [`Unplaceable::nodes`] has all of it.
    pub fn shared(&self) -> Option<Vec<SharedViolation<'_>>> {
        if self.nodes.len() <= TOLD_ONE_BY_ONE {
            return None;
        }
        let mut shared: BTreeMap<(&str, Option<&str>), SharedViolation<'_>> = BTreeMap::new();
        for NodeViolations { node, violations } in &self.nodes {
            for violation in violations {
                let key = (violation.constraint.as_str(), violation.at.as_deref());
                let group = shared.entry(key).or_insert_with(|| SharedViolation {
                    violation,
                    nodes: Vec::new(),
                    same: true,
                });
                group.same &= group.violation.text == violation.text;
                if group.nodes.last() != Some(&node) {
                    group.nodes.push(node);
                }
            }
        }
        let mut all: Vec<_> = shared.into_values().collect();
        all.sort_by_key(|group| Reverse(group.nodes.len()));
        Some(all)
    }
}

/// What speaks against one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeViolations {
    /// The node.
    pub node: NodeName,
    /// All of them, not the first.
    pub violations: Vec<Violation>,
}

/// One constraint that a node does not meet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// Which: `cpu`, `memory`, `disk`, `gpu`, `gpu-memory`, `port`, `tag`, `zone`, `pin`, `cordon`,
    /// `runtime`, …
    pub constraint: String,
    /// How much is needed, in cores, bytes or devices, where it is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need: Option<f64>,
    /// How much is free, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<f64>,
    /// How much the node has of it when nothing runs there, in the same unit; of GPU memory, its
    /// largest device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<f64>,
    /// Whether nothing that runs there could give that much up: the node has to be given it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub give: bool,
    /// Where the constraint is written, `file:line:column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The line of the file that would have to go, in short: `require tag=ssd`, `pin`; nothing
    /// where no line is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The same for people: `needs 4GiB of memory, 1.2GiB free`.
    pub text: String,
}

/// A remedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// For people: `move service.redis[0] from vega to hypervisor`.
    pub text: String,
    /// What it is thought to cost; only for sorting.
    pub cost: f64,
    /// Whether placing again with it was tried and worked.
    pub verified: bool,
    /// For programs.
    pub edits: Vec<Edit>,
}

/// One change that a suggestion makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Edit {
    /// Move a running instance.
    Move {
        /// Which.
        instance: InstanceId,
        /// From where.
        from: NodeName,
        /// To where.
        to: NodeName,
    },
    /// Drop a constraint; of `port`, take another port of the node.
    Drop {
        /// Which kind.
        constraint: String,
        /// Of which service.
        service: ServiceName,
        /// Where it is written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
    },
    /// Free a resource of a node.
    Free {
        /// Which node.
        node: NodeName,
        /// `cpu`, `memory`, `disk`, `gpu`, or on one device `gpu-memory` or `gpu-share`.
        resource: String,
        /// How much: MiB of memory, disk or GPU memory, milli-cores, devices, or thousandths of
        /// one.
        amount: u64,
    },
    /// Give a node more than it has when it is empty.
    Raise {
        /// Which node.
        node: NodeName,
        /// `cpu`, `memory`, `disk` or `gpu`.
        resource: String,
        /// How much more, in the same units.
        amount: u64,
        /// Memory of each GPU, where the node has none that would do.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gpus: Vec<Bytes>,
        /// The model of these, where only some will do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpu_model: Option<String>,
    },
    /// Let a cordoned node take instances again.
    Uncordon {
        /// Which.
        node: NodeName,
    },
    /// Add a node.
    AddNode {
        /// Cores.
        cpu: f64,
        /// Memory.
        memory: Bytes,
        /// Disk; zero where none is asked for.
        #[serde(default)]
        disk: Bytes,
        /// Memory of each GPU it needs.
        gpus: Vec<Bytes>,
        /// The model of these, where only some will do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpu_model: Option<String>,
        /// What it must be able to run, where not every node is: `docker`, `process`, `kubernetes`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runtime: Option<String>,
        /// The tags it must be given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<String>,
        /// The zone that it must stand in, where that matters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zone: Option<String>,
    },
}
