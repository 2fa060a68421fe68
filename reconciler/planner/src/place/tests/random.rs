//! Random small problems: as good as brute force finds, verified, the same in any order, and
//! still when nothing changes.

use devnet_schema::{
    instance::Protocol,
    placement::GpuUse,
    quantity::{Bytes, GpuRequest},
};

use super::*;

/// A small generator with a seed (splitmix64), so that a failing case can be run again.
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.roll(at as u64 + 1) as usize);
        }
    }
}

/// A problem of two or three nodes and up to seven replicas, every constraint kind among them.
pub(crate) fn small(seed: u64) -> PlacementProblem {
    let mut dice = Dice(seed);
    let roomy = if dice.chance(60) { 4 } else { 0 };
    let nodes = (0..2 + dice.roll(2)).map(|n| random_node(&mut dice, n, roomy)).collect();
    let mut left = 7;
    let mut services = Vec::new();
    for s in 0..2 + dice.roll(3) {
        let replicas = (1 + dice.roll(3)).min(left);
        left -= replicas;
        services.push(random_service(&mut dice, s, replicas as u32));
    }
    let mut problem = problem(nodes, services);
    if dice.chance(25) {
        problem.objective = Objective::Pack;
    }
    problem.limits.rebalance = dice.chance(15);
    problem.limits.suggestions = 0;
    problem
}

fn random_node(dice: &mut Dice, n: u64, roomy: u64) -> NodeInput {
    let mut node = node(&format!("n{n}"), 2 + roomy + dice.roll(5), 2 + roomy + dice.roll(6));
    node.disk = (5 + dice.roll(20)) * GIB;
    node.zone = dice.chance(70).then(|| format!("z{}", dice.roll(2)));
    node.tags = ["ssd", "big"].iter().filter(|_| dice.chance(60)).map(|t| t.to_string()).collect();
    if dice.chance(50 + 10 * roomy) {
        for g in 0..1 + dice.roll(3) {
            let model = ["A10", "T4"][dice.roll(4).min(1) as usize];
            let memory = if dice.chance(70) { 24 } else { 16 };
            node.gpus.push(gpu(&format!("GPU-{n}-{g}"), model, memory));
        }
    }
    node.state = match dice.roll(20) {
        0 => NodeState::Cordoned,
        1 => NodeState::Draining,
        2 => NodeState::Offline,
        3 => NodeState::Lost,
        _ => NodeState::Ready,
    };
    if dice.chance(15) {
        node.reserved_ports.push((Protocol::Tcp, 80));
    }
    node
}

fn random_service(dice: &mut Dice, s: u64, replicas: u32) -> ServiceInput {
    let mut service = service(&format!("s{s}"), replicas);
    service.priority = [10, 50, 90][dice.roll(3) as usize];
    service.cpu_milli = [250, 500, 1000, 1500, 3000][dice.roll(5) as usize];
    service.memory = (1 + dice.roll(6)) * GIB / 2;
    service.disk = dice.roll(8) * GIB;
    service.gpu = match dice.roll(12) {
        0 => GpuRequest::Whole(1 + dice.roll(2) as u32),
        1 => GpuRequest::Share(200 + 100 * dice.roll(6) as u32),
        2 => GpuRequest::Memory(Bytes::gib(6 + dice.roll(12))),
        _ => GpuRequest::None,
    };
    if dice.chance(20) {
        service.host_ports.push((Protocol::Tcp, [80, 443][dice.roll(2) as usize]));
    }
    let key = |dice: &mut Dice| match dice.roll(4) {
        0 => condition(Key::Zone, &["z0"]),
        1 => condition(Key::GpuModel, &["A10"]),
        2 => condition(Key::Node, &["n0", "n2"]),
        _ => condition(Key::Tag, &["ssd"]),
    };
    if dice.chance(15) {
        service.require.push(key(dice));
    }
    if dice.chance(10) {
        service.forbid.push(key(dice));
    }
    if dice.chance(20) {
        service.prefer.push(Prefer { condition: key(dice), weight: 1 + dice.roll(20) as u32 });
    }
    if dice.chance(8) {
        service.pin = Some(Pin { node: node_name("n1"), at: None });
    }
    if dice.chance(25) {
        let by = if dice.chance(50) { SpreadBy::Node } else { SpreadBy::Zone };
        service.spread.push(Spread { by, max_skew: 1 + dice.roll(2) as u32, at: None });
    }
    service.max_per_node = dice.chance(20).then(|| 1 + dice.roll(2) as u32);
    random_neighbours(dice, &mut service);
    service
}

/// Who must be near or apart, and what runs now.
fn random_neighbours(dice: &mut Dice, service: &mut ServiceInput) {
    let other = service_name(&format!("s{}", dice.roll(3)));
    match dice.roll(8) {
        0 => service.apart_from.push(other),
        1 => service.near.push(other),
        _ => {}
    }
    service.movable = dice.chance(80);
    service.move_cost = dice.roll(4);
    if dice.chance(60) {
        for index in 0..service.replicas + 1 {
            if dice.chance(70) {
                runs_on(service, index, &format!("n{}", dice.roll(4)));
            }
        }
    }
}

/// The same with more GPUs, nearly all of them in use, and instances on devices of their own, well
/// chosen or not.
pub(crate) fn with_devices(seed: u64) -> PlacementProblem {
    let mut dice = Dice(!seed);
    let mut problem = small(seed);
    for node in &mut problem.nodes {
        let name = node.name.as_str()[1..].to_owned();
        for g in node.gpus.len() as u64..2 + dice.roll(2) {
            node.gpus.push(gpu(&format!("GPU-{name}-{g}"), "A10", 24));
        }
    }
    for service in &mut problem.services {
        if service.gpu == GpuRequest::None && dice.chance(75) {
            service.gpu = match dice.roll(3) {
                0 => GpuRequest::Whole(1 + dice.roll(2) as u32),
                1 => GpuRequest::Share(200 + 100 * dice.roll(6) as u32),
                _ => GpuRequest::Memory(Bytes::gib(6 + dice.roll(12))),
            };
            (service.cpu_milli, service.memory, service.disk) = (250, GIB / 2, 0);
        }
        let need = service.gpu;
        for (index, current) in &mut service.current {
            if dice.chance(20) {
                continue;
            }
            let node = current.node.as_str()[1..].to_owned();
            let count = if let GpuRequest::Whole(count) = need { u64::from(count) } else { 1 };
            let first = u64::from(*index) + dice.roll(2);
            let gpu = |d: u64| {
                let id = format!("GPU-{node}-{}", (first + d) % 3);
                GpuUse { id, share_milli: 0, memory: Bytes::ZERO }
            };
            current.gpus = (0..count).map(gpu).collect();
        }
    }
    problem
}

/// How many restart on other devices.
fn compare(seed: u64, problem: &PlacementProblem) -> u32 {
    let outcome = checked(problem);
    let best = brute::best(problem);
    let placed: Vec<u32> = outcome.levels.iter().map(|level| level.placed).collect();
    let shown = format!("seed {seed}\n{problem:#?}\n{outcome:#?}\n{best:?}");
    assert_eq!(placed, best.placed, "{shown}");
    // An integer program knows the score before it is rounded to millionths.
    let close = |a: u64, b: u64| a.abs_diff(b) <= 4 * problem.nodes.len() as u64;
    if problem.limits.rebalance {
        assert!(close(outcome.cost, best.cost), "{shown}");
    } else {
        assert_eq!(outcome.move_cost, best.price, "{shown}");
        assert!(close(outcome.cost, best.cost), "{shown}");
    }
    assert!(outcome.levels.iter().all(|level| level.proven), "not proven: {shown}");
    assert!(outcome.move_cost_bound <= outcome.move_cost, "{shown}");
    assert!(outcome.bound <= outcome.cost, "{shown}");
    if !problem.limits.rebalance {
        assert_eq!(outcome.move_cost_bound, best.price, "moves not proven: {shown}");
        assert_eq!(outcome.bound, outcome.cost, "score not proven: {shown}");
    }
    outcome.restarts
}

/// Two halves, so that two threads share them.
#[test]
fn brute_force_agrees() {
    for seed in 0..1000 {
        compare(seed, &small(seed));
    }
}

#[test]
fn brute_force_agrees_again() {
    for seed in 1000..2000 {
        compare(seed, &small(seed));
    }
}

#[test]
fn brute_force_agrees_on_devices() {
    let restarts: Vec<u32> = (0..1000).map(|seed| compare(seed, &with_devices(seed))).collect();
    assert!(restarts.iter().filter(|restarts| **restarts > 0).count() > 15, "{restarts:?}");
}

#[test]
fn the_order_of_the_input_changes_nothing() {
    for seed in 0..60 {
        let problem = if seed % 2 == 0 { small(seed) } else { with_devices(seed) };
        let mut shuffled = problem.clone();
        let mut dice = Dice(seed ^ 0xabcd);
        dice.shuffle(&mut shuffled.nodes);
        dice.shuffle(&mut shuffled.services);
        shuffled.nodes.iter_mut().for_each(|node| dice.shuffle(&mut node.gpus));
        assert_eq!(place(&problem), place(&shuffled), "seed {seed}");
    }
}

#[test]
fn an_unchanged_input_keeps_an_unchanged_placement() {
    for seed in 0..150 {
        let mut problem = if seed % 2 == 0 { small(seed) } else { with_devices(seed) };
        problem.limits.rebalance = false;
        let first = place(&problem);
        let again = running(&problem, &first);
        let second = checked(&again);
        assert_eq!(places(&first), places(&second), "seed {seed}\n{again:#?}");
        assert_eq!((second.moves, second.move_cost), (0, 0), "seed {seed}");
        let stays =
            |place: &Assignment| matches!(place.reason, Reason::Stays | Reason::Held { .. });
        assert!(second.assignments.values().all(stays), "seed {seed}: {second:#?}");
    }
}

#[test]
fn more_room_never_places_less() {
    for seed in 0..60 {
        let problem = small(seed);
        let mut roomier = problem.clone();
        for node in &mut roomier.nodes {
            node.cpu_milli += 1000;
            node.memory += GIB;
        }
        let placed = |outcome: Outcome| -> Vec<u32> {
            outcome.levels.iter().map(|level| level.placed).collect()
        };
        let fixed = |service: &ServiceInput| {
            service.spread.is_empty() && (service.movable || service.current.is_empty())
        };
        // A node that becomes usable may be one more domain to spread over, and more room may
        // let an instance with data stay that had to leave: both bind the rest.
        if problem.services.iter().all(fixed) {
            let (before, after) = (placed(place(&problem)), placed(place(&roomier)));
            assert!(after >= before, "seed {seed}: {before:?} {after:?}");
        }
    }
}

#[cfg(feature = "highs")]
#[test]
fn microlp_and_highs_agree() {
    for seed in 400..480 {
        let with = |solver| {
            let mut problem = small(seed);
            problem.limits.solver = solver;
            let outcome = checked(&problem);
            let placed: Vec<u32> = outcome.levels.iter().map(|level| level.placed).collect();
            (placed, outcome.move_cost, outcome.cost / 100)
        };
        let (a, b) = (with(SolverChoice::Microlp), with(SolverChoice::Highs));
        assert_eq!(a.0, b.0, "seed {seed}");
        assert!(a.2.abs_diff(b.2) <= 1, "seed {seed}: {a:?} {b:?}");
    }
}
