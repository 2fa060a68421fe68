//! Violations by the nature of a node: conditions, pins, states, reserved ports.
//!
//! Knows the words. Refuses to know what else runs there.
//!
//! The filters are those of the model, here with sentences and the lines of the file. `requires tag
//! `ssd`` names the line that could be dropped.

use devnet_schema::placement::Violation;

use super::{
    make::{blame, say, say_line},
    neighbours::say_port,
};
use crate::place::{
    explain::amount::{port_words, size, size_up},
    ix::{NodeIx, ServiceIx},
    model::{
        filter::{self, Rejection},
        node::Node,
        partial::PartialPlacement,
    },
    problem::{Constraint, Key, NodeState, Require, ServiceInput},
};

/// A condition that the node does not meet. A runtime comes with the service's form: nobody wrote
/// a line that could be dropped.
fn condition(verb: &str, line: &Require, text: String) -> Violation {
    let violation = say(Constraint::Condition(line.key), line.at.as_ref(), text);
    match line.key {
        Key::Runtime => violation,
        _ => blame(line.line(verb), violation),
    }
}

pub(crate) fn refusals(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    node_ix: NodeIx,
    found: &mut Vec<Violation>,
) {
    let input = partial.indexed.services[service].input;
    let node = &partial.indexed.nodes[node_ix];
    let name = &node.input.name;
    let here = input.existing().filter(|(_, c)| c.node == *name).count();
    // Places of instances that ran here are open to those only.
    let here = if (partial.count(service, node_ix) as usize) < here { here as u32 } else { 0 };
    found.append(&mut refusals_of(input, node, here));
}

/// What a node's own nature has against a service, where `here` instances of it run now.
pub(crate) fn refusals_of(input: &ServiceInput, node: &Node<'_>, here: u32) -> Vec<Violation> {
    let name = &node.input.name;
    let mut found = Vec::new();
    filter::each(input, node, here, &mut |refusal| {
        found.push(match refusal {
            Rejection::Required(line) => {
                let wanted = line.any_of.join("` or `");
                let text = format!("requires {} `{wanted}`", line.key.word());
                condition("require", line, text)
            }
            Rejection::Device(need) => {
                let largest = node.memories.iter().max();
                let has = largest.map_or("has none".to_owned(), |&memory| {
                    format!("the largest has {}", size(memory))
                });
                let text =
                    format!("needs a GPU of {} for `{}`, {has}", size_up(need.memory), need.what);
                let need_bytes = Some(need.memory as f64);
                Violation { need: need_bytes, ..say(Constraint::GpuMemory, need.at.as_ref(), text) }
            }
            Rejection::Forbidden(line) => {
                let refused = line.any_of.join("` or `");
                let text = format!("forbids {} `{refused}`", line.key.word());
                condition("forbid", line, text)
            }
            Rejection::Pinned(pin) => {
                say_line(Constraint::Pin, pin.at.as_ref(), format!("is pinned to {}", pin.node))
            }
            Rejection::State(state) => {
                let (constraint, text) = of_state(state);
                say(constraint, None, format!("{name} {text}"))
            }
            Rejection::Port(protocol, port) => {
                let text = format!(
                    "{} is held by something outside the cluster",
                    port_words((protocol, port))
                );
                say_port(input, (protocol, port), text)
            }
            Rejection::Closed(why) => say(Constraint::Closed, None, why.to_owned()),
        });
    });
    found
}

fn of_state(state: NodeState) -> (Constraint, &'static str) {
    match state {
        NodeState::Ready => (Constraint::State, "is ready"),
        NodeState::Cordoned => (Constraint::Cordon, "is cordoned: it takes no new instances"),
        NodeState::Draining => (Constraint::Drain, "is being drained"),
        NodeState::Offline => (Constraint::Offline, "is offline: it takes no new instances"),
        NodeState::Lost => (Constraint::Lost, "has been offline for too long"),
    }
}
