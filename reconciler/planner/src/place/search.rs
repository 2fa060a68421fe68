//! Better placements by small steps: back home, and towards a better score.
//!
//! Knows single shifts and swaps that keep every constraint. Refuses to give up anything placed.

use super::{
    board::{Board, crowding},
    field::Cell,
    problem::Objective,
};

/// Rounds of looking at every instance.
const ROUNDS: usize = 20;

/// The same where there are many pairs of a service and a node.
const FEW_ROUNDS: usize = 3;

/// How many pairs are many.
const MANY_PAIRS: usize = 200_000;

/// Pairs of instances looked at before swapping ends: a second or so of a fleet of 200 nodes.
const LOOKS: u64 = 5_000_000;

/// Brings instances back to where they ran, wherever there is room now.
pub fn return_home(board: &mut Board<'_>) {
    for s in 0..board.field.services.len() {
        let homes: Vec<usize> = board.field.services[s]
            .cells
            .iter()
            .filter(|cell| cell.current > 0)
            .map(|cell| cell.node)
            .collect();
        for home in homes {
            while board.kept(s, home) < current(board, s, home) && bring_one(board, s, home) {}
        }
    }
}

fn current(board: &Board<'_>, s: usize, node: usize) -> u32 {
    board.field.services[s].cell(node).map_or(0, |cell| cell.current)
}

fn bring_one(board: &mut Board<'_>, s: usize, home: usize) -> bool {
    let price = board.field.services[s].price;
    let strays: Vec<usize> = board.of_service[s]
        .keys()
        .copied()
        .filter(|&node| node != home && board.count(s, node) > board.kept(s, node))
        .collect();
    strays.into_iter().any(|from| {
        let before = board.restarts();
        shift(board, s, from, home) && {
            // Others that would restart for it may be dearer than its own move.
            let worth = u64::from(board.restarts().saturating_sub(before)) < price;
            worth || !shift(board, s, home, from)
        }
    })
}

/// Sends newcomers elsewhere for whom others would restart, on other devices.
pub fn leave_in_peace(board: &mut Board<'_>) {
    let field = board.field;
    for n in (0..field.nodes.len()).filter(|&n| field.nodes[n].lived_in) {
        let here: Vec<usize> = board.on_node[n].keys().copied().collect();
        for s in here.into_iter().filter(|&s| field.services[s].wants_gpu()) {
            while board.restarts_on(n) > 0 && board.count(s, n) > board.kept(s, n) {
                let before = board.restarts();
                let mut to: Vec<usize> = field.services[s].cells.iter().map(|c| c.node).collect();
                to.retain(|&to| to != n && board.fits_alone(s, to) && !board.disturbs(s, to));
                to.sort_by_key(|&to| (board.growth(s, to), to));
                let Some(&to) = to.iter().find(|&&to| shift(board, s, n, to)) else { break };
                if board.restarts() >= before {
                    shift(board, s, to, n);
                    break;
                }
            }
        }
    }
}

/// Moves one instance, or leaves the board as it was.
pub fn shift(board: &mut Board<'_>, s: usize, from: usize, to: usize) -> bool {
    if !board.may_leave(s, from) {
        return false;
    }
    board.remove(s, from);
    if board.fits(s, to) {
        board.add(s, to);
        if board.in_order(s) {
            return true;
        }
        board.remove(s, to);
    }
    board.add(s, from);
    false
}

/// Shifts instances one at a time as long as the score falls. With `hold`, whatever runs where it
/// ran before stays, and on its devices.
pub fn improve(board: &mut Board<'_>, hold: bool) {
    let rounds = if board.field.pairs() > MANY_PAIRS { FEW_ROUNDS } else { ROUNDS };
    for _ in 0..rounds {
        let mut changed = false;
        for s in 0..board.field.services.len() {
            let nodes: Vec<usize> = board.of_service[s].keys().copied().collect();
            for from in nodes {
                let bound = if hold { board.kept(s, from) } else { 0 };
                while board.count(s, from) > bound && best_shift(board, s, from, hold) {
                    changed = true;
                }
            }
        }
        if !changed {
            return;
        }
    }
}

/// Shifts and swaps as long as the score falls.
pub fn polish(board: &mut Board<'_>, hold: bool, go_on: &mut dyn FnMut(&Board<'_>) -> bool) {
    improve(board, hold);
    let mut looks = LOOKS;
    let swaps = board.field.problem.objective == Objective::Balance;
    while swaps && looks > 0 && go_on(board) && swap_all(board, hold, &mut looks) {
        improve(board, hold);
    }
}

/// A shift of one instance that could stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    pub s: usize,
    pub from: usize,
    pub to: usize,
    /// By how much the score falls.
    pub gain: u64,
}

/// The shift that lowers the score most, of all instances that run where they ran before.
pub fn best_hop(board: &Board<'_>) -> Option<Hop> {
    let mut best: Option<Hop> = None;
    let mut trial = board.clone();
    for s in 0..board.field.services.len() {
        for &from in board.of_service[s].keys() {
            if board.kept(s, from) < board.count(s, from) || !board.may_leave(s, from) {
                continue;
            }
            trial.remove(s, from);
            let was = trial.growth(s, from);
            // What left a node does not come back: the moves would be one, shown as two.
            let open =
                |cell: &&Cell| cell.node != from && board.count(s, cell.node) >= cell.current;
            for cell in board.field.services[s].cells.iter().filter(open) {
                let gain = was.saturating_sub(trial.growth(s, cell.node));
                let better = gain > best.map_or(0, |best| best.gain);
                if better
                    && trial.fits_alone(s, cell.node)
                    && !trial.disturbs(s, cell.node)
                    && stays_in_order(&mut trial, s, cell.node)
                {
                    best = Some(Hop { s, from, to: cell.node, gain });
                }
            }
            trial.add(s, from);
        }
    }
    best
}

/// An instance that may be swapped, with what it takes.
struct Piece {
    s: usize,
    need: [u64; 2],
}

/// Goes once over all pairs of nodes. Whether anything was swapped.
fn swap_all(board: &mut Board<'_>, hold: bool, looks: &mut u64) -> bool {
    let mut changed = false;
    let mut nodes: Vec<usize> = (0..board.on_node.len()).collect();
    nodes.retain(|&n| !board.on_node[n].is_empty());
    nodes.sort_by_key(|&n| (std::cmp::Reverse(board.node_cost(n)), n));
    for (at, &a) in nodes.iter().enumerate() {
        // The hottest with the coolest first: there is most to gain.
        for &b in nodes[at + 1..].iter().rev() {
            let pairs = board.on_node[a].len() * board.on_node[b].len();
            *looks = looks.saturating_sub(pairs as u64);
            if *looks == 0 {
                return changed;
            }
            while swap_best(board, a, b, hold) {
                changed = true;
            }
        }
    }
    changed
}

fn pieces(board: &Board<'_>, from: usize, to: usize, hold: bool) -> Vec<Piece> {
    let free = |&s: &usize| {
        let settled = if hold { board.kept(s, from) } else { 0 };
        board.count(s, from) > settled
            && board.field.services[s].cell(to).is_some()
            && board.may_leave(s, from)
    };
    let here = board.on_node[from].keys().copied().filter(free);
    here.map(|s| {
        let need = board.field.services[s].need;
        Piece { s, need: [need[0], need[1]] }
    })
    .collect()
}

/// Makes the swap between two nodes that lowers the score most, if one does.
fn swap_best(board: &mut Board<'_>, a: usize, b: usize, hold: bool) -> bool {
    let (left, right) = (pieces(board, a, b, hold), pieces(board, b, a, hold));
    let penalty = |s: usize, n: usize| board.field.services[s].cell(n).map_or(0, |c| c.penalty);
    let before = board.node_cost(a) + board.node_cost(b);
    let mut found: Vec<(u64, usize, usize)> = Vec::new();
    for x in &left {
        for y in &right {
            if x.need == y.need {
                continue;
            }
            let after = swapped(board, a, x, y).zip(swapped(board, b, y, x));
            let Some((one, two)) = after else { continue };
            let was = before + penalty(x.s, a) + penalty(y.s, b);
            let is = one + two + penalty(x.s, b) + penalty(y.s, a);
            if is < was {
                found.push((was - is, x.s, y.s));
            }
        }
    }
    found.sort_unstable_by(|p, q| q.0.cmp(&p.0).then((p.1, p.2).cmp(&(q.1, q.2))));
    found.into_iter().take(4).any(|(_, s, t)| swap(board, (s, a), (t, b), hold))
}

/// What a node costs with one piece for another; nothing where that is too much for it.
fn swapped(board: &Board<'_>, n: usize, out: &Piece, into: &Piece) -> Option<u64> {
    let (used, capacity) = (board.used[n], board.field.nodes[n].capacity);
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

/// Swaps two instances, or leaves the board as it was. With `hold`, nobody restarts for that.
fn swap(board: &mut Board<'_>, (s, a): (usize, usize), (t, b): (usize, usize), hold: bool) -> bool {
    let before = board.restarts_on(a) + board.restarts_on(b);
    board.remove(s, a);
    board.remove(t, b);
    if board.fits(s, b) {
        board.add(s, b);
        if board.fits(t, a) {
            board.add(t, a);
            let calm = !hold || board.restarts_on(a) + board.restarts_on(b) <= before;
            if calm && board.in_order(s) && board.in_order(t) {
                return true;
            }
            board.remove(t, a);
        }
        board.remove(s, b);
    }
    board.add(t, b);
    board.add(s, a);
    false
}

/// Makes the shift of one instance that lowers the score most, if one does.
fn best_shift(board: &mut Board<'_>, s: usize, from: usize, hold: bool) -> bool {
    if !board.may_leave(s, from) {
        return false;
    }
    board.remove(s, from);
    let gain = board.growth(s, from);
    let mut best: Option<(u64, usize)> = None;
    for cell in &board.field.services[s].cells {
        let to = cell.node;
        let loss = board.growth(s, to);
        let better = loss < gain && best.is_none_or(|b| (loss, to) < b);
        let open = to != from && better && board.fits_alone(s, to);
        if open && !(hold && board.disturbs(s, to)) && stays_in_order(board, s, to) {
            best = Some((loss, to));
        }
    }
    board.add(s, best.map_or(from, |(_, to)| to));
    best.is_some()
}

fn stays_in_order(board: &mut Board<'_>, s: usize, to: usize) -> bool {
    if board.field.services[s].spread.is_empty() && board.field.services[s].near.is_empty() {
        return true;
    }
    board.add(s, to);
    let in_order = board.in_order(s);
    board.remove(s, to);
    in_order
}
