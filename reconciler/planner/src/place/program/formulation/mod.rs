//! The integer program over some nodes: how many instances of each service go on each of them.
//!
//! Knows which columns there are and what each means. Refuses to tell replicas apart, and to decide
//! about nodes outside the program.
//!
//! Counting replicas instead of naming them halves the columns and removes their symmetry. Each
//! constraint stands in a file of its own, with its formula; nodes outside the program stay as they
//! are on the placement given.

pub(crate) mod affinity;
pub(crate) mod capacity;
pub(crate) mod floors;
pub(crate) mod gpu;
pub(crate) mod migration;
pub(crate) mod objective;
pub(crate) mod replicas;
pub(crate) mod retention;
pub(crate) mod score;
pub(crate) mod spread;
pub(crate) mod variables;

use std::collections::{BTreeMap, BTreeSet};

use super::{linear_model::Model, scaling::Row};
use crate::place::{
    ix::{NodeIx, PerService, ServiceIx},
    model::{index::IndexedProblem, partial::PartialPlacement, service::Candidate},
};

/// What one program decides and must keep.
pub(crate) struct Subproblem<'b, 'f> {
    /// What stays outside `nodes`; on `nodes` it is also the starting point.
    pub partial: &'b PartialPlacement<'f>,
    /// The nodes to decide about, ascending.
    pub nodes: Vec<NodeIx>,
    /// At least so many placed at a level, over all nodes.
    pub floors: Vec<(usize, u32)>,
    /// Moves on these nodes cost at most this.
    pub migration_cap: Option<u64>,
    /// The score of these nodes is at most this, in millionths.
    pub score_cap: Option<u64>,
    /// Nodes whose devices are told apart one by one.
    pub detailed: BTreeSet<NodeIx>,
    pub goal: Goal,
}

/// What is minimised.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Goal {
    /// Most placed, each level times its weight; and among those, most kept.
    Place { weights: Vec<u32>, keep: bool },
    /// What the placed instances are worth, told for each service; most is best.
    DualValue(PerService<f64>),
    /// The price of moves.
    Moves,
    /// The score.
    Score,
}

/// What a column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variable {
    /// Instances of a service on a node.
    Count { service: ServiceIx, node: NodeIx },
    /// Of those, the ones that were there before.
    Staying { service: ServiceIx, node: NodeIx },
    /// 1 where there is any.
    Present { service: ServiceIx, node: NodeIx },
    /// Instances (or whole devices) on one kind of device.
    OnKind { service: ServiceIx, node: NodeIx, kind: usize },
    /// Of the instances on some devices, the ones that had them before; told apart by number.
    AtHome { service: ServiceIx, node: NodeIx, home: usize },
    /// Instances that stay on a node and restart, on other devices.
    Restarts { service: ServiceIx, node: NodeIx },
    /// Devices of one kind that are shared.
    Shared { node: NodeIx, kind: usize },
    /// The score of a resource of a node, 1 at full use.
    Crowding { node: NodeIx, resource: usize },
    /// 1 where a node is in use.
    InUse { node: NodeIx },
    /// The emptiest domain of a spread line.
    Emptiest { service: ServiceIx, line: usize },
}

/// A program and what its columns mean.
pub(crate) struct Formulation {
    pub model: Model,
    pub(super) variables: Vec<Variable>,
    pub(super) column: BTreeMap<Variable, usize>,
    /// The objective takes whole numbers only.
    pub whole: bool,
    /// Every size fits the solver's number range exactly, so that its proofs are proofs.
    pub exact: bool,
}

impl Formulation {
    pub(crate) fn new(subproblem: &Subproblem<'_, '_>) -> Self {
        let mut formulation = Self {
            model: Model::default(),
            variables: Vec::new(),
            column: BTreeMap::new(),
            whole: true,
            exact: true,
        };
        formulation.counts(subproblem);
        for &node in &subproblem.nodes {
            formulation.capacity(subproblem, node);
            // Where nothing answers nobody is in anybody's way.
            if !subproblem.partial.indexed.nodes[node].unreachable {
                formulation.exclusions(subproblem, node);
                formulation.devices(subproblem, node);
            }
        }
        formulation.services(subproblem);
        if subproblem.goal == Goal::Score || subproblem.score_cap.is_some() {
            formulation.score(subproblem);
        }
        formulation.objective(subproblem);
        formulation.floors(subproblem);
        formulation
    }

    pub(super) fn add(
        &mut self,
        variable: Variable,
        lower: f64,
        upper: f64,
        integer: bool,
    ) -> usize {
        let column = self.model.column(lower, upper, integer);
        self.variables.push(variable);
        self.column.insert(variable, column);
        column
    }

    pub(super) fn count(&self, service: ServiceIx, node: NodeIx) -> Option<usize> {
        self.column.get(&Variable::Count { service, node }).copied()
    }

    /// The services with a column on a node, with their candidates.
    pub(super) fn here<'f>(
        &self,
        indexed: &'f IndexedProblem<'_>,
        node: NodeIx,
    ) -> Vec<(ServiceIx, usize, &'f Candidate)> {
        let services = indexed.services.enumerate();
        services
            .filter_map(|(service, v)| {
                Some((service, self.count(service, node)?, v.candidate(node)?))
            })
            .collect()
    }

    pub(super) fn push(&mut self, row: Row) {
        self.exact &= row.exact;
        self.model.at_most(row.terms, row.upper);
    }
}

pub(crate) fn counts_staying(subproblem: &Subproblem<'_, '_>) -> bool {
    subproblem.migration_cap.is_some()
        || matches!(subproblem.goal, Goal::Moves | Goal::Place { keep: true, .. })
}

/// Instances of a service on nodes that the program does not decide about.
pub(crate) fn outside(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    inside: &BTreeSet<NodeIx>,
) -> u32 {
    let nodes = partial.of_service[service].iter().filter(|(node, _)| !inside.contains(node));
    nodes.map(|(_, count)| count).sum()
}
