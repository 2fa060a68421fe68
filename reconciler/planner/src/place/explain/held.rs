//! Instances that only their data holds where they are.
//!
//! Knows what is against each. Refuses to move any.
//!
//! A line or the state of the node is against them, and data comes first. The plan names them,
//! since the file says something else.

use std::collections::BTreeMap;

use devnet_schema::{name::InstanceId, placement::Violation};

use super::violation::filters;
use crate::place::{
    model::{index::IndexedProblem, indices::Assignments},
    problem::InstanceKey,
};

/// What is where only its data holds it, and what is against that.
pub(crate) fn held(
    indexed: &IndexedProblem<'_>,
    placed: &Assignments,
) -> BTreeMap<InstanceId, Vec<Violation>> {
    let mut held = BTreeMap::new();
    for service in &indexed.services {
        for candidate in service.candidates.iter().filter(|candidate| candidate.against) {
            let node = &indexed.nodes[candidate.node];
            let against = filters::refusals_of(service.input, node, candidate.current);
            let current = service.input.existing();
            let here = current.filter(|(_, it)| it.held && it.node == node.input.name);
            let ids = here.map(|(&index, _)| service.input.instance(index));
            let stays = |id: &InstanceKey| {
                placed.get(id).is_some_and(|place| place.node == node.input.name)
            };
            let ids = ids.filter(|id| !id.service.is_retained() && stays(id));
            held.extend(ids.map(|id| (id.into_instance(), against.clone())));
        }
    }
    held
}
