//! What an outcome decides, as one JSON document to compare: places, devices, proofs, prices, what
//! speaks against each node, and the changes that would help.
//!
//! Knows every field that a person or a program acts on. Refuses to look at sentences: wording may
//! change, a placement may not. Two outcomes with the same facts are the same placement.

use serde_json::{Value, json};

use super::place::{Assignment, Outcome, Reason, Unplaceable, Violation};

/// The outcome without its sentences.
pub(super) fn of(outcome: &Outcome) -> Value {
    let Outcome {
        assignments,
        levels,
        moves,
        moves_bound,
        restarts,
        move_cost,
        move_cost_bound,
        moves_proven,
        objective,
        cost,
        bound,
        status,
        displaced,
        held,
        overfull,
        unplaced,
        solver,
        ilps,
        cut_short,
        search: _,
    } = outcome;
    let placed: Vec<Value> =
        assignments.iter().map(|(id, place)| json!([id, assignment(place)])).collect();
    let levels: Vec<Value> = levels
        .iter()
        .map(|it| {
            json!([it.priority, it.wanted, it.placed, it.bound, it.proven, it.assumes.is_some()])
        })
        .collect();
    let displaced: Vec<Value> =
        displaced.iter().map(|(id, why)| json!([id, why.by, why.against.len()])).collect();
    let held: Vec<Value> = held.iter().map(|(id, found)| json!([id, violations(found)])).collect();
    let overfull: Vec<Value> = overfull.iter().map(|it| json!(it.node)).collect();
    let unplaced: Vec<Value> = unplaced.iter().map(unplaceable).collect();
    json!({
        "placed": placed, "levels": levels, "displaced": displaced, "held": held,
        "overfull": overfull, "unplaced": unplaced, "objective": objective, "status": status,
        "moves": [moves, moves_bound], "restarts": restarts,
        "price": [*move_cost, *move_cost_bound, u64::from(*moves_proven)],
        "score": [cost, bound], "solver": solver, "programs": ilps, "cut_short": cut_short,
    })
}

fn assignment(place: &Assignment) -> Value {
    let (kind, from) = match &place.reason {
        Reason::Stays => ("stays", None),
        Reason::Held { .. } => ("held", None),
        Reason::Retained => ("as it is", None),
        Reason::ChangesDevices { .. } => ("changes devices", None),
        Reason::New { .. } => ("new", None),
        Reason::Moves { from, .. } => ("moves", Some(from)),
    };
    json!([place.node, place.gpus, kind, from])
}

/// What speaks against a node, with its numbers.
pub(super) fn violations(found: &[Violation]) -> Vec<Value> {
    let of = |it: &Violation| json!([it.constraint, it.need, it.free, it.whole, it.give, it.at]);
    found.iter().map(of).collect()
}

fn unplaceable(it: &Unplaceable) -> Value {
    let nodes: Vec<Value> =
        it.nodes.iter().map(|node| json!([node.node, violations(&node.violations)])).collect();
    let changes: Vec<Value> =
        it.suggestions.iter().map(|way| json!([way.cost, way.verified, way.edits])).collect();
    json!([it.service, it.unplaced, nodes, changes])
}
