//! How many instances could be placed if every service were alone.
//!
//! Knows candidates. Refuses to know that services share nodes.
//!
//! It is the first bound of each level, and costs nothing. Where greedy placement reaches it, no
//! program is solved at all.

use crate::place::{ix::PerService, model::index::IndexedProblem};

/// Replicas that could be placed at each level if every service were alone.
pub(crate) fn alone(indexed: &IndexedProblem<'_>) -> Vec<u32> {
    let mut bounds = vec![0; indexed.levels.len()];
    for (service, fits) in indexed.services.iter().zip(&alone_each(indexed)) {
        bounds[service.level] += fits;
    }
    bounds
}

pub(crate) fn alone_each(indexed: &IndexedProblem<'_>) -> PerService<u32> {
    let services = indexed.services.iter();
    services
        .map(|service| {
            let fits =
                service.candidates.iter().map(|candidate| u64::from(candidate.most)).sum::<u64>();
            fits.min(u64::from(service.input.replicas)) as u32
        })
        .collect()
}
