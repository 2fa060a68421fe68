//! Why a service is where it is, and what speaks against every other node.
//!
//! Knows one outcome. Refuses to change it.

use devnet_schema::{
    name::{InstanceId, NodeName, ServiceName},
    placement::Violation,
};

use super::{
    board::Board,
    field::Field,
    problem::{Outcome, PlacementProblem},
    shortfall,
};

/// All there is to say about the placement of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Which.
    pub service: ServiceName,
    /// Where it is declared, `file:line:column`.
    pub at: Option<String>,
    /// Its placed instances, with the reason of each.
    pub placed: Vec<(InstanceId, NodeName, String)>,
    /// Instances without a node.
    pub missing: u32,
    /// Every node, by name.
    pub nodes: Vec<Verdict>,
}

/// What one node is for a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Which.
    pub node: NodeName,
    /// Instances of the service on it.
    pub here: u32,
    /// Whether its own nature admits the service: filters, state, size when empty.
    pub eligible: bool,
    /// Everything that speaks against one instance more (or, when all are placed, against moving
    /// one here), as the fleet is filled by the outcome.
    pub violations: Vec<Violation>,
    /// Where nothing does: by how much the score would change, in millionths; lower is better.
    pub difference: Option<i64>,
}

/// Explains one service of an outcome; nothing where the problem has no such service.
pub fn explain(
    problem: &PlacementProblem,
    outcome: &Outcome,
    service: &ServiceName,
) -> Option<Explanation> {
    let field = Field::new(problem);
    let s = field.services.iter().position(|it| it.input.name == *service)?;
    let board = filled(&field, outcome);
    let input = field.services[s].input;
    let placed = outcome
        .assignments
        .iter()
        .filter(|(instance, _)| instance.service == *service)
        .map(|(instance, place)| (instance.clone(), place.node.clone(), place.reason.text()))
        .collect();
    Some(Explanation {
        service: service.clone(),
        at: input.at.clone(),
        placed,
        missing: board.missing(s),
        nodes: (0..field.nodes.len()).map(|n| verdict(&board, s, n)).collect(),
    })
}

/// The board that an outcome means.
fn filled<'f>(field: &'f Field<'f>, outcome: &Outcome) -> Board<'f> {
    let mut board = Board::empty(field);
    for (instance, place) in &outcome.assignments {
        let s = field.services.iter().position(|s| s.input.name == instance.service);
        let n = field.nodes.iter().position(|n| n.input.name == place.node);
        if let (Some(s), Some(n)) = (s, n) {
            board.add(s, n);
        }
    }
    board
}

fn verdict(board: &Board<'_>, s: usize, n: usize) -> Verdict {
    let mut without = board.clone();
    let before = board.cost();
    if board.missing(s) == 0
        && let Some(from) = board.of_service[s].keys().copied().rfind(|&from| from != n)
    {
        without.remove(s, from);
    }
    let violations = shortfall::violations(&without, s, n);
    let mut with = without;
    with.add(s, n);
    let difference = violations.is_empty().then(|| with.cost() as i64 - before as i64);
    Verdict {
        node: board.field.nodes[n].input.name.clone(),
        here: board.count(s, n),
        eligible: board.field.services[s].cell(n).is_some(),
        violations,
        difference,
    }
}
