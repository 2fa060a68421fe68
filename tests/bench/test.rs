//! Every recorded instance is placed without a fault that a verifier of its own would find.
//!
//! Knows no more than [`verifier`] does. Refuses to measure: the bench does.

#![allow(unreachable_pub, reason = "modules of a test are seen by that test alone")]

mod facts;
mod instance;
mod verifier;

use devnet_planner::place::{self, Outcome, Pace, PlacementProblem, place, place_paced};
use devnet_schema::digest::Digest;

/// What is decided of the recorded instances, sentences left out: whoever changes that on purpose
/// writes the new digest here.
#[cfg(feature = "highs")]
const ON_RECORD: [(&str, &str); 6] = [
    ("homelab", "blake3:d723d0b69be60f0cb0f0b6fa104f2a92a9c6b90589ad27dc6e404b91cb1639d5"),
    (
        "homelab without a node",
        "blake3:37c292f00fee5dd6dc3ebf734c047d6830ecdbe86b2fa0c149ee5ee5e434c0ea",
    ),
    ("fleet50", "blake3:3bdfd6bc95ebfaaabee6372c6e86fbfe57a9c2302199e602ca2e3a71293d8de0"),
    (
        "fleet50 without a node",
        "blake3:ae59f2a195e44de151ed764fc08975784206355127a5903c830ab9b7a526bf23",
    ),
    ("fleet50 running", "blake3:f8e25def2e4f08899c6a16b93942e1f3310c82fe6010e798a2a5a45be2bbb8cf"),
    ("fleet200", "blake3:114364ad3185762b01591247117808d4fd98b3a2f251de19d47823a0c71f7519"),
];

/// Another solver finds placements as good, and not always the same.
#[cfg(not(feature = "highs"))]
const ON_RECORD: [(&str, &str); 0] = [];

fn is_on_record(name: &str, outcome: &Outcome) {
    let digest = Digest::of(&facts::of(outcome));
    let known = ON_RECORD.iter().find(|(known, _)| *known == name);
    assert!(
        known.is_none_or(|(_, known)| digest.as_str() == *known),
        "the placement of {name} is not what it was: its digest is {digest}"
    );
}

fn faultless(problem: &PlacementProblem) -> Outcome {
    let outcome = place(problem);
    assert_eq!(verifier::faults(problem, &outcome), Vec::<String>::new());
    outcome
}

fn placed(outcome: &Outcome) -> Vec<u32> {
    outcome.levels.iter().map(|level| level.placed).collect()
}

/// The large ones are stopped after their first placements: those take a second, the rest minutes
/// where nothing is optimised.
#[test]
fn no_first_placement_of_any_instance_has_a_fault() {
    for name in instance::RECORDED.iter().chain(&instance::DERIVED) {
        let problem = instance::problem(name);
        let mut calls = 0;
        let outcome = place_paced(&problem, &mut |_| {
            calls += 1;
            if calls > 3 { Pace::Stop } else { Pace::Free }
        });
        assert_eq!(verifier::faults(&problem, &outcome), Vec::<String>::new(), "{name}");
        let wanted: u32 = problem.services.iter().map(|service| service.replicas).sum();
        let placed: u32 = placed(&outcome).iter().sum();
        assert!(placed * 100 >= wanted * 90, "{name}: {placed} of {wanted}");
    }
}

#[test]
fn the_homelab_is_optimal_and_lives_through_the_loss_of_a_node() {
    let problem = instance::problem("homelab");
    let outcome = faultless(&problem);
    is_on_record("homelab", &outcome);
    assert_eq!(placed(&outcome), [14, 9, 4]);
    assert_eq!(outcome.gap(), 0.0);
    let (dead, ran) = instance::without_one(&problem, &outcome);
    let after = faultless(&dead);
    is_on_record("homelab without a node", &after);
    assert!(ran > 0 && after.moves >= after.moves_bound);
}

#[test]
fn fifty_nodes_are_proven_full_and_repaired() {
    let problem = instance::problem("fleet50");
    let outcome = faultless(&problem);
    is_on_record("fleet50", &outcome);
    assert_eq!(placed(&outcome), [92, 312, 183]);
    assert!(outcome.levels.iter().all(|level| level.proven), "{:?}", outcome.levels);
    let (dead, _) = instance::without_one(&problem, &outcome);
    is_on_record("fleet50 without a node", &faultless(&dead));
    let same = instance::running(&problem, &outcome);
    let again = faultless(&same);
    is_on_record("fleet50 running", &again);
    assert_eq!(again.moves, 0);
}

#[test]
fn two_hundred_nodes_are_proven_full() {
    let outcome = faultless(&instance::problem("fleet200"));
    is_on_record("fleet200", &outcome);
    assert_eq!(placed(&outcome), [438, 1014, 547]);
    assert!(outcome.levels.iter().all(|level| level.proven), "{:?}", outcome.levels);
    assert!(outcome.gap() < 0.02, "{}", outcome.gap());
}

#[test]
fn a_search_stopped_anywhere_keeps_its_best_placement() {
    let problem = instance::problem("fleet50");
    let mut last: Vec<u32> = Vec::new();
    for calls in [0, 1, 2, 4, 8] {
        let mut left = calls;
        let mut told = Vec::new();
        let outcome = place_paced(&problem, &mut |progress| {
            told = progress.placed.to_vec();
            left -= i32::from(left > 0);
            if left == 0 { Pace::Stop } else { Pace::Free }
        });
        assert_eq!(verifier::faults(&problem, &outcome), Vec::<String>::new());
        assert!(outcome.cut_short, "after {calls} calls");
        assert!(placed(&outcome) >= told, "what was told is not lost: {told:?}");
        assert!(placed(&outcome) >= last, "more time never places less");
        last = placed(&outcome);
    }
}
