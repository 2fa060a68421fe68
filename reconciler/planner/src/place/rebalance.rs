//! A few moves towards balance, beyond those that are needed anyway.
//!
//! Knows what each move gains. Refuses to move what has data, and more than was asked for.

use std::collections::BTreeMap;

use devnet_schema::name::{InstanceId, NodeName};

use super::{
    again,
    board::Board,
    outcome,
    pace::{Pace, Progress},
    pipeline,
    problem::{Outcome, PlacementProblem},
    search, settled,
    work::Work,
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
    /// By how much the score falls, in millionths.
    pub gain: u64,
}

/// A few moves towards balance.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebalanced {
    /// The moves beyond those that are needed anyway, the one with most to gain first.
    pub gains: Vec<Gain>,
    /// What results: the best placement with the needed moves and these.
    pub outcome: Outcome,
}

/// Moves at most so many instances that could stay, each time the one that lowers the score most.
/// What has data stays.
pub fn rebalance(problem: &PlacementProblem, most: u32) -> Rebalanced {
    let field = settled(problem);
    let mut free = |_: &Progress<'_>| Pace::Free;
    let mut work = Work::new(&mut free);
    let mut solved = again::solve(&field, &mut work);
    let mut hops = Vec::new();
    while hops.len() < most as usize {
        let Some(hop) = search::best_hop(&solved.board) else {
            break;
        };
        search::shift(&mut solved.board, hop.s, hop.from, hop.to);
        hops.push(hop);
    }
    solved.cost_bound = pipeline::least_cost(&solved.board, &mut work);
    let before = seats(&solved.board, &hops);
    let outcome = outcome(&field, &solved, &work);
    let name = |n: usize| field.nodes[n].input.name.clone();
    let gains = hops.into_iter().zip(before).map(|(hop, index)| Gain {
        instance: InstanceId { service: field.services[hop.s].input.name.clone(), index },
        from: name(hop.from),
        to: name(hop.to),
        gain: hop.gain,
    });
    let gains = gains.collect();
    Rebalanced { gains, outcome }
}

/// The index of the instance that each hop moves: of those on a node, the highest go first.
fn seats(board: &Board<'_>, hops: &[search::Hop]) -> Vec<u32> {
    let mut gone: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    let seat = |hop: &search::Hop| {
        let input = board.field.services[hop.s].input;
        let node = &board.field.nodes[hop.from].input.name;
        let here = input.current.range(..input.replicas).filter(|(_, it)| it.node == *node);
        let gone = gone.entry((hop.s, hop.from)).or_insert(0);
        *gone += 1;
        let mut indices: Vec<u32> = here.map(|(&index, _)| index).collect();
        indices.reverse();
        indices.get(*gone as usize - 1).copied().unwrap_or(0)
    };
    hops.iter().map(seat).collect()
}
