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
        store.append_event(T0, Cause::Act, "commit", "x", "y").unwrap();
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
    store.add_join_token(&JoinTokenRecord { expires_at: T1, ..token("old") }).unwrap();
    store.add_join_token(&token("new")).unwrap();
    store.issue_generations(&generations(&[("a[0]", 1)])).unwrap();
}

#[test]
fn pruning_keeps_what_the_next_cycle_needs() {
    let bed = Bed::new();
    let store = bed.open();
    full(&store);
    let keep = Retention { revisions: 1, plans: 0, deployments: 2, acts: 2, reports: 2 };
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
    let next = store.append_event(T1, Cause::Act, "k", "s", "m").unwrap();
    assert_eq!(next.seq, 6, "numbers are not reused");
    assert!(store.join_token("new").unwrap().is_some());
    assert_eq!(store.generations().unwrap().len(), 1);
    assert_eq!(store.prune(&keep, T1).unwrap(), Pruned { events: 1, ..Pruned::default() });
}

#[test]
fn a_flood_of_reports_pushes_out_no_act() {
    let bed = Bed::new();
    let store = bed.open();
    let keep = Retention { acts: 3, reports: 10, ..Retention::default() };
    for number in 0..5 {
        store.append_event(T0, Cause::Act, "secret", "secret.pw", &format!("{number}")).unwrap();
        for _ in 0..50 {
            store.append_event(T0, Cause::Report, "secret", "service.db[0]", "refused").unwrap();
        }
    }
    assert_eq!(store.prune(&keep, T1).unwrap().events, 2 + 240);
    let left = store.events_after(0, 100).unwrap();
    let acts: Vec<_> = left.iter().filter(|event| event.subject == "secret.pw").collect();
    assert_eq!(acts.iter().map(|event| &*event.message).collect::<Vec<_>>(), ["2", "3", "4"]);
    assert_eq!(left.len(), 13);
    assert_eq!(store.prune(&keep, T1).unwrap(), Pruned::default());
}

#[test]
fn the_log_of_the_database_stays_small_under_a_flood_of_events() {
    let bed = Bed::new();
    let store = bed.open();
    let message = "x".repeat(1000);
    for _ in 0..5_000 {
        store.append_event(T0, Cause::Report, "instance", "service.db[0]", &message).unwrap();
        store.bump_serial().unwrap();
    }
    let log = std::fs::metadata(bed.path().with_extension("db-wal")).unwrap().len();
    assert!(log < 8 << 20, "{log} bytes");
}
