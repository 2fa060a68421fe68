//! Room that is freed or given, in words.
//!
//! Knows amounts, and how the verb and a node that two share stand only once. Refuses to know
//! lines.
//!
//! `free 2 cpu and a GPU on n1`, `give each of a and b a GPU`.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    placement::Edit,
    quantity::{Cpu, GpuRequest},
};

use super::{
    change::{Change, Resource},
    new_node_wording,
};
use crate::place::{
    explain::amount::{self, listed},
    ix::{NodeIx, ServiceIx},
    model::partial::PartialPlacement,
};

/// What is done with a node's room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    Free,
    Give,
}

/// A change, and the service that it is made for.
pub(crate) type For<'c> = (ServiceIx, &'c Change);

pub(crate) fn verb(change: &Change) -> Option<(Verb, NodeIx)> {
    match *change {
        Change::Free { node, .. } => Some((Verb::Free, node)),
        Change::Raise { node, .. } | Change::Equip { node, .. } => Some((Verb::Give, node)),
        _ => None,
    }
}

/// `free 2 cpu and a GPU on n1`, `give n1 1GiB of memory more`, `give each of a and b a GPU`.
pub(crate) fn room_words(partial: &PartialPlacement<'_>, room: &[For<'_>]) -> Vec<String> {
    let mut by_verb: BTreeMap<Verb, BTreeMap<NodeIx, Vec<For<'_>>>> = BTreeMap::new();
    for &(service, change) in room {
        if let Some((verb, node)) = verb(change) {
            by_verb.entry(verb).or_default().entry(node).or_default().push((service, change));
        }
    }
    let name = |node: &NodeIx| partial.indexed.nodes[*node].input.name.to_string();
    let texts = by_verb.into_iter().map(|(verb, nodes)| {
        let objects: Vec<(String, String)> =
            nodes.iter().map(|(node, of)| (name(node), object(partial, of))).collect();
        let names: Vec<String> = objects.iter().map(|(name, _)| name.clone()).collect();
        let what: BTreeSet<&String> = objects.iter().map(|(_, what)| what).collect();
        let one = what.first().filter(|_| what.len() == 1 && names.len() > 1);
        let parts = objects.iter().map(|(name, what)| match verb {
            Verb::Free => format!("{what} on {name}"),
            Verb::Give => format!("{name} {what}"),
        });
        match (verb, one) {
            (Verb::Free, Some(what)) => format!("free {what} on each of {}", listed(&names)),
            (Verb::Give, Some(what)) => format!("give each of {} {what}", listed(&names)),
            (Verb::Free, None) => format!("free {}", listed(&parts.collect::<Vec<_>>())),
            (Verb::Give, None) => format!("give {}", listed(&parts.collect::<Vec<_>>())),
        }
    });
    texts.collect()
}

/// What is freed on one node, or what it is given.
fn object(partial: &PartialPlacement<'_>, changes: &[For<'_>]) -> String {
    let (mut more, mut new, mut freed) = (Vec::new(), Vec::new(), Vec::new());
    for &(service, change) in changes {
        match *change {
            Change::Free { what, amount, .. } => {
                freed.push(amount_words(partial, service, what, amount).0)
            }
            Change::Raise { what, amount, .. } => {
                more.push(amount_words(partial, service, what, amount).0)
            }
            Change::Equip { count, .. } => new.push((service, count)),
            _ => {}
        }
    }
    let more = (!more.is_empty()).then(|| format!("{} more", listed(&more)));
    let new = new_node_wording::equipment_words(partial.indexed, &new);
    listed(&freed.into_iter().chain(more).chain(new).collect::<Vec<_>>())
}

pub(crate) fn room_edit(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    change: &Change,
) -> Option<Edit> {
    let name = |node: NodeIx| partial.indexed.nodes[node].input.name.clone();
    Some(match *change {
        Change::Free { node, what, amount } => {
            let (_, resource, amount) = amount_words(partial, service, what, amount);
            Edit::Free { node: name(node), resource, amount }
        }
        Change::Raise { node, what, amount } => {
            let (_, resource, amount) = amount_words(partial, service, what, amount);
            let (gpus, gpu_model) = (Vec::new(), None);
            Edit::Raise { node: name(node), resource, amount, gpus, gpu_model }
        }
        Change::Equip { node, count } => {
            let (gpus, gpu_model) = new_node_wording::equipment(partial.indexed, service, count);
            let (resource, amount) = ("gpu".to_owned(), count.into());
            Edit::Raise { node: name(node), resource, amount, gpus, gpu_model }
        }
        _ => return None,
    })
}

/// An amount in words, the resource and the amount in its unit.
fn amount_words(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    what: Resource,
    amount: u64,
) -> (String, String, u64) {
    let mib = amount.div_ceil(1 << 20);
    let size = amount::size_up(mib << 20);
    let (text, resource, amount) = match what {
        Resource::Cpu => (format!("{} cpu", Cpu { milli: amount }), "cpu", amount),
        Resource::Memory => (format!("{size} of memory"), "memory", mib),
        Resource::Disk => (format!("{size} of disk"), "disk", mib),
        Resource::Devices if amount == 1 => ("a GPU".to_owned(), "gpu", 1),
        Resource::Devices => (format!("{amount} GPUs"), "gpu", amount),
        Resource::Slice => (format!("{size} of GPU memory"), "gpu-memory", mib),
        Resource::Share => {
            let input = partial.indexed.services[service].input;
            let whole = if input.gpu == GpuRequest::Share(1000) { "whole " } else { "" };
            (format!("{}% of a {whole}GPU", amount::tenths(amount)), "gpu-share", amount)
        }
    };
    (text, resource.to_owned(), amount)
}
