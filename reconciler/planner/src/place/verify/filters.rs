//! Filters and states of nodes, for one instance.
//!
//! Knows what runs there now. Refuses to know neighbours.
//!
//! An instance that was on a cordoned node may stay; no other may come.

use super::{
    admits::filters_admit,
    breach::{Breach, tell},
};
use crate::place::{
    outcome::{Assignment, Reason},
    problem::{Constraint, InstanceKey, NodeInput, NodeState, ServiceInput},
};

pub(super) fn check_filters(
    service: &ServiceInput,
    node: &NodeInput,
    instance: &InstanceKey,
    place: &Assignment,
    breaches: &mut Vec<Breach>,
) {
    let current = service.current.get(&instance.index).filter(|it| it.node == node.name);
    let was_here = current.is_some();
    // What runs on a node that is offline stays until that answers, and data is held.
    let held = current.is_some_and(|it| it.held);
    let waits = held || was_here && node.state == NodeState::Offline;
    if !waits && !filters_admit(service, node) {
        tell(breaches, Constraint::Filter, format!("{instance} may not be on {}", node.name));
    }
    let kept = place.reason == Reason::Retained || service.name.is_retained();
    if kept && service.current.get(&instance.index).is_none_or(|it| it.gpus != place.gpus) {
        tell(breaches, Constraint::Gpu, format!("{instance} has other GPUs than it had"));
    }
    let open = match node.state {
        NodeState::Ready => true,
        NodeState::Cordoned | NodeState::Offline => was_here,
        NodeState::Draining | NodeState::Lost => {
            let data = !service.movable && !service.closed.contains_key(&node.name);
            held || was_here && (kept || data)
        }
    };
    if !was_here && service.closed.contains_key(&node.name) {
        tell(breaches, Constraint::Closed, format!("{instance} may not come to {}", node.name));
    }
    if !open {
        tell(
            breaches,
            Constraint::State,
            format!("{instance} is on {}, which takes none", node.name),
        );
    }
}
