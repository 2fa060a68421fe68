//! How evenly a service is spread over its domains.
//!
//! Knows counts by domain. Refuses to know capacity.
//!
//! A `spread` line looks at all nodes at once, unlike any other constraint, so it is asked last.
//! With two instances in zone `a` and none in `b`, one more goes to `b` where `max-skew` is 1.

use std::collections::BTreeMap;

use super::PartialPlacement;
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::service::Spread,
};

impl<'f> PartialPlacement<'f> {
    /// Whether one more there keeps every `spread` line; adding to the emptiest domain always
    /// does.
    pub(crate) fn spread_admits(&self, service: ServiceIx, node: NodeIx) -> bool {
        let lines = &self.indexed.services[service].spread;
        lines.iter().all(|line| {
            let counts = self.domains(service, line);
            let mine = counts.get(&line.domain[node]).copied().unwrap_or(0) + 1;
            // The domain that grows may be the emptiest one itself.
            let low = line.open.iter().map(|d| {
                let count = counts.get(d).copied().unwrap_or(0);
                if *d == line.domain[node] { count + 1 } else { count }
            });
            low.min().is_none_or(|low| mine <= low + line.skew)
        })
    }

    /// Instances of a service in each domain that has any.
    pub(crate) fn domains(&self, service: ServiceIx, line: &Spread) -> BTreeMap<usize, u32> {
        let mut counts = BTreeMap::new();
        for (&node, &count) in &self.of_service[service] {
            *counts.entry(line.domain[node]).or_insert(0) += count;
        }
        counts
    }

    /// By how much the fullest domain exceeds the emptiest beyond what the line allows.
    pub(crate) fn skew_excess(&self, service: ServiceIx, line: &Spread) -> u32 {
        self.skew_with(service, line, None)
    }

    /// The same with one instance more on a node.
    pub(crate) fn skew_with(&self, service: ServiceIx, line: &Spread, more: Option<NodeIx>) -> u32 {
        let mut counts = self.domains(service, line);
        if let Some(node) = more {
            *counts.entry(line.domain[node]).or_insert(0) += 1;
        }
        let low = line.open.iter().map(|d| counts.get(d).copied().unwrap_or(0)).min();
        let high = counts.values().copied().max().unwrap_or(0);
        low.map_or(0, |low| high.saturating_sub(low + line.skew))
    }

    /// Whether `spread` and `near` hold of everything this service has placed.
    pub(crate) fn in_order(&self, service: ServiceIx) -> bool {
        let it = &self.indexed.services[service];
        it.spread.iter().all(|line| self.skew_excess(service, line) == 0)
            && self.of_service[service].keys().all(|&node| self.has_company(service, node))
    }
}
