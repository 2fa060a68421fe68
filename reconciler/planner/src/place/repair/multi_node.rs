//! Room on several nodes at once, for instances that wait together.
//!
//! Knows which nodes would have to give how much. Refuses to know lines of the file.
//!
//! Three instances rarely fit on one node. Each goes where the next is cheapest, or evenly.

use std::collections::BTreeMap;

use super::{
    change::{self, Change},
    headroom,
    new_node::most_more,
    remedy::{self, CandidateRemedy},
};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::partial::PartialPlacement,
};

/// Nodes of one remedy at most.
const NODES: usize = 4;

/// Nodes that are looked at: those where one instance is cheapest.
const CANDIDATES: usize = 16;

/// Instances that are given a node one by one; of more, some would still wait.
const INSTANCES: u32 = 32;

/// Resource on several of the `open` nodes, where nothing but room is short: wherever the next
/// instance is cheapest, and evenly.
pub(crate) fn rooms(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    open: &[NodeIx],
) -> Vec<CandidateRemedy> {
    if partial.missing(service) < 2 || open.len() < 2 {
        return Vec::new();
    }
    let mut ranked: Vec<(u64, u64, NodeIx)> = open
        .iter()
        .filter_map(|&node| {
            let (cost, amount) =
                price(partial, &headroom::more(partial, (service, node), 1, true)?);
            Some((cost, amount, node))
        })
        .collect();
    ranked.sort_unstable();
    let nodes: Vec<NodeIx> = ranked.into_iter().map(|(_, _, node)| node).take(CANDIDATES).collect();
    let mut all: Vec<CandidateRemedy> = [false, true]
        .into_iter()
        .filter_map(|apart| group(partial, service, &nodes, apart))
        .collect();
    all.dedup_by(|a, b| a.changes == b.changes);
    all
}

fn price(partial: &PartialPlacement<'_>, changes: &[Change]) -> (u64, u64) {
    (change::cost(changes) as u64, remedy::amount(partial, changes))
}

/// Gives one instance after another the node where it is cheapest; `apart`, of those that were
/// given the fewest.
fn group(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    nodes: &[NodeIx],
    apart: bool,
) -> Option<CandidateRemedy> {
    let mut trial = partial.clone();
    let mut taken: BTreeMap<NodeIx, (u32, Vec<Change>)> = BTreeMap::new();
    let mut aim = 0;
    while aim < partial.missing(service).min(INSTANCES) {
        let next = nodes.iter().filter_map(|&node| {
            let (count, before) = taken.get(&node).map_or((0, &[][..]), |it| (it.0, &it.1));
            if (count == 0 && taken.len() >= NODES)
                || count >= most_more(partial, service, node)
                || !trial.spread_admits(service, node)
            {
                return None;
            }
            let changes = headroom::more(partial, (service, node), count + 1, true)?;
            let (new, old) = (price(partial, &changes), price(partial, before));
            let more = (new.0.saturating_sub(old.0), new.1.saturating_sub(old.1));
            let evenly = if apart { count } else { 0 };
            Some((evenly, more, node, count + 1, changes))
        });
        let Some((_, _, node, count, changes)) = next.min() else {
            break;
        };
        trial.add(service, node);
        taken.insert(node, (count, changes));
        aim += 1;
    }
    let changed = taken.values().filter(|(_, changes)| !changes.is_empty()).count();
    let nodes = taken.keys().copied().collect();
    let mut changes: Vec<Change> = taken.into_values().flat_map(|(_, changes)| changes).collect();
    changes.sort();
    let possible = changed > 1 && !change::is_for_one(&changes);
    possible.then_some(CandidateRemedy { changes, nodes, crowded: None, aim })
}
