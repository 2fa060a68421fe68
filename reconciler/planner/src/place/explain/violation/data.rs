//! Violations by data that is elsewhere.
//!
//! Knows where all that wait have their data. Refuses to know lines.
//!
//! An instance with data is not placed away from it, however much room there is. `its data is on
//! n1`.

use devnet_schema::placement::Violation;

use super::make::say;
use crate::place::{explain::amount::listed, model::partial::PartialPlacement};

/// Where all that wait have their data.
pub fn data_of_waiting(partial: &PartialPlacement<'_>, s: usize) -> Vec<usize> {
    let service = &partial.indexed.services[s];
    let all: u32 = service.at_home().map(|(n, ran)| ran.saturating_sub(partial.count(s, n))).sum();
    let (missing, movable) = (partial.missing(s), service.input.movable);
    if movable || missing == 0 || all < missing {
        return Vec::new();
    }
    let waits = |&(n, ran): &(usize, u32)| ran > partial.count(s, n);
    service.at_home().filter(waits).map(|(n, _)| n).collect()
}

pub fn data(partial: &PartialPlacement<'_>, s: usize, n: usize, found: &mut Vec<Violation>) {
    let homes = data_of_waiting(partial, s);
    if homes.is_empty() || homes.contains(&n) {
        return;
    }
    let names = homes.iter().map(|&home| partial.indexed.nodes[home].input.name.to_string());
    let text = format!("its data is on {}", listed(&names.collect::<Vec<_>>()));
    found.push(say("data", None, text));
}
