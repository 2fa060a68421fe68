//! The least of a remedy: room to be freed or given, made smaller as long as that helps as many.
//!
//! Knows which amounts could make a difference. Refuses to look for more than a few of them.
//!
//! A candidate asks for all that is short on a node, and other instances may move by themselves.
//! The smaller amounts are tried by halves.

use std::collections::BTreeSet;

use super::{
    budget::Budget,
    case::{Case, Kind, Trial},
    change::{Change, Resource},
};
use crate::place::{
    effort::spent::Spent,
    explain::reclaimable,
    ix::{NodeIx, ServiceIx},
    model::partial::PartialPlacement,
};

/// Smaller amounts that are tried of one room.
const TRIES: usize = 3;

impl Case<'_, '_> {
    /// The same with less, as far as that is seen to place as many; where all was planned.
    pub(crate) fn shrunk(
        &self,
        mut trial: Trial,
        budget: &mut Budget,
        spent: &mut Spent<'_>,
    ) -> Trial {
        for at in 0..trial.changes.len() {
            let Kind::Whole(_) = trial.kind else {
                return trial;
            };
            let (node, what, amount) = match trial.changes[at] {
                Change::Free { node, what, amount } | Change::Raise { node, what, amount }
                    if Resource::OF_NODE.contains(&what) =>
                {
                    (node, what, amount)
                }
                _ => continue,
            };
            let less = smaller(self.partial, (self.service, node), what as usize, amount);
            let (mut low, mut high) = (0, less.len());
            for _ in 0..TRIES {
                if low == high || !budget.may_shrink() || !spent.go_on(self.partial.placed()) {
                    break;
                }
                let middle = usize::midpoint(low, high);
                let mut changes = trial.changes.clone();
                changes[at] = self.room((node, what), less[middle]);
                let tried = self.try_whole(&changes, spent);
                match tried.filter(|tried| tried.gained >= trial.gained) {
                    Some(tried) => (trial, high) = (tried, middle),
                    None => low = middle + 1,
                }
            }
        }
        trial
    }

    pub(super) fn room(&self, (node, what): (NodeIx, Resource), amount: u64) -> Change {
        match reclaimable::could_be_freed(self.partial, (self.service, node), what as usize, amount)
        {
            true => Change::Free { node, what, amount },
            false => Change::Raise { node, what, amount },
        }
    }
}

/// Smaller amounts that could do, least first: for fewer instances of the service there, and with
/// one of another one less.
fn smaller(
    partial: &PartialPlacement<'_>,
    (service, node): (ServiceIx, NodeIx),
    resource: usize,
    amount: u64,
) -> Vec<u64> {
    let services = &partial.indexed.services;
    let free =
        partial.indexed.nodes[node].capacity[resource].saturating_sub(partial.used[node][resource]);
    let need = services[service].need[resource];
    let fewer = (1..u64::from(partial.missing(service))).map(|k| need.saturating_mul(k));
    let fewer = fewer.map(|need| need.saturating_sub(free));
    let leaving = partial.on_node[node]
        .keys()
        .map(|&other| amount.saturating_sub(services[other].need[resource]));
    let all: BTreeSet<u64> =
        fewer.chain(leaving).filter(|less| (1..amount).contains(less)).collect();
    all.into_iter().collect()
}
