//! The answer to a placement problem, as plain data, and its words for people.
//!
//! Knows what can be answered, and the document that other programs read. Refuses to know how it
//! is found.

use std::collections::BTreeMap;

use devnet_schema::{
    name::{InstanceId, NodeName},
    placement as document,
    placement::{
        GpuUse, Objective, PlacementReport, PlacementStatus, PriorityLevel, Unplaceable, Violation,
    },
};

use super::effort::trace::StageReport;

/// The answer: always the best placement found, complete or not. While it is being made, what is
/// retained has a name of its own beside its service ([`super::problem::InstanceKey`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<Id = InstanceId> {
    /// Every placed instance, and what keeps running as it is ([`Reason::Retained`]).
    pub assignments: BTreeMap<Id, Assignment>,
    /// Highest priority first.
    pub levels: Vec<PriorityLevel>,
    /// Instances that run now and do not stay on their node.
    pub moves: u32,
    /// Of those, the ones that no placement can leave where they are.
    pub moves_bound: u32,
    /// Instances that stay on their node and restart, on other devices, to make room.
    pub restarts: u32,
    /// The price of the moves and of these restarts.
    pub move_cost: u64,
    /// No placement that places as much has a lower price.
    pub move_cost_bound: u64,
    /// Whether the price is proven to be the lowest, that of the moves that were asked for
    /// ([`super::rebalance`]) left aside.
    pub moves_proven: bool,
    /// What the score measures.
    pub objective: Objective,
    /// The score reached, in millionths; lower is better.
    pub cost: u64,
    /// No placement that places as much with as few moves has a lower score.
    pub bound: u64,
    /// How far the answer is known to be right.
    pub status: PlacementStatus,
    /// What runs and has no place as it is declared, and why not where it runs.
    pub displaced: BTreeMap<Id, Displaced>,
    /// What its data holds where a line or the node's state is against it, and what that is.
    pub held: BTreeMap<InstanceId, Vec<Violation>>,
    /// Nodes on which what stays holds more than services may have there.
    pub overfull: Vec<Overfull>,
    /// What did not fit, by priority and name.
    pub unplaced: Vec<Unplaceable>,
    /// `none` where no integer program was needed, else `microlp`, `highs` or `highs+microlp`.
    pub solver: &'static str,
    /// Integer programs solved.
    pub ilps: u32,
    /// A clock ended the search ([`super::place_paced`]): another run may answer otherwise.
    pub cut_short: bool,
    /// What each stage of the search did, in order.
    pub search: Vec<StageReport>,
}

/// A node on which what stays holds more than services may have there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overfull {
    /// Which.
    pub node: NodeName,
    /// What it holds, for people: `5 cpu and 8GiB of memory`.
    pub holds: String,
    /// What there is of the same.
    pub of: String,
}

/// Why an instance without a place cannot be where it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Displaced {
    /// Who came there and took its room, with that one's priority.
    pub by: Option<(InstanceId, u8)>,
    /// What else speaks against it there: `a is being drained`.
    pub against: Vec<String>,
}

impl Displaced {
    /// In a few words, of one that stops.
    pub fn text(&self) -> String {
        let against = self.against.join(", ");
        let Some((other, priority)) = &self.by else {
            return match against.as_str() {
                "" => "gives way: no node has room for it".to_owned(),
                some => format!("gives way: {some}"),
            };
        };
        let more = if against.is_empty() { against } else { format!(", and {against}") };
        format!("makes room for {} (priority {priority}){more}", other.address())
    }
}

/// Where an instance goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The node.
    pub node: NodeName,
    /// Its devices, by id.
    pub gpus: Vec<GpuUse>,
    /// Why there.
    pub reason: Reason,
}

/// Why an instance is where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It runs there and nothing speaks against it.
    Stays,
    /// It runs there and stays although the node is given up, or cannot be reached.
    Held {
        /// Why it stays nevertheless.
        why: String,
    },
    /// It runs there, has no place anywhere as it is declared, and keeps what it has.
    Retained,
    /// It runs there and restarts, on other devices.
    ChangesDevices {
        /// Why not on its own: `GPU-a is for llm[0]`.
        why: String,
    },
    /// It is new.
    New {
        /// Why there: `the only node with room for it`; empty where nobody asked.
        why: String,
    },
    /// It was on another node.
    Moves {
        /// Which.
        from: NodeName,
        /// What drove it away.
        because: String,
    },
}

impl Reason {
    /// In a few words, for people.
    pub fn text(&self) -> String {
        match self {
            Self::Stays => "stays where it runs".to_owned(),
            Self::Held { why } => format!("stays: {why}"),
            Self::Retained => "keeps running without a place".to_owned(),
            Self::ChangesDevices { why } => format!("restarts on other GPUs of its node: {why}"),
            Self::New { why } if why.is_empty() => "new".to_owned(),
            Self::New { why } => format!("new; {why}"),
            Self::Moves { from, because } => format!("moves from {from}: {because}"),
        }
    }
}

impl<Id> Outcome<Id> {
    /// `(cost - bound) / cost`; 0 when the score is proven.
    pub fn gap(&self) -> f64 {
        if self.cost == 0 {
            return 0.0;
        }
        self.cost.saturating_sub(self.bound) as f64 / self.cost as f64
    }

    /// Instances without a node.
    pub fn missing(&self) -> u32 {
        self.unplaced.iter().map(|service| service.unplaced).sum()
    }

    /// Of the instances that do not stay, those that have another node.
    pub fn moved(&self) -> u32 {
        let moves = |place: &&Assignment| matches!(place.reason, Reason::Moves { .. });
        self.assignments.values().filter(moves).count() as u32
    }

    /// The same under other names.
    pub(super) fn named<To>(
        self,
        assignments: BTreeMap<To, Assignment>,
        displaced: BTreeMap<To, Displaced>,
    ) -> Outcome<To> {
        Outcome {
            assignments,
            levels: self.levels,
            moves: self.moves,
            moves_bound: self.moves_bound,
            restarts: self.restarts,
            move_cost: self.move_cost,
            move_cost_bound: self.move_cost_bound,
            moves_proven: self.moves_proven,
            objective: self.objective,
            cost: self.cost,
            bound: self.bound,
            status: self.status,
            displaced,
            held: self.held,
            overfull: self.overfull,
            unplaced: self.unplaced,
            solver: self.solver,
            ilps: self.ilps,
            cut_short: self.cut_short,
            search: self.search,
        }
    }
}

impl Outcome {
    /// The same as the document that other programs read.
    pub fn report(&self) -> PlacementReport {
        let moves = self.moved();
        PlacementReport {
            status: self.status,
            unplaced: self.missing(),
            moves,
            evicted: self.moves.saturating_sub(moves),
            restarts: self.restarts,
            kept: 0,
            moves_bound: self.moves_bound,
            move_cost: self.move_cost,
            move_cost_bound: self.move_cost_bound,
            moves_proven: self.moves_proven,
            objective: self.objective,
            cost: self.cost as f64 / 1e6,
            bound: self.bound as f64 / 1e6,
            gap: self.gap(),
            score_proven: self.cost == self.bound,
            seconds: None,
            solve_limit: None,
            cut_short: self.cut_short,
            solver: self.solver.to_owned(),
            assignments: self.assignments.iter().map(document_of).collect(),
            levels: self.levels.clone(),
            evictions: Vec::new(),
            infeasible: self.unplaced.clone(),
            gains: Vec::new(),
            search: Vec::new(),
        }
    }
}

fn document_of((instance, place): (&InstanceId, &Assignment)) -> document::Assignment {
    document::Assignment {
        instance: instance.clone(),
        node: place.node.clone(),
        gpus: place.gpus.clone(),
        reason: place.reason.text(),
    }
}
