//! What runs and has no place as it is declared: it keeps what it has of its node, unless somebody
//! more important needs that.
//!
//! Knows such an instance as a service of its own in the problem, which is where it is or nowhere.
//! So all that holds of services holds of it: it is placed by priority, what it has is there for
//! nobody else, its ports and `apart-from` lines count, and every bound and way out knows of it.
//! Refuses to let it stand in the way of what is placed as it is declared and is as important.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    name::{InstanceId, NodeName, ServiceName},
    quantity::GpuRequest,
};

use super::{
    Assignments, again,
    assign::assign,
    board::Board,
    field::Field,
    pipeline::{self, Solved},
    problem::{
        Current, Displaced, Holding, Outcome, PlacementProblem, Places, Reason, ServiceInput,
    },
    settled, shortfall,
    work::Work,
};

/// Rounds of keeping what the round before displaced.
const ROUNDS: u32 = 4;

/// The best placement of a problem, with what has no place in it kept as it is where that can be:
/// `then` is shown it.
pub fn solved<R>(
    problem: &PlacementProblem,
    work: &mut Work<'_>,
    then: impl FnOnce(&Field<'_>, Solved<'_>, &mut Work<'_>) -> R,
) -> R {
    let field = settled(problem);
    let first = again::solve(&field, work);
    let (mut staying, mut dropped) = (homeless(&first.board), BTreeSet::new());
    if staying.is_empty() {
        return then(&field, first, work);
    }
    // Of two that cannot both be, one may do with what it has.
    staying.extend(grown(problem));
    let mut rounds = 0;
    loop {
        let staged = staged(problem, &staying);
        let field = settled(&staged);
        let mut solved = work.anew(|work| again::solve(&field, work));
        take_better(&mut solved, &first.board, work);
        let surplus = surplus(&solved.board);
        let mut more = homeless(&solved.board);
        more.retain(|id| !dropped.contains(id));
        rounds += 1;
        if surplus.is_empty() && (more.is_empty() || rounds >= ROUNDS) {
            return then(&field, solved, work);
        }
        staying.extend(more);
        staying.retain(|id| !surplus.contains(id));
        dropped.extend(surplus);
    }
}

/// What runs with less than is declared of it by now.
fn grown(problem: &PlacementProblem) -> impl Iterator<Item = InstanceId> {
    problem.services.iter().flat_map(|input| {
        let known = input.holdings.iter().filter(|(index, _)| **index < input.replicas);
        let less = known.filter(|(_, has)| {
            has.cpu_milli < input.cpu_milli || has.memory < input.memory || has.disk < input.disk
        });
        less.map(|(&index, _)| InstanceId { service: input.name.clone(), index })
    })
}

/// What runs, is known to, and has no place.
fn homeless(board: &Board<'_>) -> BTreeSet<InstanceId> {
    let field = board.field;
    let inputs = field.services.iter().enumerate().map(|(s, service)| (s, service.input));
    let short = inputs.filter(|(s, input)| board.missing(*s) > 0 && !input.holdings.is_empty());
    let short: Vec<&ServiceInput> = short.map(|(_, input)| input).collect();
    if short.is_empty() {
        return BTreeSet::new();
    }
    let placed = assign(board);
    let running = short.into_iter().flat_map(|input| {
        let known = input.current.range(..input.replicas).map(|(index, _)| *index);
        known
            .filter(|index| input.holdings.contains_key(index))
            .map(|index| InstanceId { service: input.name.clone(), index })
    });
    running.filter(|id| !placed.contains_key(id)).collect()
}

fn numbers<'f>(field: &'f Field<'_>) -> BTreeMap<&'f ServiceName, usize> {
    field.services.iter().enumerate().map(|(s, service)| (&service.input.name, s)).collect()
}

/// The problem with these instances kept as they are, beside those that are already.
pub fn staged(problem: &PlacementProblem, staying: &BTreeSet<InstanceId>) -> PlacementProblem {
    let mut staged = problem.clone();
    let mut apart: BTreeMap<&ServiceName, Vec<ServiceName>> = BTreeMap::new();
    for service in &problem.services {
        for other in &service.apart_from {
            apart.entry(other).or_default().push(service.name.clone());
        }
    }
    let mut added = Vec::new();
    for service in &staged.services {
        let first = InstanceId { service: service.name.clone(), index: 0 };
        let own = staying.range(first..).take_while(|id| id.service == service.name);
        for id in own {
            let holding = service.holdings.get(&id.index).cloned();
            let Some((current, holding)) = service.current.get(&id.index).zip(holding) else {
                continue;
            };
            let mut lone = lone(service, id, current.clone(), &holding);
            lone.apart_from.extend(apart.get(&service.name).into_iter().flatten().cloned());
            lone.apart_from.retain(|other| *other != service.name);
            added.push(lone);
        }
    }
    staged.services.extend(added);
    staged
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
        at: service.at.clone(),
        replicas: 1,
        priority: service.priority,
        cpu_milli: holding.cpu_milli,
        memory: holding.memory,
        disk: holding.disk,
        gpu: request(&current),
        device: None,
        host_ports: holding.ports.clone(),
        port_lines: BTreeMap::new(),
        require: Vec::new(),
        forbid: Vec::new(),
        prefer: Vec::new(),
        pin: None,
        spread: Vec::new(),
        max_per_node: None,
        apart_from: service.apart_from.clone(),
        near: Vec::new(),
        places: Places { apart_from: service.places.apart_from.clone(), ..Places::default() },
        movable: true,
        move_cost: service.move_cost,
        current: BTreeMap::from([(0, current)]),
        holdings: BTreeMap::new(),
    }
}

/// What an instance with these devices must have asked for.
fn request(current: &Current) -> GpuRequest {
    match current.gpus.as_slice() {
        [] => GpuRequest::None,
        [one] if one.memory.0 > 0 => GpuRequest::Memory(one.memory),
        [one] if one.share_milli < 1000 => GpuRequest::Share(one.share_milli),
        all => GpuRequest::Whole(all.len() as u32),
    }
}

/// What was placed before, with what is kept where it has the room: a search that was stopped may
/// have found less.
fn take_better(solved: &mut Solved<'_>, first: &Board<'_>, work: &mut Work<'_>) {
    let field = solved.board.field;
    let numbers = numbers(field);
    let mut board = Board::empty(field);
    for (s, nodes) in first.of_service.iter().enumerate() {
        let own = numbers[&first.field.services[s].input.name];
        for (&n, &count) in nodes {
            (0..count).for_each(|_| board.add(own, n));
        }
    }
    for s in lone_services(field) {
        let home = field.services[s].cells.first().map(|cell| cell.node);
        if let Some(n) = home.filter(|&n| board.fits_alone(s, n)) {
            board.add(s, n);
        }
    }
    if board.sound() && board.rank().beats(&solved.board.rank()) {
        solved.board = board;
        // What was known of moves and score holds for as much placed as before only.
        solved.price_bound = field.forced().1;
        solved.cost_bound = pipeline::least_cost(&solved.board, work);
    }
}

/// Those that are kept as they are.
pub fn lone_services<'f>(field: &'f Field<'_>) -> impl Iterator<Item = usize> + 'f {
    let lone = |s: &usize| field.services[*s].keeps();
    (0..field.services.len()).filter(lone)
}

/// What is kept needlessly: as many of its service, as it is declared, are on its node as run there,
/// so that it is one of them.
fn surplus(board: &Board<'_>) -> BTreeSet<InstanceId> {
    let field = board.field;
    let numbers = numbers(field);
    let mut kept: BTreeMap<(usize, usize), Vec<InstanceId>> = BTreeMap::new();
    for s in lone_services(field) {
        let id = field.services[s].input.name.lone_instance();
        let node = board.of_service[s].keys().next();
        if let Some((id, &n)) = id.zip(node) {
            kept.entry((numbers[&id.service], n)).or_default().push(id);
        }
    }
    let mut surplus = BTreeSet::new();
    for ((s, n), own) in kept {
        let input = field.services[s].input;
        let here = |current: &&Current| current.node == field.nodes[n].input.name;
        let runs = input.current.range(..input.replicas).map(|(_, it)| it).filter(here).count();
        let declared = board.count(s, n) as usize;
        let room = runs.saturating_sub(declared);
        surplus.extend(own.into_iter().skip(room).filter(|_| declared > 0));
    }
    surplus
}

/// The board as the service would find it: what is kept of its own gives way to it.
pub fn without_own<'f>(board: &Board<'f>, s: usize) -> Board<'f> {
    let mut without = board.clone();
    let own = &board.field.services[s].input.name;
    for t in lone_services(board.field) {
        let of = board.field.services[t].input.name.lone_instance();
        if of.is_some_and(|id| id.service == *own) {
            let nodes: Vec<usize> = without.of_service[t].keys().copied().collect();
            nodes.into_iter().for_each(|n| without.remove(t, n));
        }
    }
    without
}

/// Which instance a name of the staged problem stands for.
pub fn plain(id: &InstanceId) -> InstanceId {
    id.service.lone_instance().unwrap_or_else(|| id.clone())
}

/// The outcome of a staged problem in the names that were declared.
pub fn told(board: &Board<'_>, mut outcome: Outcome) -> Outcome {
    if lone_services(board.field).next().is_none() {
        return outcome;
    }
    let (kept, placed): (Assignments, Assignments) =
        outcome.assignments.into_iter().partition(|(id, _)| id.service.lone_instance().is_some());
    outcome.assignments = placed;
    let (kept_out, out): (BTreeMap<_, _>, BTreeMap<_, _>) =
        outcome.displaced.into_iter().partition(|(id, _)| id.service.lone_instance().is_some());
    outcome.displaced = out;
    outcome.displaced.extend(kept_out.into_iter().map(|(id, why)| (plain(&id), why)));
    let nodes = board.field.nodes.iter().enumerate();
    let nodes: BTreeMap<&NodeName, usize> = nodes.map(|(n, it)| (&it.input.name, n)).collect();
    let numbers = numbers(board.field);
    for (id, mut place) in kept {
        let id = plain(&id);
        let s = numbers[&id.service];
        let against = shortfall::violations(&without_own(board, s), s, nodes[&place.node]);
        let against = against.into_iter().map(|found| found.text).collect();
        outcome.displaced.insert(id.clone(), Displaced { by: None, against });
        place.reason = Reason::AsItIs;
        outcome.assignments.insert(id, place);
    }
    outcome
}

/// Those that an outcome keeps as they are.
pub fn kept_in(outcome: &Outcome) -> BTreeSet<InstanceId> {
    let kept = outcome.assignments.iter().filter(|(_, place)| place.reason == Reason::AsItIs);
    kept.map(|(id, _)| id.clone()).collect()
}

/// Who may be kept as it is is counted as one that does not stay once more than it is: with its
/// service if it is kept, by itself too if not. So many, and their price.
pub fn counted_twice(field: &Field<'_>) -> (u32, u64) {
    let prices = lone_services(field).map(|s| field.services[s].price);
    prices.fold((0, 0), |(count, sum), price| (count + 1, sum + price))
}
