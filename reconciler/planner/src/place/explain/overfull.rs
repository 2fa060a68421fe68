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
pub fn overfull(partial: &PartialPlacement<'_>) -> Vec<Overfull> {
    let nodes = partial.indexed.nodes.iter().enumerate().filter(|(_, node)| node.overfull);
    let found = nodes.filter_map(|(n, node)| {
        let (held, has) = (partial.held(n), partial.room(n));
        let over = (0..3).filter(|&r| held[r] > has[r]);
        let mut over: Vec<(String, String)> =
            over.map(|r| (amount_of(r, held[r]), amount_of(r, has[r]))).collect();
        for (d, left) in partial.device_room(n).iter().enumerate() {
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
