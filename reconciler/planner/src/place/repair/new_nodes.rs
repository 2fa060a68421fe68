//! How many new nodes a service needs.
//!
//! Knows how few are tried. Refuses to design one.
//!
//! One large node or several equal ones: as few as will do for all that wait.

use super::{
    budget::Budget,
    case::{Case, Remedy, Trial},
    change::Change,
    new_node, new_zones,
    remedy::CandidateRemedy,
};
use crate::place::{effort::spent::Spent, ix::NodeIx};

/// Equal new nodes of one remedy at most.
const MOST_NODES: u32 = 8;

/// Numbers of equal new nodes that are tried.
const COUNTS: u32 = 4;

impl Case<'_, '_> {
    /// One node for all that wait, and equal nodes, as few as will do.
    pub(super) fn new_nodes(&self, budget: &mut Budget, spent: &mut Spent<'_>) -> Vec<Remedy> {
        let missing = self.missing();
        let most = new_node::most_on_one(self.indexed, self.service).min(missing);
        let small = missing.div_ceil(MOST_NODES);
        let mut remedies = Vec::new();
        if missing > 1 && most == missing {
            remedies.extend(self.few_nodes((missing, 1), budget, spent));
        }
        if small <= most {
            let few = self.few_nodes((small, MOST_NODES), budget, spent);
            // A smaller one that does as much.
            let one = |way: &Remedy| way.gained >= missing && added(&way.changes) == 1;
            if few.as_ref().is_some_and(one) {
                remedies.clear();
            }
            remedies.extend(few);
        }
        remedies
    }

    /// The least number of equal nodes, of `most` at most, that places all; else that places most.
    fn few_nodes(
        &self,
        (each, most): (u32, u32),
        budget: &mut Budget,
        spent: &mut Spent<'_>,
    ) -> Option<Remedy> {
        let start = self.missing().div_ceil(each).min(most);
        let mut best: Option<Trial> = None;
        let (mut count, mut down) = (start, false);
        for _ in 0..COUNTS {
            if !budget.may_try() || !spent.go_on(self.partial.placed()) {
                break;
            }
            let trial = self.nodes_somewhere((each, count), budget, spent);
            let gained = trial.as_ref().map_or(0, |trial| trial.gained);
            let all = gained == self.missing();
            let before = best.as_ref().map_or(0, |trial| trial.gained);
            if gained > before || (gained == before && down) {
                best = trial.or(best);
            }
            // One node fewer as long as that does for all; else more, while that helps.
            down = all;
            count = match (all, count < start) {
                (true, _) => count - 1,
                (false, true) => break,
                (false, false) => count + 1,
            };
            if count == 0 || count > most {
                break;
            }
        }
        best.and_then(|trial| self.confirmed(trial, (budget, 0), spent))
    }

    /// So many nodes where the service is best spread, or else in one of the zones.
    fn nodes_somewhere(
        &self,
        (each, count): (u32, u32),
        budget: &mut Budget,
        spent: &mut Spent<'_>,
    ) -> Option<Trial> {
        let aim = self.missing();
        let mut tried = |zones: Vec<Option<NodeIx>>| {
            let changes = vec![Change::AddNodes { each, with: Vec::new(), zones }];
            self.tried(&CandidateRemedy { changes, nodes: Vec::new(), crowded: None, aim }, spent)
        };
        let mut best = tried(new_zones::zones(self.partial, self.service, each, count));
        for zones in new_zones::other_zones(self.partial, self.service, count) {
            let rank = |trial: &Trial| (trial.harmless, trial.gained);
            let before = best.as_ref().map(rank);
            if before == Some((true, aim)) || !budget.may_try() {
                break;
            }
            let trial = tried(zones);
            best = trial.filter(|trial| Some(rank(trial)) > before).or(best);
        }
        best
    }
}

/// How many nodes join by the changes.
fn added(changes: &[Change]) -> usize {
    let of = |change: &Change| match change {
        Change::AddNodes { zones, .. } => zones.len(),
        _ => 0,
    };
    changes.iter().map(of).sum()
}
