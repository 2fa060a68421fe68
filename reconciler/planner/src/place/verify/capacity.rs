//! Cpu, memory and disk of one node.
//!
//! Knows sums, and when more than the node has is in order. Refuses to know devices.
//!
//! A node whose reserve was raised may hold what ran there, and nothing more.

use std::collections::BTreeSet;

use super::{
    admits::filters_admit,
    breach::{Breach, Placed, tell},
};
use crate::place::{
    outcome::{Assignment, Reason},
    problem::{
        Constraint, Holding, InstanceKey, NodeInput, PlacementProblem, ServiceInput, ServiceKey,
    },
};

/// One resource of what is asked for and of what runs.
#[derive(Clone, Copy)]
struct Amount {
    need: fn(&ServiceInput) -> u64,
    has: fn(&Holding) -> u64,
}

pub(super) fn check_capacity(
    problem: &PlacementProblem,
    node: &NodeInput,
    placed: &Placed<'_>,
    breaches: &mut Vec<Breach>,
) {
    let amounts: [(_, _, Amount); 3] = [
        (
            Constraint::Cpu,
            node.cpu_milli,
            Amount { need: |it| it.cpu_milli, has: |it| it.cpu_milli },
        ),
        (Constraint::Memory, node.memory, Amount { need: |it| it.memory, has: |it| it.memory }),
        (Constraint::Disk, node.disk, Amount { need: |it| it.disk, has: |it| it.disk }),
    ];
    for (constraint, capacity, amount) in amounts {
        let capacity = u128::from(capacity);
        let used = placed.iter().map(|(_, _, it)| u128::from((amount.need)(it))).sum::<u128>();
        if used > capacity && !as_before(problem, node, placed, (capacity, amount)) {
            let word = constraint.name();
            let text = format!("{} has {capacity} of {word}, {used} used", node.name);
            tell(breaches, constraint, text);
        }
    }
}

/// More than the node has is in order only of what ran there. What is placed as it is declared has
/// its room beside the data that stays, unless a line is against that data; and all of it is no
/// more than what ran there.
fn as_before(
    problem: &PlacementProblem,
    node: &NodeInput,
    placed: &Placed<'_>,
    (capacity, Amount { need, has }): (u128, Amount),
) -> bool {
    let (mut ran, mut data) = (0, 0);
    let here: BTreeSet<&InstanceKey> = placed.iter().map(|(id, _, _)| id).collect();
    let mut held: BTreeSet<&ServiceKey> = BTreeSet::new();
    for service in &problem.services {
        let keeps = || service.current.values().any(|it| it.held && it.node == node.name);
        let stays = !service.movable && (filters_admit(service, node) || keeps());
        held.extend(stays.then_some(&service.name));
        for (index, current) in service.existing() {
            let holding = service.holdings.get(index).filter(|_| current.node == node.name);
            // What is held and does not run comes back to where its data is, like what runs there.
            let back = current.held && current.node == node.name;
            let needs = if back { u128::from(need(service)) } else { 0 };
            let has = holding.map_or(needs, |it| u128::from(has(it)));
            ran += has;
            let placed_here = || here.contains(&service.instance(*index));
            data += if stays && placed_here() { has } else { 0 };
        }
    }
    let counts = |place: &Assignment, it: &ServiceInput| {
        place.reason != Reason::Retained || held.contains(&it.name)
    };
    let sum = |counted: bool| -> u128 {
        let all = placed.iter().filter(|(_, place, it)| !counted || counts(place, it));
        all.map(|(_, _, it)| u128::from(need(it))).sum()
    };
    sum(true) <= capacity.max(data) && sum(false) <= capacity.max(ran)
}
