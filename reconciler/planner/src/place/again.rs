//! No churn: an answer is given only when the same problem, once that answer runs, is answered
//! with it again.
//!
//! Knows how to make the next problem from an answer. Refuses to accept a next answer that does
//! not place more: nothing else is worth a move.

use std::collections::BTreeMap;

use super::{
    assign,
    board::Board,
    field::Field,
    pipeline::{self, Solved},
    problem::{Current, PlacementProblem},
    settled,
    work::Work,
};

/// The best placement of a field whose locks are settled.
///
/// What is missing without a proof that it must be may be found a place by a search that starts
/// from what this one found. That search is made at once, with limits of its own as it will have
/// when the plan is made again, and so on until nothing more is placed: each round places more
/// than the one before, so there is a last one.
pub fn solve<'f>(field: &'f Field<'f>, work: &mut Work<'_>) -> Solved<'f> {
    let mut solved = pipeline::solve(field, None, work);
    while open(&solved) && work.go_on(&solved.board) {
        let next = running(field.problem, &solved.board);
        let next_field = settled(&next);
        let known = Some(solved.bounds.clone());
        let again = work.anew(|work| pipeline::solve(&next_field, known, work));
        let Some(board) = same(field, &again.board).filter(|board| more(board, &solved.board))
        else {
            break;
        };
        // What was known of this field's moves and score holds for as much placed as before only.
        solved.board = board;
        solved.price_bound = field.forced().1;
        solved.cost_bound = pipeline::least_cost(&solved.board, work);
    }
    solved
}

fn open(solved: &Solved<'_>) -> bool {
    !solved.board.field.problem.limits.rebalance && solved.board.placed() != solved.bounds
}

fn more(new: &Board<'_>, old: &Board<'_>) -> bool {
    new.placed() > old.placed()
}

/// The same problem with a placement running.
fn running(problem: &PlacementProblem, board: &Board<'_>) -> PlacementProblem {
    let mut current: BTreeMap<_, BTreeMap<u32, Current>> = BTreeMap::new();
    for (id, place) in assign::assign(board) {
        let place = Current { node: place.node, gpus: place.gpus, held: false };
        current.entry(id.service).or_default().insert(id.index, place);
    }
    let mut next = problem.clone();
    for service in &mut next.services {
        let mut now = current.remove(&service.name).unwrap_or_default();
        for (index, place) in &mut now {
            let before = service.current.get(index).filter(|it| it.node == place.node);
            place.held = before.is_some_and(|it| it.held);
        }
        service.current = now;
    }
    next
}

/// The same counts on another field of the same nodes and services.
fn same<'f>(field: &'f Field<'f>, other: &Board<'_>) -> Option<Board<'f>> {
    let mut board = Board::empty(field);
    for (s, nodes) in other.of_service.iter().enumerate() {
        for (&node, &count) in nodes {
            (0..count).for_each(|_| board.add(s, node));
        }
    }
    board.sound().then_some(board)
}
