//! Column generation: which patterns of whole nodes, taken so many times each, place the most.
//!
//! Knows large fleets of few kinds of nodes and services, where nothing runs yet. Refuses to know
//! single nodes, and spread, which spans several: both only loosen the bound.
//!
//! A linear program chooses among the patterns known; its duals tell what an instance is worth, and
//! for each kind of node an integer program finds the pattern that is worth most (Gilmore and
//! Gomory 1961; the bound from the duals is Lagrange’s). On 1,523 nodes it places what no greedy
//! run finds.

pub(crate) mod master;
pub(crate) mod pricing;
pub(crate) mod rounding;

use std::collections::BTreeSet;

use super::{
    answer::{EXACT, Effort, NoDuals},
    relaxation::classes::{self, Class},
    solver,
};
use crate::place::{
    effort::spent::Spent,
    ix::{PerNode, ServiceIx},
    model::{index::IndexedProblem, partial::PartialPlacement},
};

/// Nodes from which on a fleet is large.
const NODES: usize = 400;

/// Kinds of nodes, and services, up to which they are few.
const FEW: (usize, usize) = (64, 400);

/// Rounds of pricing for one level at most.
const ROUNDS: u32 = 80;

/// Integer programs of single nodes for all levels together.
const PROGRAMS: u32 = 2_000;

/// Branch-and-bound nodes of one pattern.
const EFFORT: u32 = 30;

/// How one node of a kind can be filled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pattern {
    class: usize,
    /// Services and how many of each.
    counts: Vec<(ServiceIx, u32)>,
}

/// The patterns known so far.
pub(crate) struct Columns<'f> {
    indexed: &'f IndexedProblem<'f>,
    classes: Vec<Class>,
    class_of: PerNode<usize>,
    /// A placement with nothing on it.
    empty: PartialPlacement<'f>,
    /// Integer programs of single nodes that may still be solved.
    programs: u32,
    patterns: Vec<Pattern>,
    known: BTreeSet<Pattern>,
}

impl<'f> Columns<'f> {
    /// Nothing where the fleet is small, of many kinds, or not empty.
    pub(crate) fn new(indexed: &'f IndexedProblem<'f>) -> Option<Self> {
        let runs = indexed.services.iter().any(|service| service.running() > 0);
        let large = indexed.nodes.len() >= NODES && indexed.services.len() <= FEW.1;
        (large && !runs).then(|| Self::of(indexed)).filter(|columns| columns.classes.len() <= FEW.0)
    }

    /// The same of any fleet.
    pub(crate) fn of(indexed: &'f IndexedProblem<'f>) -> Self {
        let classes = classes::alike(indexed);
        let mut class_of = PerNode::filled(0, indexed.nodes.len());
        for (k, class) in classes.iter().enumerate() {
            class.nodes.iter().for_each(|&node| class_of[node] = k);
        }
        let (patterns, known) = (Vec::new(), BTreeSet::new());
        let (empty, programs) = (PartialPlacement::empty(indexed), PROGRAMS);
        Self { indexed, classes, class_of, empty, programs, patterns, known }
    }

    /// Takes over how the nodes of a placement are filled.
    pub(crate) fn learn(&mut self, partial: &PartialPlacement<'_>) {
        for (node, here) in partial.on_node.enumerate() {
            let counts = here.iter().map(|(&service, &count)| (service, count)).collect();
            self.add(Pattern { class: self.class_of[node], counts });
        }
    }

    pub(super) fn add(&mut self, pattern: Pattern) -> bool {
        let new = !pattern.counts.is_empty() && self.known.insert(pattern.clone());
        if new {
            self.patterns.push(pattern);
        }
        new
    }

    /// Looks for patterns that place more at a level while those above it keep their floors, and
    /// says what no placement exceeds, where it comes to know that.
    pub(crate) fn generate(
        &mut self,
        level: usize,
        floors: &[u32],
        spent: &mut Spent<'_>,
    ) -> Option<u32> {
        let mut most = f64::INFINITY;
        let all = self.all(&floors[..level]);
        for _ in 0..ROUNDS {
            if !spent.still_on() {
                break;
            }
            let master = self.master(level, &all, false);
            let optimum = match solver::solve_with_duals(&master.model, self.effort(EXACT, spent)) {
                Ok(optimum) => optimum,
                Err(NoDuals { late }) => {
                    spent.cut_short |= late;
                    break;
                }
            };
            let duals = self.duals(level, &all, &master, &optimum);
            // Rules of thumb first: they find most of what there is in a fraction of the time.
            if self.stack_all(&duals) > 0 {
                continue;
            }
            let (ceiling, new) = self.fill_all(&duals, &all, spent);
            most = most.min(ceiling);
            if new == 0 || self.floor(most) <= 1e-5 - optimum.objective {
                break;
            }
        }
        most.is_finite().then(|| self.floor(most).max(0.0) as u32)
    }

    /// A ceiling is a sum over all nodes, each with the solver's tolerance.
    pub(super) fn floor(&self, most: f64) -> f64 {
        (most + 1e-5 + 2e-6 * self.indexed.nodes.len() as f64).floor()
    }

    pub(super) fn effort(&self, gap: f64, spent: &Spent<'_>) -> Effort {
        let solver = self.indexed.problem.limits.solver;
        Effort { solver, nodes: EFFORT, gap, seconds: spent.seconds() }
    }
}
