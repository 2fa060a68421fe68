//! Two instances on two nodes that change places.
//!
//! Knows pairs of nodes, the fullest with the emptiest first. Refuses to swap what needs the same.
//!
//! Where both nodes are nearly full no shift helps, and a large instance for a small one does.
//! Pairs looked at are counted, so that a large fleet ends in time.

use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::partial::{PartialPlacement, rank::crowding},
};

/// An instance that may be swapped, with what it takes.
struct Piece {
    service: ServiceIx,
    need: [u64; 2],
}

/// Goes once over all pairs of nodes. Whether anything was swapped.
pub(crate) fn swap_all(partial: &mut PartialPlacement<'_>, hold: bool, looks: &mut u64) -> bool {
    let mut changed = false;
    let mut nodes: Vec<NodeIx> = partial.on_node.positions().collect();
    nodes.retain(|&node| !partial.on_node[node].is_empty());
    nodes.sort_by_key(|&node| (std::cmp::Reverse(partial.node_score(node)), node));
    for (at, &a) in nodes.iter().enumerate() {
        // The hottest with the coolest first: there is most to gain.
        for &b in nodes[at + 1..].iter().rev() {
            let pairs = partial.on_node[a].len() * partial.on_node[b].len();
            *looks = looks.saturating_sub(pairs as u64);
            if *looks == 0 {
                return changed;
            }
            while swap_best(partial, a, b, hold) {
                changed = true;
            }
        }
    }
    changed
}

fn pieces(partial: &PartialPlacement<'_>, from: NodeIx, to: NodeIx, hold: bool) -> Vec<Piece> {
    let free = |&service: &ServiceIx| {
        let settled = if hold { partial.staying(service, from) } else { 0 };
        partial.count(service, from) > settled
            && partial.indexed.services[service].candidate(to).is_some()
            && partial.may_leave(service, from)
    };
    let here = partial.on_node[from].keys().copied().filter(free);
    here.map(|service| {
        let need = partial.indexed.services[service].need;
        Piece { service, need: [need[0], need[1]] }
    })
    .collect()
}

/// Makes the swap between two nodes that lowers the score most, if one does.
fn swap_best(partial: &mut PartialPlacement<'_>, a: NodeIx, b: NodeIx, hold: bool) -> bool {
    let (left, right) = (pieces(partial, a, b, hold), pieces(partial, b, a, hold));
    let soft_cost = |service: ServiceIx, node: NodeIx| {
        partial.indexed.services[service].candidate(node).map_or(0, |c| c.soft_cost)
    };
    let before = partial.node_score(a) + partial.node_score(b);
    let mut found: Vec<(u64, ServiceIx, ServiceIx)> = Vec::new();
    for x in &left {
        for y in &right {
            if x.need == y.need {
                continue;
            }
            let after = swapped(partial, a, x, y).zip(swapped(partial, b, y, x));
            let Some((one, two)) = after else { continue };
            let was = before + soft_cost(x.service, a) + soft_cost(y.service, b);
            let is = one + two + soft_cost(x.service, b) + soft_cost(y.service, a);
            if is < was {
                found.push((was - is, x.service, y.service));
            }
        }
    }
    found.sort_unstable_by(|p, q| q.0.cmp(&p.0).then((p.1, p.2).cmp(&(q.1, q.2))));
    found
        .into_iter()
        .take(4)
        .any(|(_, service, other)| swap(partial, (service, a), (other, b), hold))
}

/// What a node costs with one piece for another; nothing where that is too much for it.
fn swapped(partial: &PartialPlacement<'_>, node: NodeIx, out: &Piece, into: &Piece) -> Option<u64> {
    let (used, capacity) = (partial.used[node], partial.indexed.nodes[node].capacity);
    let mut sum = 0;
    for resource in 0..2 {
        let after = used[resource] - out.need[resource] + into.need[resource];
        if after > capacity[resource] {
            return None;
        }
        sum += crowding(after, capacity[resource]);
    }
    Some(sum)
}

/// Swaps two instances, or leaves the placement as it was. With `hold`, nobody restarts for that.
fn swap(
    partial: &mut PartialPlacement<'_>,
    (service, a): (ServiceIx, NodeIx),
    (other, b): (ServiceIx, NodeIx),
    hold: bool,
) -> bool {
    let before = partial.restarts_on(a) + partial.restarts_on(b);
    partial.remove(service, a);
    partial.remove(other, b);
    if partial.fits(service, b) {
        partial.add(service, b);
        if partial.fits(other, a) {
            partial.add(other, a);
            let keep_devices = !hold || partial.restarts_on(a) + partial.restarts_on(b) <= before;
            if keep_devices && partial.in_order(service) && partial.in_order(other) {
                return true;
            }
            partial.remove(other, a);
        }
        partial.remove(service, b);
    }
    partial.add(other, b);
    partial.add(service, a);
    false
}
