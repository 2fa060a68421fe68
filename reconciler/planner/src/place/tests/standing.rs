//! What runs and has no place as it is declared: random small problems after services grew.
//!
//! Knows what each ran with before. Refuses to know how it is kept.

use super::{
    random::{Dice, small, with_devices},
    *,
};

/// What an instance has that runs as it is declared.
fn declared(service: &ServiceInput) -> Holding {
    Holding {
        cpu_milli: service.cpu_milli,
        memory: service.memory,
        disk: service.disk,
        ports: service.host_ports.clone(),
    }
}

/// The problem with all that can be placed running, and known to; then some services ask for more,
/// for other lines or priorities, and others are new.
pub(crate) fn grown(seed: u64, before: &PlacementProblem) -> PlacementProblem {
    let outcome = place(before);
    let mut next = running(before, &outcome);
    let mut dice = Dice(seed ^ 0x5eed);
    for service in &mut next.services {
        let holding = declared(service);
        let answers = |it: &Current| before.nodes.iter().any(|n| n.name == it.node && online(n));
        let known = service.current.iter().filter(|(_, it)| answers(it) && !dice.chance(10));
        service.holdings = known.map(|(&index, _)| (index, holding.clone())).collect();
        if dice.chance(40) {
            service.current.clear();
            service.holdings.clear();
        }
        match dice.roll(6) {
            0 => service.memory += (1 + dice.roll(9)) * GIB,
            1 => service.cpu_milli += (1 + dice.roll(9)) * 1000,
            2 => service.require.push(condition(Key::Tag, &["nowhere"])),
            3 => service.replicas += 1,
            _ => {}
        }
        if dice.chance(60) {
            service.priority = 10 * (1 + dice.roll(9)) as u8;
        }
    }
    next.limits.rebalance = false;
    next.limits.suggestions = if dice.chance(20) { 4 } else { 0 };
    next
}

fn online(node: &NodeInput) -> bool {
    !matches!(node.state, NodeState::Offline | NodeState::Lost)
}

fn problems() -> impl Iterator<Item = (u64, PlacementProblem)> {
    let some = (0..6000).map(|seed| (seed, grown(seed, &small(seed))));
    some.chain((0..2000).map(|seed| (seed, grown(seed, &with_devices(seed)))))
}

pub(crate) fn as_it_is(place: &Assignment) -> bool {
    place.reason == Reason::Retained
}

/// The same, once the outcome runs: what is kept as it is has what it had.
fn once_it_runs(problem: &PlacementProblem, outcome: &Outcome) -> PlacementProblem {
    let mut next = running(problem, outcome);
    for service in &mut next.services {
        let now = declared(service);
        for (index, it) in &service.current {
            let id = InstanceId { service: service.name.declared().clone(), index: *index };
            let node = problem.nodes.iter().find(|node| node.name == it.node).unwrap();
            if online(node) && !as_it_is(&outcome.assignments[&id]) {
                service.holdings.insert(*index, now.clone());
            }
        }
    }
    next
}

#[test]
fn what_is_kept_breaks_no_line_of_others_and_is_kept_again() {
    let (mut kept, mut settled) = (0, 0);
    for (seed, problem) in problems() {
        let outcome = checked(&problem);
        let count = outcome.assignments.values().filter(|place| as_it_is(place)).count();
        if count == 0 {
            continue;
        }
        kept += count;
        assert_eq!(outcome.status, PlacementStatus::Infeasible, "seed {seed}");
        let next = once_it_runs(&problem, &outcome);
        assert_eq!(places(&checked(&next)), places(&outcome), "seed {seed}\n{problem:#?}");
        settled += 1;
    }
    assert!(kept > 200 && settled > 100, "{kept} {settled}");
}

#[test]
fn the_order_of_the_input_changes_nothing_of_what_is_kept() {
    for (seed, mut problem) in problems().take(300) {
        let outcome = place(&problem);
        let mut dice = Dice(seed);
        dice.shuffle(&mut problem.nodes);
        dice.shuffle(&mut problem.services);
        assert_eq!(place(&problem), outcome, "seed {seed}");
    }
}

/// What stopped had no room beside what is as important or may not leave, and who took it is told.
#[test]
fn nothing_stops_for_what_is_less_important() {
    let mut named = 0;
    let mut stopped = 0;
    for (seed, problem) in problems() {
        let outcome = place(&problem);
        let bound = |it: &ServiceInput| !it.spread.is_empty() || !it.near.is_empty();
        if problem.services.iter().any(bound) {
            continue;
        }
        for service in &problem.services {
            for index in service.holdings.keys().filter(|index| **index < service.replicas) {
                let id = InstanceId { service: service.name.declared().clone(), index: *index };
                if outcome.assignments.contains_key(&id) {
                    continue;
                }
                stopped += 1;
                let why = &outcome.displaced[&id];
                let all_known = problem
                    .services
                    .iter()
                    .all(|it| it.current.keys().all(|index| it.holdings.contains_key(index)));
                if all_known {
                    named += usize::from(why.by.is_some());
                    let short = why.against.iter().any(|it| it.contains(" free"));
                    assert!(why.by.is_some() || !short, "seed {seed}: {id} {why:?}");
                }
                let mut all = outcome.assignments.clone();
                let home = &service.current[index];
                all.retain(|other, place| {
                    let it = problem.services.iter().find(|it| it.name == other.service).unwrap();
                    let stays = it.current.get(&other.index).is_some_and(|c| c.node == place.node);
                    let bound = it.priority >= service.priority || stays && !it.movable;
                    place.node == home.node && bound
                });
                let place = Assignment {
                    node: home.node.clone(),
                    gpus: home.gpus.clone(),
                    reason: Reason::Retained,
                };
                all.insert(id.clone(), place);
                let found = breaches_of(&problem, &all);
                assert_ne!(found, [], "seed {seed}: {id}\n{problem:#?}\n{outcome:#?}");
            }
        }
    }
    assert!(stopped > 30 && named > 20, "{stopped} {named}");
}

/// All that runs fits as it is: so data that may be where it is stays there, one way or the other,
/// and as it is declared only where nothing as important waits for that room.
#[test]
fn data_that_grew_stays_and_is_in_nobodys_way() {
    let (mut stayed, mut did_with_less) = (0, 0);
    for (seed, mut problem) in problems() {
        let mut dice = Dice(seed ^ 0xda7a);
        problem.services.iter_mut().for_each(|it| it.movable &= !dice.chance(50));
        // A reserve may have grown.
        for node in problem.nodes.iter_mut().filter(|_| dice.chance(10)) {
            (node.cpu_milli, node.memory) = (node.cpu_milli / 2, node.memory / 2);
        }
        let lines = |it: &ServiceInput| !it.spread.is_empty() || !it.near.is_empty();
        let known = |it: &ServiceInput| it.current.keys().all(|at| it.holdings.contains_key(at));
        if problem.services.iter().any(|it| lines(it) || !known(it)) {
            continue;
        }
        let outcome = place(&problem);
        for service in problem.services.iter().filter(|it| !it.movable) {
            let data = service.current.range(..service.replicas);
            for (index, current) in data.filter(|(index, _)| service.has_grown(**index)) {
                let id = InstanceId { service: service.name.declared().clone(), index: *index };
                if !admitted(&problem, service, current) {
                    continue;
                }
                stayed += 1;
                let place = outcome.assignments.get(&id).filter(|it| it.node == current.node);
                let place = place.unwrap_or_else(|| panic!("seed {seed}: {id}\n{problem:#?}"));
                did_with_less += usize::from(as_it_is(place));
                if !as_it_is(place) {
                    waits_for_nothing(&problem, &outcome, &id, &format!("seed {seed}"));
                }
            }
        }
    }
    assert!(stayed > 300 && did_with_less > 80, "{stayed} {did_with_less}");
}

/// Whether no line is against where it is, whatever it asks for.
pub(crate) fn admitted(
    problem: &PlacementProblem,
    service: &ServiceInput,
    current: &Current,
) -> bool {
    let mut alone = problem.clone();
    let single = ServiceInput {
        replicas: 1,
        near: Vec::new(),
        cpu_milli: 0,
        memory: 0,
        disk: 0,
        gpu: GpuRequest::None,
        current: BTreeMap::from([(0, current.clone())]),
        holdings: BTreeMap::new(),
        ..service.clone()
    };
    alone.services = vec![single];
    let outcome = place(&alone);
    outcome.assignments.values().any(|place| place.node == current.node)
}

/// Nothing as important as this instance could be beside it if it were as it is.
fn waits_for_nothing(problem: &PlacementProblem, outcome: &Outcome, id: &InstanceId, what: &str) {
    let input = |name: &ServiceName| problem.services.iter().find(|it| it.name == *name).unwrap();
    let own = input(&id.service);
    let mut all = outcome.assignments.clone();
    let place = all.get_mut(id).unwrap();
    let node = place.node.clone();
    place.gpus = own.current[&id.index].gpus.clone();
    place.reason = Reason::Retained;
    let missing = outcome.unplaced.iter().map(|it| input(&it.service));
    let waiting = missing.filter(|it| it.priority > own.priority && it.gpu == GpuRequest::None);
    for service in waiting {
        let open = (0..service.replicas)
            .map(|index| InstanceId { service: service.name.declared().clone(), index })
            .find(|id| all.get(id).is_none_or(as_it_is));
        let Some(open) = open else { continue };
        let data = !service.movable && service.current.contains_key(&open.index);
        if data && service.current[&open.index].node != node {
            continue;
        }
        let mut all = all.clone();
        let reason = Reason::New { why: String::new() };
        all.insert(open, Assignment { node: node.clone(), gpus: Vec::new(), reason });
        let found = breaches_of(problem, &all);
        assert_ne!(found, [], "{what}: {}\n{problem:#?}\n{outcome:#?}", service.name);
    }
}

/// A node with room for one: of two with data there that are as important, the one that runs stays,
/// as it is where it has grown, and the one that does not waits. A higher priority takes the room.
#[test]
fn what_runs_keeps_its_room_from_data_that_waits_for_it() {
    let data = |name: &str, gib: u64, has: Option<u64>, priority: u8| {
        let mut service = ServiceInput { priority, movable: false, ..service(name, 1) };
        service.memory = gib * GIB;
        runs_on(&mut service, 0, "n1");
        service.current.get_mut(&0).unwrap().held = true;
        let has = has.map(|gib| Holding { memory: gib * GIB, ..declared(&service) });
        service.holdings.extend(has.map(|has| (0, has)));
        service
    };
    for (runs, waits) in [("a", "z"), ("z", "a")] {
        for (declared, has) in [(3, 3), (9, 3), (3, 4), (4, 3)] {
            for asks in [1, 2, 4] {
                for (priority, stays) in [(49, true), (50, true), (51, false)] {
                    let services = vec![
                        data(runs, declared, Some(has), 50),
                        data(waits, asks, None, priority),
                    ];
                    let problem = problem(vec![node("n1", 8, 4)], services);
                    let outcome = checked(&problem);
                    let both = at(&outcome, waits, 0).is_some() && at(&outcome, runs, 0).is_some();
                    let who = if stays { runs } else { waits };
                    let case = format!("{declared} {has} {asks} {priority}: {outcome:#?}");
                    assert_eq!(at(&outcome, who, 0), Some("n1"), "{case}");
                    assert_eq!(both, declared.min(has) + asks <= 4, "{case}");
                }
            }
        }
    }
}
