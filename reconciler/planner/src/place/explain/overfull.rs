//! Nodes on which what runs has more than services may have there.
//!
//! Knows what is held and what there is. Refuses to say who should leave.
//!
//! The plan warns of them (DN-W0610), since nothing else shows that a reserve is not kept. `5 cpu
//! of 4`.

use super::amount::{amount_of, listed, size};
use crate::place::{
    model::{gpu_request, partial::PartialPlacement},
    outcome::Overfull,
};

/// Nodes on which what runs has more than services may have there.
pub(crate) fn overfull(partial: &PartialPlacement<'_>) -> Vec<Overfull> {
    let nodes = partial.indexed.nodes.enumerate().filter(|(_, node)| node.overfull);
    let found = nodes.filter_map(|(node_ix, node)| {
        let (held, has) = (partial.held(node_ix), partial.room(node_ix));
        let over = (0..3).filter(|&resource| held[resource] > has[resource]);
        let mut over: Vec<(String, String)> = over
            .map(|resource| {
                (amount_of(resource, held[resource]), amount_of(resource, has[resource]))
            })
            .collect();
        for (d, left) in partial.device_room(node_ix).iter().enumerate() {
            let gpu = &node.input.gpus[node.devices[d]];
            let used = gpu_request::size(node.memories[d]).saturating_sub(*left).div_ceil(1000);
            let told = |bytes: u64| format!("{} of {}", size(bytes), gpu.id);
            over.extend((used > gpu.memory).then(|| (told(used), told(gpu.memory))));
        }
        let (holds, of): (Vec<String>, Vec<String>) = over.into_iter().unzip();
        let (node, holds, of) = (node.input.name.clone(), listed(&holds), listed(&of));
        (!holds.is_empty()).then_some(Overfull { node, holds, of })
    });
    found.collect()
}
