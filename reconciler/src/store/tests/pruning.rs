//! What is dropped and what is kept.

use super::{
    deploying::deployment,
    joining::token,
    planning::{revision, stored_plan},
    *,
};
use crate::api::{Deployment, DeploymentState};

/// A store with more of everything than is kept.
fn full(store: &Store) {
    store.record_revision(&revision("applied", RevisionState::Seen)).unwrap();
    store.mark_applied("applied", T0).unwrap();
    store.record_revision(&revision("good", RevisionState::Good)).unwrap();
    let bad = RevisionState::Bad { problem: "no".into(), diagnostics: Vec::new() };
    for number in 0..5 {
        store.record_revision(&revision(&format!("bad{number}"), bad.clone())).unwrap();
        store.append_event(T0, "commit", "x", "y").unwrap();
        store.begin_deployment(&deployment(&format!("d{number}"))).unwrap();
    }
    for number in 1..5 {
        let state = DeploymentState::Succeeded;
        let ended = Deployment { state, ..deployment(&format!("d{number}")) };
        store.end_deployment(&ended).unwrap();
    }
    store.save_plan(&stored_plan("ended", Some(T0))).unwrap();
    store.save_plan(&stored_plan("kept", Some(T2))).unwrap();
    store.save_plan(&stored_plan("forever", None)).unwrap();
    store.add_join_token(&JoinTokenRecord { expires_at: T1.into(), ..token("old") }).unwrap();
    store.add_join_token(&token("new")).unwrap();
    store.issue_generations(&generations(&[("a[0]", 1)])).unwrap();
}

#[test]
fn pruning_keeps_what_the_next_cycle_needs() {
    let bed = Bed::new();
    let store = bed.open();
    full(&store);
    let keep = Retention { revisions: 1, plans: 0, deployments: 2, events: 2 };
    let pruned = store.prune(&keep, T1).unwrap();
    let expected = Pruned { revisions: 4, plans: 2, deployments: 2, events: 3, tokens: 1 };
    assert_eq!(pruned, expected);
    let left = store.revisions(None, 10).unwrap().items;
    let left: Vec<_> = left.iter().map(|record| record.revision.as_str()).collect();
    assert_eq!(left, ["bad4", "good", "applied"]);
    let left = store.deployments(None, 10).unwrap().items;
    let left: Vec<_> = left.iter().map(|deployment| deployment.id.as_str()).collect();
    assert_eq!(left, ["d4", "d3", "d0"], "a running one stays");
    assert_eq!(store.lines("d1", 0, 10).unwrap(), [], "lines go with their deployment");
    assert_eq!(store.append_event(T1, "k", "s", "m").unwrap().seq, 6, "numbers are not reused");
    assert!(store.join_token("new").unwrap().is_some());
    assert_eq!(store.generations().unwrap().len(), 1);
    assert_eq!(store.prune(&keep, T1).unwrap(), Pruned { events: 1, ..Pruned::default() });
}
