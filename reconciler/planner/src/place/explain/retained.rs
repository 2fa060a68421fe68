//! An outcome in the names that were declared.
//!
//! Knows which instance a retained service stands for. Refuses to change a place.
//!
//! Inside, `db[0]` as it runs is a service; outside it is the instance that keeps running without a
//! place, with what speaks against its declaration.

use std::{collections::BTreeMap, mem::take};

use devnet_schema::name::{InstanceId, NodeName};

use super::violation;
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{
        indices::Assignments,
        partial::PartialPlacement,
        retained::{retained_services, without_one},
    },
    outcome::{Displaced, Outcome, Reason},
    problem::{InstanceKey, ServiceKey},
    search::displaced::numbers,
};

/// The outcome of a problem with what is retained, in the names that were declared.
pub(crate) fn declared(
    partial: &PartialPlacement<'_>,
    mut outcome: Outcome<InstanceKey>,
) -> Outcome {
    let retained = |key: &InstanceKey| key.service.is_retained();
    let (kept, placed): (Assignments, Assignments) =
        take(&mut outcome.assignments).into_iter().partition(|(key, _)| retained(key));
    let (kept_out, out): (BTreeMap<_, _>, BTreeMap<_, _>) =
        take(&mut outcome.displaced).into_iter().partition(|(key, _)| retained(key));
    let mut outcome = outcome.named(plain(placed), plain(out));
    if retained_services(partial.indexed).next().is_none() {
        return outcome;
    }
    let mut stopped = plain(kept_out);
    stopped.retain(|id, _| !outcome.assignments.contains_key(id));
    outcome.displaced.extend(stopped);
    let nodes = partial.indexed.nodes.enumerate();
    let nodes: BTreeMap<&NodeName, NodeIx> =
        nodes.map(|(node, it)| (&it.input.name, node)).collect();
    let numbers = numbers(partial.indexed);
    let mut known: BTreeMap<(ServiceIx, NodeIx), Vec<String>> = BTreeMap::new();
    for (id, mut place) in plain(kept) {
        let service = numbers[&ServiceKey::Declared(id.service.clone())];
        let at = (service, nodes[&place.node]);
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

/// The same by the instances that people know.
fn plain<T>(all: BTreeMap<InstanceKey, T>) -> BTreeMap<InstanceId, T> {
    all.into_iter().map(|(key, it)| (key.into_instance(), it)).collect()
}
