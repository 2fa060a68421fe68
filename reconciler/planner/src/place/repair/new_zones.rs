//! In which zones new nodes had best stand.
//!
//! Knows spread lines over zones. Refuses to invent a zone.
//!
//! A node in no zone could make what others are spread over uneven, so the first few zones are
//! tried.

use std::collections::BTreeSet;

use super::crew::first;
use crate::place::{
    model::partial::PartialPlacement,
    problem::{Key, Spread, SpreadBy},
};

/// Zones that are tried for new nodes.
const ZONES: usize = 3;

/// The same zones for all of so many new nodes, where a node in none of those that are there could
/// make what others are spread over uneven: each zone, of the first few.
pub fn other_zones(
    partial: &PartialPlacement<'_>,
    s: usize,
    count: u32,
) -> Vec<Vec<Option<usize>>> {
    let indexed = partial.indexed;
    let zones = |line: &Spread| line.by == SpreadBy::Zone;
    let own = indexed.services[s].input;
    let settled = own.spread.iter().any(zones) || first(own, Key::Zone).is_some();
    if settled || !indexed.services.iter().any(|it| it.input.spread.iter().any(zones)) {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let named = (0..indexed.nodes.len()).filter(|&n| indexed.nodes[n].input.zone.is_some());
    let each = named.filter(|&n| seen.insert(indexed.nodes[n].zone));
    each.take(ZONES).map(|n| vec![Some(n); count as usize]).collect()
}

/// In which zones so many new nodes for `each` instances had best stand: in the emptiest of those
/// that the service is spread over; anywhere where it is not spread over zones.
pub fn zones(
    partial: &PartialPlacement<'_>,
    s: usize,
    each: u32,
    count: u32,
) -> Vec<Option<usize>> {
    let service = &partial.indexed.services[s];
    let by_zone = service.input.spread.iter().position(|line| line.by == SpreadBy::Zone);
    let line = by_zone.filter(|_| first(service.input, Key::Zone).is_none());
    let Some(line) = line.map(|at| &service.spread[at]) else {
        return vec![None; count as usize];
    };
    let mut counts = partial.domains(s, line);
    (0..count)
        .map(|_| {
            let of = |domain: &usize| counts.get(domain).copied().unwrap_or(0);
            let emptiest = *line.open.iter().min_by_key(|domain| (of(domain), **domain))?;
            *counts.entry(emptiest).or_insert(0) += each;
            line.domain.iter().position(|domain| *domain == emptiest)
        })
        .collect()
}
