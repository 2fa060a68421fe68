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
    model::partial::PartialPlacement,
};

pub fn resources(partial: &PartialPlacement<'_>, s: usize, n: usize, found: &mut Vec<Violation>) {
    let service = &partial.indexed.services[s];
    let (held, room) = (partial.held(n), partial.room(n));
    for (r, word) in RESOURCES.into_iter().enumerate() {
        let need = service.need[r];
        let short = partial.short(n, r, need);
        if short == 0 {
            continue;
        }
        let unit = if r == 0 { 1000.0 } else { 1.0 };
        let over = match held[r].saturating_sub(room[r]) {
            0 => String::new(),
            over => format!(" and {} too much in use", amount(r, over)),
        };
        let [free, less] = [room[r].saturating_sub(held[r]), short].map(|it| amount(r, it));
        let text = format!("needs {}, {free} free{over}: {less} short", amount_of(r, need));
        found.push(Violation {
            need: Some(need as f64 / unit),
            free: Some((room[r] as f64 - held[r] as f64) / unit),
            whole: Some(room[r] as f64 / unit),
            give: !reclaimable::could_be_freed(partial, (s, n), r, short),
            ..say(word, service.input.at.as_ref(), text)
        });
    }
}
