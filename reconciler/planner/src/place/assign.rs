//! From counts to instances: which index goes where, on which devices, and who stays.
//!
//! Knows what runs now, so that nothing moves that need not. Refuses to change a count, and to
//! look for reasons: [`super::why`] does, once.

use std::collections::BTreeMap;

use devnet_schema::{
    name::{InstanceId, NodeName},
    placement::GpuUse,
    quantity::{Bytes, GpuRequest},
};

use super::{
    board::Board,
    field::Field,
    gpu,
    problem::{Assignment, Current, NodeState, Reason},
};

/// An instance on its node, before devices.
struct Seat {
    service: usize,
    index: u32,
    node: usize,
    stays: bool,
}

/// Every placed instance of a sound board.
pub fn assign(board: &Board<'_>) -> BTreeMap<InstanceId, Assignment> {
    let field = board.field;
    let names: BTreeMap<&NodeName, usize> =
        field.nodes.iter().enumerate().map(|(n, node)| (&node.input.name, n)).collect();
    let seats: Vec<Seat> =
        (0..field.services.len()).flat_map(|s| seats(board, s, &names)).collect();
    let devices = devices(board, &seats);
    let placed = seats.iter().zip(devices).map(|(seat, gpus)| {
        let service = field.services[seat.service].input;
        let instance = InstanceId { service: service.name.clone(), index: seat.index };
        let reason = reason(board, seat, &gpus, &names);
        let node = field.nodes[seat.node].input.name.clone();
        (instance, Assignment { node, gpus, reason })
    });
    placed.collect()
}

/// Indices to nodes: who can stay does, the lower index first; the others fill what is left.
fn seats(board: &Board<'_>, s: usize, names: &BTreeMap<&NodeName, usize>) -> Vec<Seat> {
    let input = board.field.services[s].input;
    let mut left = board.of_service[s].clone();
    let mut seats: BTreeMap<u32, (usize, bool)> = BTreeMap::new();
    for (&index, current) in input.current.range(..input.replicas) {
        let Some(&node) = names.get(&current.node) else {
            continue;
        };
        if let Some(count) = left.get_mut(&node).filter(|count| **count > 0) {
            *count -= 1;
            seats.insert(index, (node, true));
        }
    }
    let mut free = left.into_iter().flat_map(|(node, count)| (0..count).map(move |_| node));
    for index in 0..input.replicas {
        if seats.contains_key(&index) {
            continue;
        }
        let Some(node) = free.next() else { break };
        seats.insert(index, (node, false));
    }
    let seat = |(index, (node, stays))| Seat { service: s, index, node, stays };
    seats.into_iter().map(seat).collect()
}

/// Devices for every seat. Who stays keeps its devices where all of them can.
fn devices(board: &Board<'_>, seats: &[Seat]) -> Vec<Vec<GpuUse>> {
    let field = board.field;
    let mut uses: Vec<Vec<GpuUse>> = seats.iter().map(|_| Vec::new()).collect();
    let mut on_node: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, seat) in seats.iter().enumerate() {
        if field.services[seat.service].wants_gpu() {
            on_node.entry(seat.node).or_default().push(at);
        }
    }
    for (n, members) in on_node {
        let node = &field.nodes[n];
        let item = |&at: &usize, wish: bool| {
            let seat = &seats[at];
            let service = &field.services[seat.service];
            let allowed = service.cell(n).map_or(0, |cell| cell.allowed);
            let current = service.input.current.get(&seat.index).filter(|_| seat.stays && wish);
            let wish = current.map_or(Vec::new(), |current| positions(field, n, current));
            gpu::Item { need: service.input.gpu, allowed, wish }
        };
        let wished: Vec<gpu::Item> = members.iter().map(|at| item(at, true)).collect();
        let plain = || members.iter().map(|at| item(at, false)).collect::<Vec<_>>();
        let chosen = gpu::pack(&node.memories, &wished)
            .or_else(|| gpu::pack(&node.memories, &plain()))
            .unwrap_or_else(|| arranged(board, n, members.iter().map(|&at| seats[at].service)));
        for (&at, devices) in members.iter().zip(chosen) {
            let need = field.services[seats[at].service].input.gpu;
            let id = |d: usize| node.input.gpus[node.devices[d]].id.clone();
            uses[at] = devices.into_iter().map(|d| gpu_use(id(d), need)).collect();
        }
    }
    uses
}

/// The devices as the board has them, in the order of the services given.
fn arranged(board: &Board<'_>, n: usize, services: impl Iterator<Item = usize>) -> Vec<Vec<usize>> {
    let mut left: BTreeMap<usize, Vec<u128>> = BTreeMap::new();
    services
        .map(|s| {
            let seats = left.entry(s).or_insert_with(|| board.devices_of(s, n));
            let set = seats.pop().unwrap_or(0);
            (0..gpu::DEVICES).filter(|d| set >> d & 1 == 1).collect()
        })
        .collect()
}

/// The positions of the devices an instance has, where all of them are still there.
fn positions(field: &Field<'_>, n: usize, current: &Current) -> Vec<usize> {
    let node = &field.nodes[n];
    let position =
        |gpu: &GpuUse| node.devices.iter().position(|&d| node.input.gpus[d].id == gpu.id);
    let found: Option<Vec<usize>> = current.gpus.iter().map(position).collect();
    found.unwrap_or_default()
}

fn gpu_use(id: String, need: GpuRequest) -> GpuUse {
    let (share_milli, memory) = match need {
        GpuRequest::None => (0, Bytes::ZERO),
        GpuRequest::Whole(_) => (1000, Bytes::ZERO),
        GpuRequest::Share(milli) => (milli, Bytes::ZERO),
        GpuRequest::Memory(bytes) => (0, bytes),
    };
    GpuUse { id, share_milli, memory }
}

fn reason(
    board: &Board<'_>,
    seat: &Seat,
    gpus: &[GpuUse],
    names: &BTreeMap<&NodeName, usize>,
) -> Reason {
    let input = board.field.services[seat.service].input;
    let Some(current) = input.current.get(&seat.index) else {
        return Reason::New { why: String::new() };
    };
    if seat.stays {
        let ids = |list: &[GpuUse]| {
            let mut ids: Vec<String> = list.iter().map(|gpu| gpu.id.clone()).collect();
            ids.sort();
            ids
        };
        let same = current.gpus.is_empty() || ids(&current.gpus) == ids(gpus);
        return if same { stays(board, seat) } else { Reason::ChangesDevices };
    }
    let from = current.node.clone();
    if !names.contains_key(&from) {
        return Reason::Moves { because: format!("{from} is not in the fleet any more"), from };
    }
    // What else drove it away is found out for the last board only.
    Reason::Moves { from, because: String::new() }
}

/// Why it stays, which a person who drains the node will ask.
fn stays(board: &Board<'_>, seat: &Seat) -> Reason {
    let name = &board.field.nodes[seat.node].input.name;
    let data = "its data is here and cannot be moved";
    let why = match board.field.nodes[seat.node].input.state {
        NodeState::Ready | NodeState::Cordoned => return Reason::Stays,
        NodeState::Draining => format!("{data}, though {name} is being drained"),
        NodeState::Lost => format!("{data}, though {name} has been offline for too long"),
        NodeState::Away => format!("{name} is offline, and it may still run there"),
    };
    Reason::Held { why }
}
