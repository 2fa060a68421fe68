//! The least of a way out: room to be freed or given, made smaller as long as that helps as many.
//!
//! Knows which amounts could make a difference. Refuses to look for more than a few of them.

use std::collections::BTreeSet;

use super::{
    board::Board,
    budget::Budget,
    change::{Change, Room},
    room,
    suggest::{Case, Kind, Trial},
    work::Work,
};

/// Smaller amounts that are tried of one room.
const TRIES: usize = 3;

impl Case<'_, '_> {
    /// The same with less, as far as that is seen to place as many; where all was planned.
    pub fn shrunk(&self, mut trial: Trial, budget: &mut Budget, work: &mut Work<'_>) -> Trial {
        for at in 0..trial.changes.len() {
            let Kind::Whole(_) = trial.kind else {
                return trial;
            };
            let (node, what, amount) = match trial.changes[at] {
                Change::Free { node, what, amount } | Change::Raise { node, what, amount }
                    if Room::OF_NODE.contains(&what) =>
                {
                    (node, what, amount)
                }
                _ => continue,
            };
            let less = smaller(self.board, (self.s, node), what as usize, amount);
            let (mut low, mut high) = (0, less.len());
            for _ in 0..TRIES {
                if low == high || !budget.may_shrink() || !work.go_on(self.board) {
                    break;
                }
                let middle = usize::midpoint(low, high);
                let mut changes = trial.changes.clone();
                changes[at] = self.room((node, what), less[middle]);
                let tried = self.try_whole(&changes, work);
                match tried.filter(|tried| tried.gained >= trial.gained) {
                    Some(tried) => (trial, high) = (tried, middle),
                    None => low = middle + 1,
                }
            }
        }
        trial
    }

    fn room(&self, (node, what): (usize, Room), amount: u64) -> Change {
        match room::could_be_freed(self.board, (self.s, node), what as usize, amount) {
            true => Change::Free { node, what, amount },
            false => Change::Raise { node, what, amount },
        }
    }
}

/// Smaller amounts that could do, least first: for fewer instances of the service there, and with
/// one of another one less.
fn smaller(board: &Board<'_>, (s, n): (usize, usize), r: usize, amount: u64) -> Vec<u64> {
    let services = &board.field.services;
    let free = board.field.nodes[n].capacity[r].saturating_sub(board.used[n][r]);
    let need = services[s].need[r];
    let fewer = (1..u64::from(board.missing(s))).map(|k| need.saturating_mul(k));
    let fewer = fewer.map(|need| need.saturating_sub(free));
    let leaving = board.on_node[n].keys().map(|&t| amount.saturating_sub(services[t].need[r]));
    let all: BTreeSet<u64> =
        fewer.chain(leaving).filter(|less| (1..amount).contains(less)).collect();
    all.into_iter().collect()
}
