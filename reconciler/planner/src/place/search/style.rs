//! Orders and rules of greedy runs.
//!
//! Knows which service comes first and which node is taken. Refuses to place anything.
//!
//! No single order is good everywhere, and a run takes milliseconds. Services with few candidates
//! come first, or large ones: `FewestCandidates`, `LargestFirst`.

use devnet_schema::quantity::GpuRequest;

use crate::place::{ix::ServiceIx, model::index::IndexedProblem};

/// How a greedy run chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Start from what runs now.
    pub repair: bool,
    pub order: Order,
    pub choice: Choice,
}

/// Which service of a level comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The one with the fewest nodes to choose from.
    FewestCandidates,
    /// The one that takes most of a node.
    LargestFirst,
    /// The same, whatever the level: what takes many devices finds them together only as long as
    /// nothing small stands on them.
    LargestOfAll,
}

/// Which of the nodes that fit is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Where the score grows least.
    Score,
    /// Where least is left over.
    BestFit,
}

/// Greedy runs from what runs now, the gentlest first.
pub(crate) const REPAIRS: [Style; 2] = [
    Style { repair: true, order: Order::FewestCandidates, choice: Choice::Score },
    Style { repair: true, order: Order::LargestFirst, choice: Choice::BestFit },
];

/// Greedy runs from nothing.
pub(crate) const STYLES: [Style; 4] = [
    Style { repair: false, order: Order::LargestOfAll, choice: Choice::BestFit },
    Style { repair: false, order: Order::FewestCandidates, choice: Choice::Score },
    Style { repair: false, order: Order::LargestFirst, choice: Choice::Score },
    Style { repair: false, order: Order::LargestFirst, choice: Choice::BestFit },
];

/// Services by level, then by the given order, then by number.
pub(crate) fn order(indexed: &IndexedProblem<'_>, order: Order) -> Vec<ServiceIx> {
    let mut total = [1u128; 3];
    for node in &indexed.nodes {
        for (sum, capacity) in total.iter_mut().zip(node.capacity) {
            *sum += u128::from(capacity);
        }
    }
    let size = |service_ix: ServiceIx| -> u128 {
        let need = indexed.services[service_ix].need;
        (0..3).map(|resource| u128::from(need[resource]) * 1_000_000_000 / total[resource]).sum()
    };
    let mut list: Vec<ServiceIx> = indexed.services.positions().collect();
    let largest = indexed.nodes.iter().flat_map(|node| &node.memories).max().copied().unwrap_or(1);
    list.sort_by_key(|&service_ix| {
        let service = &indexed.services[service_ix];
        let choices = match order {
            Order::FewestCandidates => service.candidates.len() as u64,
            Order::LargestFirst | Order::LargestOfAll => {
                u64::MAX - devices(service.input.gpu, largest)
            }
        };
        let level = if order == Order::LargestOfAll { 0 } else { service.level };
        // Few nodes have many devices together.
        let few = matches!(service.input.gpu, GpuRequest::Whole(2..));
        let nodes = if few { service.candidates.len() } else { usize::MAX };
        (level, choices, nodes, std::cmp::Reverse(size(service_ix)), service_ix)
    });
    list
}

/// Thousandths of a device, roughly.
fn devices(need: GpuRequest, largest: u64) -> u64 {
    match need {
        GpuRequest::None => 0,
        GpuRequest::Whole(count) => 1000 * u64::from(count),
        GpuRequest::Share(milli) => u64::from(milli),
        GpuRequest::Memory(bytes) => bytes.0.saturating_mul(1000) / largest.max(1),
    }
}
