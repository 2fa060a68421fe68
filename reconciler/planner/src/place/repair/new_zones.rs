//! In which zones new nodes had best stand.
//!
//! Knows spread lines over zones. Refuses to invent a zone.
//!
//! A node in no zone could make what others are spread over uneven, so the first few zones are
//! tried.

use std::collections::BTreeSet;

use super::crew::first;
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::partial::PartialPlacement,
    problem::{Key, Spread, SpreadBy},
};

/// Zones that are tried for new nodes.
const ZONES: usize = 3;

/// The same zones for all of so many new nodes, where a node in none of those that are there could
/// make what others are spread over uneven: each zone, of the first few.
pub(crate) fn other_zones(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    count: u32,
) -> Vec<Vec<Option<NodeIx>>> {
    let indexed = partial.indexed;
    let zones = |line: &Spread| line.by == SpreadBy::Zone;
    let own = indexed.services[service].input;
    let settled = own.spread.iter().any(zones) || first(own, Key::Zone).is_some();
    if settled || !indexed.services.iter().any(|it| it.input.spread.iter().any(zones)) {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let named = indexed.nodes.positions().filter(|&node| indexed.nodes[node].input.zone.is_some());
    let each = named.filter(|&node| seen.insert(indexed.nodes[node].zone));
    each.take(ZONES).map(|node| vec![Some(node); count as usize]).collect()
}

/// In which zones so many new nodes for `each` instances had best stand: in the emptiest of those
/// that the service is spread over; anywhere where it is not spread over zones.
pub(crate) fn zones(
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
    each: u32,
    count: u32,
) -> Vec<Option<NodeIx>> {
    let service = &partial.indexed.services[service_ix];
    let by_zone = service.input.spread.iter().position(|line| line.by == SpreadBy::Zone);
    let line = by_zone.filter(|_| first(service.input, Key::Zone).is_none());
    let Some(line) = line.map(|at| &service.spread[at]) else {
        return vec![None; count as usize];
    };
    let mut counts = partial.domains(service_ix, line);
    (0..count)
        .map(|_| {
            let of = |domain: &usize| counts.get(domain).copied().unwrap_or(0);
            let emptiest = *line.open.iter().min_by_key(|domain| (of(domain), **domain))?;
            *counts.entry(emptiest).or_insert(0) += each;
            line.domain.position(|domain| *domain == emptiest)
        })
        .collect()
}
