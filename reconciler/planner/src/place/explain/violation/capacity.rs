//! Violations of cpu, memory and disk, with numbers.
//!
//! Knows what is short and whether others could give it up. Refuses to say who should.
//!
//! `needs 4GiB of memory, 1GiB free: 3GiB short`. Where even the empty node would have too little,
//! that is said too, since only hardware helps then.

use devnet_schema::placement::Violation;

use super::make::say;
use crate::place::{
    explain::{
        amount::{RESOURCES, amount, amount_of},
        reclaimable,
    },
    ix::{NodeIx, ServiceIx},
    model::partial::PartialPlacement,
};

pub(crate) fn resources(
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
    node: NodeIx,
    found: &mut Vec<Violation>,
) {
    let service = &partial.indexed.services[service_ix];
    let (held, room) = (partial.held(node), partial.room(node));
    for (resource, constraint) in RESOURCES.into_iter().enumerate() {
        let need = service.need[resource];
        let short = partial.short(node, resource, need);
        if short == 0 {
            continue;
        }
        let unit = if resource == 0 { 1000.0 } else { 1.0 };
        let over = match held[resource].saturating_sub(room[resource]) {
            0 => String::new(),
            over => format!(" and {} too much in use", amount(resource, over)),
        };
        let [free, less] =
            [room[resource].saturating_sub(held[resource]), short].map(|it| amount(resource, it));
        let text = format!("needs {}, {free} free{over}: {less} short", amount_of(resource, need));
        found.push(Violation {
            need: Some(need as f64 / unit),
            free: Some((room[resource] as f64 - held[resource] as f64) / unit),
            whole: Some(room[resource] as f64 / unit),
            give: !reclaimable::could_be_freed(partial, (service_ix, node), resource, short),
            ..say(constraint, service.input.at.as_ref(), text)
        });
    }
}
