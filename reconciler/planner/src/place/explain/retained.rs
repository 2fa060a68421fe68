//! An outcome in the names that were declared.
//!
//! Knows which instance a retained service stands for. Refuses to change a place.
//!
//! Inside, `db[0]` as it runs is a service; outside it is the instance that keeps running without a
//! place, with what speaks against its declaration.

use std::collections::BTreeMap;

use devnet_schema::name::{InstanceId, NodeName};

use super::violation;
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{
        indices::Assignments,
        partial::PartialPlacement,
        retained::{plain, retained_services, without_one},
    },
    outcome::{Displaced, Outcome, Reason},
    search::displaced::numbers,
};

/// The outcome of a staged problem in the names that were declared.
pub fn declared(partial: &PartialPlacement<'_>, mut outcome: Outcome) -> Outcome {
    if retained_services(partial.indexed).next().is_none() {
        return outcome;
    }
    let (kept, placed): (Assignments, Assignments) =
        outcome.assignments.into_iter().partition(|(id, _)| id.service.lone_instance().is_some());
    outcome.assignments = placed;
    let (kept_out, out): (BTreeMap<_, _>, BTreeMap<_, _>) =
        outcome.displaced.into_iter().partition(|(id, _)| id.service.lone_instance().is_some());
    outcome.displaced = out;
    let kept_out = kept_out.into_iter().map(|(id, why)| (plain(&id), why));
    let stops = |(id, _): &(InstanceId, Displaced)| !outcome.assignments.contains_key(id);
    outcome.displaced.extend(kept_out.filter(stops).collect::<Vec<_>>());
    let nodes = partial.indexed.nodes.enumerate();
    let nodes: BTreeMap<&NodeName, NodeIx> =
        nodes.map(|(node, it)| (&it.input.name, node)).collect();
    let numbers = numbers(partial.indexed);
    let mut known: BTreeMap<(ServiceIx, NodeIx), Vec<String>> = BTreeMap::new();
    for (id, mut place) in kept {
        let id = plain(&id);
        let at = (numbers[&id.service], nodes[&place.node]);
        let against = known.entry(at).or_insert_with(|| {
            let against = violation::violations(&without_one(partial, at.0, at.1), at.0, at.1);
            against.into_iter().map(|found| found.text).collect()
        });
        let against = against.clone();
        outcome.displaced.insert(id.clone(), Displaced { by: None, against });
        // What its node does not know of its devices it has all the same.
        let current = partial.indexed.services[at.0].input.current.get(&id.index);
        place.gpus = current.map_or(place.gpus, |current| current.gpus.clone());
        place.reason = Reason::Retained;
        outcome.assignments.insert(id, place);
    }
    outcome
}
