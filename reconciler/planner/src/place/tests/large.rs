//! Fleets too large for one integer program: still verified, bounded, and calm.

use devnet_schema::instance::Protocol;

use super::{random::Dice, *};

/// A fleet of so many nodes in four zones, filled to so many per cent of its cpu.
pub(super) fn fleet(nodes: u64, percent: u64) -> PlacementProblem {
    let mut dice = Dice(nodes);
    let mut list = Vec::new();
    let mut cores = 0;
    for n in 0..nodes {
        let size = [8, 16, 32][dice.roll(3) as usize];
        cores += size;
        let mut node = node(&format!("n{n:03}"), size, 4 * size);
        node.zone = Some(format!("z{}", n % 4));
        node.tags = vec![["ssd", "nvme"][dice.roll(2) as usize].to_owned()];
        if n % 8 == 0 {
            node.gpus = (0..4).map(|g| gpu(&format!("GPU-{n}-{g}"), "A10", 24)).collect();
        }
        list.push(node);
    }
    let mut services = Vec::new();
    let mut used = 0;
    while used < cores * 10 * percent {
        let service = fleet_service(&mut dice, services.len());
        used += service.cpu_milli * u64::from(service.replicas);
        services.push(service);
    }
    problem(list, services)
}

fn fleet_service(dice: &mut Dice, s: usize) -> ServiceInput {
    let mut service = service(&format!("s{s:04}"), 1 + dice.roll(6) as u32);
    service.priority = [10, 50, 90][dice.roll(3) as usize];
    service.cpu_milli = [250, 500, 1000, 2000, 4000][dice.roll(5) as usize];
    service.memory = (1 + dice.roll(8)) * GIB / 2 * service.cpu_milli.max(1000) / 1000;
    if dice.chance(20) {
        service.require.push(condition(Key::Tag, &["ssd"]));
    }
    if dice.chance(20) {
        service.spread.push(Spread { by: SpreadBy::Zone, max_skew: 1, at: None });
    }
    if dice.chance(10) {
        service.host_ports.push((Protocol::Tcp, 8000 + dice.roll(3) as u16));
    }
    if dice.chance(8) {
        service.gpu = GpuRequest::Share(250 + 50 * dice.roll(8) as u32);
    }
    if dice.chance(10) && s > 0 {
        service.apart_from.push(service_name(&format!("s{:04}", dice.roll(s as u64))));
    }
    service
}

#[test]
fn two_hundred_nodes_are_placed_verified_and_left_alone() {
    let mut problem = fleet(200, 75);
    let replicas: u32 = problem.services.iter().map(|service| service.replicas).sum();
    assert!(replicas > 1500, "{replicas}");
    problem.limits.ilps = 8;
    let outcome = checked(&problem);
    assert!(outcome.ilps <= 8);
    for level in &outcome.levels {
        let short = level.bound - level.placed;
        assert!(short * 100 <= level.bound, "more than 1% open: {level:?}");
    }
    assert!(outcome.gap() < 0.05, "{}", outcome.gap());

    let again = running(&problem, &outcome);
    let second = checked(&again);
    assert_eq!(places(&outcome), places(&second));

    let mut dead = again;
    let gone = dead.nodes.remove(17).name;
    let forced = outcome.assignments.values().filter(|place| place.node == gone).count() as u32;
    let third = checked(&dead);
    assert_eq!(third.moves_bound, forced);
    assert!(third.moves <= forced + forced / 2 + 4, "{} moves, {forced} forced", third.moves);
}

#[test]
fn a_full_fleet_names_what_does_not_fit_in_bounded_work() {
    let mut problem = fleet(30, 130);
    problem.limits.ilps = 6;
    let outcome = checked(&problem);
    assert!(outcome.missing() > 0);
    for unplaced in &outcome.unplaced {
        assert_eq!(unplaced.nodes.len(), 30);
        let told = unplaced.nodes.iter().all(|node| !node.violations.is_empty());
        assert!(told, "{}: a node with nothing against it", unplaced.service);
    }
    let levels: Vec<_> = outcome.levels.iter().map(|level| (level.placed, level.bound)).collect();
    assert!(levels.iter().all(|(placed, bound)| placed <= bound), "{levels:?}");

    let second = checked(&running(&problem, &outcome));
    assert_eq!(places(&outcome), places(&second), "an unchanged input keeps its placement");
}

#[test]
fn without_integer_programs_the_bound_is_still_honest() {
    let mut problem = fleet(12, 110);
    problem.limits.suggestions = 0;
    let with = checked(&problem);
    problem.limits.ilps = 0;
    let without = checked(&problem);
    assert_eq!((without.ilps, without.solver), (0, "none"));
    for (with, without) in with.levels.iter().zip(&without.levels) {
        assert!(without.placed <= without.bound);
        if with.placed != without.placed {
            assert!(with.placed > without.placed && !without.proven, "{with:?} {without:?}");
            break;
        }
    }
}
