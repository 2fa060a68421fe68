//! Changes in words, and the same for programs.
//!
//! Knows how a change is said, and how several are said at once: the verb, the node and an amount
//! that two share stand only once. Refuses to know what a change does.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    instance::Protocol,
    placement::Edit,
    quantity::{Cpu, GpuRequest},
};

use super::{
    edit::{self, Change, Resource},
    new_node,
};
use crate::place::{
    explain::violation,
    model::partial::PartialPlacement,
    problem::{NodeState, ServiceInput},
};

/// Those who hold a port that are named; of more only their number is told.
const HOLDERS: usize = 2;

/// What is done with a node's room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Free,
    Give,
}

/// A change, and the service that it is made for.
type For<'c> = (usize, &'c Change);

/// All changes in words, and the same for programs.
pub fn words(partial: &PartialPlacement<'_>, s: usize, changes: &[Change]) -> (String, Vec<Edit>) {
    let (mut texts, mut edits) = (Vec::new(), Vec::new());
    let each = changes.iter().map(|change| match change {
        Change::Of { service, change } => (*service, &**change),
        own => (s, own),
    });
    let (room, others): (Vec<For<'_>>, Vec<For<'_>>) =
        each.partition(|(_, change)| verb(change).is_some());
    for (s, change) in others {
        let (text, of_change) = words_of(partial, s, change);
        texts.push(text);
        edits.extend(of_change);
    }
    edits.extend(room.iter().filter_map(|&(s, change)| room_edit(partial, s, change)));
    texts.extend(room_words(partial, &room));
    texts.retain(|text| !text.is_empty());
    (texts.join(" and "), edits)
}

fn words_of(partial: &PartialPlacement<'_>, s: usize, change: &Change) -> (String, Vec<Edit>) {
    let indexed = partial.indexed;
    let input = indexed.services[s].input;
    let drop = |line: &str, at: Option<&String>| {
        drop_of(input, line.split(' ').next().unwrap_or(line), (line, at))
    };
    let line = |input: &ServiceInput, word: &str, (line, at): (String, Option<&String>)| {
        drop_of(input, word, (&line, at))
    };
    match change {
        Change::DropPin => drop("pin", input.pin.as_ref().and_then(|pin| pin.at.as_ref())),
        Change::Spread => drop("spread", input.spread.first().and_then(|line| line.at.as_ref())),
        Change::MaxPerNode => line(input, "max-per-node", input.max_per_node_line()),
        Change::ApartFrom => line(input, "apart-from", input.apart_from_line(&input.apart_from)),
        Change::ApartFromOf { service } => {
            let other = indexed.services[*service].input;
            line(other, "apart-from", other.apart_from_line(std::slice::from_ref(&input.name)))
        }
        Change::Near => line(input, "near", input.near_line(&input.near)),
        Change::OtherPort { port } => other_port(partial, s, *port),
        Change::DropRequire { line } => {
            let line = &input.require[*line];
            drop(&line.line("require"), line.at.as_ref())
        }
        Change::DropForbid { line } => {
            let line = &input.forbid[*line];
            drop(&line.line("forbid"), line.at.as_ref())
        }
        Change::Uncordon { node } => {
            let input = indexed.nodes[*node].input;
            let drained = match input.state {
                NodeState::Draining => ", which is being drained",
                _ => "",
            };
            let node = input.name.clone();
            (format!("uncordon node {node}{drained}"), vec![Edit::Uncordon { node }])
        }
        Change::AddNodes { each, with, zones } => {
            new_node::words(indexed, &edit::crew(s, *each, with), zones)
        }
        Change::Of { .. }
        | Change::LetMove { .. }
        | Change::Free { .. }
        | Change::Raise { .. }
        | Change::Equip { .. } => (String::new(), Vec::new()),
    }
}

fn drop_of(
    input: &ServiceInput,
    constraint: &str,
    (line, at): (&str, Option<&String>),
) -> (String, Vec<Edit>) {
    let at = at.or(input.at.as_ref());
    let place = at.map_or(String::new(), |at| format!(" at {at}"));
    let text = format!("drop `{line}` of service {}{place}", input.name);
    let constraint = constraint.to_owned();
    (text, vec![Edit::Drop { constraint, service: input.name.clone(), at: at.cloned() }])
}

/// The line that claims the port, and who holds it where.
fn other_port(
    partial: &PartialPlacement<'_>,
    s: usize,
    port: (Protocol, u16),
) -> (String, Vec<Edit>) {
    let input = partial.indexed.services[s].input;
    let line = input.port_lines.get(&port);
    let at = line.and_then(|line| line.at.as_ref()).or(input.at.as_ref());
    let place = at.map_or(String::new(), |at| format!(" at {at}"));
    let said = violation::port_words(port);
    let written = line.map_or_else(|| said.clone(), |line| line.written.clone());
    let holders = holders(partial, s, port);
    let more = match holders.len().saturating_sub(HOLDERS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = holders[..holders.len().min(HOLDERS)].join(", ");
    // With another number its instances would only be in each other's way there.
    let verb = if input.replicas > 1 { "remove" } else { "change" };
    let text = format!(
        "{verb} `{written}` of service {}{place} ({said} is held by {named}{more})",
        input.name
    );
    let (service, at) = (input.name.clone(), at.cloned());
    (text, vec![Edit::Drop { constraint: "port".to_owned(), service, at }])
}

/// Who holds the port, node by node.
fn holders(partial: &PartialPlacement<'_>, s: usize, port: (Protocol, u16)) -> Vec<String> {
    let indexed = partial.indexed;
    let nodes = indexed.nodes.iter().enumerate();
    nodes
        .filter_map(|(n, node)| {
            let name = &node.input.name;
            if let Some(t) = violation::holder(partial, n, port) {
                let own = if t == s { " itself" } else { "" };
                return Some(format!("{}{own} on {name}", indexed.services[t].input.name));
            }
            let outside = node.input.reserved_ports.contains(&port);
            outside.then(|| format!("something outside the cluster on {name}"))
        })
        .collect()
}

fn verb(change: &Change) -> Option<(Verb, usize)> {
    match *change {
        Change::Free { node, .. } => Some((Verb::Free, node)),
        Change::Raise { node, .. } | Change::Equip { node, .. } => Some((Verb::Give, node)),
        _ => None,
    }
}

/// `free 2 cpu and a GPU on n1`, `give n1 1GiB of memory more`, `give each of a and b a GPU`.
fn room_words(partial: &PartialPlacement<'_>, room: &[For<'_>]) -> Vec<String> {
    let mut by_verb: BTreeMap<Verb, BTreeMap<usize, Vec<For<'_>>>> = BTreeMap::new();
    for &(s, change) in room {
        if let Some((verb, node)) = verb(change) {
            by_verb.entry(verb).or_default().entry(node).or_default().push((s, change));
        }
    }
    let name = |node: &usize| partial.indexed.nodes[*node].input.name.to_string();
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
    for &(s, change) in changes {
        match *change {
            Change::Free { what, amount, .. } => {
                freed.push(amount_words(partial, s, what, amount).0)
            }
            Change::Raise { what, amount, .. } => {
                more.push(amount_words(partial, s, what, amount).0)
            }
            Change::Equip { count, .. } => new.push((s, count)),
            _ => {}
        }
    }
    let more = (!more.is_empty()).then(|| format!("{} more", listed(&more)));
    let new = new_node::equipment_words(partial.indexed, &new);
    listed(&freed.into_iter().chain(more).chain(new).collect::<Vec<_>>())
}

fn room_edit(partial: &PartialPlacement<'_>, s: usize, change: &Change) -> Option<Edit> {
    let name = |node: usize| partial.indexed.nodes[node].input.name.clone();
    Some(match *change {
        Change::Free { node, what, amount } => {
            let (_, resource, amount) = amount_words(partial, s, what, amount);
            Edit::Free { node: name(node), resource, amount }
        }
        Change::Raise { node, what, amount } => {
            let (_, resource, amount) = amount_words(partial, s, what, amount);
            let (gpus, gpu_model) = (Vec::new(), None);
            Edit::Raise { node: name(node), resource, amount, gpus, gpu_model }
        }
        Change::Equip { node, count } => {
            let (gpus, gpu_model) = new_node::equipment(partial.indexed, s, count);
            let (resource, amount) = ("gpu".to_owned(), count.into());
            Edit::Raise { node: name(node), resource, amount, gpus, gpu_model }
        }
        _ => return None,
    })
}

/// An amount in words, the resource and the amount in its unit.
fn amount_words(
    partial: &PartialPlacement<'_>,
    s: usize,
    what: Resource,
    amount: u64,
) -> (String, String, u64) {
    let mib = amount.div_ceil(1 << 20);
    let size = violation::size_up(mib << 20);
    let (text, resource, amount) = match what {
        Resource::Cpu => (format!("{} cpu", Cpu { milli: amount }), "cpu", amount),
        Resource::Memory => (format!("{size} of memory"), "memory", mib),
        Resource::Disk => (format!("{size} of disk"), "disk", mib),
        Resource::Devices if amount == 1 => ("a GPU".to_owned(), "gpu", 1),
        Resource::Devices => (format!("{amount} GPUs"), "gpu", amount),
        Resource::Slice => (format!("{size} of GPU memory"), "gpu-memory", mib),
        Resource::Share => {
            let input = partial.indexed.services[s].input;
            let whole = if input.gpu == GpuRequest::Share(1000) { "whole " } else { "" };
            (format!("{}% of a {whole}GPU", violation::tenths(amount)), "gpu-share", amount)
        }
    };
    (text, resource.to_owned(), amount)
}

/// `a, b and c`.
pub fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
