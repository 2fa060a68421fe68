//! What went wrong with solvers elsewhere, each once, so that it does not here.
//!
//! Knows the mistakes. Refuses to repeat what the random problems show anyway.

use std::collections::BTreeSet;

use super::{
    random::{small, with_devices},
    *,
};
use crate::place::{
    ix::NodeIx,
    program::{
        answer::{Answer, EXACT, Effort},
        formulation::{Formulation, Goal, Subproblem},
        linear_model::Model,
        relaxation::Relaxation,
        solver,
    },
    search::{construct::run, locks::settled, style::REPAIRS},
};

fn effort(solver: SolverChoice, nodes: u32) -> Effort {
    Effort { solver, nodes, gap: EXACT, seconds: None }
}

const BOTH: [SolverChoice; 2] = [SolverChoice::Microlp, SolverChoice::Highs];

/// One weighted sum over the levels, solved to a relative gap of 1e-4, would leave `low` out: it
/// is worth a hundred-thousandth of the rest.
#[test]
fn low_priorities_are_not_lost_in_a_gap() {
    for solver in BOTH {
        let mut high = service("high", 40);
        high.priority = 90;
        let mut low = service("low", 1);
        low.priority = 10;
        let mut all = problem(vec![node("a", 21, 64), node("b", 20, 64)], vec![high, low]);
        all.limits.solver = solver;
        let outcome = checked(&all);
        assert_eq!(outcome.missing(), 0, "{solver:?}");
    }
}

/// The same within one program: a proof is to the last unit, not to a relative gap.
#[test]
fn a_proof_is_not_within_a_relative_gap() {
    for solver in BOTH {
        let mut model = Model::default();
        for cost in [-1_000_000.0, -1.0] {
            let column = model.column(0.0, 1.0, true);
            model.columns[column].cost = cost;
        }
        let terms = vec![(0, 1.0), (1, 1.0)];
        model.at_most(terms, 2.0);
        let Answer::Found(found) = solver::solve(&model, effort(solver, 100), None) else {
            panic!("{solver:?} found nothing")
        };
        assert_eq!(found.values, [1.0, 1.0], "{solver:?}");
    }
}

/// A starting point with a column left out is taken for one with a 0 there, and dropped.
#[test]
fn a_starting_point_is_complete_and_keeps_every_row() {
    for seed in 0..400 {
        let problem = if seed % 2 == 0 { small(seed) } else { with_devices(seed) };
        let indexed = settled(&problem);
        let partial = run(&indexed, REPAIRS[0]);
        let nodes: Vec<NodeIx> = indexed.nodes.positions().collect();
        let detailed = if seed % 4 < 2 { BTreeSet::new() } else { nodes.iter().copied().collect() };
        if !partial.sound() {
            continue;
        }
        for goal in [Goal::Moves, Goal::Score, Goal::Place { weights: vec![1; 3], keep: true }] {
            let subproblem = Subproblem {
                partial: &partial,
                nodes: nodes.clone(),
                floors: partial.placed().into_iter().enumerate().collect(),
                migration_cap: Some(partial.moves().1),
                score_cap: Some(partial.score()),
                detailed: detailed.clone(),
                goal,
            };
            let formulation = Formulation::new(&subproblem);
            let Some(start) = formulation.mip_start(&subproblem, &partial) else { continue };
            assert!(formulation.model.admits(&start), "seed {seed}, {:?}", subproblem.goal);
            assert_eq!(
                formulation.decode(&subproblem, &start).on_node,
                partial.on_node,
                "seed {seed}"
            );
        }
    }
}

/// A solver that finds nothing in time is stopped by a number of nodes, and not by patience.
#[test]
fn a_hard_program_ends_after_so_many_nodes() {
    // Equal weights that never add up to the capacity: no bound tells, only enumeration.
    let mut model = Model::default();
    let terms: Vec<(usize, f64)> = (0..40)
        .map(|_| {
            let column = model.column(0.0, 1.0, true);
            model.columns[column].cost = -1.0;
            (column, 2.0)
        })
        .collect();
    model.row(terms, 39.0, 39.0);
    for solver in BOTH {
        let answer = solver::solve(&model, effort(solver, 200), None);
        assert!(!matches!(answer, Answer::Found(_)), "{solver:?}: {answer:?}");
    }
}

/// Replicas are counted, not told apart: a hundred of them make no larger formulation than two.
#[test]
fn the_size_of_a_program_does_not_grow_with_replicas() {
    let columns = |replicas: u32| {
        let problem =
            problem(vec![node("a", 99, 99), node("b", 99, 99)], vec![service("s", replicas)]);
        let indexed = settled(&problem);
        let partial = run(&indexed, REPAIRS[0]);
        let subproblem = Subproblem {
            partial: &partial,
            nodes: indexed.nodes.positions().collect(),
            floors: Vec::new(),
            migration_cap: None,
            score_cap: None,
            detailed: BTreeSet::new(),
            goal: Goal::Score,
        };
        Formulation::new(&subproblem).model.columns.len()
    };
    assert_eq!(columns(2), columns(100));
}

/// Shares of which no two fit on one device need a device each, however little they add up to.
#[test]
fn the_relaxation_knows_which_shares_fit_together() {
    let mut node = node("a", 64, 64);
    node.gpus = (0..4).map(|g| gpu(&format!("GPU-{g}"), "A10", 24)).collect();
    let mut services = vec![service("big", 2), service("mid", 4)];
    services[0].gpu = GpuRequest::Share(650);
    services[1].gpu = GpuRequest::Share(470);
    let problem = problem(vec![node], services);
    let indexed = settled(&problem);
    let mut free = |_: &Progress<'_>| Pace::Free;
    let mut spent = Spent::new(&mut free);
    // 2 × 65 % + 4 × 47 % is 318 % of 400 %, and 47 % fits beside neither 65 % nor more than one of
    // its own: two devices for the big ones, two for the others.
    assert_eq!(Relaxation::new(&indexed, false).most_placed(0, &mut spent), Some(6));
    let mut fifth = problem.clone();
    fifth.services[1].replicas = 5;
    let indexed = settled(&fifth);
    assert_eq!(Relaxation::new(&indexed, false).most_placed(0, &mut spent), Some(6));
}

/// The same answer again, and under a clock that never strikes.
#[test]
fn a_clock_that_does_not_strike_changes_nothing() {
    for seed in 0..30 {
        let problem = small(seed);
        let hour = std::time::Duration::from_secs(3600);
        let timed = place_paced(&problem, &mut |_| Pace::Within(hour));
        assert_eq!(place(&problem), timed, "seed {seed}");
    }
}

/// Stopped at any moment, what was found stays, and nothing is said of it that is not known.
#[test]
fn a_search_that_is_stopped_keeps_what_it_has() {
    for seed in 0..60 {
        let problem = small(seed);
        let best = place(&problem);
        for calls in 0..6 {
            let mut left = calls;
            let outcome = place_paced(&problem, &mut |_| {
                left -= 1;
                if left < 0 { Pace::Stop } else { Pace::Free }
            });
            assert_eq!(verify(&problem, &outcome), [], "seed {seed}");
            for (level, known) in outcome.levels.iter().zip(&best.levels) {
                assert!(level.bound >= level.placed, "seed {seed}: {level:?}");
                assert!(level.placed <= known.bound || outcome.levels[0] != best.levels[0]);
                if level != known {
                    break;
                }
            }
        }
    }
}
