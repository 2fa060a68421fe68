//! What language models take where their service goes, as words of the plan.
//!
//! Knows the terms of each model's estimate. Refuses to estimate: the schema does.

use devnet_schema::{
    desired::DesiredState,
    plan::{Action, Change},
};

/// Says behind why a service goes somewhere what its models take there.
pub(crate) fn tell(desired: &DesiredState, change: &mut Change) {
    let placed = matches!(change.action, Action::Create | Action::Move | Action::Replace);
    let (Some(service), Some(spec), true) =
        (desired.services.get(&change.instance.service), &change.after, placed)
    else {
        return;
    };
    let devices: Vec<&str> = spec.gpus.iter().map(|gpu| gpu.id.as_str()).collect();
    let on = match devices.as_slice() {
        [] => "processors".to_owned(),
        some => some.join(" and "),
    };
    for model in &service.models {
        let before = if change.reason.is_empty() { "" } else { "; " };
        let (name, terms) = (&model.name.value, model.needs.terms());
        change.reason.push_str(&format!("{before}{name} takes {terms} on {on}"));
    }
}
