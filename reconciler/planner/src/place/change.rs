//! One change that a person could make so that a service fits: what it does to the problem, what
//! it is thought to cost, and the words for it.
//!
//! Knows the changes one by one. Refuses to know which of them help: [`super::suggest`] tries.

use devnet_schema::{
    placement::Edit,
    quantity::{Cpu, GpuRequest},
};

use super::{
    field::Field,
    newcomer,
    problem::{GpuInput, NodeInput, NodeState, PlacementProblem, ServiceInput},
    shortfall,
};

/// One change to the problem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// An instance with data goes elsewhere after all.
    LetMove {
        service: usize,
        index: u32,
    },
    DropPin,
    Spread,
    MaxPerNode,
    ApartFrom,
    /// The line of another service that keeps it away.
    ApartFromOf {
        service: usize,
    },
    Near,
    Uncordon {
        node: usize,
    },
    DropRequire {
        line: usize,
    },
    DropForbid {
        line: usize,
    },
    /// What runs there gives up so much.
    Free {
        node: usize,
        what: Room,
        amount: u64,
    },
    /// The node gets so much more: even empty it has too little.
    Raise {
        node: usize,
        what: Room,
        amount: u64,
    },
    AddNode,
}

/// What a node has too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Thousandths of a core.
    Cpu,
    /// Bytes.
    Memory,
    /// Bytes.
    Disk,
    /// Whole devices.
    Devices,
    /// Bytes of one device.
    Slice,
    /// Thousandths of one device.
    Share,
}

impl Room {
    /// For cpu, memory and disk by their number.
    pub const OF_NODE: [Self; 3] = [Self::Cpu, Self::Memory, Self::Disk];
}

/// The price of a move that is half as dear as such a price can be.
const DEAR: u64 = 100;

impl Change {
    /// What it is thought to cost; only for sorting. In this order, whatever the amounts: moves
    /// (nobody changes what was asked for), lines of the file (a commit; what only shapes a
    /// placement before what names a node or kept two services apart for a reason), what others
    /// must give up, more hardware for a node that is there, one more node.
    pub fn cost(&self) -> f64 {
        match self {
            Self::LetMove { .. } => 1.0,
            Self::DropPin => 10.0,
            Self::Spread | Self::MaxPerNode => 20.0,
            Self::Uncordon { .. } => 30.0,
            Self::ApartFrom | Self::ApartFromOf { .. } | Self::Near => 40.0,
            Self::DropRequire { .. } | Self::DropForbid { .. } => 50.0,
            Self::Free { .. } => 200.0,
            Self::Raise { .. } => 1000.0,
            Self::AddNode => 3000.0,
        }
    }
}

/// All of them together. Two changes are dearer than each of them, and never cheaper than one of
/// the dearer's kind.
pub fn cost(changes: &[Change]) -> f64 {
    changes.iter().map(Change::cost).sum()
}

/// What moves of such a price cost beside changes: always less than a line of the file.
pub fn cost_of_moves(price: u64) -> f64 {
    let price = price as f64;
    1.0 + 8.0 * price / (price + DEAR as f64)
}

/// Makes the changes to the problem, for service `s` of the field.
pub fn make(field: &Field<'_>, s: usize, changes: &[Change], problem: &mut PlacementProblem) {
    // Lines are counted from the front: the last is dropped first.
    for change in changes.iter().rev() {
        let target = match change {
            Change::LetMove { service, .. } => *service,
            _ => s,
        };
        if let Change::ApartFromOf { service } = *change {
            let (own, other) = (field.services[s].input, field.services[service].input);
            let others = problem.services.iter_mut().filter(|input| input.name == other.name);
            others.for_each(|input| input.apart_from.retain(|name| *name != own.name));
            continue;
        }
        let name = &field.services[target].input.name;
        if let Some(input) = problem.services.iter_mut().find(|input| input.name == *name) {
            change_service(input, change);
        }
        match *change {
            Change::Uncordon { node } | Change::Free { node, .. } | Change::Raise { node, .. } => {
                let name = &field.nodes[node].input.name;
                for input in problem.nodes.iter_mut().filter(|input| input.name == *name) {
                    change_node(field, s, input, change);
                }
            }
            Change::AddNode => problem.nodes.extend(newcomer::node(field, s)),
            _ => {}
        }
    }
}

fn change_service(input: &mut ServiceInput, change: &Change) {
    match *change {
        Change::LetMove { .. } => input.movable = true,
        Change::DropPin => input.pin = None,
        Change::Spread => input.spread.clear(),
        Change::MaxPerNode => {
            input.max_per_node = None;
            let own = input.name.clone();
            input.apart_from.retain(|name| *name != own);
        }
        Change::ApartFrom => input.apart_from.clear(),
        Change::Near => input.near.clear(),
        Change::DropRequire { line } => drop(input.require.remove(line)),
        Change::DropForbid { line } => drop(input.forbid.remove(line)),
        Change::ApartFromOf { .. }
        | Change::Uncordon { .. }
        | Change::Free { .. }
        | Change::Raise { .. }
        | Change::AddNode => {}
    }
}

fn change_node(field: &Field<'_>, s: usize, input: &mut NodeInput, change: &Change) {
    let (what, amount) = match *change {
        Change::Uncordon { .. } => {
            input.state = NodeState::Ready;
            return;
        }
        Change::Free { what, amount, .. } | Change::Raise { what, amount, .. } => (what, amount),
        _ => return,
    };
    let held = match what {
        Room::Cpu => &mut input.cpu_milli,
        Room::Memory => &mut input.memory,
        Room::Disk => &mut input.disk,
        // What is freed on a device is room for the service beside what stays: one more device is
        // the same to one instance.
        Room::Devices => return more_devices(field, s, input, amount),
        Room::Slice | Room::Share => return more_devices(field, s, input, 1),
    };
    *held = held.saturating_add(amount);
}

/// Gives the node so many devices more, like the largest one that it has.
fn more_devices(field: &Field<'_>, s: usize, input: &mut NodeInput, count: u64) {
    let service = field.services[s].input;
    let fits = |gpu: &&GpuInput| super::refusal::accepts(service, gpu);
    let pattern = input.gpus.iter().filter(fits).max_by_key(|gpu| (gpu.memory, &gpu.id)).cloned();
    let Some(pattern) = pattern else {
        return;
    };
    input.gpus.extend((0..count).map(|i| GpuInput { id: format!("freed-{i}"), ..pattern.clone() }));
}

/// Whether one instance more is all that the changes can be believed for: the room on a device
/// that was freed for it is no room for two.
pub fn is_for_one(changes: &[Change]) -> bool {
    let one =
        |change: &Change| matches!(change, Change::Free { what: Room::Slice | Room::Share, .. });
    changes.iter().any(one)
}

/// All changes in words, and the same for programs.
pub fn words(field: &Field<'_>, s: usize, changes: &[Change]) -> (String, Vec<Edit>) {
    let mut texts: Vec<String> = Vec::new();
    let mut all = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        let (text, edits) = words_of(field, s, change);
        all.extend(edits);
        // `free 2 cpu on n1`, `free a GPU on n1`: the verb and the node are said once.
        let last = at.checked_sub(1).map(|before| &changes[before]);
        match (last, change, texts.last_mut()) {
            (
                Some(Change::Free { node: before, .. }),
                Change::Free { node, what, amount },
                Some(text),
            ) if before == node => {
                let on = format!(" on {}", field.nodes[*node].input.name);
                let more = room_words(field.services[s].input, *what, *amount).0;
                *text = format!("{} and {more}{on}", text.trim_end_matches(&on));
            }
            _ => texts.push(text),
        }
    }
    (texts.join(" and "), all)
}

fn words_of(field: &Field<'_>, s: usize, change: &Change) -> (String, Vec<Edit>) {
    let input = field.services[s].input;
    let drop_of = |input: &ServiceInput, line: &str, at: Option<&String>| {
        let at = at.or(input.at.as_ref());
        let place = at.map_or(String::new(), |at| format!(" at {at}"));
        let text = format!("drop `{line}` of service {}{place}", input.name);
        let constraint = line.split(' ').next().unwrap_or(line).to_owned();
        (text, vec![Edit::Drop { constraint, service: input.name.clone(), at: at.cloned() }])
    };
    let drop = |line: &str, at: Option<&String>| drop_of(input, line, at);
    let name = |node: usize| field.nodes[node].input.name.clone();
    match change {
        Change::LetMove { .. } => (String::new(), Vec::new()),
        Change::DropPin => drop("pin", input.pin.as_ref().and_then(|pin| pin.at.as_ref())),
        Change::Spread => drop("spread", input.spread.first().and_then(|line| line.at.as_ref())),
        Change::MaxPerNode => drop("max-per-node", None),
        Change::ApartFrom => drop("apart-from", None),
        Change::ApartFromOf { service } => {
            drop_of(field.services[*service].input, "apart-from", None)
        }
        Change::Near => drop("near", None),
        Change::DropRequire { line } => {
            let line = &input.require[*line];
            drop(&line.line("require"), line.at.as_ref())
        }
        Change::DropForbid { line } => {
            let line = &input.forbid[*line];
            drop(&line.line("forbid"), line.at.as_ref())
        }
        Change::Uncordon { node } => {
            let node = name(*node);
            (format!("uncordon node {node}"), vec![Edit::Uncordon { node }])
        }
        Change::Free { node, what, amount } => {
            let (text, resource, amount) = room_words(input, *what, *amount);
            let text = format!("free {text} on {}", name(*node));
            (text, vec![Edit::Free { node: name(*node), resource, amount }])
        }
        Change::Raise { node, what, amount } => {
            let (text, resource, amount) = room_words(input, *what, *amount);
            let text = format!("give {} {text} more", name(*node));
            (text, vec![Edit::Raise { node: name(*node), resource, amount }])
        }
        Change::AddNode => newcomer::words(field, s),
    }
}

/// An amount in words, the resource and the amount in its unit.
fn room_words(input: &ServiceInput, what: Room, amount: u64) -> (String, String, u64) {
    let mib = amount.div_ceil(1 << 20);
    let size = shortfall::size(mib << 20);
    let (text, resource, amount) = match what {
        Room::Cpu => (format!("{} cpu", Cpu { milli: amount }), "cpu", amount),
        Room::Memory => (format!("{size} of memory"), "memory", mib),
        Room::Disk => (format!("{size} of disk"), "disk", mib),
        Room::Devices if amount == 1 => ("a GPU".to_owned(), "gpu", 1),
        Room::Devices => (format!("{amount} GPUs"), "gpu", amount),
        Room::Slice => (format!("{size} of GPU memory"), "gpu-memory", mib),
        Room::Share => {
            let whole = if input.gpu == GpuRequest::Share(1000) { "whole " } else { "" };
            (format!("{}% of a {whole}GPU", shortfall::tenths(amount)), "gpu-share", amount)
        }
    };
    (text, resource.to_owned(), amount)
}
