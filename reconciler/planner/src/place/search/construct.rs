//! First placements, in milliseconds: what runs now, repaired, and some from nothing.
//!
//! Knows how a style is carried out. Refuses to claim that any of it is good.
//!
//! Everything later starts from one of these. A service that must be near another is placed
//! together with it, circles included, or not at all.

use std::{collections::BTreeSet, iter::repeat_n};

use devnet_schema::quantity::GpuRequest;

use super::style::{Choice, Order, Style, order};
use crate::place::{
    ix::{NodeIx, PerService, ServiceIx},
    model::{
        index::IndexedProblem,
        partial::{PartialPlacement, rank::FULL},
    },
    program::relaxation::Share,
};

/// One greedy run. Every placement it returns keeps every constraint, except that a service with
/// instances that must stay may be out of order; [`super::locks::broken_lock`] tells.
pub(crate) fn run<'f>(indexed: &'f IndexedProblem<'f>, style: Style) -> PartialPlacement<'f> {
    let mut partial = locked(indexed);
    let order = order(indexed, style.order);
    if style.repair {
        keep(&mut partial, &order);
        tidy(&mut partial);
    }
    fill(&mut partial, &order, style);
    tidy(&mut partial);
    partial
}

/// A greedy run that first puts what a relaxation puts where, rounded down, and then what is left
/// wherever it fits.
pub(crate) fn guided<'f>(
    indexed: &'f IndexedProblem<'f>,
    shares: &[Share],
) -> PartialPlacement<'f> {
    let mut partial = locked(indexed);
    keep(&mut partial, &super::style::order(indexed, Order::LargestFirst));
    tidy(&mut partial);
    let order = order(indexed, Order::LargestOfAll);
    let mut of_service: PerService<Vec<&Share>> =
        PerService::filled(Vec::new(), indexed.services.len());
    shares.iter().for_each(|share| of_service[share.service].push(share));
    let style = Style { repair: true, order: Order::LargestOfAll, choice: Choice::BestFit };
    for service in order {
        for share in &of_service[service] {
            let here: u32 = share.nodes.iter().map(|&node| partial.count(service, node)).sum();
            let most = (share.count + 1e-6) as u32;
            place_some(&mut partial, service, &share.nodes, most.saturating_sub(here), style);
        }
        // What rounding left out would find no devices together later.
        if matches!(indexed.services[service].input.gpu, GpuRequest::Whole(2..)) {
            place_all(&mut partial, service, style);
        }
    }
    fill(&mut partial, &super::style::order(indexed, Order::LargestFirst), style);
    tidy(&mut partial);
    partial
}

/// Only what must stay, and of that as little as can be: as it is where that will do.
pub(crate) fn locked<'f>(indexed: &'f IndexedProblem<'f>) -> PartialPlacement<'f> {
    let mut partial = PartialPlacement::empty(indexed);
    for lock in locks(indexed) {
        add_locked(&mut partial, &lock);
    }
    partial
}

/// Instances of one service that must stay on one node.
pub(crate) struct Lock {
    pub service: ServiceIx,
    pub node: NodeIx,
    /// How many, those of the locks before this one on the same node among them.
    pub count: u32,
}

/// What must stay, the more important first, and of what is as important that which runs before
/// that of which only the data is there.
pub(crate) fn locks(indexed: &IndexedProblem<'_>) -> Vec<Lock> {
    let order = order(indexed, Order::FewestCandidates).into_iter().enumerate();
    let mut all = Vec::new();
    for (position, service) in order {
        let it = &indexed.services[service];
        for (&node, &locked) in &it.locked {
            let runs = locked.min(it.known_at(node));
            let mut lock = |waits: bool, count| {
                all.push(((it.level, waits, position), Lock { service, node, count }));
            };
            if runs > 0 {
                lock(false, runs);
            }
            if locked > runs {
                lock(true, locked);
            }
        }
    }
    all.sort_by_key(|(rank, _)| *rank);
    all.into_iter().map(|(_, lock)| lock).collect()
}

/// Adds of a service so many as must stay on a node, as far as they fit. Returns how many are
/// there.
pub(crate) fn add_locked(partial: &mut PartialPlacement<'_>, lock: &Lock) -> u32 {
    let (indexed, service, node) = (partial.indexed, lock.service, lock.node);
    let retained = || indexed.retained_at(service, node);
    let mut count = partial.count(service, node)
        + retained().map(|unit| partial.count(unit, node)).sum::<u32>();
    for unit in retained().chain(repeat_n(service, lock.count as usize)) {
        let there = unit != service && partial.count(unit, node) > 0;
        if count < lock.count && !there && partial.fits_alone(unit, node) {
            partial.add(unit, node);
            count += 1;
        }
    }
    count
}

/// Leaves what runs where it is, as far as it fits.
fn keep(partial: &mut PartialPlacement<'_>, order: &[ServiceIx]) {
    for &service in order {
        for candidate in &partial.indexed.services[service].candidates {
            for _ in partial.indexed.services[service].locked_at(candidate.node)..candidate.current
            {
                if partial.missing(service) > 0 && partial.fits_alone(service, candidate.node) {
                    partial.add(service, candidate.node);
                }
            }
        }
    }
}

/// Takes away instances until `near` and `spread` hold everywhere, the less important first.
pub(crate) fn tidy(partial: &mut PartialPlacement<'_>) {
    let order: Vec<ServiceIx> =
        order(partial.indexed, Order::FewestCandidates).into_iter().rev().collect();
    while let Some((service, node)) =
        order.iter().find_map(|&service| Some((service, offender(partial, service)?)))
    {
        partial.remove(service, node);
    }
}

/// An instance of a service that breaks a rule and may be taken away.
fn offender(partial: &PartialPlacement<'_>, service: ServiceIx) -> Option<NodeIx> {
    let nodes =
        || partial.of_service[service].keys().copied().filter(|&node| partial.spare(service, node));
    if let Some(node) = nodes().find(|&node| !partial.has_company(service, node)) {
        return Some(node);
    }
    for line in &partial.indexed.services[service].spread {
        if partial.skew_excess(service, line) == 0 {
            continue;
        }
        let counts = partial.domains(service, line);
        let fullest = counts.values().copied().max()?;
        let full = |node: &NodeIx| counts.get(&line.domain[*node]) == Some(&fullest);
        // A newcomer leaves before one that already ran there.
        let rank = |node: &NodeIx| {
            (partial.staying(service, *node) == partial.count(service, *node), *node)
        };
        if let Some(node) = nodes().filter(full).min_by_key(rank) {
            return Some(node);
        }
    }
    None
}

/// Places what is missing, as far as it fits, without moving anything.
pub(crate) fn fill(partial: &mut PartialPlacement<'_>, order: &[ServiceIx], style: Style) {
    // A service may wait for another's company: go round until nothing changes.
    loop {
        let mut changed = false;
        for &service in order {
            changed |= place_all(partial, service, style);
        }
        if !changed {
            return;
        }
    }
}

/// Places what is missing of one service, as far as it fits.
fn place_all(partial: &mut PartialPlacement<'_>, service: ServiceIx, style: Style) -> bool {
    let nodes: Vec<NodeIx> = partial.indexed.services[service]
        .candidates
        .iter()
        .map(|candidate| candidate.node)
        .collect();
    let grown = grow(partial, service);
    place_some(partial, service, &nodes, u32::MAX, style) || grown
}

/// Puts what is kept of a service as it is there as it is declared, where that fits.
fn grow(partial: &mut PartialPlacement<'_>, service: ServiceIx) -> bool {
    if partial.indexed.services[service].is_retained() {
        return false;
    }
    let counterparts = partial.indexed.services[service].counterparts.iter().copied();
    let kept = counterparts.filter(|&kept| partial.indexed.services[kept].is_retained());
    let here = kept.flat_map(|kept| partial.of_service[kept].keys().map(move |&node| (kept, node)));
    let here: Vec<(ServiceIx, NodeIx)> = here.collect();
    let mut grown = false;
    for (kept, node) in here {
        let devices = partial.devices(node);
        partial.remove(kept, node);
        if partial.fits(service, node) {
            partial.add(service, node);
            grown = true;
        } else {
            partial.add(kept, node);
            partial.set_devices(node, devices);
        }
    }
    grown
}

/// The same on some nodes, and so many at most.
fn place_some(
    partial: &mut PartialPlacement<'_>,
    service_ix: ServiceIx,
    nodes: &[NodeIx],
    most: u32,
    style: Style,
) -> bool {
    let before = partial.total[service_ix];
    let service = &partial.indexed.services[service_ix];
    let even = service.spread.is_empty() && service.counterparts.is_empty();
    let mut ranked = BTreeSet::new();
    while partial.missing(service_ix) > 0 && partial.total[service_ix] - before < most {
        if ranked.is_empty() || !even {
            let fitting =
                nodes.iter().filter_map(|&node| ranked_node(partial, service_ix, node, style));
            ranked = fitting.collect();
        }
        let Some((_, node)) = ranked.pop_first() else {
            if !place_with_company(partial, service_ix) {
                break;
            }
            continue;
        };
        partial.add(service_ix, node);
        // Without these an instance changes what its own node offers and nothing else.
        ranked.extend(ranked_node(partial, service_ix, node, style));
        if ranked.is_empty() && partial.indexed.services[service_ix].near.is_empty() {
            break;
        }
    }
    partial.total[service_ix] > before
}

type RankedNode = ((bool, u64), NodeIx);

fn ranked_node(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    node: NodeIx,
    style: Style,
) -> Option<RankedNode> {
    let current = partial.indexed.services[service].candidate(node)?.current;
    if !partial.fits(service, node) {
        return None;
    }
    let home = style.repair && partial.count(service, node) < current;
    Some(((!home, worth(partial, service, node, style.choice)), node))
}

fn place_with_company(partial: &mut PartialPlacement<'_>, service: ServiceIx) -> bool {
    if partial.indexed.services[service].near.is_empty() {
        return false;
    }
    let nodes: Vec<NodeIx> = partial.indexed.services[service]
        .candidates
        .iter()
        .map(|candidate| candidate.node)
        .collect();
    nodes.into_iter().any(|node| place_together(partial, service, node))
}

/// Places a service on a node along with everything it must be near, circles included, or leaves
/// the placement as it was.
fn place_together(partial: &mut PartialPlacement<'_>, service: ServiceIx, node: NodeIx) -> bool {
    let (mut group, mut at) = (vec![service], 0);
    while at < group.len() {
        for &other in &partial.indexed.services[group[at]].near {
            if partial.present(other, node) == 0 && !group.contains(&other) {
                group.push(other);
            }
        }
        at += 1;
    }
    let mut added = Vec::new();
    for &member in group.iter().rev() {
        let fits = partial.missing(member) > 0
            && partial.fits_alone(member, node)
            && partial.spread_admits(member, node);
        if !fits {
            break;
        }
        partial.add(member, node);
        added.push(member);
    }
    let complete = added.len() == group.len();
    if !complete {
        added.into_iter().for_each(|member| partial.remove(member, node));
    }
    complete
}

/// Lower is better.
fn worth(
    partial: &PartialPlacement<'_>,
    service_ix: ServiceIx,
    node: NodeIx,
    choice: Choice,
) -> u64 {
    let service = &partial.indexed.services[service_ix];
    match choice {
        Choice::Score => partial.growth(service_ix, node),
        Choice::BestFit => {
            if service.wants_gpu() {
                // Devices are filled up, and cpu and memory last as long as they do.
                return partial.waste(service_ix, node) * 4 * FULL
                    + partial.growth(service_ix, node);
            }
            let capacity = partial.indexed.nodes[node].capacity;
            let left = |resource: usize| {
                let left = capacity[resource].saturating_sub(partial.used[node][resource]);
                let left = left.saturating_sub(service.need[resource]);
                (u128::from(left) * u128::from(FULL) / u128::from(capacity[resource].max(1))) as u64
            };
            let spared = 1000 * partial.indexed.nodes[node].memories.len() as u64;
            spared * 4 * FULL + left(0) + left(1)
        }
    }
}
