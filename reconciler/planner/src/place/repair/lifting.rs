//! What lifts each thing that can speak against a node.
//!
//! Knows one change for each kind of violation. Refuses to know amounts.
//!
//! `spread` is lifted by dropping the line, `cordon` by uncordoning. What nothing lifts, as a
//! drained node, rules the node out.

use devnet_schema::instance::Protocol;

use super::change::Change;
use crate::place::{
    explain::violation::{data, neighbours},
    ix::{NodeIx, ServiceIx},
    model::{filter, partial::PartialPlacement},
    problem::{Constraint, Current, Key, Require},
};

pub(crate) fn is_about_model(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    change: &Change,
) -> bool {
    let input = partial.indexed.services[service].input;
    match *change {
        Change::DropRequire { line } => input.require[line].key == Key::GpuModel,
        Change::DropForbid { line } => input.forbid[line].key == Key::GpuModel,
        _ => false,
    }
}

/// Another port for each that is taken on the node; nothing where none would help: two instances of
/// a process listen on the same one, whichever it is.
pub(crate) fn ports(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    node_ix: NodeIx,
) -> Option<Vec<Change>> {
    let input = partial.indexed.services[service].input;
    let node = partial.indexed.nodes[node_ix].input;
    let taken = |port: &&(Protocol, u16)| {
        node.reserved_ports.contains(port) || neighbours::holder(partial, node_ix, **port).is_some()
    };
    let mut all: Vec<_> = input.host_ports.iter().filter(taken).copied().collect();
    all.sort();
    let of_process = |port| input.port_lines.get(port).is_some_and(|line| line.of_process);
    let itself = |port| neighbours::holder(partial, node_ix, port) == Some(service);
    if all.iter().any(|port| of_process(port) && itself(*port)) {
        return None;
    }
    Some(all.into_iter().map(|port| Change::OtherPort { port }).collect())
}

/// What lifts everything but lack of room, sorted; nothing where something cannot be lifted.
pub(crate) fn lines(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    node_ix: NodeIx,
    constraints: &[Constraint],
) -> Option<Vec<Change>> {
    let input = partial.indexed.services[service].input;
    let node = partial.indexed.nodes[node_ix].input;
    // Of one on each eligible node, other lines make other nodes eligible, and none of these has
    // more room.
    let own =
        |it: &Constraint| it.is_room() || matches!(it, Constraint::ApartFrom | Constraint::Near);
    if input.numbers.is_some() && !constraints.iter().all(own) {
        return None;
    }
    let mut found = Vec::new();
    for &constraint in constraints.iter().filter(|it| !it.is_room()) {
        match constraint {
            Constraint::Pin => found.push(Change::DropPin),
            Constraint::Spread => found.push(Change::Spread),
            Constraint::MaxPerNode => found.push(Change::MaxPerNode),
            Constraint::ApartFrom => {
                let there = partial.indexed.services[service].apart.iter().copied();
                found.extend(there.filter(|&other| partial.count(other, node_ix) > 0).map(
                    |other| {
                        let name = partial.indexed.services[other].input.name.declared();
                        match input.apart_from.contains(name) {
                            true => Change::ApartFrom,
                            false => {
                                Change::ApartFromOf { service: partial.indexed.declared(other) }
                            }
                        }
                    },
                ));
            }
            // The line of who would be left alone is not its own.
            Constraint::Near if input.near.is_empty() => return None,
            Constraint::Near => found.push(Change::Near),
            // Beside other changes it would be told of as if it moved by itself.
            Constraint::Data if constraints == [Constraint::Data] => {
                found.extend(let_move(partial, service))
            }
            Constraint::Data => return None,
            Constraint::Cordon => found.push(Change::Uncordon { node: node_ix }),
            Constraint::Condition(Key::Runtime) => return None,
            Constraint::Condition(key) => {
                let of = |list: &[Require], held: bool| -> Vec<usize> {
                    let wrong = |(_, line): &(usize, &Require)| {
                        line.key == key && filter::holds(line, node) == held
                    };
                    list.iter().enumerate().filter(wrong).map(|(at, _)| at).collect()
                };
                let required = of(&input.require, false).into_iter();
                found.extend(required.map(|line| Change::DropRequire { line }));
                let forbidden = of(&input.forbid, true).into_iter();
                found.extend(forbidden.map(|line| Change::DropForbid { line }));
            }
            // A node that takes nobody, and what no problem has.
            _ => return None,
        }
    }
    found.sort();
    found.dedup();
    Some(found)
}

/// That the first of those that wait with their data elsewhere goes away from it.
fn let_move(partial: &PartialPlacement<'_>, service: ServiceIx) -> Option<Change> {
    let homes = data::data_of_waiting(partial, service);
    let input = partial.indexed.services[service].input;
    let at_home = |current: &Current| {
        homes.iter().any(|&node| partial.indexed.nodes[node].input.name == current.node)
    };
    let mut waiting = input.existing().filter(|(_, it)| at_home(it));
    waiting.next().map(|(&index, _)| Change::LetMove { service, index })
}
