//! Changes made to a problem.
//!
//! Knows what each does to nodes and services. Refuses to know whether it helps.
//!
//! A trial changes a copy of the problem and places it. Freed room is room more: others are not
//! made smaller.

use super::{
    change::{Change, Resource, crew},
    new_gpus, new_node,
};
use crate::place::{
    ix::{Position, ServiceIx},
    model::index::IndexedProblem,
    problem::{GpuInput, NodeInput, NodeState, PlacementProblem, ServiceInput},
};

/// Makes the changes to the problem, for service `s` of the indexed problem.
pub(crate) fn make(
    indexed: &IndexedProblem<'_>,
    service_ix: ServiceIx,
    changes: &[Change],
    problem: &mut PlacementProblem,
) {
    // Lines are counted from the front: the last is dropped first.
    for change in changes.iter().rev() {
        if let Change::Of { service, change } = change {
            make(indexed, *service, std::slice::from_ref(change), problem);
            continue;
        }
        let target = match change {
            Change::LetMove { service, .. } => *service,
            _ => service_ix,
        };
        if let Change::ApartFromOf { service } = *change {
            let (own, other) =
                (indexed.services[service_ix].input, indexed.services[service].input);
            // What is kept of it, too, keeps away by that line.
            let services = problem.services.iter_mut();
            let others = services.filter(|input| other.name == *input.name.declared());
            others.for_each(|input| input.apart_from.retain(|name| own.name != *name));
            continue;
        }
        let name = &indexed.services[target].input.name;
        if let Some(input) = problem.services.iter_mut().find(|input| input.name == *name) {
            change_service(input, change);
        }
        match change {
            Change::Uncordon { node }
            | Change::Free { node, .. }
            | Change::Raise { node, .. }
            | Change::Equip { node, .. } => {
                let name = &indexed.nodes[*node].input.name;
                for input in problem.nodes.iter_mut().filter(|input| input.name == *name) {
                    change_node(indexed, service_ix, input, change);
                }
            }
            Change::AddNodes { each, with, zones } => {
                problem.nodes.extend(new_node::nodes(
                    indexed,
                    &crew(service_ix, *each, with),
                    zones,
                ));
            }
            _ => {}
        }
    }
}

fn change_service(input: &mut ServiceInput, change: &Change) {
    match *change {
        Change::LetMove { .. } => {
            input.movable = true;
            input.current.values_mut().for_each(|current| current.held = false);
        }
        Change::DropPin => input.pin = None,
        Change::Spread => input.spread.clear(),
        Change::MaxPerNode => {
            input.max_per_node = None;
            let own = input.name.clone();
            input.apart_from.retain(|name| own != *name);
        }
        Change::ApartFrom => input.apart_from.clear(),
        Change::Near => input.near.clear(),
        Change::OtherPort { port } => {
            let of_process = input.port_lines.get(&port).is_some_and(|line| line.of_process);
            input.host_ports.retain(|it| *it != port);
            if of_process {
                // Whichever it is, all of its instances have it: one that nobody else has.
                input.host_ports.push((port.0, 0));
            }
        }
        Change::DropRequire { line } => drop(input.require.remove(line)),
        Change::DropForbid { line } => drop(input.forbid.remove(line)),
        Change::ApartFromOf { .. }
        | Change::Uncordon { .. }
        | Change::Free { .. }
        | Change::Raise { .. }
        | Change::Equip { .. }
        | Change::AddNodes { .. }
        | Change::Of { .. } => {}
    }
}

fn change_node(
    indexed: &IndexedProblem<'_>,
    service: ServiceIx,
    input: &mut NodeInput,
    change: &Change,
) {
    let (what, amount) = match *change {
        Change::Uncordon { .. } => {
            input.state = NodeState::Ready;
            return;
        }
        Change::Equip { count, .. } => {
            input.gpus.extend(new_gpus::gpus(indexed, service, count as usize));
            return;
        }
        Change::Free { what, amount, .. } | Change::Raise { what, amount, .. } => (what, amount),
        _ => return,
    };
    let held = match what {
        Resource::Cpu => &mut input.cpu_milli,
        Resource::Memory => &mut input.memory,
        Resource::Disk => &mut input.disk,
        // What is freed on a device is room for the service beside what stays: one more device is
        // the same to one instance.
        Resource::Devices => return more_devices(indexed, service, input, amount),
        Resource::Slice | Resource::Share => return more_devices(indexed, service, input, 1),
    };
    *held = held.saturating_add(amount);
}

/// Gives the node so many devices more, like the largest one that it has.
fn more_devices(
    indexed: &IndexedProblem<'_>,
    service_ix: ServiceIx,
    input: &mut NodeInput,
    count: u64,
) {
    let service = indexed.services[service_ix].input;
    let fits = |gpu: &&GpuInput| crate::place::model::filter::accepts(service, gpu);
    let pattern = input.gpus.iter().filter(fits).max_by_key(|gpu| (gpu.memory, &gpu.id)).cloned();
    let Some(pattern) = pattern else {
        return;
    };
    input.gpus.extend(
        (0..count).map(|i| GpuInput {
            id: format!("freed-{}-{i}", service_ix.number()),
            ..pattern.clone()
        }),
    );
}
