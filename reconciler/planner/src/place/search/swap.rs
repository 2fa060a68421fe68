//! Two instances on two nodes that change places.
//!
//! Knows pairs of nodes, the fullest with the emptiest first. Refuses to swap what needs the same.
//!
//! Where both nodes are nearly full no shift helps, and a large instance for a small one does.
//! Pairs looked at are counted, so that a large fleet ends in time.

use crate::place::model::partial::{PartialPlacement, rank::crowding};

/// An instance that may be swapped, with what it takes.
struct Piece {
    s: usize,
    need: [u64; 2],
}

/// Goes once over all pairs of nodes. Whether anything was swapped.
pub fn swap_all(partial: &mut PartialPlacement<'_>, hold: bool, looks: &mut u64) -> bool {
    let mut changed = false;
    let mut nodes: Vec<usize> = (0..partial.on_node.len()).collect();
    nodes.retain(|&n| !partial.on_node[n].is_empty());
    nodes.sort_by_key(|&n| (std::cmp::Reverse(partial.node_score(n)), n));
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

fn pieces(partial: &PartialPlacement<'_>, from: usize, to: usize, hold: bool) -> Vec<Piece> {
    let free = |&s: &usize| {
        let settled = if hold { partial.staying(s, from) } else { 0 };
        partial.count(s, from) > settled
            && partial.indexed.services[s].candidate(to).is_some()
            && partial.may_leave(s, from)
    };
    let here = partial.on_node[from].keys().copied().filter(free);
    here.map(|s| {
        let need = partial.indexed.services[s].need;
        Piece { s, need: [need[0], need[1]] }
    })
    .collect()
}

/// Makes the swap between two nodes that lowers the score most, if one does.
fn swap_best(partial: &mut PartialPlacement<'_>, a: usize, b: usize, hold: bool) -> bool {
    let (left, right) = (pieces(partial, a, b, hold), pieces(partial, b, a, hold));
    let soft_cost =
        |s: usize, n: usize| partial.indexed.services[s].candidate(n).map_or(0, |c| c.soft_cost);
    let before = partial.node_score(a) + partial.node_score(b);
    let mut found: Vec<(u64, usize, usize)> = Vec::new();
    for x in &left {
        for y in &right {
            if x.need == y.need {
                continue;
            }
            let after = swapped(partial, a, x, y).zip(swapped(partial, b, y, x));
            let Some((one, two)) = after else { continue };
            let was = before + soft_cost(x.s, a) + soft_cost(y.s, b);
            let is = one + two + soft_cost(x.s, b) + soft_cost(y.s, a);
            if is < was {
                found.push((was - is, x.s, y.s));
            }
        }
    }
    found.sort_unstable_by(|p, q| q.0.cmp(&p.0).then((p.1, p.2).cmp(&(q.1, q.2))));
    found.into_iter().take(4).any(|(_, s, t)| swap(partial, (s, a), (t, b), hold))
}

/// What a node costs with one piece for another; nothing where that is too much for it.
fn swapped(partial: &PartialPlacement<'_>, n: usize, out: &Piece, into: &Piece) -> Option<u64> {
    let (used, capacity) = (partial.used[n], partial.indexed.nodes[n].capacity);
    let mut sum = 0;
    for r in 0..2 {
        let after = used[r] - out.need[r] + into.need[r];
        if after > capacity[r] {
            return None;
        }
        sum += crowding(after, capacity[r]);
    }
    Some(sum)
}

/// Swaps two instances, or leaves the placement as it was. With `hold`, nobody restarts for that.
fn swap(
    partial: &mut PartialPlacement<'_>,
    (s, a): (usize, usize),
    (t, b): (usize, usize),
    hold: bool,
) -> bool {
    let before = partial.restarts_on(a) + partial.restarts_on(b);
    partial.remove(s, a);
    partial.remove(t, b);
    if partial.fits(s, b) {
        partial.add(s, b);
        if partial.fits(t, a) {
            partial.add(t, a);
            let keep_devices = !hold || partial.restarts_on(a) + partial.restarts_on(b) <= before;
            if keep_devices && partial.in_order(s) && partial.in_order(t) {
                return true;
            }
            partial.remove(t, a);
        }
        partial.remove(s, b);
    }
    partial.add(t, b);
    partial.add(s, a);
    false
}
