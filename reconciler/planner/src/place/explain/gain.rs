//! The moves towards balance, by instance, and what each gains.
//!
//! Knows which instance a shift moved. Refuses to choose moves.
//!
//! A search shifts counts; people move instances. `web[1]` goes from `n1` to `n2`, and the score
//! falls from 0.61 to 0.58.

use std::collections::BTreeSet;

use devnet_schema::{
    name::{InstanceId, NodeName},
    placement as document,
};

use crate::place::{
    outcome::{Outcome, Reason},
    problem::{PlacementProblem, PlacementStatus},
    search::rebalance::{Evened, Shift},
};

/// One move towards balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gain {
    /// Who moves.
    pub instance: InstanceId,
    /// From where.
    pub from: NodeName,
    /// To where.
    pub to: NodeName,
    /// The score before this move, in millionths.
    pub before: u64,
    /// The score after it; lower is better.
    pub after: u64,
    /// The part of the gain that comes from `prefer` lines, in millionths; negative where the
    /// move meets fewer.
    pub from_prefer: i64,
}

impl Gain {
    /// The same as the document that other programs read.
    pub fn document(&self) -> document::Gain {
        let Self { instance, from, to, before, after, from_prefer } = self;
        document::Gain {
            instance: instance.clone(),
            from: from.clone(),
            to: to.clone(),
            gain: before.saturating_sub(*after) as f64 / 1e6,
            from_prefer: *from_prefer as f64 / 1e6,
            before: *before as f64 / 1e6,
            after: *after as f64 / 1e6,
        }
    }

    pub(super) fn reason(&self) -> Reason {
        let Self { from, before, after, .. } = self;
        let [before, after] = [before, after].map(|score| *score as f64 / 1e6);
        let because = format!("it lowers the score from {before:.4} to {after:.4}");
        Reason::Moves { from: from.clone(), because }
    }
}

/// A few moves towards balance.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebalanced {
    /// The moves beyond those that are needed anyway, in the order in which they were chosen.
    pub gains: Vec<Gain>,
    /// What results: the best placement with the needed moves and these.
    pub outcome: Outcome,
}

/// The outcome with the reason of each move towards balance. Such moves are no worse than none, so
/// that only the score could be better where those that were needed are proven.
pub(crate) fn rebalanced(
    problem: &PlacementProblem,
    mut outcome: Outcome,
    evened: &Evened,
) -> Rebalanced {
    outcome.moves_proven = evened.moves_proven;
    let proven = outcome.levels.iter().all(|level| level.proven)
        && outcome.moves_proven
        && outcome.cost == outcome.bound;
    if proven && outcome.status == PlacementStatus::Feasible {
        outcome.status = PlacementStatus::Optimal;
    }
    let gains = gains(problem, &evened.shifts, &outcome);
    for gain in &gains {
        if let Some(place) = outcome.assignments.get_mut(&gain.instance) {
            place.reason = gain.reason();
        }
    }
    Rebalanced { gains, outcome }
}

/// The instance that each shift moves: one that leaves the node, for the shift's own target if
/// there is such a one.
fn gains(problem: &PlacementProblem, shifts: &[Shift], outcome: &Outcome) -> Vec<Gain> {
    let mut taken: BTreeSet<InstanceId> = BTreeSet::new();
    let mut gains = Vec::new();
    for Shift { service, from, to, before, after, from_prefer } in shifts {
        let Some(input) = problem.services.iter().find(|it| it.name == *service) else { continue };
        let here = input.existing().filter(|(_, it)| it.node == *from);
        let leaving: Vec<(InstanceId, &NodeName)> = here
            .map(|(&index, _)| InstanceId { service: service.clone(), index })
            .filter(|instance| !taken.contains(instance))
            .filter_map(|instance| {
                let node = &outcome.assignments.get(&instance)?.node;
                (node != from).then_some((instance, node))
            })
            .collect();
        let own = leaving.iter().position(|(_, node)| *node == to).unwrap_or(0);
        let Some((instance, node)) = leaving.into_iter().nth(own) else {
            continue;
        };
        taken.insert(instance.clone());
        let (from, to, from_prefer) = (from.clone(), node.clone(), *from_prefer);
        gains.push(Gain { instance, from, to, before: *before, after: *after, from_prefer });
    }
    gains
}
