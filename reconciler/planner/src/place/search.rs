//! Better placements by small steps: back home, and towards a better score.
//!
//! Knows single shifts that keep every constraint. Refuses to give up anything placed.

use super::board::Board;

/// Rounds of looking at every instance.
const ROUNDS: usize = 20;

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
    let strays: Vec<usize> = board.of_service[s]
        .keys()
        .copied()
        .filter(|&node| node != home && board.count(s, node) > board.kept(s, node))
        .collect();
    strays.into_iter().any(|from| shift(board, s, from, home))
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
/// ran before stays.
pub fn improve(board: &mut Board<'_>, hold: bool) {
    for _ in 0..ROUNDS {
        let mut changed = false;
        for s in 0..board.field.services.len() {
            let nodes: Vec<usize> = board.of_service[s].keys().copied().collect();
            for from in nodes {
                let bound = if hold { board.kept(s, from) } else { 0 };
                while board.count(s, from) > bound && best_shift(board, s, from) {
                    changed = true;
                }
            }
        }
        if !changed {
            return;
        }
    }
}

/// Makes the shift of one instance that lowers the score most, if one does.
fn best_shift(board: &mut Board<'_>, s: usize, from: usize) -> bool {
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
        if to != from && better && board.fits_alone(s, to) && stays_in_order(board, s, to) {
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
