//! The reason of an instance that is plain from where it was: it stays, is new, or moves.
//!
//! Knows one instance, before and after. Refuses to look for what drove it away: `explain::reason`
//! does.
//!
//! Naming instances must say who stays, and only the finished placement is worth a search for more.
//! An instance that restarts on other devices is told who has its own: `GPU-a is for llm[0]`.

use std::collections::BTreeMap;

use devnet_schema::{name::NodeName, placement::GpuUse};

use super::{partial::PartialPlacement, placed_instance::PlacedInstance};
use crate::place::{
    ix::NodeIx,
    outcome::{Assignment, Reason},
    problem::{InstanceKey, NodeState, ServiceInput, ServiceKey},
};

/// Says of those that stay on other devices what keeps them from their own.
pub(crate) fn explain_device_changes(
    partial: &PartialPlacement<'_>,
    placed: &mut BTreeMap<InstanceKey, Assignment>,
) {
    let changed = placed.iter().filter(|(_, p)| matches!(p.reason, Reason::ChangesDevices { .. }));
    let changed: Vec<InstanceKey> = changed.map(|(instance, _)| instance.clone()).collect();
    if changed.is_empty() {
        return;
    }
    let services =
        partial.indexed.services.iter().map(|service| (&service.input.name, service.input));
    let services: BTreeMap<&ServiceKey, &ServiceInput> = services.collect();
    let had = |instance: &InstanceKey| services[&instance.service].current.get(&instance.index);
    let uses = |list: &[GpuUse], id: &str| list.iter().any(|gpu| gpu.id == id);
    for instance in changed {
        let Some(own) = had(&instance) else { continue };
        // Who has a device of it now; before all, who had it not.
        let others = placed.iter().flat_map(|(other, place)| {
            let here = place.node == own.node && *other != instance;
            let before = had(other).filter(|had| had.node == place.node);
            let had_it = move |id: &str| before.is_some_and(|had| uses(&had.gpus, id));
            let ids = own.gpus.iter().map(|gpu| gpu.id.as_str()).filter(move |_| here);
            ids.filter(|id| uses(&place.gpus, id)).map(move |id| (had_it(id), other, id))
        });
        let why = match others.min() {
            Some((_, other, id)) => format!("{id} is for {other}"),
            None => "its own do not suit it any more".to_owned(),
        };
        if let Some(place) = placed.get_mut(&instance) {
            place.reason = Reason::ChangesDevices { why };
        }
    }
}

pub(crate) fn reason(
    partial: &PartialPlacement<'_>,
    placed_instance: &PlacedInstance,
    gpus: &[GpuUse],
    names: &BTreeMap<&NodeName, NodeIx>,
) -> Reason {
    let input = partial.indexed.services[placed_instance.service].input;
    let Some(current) = input.current.get(&placed_instance.index) else {
        return Reason::New { why: String::new() };
    };
    if placed_instance.stays {
        let ids = |list: &[GpuUse]| {
            let mut ids: Vec<String> = list.iter().map(|gpu| gpu.id.clone()).collect();
            ids.sort();
            ids
        };
        let same = current.gpus.is_empty() || ids(&current.gpus) == ids(gpus);
        return if same {
            stays(partial, placed_instance)
        } else {
            Reason::ChangesDevices { why: String::new() }
        };
    }
    let from = current.node.clone();
    if !names.contains_key(&from) {
        return Reason::Moves { because: format!("{from} is not in the fleet any more"), from };
    }
    // What else drove it away is found out for the last placement only.
    Reason::Moves { from, because: String::new() }
}

/// Why it stays, which a person who drains the node will ask.
fn stays(partial: &PartialPlacement<'_>, placed_instance: &PlacedInstance) -> Reason {
    let name = &partial.indexed.nodes[placed_instance.node].input.name;
    let data = "its data is here and cannot be moved";
    let why = match partial.indexed.nodes[placed_instance.node].input.state {
        NodeState::Ready | NodeState::Cordoned => return Reason::Stays,
        NodeState::Draining => format!("{data}, though {name} is being drained"),
        NodeState::Lost => format!("{data}, though {name} has been offline for too long"),
        NodeState::Offline => format!("{name} is offline, and it may still run there"),
    };
    Reason::Held { why }
}
