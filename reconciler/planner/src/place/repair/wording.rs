//! Changes in words, and the same for programs.
//!
//! Knows how a change is said, and how several are said at once. Refuses to know what a change
//! does.
//!
//! ``drop `require tag=ssd` of service web at cluster.kdl:7:5``. What is freed or given is in
//! `room_wording`.

use devnet_schema::{instance::Protocol, placement::Edit};

use super::{
    change::{self, Change},
    new_node_wording,
    room_wording::{For, room_edit, room_words, verb},
};
use crate::place::{
    explain::{amount, violation::neighbours},
    ix::ServiceIx,
    model::partial::PartialPlacement,
    problem::{Constraint, NodeState, ServiceInput},
};

/// Those who hold a port that are named; of more only their number is told.
const HOLDERS: usize = 2;

/// All changes in words, and the same for programs.
pub(crate) fn words(
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
    changes: &[Change],
) -> (String, Vec<Edit>) {
    let (mut texts, mut edits) = (Vec::new(), Vec::new());
    let each = changes.iter().map(|change| match change {
        Change::Of { service, change } => (*service, &**change),
        own => (service_ix, own),
    });
    let (room, others): (Vec<For<'_>>, Vec<For<'_>>) =
        each.partition(|(_, change)| verb(change).is_some());
    for (service_ix, change) in others {
        let (text, of_change) = words_of(partial, service_ix, change);
        texts.push(text);
        edits.extend(of_change);
    }
    edits.extend(
        room.iter().filter_map(|&(service_ix, change)| room_edit(partial, service_ix, change)),
    );
    texts.extend(room_words(partial, &room));
    texts.retain(|text| !text.is_empty());
    (texts.join(" and "), edits)
}

fn words_of(
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
    change: &Change,
) -> (String, Vec<Edit>) {
    let indexed = partial.indexed;
    let input = indexed.services[service_ix].input;
    let drop = |line: &str, at: Option<&String>| {
        drop_of(input, line.split(' ').next().unwrap_or(line), (line, at))
    };
    let line = |input: &ServiceInput, of: Constraint, (line, at): (String, Option<&String>)| {
        drop_of(input, of.name(), (&line, at))
    };
    match change {
        Change::DropPin => {
            drop(Constraint::Pin.name(), input.pin.as_ref().and_then(|pin| pin.at.as_ref()))
        }
        Change::Spread => {
            drop(Constraint::Spread.name(), input.spread.first().and_then(|line| line.at.as_ref()))
        }
        Change::MaxPerNode => line(input, Constraint::MaxPerNode, input.max_per_node_line()),
        Change::ApartFrom => {
            line(input, Constraint::ApartFrom, input.apart_from_line(&input.apart_from))
        }
        Change::ApartFromOf { service } => {
            let other = indexed.services[*service].input;
            line(
                other,
                Constraint::ApartFrom,
                other.apart_from_line(std::slice::from_ref(input.name.declared())),
            )
        }
        Change::Near => line(input, Constraint::Near, input.near_line(&input.near)),
        Change::OtherPort { port } => other_port(partial, service_ix, *port),
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
            new_node_wording::words(indexed, &change::crew(service_ix, *each, with), zones)
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
    (text, vec![Edit::Drop { constraint, service: input.name.declared().clone(), at: at.cloned() }])
}

/// The line that claims the port, and who holds it where.
fn other_port(
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
    port: (Protocol, u16),
) -> (String, Vec<Edit>) {
    let input = partial.indexed.services[service_ix].input;
    let line = input.port_lines.get(&port);
    let at = line.and_then(|line| line.at.as_ref()).or(input.at.as_ref());
    let place = at.map_or(String::new(), |at| format!(" at {at}"));
    let said = amount::port_words(port);
    let written = line.map_or_else(|| said.clone(), |line| line.written.clone());
    let holders = holders(partial, service_ix, port);
    let more = match holders.len().saturating_sub(HOLDERS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = holders[..holders.len().min(HOLDERS)].join(", ");
    // With another number its instances would only be in each other's way there.
    let of_process = line.is_some_and(|line| line.of_process);
    let verb = if input.replicas > 1 && !of_process { "remove" } else { "change" };
    let listens = if of_process { ", and what it listens on" } else { "" };
    let text = format!(
        "{verb} `{written}` of service {}{place}{listens} ({said} is held by {named}{more})",
        input.name
    );
    let (service, at) = (input.name.declared().clone(), at.cloned());
    (text, vec![Edit::Drop { constraint: Constraint::Port.name().to_owned(), service, at }])
}

/// Who holds the port, node by node.
fn holders(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    port: (Protocol, u16),
) -> Vec<String> {
    let indexed = partial.indexed;
    let nodes = indexed.nodes.enumerate();
    nodes
        .filter_map(|(node_ix, node)| {
            let name = &node.input.name;
            if let Some(other) = neighbours::holder(partial, node_ix, port) {
                let own = if other == service { " itself" } else { "" };
                return Some(format!("{}{own} on {name}", indexed.services[other].input.name));
            }
            let outside = node.input.reserved_ports.contains(&port);
            outside.then(|| format!("something outside the cluster on {name}"))
        })
        .collect()
}
