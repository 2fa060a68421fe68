//! What runs and has no place as it is declared: it keeps what it has of its node, unless somebody
//! more important needs that.
//!
//! Knows such an instance as a service of its own in the problem, which is where it is or nowhere.
//! So all that holds of services holds of it: it is placed by priority, what it has is there for
//! nobody else, its ports and `apart-from` lines count, and every bound and remedy knows of it.
//! Refuses to let it stand in the way of what is placed as it is declared and is as important.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use devnet_schema::{
    name::{InstanceId, NodeName, ServiceName},
    placement::GpuUse,
    quantity::Bytes,
};

use super::{
    fixpoint,
    strategy::{self, Solved},
};
use crate::place::{
    Assignments,
    effort::spent::Spent,
    explain::violation,
    model::{
        index::{Candidate, IndexedProblem, Level, Service, per_node},
        indices::assign,
        partial::PartialPlacement,
    },
    outcome::{Displaced, Outcome, Reason},
    problem::{Current, Holding, NodeInput, PlacementProblem, ServiceInput},
    repair::budget,
    settled,
};

/// Integer programs of a large problem that is solved again, at most: what was placed before, with
/// what is kept beside it, is there already.
const ILPS: u32 = 12;

/// Rounds of keeping what the round before displaced.
const ROUNDS: u32 = 4;

/// The best placement of a problem, with what has no place in it kept as it is where that can be:
/// `then` is shown it.
///
/// On a node that has less than what runs there, less is counted of some. Where that made room for
/// others when the rest went away, it is solved again without those that did.
pub fn solved<R>(
    problem: &PlacementProblem,
    spent: &mut Spent<'_>,
    then: impl FnOnce(&IndexedProblem<'_>, Solved<'_>, &mut Spent<'_>) -> R,
) -> R {
    let (mut problem, mut then) = (Cow::Borrowed(problem), then);
    let mut rounds = 0;
    loop {
        rounds += 1;
        let look = |indexed: &IndexedProblem<'_>, solved: Solved<'_>, spent: &mut Spent<'_>| {
            let gone = gone(&solved.partial);
            match gone.is_empty() || rounds > ROUNDS {
                true => Ok(then(indexed, solved, spent)),
                false => Err((gone, then)),
            }
        };
        match spent.nested(|spent| attempt(&problem, spent, look)) {
            Ok(answer) => return answer,
            Err((gone, again)) => {
                problem.to_mut().leaving.extend(gone);
                then = again;
            }
        }
    }
}

/// Who went away from a node that has less than what is left there, and somebody came.
fn gone(partial: &PartialPlacement<'_>) -> BTreeSet<InstanceId> {
    let indexed = partial.indexed;
    let crowded = |n: &usize| {
        let (held, room) = (partial.held(*n), partial.room(*n));
        let came = |(&s, &count): (&usize, &u32)| {
            let service = &indexed.services[s];
            let takes = (0..3).any(|r| service.need[r] > 0 && held[r] > room[r]);
            takes && count > service.ran_at(*n)
        };
        indexed.nodes[*n].overfull && partial.on_node[*n].iter().any(came)
    };
    let crowded: Vec<usize> = (0..indexed.nodes.len()).filter(crowded).collect();
    if crowded.is_empty() {
        return BTreeSet::new();
    }
    let crowded: BTreeSet<&NodeName> =
        crowded.into_iter().map(|n| &indexed.nodes[n].input.name).collect();
    let placed = assign(partial);
    let known = indexed.services.iter().map(|it| it.input).flat_map(|input| {
        let ran = input.current.range(..input.replicas);
        let known = ran.filter(|(index, _)| input.holdings.contains_key(index));
        known.map(|(&index, current)| (InstanceId { service: input.name.clone(), index }, current))
    });
    let known = known.filter(|(id, _)| !indexed.problem.leaving.contains(id));
    let went = known.filter(|(id, current)| {
        let kept = InstanceId { service: id.alone(), index: 0 };
        let place = placed.get(id).or_else(|| placed.get(&kept));
        let here = place.is_some_and(|place| place.node == current.node);
        crowded.contains(&current.node) && !here
    });
    went.map(|(id, _)| id).collect()
}

/// The same, with what is counted of each as it stands.
fn attempt<R>(
    problem: &PlacementProblem,
    spent: &mut Spent<'_>,
    then: impl FnOnce(&IndexedProblem<'_>, Solved<'_>, &mut Spent<'_>) -> R,
) -> R {
    let indexed = settled(problem);
    let first = fixpoint::solve(&indexed, spent);
    let (mut staying, as_declared) = homeless(&first.partial);
    let stopping: BTreeSet<InstanceId> = staying.union(&as_declared).cloned().collect();
    let stops = !stopping.is_empty();
    let loose = indexed.services.iter().any(Service::loose);
    let pressing = loose || presses(&first.partial);
    // Of two that cannot both be, one may do with what it has, or where it is.
    let others = match stops || pressing {
        true => others(&first.partial, &stopping, loose),
        false => BTreeSet::new(),
    };
    if staying.is_empty() && others.is_empty() {
        return then(&indexed, first, spent);
    }
    // A small problem is solved again for the proof of its score.
    let small = indexed.pairs() <= budget::SMALL;
    if !small && !pressing && (as_declared.is_empty() || others.is_empty()) {
        let staged = staged(problem, &staying);
        let indexed = settled(&staged);
        if let Some(solved) = with_all(&indexed, &first, spent) {
            return then(&indexed, solved, spent);
        }
    }
    if small && !pressing && stops {
        let staged = staged(problem, &stopping);
        let indexed = settled(&staged);
        let mut solved = spent.nested(|spent| fixpoint::solve(&indexed, spent));
        if nobody_stops(&solved.partial) {
            in_order(&mut solved.partial);
            return then(&indexed, solved, spent);
        }
    }
    staying.extend(others);
    let mut rounds = 0;
    loop {
        let mut staged = staged(problem, &staying);
        if indexed.pairs() > problem.limits.whole_pairs {
            staged.limits.ilps = staged.limits.ilps.min(ILPS);
        }
        let indexed = settled(&staged);
        let mut solved = spent.nested(|spent| fixpoint::solve(&indexed, spent));
        take_better(&mut solved, &first.partial, spent);
        let (mut more, _) = homeless(&solved.partial);
        more.retain(|id| !staying.contains(id));
        rounds += 1;
        if more.is_empty() || rounds >= ROUNDS {
            in_order(&mut solved.partial);
            return then(&indexed, solved, spent);
        }
        staying.extend(more);
    }
}

/// What else may be kept as it is, so that nothing stops or waits for want of that. In a problem
/// that is one program all that is known to run, but for services of which some are new: none is
/// kept for a sibling that takes its place. In a larger one data and company that grew, what grew
/// beside what stops, data where some of it is not held, and what moves from where it may not be.
fn others(
    partial: &PartialPlacement<'_>,
    stopping: &BTreeSet<InstanceId>,
    loose: bool,
) -> BTreeSet<InstanceId> {
    let indexed = partial.indexed;
    let whole = indexed.pairs() <= indexed.problem.limits.whole_pairs;
    let stops = !stopping.is_empty();
    let numbers = numbers(indexed);
    let home = |id: &InstanceId| {
        let current = &indexed.services[numbers[&id.service]].input.current;
        current.get(&id.index).map(|it| &it.node)
    };
    let beside: BTreeSet<&NodeName> = stopping.iter().filter_map(home).collect();
    let placed = if stops && !whole { assign(partial) } else { BTreeMap::new() };
    let all = indexed.services.iter().flat_map(|service| {
        let input = service.input;
        let known = input.holdings.keys().filter(|index| **index < input.replicas);
        known.map(move |&index| (service, InstanceId { service: input.name.clone(), index }))
    });
    let may = |(service, id): &(&Service<'_>, InstanceId)| {
        let input = service.input;
        let Some(current) = input.current.get(&id.index) else { return false };
        let old = service.running() == input.replicas;
        let held = !input.movable || !service.supports.is_empty();
        let refused = service.ran.keys().any(|&n| service.candidate(n).is_none());
        let moves = || placed.get(id).is_some_and(|place| place.node != current.node);
        input.has_grown(id.index) && (whole || held || beside.contains(&current.node))
            || whole && old
            || loose && !input.movable
            || stops && old && refused && moves()
    };
    all.filter(may).map(|(_, id)| id).collect()
}

/// Whether something that grew may be in the way of what has no place: as important, or data that
/// is held to where it is, or company for what waits.
fn presses(partial: &PartialPlacement<'_>) -> bool {
    let services = &partial.indexed.services;
    let short = (0..services.len()).filter(|&s| partial.missing(s) > 0).map(|s| services[s].level);
    let short: BTreeSet<usize> = short.collect();
    services.iter().any(|service| {
        let input = service.input;
        let grew = || input.current.range(..input.replicas).any(|(&at, _)| input.has_grown(at));
        let held = !input.movable || !service.supports.is_empty();
        let in_the_way = match held {
            true => short.first().is_some_and(|first| *first <= service.level),
            false => short.contains(&service.level),
        };
        in_the_way && grew()
    })
}

/// What runs, is known to, and has no place. Apart from the others what would take as much as it
/// is, in the same place, as it does declared: that there is no room for it is known.
fn homeless(partial: &PartialPlacement<'_>) -> (BTreeSet<InstanceId>, BTreeSet<InstanceId>) {
    let indexed = partial.indexed;
    let short =
        |s: &usize| partial.missing(*s) > 0 && !indexed.services[*s].input.holdings.is_empty();
    let short: Vec<usize> = (0..indexed.services.len()).filter(short).collect();
    if short.is_empty() {
        return Default::default();
    }
    let placed = assign(partial);
    let nodes = indexed.nodes.iter().enumerate().map(|(n, node)| (&node.input.name, n));
    let nodes: BTreeMap<&NodeName, usize> = nodes.collect();
    let all = short.into_iter().map(|s| &indexed.services[s]).flat_map(|service| {
        let known = service.input.current.range(..service.input.replicas);
        let known = known.filter(|(index, _)| service.input.holdings.contains_key(index));
        known.map(move |(&index, current)| {
            let id = InstanceId { service: service.input.name.clone(), index };
            (service, id, current)
        })
    });
    let homeless = all.filter(|(_, id, _)| !placed.contains_key(id));
    let (alike, others): (Vec<_>, Vec<_>) = homeless.partition(|(service, id, current)| {
        let home = nodes.get(&current.node).and_then(|&n| service.candidate(n));
        home.is_some_and(|home| {
            // There, less is counted of one that is kept.
            !indexed.nodes[home.node].overfull && alike(service, home, (id.index, current))
        })
    });
    let ids = |list: Vec<(_, InstanceId, _)>| list.into_iter().map(|(_, id, _)| id).collect();
    (ids(others), ids(alike))
}

/// Whether a running instance needs as much as it is as it does declared, and nothing but room
/// keeps it from staying so.
fn alike(service: &Service<'_>, home: &Candidate, (index, current): (u32, &Current)) -> bool {
    let input = service.input;
    let here = input.current.range(..input.replicas).filter(|(_, it)| it.node == current.node);
    let lines = [input.spread.len(), input.near.len(), service.apart.len()];
    let free = lines == [0; 3] && per_node(input).is_none();
    free && home.current as usize == here.count() && !input.has_grown(index)
}

/// Whether all that is known to run has its place, or is kept as it is.
fn nobody_stops(partial: &PartialPlacement<'_>) -> bool {
    let numbers = numbers(partial.indexed);
    let (homeless, alike) = homeless(partial);
    let kept = |id: &InstanceId| numbers.get(&id.alone()).is_some_and(|&s| partial.total[s] > 0);
    homeless.iter().chain(&alike).all(kept)
}

fn numbers<'f>(indexed: &'f IndexedProblem<'_>) -> BTreeMap<&'f ServiceName, usize> {
    indexed.services.iter().enumerate().map(|(s, service)| (&service.input.name, s)).collect()
}

/// The problem with these instances kept as they are, beside those that are already.
pub fn staged(problem: &PlacementProblem, staying: &BTreeSet<InstanceId>) -> PlacementProblem {
    let mut staged = problem.clone();
    let nodes: BTreeMap<&NodeName, &NodeInput> =
        problem.nodes.iter().map(|node| (&node.name, node)).collect();
    let mut added = Vec::new();
    for service in &staged.services {
        let first = InstanceId { service: service.name.clone(), index: 0 };
        let own = staying.range(first..).take_while(|id| id.service == service.name);
        let own = own.filter(|id| !problem.leaving.contains(id));
        for id in own {
            let holding = service.holdings.get(&id.index).cloned();
            let Some((current, holding)) = service.current.get(&id.index).zip(holding) else {
                continue;
            };
            let current = on_known_devices(current, nodes.get(&current.node).copied());
            let mut lone = lone(service, id, current, &holding);
            lone.apart_from.retain(|other| *other != service.name);
            added.push(lone);
        }
    }
    staged.services.extend(added);
    staged
}

/// Where an instance is, of its devices those that its node has, and of each at most all of it.
fn on_known_devices(current: &Current, node: Option<&NodeInput>) -> Current {
    let device = |id: &str| node?.gpus.iter().find(|gpu| gpu.id == id);
    let known = current.gpus.iter().filter_map(|own| {
        let memory = own.memory.0.min(device(&own.id)?.memory);
        Some(GpuUse { memory: Bytes(memory), ..own.clone() })
    });
    Current { node: current.node.clone(), gpus: known.collect(), held: current.held }
}

/// Undoes [`staged`] for some services: what runs of them is to have a place or none.
pub fn released(problem: &mut PlacementProblem, whose: impl Fn(&ServiceName) -> bool) {
    let kept = |input: &ServiceInput| input.name.lone_instance();
    problem.services.retain(|input| kept(input).is_none_or(|id| !whose(&id.service)));
}

/// One running instance as a service: of all its lines only `apart-from` speaks of others.
fn lone(
    service: &ServiceInput,
    id: &InstanceId,
    current: Current,
    holding: &Holding,
) -> ServiceInput {
    ServiceInput {
        name: id.alone(),
        replicas: 1,
        cpu_milli: holding.cpu_milli,
        memory: holding.memory,
        disk: holding.disk,
        gpu: current.request(),
        device: None,
        host_ports: holding.ports.clone(),
        port_lines: BTreeMap::new(),
        require: Vec::new(),
        forbid: Vec::new(),
        prefer: Vec::new(),
        pin: None,
        spread: Vec::new(),
        max_per_node: None,
        near: Vec::new(),
        movable: true,
        current: BTreeMap::from([(0, current)]),
        holdings: BTreeMap::new(),
        ..service.clone()
    }
}

/// What was placed before and all that is to be kept beside it, where that is possible: nothing
/// better is, and what was known of moves still holds.
fn with_all<'f>(
    indexed: &'f IndexedProblem<'f>,
    first: &Solved<'_>,
    spent: &mut Spent<'_>,
) -> Option<Solved<'f>> {
    let partial = beside(indexed, &first.partial);
    if !partial.sound() || retained_services(indexed).any(|s| partial.total[s] == 0) {
        return None;
    }
    let placed = partial.placed();
    let known = |level: &Level| first.partial.indexed.levels.binary_search(level).ok();
    let bounds = indexed.levels.iter().zip(placed);
    let bounds = bounds.map(|(level, placed)| known(level).map_or(placed, |at| first.bounds[at]));
    let bounds = bounds.collect();
    let score_bound = strategy::least_score(&partial, spent).max(first.score_bound);
    // With the score first, the price is that of the best score of what is kept, too.
    let migration_bound = match indexed.problem.limits.rebalance {
        true => indexed.forced().1,
        false => first.migration_bound,
    };
    Some(Solved { partial, bounds, migration_bound, score_bound })
}

/// The better of what was found and of what was placed before, with what is kept where it has the
/// room: a search that was stopped may have found less.
fn take_better(solved: &mut Solved<'_>, first: &PartialPlacement<'_>, spent: &mut Spent<'_>) {
    let indexed = solved.partial.indexed;
    let partial = beside(indexed, first);
    if partial.sound() && partial.rank().beats(&solved.partial.rank()) {
        solved.partial = partial;
        // What was known of moves and score holds for as much placed as before only.
        solved.migration_bound = indexed.forced().1;
        solved.score_bound = strategy::least_score(&solved.partial, spent);
    }
}

/// Of those that may be kept and are alike, keeps the last: the first have the places, whichever of
/// them the solver took.
fn in_order(partial: &mut PartialPlacement<'_>) {
    let indexed = partial.indexed;
    let mut alike: BTreeMap<_, Vec<(u32, usize)>> = BTreeMap::new();
    for s in retained_services(indexed).filter(|&s| !indexed.services[s].wants_gpu()) {
        let service = &indexed.services[s];
        let home = service.candidates.first().map(|candidate| candidate.node);
        if let Some((id, n)) = service.input.name.lone_instance().zip(home) {
            let has = (service.need, service.input.amounts(), &service.ports);
            alike.entry((id.service, n, has)).or_default().push((id.index, s));
        }
    }
    for ((_, n, _), mut all) in alike {
        all.sort_unstable();
        let kept = all.iter().filter(|(_, s)| partial.total[*s] > 0).count();
        let placed = all.len() - kept;
        let gone = all[..placed].iter().filter(|(_, s)| partial.total[*s] > 0);
        gone.copied().collect::<Vec<_>>().iter().for_each(|&(_, s)| partial.remove(s, n));
        let missing = all[placed..].iter().filter(|(_, s)| partial.total[*s] == 0);
        missing.copied().collect::<Vec<_>>().iter().for_each(|&(_, s)| partial.add(s, n));
    }
}

/// What was placed before, with what is kept where it has the room.
fn beside<'f>(
    indexed: &'f IndexedProblem<'f>,
    first: &PartialPlacement<'_>,
) -> PartialPlacement<'f> {
    let numbers = numbers(indexed);
    let mut partial = PartialPlacement::empty(indexed);
    for (s, nodes) in first.of_service.iter().enumerate() {
        let own = numbers[&first.indexed.services[s].input.name];
        for (&n, &count) in nodes {
            (0..count).for_each(|_| partial.add(own, n));
        }
    }
    for s in retained_services(indexed) {
        let home = indexed.services[s].candidates.first().map(|candidate| candidate.node);
        if let Some(n) = home.filter(|&n| partial.fits_alone(s, n)) {
            partial.add(s, n);
        }
    }
    partial
}

/// Those that are kept as they are.
pub fn retained_services<'f>(indexed: &'f IndexedProblem<'_>) -> impl Iterator<Item = usize> + 'f {
    let lone = |s: &usize| indexed.services[*s].is_retained();
    (0..indexed.services.len()).filter(lone)
}

/// The placement as the service would find it: what is kept of its own gives way to it.
pub fn without_own<'b, 'f>(
    partial: &'b PartialPlacement<'f>,
    s: usize,
) -> Cow<'b, PartialPlacement<'f>> {
    let service = &partial.indexed.services[s];
    if service.is_retained() || service.counterparts.is_empty() {
        return Cow::Borrowed(partial);
    }
    let mut without = partial.clone();
    for &kept in &service.counterparts {
        let nodes: Vec<usize> = without.of_service[kept].keys().copied().collect();
        nodes.into_iter().for_each(|n| without.remove(kept, n));
    }
    Cow::Owned(without)
}

/// The placement as one instance of the service would find it on a node: the first that is kept of
/// it there gives way to it.
pub fn without_one<'b, 'f>(
    partial: &'b PartialPlacement<'f>,
    s: usize,
    n: usize,
) -> Cow<'b, PartialPlacement<'f>> {
    let mut kept = partial.indexed.retained_at(s, n).filter(|&kept| partial.count(kept, n) > 0);
    let Some(kept) = kept.next().filter(|_| !partial.indexed.services[s].is_retained()) else {
        return Cow::Borrowed(partial);
    };
    let mut without = partial.clone();
    without.remove(kept, n);
    Cow::Owned(without)
}

/// Which instance a name of the staged problem stands for.
fn plain(id: &InstanceId) -> InstanceId {
    id.service.lone_instance().unwrap_or_else(|| id.clone())
}

/// The outcome of a staged problem in the names that were declared.
pub fn told(partial: &PartialPlacement<'_>, mut outcome: Outcome) -> Outcome {
    if retained_services(partial.indexed).next().is_none() {
        return outcome;
    }
    let (kept, placed): (Assignments, Assignments) =
        outcome.assignments.into_iter().partition(|(id, _)| id.service.lone_instance().is_some());
    outcome.assignments = placed;
    let (kept_out, out): (BTreeMap<_, _>, BTreeMap<_, _>) =
        outcome.displaced.into_iter().partition(|(id, _)| id.service.lone_instance().is_some());
    outcome.displaced = out;
    let kept_out = kept_out.into_iter().map(|(id, why)| (plain(&id), why));
    let stops = |(id, _): &(InstanceId, Displaced)| !outcome.assignments.contains_key(id);
    outcome.displaced.extend(kept_out.filter(stops).collect::<Vec<_>>());
    let nodes = partial.indexed.nodes.iter().enumerate();
    let nodes: BTreeMap<&NodeName, usize> = nodes.map(|(n, it)| (&it.input.name, n)).collect();
    let numbers = numbers(partial.indexed);
    let mut known: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    for (id, mut place) in kept {
        let id = plain(&id);
        let at = (numbers[&id.service], nodes[&place.node]);
        let against = known.entry(at).or_insert_with(|| {
            let against = violation::violations(&without_one(partial, at.0, at.1), at.0, at.1);
            against.into_iter().map(|found| found.text).collect()
        });
        let against = against.clone();
        outcome.displaced.insert(id.clone(), Displaced { by: None, against });
        // What its node does not know of its devices it has all the same.
        let current = partial.indexed.services[at.0].input.current.get(&id.index);
        place.gpus = current.map_or(place.gpus, |current| current.gpus.clone());
        place.reason = Reason::Retained;
        outcome.assignments.insert(id, place);
    }
    outcome
}

/// Those that an outcome keeps as they are.
pub fn retained_in(outcome: &Outcome) -> BTreeSet<InstanceId> {
    let kept = outcome.assignments.iter().filter(|(_, place)| place.reason == Reason::Retained);
    kept.map(|(id, _)| id.clone()).collect()
}

/// How many moves, and at what price, a placement counts that are none: of each that may be kept as
/// it is, its service counts one for it where it is, and it counts one itself where it is not.
pub fn no_moves(indexed: &IndexedProblem<'_>) -> (u32, u64) {
    let prices = retained_services(indexed).map(|s| indexed.services[s].migration_cost);
    prices.fold((0, 0), |(count, sum), migration_cost| (count + 1, sum + migration_cost))
}
